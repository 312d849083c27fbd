//! The nine benchmarks: where their owners put what, and what is counted.
//!
//! Each file's first lines say how the dataset is laid out, where that is published, what of it is official and what is
//! a choice of ours. Nobody's data are part of this crate: whoever holds them names the folder.
//!
//! [`records`] and [`held_out`] read datasets of one's own.

mod bp4d;
mod celeba;
mod crema_d;
mod dfew;
mod disfa;
mod faceforensics;
mod held_out;
mod listing;
mod lists;
mod morph;
mod raf_db;
mod records;
mod utkface;

use std::path::Path;

pub use held_out::held_out;
pub use listing::{Listing, Missing};
pub use records::{records, records_of};

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

    /// The splits by name; the first where nothing is said.
    fn splits(&self) -> &'static [&'static str];

    /// Items that the split has in the published dataset, where that is known.
    fn published(&self, split: &str) -> Option<usize>;

    /// [`Dataset::digest`] of the split in the published dataset, where that is known.
    fn known_digest(&self, _split: &str) -> Option<&'static str> {
        None
    }

    /// The folder as its owners publish it, and where that is described: for `eval list` and for errors.
    fn layout(&self) -> &'static str;

    /// The question asked where the user gives none.
    fn question(&self) -> &'static str {
        self.task().question_for_a_label()
    }

    /// Reads and checks the lists of a split, and looks for the media that they name.
    ///
    /// # Errors
    /// [`EvalError::Missing`] and [`EvalError::Line`] name the file, the line and what was expected there. Absent media
    /// are no error.
    fn list(&self, root: &Path, split: &str) -> Result<Listing, EvalError>;

    /// The same where all media must be there. Media are looked for, not opened.
    ///
    /// # Errors
    /// As [`Benchmark::list`]; [`EvalError::Line`] with the first item whose media are absent.
    fn open(&self, root: &Path, split: &str) -> Result<Dataset, EvalError> {
        self.list(root, split)?.dataset(self.name(), root, split)
    }
}

/// All nine, in the paper's order.
pub const BENCHMARKS: [&dyn Benchmark; 9] = [
    &dfew::Dfew,
    &crema_d::CremaD,
    &raf_db::RafDb,
    &disfa::Disfa,
    &bp4d::Bp4d,
    &celeba::CelebA,
    &morph::Morph,
    &utkface::UtkFace,
    &faceforensics::FaceForensics,
];

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ACTION_UNITS, ATTRIBUTES, EXPRESSIONS};

    #[test]
    fn labels_are_those_of_the_task() {
        for b in BENCHMARKS {
            let known: Vec<String> = match b.task() {
                Task::Expression => EXPRESSIONS.map(str::to_owned).into(),
                Task::ActionUnits => ACTION_UNITS.iter().map(|(n, _)| format!("AU{n}")).collect(),
                Task::Attributes => ATTRIBUTES.map(str::to_owned).into(),
                Task::Deepfake => vec!["real".into(), "fake".into()],
                Task::Age => Vec::new(),
            };
            assert!(b.labels().iter().all(|label| known.iter().any(|k| k == label)), "{}", b.name());
            assert_eq!(b.labels().is_empty(), b.task() == Task::Age, "{}", b.name());
            assert!(b.layout().contains("http") && !b.question().is_empty());
        }
    }

    #[test]
    fn names_that_do_not_exist_are_refused_with_those_that_do() {
        for b in BENCHMARKS {
            assert_eq!(benchmark(b.name()).unwrap().title(), b.title());
            let error = b.open(Path::new("nowhere"), "tset").unwrap_err().to_string();
            assert_eq!(error, format!("{} has no split \"tset\"; it has {}", b.name(), b.splits().join(", ")));
            for split in b.splits() {
                assert!(b.open(Path::new("nowhere"), split).is_err());
            }
        }
        let error = benchmark("rafdb").err().unwrap().to_string();
        assert!(error.starts_with("no benchmark is called \"rafdb\"; known are dfew, crema-d, raf-db, disfa, bp4d,"));
    }
}
