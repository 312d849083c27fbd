//! The reasoning benchmark: a judge rates answers by three criteria from 1 to 10, as in the paper's Table 10.
//!
//! ```text
//! predictions ─► Case ─► Judge (chat endpoint, replay) ─► judgements.jsonl ─► JudgeReport
//! ```
//!
//! The paper's judge is GPT-4o on the test set of FaceInstruct-1M; its prompt is not published, so the [`RUBRIC`] is
//! ours, and figures of different judges, rubrics or test sets cannot be compared.

mod agreement;
mod case;
mod chat;
mod file;
mod judgement;
mod replay;
mod report;
mod rubric;
mod run;
mod scores;

pub use agreement::{Agreement, agreement};
pub use case::Case;
pub use chat::ChatJudge;
pub use judgement::{Judgement, Rated, Rating};
pub use replay::ReplayJudge;
pub use report::{JudgeReport, Overall, TaskReport};
pub use rubric::{RUBRIC, rubric_sha256};
pub use run::judge;
pub use scores::{Criteria, Reason, Scores};

use std::collections::BTreeMap;

use serde_json::Value;

use super::Fault;
use crate::Task;
use crate::data::annotate::Priced;
use crate::data::{Record, Speaker};

/// Rates answers. Shared by the workers.
pub trait Judge: Send + Sync {
    /// Model, endpoint, settings, rubric: whatever changes the ratings. Part of the result.
    fn identity(&self) -> Value;

    /// One rating; `repeat` counts from 0. A reply that cannot be used is [`Rating::Missing`] with what it took.
    ///
    /// # Errors
    /// [`Fault`] where there is no reply. Where it is passing, the answer is not judged, and tried again on resume.
    fn rate(&self, case: &Case<'_>, repeat: usize) -> Result<Priced<Rating>, Fault>;
}

/// How answers are judged.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgeOptions {
    /// Ratings of each answer, at least one.
    pub repeats: usize,
    /// Answers known to be good, by item; [`references`] takes them from records.
    pub references: BTreeMap<String, String>,
    /// Answers in work at a time.
    pub workers: usize,
    /// Begin anew, whatever the file holds.
    pub overwrite: bool,
}

impl Default for JudgeOptions {
    fn default() -> Self {
        Self { repeats: 1, references: BTreeMap::new(), workers: 4, overwrite: false }
    }
}

/// The first answer of each record that is about a task or does not say, by the names that an item may have for it: the
/// record's, its media's and its row's.
pub fn references(records: &[Record], task: Task) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for record in records.iter().filter(|record| record.meta.as_ref().is_none_or(|meta| meta.task == task)) {
        let Some(answer) = record.conversations.iter().find(|message| message.from == Speaker::Gpt) else { continue };
        let media = record.media().map(|media| media.display().to_string());
        let row = record.meta.as_ref().map(|meta| meta.source_id.clone());
        for name in [Some(record.id.clone()), media, row].into_iter().flatten().filter(|name| !name.is_empty()) {
            all.insert(name, answer.value.clone());
        }
    }
    all
}
