//! Records that cannot be used: each is listed once, and too many of them end a run.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::TrainError;

/// The list of a run.
#[derive(Debug)]
pub(super) struct Quarantine {
    path: PathBuf,
    file: Option<File>,
    /// Their places. Names may be absent or stand for several.
    entries: BTreeSet<usize>,
    /// What the first is called.
    first: String,
    /// Records altogether.
    of: usize,
    /// The part of them that may be unusable.
    budget: f64,
}

/// A line of the list.
#[derive(Serialize)]
struct Unusable<'a> {
    /// The record's place in its file, from 1.
    entry: usize,
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    error: &'a str,
}

impl Quarantine {
    /// A list in a run's folder; that of an earlier process is removed, for its records may have been mended.
    pub fn new(folder: &Path, of: usize, budget: f64) -> Result<Self, TrainError> {
        if !(0.0..=1.0).contains(&budget) {
            let (name, expected) = ("bad-budget", "from 0 to 1");
            return Err(TrainError::Setting { name, value: budget.to_string(), expected });
        }
        let path = folder.join("quarantine.jsonl");
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(TrainError::Io { path, source }),
            _ => Ok(Self { path, file: None, entries: BTreeSet::new(), first: String::new(), of, budget }),
        }
    }

    /// Lists a record once.
    ///
    /// # Errors
    /// [`TrainError::BadBudget`], [`TrainError::Io`].
    pub fn add(&mut self, entry: usize, id: &str, error: &str) -> Result<(), TrainError> {
        if !self.entries.insert(entry) {
            return Ok(());
        }
        if self.entries.len() == 1 {
            self.first = if id.is_empty() { format!("entry {entry}") } else { id.into() };
        }
        let fail = |source| TrainError::Io { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(&Unusable { entry, id, error }).map_err(|e| fail(e.into()))?;
        line.push(b'\n');
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::create(&self.path).map_err(fail)?),
        };
        file.write_all(&line).map_err(fail)?;
        // One is always forgiven: a part of a small set is less than one record.
        let bad = self.entries.len();
        if bad > 1 && bad as f64 > self.budget * self.of as f64 {
            let (first, quarantine) = (self.first.clone(), self.path.clone());
            return Err(TrainError::BadBudget { bad, all: self.of, first, quarantine });
        }
        Ok(())
    }
}
