//! CREMA-D (Cao et al., IEEE Transactions on Affective Computing 2014): actors who speak sentences with an emotion.
//!
//! Published at <https://github.com/CheyneyComputerScience/CREMA-D> (with git-lfs). Layout:
//!
//! - `SentenceFilenames.csv`, columns `Stimulus_Number,Filename`: the 7442 clips
//! - `VideoFlash/1001_DFA_ANG_XX.flv`: actor, sentence, emotion (`ANG`, `DIS`, `FEA`, `HAP`, `NEU`, `SAD`), level (`LO`,
//!   `MD`, `HI`, `XX`)
//!
//! The label is the emotion that the actor was asked for, as the literature takes it. There is no official split. The
//! five folds are those that MAE-DFER (Sun et al., ACM Multimedia 2023), a row of the paper's table, publishes: no
//! actor is in two of them; actors 1001-1018, 1019-1036, 1037-1054, 1055-1072 and 1073-1091. Whether the paper used the
//! same folds, or the mean over them, is not known. Our choice: videos that were converted to `.mp4` or `.avi`, and
//! folders of frames, are taken too.

use std::path::Path;

use super::lists::{self, At};
use super::{Benchmark, Listing};
use crate::Task;
use crate::eval::{EvalError, Truth};

/// The first actor of each fold.
const FOLDS: [u32; 5] = [1001, 1019, 1037, 1055, 1073];
const LAST_ACTOR: u32 = 1091;

const EMOTIONS: [(&str, &str); 6] = [
    ("ANG", "anger"),
    ("DIS", "disgust"),
    ("FEA", "fear"),
    ("HAP", "happiness"),
    ("NEU", "neutral"),
    ("SAD", "sadness"),
];

pub(super) struct CremaD;

impl Benchmark for CremaD {
    fn name(&self) -> &'static str {
        "crema-d"
    }

    fn title(&self) -> &'static str {
        "CREMA-D"
    }

    fn task(&self) -> Task {
        Task::Expression
    }

    fn labels(&self) -> &'static [&'static str] {
        &["happiness", "sadness", "neutral", "anger", "disgust", "fear"]
    }

    fn splits(&self) -> &'static [&'static str] {
        &["fold1", "fold2", "fold3", "fold4", "fold5", "all"]
    }

    fn published(&self, split: &str) -> Option<usize> {
        match split {
            "fold1" => Some(1463),
            "fold2" => Some(1470),
            "fold3" | "fold4" => Some(1476),
            "fold5" => Some(1557),
            "all" => Some(7442),
            _ => None,
        }
    }

    fn layout(&self) -> &'static str {
        "SentenceFilenames.csv and VideoFlash/1001_DFA_ANG_XX.flv; https://github.com/CheyneyComputerScience/CREMA-D"
    }

    fn list(&self, root: &Path, split: &str) -> Result<Listing, EvalError> {
        let fold = lists::split(self.name(), self.splits(), split)?;
        let path = root.join("SentenceFilenames.csv");
        let mut listing = Listing::default();
        for (line, [name]) in lists::table(&path, "the list of CREMA-D's clips", ["Filename"])? {
            let at = At { path: &path, line };
            let (actor, emotion) = parts(at, &name)?;
            if fold < FOLDS.len() && fold_of(actor) != fold {
                continue;
            }
            let media = root.join("VideoFlash").join(&name);
            let places = [".flv", ".mp4", ".avi", ""].map(|kind| {
                let mut place = media.clone().into_os_string();
                place.push(kind);
                place.into()
            });
            listing.push(at, name, &places, Truth::Label(emotion.into()))?;
        }
        Ok(listing)
    }
}

/// Actor and emotion.
fn parts(at: At<'_>, name: &str) -> Result<(u32, &'static str), EvalError> {
    let parts: Vec<&str> = name.split('_').collect();
    let &[actor, _, emotion, _] = parts.as_slice() else {
        return Err(at.fault(format!("{name:?} has {} parts; expected ACTOR_SENTENCE_EMOTION_LEVEL", parts.len())));
    };
    let actor = at.whole(actor, "the actor", FOLDS[0]..=LAST_ACTOR)?;
    let known = EMOTIONS.iter().find(|(code, _)| *code == emotion);
    let known = known.ok_or_else(|| {
        at.fault(format!("emotion {emotion:?}; expected one of {}", EMOTIONS.map(|(code, _)| code).join(", ")))
    })?;
    Ok((actor, known.1))
}

fn fold_of(actor: u32) -> usize {
    FOLDS.iter().filter(|first| actor >= **first).count() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_blocks_of_actors() {
        let folds = [1001, 1018, 1019, 1036, 1037, 1054, 1055, 1072, 1073, 1091].map(fold_of);
        assert_eq!(folds, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
        let sizes: Vec<_> = CremaD.splits().iter().map(|split| CremaD.published(split).unwrap()).collect();
        assert_eq!(sizes[..5].iter().sum::<usize>(), sizes[5]);
    }
}
