//! The nine benchmarks: where their owners put what, and what is counted.

use std::path::Path;

use super::{Dataset, EvalError};
use crate::Task;

/// A benchmark: its task, its labels, and how its folder is read.
pub trait Benchmark: Sync {
    /// Name on the command line and in files, as `raf-db`.
    fn name(&self) -> &'static str;

    /// Name in reports, as `RAF-DB`.
    fn title(&self) -> &'static str;

    /// What is asked.
    fn task(&self) -> Task;

    /// The closed set of labels that truths come from: expressions, `real` and `fake`, `AU1`.., attribute names; empty
    /// for ages.
    fn labels(&self) -> &'static [&'static str];

    /// The splits by name; the first is the one that the paper's figures are about.
    fn splits(&self) -> &'static [&'static str];

    /// Items that the split has in the published dataset, where that is known.
    fn published(&self, split: &str) -> Option<usize>;

    /// The folder as its owners publish it, and where that is described: for `eval list` and for errors.
    fn layout(&self) -> &'static str;

    /// The question asked where the user gives none.
    fn question(&self) -> &'static str {
        self.task().questions()[0]
    }

    /// Reads and checks the lists of a split. Media are looked for, not opened.
    ///
    /// # Errors
    /// [`EvalError::Missing`] and [`EvalError::Line`] name the file, the line and what was expected there.
    fn open(&self, root: &Path, split: &str) -> Result<Dataset, EvalError>;
}

/// All nine, in the paper's order.
pub const BENCHMARKS: [&dyn Benchmark; 0] = [];

/// The benchmark of a name.
///
/// # Errors
/// [`EvalError::Unknown`].
pub fn benchmark(name: &str) -> Result<&'static dyn Benchmark, EvalError> {
    let known = || BENCHMARKS.iter().map(|b| b.name()).collect::<Vec<_>>().join(", ");
    BENCHMARKS
        .iter()
        .copied()
        .find(|b| b.name() == name)
        .ok_or_else(|| EvalError::Unknown { name: name.into(), known: known() })
}
