//! What a run is asked to do, and what it reports.

use std::collections::BTreeMap;

use crate::Task;
use crate::data::Shard;
use crate::eval::Prediction;

/// What is asked, and of which items.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictOptions {
    /// The benchmark's task.
    pub task: Task,
    /// Its closed set of labels.
    pub labels: Vec<String>,
    /// The question.
    pub question: String,
    /// Ask for the log-likelihood of each label (expression, deepfake).
    pub likelihood: bool,
    /// Keep the words; without them there are only likelihoods.
    pub generate: bool,
    /// Only the first items.
    pub limit: Option<usize>,
    /// The part of them to do.
    pub shard: Shard,
    /// Begin the file afresh.
    pub overwrite: bool,
}

impl PredictOptions {
    /// The task's own question to all items, in words.
    pub fn new(task: Task, labels: &[impl AsRef<str>]) -> Self {
        Self {
            task,
            labels: labels.iter().map(|label| label.as_ref().to_owned()).collect(),
            question: task.question_for_a_label().into(),
            likelihood: false,
            generate: true,
            limit: None,
            shard: Shard::default(),
            overwrite: false,
        }
    }

    /// The labels with the ways in which answers begin; none where the task has no such ways.
    pub(super) fn openings(&self) -> Option<Vec<(&'static str, &'static str)>> {
        let of_set = |(label, _): &&(&str, &str)| self.labels.iter().any(|known| known == label);
        Some(self.task.openings()?.iter().filter(of_set).copied().collect())
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug)]
pub struct PredictStep<'a> {
    /// Items with a row.
    pub done: usize,
    /// Items of the run.
    pub items: usize,
    /// The row that was just written.
    pub row: Option<&'a Prediction>,
}

/// What a run gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PredictReport {
    /// Items of the run.
    pub items: usize,
    /// Rows that were there before.
    pub resumed: usize,
    /// Rows with an answer.
    pub answered: usize,
    /// Rows without, by the reason's code.
    pub failed: BTreeMap<String, usize>,
    /// Items without a row: the same command asks about them again.
    pub pending: usize,
}

impl PredictReport {
    /// Counts a row.
    pub(super) fn add(&mut self, row: &Prediction) {
        match &row.error {
            Some(fault) => *self.failed.entry(fault.code.clone()).or_default() += 1,
            None => self.answered += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_labels_of_the_closed_set_are_scored() {
        let openings = |task, labels: &[&str]| PredictOptions::new(task, labels).openings();
        assert_eq!(openings(Task::Deepfake, &["fake"]).unwrap(), [("fake", "Fake:")]);
        assert_eq!(openings(Task::Expression, &["fear", "contempt"]).unwrap(), [("fear", "Fear.")]);
        assert_eq!(openings(Task::Age, &[]), None);
    }
}
