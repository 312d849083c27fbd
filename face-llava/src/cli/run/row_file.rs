//! The file of rows: begun once, gone on with, written by one process at a time.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::inputs::Done;
use super::row::NO_FACE;
use crate::cli::{Failure, Outcome};

/// Settings take a few hundred bytes.
const MAX_SETTINGS: u64 = 1 << 20;

/// An open file, locked until it is dropped or the process ends.
pub(super) struct RowFile {
    file: File,
}

/// What was there.
pub(super) struct Opened {
    pub file: RowFile,
    pub done: Done,
    pub tally: Tally,
}

/// How the rows came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    answered: usize,
    unparsed: usize,
    no_face: usize,
    failed: usize,
}

/// As much of a row as going on needs.
#[derive(Deserialize)]
struct Known {
    path: String,
    face: Option<KnownFace>,
    unparsed: Option<bool>,
    error: Option<KnownError>,
}

#[derive(Deserialize)]
struct KnownFace {
    index: Option<usize>,
    of: Option<usize>,
}

#[derive(Deserialize)]
struct KnownError {
    code: String,
}

impl RowFile {
    /// Opens or begins a file. A last line that was cut off goes; so do the faces of a last input that may have more.
    ///
    /// Settings are compared with those of the rows that are there, and written beside an empty file.
    pub fn open(path: &Path, settings: &Value, overwrite: bool, all_faces: bool) -> Result<Opened, Failure> {
        let refuse = |what: String| Failure::Rows { path: path.into(), what };
        let fail = |e: std::io::Error| Failure::Rows { path: path.into(), what: e.to_string() };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => return Err(refuse("another process is writing it".into())),
            // Some file systems know no locks.
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => (),
            Err(TryLockError::Error(e)) => return Err(fail(e)),
        }
        let beside = settings_path(path);
        if overwrite {
            file.set_len(0).map_err(fail)?;
        } else if file.metadata().map_err(fail)?.len() > 0 {
            compare(&beside, settings).map_err(refuse)?;
        }
        let (end, done, tally) = read(&file, all_faces).map_err(refuse)?;
        if end == 0 {
            std::fs::write(&beside, format!("{settings:#}\n")).map_err(fail)?;
        }
        file.set_len(end).map_err(fail)?;
        file.seek(SeekFrom::Start(end)).map_err(fail)?;
        Ok(Opened { file: Self { file }, done, tally })
    }

    /// Adds a row. It is with the system when this returns.
    pub fn write(&mut self, row: &str) -> Result<(), Failure> {
        Ok(self.file.write_all(format!("{row}\n").as_bytes())?)
    }
}

fn settings_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".settings.json");
    name.into()
}

/// Refuses rows that were made in another way.
fn compare(beside: &Path, settings: &Value) -> Result<(), String> {
    let bytes = landmarks::picture::read_file(beside, MAX_SETTINGS).map_err(|e| {
        format!("has rows, but what they were made with is unknown ({e}); pass --overwrite to lose them")
    })?;
    let there: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if there == *settings {
        return Ok(());
    }
    let keys = settings.as_object().into_iter().chain(there.as_object()).flat_map(|o| o.keys());
    let mut different: Vec<&str> = keys.filter(|k| settings.get(k) != there.get(k)).map(String::as_str).collect();
    different.sort_unstable();
    different.dedup();
    Err(format!(
        "its rows were made with other settings ({}); name another --out, or pass --overwrite to lose them",
        different.join(", ")
    ))
}

/// Where complete rows end, whose they are, and how they came out.
fn read(file: &File, all_faces: bool) -> Result<(u64, Done, Tally), String> {
    let mut reader = BufReader::new(file);
    let (mut done, mut tally, mut end, mut number) = (Done::default(), Tally::default(), 0, 0);
    let mut input = Group::default();
    loop {
        let mut line = Vec::new();
        let length = reader.read_until(b'\n', &mut line).map_err(|e| e.to_string())?;
        if line.last() != Some(&b'\n') {
            break;
        }
        number += 1;
        let Ok(row) = serde_json::from_slice::<Known>(&line) else {
            if reader.fill_buf().map_err(|e| e.to_string())?.is_empty() {
                break;
            }
            return Err(format!("line {number} is no row of this command"));
        };
        if !(all_faces && input.goes_on(&row)) {
            input.finish(&mut done, &mut tally);
            input = Group { start: end, ..Group::default() };
        }
        input.rows.push(row);
        end += length as u64;
    }
    if all_faces && !input.is_complete() {
        return Ok((input.start, done, tally));
    }
    input.finish(&mut done, &mut tally);
    Ok((end, done, tally))
}

/// The rows of one input.
#[derive(Default)]
struct Group {
    start: u64,
    rows: Vec<Known>,
}

impl Group {
    /// Whether a row is about a further face of the same input.
    fn goes_on(&self, row: &Known) -> bool {
        let index = |row: &Known| row.face.as_ref().and_then(|f| f.index);
        self.rows.last().is_some_and(|last| last.path == row.path && index(last).is_some() && index(row) > index(last))
    }

    /// Whether no further face can follow.
    fn is_complete(&self) -> bool {
        let last = self.rows.last().and_then(|row| row.face.as_ref());
        last.is_none_or(|face| face.of.is_some_and(|of| face.index.is_some_and(|i| i + 1 >= of)))
    }

    fn finish(self, done: &mut Done, tally: &mut Tally) {
        for row in &self.rows {
            tally.add(row.error.as_ref().map(|e| e.code.as_str()), row.unparsed);
        }
        if let Some(row) = self.rows.into_iter().next() {
            done.add(row.path);
        }
    }
}

impl Tally {
    /// Counts a row by its error's code or by what became of its words.
    pub fn add(&mut self, error: Option<&str>, unparsed: Option<bool>) {
        match error {
            Some(NO_FACE) => self.no_face += 1,
            Some(_) => self.failed += 1,
            None => self.answered += 1,
        }
        self.unparsed += usize::from(unparsed == Some(true));
    }

    pub fn outcome(&self) -> Outcome {
        match (self.failed, self.answered) {
            (0, 0) => Outcome::NoFace,
            (0, _) => Outcome::Done,
            _ => Outcome::Failed,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, unparsed, no_face, failed } = self;
        write!(f, "{answered} answered, {unparsed} of them without a label; {no_face} without a face; {failed} failed")
    }
}
