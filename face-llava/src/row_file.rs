//! A file of rows, one JSON object a line: begun once, gone on with, written by one process at a time. What its rows
//! were made with lies beside it in `FILE.settings.json`.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use landmarks::files::write_bytes;
use landmarks::picture::read_file;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::differences::differences;

/// Settings take a few hundred bytes.
const MAX_SETTINGS: u64 = 1 << 20;
/// As much of a first line is looked at.
const MAX_ROW: u64 = 16 << 20;

/// An open file, locked until it is dropped or the process ends.
#[derive(Debug)]
pub struct RowFile {
    file: File,
}

/// Why a file of rows cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowFault {
    /// Reading or writing failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A pipe or a device.
    #[error("not a file that rows can be kept in; give the path of one")]
    NotAFile,
    /// A file of something else, which would be lost.
    #[error("it holds no rows; name another file to write, or remove this one")]
    Foreign,
    /// Another process has it open.
    #[error("another process is writing it")]
    Busy,
    /// Settings that are not there or are none.
    #[error("what its rows were made with is unknown ({0})")]
    Unknown(String),
    /// Rows that cannot be gone on with, as their settings are not known.
    #[error("{0}; pass --overwrite to lose them")]
    Stranded(Box<RowFault>),
    /// Rows made in another way.
    #[error(
        "its rows were made with other settings ({}); name another --out, or pass --overwrite to lose them",
        differences.join("; ")
    )]
    Settings {
        /// `name: before -> now`.
        differences: Vec<String>,
    },
    /// A line that is no row.
    #[error("line {line} is no row of this command")]
    Row {
        /// Counted from 1.
        line: usize,
    },
    /// The settings cannot be written.
    #[error(transparent)]
    Beside(#[from] landmarks::Error),
}

impl RowFile {
    /// Where the settings of a file of rows lie.
    pub fn settings_path(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".settings.json");
        name.into()
    }

    /// The settings of a file of rows.
    ///
    /// # Errors
    /// [`RowFault::Unknown`].
    pub fn settings(path: &Path) -> Result<Value, RowFault> {
        let bytes = read_file(&Self::settings_path(path), MAX_SETTINGS);
        let bytes = bytes.map_err(|e| RowFault::Unknown(e.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|e| RowFault::Unknown(e.to_string()))
    }

    /// Opens or begins a file, and hands on each row that is there with its place in bytes. A last line that was cut off
    /// goes.
    ///
    /// Settings are compared with those of the rows that are there, and written beside an empty file. With `overwrite`
    /// whatever rows are there go.
    ///
    /// # Errors
    /// [`RowFault`]; the file stays as it is.
    pub fn open<R: DeserializeOwned>(
        path: &Path,
        settings: &Value,
        overwrite: bool,
        row: impl FnMut(R, Range<u64>),
    ) -> Result<Self, RowFault> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(RowFault::NotAFile);
        }
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => return Err(RowFault::Busy),
            // Some file systems know no locks.
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => (),
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
        if overwrite {
            if !begins_with_a_row(&file)? {
                return Err(RowFault::Foreign);
            }
            file.set_len(0)?;
        } else if file.metadata()?.len() > 0 {
            let before = Self::settings(path).map_err(|unknown| RowFault::Stranded(Box::new(unknown)))?;
            let differences = differences(&before, settings);
            if !differences.is_empty() {
                return Err(RowFault::Settings { differences });
            }
        }
        let end = read(&file, row)?;
        if end == 0 {
            write_bytes(&Self::settings_path(path), format!("{settings:#}\n").as_bytes())?;
        }
        let mut opened = Self { file };
        opened.cut(end)?;
        Ok(opened)
    }

    /// Drops everything from a place on.
    ///
    /// # Errors
    /// [`RowFault::Io`].
    pub fn cut(&mut self, end: u64) -> Result<(), RowFault> {
        self.file.set_len(end)?;
        self.file.seek(SeekFrom::Start(end))?;
        Ok(())
    }

    /// Adds a row. It is with the system when this returns; where that fails, what was half written is taken back.
    ///
    /// # Errors
    /// [`RowFault::Io`].
    pub fn write(&mut self, row: &str) -> Result<(), RowFault> {
        let before = self.file.stream_position()?;
        self.file.write_all(format!("{row}\n").as_bytes()).map_err(|error| {
            // The next opening would cut it as well.
            let _ = self.cut(before);
            error.into()
        })
    }
}

