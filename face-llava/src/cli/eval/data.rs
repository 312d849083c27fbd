//! Which items: a benchmark's, or one's own.

use std::path::PathBuf;

use clap::Args;
use face_llava::data::{LabelOrigin, SPLIT_SEED};
use face_llava::eval::benchmarks::{held_out, records_of};
use face_llava::eval::{Benchmark, Dataset, EvalError, Truth, benchmark};
use face_llava::{ACTION_UNITS, ATTRIBUTES, EXPRESSIONS, Task};

use super::super::Failure;
use super::super::run::parse_task;

/// Data of one's own, beside the nine.
const OWN: [&str; 2] = ["records", "held-out"];

/// A benchmark and where it lies.
#[derive(Args)]
pub(super) struct DataOptions {
    /// One of `eval list`; or `records` (instruction records with people's labels) or `held-out` (the people of a
    /// labelled manifest that `data split` keeps for the test)
    #[arg(long, value_name = "NAME")]
    benchmark: String,
    /// Its folder; the file of records or labels for data of your own
    #[arg(long, value_name = "PATH")]
    pub root: PathBuf,
    /// The part of it; by default the first that `eval list` names
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// The task of `records`: expression, action-units, attributes, age or deepfake
    #[arg(long, value_parser = parse_task, value_name = "TASK")]
    task: Option<Task>,
    /// Seed of the split of `held-out`
    #[arg(long, default_value_t = SPLIT_SEED, value_name = "S")]
    split_seed: u64,
}

/// Items and what is asked about them.
pub(super) struct Opened {
    pub dataset: Dataset,
    pub task: Task,
    pub labels: Vec<String>,
    pub question: &'static str,
}

impl DataOptions {
    /// One of the nine and its split; none for data of one's own.
    pub fn known(&self) -> Result<Option<(&'static dyn Benchmark, &str)>, Failure> {
        if OWN.contains(&self.benchmark.as_str()) {
            return match (&self.split, self.task, self.benchmark.as_str()) {
                (Some(_), ..) => Err(Failure::Usage("--split is for the nine benchmarks".into())),
                (None, None, "records") => Err(Failure::Usage("name the --task of the records".into())),
                (None, Some(_), "held-out") => Err(Failure::Usage("held-out is about expressions: no --task".into())),
                _ => Ok(None),
            };
        }
        let known = benchmark(&self.benchmark).map_err(|error| match error {
            EvalError::Unknown { name, known } => {
                EvalError::Unknown { name, known: format!("{known}, {}", OWN.join(", ")) }
            }
            other => other,
        })?;
        if self.task.is_some_and(|task| task != known.task()) {
            return Err(Failure::Usage(format!("{} is about {}", known.title(), known.task().name())));
        }
        let first = known.splits().first().copied().unwrap_or_default();
        Ok(Some((known, self.split.as_deref().unwrap_or(first))))
    }

    pub fn open(&self) -> Result<Opened, Failure> {
        if let Some((known, split)) = self.known()? {
            let (task, labels) = (known.task(), known.labels().iter().map(|label| (*label).into()).collect());
            return Ok(Opened { dataset: known.open(&self.root, split)?, task, labels, question: known.question() });
        }
        let task = self.task.unwrap_or(Task::Expression);
        let dataset = if self.benchmark == "held-out" {
            held_out(&self.root, self.split_seed)?
        } else {
            // Fakes are made, not found.
            let made: &[_] = if task == Task::Deepfake { &[LabelOrigin::Made] } else { &[] };
            records_of(&self.root, task, &[&[LabelOrigin::Human], made].concat())?
        };
        let mut labels = closed_set(task);
        if task == Task::ActionUnits {
            // Coders look for some units only, and which of them is not told: those that they saw somewhere.
            let seen = |label: &String| dataset.items.iter().any(|item| truth_names(&item.truth, label));
            labels.retain(seen);
        }
        Ok(Opened { dataset, task, labels, question: task.question_for_a_label() })
    }
}

/// Whether an action unit is among the active ones.
fn truth_names(truth: &Truth, label: &str) -> bool {
    matches!(truth, Truth::Units(units) if units.iter().any(|unit| label == format!("AU{unit}")))
}

/// All labels of a task.
fn closed_set(task: Task) -> Vec<String> {
    let owned = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
    match task {
        Task::Expression => owned(&EXPRESSIONS),
        Task::ActionUnits => ACTION_UNITS.iter().map(|(number, _)| format!("AU{number}")).collect(),
        Task::Attributes => owned(&ATTRIBUTES),
        Task::Age => Vec::new(),
        Task::Deepfake => owned(&["real", "fake"]),
    }
}
