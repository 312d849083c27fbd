//! An answer to be judged, with what it is judged by.

use std::cell::OnceCell;
use std::path::Path;

use image::RgbImage;

use crate::Task;
use crate::data::seed::sha256;
use crate::eval::frames::frames;
use crate::eval::{Fault, Prediction, Truth};

/// One answer. Media are opened when they are first asked for: recordings need none.
#[derive(Debug)]
pub struct Case<'a> {
    /// The item's name.
    pub id: &'a str,
    /// What the question is about.
    pub task: Task,
    /// Picture, clip or folder of frames.
    pub media: &'a Path,
    /// What was asked.
    pub question: &'a str,
    /// The right answer.
    pub truth: &'a Truth,
    /// An answer with reasoning that is known to be good.
    pub reference: Option<&'a str>,
    /// What was answered.
    pub answer: &'a str,
    frames: OnceCell<Result<Vec<RgbImage>, Fault>>,
}

impl<'a> Case<'a> {
    pub(super) fn new(
        row: &'a Prediction,
        task: Task,
        question: &'a str,
        reference: Option<&'a str>,
        answer: &'a str,
    ) -> Self {
        let (id, truth, media, frames) = (&row.id, &row.truth, Path::new(&row.path), OnceCell::new());
        Self { id, task, media, question, truth, reference, answer, frames }
    }

    /// The picture, or frames of the clip in order: at most 8, at most 512 pixels a side.
    ///
    /// # Errors
    /// Media that cannot be opened.
    pub fn frames(&self) -> Result<&[RgbImage], Fault> {
        match self.frames.get_or_init(|| frames(self.media)) {
            Ok(frames) => Ok(frames),
            Err(fault) => Err(fault.clone()),
        }
    }

    /// SHA-256 of everything in words that is judged: a recording about another answer is none about this one.
    pub fn digest(&self) -> String {
        let words = (self.task.name(), self.question, self.truth, self.reference, self.answer);
        sha256(&serde_json::to_vec(&words).unwrap_or_default())
    }
}
