//! Reading lists: lines and tables that know where they stand.

use std::ops::RangeInclusive;
use std::path::Path;

use landmarks::picture::read_file;

use crate::data::line_numbers::LineNumbers;
use crate::eval::EvalError;

/// Bytes of a list; the longest, CelebA's attributes, has 27 million.
const MAX_LIST: u64 = 64 << 20;

/// A line of a list, counted from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    pub path: &'a Path,
    pub line: usize,
}

impl At<'_> {
    pub fn fault(self, what: impl Into<String>) -> EvalError {
        EvalError::Line { path: self.path.into(), line: self.line, what: what.into() }
    }

    /// The words of a line that has exactly `N`.
    pub fn words<'a, const N: usize>(self, text: &'a str, what: &str) -> Result<[&'a str; N], EvalError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let found = words.len();
        <[&str; N]>::try_from(words).map_err(|_| self.fault(format!("{found} columns; expected {N}: {what}")))
    }

    /// A whole number of a range.
    pub fn whole(self, text: &str, what: &str, range: RangeInclusive<u32>) -> Result<u32, EvalError> {
        let number = text.parse().ok().filter(|n| range.contains(n));
        number.ok_or_else(|| {
            let (from, to) = (range.start(), range.end());
            self.fault(format!("{what} is {text:?}; expected a whole number from {from} to {to}"))
        })
    }
}

/// The place of a split among those of a benchmark.
pub(super) fn split(benchmark: &'static str, known: &[&str], name: &str) -> Result<usize, EvalError> {
    known.iter().position(|split| *split == name).ok_or_else(|| EvalError::Split {
        benchmark,
        split: name.into(),
        known: known.join(", "),
    })
}

/// The text of a list; `hint` says what it is.
pub(super) fn read(path: &Path, hint: &str) -> Result<String, EvalError> {
    if !path.is_file() {
        return Err(EvalError::Missing { path: path.into(), hint: hint.into() });
    }
    let mut bytes = read_file(path, MAX_LIST).map_err(|error| match error {
        landmarks::Error::Io { path, source } => EvalError::Io { path, source },
        landmarks::Error::FileTooLarge { path, bytes, limit } => {
            EvalError::File { path, what: format!("{bytes} bytes; a list has {limit} at most") }
        }
        other => EvalError::File { path: path.into(), what: other.to_string() },
    })?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|b| **b == b'\n').count();
        At { path, line }.fault("it holds bytes that are no text")
    })
}

/// Lines with something on them, and their numbers.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty())
}

/// Named columns of a CSV file, and the line of each row.
pub(super) fn table<const N: usize>(
    path: &Path,
    hint: &str,
    columns: [&str; N],
) -> Result<Vec<(usize, [String; N])>, EvalError> {
    let text = read(path, hint)?;
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).has_headers(false).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    let mut header: Option<(usize, [usize; N])> = None;
    let mut lines = LineNumbers::new(text.as_bytes());
    for record in reader.records() {
        let record = record.map_err(|e| EvalError::File { path: path.into(), what: e.to_string() })?;
        let line = lines.of(record.position()) as usize;
        let at = At { path, line };
        let Some((width, places)) = header else {
            header = Some((record.len(), places(at, &record, columns)?));
            continue;
        };
        if record.len() != width {
            return Err(at.fault(format!("{} columns; expected {width} as in the first line", record.len())));
        }
        if record.iter().any(|cell| cell.contains('\n')) {
            return Err(at.fault("a cell of several lines; is a quote not closed?"));
        }
        rows.push((line, places.map(|place| record.get(place).unwrap_or_default().to_owned())));
    }
    if header.is_none() {
        return Err(At { path, line: 1 }.fault(format!("it is empty; expected the columns {}", columns.join(", "))));
    }
    Ok(rows)
}

fn places<const N: usize>(at: At<'_>, header: &csv::StringRecord, columns: [&str; N]) -> Result<[usize; N], EvalError> {
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        let found = header.iter().position(|name| name == column);
        *place = found.ok_or_else(|| {
            let names: Vec<&str> = header.iter().take(20).collect();
            at.fault(format!("no column {column:?} among {names:?}"))
        })?;
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn message(error: EvalError, file: &tempfile::NamedTempFile) -> String {
        error.to_string().replace(&file.path().display().to_string(), "LIST")
    }

    #[test]
    fn every_fault_has_its_line() {
        let file = written(b"good\n\xff\n");
        assert_eq!(message(read(file.path(), "").unwrap_err(), &file), "LIST:2: it holds bytes that are no text");
        let table = |bytes: &[u8]| {
            let file = written(bytes);
            table(file.path(), "", ["name", "label"]).map_err(|e| message(e, &file))
        };
        assert_eq!(table(b"").unwrap_err(), "LIST:1: it is empty; expected the columns name, label");
        assert_eq!(table(b"a,b\n").unwrap_err(), "LIST:1: no column \"name\" among [\"a\", \"b\"]");
        let faulty = table(b"label,name\n1,x\n2\n").unwrap_err();
        assert_eq!(faulty, "LIST:3: 1 columns; expected 2 as in the first line");
        // The first record would swallow the second.
        let faulty = table(b"label,name\n\"1,x\n2,y\n\"3,z\n").unwrap_err();
        assert!(faulty.starts_with("LIST:2: ") && faulty.contains("quote"), "{faulty}");
        let rows = table(b"\xef\xbb\xbflabel,more,name\r\n1,,x\r\n\r\n 2 ,,\"y\"\r\n").unwrap();
        assert_eq!(rows, [(2, ["x".to_owned(), "1".to_owned()]), (4, ["y".to_owned(), "2".to_owned()])]);
        let missing = read(Path::new("nowhere/list.txt"), "the list").unwrap_err();
        assert_eq!(missing.to_string(), "nowhere/list.txt: missing; the list");
    }

    #[test]
    fn words_and_numbers_say_what_was_expected() {
        let at = At { path: Path::new("list.txt"), line: 7 };
        assert_eq!(at.words::<2>(" a  1 ", "").unwrap(), ["a", "1"]);
        let error = at.words::<2>("a b c", "name and label").unwrap_err();
        assert_eq!(error.to_string(), "list.txt:7: 3 columns; expected 2: name and label");
        assert_eq!(at.whole("3", "label", 1..=7).unwrap(), 3);
        for bad in ["0", "8", "-1", "", "1.5", "99999999999999999999"] {
            let error = at.whole(bad, "label", 1..=7).unwrap_err().to_string();
            assert_eq!(error, format!("list.txt:7: label is {bad:?}; expected a whole number from 1 to 7"));
        }
        assert_eq!(lines("\n a \n\nb").collect::<Vec<_>>(), [(2, "a"), (4, "b")]);
    }
}
