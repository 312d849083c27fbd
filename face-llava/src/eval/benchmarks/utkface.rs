//! UTKFace (Zhang et al., CVPR 2017): ages of people from the net.
//!
//! Published at <https://susanqq.github.io/UTKFace/>. Layout:
//!
//! - `UTKFace/26_1_3_20170117175041574.jpg.chip.jpg`: aligned and cropped faces; age, gender, race and date. Three of
//!   the 23 708 names lack the race; only the age is read
//! - `utk_test.csv`, `utk_train.csv`: the split that the literature uses, which the owners do not publish: put both
//!   files of <https://github.com/Raschka-research-group/coral-cnn> (`datasets/train-test-csv/`) beside the folder.
//!   Columns: a number, `file`, and `age`, which is the years above 21
//!
//! The owners have no split. The literature's protocol (Cao, Mirjalili, Raschka 2020; the paper's baselines): ages 21 to
//! 60, 13 144 pictures for training and 3287 for the test. `21-60` are all pictures of these ages, `all` of any age.

use std::path::Path;

use super::lists::{self, At};
use super::{Benchmark, Listing, listing};
use crate::Task;
use crate::eval::{EvalError, Truth};

/// Age that the lists count from.
const YOUNGEST: u32 = 21;
const OLDEST: u32 = 60;
/// The highest of the dataset.
const MAX_AGE: u32 = 116;

pub(super) struct UtkFace;

impl Benchmark for UtkFace {
    fn name(&self) -> &'static str {
        "utkface"
    }

    fn title(&self) -> &'static str {
        "UTKFace"
    }

    fn task(&self) -> Task {
        Task::Age
    }

    fn labels(&self) -> &'static [&'static str] {
        &[]
    }

    fn splits(&self) -> &'static [&'static str] {
        &["test", "train", "21-60", "all"]
    }

    fn published(&self, split: &str) -> Option<usize> {
        match split {
            "test" => Some(3287),
            "train" => Some(13_144),
            "all" => Some(23_708),
            _ => None,
        }
    }

    fn layout(&self) -> &'static str {
        "UTKFace/26_1_3_20170117175041574.jpg.chip.jpg (https://susanqq.github.io/UTKFace/, aligned and cropped), and \
         beside it utk_test.csv of https://github.com/Raschka-research-group/coral-cnn"
    }

    fn list(&self, root: &Path, split: &str) -> Result<Listing, EvalError> {
        lists::split(self.name(), self.splits(), split)?;
        match split {
            "test" | "train" => listed(root, split),
            "all" => folder(root, 0..=MAX_AGE),
            _ => folder(root, YOUNGEST..=OLDEST),
        }
    }
}

fn listed(root: &Path, split: &str) -> Result<Listing, EvalError> {
    let path = root.join(format!("utk_{split}.csv"));
    let hint = "UTKFace's owners have no split; put this file of \
                https://github.com/Raschka-research-group/coral-cnn (datasets/train-test-csv) here";
    let mut listing = Listing::default();
    for (line, [file, above]) in lists::table(&path, hint, ["file", "age"])? {
        let at = At { path: &path, line };
        let age = YOUNGEST + at.whole(&above, "age (years above 21)", 0..=OLDEST - YOUNGEST)?;
        if age_of(&file) != Some(age) {
            return Err(at.fault(format!("age {above} above {YOUNGEST} is not that in the name {file:?}")));
        }
        let places = [root.join("UTKFace").join(&file), root.join(&file)];
        listing.push(at, file, &places, Truth::Age(f64::from(age)))?;
    }
    Ok(listing)
}

fn folder(root: &Path, ages: std::ops::RangeInclusive<u32>) -> Result<Listing, EvalError> {
    let inside = root.join("UTKFace");
    let folder = if inside.is_dir() { inside.as_path() } else { root };
    let mut listing = Listing::default();
    for (place, number) in listing::pictures(folder)?.into_iter().zip(1..) {
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let age = age_of(&name).ok_or_else(|| EvalError::File {
            path: place.clone(),
            what: format!("its name does not begin with an age from 0 to {MAX_AGE} and an underscore"),
        })?;
        if ages.contains(&age) {
            // There is no list: the folder, in the order of its names, stands for it.
            listing.push(At { path: folder, line: number }, name, &[place], Truth::Age(f64::from(age)))?;
        }
    }
    Ok(listing)
}

fn age_of(name: &str) -> Option<u32> {
    name.split_once('_')?.0.parse().ok().filter(|age| *age <= MAX_AGE)
}
