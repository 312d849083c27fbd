//! From judgements to the rows of the paper's Table 10.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::file::{self, Settings};
use super::{Agreement, Criteria, Judgement, agreement};
use crate::Task;
use crate::data::Usage;
use crate::differences::differences;
use crate::eval::{EvalError, PredictionFault};

/// What a judge thought of the answers, by task and over all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeReport {
    /// Model, endpoint, temperature, SHA-256 of the rubric.
    pub judge: Value,
    /// Ratings asked for of each answer.
    pub repeats: usize,
    /// The tasks that were judged, in the paper's order.
    pub tasks: Vec<TaskReport>,
    /// The plain mean over tasks.
    pub all: Overall,
    /// Over all answers; none without repeats.
    pub agreement: Option<Criteria<Agreement>>,
    /// What all ratings took when they were made.
    pub usage: Usage,
    /// Whether every answer was judged; otherwise the endpoint could not be reached for some, and the same command
    /// goes on with them.
    pub complete: bool,
    /// Why the last of those that are left was not judged by this run.
    #[serde(skip)]
    pub fault: Option<PredictionFault>,
    /// What this run caused; replies from a cache or a recording cost nothing.
    #[serde(skip)]
    pub paid: Usage,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// The task.
    pub task: Task,
    /// Answers to judge.
    pub items: usize,
    /// Of them, not judged yet.
    pub pending: usize,
    /// Of them, with at least one rating: those that the means are over.
    pub rated: usize,
    /// Ratings that are missing for good, by the reason's code. They count in no mean.
    pub missing: BTreeMap<String, usize>,
    /// Over answers, each by the mean of its ratings; none where nothing was rated.
    pub means: Option<Criteria<f64>>,
    /// Between the repeats; none without.
    pub agreement: Option<Criteria<Agreement>>,
}

/// The paper's column "All".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overall {
    /// The tasks that it is over: those with ratings. The paper's is over five.
    pub over: Vec<Task>,
    /// Plain mean of the tasks' means.
    pub means: Option<Criteria<f64>>,
}

/// A file's settings and judgements.
pub(super) struct Part<'a> {
    pub settings: &'a Settings,
    pub judgements: Vec<&'a Judgement>,
}

impl JudgeReport {
    /// One report over several results of [`super::judge()`], as one for each task. Files of the same task are taken
    /// together.
    ///
    /// # Errors
    /// [`EvalError::Io`], [`EvalError::Line`]; [`EvalError::File`] where the judges or repeats differ.
    pub fn of(paths: &[impl AsRef<Path>]) -> Result<Self, EvalError> {
        let open = |path: &Path| {
            let what = "has no settings beside it: not a result of the judge";
            let missing = || EvalError::File { path: path.into(), what: what.into() };
            Ok((file::settings(path)?.ok_or_else(missing)?, file::read(path)?))
        };
        let files = paths.iter().map(|path| open(path.as_ref())).collect::<Result<Vec<_>, EvalError>>()?;
        let same = |settings: &Settings| json!({ "judge": settings.judge, "repeats": settings.repeats });
        for (path, (settings, _)) in paths.iter().zip(&files) {
            let differences = differences(&same(&files[0].0), &same(settings));
            if !differences.is_empty() {
                let what = format!("cannot be reported with the others ({})", differences.join("; "));
                return Err(EvalError::File { path: path.as_ref().into(), what });
            }
        }
        let parts = files.iter().map(|(settings, rows)| Part { settings, judgements: rows.iter().collect() });
        Ok(Self::new(&parts.collect::<Vec<_>>()))
    }

    /// The judge and repeats are the first part's.
    pub(super) fn new(parts: &[Part<'_>]) -> Self {
        let of = |task| parts.iter().filter(move |part| part.settings.task == task);
        let tasks = Task::ALL.into_iter().filter(|task| of(*task).next().is_some());
        let tasks: Vec<TaskReport> = tasks
            .map(|task| {
                let judgements: Vec<&Judgement> = of(task).flat_map(|part| part.judgements.iter().copied()).collect();
                TaskReport::new(task, of(task).map(|part| part.settings.items).sum(), &judgements)
            })
            .collect();
        let judgements: Vec<&Judgement> = parts.iter().flat_map(|part| part.judgements.iter().copied()).collect();
        let mut usage = Usage::default();
        judgements.iter().flat_map(|judgement| &judgement.ratings).for_each(|rated| usage += rated.usage);
        let over: Vec<Task> = tasks.iter().filter(|task| task.means.is_some()).map(|task| task.task).collect();
        let means: Vec<Criteria<f64>> = tasks.iter().filter_map(|task| task.means).collect();
        Self {
            judge: parts.first().map(|part| part.settings.judge.clone()).unwrap_or_default(),
            repeats: parts.first().map_or(0, |part| part.settings.repeats),
            complete: tasks.iter().all(|task| task.pending == 0),
            all: Overall { over, means: mean(&means) },
            agreement: agreements(&judgements),
            tasks,
            usage,
            fault: None,
            paid: Usage::default(),
        }
    }
}

impl TaskReport {
    fn new(task: Task, items: usize, judgements: &[&Judgement]) -> Self {
        let mut missing = BTreeMap::new();
        for fault in judgements.iter().flat_map(|judgement| judgement.missing()) {
            *missing.entry(fault.code.clone()).or_default() += 1;
        }
        let of_one = |judgement: &&Judgement| {
            let ratings = judgement.scores().map(|scores| {
                let values = scores.values.values();
                Criteria::each(|i| f64::from(*values[i]))
            });
            mean(&ratings.collect::<Vec<_>>())
        };
        let rated: Vec<Criteria<f64>> = judgements.iter().filter_map(of_one).collect();
        Self {
            task,
            items,
            pending: items.saturating_sub(judgements.len()),
            rated: rated.len(),
            missing,
            means: mean(&rated),
            agreement: agreements(judgements),
        }
    }
}

/// By criterion; none of nothing.
fn mean(of: &[Criteria<f64>]) -> Option<Criteria<f64>> {
    let mean = |i: usize| of.iter().map(|one| one.values()[i]).sum::<f64>() / of.len() as f64;
    (!of.is_empty()).then(|| Criteria::each(mean))
}

/// By criterion; none without repeats.
fn agreements(judgements: &[&Judgement]) -> Option<Criteria<Agreement>> {
    let of = |i: usize| {
        let ratings = |judgement: &&Judgement| judgement.scores().map(|s| *s.values.values()[i]).collect::<Vec<u8>>();
        agreement(&judgements.iter().map(ratings).collect::<Vec<_>>())
    };
    let (media_consistency, truth_consistency, completeness) = (of(0)?, of(1)?, of(2)?);
    Some(Criteria { media_consistency, truth_consistency, completeness })
}
