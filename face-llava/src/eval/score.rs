//! From predictions to figures, without the model.

mod table;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::table::Table;
use super::metrics::{Confusion, RESAMPLES, bootstrap};
use super::{EvalError, Parsed, Prediction, Predictions, Scorer};
use crate::Task;
use crate::data::seed::sha256;

/// Years within which an age counts as right.
pub(super) const CS_YEARS: f64 = 5.0;

/// What is scored: a benchmark, or a dataset of one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol<'a> {
    /// Name in files.
    pub benchmark: &'a str,
    /// Name in reports.
    pub title: &'a str,
    /// The split's name.
    pub split: &'a str,
    /// What was asked.
    pub task: Task,
    /// The closed set; see [`Benchmark::labels`](super::Benchmark::labels).
    pub labels: &'a [&'a str],
}

/// The figures of a benchmark under one scorer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The benchmark's name in files.
    pub benchmark: String,
    /// Its name in reports.
    pub title: String,
    /// What was asked.
    pub task: Task,
    /// The split's name.
    pub split: String,
    /// How answers were read.
    pub scorer: Scorer,
    /// The scorer's [version](Scorer::version).
    pub scorer_version: u32,
    /// Rows of the predictions.
    pub items: usize,
    /// Rows without an error.
    pub answered: usize,
    /// Rows without an error whose answer could not be read.
    pub unparsed: usize,
    /// Rows with an error.
    pub failed: usize,
    /// Rows that the figures are about. Where the scorer [leaves out](Scorer::leaves_out) what it cannot read, those
    /// that are neither unparsed nor failed; otherwise all: both are wrong classes, no active units, wrong
    /// attributes, and ages that count for CS(k) but not for the MAE.
    pub counted: usize,
    /// The benchmark's figures, its main one first. Those that are not defined are missing, as the AUC without
    /// likelihoods.
    pub metrics: Vec<MetricValue>,
    /// What the values of `per_class` are: recall, F1 or accuracy.
    pub class_metric: String,
    /// For each label that has a value; empty for ages.
    pub per_class: Vec<ClassValue>,
    /// For tasks of one label.
    pub confusion: Option<Confusion>,
    /// Seed of the intervals.
    pub seed: u64,
    /// Draws of the intervals.
    pub resamples: u64,
    /// What the predictions were made with.
    pub settings: Value,
    /// SHA-256 over the predictions, as lines of JSON.
    pub predictions_sha256: String,
}

/// A figure with its 95 % bootstrap interval over items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricValue {
    /// `UAR`, `WAR`, `accuracy`, `AUC`, `F1`, `mAcc`, `MAE` or `CS(5)`.
    pub name: String,
    /// On all counted items; shares of 1, or years.
    pub value: f64,
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// A figure of one label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassValue {
    /// The label.
    pub label: String,
    /// Share of 1.
    pub value: f64,
    /// Counted items that have it.
    pub support: u64,
}

