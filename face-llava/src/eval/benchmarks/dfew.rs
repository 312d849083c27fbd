//! DFEW (Jiang et al., ACM Multimedia 2020): expressions in clips from films.
//!
//! Published at <https://dfew-dataset.github.io/>. Layout:
//!
//! - `EmoLabel_DataSplit/test(single-labeled)/set_1.csv` to `set_5.csv` (and `train(single-labeled)/`), columns
//!   `video_name,label`; names are numbers, labels 1 happy, 2 sad, 3 neutral, 4 angry, 5 surprise, 6 disgust, 7 fear
//! - `Clip/clip_224x224/00001/00001_00001.jpg`: all frames of each clip, the face cropped by the owners
//! - `Clip/clip_224x224_avi/00001.avi`: the same as videos
//! - `Clip/original/1.mp4`: the clips as they were cut from the films
//!
//! Official: five folds over the 11 697 clips with one label and a face that the owners' tool found (of 12 059 with
//! one label, of 16 372). Fold sizes are those of the lists. Our choice: the owners' crops come before the original
//! clips, for these may show several people; `all` is the five test sets one after the other. `Clip/clip_224x224_16f`
//! is not read: its 16 frames are interpolated.

use std::path::Path;

use super::lists::{self, At};
use super::{Benchmark, Listing};
use crate::eval::{EvalError, Truth};
use crate::{EXPRESSIONS, Task};

pub(super) struct Dfew;

impl Benchmark for Dfew {
    fn name(&self) -> &'static str {
        "dfew"
    }

    fn title(&self) -> &'static str {
        "DFEW"
    }

    fn task(&self) -> Task {
        Task::Expression
    }

    fn labels(&self) -> &'static [&'static str] {
        &EXPRESSIONS
    }

    fn splits(&self) -> &'static [&'static str] {
        &["set_1", "set_2", "set_3", "set_4", "set_5", "all"]
    }

    fn published(&self, split: &str) -> Option<usize> {
        match split {
            "set_1" | "set_2" => Some(2341),
            "set_3" => Some(2340),
            "set_4" => Some(2339),
            "set_5" => Some(2336),
            "all" => Some(11_697),
            _ => None,
        }
    }

    fn layout(&self) -> &'static str {
        "EmoLabel_DataSplit/test(single-labeled)/set_1.csv .. set_5.csv and one of Clip/clip_224x224/00001/*.jpg, \
         Clip/clip_224x224_avi/00001.avi, Clip/original/1.mp4; https://dfew-dataset.github.io/"
    }

    fn list(&self, root: &Path, split: &str) -> Result<Listing, EvalError> {
        let at = lists::split(self.name(), self.splits(), split)?;
        let sets = if at < 5 { at + 1..=at + 1 } else { 1..=5 };
        let clips = root.join("Clip");
        let mut listing = Listing::default();
        for set in sets {
            let path = root.join("EmoLabel_DataSplit").join("test(single-labeled)").join(format!("set_{set}.csv"));
            for (line, [name, label]) in lists::table(&path, "a fold of DFEW", ["video_name", "label"])? {
                let at = At { path: &path, line };
                let number = at.whole(&name, "video_name", 1..=99_999)?;
                let label = at.whole(&label, "label", 1..=7)?;
                let places = [
                    clips.join("clip_224x224").join(format!("{number:05}")),
                    clips.join("clip_224x224_avi").join(format!("{number:05}.avi")),
                    clips.join("original").join(format!("{number}.mp4")),
                ];
                // The owners' order is that of EXPRESSIONS.
                let truth = Truth::Label(EXPRESSIONS[label as usize - 1].into());
                listing.push(at, format!("{number:05}"), &places, truth)?;
            }
        }
        Ok(listing)
    }
}
