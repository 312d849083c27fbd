//! BP4D-Spontaneous (Zhang et al., Image and Vision Computing 2014): action units frame by frame.
//!
//! Published at <https://www.cs.binghamton.edu/~lijun/Research/3DFE/3DFE_Analysis.html>. Layout:
//!
//! - `AUCoding/AU_OCC/F001_T1.csv` and so on for 41 people and 8 tasks: the first line holds the numbers of the action
//!   units (0 above the frames), the first column the frames; values 0 absent, 1 present, 9 unknown
//! - `Sequences(2D+3D)/F001/T1/0001.jpg`: pictures, their numbers of three or four digits those of the frames
//!
//! Pictures are also looked for under `Sequences(2D)/`, `BP4D-training/` (the release of FERA 2015) and in the folder
//! itself, codes also under `AU_OCC/` and `AUCoding/`.
//!
//! There is no official split. The literature's protocol: twelve action units and three parts by person. The parts here
//! are those of ME-GraphAU (Luo et al., IJCAI 2022), published with its code at
//! <https://github.com/CVI-SZU/ME-GraphAU>: part 1 is the test of its fold 3, part 2 of fold 2, part 3 of fold 1. The
//! literature speaks of about 147 000 coded frames; sizes of the parts are not published. Our choice: frames where one of
//! the twelve units is unknown are left out.

use std::path::{Path, PathBuf};

use super::lists::{self, At};
use super::{Benchmark, Listing, listing};
use crate::Task;
use crate::eval::{EvalError, Truth};

const UNITS: [u8; 12] = [1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24];
/// The frames' column and those of [`UNITS`].
const COLUMNS: [&str; 13] = ["0", "1", "2", "4", "6", "7", "10", "12", "14", "15", "17", "23", "24"];
const TASKS: u8 = 8;

const PARTS: [&[&str]; 3] = [
    &["F001", "M007", "F018", "F008", "F002", "M004", "F010", "F009", "M012", "M001", "F016", "M014", "F023", "M008"],
    &["M011", "F003", "M010", "M002", "F005", "F022", "M018", "M017", "F013", "M016", "F020", "F011", "M013", "M005"],
    &["F007", "F015", "F006", "F019", "M006", "M009", "F012", "M003", "F004", "F021", "F017", "M015", "F014"],
];

pub(super) struct Bp4d;

impl Benchmark for Bp4d {
    fn name(&self) -> &'static str {
        "bp4d"
    }

    fn title(&self) -> &'static str {
        "BP4D"
    }

    fn task(&self) -> Task {
        Task::ActionUnits
    }

    fn labels(&self) -> &'static [&'static str] {
        &["AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU14", "AU15", "AU17", "AU23", "AU24"]
    }

    fn splits(&self) -> &'static [&'static str] {
        &["part1", "part2", "part3", "all"]
    }

    fn published(&self, _split: &str) -> Option<usize> {
        None
    }

    fn layout(&self) -> &'static str {
        "AUCoding/AU_OCC/F001_T1.csv and Sequences(2D+3D)/F001/T1/0001.jpg; \
         https://www.cs.binghamton.edu/~lijun/Research/3DFE/3DFE_Analysis.html"
    }

    fn list(&self, root: &Path, split: &str) -> Result<Listing, EvalError> {
        let part = lists::split(self.name(), self.splits(), split)?;
        let people = PARTS.iter().enumerate().filter(|(i, _)| part == PARTS.len() || part == *i);
        let mut listing = Listing::default();
        for person in people.flat_map(|(_, people)| people.iter()) {
            for task in 1..=TASKS {
                sequence(root, person, &format!("T{task}"), &mut listing)?;
            }
        }
        Ok(listing)
    }
}

fn sequence(root: &Path, person: &str, task: &str, listing: &mut Listing) -> Result<(), EvalError> {
    let codes = ["AUCoding/AU_OCC", "AU_OCC", "AUCoding"].map(|f| root.join(f).join(format!("{person}_{task}.csv")));
    let path = codes.iter().find(|p| p.is_file()).unwrap_or(&codes[0]);
    let folders =
        ["Sequences(2D+3D)", "Sequences(2D)", "BP4D-training", ""].map(|f| root.join(f).join(person).join(task));
    let folder = folders.iter().find(|f| f.is_dir()).unwrap_or(&folders[0]);
    let pictures = listing::numbered(folder)?;
    for (line, [frame, codes @ ..]) in lists::table(path, "BP4D's codes of a person's task", COLUMNS)? {
        let at = At { path, line };
        let frame = at.whole(&frame, "frame", 0..=99_999)?;
        let Some(units) = active(at, &codes)? else { continue };
        let place: PathBuf = pictures.get(&frame).cloned().unwrap_or_else(|| folder.join(format!("{frame:04}.jpg")));
        listing.push(at, format!("{person}/{task}/{frame:04}"), &[place], Truth::Units(units))?;
    }
    Ok(())
}

/// The units that are present; nothing where one is unknown.
fn active(at: At<'_>, codes: &[String; 12]) -> Result<Option<Vec<u8>>, EvalError> {
    let mut units = Vec::new();
    let mut unknown = false;
    for (unit, code) in UNITS.into_iter().zip(codes) {
        match code.as_str() {
            "0" => (),
            "1" => units.push(unit),
            "9" => unknown = true,
            _ => return Err(at.fault(format!("AU{unit} is {code:?}; expected 0, 1, or 9 for unknown"))),
        }
    }
    Ok((!unknown).then_some(units))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_in_one_part() {
        let mut people: Vec<&str> = PARTS.concat();
        people.sort_unstable();
        people.dedup();
        let women = people.iter().filter(|p| p.starts_with('F')).count();
        assert_eq!((people.len(), women), (41, 23));
        assert!(UNITS.iter().zip(&COLUMNS[1..]).all(|(unit, column)| unit.to_string() == *column));
    }
}
