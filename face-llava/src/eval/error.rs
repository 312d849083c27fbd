//! What can go wrong in an evaluation.

use std::path::PathBuf;

/// Errors of benchmarks, scores, reports and the judge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A file or folder that the benchmark's layout needs.
    #[error("{}: missing; {hint}", path.display())]
    Missing {
        /// The file or folder.
        path: PathBuf,
        /// What it is and where it comes from.
        hint: String,
    },
    /// A line of a list that cannot be.
    #[error("{}:{line}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong and what was expected.
        what: String,
    },
    /// A name that no benchmark has.
    #[error("no benchmark is called {name:?}; known are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A split that a benchmark does not have.
    #[error("{benchmark} has no split {split:?}; it has {known}")]
    Split {
        /// The benchmark.
        benchmark: &'static str,
        /// The name.
        split: String,
        /// Those that there are.
        known: String,
    },
    /// A file of predictions, scores or judgements that cannot be used.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
    /// A row of predictions that a scorer cannot use.
    #[error("prediction {id:?}: {what}")]
    Row {
        /// The item.
        id: String,
        /// What is wrong and what to do.
        what: String,
    },
    /// Predictions that a scorer cannot use.
    #[error("{benchmark}: {what}")]
    Unscorable {
        /// The benchmark's name.
        benchmark: String,
        /// What is wrong and what to do.
        what: String,
    },
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
