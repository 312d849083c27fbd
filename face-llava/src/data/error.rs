//! What ends a whole build, split or check. What befalls a single item is an [`super::ItemFault`].

use std::fmt;
use std::path::{Path, PathBuf};

use super::AnnotatorFault;

/// A place in a file of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Line of a text file, entry of a JSON list; both from 1.
    pub number: u64,
    /// Whether the number counts lines or entries.
    pub unit: Unit,
}

/// What the number of a [`Place`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Lines.
    Line,
    /// Elements of a JSON list.
    Entry,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The file's own name: records must read the same wherever the folder lies.
        let name = self.path.file_name().unwrap_or_else(|| self.path.as_os_str()).to_string_lossy();
        match self.unit {
            Unit::Line => write!(f, "{name}:{}", self.number),
            Unit::Entry => write!(f, "{name}, entry {}", self.number),
        }
    }
}

/// Errors that end a build, a split or a check.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The disk is full, or the folder may not be written. What was finished is kept.
    #[error("{}: cannot be written: {source}; finished items are kept, run the same command again to go on", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A manifest that is neither CSV nor a JSON list of objects.
    #[error("{}: not a labelled manifest: {what}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// No column that names pictures or clips.
    #[error("{}: no column {:?} or {:?} among {found:?}", path.display(), "image", "video")]
    Columns {
        /// The file.
        path: PathBuf,
        /// Columns that are there.
        found: Vec<String>,
    },
    /// A column that is almost one that is known.
    #[error("{}: column {column:?} is not known; did you mean {nearest:?}?", path.display())]
    ColumnName {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The known column it resembles.
        nearest: &'static str,
    },
    /// A manifest without rows.
    #[error("{}: no rows", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// No label, and no task asked for.
    #[error("{}: {rows} rows, none with a label{why}; name the tasks with --tasks to go on without", path.display())]
    NoTasks {
        /// The file.
        path: PathBuf,
        /// Its rows.
        rows: usize,
        /// What is known of the reason: the first fault, columns that are not known.
        why: String,
    },
    /// An option that makes no sense.
    #[error("{option} is {value:?}; expected {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// A file of questions that cannot be used.
    #[error("{place}: {what}")]
    Questions {
        /// Where.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// Resuming with other settings.
    #[error(
        "{}: begun with other settings ({}); use them again, or another --out",
        path.display(), differences.join("; ")
    )]
    SettingsChanged {
        /// The folder.
        path: PathBuf,
        /// `name: before -> now`.
        differences: Vec<String>,
    },
    /// Another process works on this.
    #[error("{}: another process works on it", path.display())]
    Busy {
        /// The lock's file.
        path: PathBuf,
    },
    /// A journal with a line that is no entry.
    #[error("{place}: not an entry of a journal: {what}; the file was changed, delete that line to do its item again")]
    Journal {
        /// Where.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// Assembling before all is done.
    #[error("{}: {missing} of {items} items are not done yet; run the missing shards first", path.display())]
    Unfinished {
        /// The folder.
        path: PathBuf,
        /// Items without an entry.
        missing: usize,
        /// All items.
        items: usize,
    },
    /// A file of records that cannot be read.
    #[error("{place}: not an instruction record: {source}")]
    Record {
        /// Where.
        place: Place,
        /// The reason.
        source: serde_json::Error,
    },
    /// A file of points that cannot be used.
    #[error("{}: {what}", path.display())]
    Points {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A part of a split without records.
    #[error(
        "the {split} part would be empty: none of {persons} persons in {records} records falls into a fraction of \
         {fraction}; take more persons, another --seed, or 0 for this part and more for another"
    )]
    EmptySplit {
        /// Its name.
        split: &'static str,
        /// Records in all.
        records: usize,
        /// Persons in all.
        persons: usize,
        /// The part's fraction.
        fraction: f64,
    },
    /// The annotator or rater cannot be set up, or failed too often in a row.
    #[error("{fault}{}", if *failures > 0 { format!(" ({failures} failures in a row; finished items are kept)") } else { String::new() })]
    Annotator {
        /// Why.
        fault: AnnotatorFault,
        /// Failures in a row; 0 where nothing was tried.
        failures: usize,
    },
}

impl DataError {
    /// A name for the kind of error that programs can rely on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "io",
            Self::Write { .. } => "write",
            Self::Manifest { .. } => "manifest",
            Self::Columns { .. } | Self::ColumnName { .. } => "columns",
            Self::Empty { .. } => "empty_manifest",
            Self::NoTasks { .. } => "no_tasks",
            Self::Option { .. } => "option",
            Self::Questions { .. } => "questions",
            Self::SettingsChanged { .. } => "settings_changed",
            Self::Busy { .. } => "busy",
            Self::Journal { .. } => "journal",
            Self::Unfinished { .. } => "unfinished",
            Self::Record { .. } => "record",
            Self::Points { .. } => "points",
            Self::EmptySplit { .. } => "empty_split",
            Self::Annotator { fault, .. } => fault.code(),
        }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.into(), source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Write { path: path.into(), source }
    }
}

impl From<AnnotatorFault> for DataError {
    fn from(fault: AnnotatorFault) -> Self {
        Self::Annotator { fault, failures: 0 }
    }
}
