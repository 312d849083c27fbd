//! Writing the parts of a dataset: `train.json`, `val.json` and `test.json`, no person in two of them.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use landmarks::files::write_whole;
use serde::Serialize;

use super::error::DataError;
use super::read::RecordsFile;
use super::record::{LandmarksField, Record};
use super::split::{Fractions, Split, person_of, split_of};

/// What a split gave. Written as `split.json` beside the parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitReport {
    /// SHA-256 of the file of records.
    pub records: String,
    /// The seed.
    pub seed: u64,
    /// The fractions asked for.
    pub fractions: Fractions,
    /// In the order train, val, test.
    pub parts: Vec<Part>,
}

/// One part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// Which.
    pub split: Split,
    /// Its records.
    pub records: usize,
    /// Its persons.
    pub persons: usize,
}

/// Splits a file of records, or the one in a folder, by person. Media paths in the parts lead from `out` to the same
/// files.
///
/// # Errors
/// [`DataError::EmptySplit`] where a part with a fraction above 0 would be empty; faults of reading and writing.
pub fn split(records: &Path, out: &Path, fractions: &Fractions, seed: u64) -> Result<SplitReport, crate::Error> {
    fractions.check()?;
    let file = records_file(records);
    let RecordsFile { entries, sha256 } = RecordsFile::read(&file)?;
    let all = entries.into_iter().collect::<Result<Vec<Record>, DataError>>()?;
    let mut parts: [Vec<&Record>; 3] = Default::default();
    let mut persons: [BTreeSet<&str>; 3] = Default::default();
    for record in &all {
        let person = person_of(record);
        let at = split_of(person, seed, fractions) as usize;
        parts[at].push(record);
        persons[at].insert(person);
    }
    for split in Split::ALL {
        if parts[split as usize].is_empty() && fractions.of(split) > 0.0 {
            return Err(DataError::EmptySplit {
                split: split.name(),
                records: all.len(),
                persons: persons.iter().map(BTreeSet::len).sum(),
                fraction: fractions.of(split),
            }
            .into());
        }
    }
    std::fs::create_dir_all(out).map_err(DataError::write(out))?;
    let way = way(out, file.parent().unwrap_or(Path::new("")))?;
    let report_file = out.join("split.json");
    let part_file = |split: Split| out.join(format!("{}.json", split.name()));
    let written: Vec<PathBuf> = [report_file.clone()].into_iter().chain(Split::ALL.map(part_file)).collect();
    let read = file.canonicalize().map_err(DataError::io(&file))?;
    if written.iter().any(|path| path.canonicalize().is_ok_and(|path| path == read)) {
        let (value, expected) = (out.display().to_string(), "another folder than that of the records");
        return Err(DataError::Option { option: "--out", value, expected }.into());
    }
    // Parts of two splits may share persons: none of an earlier one stays beside the new ones, whatever happens now.
    for old in &written {
        match std::fs::remove_file(old) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(DataError::write(old)(source).into());
            }
            _ => {}
        }
    }
    for split in Split::ALL {
        let moved = parts[split as usize].iter().map(|record| moved(record, &way));
        write_records(&part_file(split), moved)?;
    }
    let part =
        |split: Split| Part { split, records: parts[split as usize].len(), persons: persons[split as usize].len() };
    let report = SplitReport { records: sha256, seed, fractions: *fractions, parts: Split::ALL.map(part).into() };
    let mut json = serde_json::to_vec_pretty(&report).map_err(|e| DataError::write(&report_file)(e.into()))?;
    json.push(b'\n');
    landmarks::files::write_bytes(&report_file, &json)?;
    Ok(report)
}

/// `records.json` of a folder, or the file itself.
pub(crate) fn records_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("records.json") } else { path.into() }
}

/// A list with a record on each line, whole or not there.
fn write_records(path: &Path, records: impl Iterator<Item = Record>) -> Result<(), crate::Error> {
    Ok(write_whole(path, |temporary| {
        let mut file = BufWriter::new(std::fs::File::create(temporary)?);
        let mut before = "[\n";
        for record in records {
            file.write_all(before.as_bytes())?;
            serde_json::to_writer(&mut file, &record)?;
            before = ",\n";
        }
        file.write_all(if before == "[\n" { b"[]\n" } else { b"\n]\n" })?;
        file.flush()
    })?)
}

fn moved(record: &Record, way: &Path) -> Record {
    let mut record = record.clone();
    let mut paths: Vec<&mut PathBuf> = record.image.iter_mut().chain(&mut record.video).collect();
    if let Some(LandmarksField::Path(path)) = &mut record.landmarks {
        paths.push(path);
    }
    for path in paths {
        *path = way.join(&*path);
    }
    record
}

/// The relative way from one folder to another.
fn way(from: &Path, to: &Path) -> Result<PathBuf, DataError> {
    let real = |path: &Path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        path.canonicalize().map_err(DataError::io(path))
    };
    let (from, to) = (real(from)?, real(to)?);
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    Ok(up.chain(to.components().skip(shared)).collect())
}