/// Scores predictions. Expressions give UAR and WAR (RAF-DB accuracy and UAR), action units the mean F1, attributes
/// the mean accuracy, ages MAE and CS(5), deepfakes accuracy and, where all answered rows have likelihoods, AUC.
///
/// # Errors
/// [`EvalError::Unscorable`] without rows, or where a text scorer finds words in none; [`EvalError::Row`] for truths
/// of another task or outside of the closed set, ids that occur twice, and what [`Scorer::read`] refuses.
pub fn score(
    protocol: &Protocol<'_>,
    predictions: &Predictions,
    scorer: Scorer,
    seed: u64,
) -> Result<Score, EvalError> {
    let rows = &predictions.rows;
    check(protocol, rows, scorer)?;
    let mut table = Table::new(protocol);
    let (mut unparsed, mut failed, mut counted) = (0, 0, 0);
    for row in rows {
        let parsed = scorer.read(protocol.task, protocol.labels, row)?;
        let read = parsed != Parsed::Unparsed;
        failed += usize::from(row.error.is_some());
        unparsed += usize::from(!read && row.error.is_none());
        if read || !scorer.leaves_out() {
            table.add(row, parsed)?;
            counted += 1;
        }
    }
    let all: Vec<usize> = (0..counted).collect();
    let intervals = bootstrap(counted, seed, |items| table.figures(items));
    let values = table.names().iter().zip(table.figures(&all)).zip(intervals);
    let metrics = values.filter_map(|((name, value), interval)| {
        let (low, high) = interval?;
        Some(MetricValue { name: (*name).into(), value: value?, low, high })
    });
    Ok(Score {
        benchmark: protocol.benchmark.into(),
        title: protocol.title.into(),
        task: protocol.task,
        split: protocol.split.into(),
        scorer,
        scorer_version: scorer.version(),
        items: rows.len(),
        answered: rows.len() - failed,
        unparsed,
        failed,
        counted,
        metrics: metrics.collect(),
        class_metric: table.class_metric().into(),
        per_class: table.per_class(&all),
        confusion: table.confusion(&all),
        seed,
        resamples: RESAMPLES,
        settings: predictions.settings.clone(),
        predictions_sha256: digest(rows),
    })
}

fn check(protocol: &Protocol<'_>, rows: &[Prediction], scorer: Scorer) -> Result<(), EvalError> {
    let refuse = |what: &str| Err(EvalError::Unscorable { benchmark: protocol.benchmark.into(), what: what.into() });
    if rows.is_empty() {
        return refuse("no predictions");
    }
    let wordless = rows.iter().all(|row| row.raw.is_none()) && rows.iter().any(|row| row.error.is_none());
    if wordless && scorer != Scorer::Likelihood {
        return refuse("no answer has words; take `--scorer likelihood`, or make the predictions without it");
    }
    let mut seen = HashSet::new();
    match rows.iter().find(|row| !seen.insert(&row.id)) {
        Some(row) => Err(EvalError::Row { id: row.id.clone(), what: "occurs twice; each item counts once".into() }),
        None => Ok(()),
    }
}

