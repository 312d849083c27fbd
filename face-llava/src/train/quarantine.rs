//! Records that cannot be used: each is listed once, and too many of them end a run.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use landmarks::files::write_bytes;
use serde::Serialize;

use super::TrainError;
use crate::Error;

/// The list of a run.
#[derive(Debug)]
pub(super) struct Quarantine {
    path: PathBuf,
    /// Its lines so far.
    lines: Vec<u8>,
    /// Whether they are in the file: not before the run has begun or failed to, for the folder may be another process's.
    begun: bool,
    /// The records' places. Names may be absent or stand for several.
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
    /// A list for a run's folder.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for a budget that is no part of all.
    pub fn new(folder: &Path, of: usize, budget: f64) -> Result<Self, TrainError> {
        if !(0.0..=1.0).contains(&budget) {
            let (name, expected) = ("bad-budget", "from 0 to 1");
            return Err(TrainError::Setting { name, value: budget.to_string(), expected });
        }
        let path = folder.join("quarantine.jsonl");
        let (lines, entries, first) = (Vec::new(), BTreeSet::new(), String::new());
        Ok(Self { path, lines, begun: false, entries, first, of, budget })
    }

    /// Takes the place of the list of an earlier process, whose records may have been mended.
    pub fn begin(&mut self) -> Result<(), Error> {
        self.begun = true;
        if !self.lines.is_empty() {
            return Ok(write_bytes(&self.path, &self.lines)?);
        }
        match fs::remove_file(&self.path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(self.failed(source)),
            _ => Ok(()),
        }
    }

    /// Lists a record once.
    ///
    /// # Errors
    /// [`TrainError::BadBudget`], with a list that is written in any case; what writing it returns.
    pub fn add(&mut self, entry: usize, id: &str, error: &str) -> Result<(), Error> {
        if !self.entries.insert(entry) {
            return Ok(());
        }
        if self.entries.len() == 1 {
            self.first = if id.is_empty() { format!("entry {entry}") } else { id.into() };
        }
        let mut line = serde_json::to_vec(&Unusable { entry, id, error }).map_err(|e| self.failed(e.into()))?;
        line.push(b'\n');
        if self.begun {
            let file = OpenOptions::new().create(true).append(true).open(&self.path);
            file.and_then(|mut file| file.write_all(&line)).map_err(|source| self.failed(source))?;
        }
        self.lines.append(&mut line);
        // One is always forgiven: a part of a small set is less than one record.
        let bad = self.entries.len();
        if bad <= 1 || bad as f64 <= self.budget * self.of as f64 {
            return Ok(());
        }
        self.begin()?;
        let (first, quarantine) = (self.first.clone(), self.path.clone());
        Err(TrainError::BadBudget { bad, all: self.of, first, quarantine }.into())
    }

    fn failed(&self, source: io::Error) -> Error {
        TrainError::Io { path: self.path.clone(), source }.into()
    }
}