/// Whether a file is empty or its first line is an object.
fn begins_with_a_row(file: &File) -> Result<bool, RowFault> {
    let mut line = Vec::new();
    BufReader::new(file).take(MAX_ROW).read_until(b'\n', &mut line)?;
    // A line that was cut off may be the first of a run that was killed.
    let (whole, torn) = (line.ends_with(b"\n"), line.starts_with(b"{") || line.is_empty());
    (&*file).rewind()?;
    Ok(if whole { serde_json::from_slice::<serde_json::Map<String, Value>>(&line).is_ok() } else { torn })
}

/// Hands on complete rows; where they end.
fn read<R: DeserializeOwned>(file: &File, mut row: impl FnMut(R, Range<u64>)) -> Result<u64, RowFault> {
    let (mut reader, mut line, mut end) = (BufReader::new(file), Vec::new(), 0);
    for number in 1.. {
        line.clear();
        let next = end + reader.read_until(b'\n', &mut line)? as u64;
        if line.last() != Some(&b'\n') {
            break;
        }
        match serde_json::from_slice(&line) {
            Ok(read) => row(read, end..next),
            // Written in part before the system went down.
            Err(_) if reader.fill_buf()?.is_empty() => break,
            Err(_) => return Err(RowFault::Row { line: number }),
        }
        end = next;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Rows = Vec<(Value, Range<u64>)>;

    fn open(path: &Path, settings: &Value) -> Result<(RowFile, Rows), RowFault> {
        let mut rows = Vec::new();
        let file = RowFile::open(path, settings, false, |row: Value, place| rows.push((row, place)))?;
        Ok((file, rows))
    }

    #[test]
    fn whole_rows_stay_and_torn_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let settings = json!({ "temperature": 0.1, "of": { "b": 2 } });
        let (mut file, rows) = open(&path, &settings).unwrap();
        assert!(rows.is_empty() && RowFile::settings(&path).unwrap() == settings);
        file.write("{\"a\":1}").unwrap();
        assert!(matches!(open(&path, &settings), Err(RowFault::Busy)));
        file.write("[]").unwrap();
        drop(file);
        let whole = std::fs::read(&path).unwrap();
        for torn in ["", "{\"a\"", "{\"a\":1}", "{\"a\n", "\0\0\0"] {
            std::fs::write(&path, [&whole, torn.as_bytes()].concat()).unwrap();
            let (file, rows) = open(&path, &settings).unwrap();
            assert_eq!(rows, [(json!({ "a": 1 }), 0..8), (json!([]), 8..11)]);
            drop(file);
            assert_eq!(std::fs::read(&path).unwrap(), whole, "{torn}");
        }
        std::fs::write(&path, [b"?\n".as_slice(), &whole].concat()).unwrap();
        assert!(matches!(open(&path, &settings), Err(RowFault::Row { line: 1 })));
    }

    #[test]
    fn other_settings_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        open(&path, &json!({ "a": 1, "of": { "b": 2 } })).unwrap().0.write("{\"a\":1}").unwrap();
        let Err(RowFault::Settings { differences }) = open(&path, &json!({ "a": 1, "of": { "b": 3 } })) else {
            unreachable!()
        };
        assert_eq!(differences, ["of.b: 2 -> 3"]);
        std::fs::remove_file(RowFile::settings_path(&path)).unwrap();
        assert!(matches!(RowFile::settings(&path), Err(RowFault::Unknown(_))));
        assert!(matches!(open(&path, &json!({})), Err(RowFault::Stranded(_))));
        RowFile::open(&path, &json!({}), true, |_: Value, _| unreachable!()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        for other in ["\u{89}PNG\r\n", "[\n{}]\n", "[{}]\n", "image,expression\n", "text"] {
            std::fs::write(&path, other).unwrap();
            let refused = RowFile::open(&path, &json!({}), true, |_: Value, _| unreachable!());
            assert!(matches!(refused, Err(RowFault::Foreign)), "{other}");
            assert_eq!(std::fs::read(&path).unwrap(), other.as_bytes());
        }
    }
}