/// SHA-256 over the rows as they are written to a file.
fn digest(rows: &[Prediction]) -> String {
    // A value that has no JSON (a map with keys that are no strings) is not among the fields.
    let lines = rows.iter().map(|row| serde_json::to_string(row).unwrap_or_default() + "\n");
    sha256(lines.collect::<String>().as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::eval::{PredictionFault, Truth};

    const AGES: Protocol<'_> =
        Protocol { benchmark: "utkface", title: "UTKFace", split: "test", task: Task::Age, labels: &[] };
    const FACES: Protocol<'_> = Protocol {
        benchmark: "own",
        title: "Own",
        split: "test",
        task: Task::Expression,
        labels: &["happiness", "sadness"],
    };

    fn row(id: &str, truth: Truth, raw: Option<&str>) -> Prediction {
        let error = raw.is_none().then(|| PredictionFault { code: "media".into(), message: "broken".into() });
        let (path, raw) = (format!("{id}.png"), raw.map(Into::into));
        Prediction { id: id.into(), path, truth, raw, likelihoods: None, landmarks_used: None, error }
    }

    fn run(protocol: &Protocol<'_>, rows: Vec<Prediction>, scorer: Scorer) -> Result<Score, EvalError> {
        score(protocol, &Predictions { settings: json!({"model": "m"}), rows }, scorer, 3)
    }

    fn faces(answers: &[(&str, Option<&str>)]) -> Vec<Prediction> {
        let row = |(i, (truth, raw)): (usize, &(&str, Option<&str>))| {
            row(&i.to_string(), Truth::Label((*truth).into()), *raw)
        };
        answers.iter().enumerate().map(row).collect()
    }

    fn values(score: &Score) -> Vec<(&str, f64)> {
        score.metrics.iter().map(|m| (m.name.as_str(), m.value)).collect()
    }

    #[test]
    fn what_cannot_be_read_is_wrong_or_left_out() {
        let rows = faces(&[("happiness", Some("Happy.")), ("happiness", Some("")), ("sadness", None)]);
        let strict = run(&FACES, rows.clone(), Scorer::Strict).unwrap();
        assert_eq!((strict.items, strict.answered, strict.unparsed, strict.failed, strict.counted), (3, 2, 1, 1, 3));
        assert_eq!(values(&strict), [("UAR", 0.25), ("WAR", 1.0 / 3.0)]);
        assert_eq!(strict.confusion.unwrap().counts, [[1, 0, 1], [0, 0, 1]]);
        let compatible = run(&FACES, rows, Scorer::TextCompatible).unwrap();
        assert_eq!((compatible.unparsed, compatible.failed, compatible.counted), (1, 1, 1));
        assert_eq!(values(&compatible), [("UAR", 1.0), ("WAR", 1.0)]);
        assert_eq!((compatible.scorer.name(), compatible.scorer_version), ("text-compatible", 1));
    }

    #[test]
    fn ages_without_a_reading_are_outside_of_cs_and_no_part_of_mae() {
        let ages = [("a", Some("30")), ("b", Some("An adult.")), ("c", None), ("d", Some("41 years old"))];
        let rows = ages.map(|(id, raw)| row(id, Truth::Age(31.0), raw)).to_vec();
        let strict = run(&AGES, rows.clone(), Scorer::Strict).unwrap();
        assert_eq!(values(&strict), [("MAE", 5.5), ("CS(5)", 0.25)]);
        assert!(strict.per_class.is_empty() && strict.confusion.is_none());
        assert_eq!(values(&run(&AGES, rows[1..3].to_vec(), Scorer::Strict).unwrap()), [("CS(5)", 0.0)]);
        let none = run(&AGES, rows[1..3].to_vec(), Scorer::TextCompatible).unwrap();
        assert!(none.metrics.is_empty() && none.counted == 0);
    }

    #[test]
    fn what_cannot_be_scored_is_named() {
        let fail = |protocol, rows| run(protocol, rows, Scorer::Strict).unwrap_err().to_string();
        assert_eq!(fail(&FACES, vec![]), "own: no predictions");
        let mut silent = faces(&[("happiness", None), ("sadness", None)]);
        assert!(run(&FACES, silent.clone(), Scorer::Strict).is_ok(), "all failed");
        silent[0].error = None;
        assert!(fail(&FACES, silent).contains("--scorer likelihood"));
        let twice = vec![row("a", Truth::Age(1.0), Some("1")), row("a", Truth::Age(1.0), Some("1"))];
        assert!(fail(&AGES, twice).contains("\"a\": occurs twice"));
        assert!(fail(&AGES, faces(&[("happiness", Some("30"))])).contains("\"0\": the truth"));
        assert!(fail(&FACES, faces(&[("fear", Some("Happy."))])).contains("\"fear\""));
    }

    #[test]
    fn scores_are_stored_and_depend_on_the_seed_in_their_intervals_only() {
        let answers: Vec<_> =
            (0..40).map(|i| ("happiness", Some(if i % 3 == 0 { "Sad." } else { "Happy." }))).collect();
        let predictions = Predictions { settings: json!({"model": "m"}), rows: faces(&answers) };
        let run = |seed| score(&FACES, &predictions, Scorer::Strict, seed).unwrap();
        let first = run(1);
        assert_eq!(first, run(1));
        assert_eq!(serde_json::from_str::<Score>(&serde_json::to_string(&first).unwrap()).unwrap(), first);
        let metric = &first.metrics[0];
        assert!(metric.low < metric.value && metric.value < metric.high);
        let other = run(2);
        assert_eq!(values(&other), values(&first));
        assert_eq!(first.settings, predictions.settings);
        let lines: Vec<String> = predictions.rows.iter().map(|r| serde_json::to_string(r).unwrap() + "\n").collect();
        assert_eq!(first.predictions_sha256, sha256(lines.concat().as_bytes()));
        assert_eq!(first.per_class, [ClassValue { label: "happiness".into(), value: 26.0 / 40.0, support: 40 }]);
    }
}
