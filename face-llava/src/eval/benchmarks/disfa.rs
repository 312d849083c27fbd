//! DISFA (Mavadati et al., IEEE Transactions on Affective Computing 2013): action units frame by frame.
//!
//! Published at <http://mohammadmahoor.com/disfa/>. Layout:
//!
//! - `ActionUnit_Labels/SN001/SN001_au1.txt` and so on for 27 people and 12 action units, lines `FRAME,INTENSITY`:
//!   frames from 1, intensities 0 to 5
//! - `Videos_LeftCamera/LeftVideoSN001_comp.avi`: the recordings, 4844 or 4845 frames for 4845 labels
//!
//! The owners publish videos; single frames must be taken out of them once, for each of the videos:
//!
//! ```text
//! mkdir -p images/LeftVideoSN001_comp
//! ffmpeg -i Videos_LeftCamera/LeftVideoSN001_comp.avi images/LeftVideoSN001_comp/LeftVideoSN001_comp_%04d.png
//! ```
//!
//! Pictures are found by the number at the end of their names, counted from 1; `images/SN001/` will do as well.
//!
//! There is no official split. The literature's protocol: eight action units, active from intensity 2, three parts of
//! nine people each. The parts here are those of ME-GraphAU (Luo et al., IJCAI 2022), published with its code at
//! <https://github.com/CVI-SZU/ME-GraphAU>: part 1 is the test of its fold 3, part 2 of fold 2, part 3 of fold 1. Which
//! frames the paper tests on is not known. Our choice: a last label that has no frame in the video is left out.

use std::path::{Path, PathBuf};

use super::lists::{self, At};
use super::{Benchmark, Listing, listing};
use crate::Task;
use crate::eval::{EvalError, Truth};

const UNITS: [u8; 8] = [1, 2, 4, 6, 9, 12, 25, 26];
/// Intensity from which a unit counts as active.
const ACTIVE: u32 = 2;

const PARTS: [[u8; 9]; 3] =
    [[2, 10, 1, 26, 27, 32, 30, 9, 16], [13, 18, 11, 28, 12, 6, 31, 21, 24], [3, 29, 23, 25, 8, 5, 7, 17, 4]];

pub(super) struct Disfa;

impl Benchmark for Disfa {
    fn name(&self) -> &'static str {
        "disfa"
    }

    fn title(&self) -> &'static str {
        "DISFA"
    }

    fn task(&self) -> Task {
        Task::ActionUnits
    }

    fn labels(&self) -> &'static [&'static str] {
        &["AU1", "AU2", "AU4", "AU6", "AU9", "AU12", "AU25", "AU26"]
    }

    fn splits(&self) -> &'static [&'static str] {
        &["part1", "part2", "part3", "all"]
    }

    /// Whoever takes the frames out of the videos has one more or one less of some.
    fn published(&self, _split: &str) -> Option<usize> {
        None
    }

    fn layout(&self) -> &'static str {
        "ActionUnit_Labels/SN001/SN001_au1.txt and frames as images/LeftVideoSN001_comp/LeftVideoSN001_comp_0001.png, \
         taken with ffmpeg out of Videos_LeftCamera/LeftVideoSN001_comp.avi; http://mohammadmahoor.com/disfa/"
    }

    fn list(&self, root: &Path, split: &str) -> Result<Listing, EvalError> {
        let part = lists::split(self.name(), self.splits(), split)?;
        let people = PARTS.iter().enumerate().filter(|(i, _)| part == PARTS.len() || part == *i);
        let mut listing = Listing::default();
        for number in people.flat_map(|(_, people)| people) {
            person(root, &format!("SN{number:03}"), &mut listing)?;
        }
        Ok(listing)
    }
}

fn person(root: &Path, name: &str, listing: &mut Listing) -> Result<(), EvalError> {
    let list = |unit| root.join("ActionUnit_Labels").join(name).join(format!("{name}_au{unit}.txt"));
    let first = list(UNITS[0]);
    let frames = intensities(&first)?;
    let mut active: Vec<Vec<u8>> = vec![Vec::new(); frames.len()];
    for unit in UNITS {
        let path = list(unit);
        let column = intensities(&path)?;
        for ((line, frame, intensity), (reference, units)) in column.iter().zip(frames.iter().zip(&mut active)) {
            if *frame != reference.1 {
                let what = format!("frame {frame}; {} has frame {} here", first.display(), reference.1);
                return Err(At { path: &path, line: *line }.fault(what));
            }
            if *intensity >= ACTIVE {
                units.push(unit);
            }
        }
        if column.len() != frames.len() {
            let line = column.last().map_or(1, |(line, ..)| *line);
            let what = format!("{} frames; {} has {}", column.len(), first.display(), frames.len());
            return Err(At { path: &path, line }.fault(what));
        }
    }
    let video = format!("LeftVideo{name}_comp");
    let folders = [root.join("images").join(&video), root.join("images").join(name)];
    let folder = folders.iter().find(|f| f.is_dir()).unwrap_or(&folders[0]);
    let pictures = listing::numbered(folder)?;
    if let Some(zeroth) = pictures.get(&0) {
        let what = "frames are counted from 1 in the labels, but from 0 here; take them out of the video anew";
        return Err(EvalError::File { path: zeroth.clone(), what: what.into() });
    }
    let last = pictures.keys().next_back().copied();
    let labels = frames.len();
    for (i, ((line, frame, _), units)) in frames.into_iter().zip(active).enumerate() {
        let place: PathBuf = match pictures.get(&frame) {
            Some(picture) => picture.clone(),
            None if i + 1 == labels && last.is_some_and(|last| last + 1 == frame) => continue,
            None => folder.join(format!("{video}_{frame:04}.png")),
        };
        listing.push(At { path: &first, line }, format!("{name}/{frame:04}"), &[place], Truth::Units(units))?;
    }
    Ok(())
}

/// Line, frame and intensity.
fn intensities(path: &Path) -> Result<Vec<(usize, u32, u32)>, EvalError> {
    let text = lists::read(path, "DISFA's intensities of a person's action unit")?;
    let rows = lists::lines(&text).map(|(line, row)| {
        let at = At { path, line };
        let columns: Vec<&str> = row.split(',').map(str::trim).collect();
        let &[frame, intensity] = columns.as_slice() else {
            return Err(at.fault(format!("{} columns; expected 2: FRAME,INTENSITY", columns.len())));
        };
        Ok((line, at.whole(frame, "frame", 1..=99_999)?, at.whole(intensity, "intensity", 0..=5)?))
    });
    rows.collect()
}
