//! Going on with a file of rows: which inputs have theirs, and how they came out.

use std::fmt;
use std::path::{Path, PathBuf};

use face_llava::{RowFault, RowFile as File, StopReason};
use serde::Deserialize;
use serde_json::Value;

use super::inputs::Done;
use super::row::NO_FACE;
use crate::cli::{Failure, Outcome};

/// The file, and its name for errors.
pub(super) struct RowFile {
    file: File,
    path: PathBuf,
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
    cut_off: usize,
    no_face: usize,
    failed: usize,
    /// Not in the file: to be asked about again.
    pending: usize,
}

/// As much of a row as going on needs.
#[derive(Deserialize)]
struct Known {
    path: String,
    face: Option<KnownFace>,
    unparsed: Option<bool>,
    stop_reason: Option<StopReason>,
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
    /// Opens or begins a file. The faces of a last input that may have more go.
    pub fn open(path: &Path, settings: &Value, overwrite: bool, all_faces: bool) -> Result<Opened, Failure> {
        let (mut done, mut tally, mut input) = (Done::default(), Tally::default(), Group::default());
        let fail = |fault: RowFault| Failure::Rows { path: path.into(), what: fault.to_string() };
        let opened = File::open(path, settings, overwrite, |row: Known, place| {
            if !(all_faces && input.goes_on(&row)) {
                std::mem::replace(&mut input, Group { start: place.start, rows: Vec::new() })
                    .finish(&mut done, &mut tally);
            }
            input.rows.push(row);
        });
        let mut file = opened.map_err(fail)?;
        if all_faces && !input.is_complete() {
            file.cut(input.start).map_err(fail)?;
        } else {
            input.finish(&mut done, &mut tally);
        }
        Ok(Opened { file: Self { file, path: path.into() }, done, tally })
    }

    /// Adds a row. It is with the system when this returns.
    pub fn write(&mut self, row: &str) -> Result<(), Failure> {
        let fail = |fault: RowFault| Failure::Rows { path: self.path.clone(), what: fault.to_string() };
        self.file.write(row).map_err(fail)
    }
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
            tally.add(row.error.as_ref().map(|e| e.code.as_str()), row.unparsed, row.stop_reason);
        }
        if let Some(row) = self.rows.into_iter().next() {
            done.add(row.path);
        }
    }
}

impl Tally {
    /// Counts a row by its error's code or by what became of its words.
    pub fn add(&mut self, error: Option<&str>, unparsed: Option<bool>, stop: Option<StopReason>) {
        match error {
            Some(NO_FACE) => self.no_face += 1,
            Some(_) => self.failed += 1,
            None => self.answered += 1,
        }
        self.unparsed += usize::from(unparsed == Some(true));
        self.cut_off += usize::from(stop == Some(StopReason::Length));
    }

    /// An input that may be answered about later.
    pub fn postpone(&mut self) {
        self.pending += 1;
    }

    pub fn has_failed(&self) -> bool {
        self.failed > 0
    }

    pub fn outcome(&self) -> Outcome {
        match (self.failed + self.pending, self.answered) {
            (0, 0) => Outcome::NoFace,
            (0, _) => Outcome::Done,
            _ => Outcome::Failed,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, unparsed, cut_off, no_face, failed, pending } = self;
        write!(f, "{answered} answered, {unparsed} of them without a label")?;
        if *cut_off > 0 {
            write!(f, ", {cut_off} cut off (raise --max-new-tokens)")?;
        }
        write!(f, "; {no_face} without a face; {failed} failed")?;
        match pending {
            0 => Ok(()),
            n => write!(f, "; {n} to be asked about again: give the same command"),
        }
    }
}
