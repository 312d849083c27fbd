//! Rows of named cells out of CSV or JSON.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::data::error::{DataError, Place, Unit};
use crate::data::line_numbers::LineNumbers;

/// Columns and rows; a row that is no row says why.
pub(super) struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<(Place, Result<Cells, String>)>,
}

/// The cells of a row that are not empty.
pub(super) struct Cells(BTreeMap<String, String>);

impl Cells {
    pub fn get(&self, column: &str) -> Option<String> {
        self.0.get(column).cloned()
    }

    pub fn id(&self, place: &Place) -> String {
        let cell = ["id", "image", "video"].into_iter().find_map(|c| self.get(c));
        cell.unwrap_or_else(|| place.to_string())
    }
}

pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Table, DataError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let fail = |what: String| DataError::Manifest { path: path.into(), what };
    match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
        None => Err(DataError::Empty { path: path.into() }),
        Some(b'[') => json(path, bytes).map_err(|e| fail(e.to_string())),
        Some(b'{') => Err(fail("one JSON object; expected a list of objects, or CSV".into())),
        Some(_) if bytes.contains(&0) => Err(fail("it holds bytes that are no text".into())),
        Some(_) => csv(path, bytes).map_err(fail),
    }
}

fn csv(path: &Path, bytes: &[u8]) -> Result<Table, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let columns: Vec<String> = reader.headers().map_err(|e| e.to_string())?.iter().map(str::to_owned).collect();
    if let Some(twice) = columns.iter().enumerate().find_map(|(i, c)| columns[..i].contains(c).then_some(c)) {
        return Err(format!("two columns are named {twice:?}"));
    }
    let (mut rows, mut lines) = (Vec::new(), LineNumbers::new(bytes));
    for record in reader.byte_records() {
        let record = record.map_err(|e| e.to_string())?;
        let number = lines.of(record.position());
        // It would hold all rows up to the next quote.
        if record.iter().any(|cell| cell.contains(&b'\n')) {
            return Err(format!("line {number}: a cell of several lines; is a quote not closed?"));
        }
        rows.push((Place { path: path.into(), number, unit: Unit::Line }, cells(&columns, &record)));
    }
    Ok(Table { columns, rows })
}

fn cells(columns: &[String], record: &csv::ByteRecord) -> Result<Cells, String> {
    if record.len() != columns.len() {
        return Err(format!("{} cells for {} columns", record.len(), columns.len()));
    }
    let cells = columns.iter().zip(record).map(|(column, cell)| {
        let cell = std::str::from_utf8(cell).map_err(|_| format!("{column} is not UTF-8"))?;
        Ok((column.clone(), cell.to_owned()))
    });
    let cells: BTreeMap<_, _> = cells.collect::<Result<_, String>>()?;
    Ok(Cells(cells.into_iter().filter(|(_, cell)| !cell.is_empty()).collect()))
}

fn json(path: &Path, bytes: &[u8]) -> Result<Table, serde_json::Error> {
    let entries: Vec<Value> = serde_json::from_slice(bytes)?;
    let mut columns: Vec<String> = Vec::new();
    for key in entries.iter().filter_map(Value::as_object).flat_map(|o| o.keys()) {
        if !columns.contains(key) {
            columns.push(key.clone());
        }
    }
    let rows = entries.into_iter().zip(1..).map(|(entry, number)| {
        let Value::Object(entry) = entry else {
            return (place(path, number), Err("not an object".into()));
        };
        let cells = entry.into_iter().map(|(column, value)| {
            let cell = text(&value).ok_or_else(|| format!("{column} is neither text, number nor a list of them"))?;
            Ok((column, cell))
        });
        let cells = cells.collect::<Result<BTreeMap<_, _>, String>>();
        let cells = cells.map(|c| Cells(c.into_iter().filter(|(_, cell)| !cell.is_empty()).collect()));
        (place(path, number), cells)
    });
    Ok(Table { rows: rows.collect(), columns })
}

fn place(path: &Path, number: u64) -> Place {
    Place { path: path.into(), number, unit: Unit::Entry }
}

/// Lists are joined as a CSV cell would hold them; an empty list is the answer "none".
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(s) => Some(s.trim().to_owned()),
        Value::Number(n) => Some(n.to_string()),
        Value::Array(list) if list.is_empty() => Some("none".into()),
        Value::Array(list) => Some(list.iter().map(text).collect::<Option<Vec<_>>>()?.join(";")),
        Value::Bool(_) | Value::Object(_) => None,
    }
}
