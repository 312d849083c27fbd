//! Reading instruction records: ours and the authors'.

use std::path::Path;

use landmarks::picture::read_file;

use super::error::{DataError, Place, Unit};
use super::record::Record;

/// Bytes of a file of records.
const MAX_RECORDS: u64 = 8 << 30;

/// Reads a JSON list or JSON lines. Paths stay as the file says: relative to its folder.
///
/// # Errors
/// [`landmarks::Error::FileTooLarge`] and other faults of reading; [`DataError::Record`] with the line or entry that is
/// no record.
pub fn read_records(path: impl AsRef<Path>) -> Result<Vec<Record>, crate::Error> {
    let path = path.as_ref();
    let bytes = read_file(path, MAX_RECORDS)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let fail = |number, unit, source| DataError::Record { place: Place { path: path.into(), number, unit }, source };
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return match serde_json::from_slice(bytes) {
            Ok(records) => Ok(records),
            // Once more, slowly, for the entry's number.
            Err(whole) => match serde_json::from_slice::<Vec<serde_json::Value>>(bytes) {
                Err(source) => Err(fail(source.line() as u64, Unit::Line, source).into()),
                Ok(entries) => {
                    let bad = entries.into_iter().zip(1..).find_map(|(entry, number)| {
                        let source = serde_json::from_value::<Record>(entry).err()?;
                        Some(fail(number, Unit::Entry, source))
                    });
                    Err(bad.unwrap_or_else(|| fail(whole.line() as u64, Unit::Line, whole)).into())
                }
            },
        };
    }
    let lines = bytes.split(|b| *b == b'\n').zip(1..).filter(|(line, _)| !line.trim_ascii().is_empty());
    let records = lines.map(|(line, number)| serde_json::from_slice(line).map_err(|e| fail(number, Unit::Line, e)));
    Ok(records.collect::<Result<_, _>>()?)
}
