//! The file of judgements: one line for each item, settings and summary beside it.

use std::path::{Path, PathBuf};

use landmarks::files::write_bytes;
use landmarks::picture::read_file;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Judgement;
use crate::data::seed::sha256;
use crate::eval::EvalError;
use crate::{RowFault, RowFile, Task};

/// Bytes of a file of judgements.
const MAX_FILE: u64 = 4 << 30;
/// What is said about other lines.
const NO_JUDGEMENT: &str = "not a judgement; delete the line to have its item judged again";

/// Everything that the judgements depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub schema: u32,
    pub version: String,
    /// The judge's identity.
    pub judge: Value,
    pub task: Task,
    pub question: String,
    pub repeats: usize,
    /// Answers to judge.
    pub items: usize,
    /// SHA-256 over names, truths and answers.
    pub predictions: String,
    /// SHA-256 over the reference answers, where there are any.
    pub references: Option<String>,
    /// What the answers were made with.
    pub answers: Value,
}

/// Opens or begins a file, and gives the judgements that are there.
pub(super) fn open(path: &Path, settings: &Settings, overwrite: bool) -> Result<(RowFile, Vec<Judgement>), EvalError> {
    let mut before = Vec::new();
    let opened = RowFile::open(path, &json!(settings), overwrite, |judgement, _| before.push(judgement));
    Ok((opened.map_err(|fault| refused(path, fault))?, before))
}

/// Adds a line. It is with the system when this returns.
pub(super) fn push(file: &mut RowFile, path: &Path, judgement: &Judgement) -> Result<(), EvalError> {
    let line = serde_json::to_string(judgement).map_err(|e| refused(path, RowFault::Io(e.into())))?;
    file.write(&line).map_err(|fault| refused(path, fault))
}

fn refused(path: &Path, fault: RowFault) -> EvalError {
    match fault {
        RowFault::Io(source) => EvalError::Io { path: path.into(), source },
        RowFault::Row { line } => EvalError::Line { path: path.into(), line, what: NO_JUDGEMENT.into() },
        other => EvalError::File { path: path.into(), what: other.to_string() },
    }
}

/// Lines in another order, all at once.
pub(super) fn rewrite(path: &Path, judgements: &[&Judgement]) -> Result<(), EvalError> {
    let mut text = Vec::new();
    for judgement in judgements {
        serde_json::to_writer(&mut text, judgement)
            .map_err(|e| EvalError::Io { path: path.into(), source: e.into() })?;
        text.push(b'\n');
    }
    replace(path, &text)
}

/// The whole lines of a file.
pub(super) fn read(path: &Path) -> Result<Vec<Judgement>, EvalError> {
    let bytes = bytes(path)?;
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let lines = bytes[..whole].split_inclusive(|b| *b == b'\n').zip(1..);
    let judgement = |(text, line)| {
        serde_json::from_slice(text).map_err(|e| EvalError::Line {
            path: path.into(),
            line,
            what: format!("{NO_JUDGEMENT}: {e}"),
        })
    };
    lines.map(judgement).collect()
}

/// SHA-256 of a file.
pub(super) fn digest(path: &Path) -> Result<String, EvalError> {
    Ok(sha256(&bytes(path)?))
}

/// The settings beside a file, where they are.
pub(super) fn settings(path: &Path) -> Result<Option<Settings>, EvalError> {
    let beside = RowFile::settings_path(path);
    if !beside.exists() {
        return Ok(None);
    }
    let fail = |what: String| EvalError::File { path: beside.clone(), what };
    let value = RowFile::settings(path).map_err(|fault| fail(fault.to_string()))?;
    serde_json::from_value(value).map(Some).map_err(|e| fail(format!("no settings of a judge: {e}")))
}

/// Where the report lies: `FILE.summary.json`.
pub(super) fn summary_path(path: &Path) -> PathBuf {
    let mut all = path.as_os_str().to_owned();
    all.push(".summary.json");
    all.into()
}

/// Writes a value as JSON for people, whole or not at all.
pub(super) fn write(path: &Path, value: &impl Serialize) -> Result<(), EvalError> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|e| EvalError::Io { path: path.into(), source: e.into() })?;
    text.push(b'\n');
    replace(path, &text)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), EvalError> {
    write_bytes(path, bytes).map_err(|e| failed(path, e))
}

fn bytes(path: &Path) -> Result<Vec<u8>, EvalError> {
    read_file(path, MAX_FILE).map_err(|e| failed(path, e))
}

fn failed(path: &Path, error: landmarks::Error) -> EvalError {
    match error {
        landmarks::Error::Io { source, .. } => EvalError::Io { path: path.into(), source },
        other => EvalError::File { path: path.into(), what: other.to_string() },
    }
}
