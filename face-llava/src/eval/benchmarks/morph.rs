//! MORPH II (Ricanek and Tesafaye, FG 2006), the release of 2008 for non-commercial use: ages of arrested people.
//!
//! Distributed at <https://uncw.edu/research/commercialization/available-technologies/morph> (the address has changed
//! over the years). Layout:
//!
//! - `morph_2008_nonCommercial.csv`, among others with the columns `id_num` (the person), `age` and `photo`
//! - the pictures that `photo` names, as `Album2/009055_1M54.JPG`
//!
//! 55 134 pictures of 13 617 or 13 618 people, aged 16 to 77. There is no official split. The paper's baselines are on
//! random fifths of the pictures, where a person can be both in training and in the test; the lists of the paper are not
//! known. Our choice: five folds by person, so that nobody is in two of them; a person's fold is the number that the
//! first eight bytes (big-endian) of SHA-256 of `"0:ID_NUM"` make, modulo 5. For models that never saw MORPH, any of
//! them, or `all`, measures the same.

use std::path::Path;

use super::lists::{self, At};
use super::{Benchmark, Listing};
use crate::Task;
use crate::data::seed::draw;
use crate::eval::{EvalError, Truth};

const FOLDS: usize = 5;

pub(super) struct Morph;

impl Benchmark for Morph {
    fn name(&self) -> &'static str {
        "morph-ii"
    }

    fn title(&self) -> &'static str {
        "MORPH II"
    }

    fn task(&self) -> Task {
        Task::Age
    }

    fn labels(&self) -> &'static [&'static str] {
        &[]
    }

    fn splits(&self) -> &'static [&'static str] {
        &["fold1", "fold2", "fold3", "fold4", "fold5", "all"]
    }

    fn published(&self, split: &str) -> Option<usize> {
        (split == "all").then_some(55_134)
    }

    fn layout(&self) -> &'static str {
        "morph_2008_nonCommercial.csv (columns id_num, age, photo) and the pictures that it names, as \
         Album2/009055_1M54.JPG; https://uncw.edu/research/commercialization/available-technologies/morph"
    }

    fn list(&self, root: &Path, split: &str) -> Result<Listing, EvalError> {
        let fold = lists::split(self.name(), self.splits(), split)?;
        let path = root.join("morph_2008_nonCommercial.csv");
        let mut listing = Listing::default();
        for (line, [person, age, photo]) in lists::table(&path, "MORPH II's list", ["id_num", "age", "photo"])? {
            let at = At { path: &path, line };
            let age = at.whole(&age, "age", 0..=120)?;
            if person.is_empty() || photo.is_empty() {
                return Err(at.fault("id_num or photo is empty"));
            }
            if fold < FOLDS && fold_of(&person) != fold {
                continue;
            }
            let photo = photo.replace('\\', "/");
            let place = root.join(&photo);
            listing.push(at, photo, &[place], Truth::Age(f64::from(age)))?;
        }
        Ok(listing)
    }
}

/// From 0.
fn fold_of(person: &str) -> usize {
    usize::try_from(draw(0, person) % FOLDS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_about_equal_and_stay() {
        let mut sizes = [0usize; FOLDS];
        (0..13_618).for_each(|person| sizes[fold_of(&person.to_string())] += 1);
        assert!(sizes.iter().all(|size| size.abs_diff(13_618 / FOLDS) < 150), "{sizes:?}");
        assert_eq!(["1", "2", "3", "9055"].map(fold_of), [2, 3, 4, 2]);
    }
}
