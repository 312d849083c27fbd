//! Files of predictions, read again: what was asked, and shards laid together.

use std::path::Path;

use landmarks::picture::read_file;
use serde::Deserialize;
use serde_json::{Value, json};

use super::predict::{MAX_FILE, line};
use super::{EvalError, Parsed, Prediction, Predictions, Protocol, Score, Scorer, benchmark, score};
use crate::data::Shard;
use crate::{RowFault, RowFile, Task};

/// What predictions are about, as their settings say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Asked {
    /// The benchmark's name in files.
    pub benchmark: String,
    /// The split's name.
    pub split: String,
    /// What was asked.
    pub task: Task,
    /// The closed set.
    pub labels: Vec<String>,
    /// Items of all shards.
    pub items: usize,
    /// The shard, as `0/4`.
    pub shard: String,
}

impl Asked {
    /// Reads the settings of a file of predictions.
    ///
    /// # Errors
    /// [`EvalError::File`] for settings of something else.
    pub fn of(settings: &Value, path: &Path) -> Result<Self, EvalError> {
        let read = Self::deserialize(settings);
        read.map_err(|e| refuse(path, format!("not the settings of predictions: {e}")))
    }

    /// The benchmark's name in reports.
    pub fn title(&self) -> &str {
        benchmark(&self.benchmark).map_or(self.benchmark.as_str(), |b| b.title())
    }

    fn labels(&self) -> Vec<&str> {
        self.labels.iter().map(String::as_str).collect()
    }

    /// Scores the predictions.
    ///
    /// # Errors
    /// As [`score`].
    pub fn score(&self, predictions: &Predictions, scorer: Scorer, seed: u64) -> Result<Score, EvalError> {
        let labels = self.labels();
        let protocol = Protocol {
            benchmark: &self.benchmark,
            title: self.title(),
            split: &self.split,
            task: self.task,
            labels: &labels,
        };
        score(&protocol, predictions, scorer, seed)
    }

    /// Reads one answer.
    ///
    /// # Errors
    /// As [`Scorer::read`].
    pub fn read(&self, scorer: Scorer, row: &Prediction) -> Result<Parsed, EvalError> {
        scorer.read(self.task, &self.labels(), row)
    }

    fn shard(&self, path: &Path) -> Result<Shard, EvalError> {
        Shard::parse(&self.shard).map_err(|e| refuse(path, e.to_string()))
    }
}

fn refuse(path: &Path, what: String) -> EvalError {
    EvalError::File { path: path.into(), what }
}

/// Reads a finished file of predictions with the settings beside it.
///
/// # Errors
/// [`EvalError::File`] for missing settings and for files that are not finished, [`EvalError::Line`] for lines that are
/// no predictions.
pub fn read_predictions(path: &Path) -> Result<Predictions, EvalError> {
    let settings = RowFile::settings(path).map_err(|fault| {
        let what = if path.exists() { fault.to_string() } else { "no such file".into() };
        refuse(path, what)
    })?;
    let asked = Asked::of(&settings, path)?;
    let bytes = read_file(path, MAX_FILE).map_err(|e| refuse(path, e.to_string()))?;
    let lines = bytes.split_inclusive(|b| *b == b'\n').zip(1..);
    let rows = lines.map(|(text, line)| {
        let what =
            |e: serde_json::Error| format!("not a prediction: {e}; run the same command again if it was cut off");
        serde_json::from_slice(text).map_err(|e| EvalError::Line { path: path.into(), line, what: what(e) })
    });
    let rows: Vec<Prediction> = rows.collect::<Result<_, _>>()?;
    let shard = asked.shard(path)?;
    let expected = (shard.index..asked.items).step_by(shard.count).count();
    if rows.len() != expected {
        let what = format!("{} of {expected} items; run the same command again to go on", rows.len());
        return Err(refuse(path, what));
    }
    Ok(Predictions { settings, rows })
}

/// Reads files of predictions, with the shards of one run laid together as if it had been run at once. In the order in
/// which the runs first occur.
///
/// # Errors
/// As [`read_predictions`]; [`EvalError::File`] where a shard is missing or given twice.
pub fn read_all(paths: &[impl AsRef<Path>]) -> Result<Vec<Predictions>, EvalError> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let Predictions { mut settings, rows } = read_predictions(path)?;
        let shard = Asked::of(&settings, path)?.shard(path)?;
        settings["shard"] = json!("0/1");
        match runs.iter_mut().find(|run| shard.count > 1 && run.count == shard.count && run.settings == settings) {
            Some(run) => run.add(path, shard.index, rows)?,
            None => {
                let mut run = Run { first: path, count: shard.count, settings, shards: vec![None; shard.count] };
                run.add(path, shard.index, rows)?;
                runs.push(run);
            }
        }
    }
    runs.into_iter().map(Run::join).collect()
}

/// The shards of one run.
struct Run<'a> {
    first: &'a Path,
    count: usize,
    settings: Value,
    shards: Vec<Option<Vec<Prediction>>>,
}

impl Run<'_> {
    fn add(&mut self, path: &Path, index: usize, rows: Vec<Prediction>) -> Result<(), EvalError> {
        match self.shards[index].replace(rows) {
            None => Ok(()),
            Some(_) => Err(refuse(path, format!("shard {index}/{} is given twice", self.count))),
        }
    }

    fn join(self) -> Result<Predictions, EvalError> {
        let mut shards = Vec::new();
        for (index, rows) in self.shards.into_iter().enumerate() {
            let missing = || refuse(self.first, format!("shard {index}/{} of this run is missing", self.count));
            shards.push(rows.ok_or_else(missing)?.into_iter());
        }
        let mut rows = Vec::new();
        while let Some(row) = shards[rows.len() % self.count].next() {
            rows.push(row);
        }
        Ok(Predictions { settings: self.settings, rows })
    }
}

/// Writes predictions as a run would have. With `overwrite` whatever is there goes.
///
/// # Errors
/// [`EvalError::File`] for a file with rows that were made with other settings, for one that another process writes, and
/// where the disk refuses.
pub fn write_predictions(predictions: &Predictions, out: &Path, overwrite: bool) -> Result<(), EvalError> {
    let fail = |fault: RowFault| refuse(out, fault.to_string());
    let mut file =
        RowFile::open(out, &predictions.settings, overwrite, |_: serde::de::IgnoredAny, _| ()).map_err(fail)?;
    file.cut(0).map_err(fail)?;
    predictions.rows.iter().try_for_each(|row| file.write(&line(row, out)?).map_err(fail))
}
