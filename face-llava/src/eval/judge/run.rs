//! A judge's run over all answers: resumable, several at a time, the same bytes however often it was interrupted.

use std::collections::HashMap;
use std::path::Path;

use super::file::{self, Settings};
use super::report::Part;
use super::{Case, Judge, JudgeOptions, JudgeReport, Judgement, Rated, Rating};
use crate::Task;
use crate::data::seed::sha256;
use crate::data::{Progress, Usage};
use crate::eval::{EvalError, Fault, Prediction, PredictionFault, Predictions, work};

/// Form of the file of judgements.
const SCHEMA: u32 = 1;
/// Failures of an endpoint in a row that end a run: it is down, or the model's name is wrong.
const FAILURES_IN_A_ROW: usize = 8;

/// Judges a run's answers. `out` gets a line for each, in the predictions' order, `out.settings.json` what they depend
/// on and `out.summary.json` the report. A file begun before is gone on with; the result has the same bytes.
///
/// # Errors
/// [`EvalError::File`] for other settings than those that the file was begun with, for a file that another process
/// writes, for items of the same name, and where the judge fails again and again; [`EvalError::Line`],
/// [`EvalError::Io`].
pub fn judge(
    predictions: &Predictions,
    task: Task,
    judge: &dyn Judge,
    options: &JudgeOptions,
    out: &Path,
    mut observe: impl FnMut(Progress),
) -> Result<JudgeReport, EvalError> {
    let settings = settings(predictions, task, judge, options);
    let refuse = |what: String| EvalError::File { path: out.into(), what };
    let mut places = HashMap::new();
    for (place, row) in predictions.rows.iter().enumerate() {
        if places.insert(row.id.as_str(), place).is_some() {
            return Err(refuse(format!("the predictions name {:?} twice", row.id)));
        }
    }
    let (mut rows, before) = file::open(out, &settings, options.overwrite)?;
    let mut done: Vec<Option<Judgement>> = predictions.rows.iter().map(|_| None).collect();
    let mut in_order = true;
    let mut last = None;
    for judgement in before {
        let place = places.get(judgement.id.as_str()).copied();
        let place = place.ok_or_else(|| refuse(format!("no prediction is called {:?}", judgement.id)))?;
        in_order &= last.replace(place).is_none_or(|last| last < place);
        done[place] = Some(judgement);
    }
    let todo: Vec<usize> = (0..done.len()).filter(|place| done[*place].is_none()).collect();
    let mut progress = Progress { done: done.len() - todo.len(), items: done.len() };
    observe(progress);
    let (mut paid, mut failures, mut left) = (Usage::default(), 0, None);
    let one = |place: &usize| rated(&predictions.rows[*place], &settings, judge, options);
    work::in_order(&todo, options.workers, one, |place, (outcome, cost)| {
        paid += cost;
        match outcome {
            Ok(judgement) => {
                file::push(&mut rows, out, &judgement)?;
                in_order &= last.replace(*place).is_none_or(|last| last < *place);
                // Answers that nobody was asked about say nothing about the endpoint.
                failures = if judgement.digest.is_some() { 0 } else { failures };
                done[*place] = Some(judgement);
                progress.done += 1;
            }
            Err(fault) => {
                failures += 1;
                if failures >= FAILURES_IN_A_ROW {
                    let told = format!("the judge failed {failures} times in a row ({fault})");
                    return Err(refuse(format!("{told}; what is judged is kept, run the same command to go on")));
                }
                left = Some(fault.fault);
            }
        }
        observe(progress);
        Ok(())
    })?;
    let judgements: Vec<&Judgement> = done.iter().flatten().collect();
    if !in_order {
        file::rewrite(out, &judgements)?;
    }
    let report = JudgeReport { fault: left, paid, ..JudgeReport::new(&[Part { settings: &settings, judgements }]) };
    file::write(&file::summary_path(out), &report)?;
    Ok(report)
}

/// All ratings of one answer and what they cost now; a passing fault leaves it for later.
fn rated(
    row: &Prediction,
    settings: &Settings,
    judge: &dyn Judge,
    options: &JudgeOptions,
) -> (Result<Judgement, Fault>, Usage) {
    let free = |fault: PredictionFault| Rated { rating: Rating::Missing(fault), usage: Usage::default() };
    let (id, task, mut paid) = (row.id.clone(), settings.task, Usage::default());
    let Some(answer) = &row.raw else {
        let why = row.error.as_ref().map_or("nothing was generated", |error| error.message.as_str());
        let fault = PredictionFault { code: "no_answer".into(), message: why.into() };
        return (Ok(Judgement { id, task, digest: None, ratings: vec![free(fault); settings.repeats] }), paid);
    };
    let reference = options.references.get(&row.id).map(String::as_str);
    let case = Case::new(row, task, &settings.question, reference, answer);
    let mut ratings = Vec::with_capacity(settings.repeats);
    for repeat in 0..settings.repeats {
        ratings.push(match judge.rate(&case, repeat) {
            Ok(priced) => {
                paid += priced.paid;
                Rated { rating: priced.value, usage: priced.usage }
            }
            Err(fault) if fault.passing => return (Err(fault), paid),
            Err(fault) => free(fault.fault),
        });
    }
    (Ok(Judgement { id, task, digest: Some(case.digest()), ratings }), paid)
}

fn settings(predictions: &Predictions, task: Task, judge: &dyn Judge, options: &JudgeOptions) -> Settings {
    let rows = predictions.rows.iter().map(|row| (&row.id, &row.truth, &row.raw));
    let digest = |value: serde_json::Result<Vec<u8>>| sha256(&value.unwrap_or_default());
    let references: Vec<_> =
        predictions.rows.iter().filter_map(|row| options.references.get_key_value(&row.id)).collect();
    Settings {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        judge: judge.identity(),
        task,
        question: predictions.settings["question"].as_str().unwrap_or(task.questions()[0]).into(),
        repeats: options.repeats.max(1),
        items: predictions.rows.len(),
        predictions: digest(serde_json::to_vec(&rows.collect::<Vec<_>>())),
        references: (!references.is_empty()).then(|| digest(serde_json::to_vec(&references))),
        answers: predictions.settings.clone(),
    }
}
