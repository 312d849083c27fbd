//! Reading instruction records: ours and the authors'.

use std::path::Path;

use landmarks::picture::read_file;

use super::error::{DataError, Place, Unit};
use super::record::Record;
use super::seed::sha256;

/// Bytes of a file of records.
const MAX_RECORDS: u64 = 8 << 30;

/// What a file of records holds.
#[derive(Debug)]
pub struct RecordsFile {
    /// Its entries in order; those that are no records say why.
    pub entries: Vec<Result<Record, DataError>>,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

impl RecordsFile {
    /// Reads a JSON list or JSON lines. Paths stay as the file says: relative to its folder.
    ///
    /// # Errors
    /// [`landmarks::Error::FileTooLarge`] and other faults of reading; [`DataError::Record`] where the whole is no list.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, crate::Error> {
        let path = path.as_ref();
        let bytes = read_file(path, MAX_RECORDS)?;
        let sha256 = sha256(&bytes);
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let fail =
            |number, unit, source| DataError::Record { place: Place { path: path.into(), number, unit }, source };
        let entries = if bytes.trim_ascii_start().first() == Some(&b'[') {
            if let Ok(records) = serde_json::from_slice::<Vec<Record>>(bytes) {
                records.into_iter().map(Ok).collect()
            } else {
                // Once more, slowly, entry by entry.
                let entries = serde_json::from_slice::<Vec<serde_json::Value>>(bytes);
                let entries = entries.map_err(|source| fail(source.line() as u64, Unit::Line, source))?;
                let read = |(entry, number)| serde_json::from_value(entry).map_err(|e| fail(number, Unit::Entry, e));
                entries.into_iter().zip(1..).map(read).collect()
            }
        } else {
            let lines = bytes.split(|b| *b == b'\n').zip(1..).filter(|(line, _)| !line.trim_ascii().is_empty());
            lines.map(|(line, number)| serde_json::from_slice(line).map_err(|e| fail(number, Unit::Line, e))).collect()
        };
        Ok(Self { entries, sha256 })
    }
}

/// Reads a file all of whose entries are records, as [`RecordsFile::read`] does.
///
/// # Errors
/// The same, and [`DataError::Record`] with the line or entry that is no record.
pub fn read_records(path: impl AsRef<Path>) -> Result<Vec<Record>, crate::Error> {
    Ok(RecordsFile::read(path)?.entries.into_iter().collect::<Result<_, _>>()?)
}
