//! What a build is asked to do, and what it reports.

use std::collections::BTreeMap;
use std::path::PathBuf;

use landmarks::CropRule;
use serde::Serialize;

use super::choice::{AnnotatorChoice, RaterChoice};
use crate::Task;
use crate::data::annotate::Usage;
use crate::data::error::DataError;

/// How faces are taken from pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Faces {
    /// The picture must show exactly one face, as in the authors' pipeline.
    #[default]
    Single,
    /// The largest of several.
    Largest,
    /// The picture is the crop; no detection.
    Whole,
}

/// A part of the rows: those whose index leaves `index` when divided by `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: usize,
    /// All shards.
    pub count: usize,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

impl Shard {
    /// Reads `INDEX/COUNT`, the index from 0.
    ///
    /// # Errors
    /// [`DataError::Option`].
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((index, count)) if index < count && count <= 100_000 => Ok(Self { index, count }),
            _ => Err(DataError::Option {
                option: "--shard",
                value: text.into(),
                expected: "INDEX/COUNT with the index from 0, as 0/4",
            }),
        }
    }

    /// What the scheduler says: Slurm's array variables, or those of an indexed Kubernetes job, whose manifest has to
    /// set `JOB_COMPLETIONS` beside the `JOB_COMPLETION_INDEX` that Kubernetes sets. `None` outside of both.
    ///
    /// # Errors
    /// [`DataError::Option`] where the variables are incomplete or contradict each other.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, DataError> {
        let (index, count, first) = if let Some(id) = variable("SLURM_ARRAY_TASK_ID") {
            let first = variable("SLURM_ARRAY_TASK_MIN").unwrap_or_else(|| "0".into());
            (id, ("SLURM_ARRAY_TASK_COUNT", variable("SLURM_ARRAY_TASK_COUNT")), first)
        } else if let Some(index) = variable("JOB_COMPLETION_INDEX") {
            (index, ("JOB_COMPLETIONS", variable("JOB_COMPLETIONS")), "0".into())
        } else {
            return Ok(None);
        };
        let (name, count) = count;
        let Some(count) = count else {
            return Err(DataError::Option { option: name, value: String::new(), expected: "the number of shards" });
        };
        let number = |text: &str| text.parse::<usize>().ok();
        let shifted = number(&index).zip(number(&first)).and_then(|(index, first)| index.checked_sub(first));
        match shifted.zip(number(&count)) {
            Some((index, count)) if index < count => Ok(Some(Self { index, count })),
            _ => Err(DataError::Option {
                option: name,
                value: format!("{index} of {count} from {first}"),
                expected: "an index below the count: array indices without gaps",
            }),
        }
    }
}

/// What a build is asked to do. `BuildOptions::new` for the usual.
#[derive(Clone, Debug, PartialEq)]
pub struct BuildOptions {
    /// The labelled manifest.
    pub source: PathBuf,
    /// The folder to write.
    pub out: PathBuf,
    /// Tasks to ask about; by default those with labels.
    pub tasks: Option<Vec<Task>>,
    /// Decides questions, forms of sentences and self-blending.
    pub seed: u64,
    /// How faces are taken from pictures.
    pub faces: Faces,
    /// How the square is laid around a face.
    pub crop: CropRule,
    /// Faces below this score are rejected, 0 to 1.
    pub min_face_score: f32,
    /// Fraction of the pictures without a deepfake label that are blended with themselves.
    pub self_blend: f64,
    /// The user's questions.
    pub questions: Option<PathBuf>,
    /// Who writes.
    pub annotator: AnnotatorChoice,
    /// Who rates; nobody by default.
    pub rater: Option<RaterChoice>,
    /// Every score of a rating must reach this, 1 to 10.
    pub min_rating: u8,
    /// Folder of answers that were paid for; by default `cache` in the output.
    pub cache: Option<PathBuf>,
    /// The part of the rows to do.
    pub shard: Shard,
    /// Rows in work at a time; 0 for one on each core.
    pub workers: usize,
    /// Only the first rows.
    pub limit: Option<usize>,
    /// Name of the source, where the manifest does not say.
    pub source_name: Option<String>,
    /// Its licence, where the manifest does not say.
    pub licence: Option<String>,
    /// The device for detection and alignment.
    pub device: burn::tensor::Device,
}

impl BuildOptions {
    /// Everything by default: labelled tasks, one face a picture, the offline annotator.
    pub fn new(source: impl Into<PathBuf>, out: impl Into<PathBuf>, device: burn::tensor::Device) -> Self {
        Self {
            source: source.into(),
            out: out.into(),
            tasks: None,
            seed: 0,
            faces: Faces::default(),
            crop: CropRule::default(),
            min_face_score: 0.5,
            self_blend: 0.5,
            questions: None,
            annotator: AnnotatorChoice::default(),
            rater: None,
            min_rating: 6,
            cache: None,
            shard: Shard::default(),
            workers: 0,
            limit: None,
            source_name: None,
            licence: None,
            device,
        }
    }

    pub(super) fn check(&self) -> Result<(), DataError> {
        let fail = |option, value: String, expected| Err(DataError::Option { option, value, expected });
        if !(0.0..=1.0).contains(&self.self_blend) {
            return fail("--self-blend", self.self_blend.to_string(), "a fraction from 0 to 1");
        }
        if !(0.0..=1.0).contains(&self.min_face_score) {
            return fail("--min-face-score", self.min_face_score.to_string(), "a score from 0 to 1");
        }
        if !(1..=10).contains(&self.min_rating) {
            return fail("--min-score", self.min_rating.to_string(), "a score from 1 to 10");
        }
        if self.shard.index >= self.shard.count {
            let given = format!("{}/{}", self.shard.index, self.shard.count);
            return fail("--shard", given, "an index below the count");
        }
        if self.tasks.as_ref().is_some_and(Vec::is_empty) {
            return fail("--tasks", String::new(), "at least one task");
        }
        Ok(())
    }
}

/// Where a build stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Items of this shard that are finished, earlier runs included.
    pub done: usize,
    /// Items of this shard.
    pub items: usize,
}

/// What a build did.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BuildReport {
    /// Items of this shard: rows times tasks.
    pub items: usize,
    /// Of them, finished by earlier runs.
    pub resumed: usize,
    /// Kept as records.
    pub kept: usize,
    /// Rejected, by code.
    pub rejected: BTreeMap<String, usize>,
    /// Of them, those that may succeed when the build goes on.
    pub pending: usize,
    /// What this run caused at endpoints.
    pub paid: Usage,
    /// Whether all shards are done and the final files are written.
    pub complete: bool,
    /// Columns of the manifest that nothing uses.
    pub ignored_columns: Vec<String>,
}
