//! What can go wrong in training.

use std::path::PathBuf;

/// Errors of training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting that cannot be used.
    #[error("{name} is {value}; expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// Nothing to learn from.
    #[error("{}: no usable records; see `face-llava data check`", path.display())]
    Empty {
        /// The file of records.
        path: PathBuf,
    },
    /// Landmark modules are to be trained, and there are no landmarks.
    #[error("{}: no record has landmarks, which this stage learns from; `face-llava data build` finds them", path.display())]
    NoLandmarks {
        /// The file of records.
        path: PathBuf,
    },
    /// A whole epoch in which nothing could be learnt.
    #[error("{}: an epoch without anything to learn: no media that can be read, or no landmarks for a stage that trains landmark modules alone; see quarantine.jsonl there and `face-llava data check`", path.display())]
    NothingLearnt {
        /// The run's folder.
        path: PathBuf,
    },
    /// A record that cannot be used.
    #[error("record {id:?}: {what}")]
    Record {
        /// The record.
        id: String,
        /// What is wrong with it.
        what: String,
    },
    /// Too many records could not be used.
    #[error(
        "{bad} of {all} records could not be used, first {first:?}; see {}, mend them or raise --bad-budget",
        quarantine.display()
    )]
    BadBudget {
        /// How many.
        bad: usize,
        /// Of how many.
        all: usize,
        /// The first.
        first: String,
        /// Where they are listed.
        quarantine: PathBuf,
    },
    /// The run in this folder was begun with other settings.
    #[error("{}: this run was begun with other settings: {difference}; use them, or another folder", path.display())]
    SettingsChanged {
        /// The run's folder.
        path: PathBuf,
        /// Field by field, what it was and what it is.
        difference: String,
    },
    /// Another process trains in the same folder.
    #[error("{}: another process is training here", path.display())]
    Locked {
        /// The run's folder.
        path: PathBuf,
    },
    /// The loss or its gradient was not finite too often in a row.
    #[error("{skipped} steps in a row without a finite loss and gradient, up to step {step}: lower the learning rate, in another folder; the last good state, where anything was learnt, is a checkpoint in {}", path.display())]
    Diverged {
        /// The last step tried.
        step: usize,
        /// How many in a row.
        skipped: usize,
        /// The run's folder.
        path: PathBuf,
    },
    /// A checkpoint that cannot be used, and none before it.
    #[error("{}: {what}", path.display())]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// An adapter for another model.
    #[error("the adapter belongs to the model with weights {expected}, not to {found}; give that model with --model")]
    OtherBase {
        /// SHA-256 that the adapter names.
        expected: String,
        /// SHA-256 of the model given.
        found: String,
    },
    /// The run's files cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}
