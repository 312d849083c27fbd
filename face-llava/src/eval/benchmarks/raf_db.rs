//! RAF-DB (Li et al., CVPR 2017), the basic emotions: photographs from the net.
//!
//! Published at <http://www.whdeng.cn/raf/model1.html>. Layout, from the folder `basic/` or the one above it:
//!
//! - `EmoLabel/list_patition_label.txt` (spelt so), lines `test_0001.jpg 7`; labels 1 surprise, 2 fear, 3 disgust,
//!   4 happiness, 5 sadness, 6 anger, 7 neutral
//! - `Image/aligned/test_0001_aligned.jpg`: 100x100 faces, as almost all of the literature reads them
//! - `Image/original/test_0001.jpg`: whole photographs
//!
//! Official: 12 271 pictures for training and 3068 for the test, by the beginning of their names. Our choice: aligned
//! faces come before whole photographs, where several people may be seen.

use std::path::Path;

use super::lists::{self, At};
use super::{Benchmark, Listing};
use crate::eval::{EvalError, Truth};
use crate::{EXPRESSIONS, Task};

/// Labels 1 to 7.
const NUMBERED: [&str; 7] = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"];

pub(super) struct RafDb;

impl Benchmark for RafDb {
    fn name(&self) -> &'static str {
        "raf-db"
    }

    fn title(&self) -> &'static str {
        "RAF-DB"
    }

    fn task(&self) -> Task {
        Task::Expression
    }

    fn labels(&self) -> &'static [&'static str] {
        &EXPRESSIONS
    }

    fn splits(&self) -> &'static [&'static str] {
        &["test", "train"]
    }

    fn published(&self, split: &str) -> Option<usize> {
        match split {
            "test" => Some(3068),
            "train" => Some(12_271),
            _ => None,
        }
    }

    fn layout(&self) -> &'static str {
        "basic/EmoLabel/list_patition_label.txt and basic/Image/aligned/test_0001_aligned.jpg (or \
         basic/Image/original/test_0001.jpg); http://www.whdeng.cn/raf/model1.html"
    }

    fn list(&self, root: &Path, split: &str) -> Result<Listing, EvalError> {
        lists::split(self.name(), self.splits(), split)?;
        let basic = root.join("basic");
        let base = if basic.is_dir() { basic.as_path() } else { root };
        let path = base.join("EmoLabel").join("list_patition_label.txt");
        let text = lists::read(&path, "RAF-DB's list of labels")?;
        let images = base.join("Image");
        let mut listing = Listing::default();
        for (line, words) in lists::lines(&text) {
            let at = At { path: &path, line };
            let [name, label] = at.words(words, "a picture and its label")?;
            let label = at.whole(label, "label", 1..=7)?;
            let stem = name.strip_suffix(".jpg").unwrap_or(name);
            let part = stem.split('_').next().unwrap_or_default();
            if !self.splits().contains(&part) {
                return Err(at.fault(format!("{name:?}; expected train_NUMBER.jpg or test_NUMBER.jpg")));
            }
            if part != split {
                continue;
            }
            let aligned = images.join("aligned").join(format!("{stem}_aligned.jpg"));
            let places = [aligned, images.join("original").join(format!("{stem}.jpg"))];
            listing.push(at, stem.into(), &places, Truth::Label(NUMBERED[label as usize - 1].into()))?;
        }
        Ok(listing)
    }
}
