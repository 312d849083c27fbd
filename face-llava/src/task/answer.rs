//! Asking for a task and reading the labels out of the answer.

use frgca::Fusion;
use landmarks::{CropRule, Select};
use serde::Serialize;

use super::Task;
use crate::generate::{Sampling, StopReason};
use crate::media::{FrameFace, How};
use crate::text::Template;
use crate::{Error, Session};

/// What was asked and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnswerSettings {
    /// The question.
    pub question: String,
    /// Wording of the prompt.
    pub template: Template,
    /// How the answer was chosen.
    pub sampling: Sampling,
    /// Whether a face was looked for; otherwise the picture was the crop.
    pub detect: bool,
    /// Which face, where there are several.
    pub face: Select,
    /// How the square was laid around it.
    pub crop: CropRule,
    /// Whether pictures were laid into squares.
    pub pad_to_square: bool,
    /// Patches kept of each picture or frame.
    pub visual_tokens: Option<usize>,
}

/// A typed answer, with the text that it was read from.
#[derive(Clone, Debug, Serialize)]
pub struct TaskAnswer {
    /// The task.
    pub task: Task,
    /// Labels of the task's closed set, or years; see [`Task::labels_of`].
    pub labels: Vec<String>,
    /// The model's words.
    pub raw: String,
    /// Whether the words gave no label. No guess is made.
    pub unparsed: bool,
    /// Why the words ended.
    pub stop_reason: StopReason,
    /// The face or, for clips, the face in each sampled frame.
    pub face: Vec<FrameFace>,
    /// Whether face geometry guided the visual tokens.
    pub landmarks_used: bool,
    /// What was asked and how.
    pub settings: AnswerSettings,
}

impl<F: Fusion> Session<'_, F> {
    /// Asks a task's default question and reads the labels out of the answer.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn run(&mut self, task: Task) -> Result<TaskAnswer, Error> {
        self.run_with(task, task.questions()[0])
    }

    /// The same with a question of your own.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn run_with(&mut self, task: Task, question: &str) -> Result<TaskAnswer, Error> {
        let answer = self.ask(question)?;
        let labels = task.labels_of(&answer.text);
        // What holds is how the media were shown; options may have changed since.
        let options = &self.options;
        let media = self.media.as_ref();
        let how = media.map_or_else(
            || How {
                detect: options.faces.detect,
                select: options.faces.select,
                crop: options.faces.crop.or(self.model.config.face_crop).unwrap_or_default(),
            },
            |media| media.how,
        );
        Ok(TaskAnswer {
            task,
            unparsed: labels.is_none(),
            labels: labels.unwrap_or_default(),
            raw: answer.text,
            stop_reason: answer.stop_reason,
            face: answer.face,
            landmarks_used: answer.landmarks_used,
            settings: AnswerSettings {
                question: question.to_owned(),
                template: options.template,
                sampling: options.sampling.clone(),
                detect: how.detect,
                face: how.select,
                crop: how.crop,
                pad_to_square: media.map_or(options.pad_to_square, |media| media.pad_to_square),
                visual_tokens: media.map_or(options.visual_tokens, |media| media.visual_tokens),
            },
        })
    }
}
