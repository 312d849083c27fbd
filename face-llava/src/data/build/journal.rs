//! The journal of a shard: one line for each finished item, whole or not there.
//!
//! A process that dies leaves at most a torn last line, which the next one cuts off. Nothing is ever rewritten; where an
//! item has several lines the last one counts.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::options::Shard;
use crate::Task;
use crate::data::annotate::Usage;
use crate::data::error::{DataError, Place, Unit};
use crate::data::record::Record;

/// A finished item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Index of the row.
    pub row: usize,
    /// The task.
    pub task: Task,
    /// SHA-256 of the input's bytes, where they could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// What the answer and rating took.
    #[serde(default, skip_serializing_if = "is_free")]
    pub usage: Usage,
    /// The record, or why there is none.
    pub outcome: Outcome,
}

fn is_free(usage: &Usage) -> bool {
    *usage == Usage::default()
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Kept(Box<Record>),
    Rejected(Rejection),
}

/// A line of `rejected.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rejection {
    pub id: String,
    pub task: Task,
    pub code: String,
    pub message: String,
    /// Whether a resumed build tries again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passing: bool,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    settings: BTreeMap<String, Value>,
}

/// Where an item's line lies.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub journal: usize,
    /// From 1.
    pub line: u64,
    pub offset: u64,
    pub bytes: usize,
    /// The rejection's code; none where it was kept.
    pub code: Option<String>,
    pub passing: bool,
}

/// The name of a shard's journal.
pub(crate) fn journal_path(out: &Path, shard: Shard) -> PathBuf {
    out.join(format!("journal-{}-of-{}.jsonl", shard.index, shard.count))
}

/// A shard's journal, open for more lines. Holds the shard's lock.
pub(crate) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    _lock: File,
}

/// Makes this process the only one that works on a shard, until it ends.
pub(crate) fn lock_shard(out: &Path, shard: Shard) -> Result<File, DataError> {
    let path = out.join(format!(".lock-{}-of-{}", shard.index, shard.count));
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(DataError::write(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataError::Busy { path }),
        Err(TryLockError::Error(source)) => Err(DataError::Write { path, source }),
    }
}

impl Journal {
    /// Opens or creates the journal and cuts a torn last line. `lock` is the shard's; its settings were compared.
    pub fn open(lock: File, out: &Path, shard: Shard, settings: &BTreeMap<String, Value>) -> Result<Self, DataError> {
        let path = journal_path(out, shard);
        let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = open.map_err(DataError::write(&path))?;
        let whole = whole_lines(&file).map_err(DataError::io(&path))?;
        file.set_len(whole).and_then(|()| file.seek(SeekFrom::End(0))).map_err(DataError::write(&path))?;
        let journal = Self { path, file: Mutex::new(file), _lock: lock };
        if whole == 0 {
            journal.line(&Header { settings: settings.clone() })?;
        }
        Ok(journal)
    }

    /// Writes a finished item. Where that fails, what was half written is taken back.
    pub fn push(&self, entry: &Entry) -> Result<(), DataError> {
        self.line(entry)
    }

    fn line(&self, value: &impl Serialize) -> Result<(), DataError> {
        let fail = |source| DataError::Write { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(value).map_err(|e| fail(e.into()))?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = file.stream_position().map_err(fail)?;
        file.write_all(&line).map_err(|source| {
            // The next opening would cut it as well.
            let _ = file.set_len(before).and_then(|()| file.seek(SeekFrom::Start(before)));
            fail(source)
        })
    }

    /// Everything on the disk.
    pub fn sync(&self) -> Result<(), DataError> {
        let file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.sync_all().map_err(DataError::write(&self.path))
    }
}

/// Bytes up to and including the last line break.
fn whole_lines(mut file: &File) -> std::io::Result<u64> {
    const BLOCK: u64 = 1 << 16;
    let mut end = file.metadata()?.len();
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        file.take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|b| *b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Which journals' items are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Of {
    /// One shard's.
    Shard(Shard),
    /// Those of so many shards.
    All(usize),
}

/// The journals of all shards, with the place of each item's last line.
pub(crate) struct Journals {
    paths: Vec<PathBuf>,
    /// By item: row times tasks plus the task's place.
    pub slots: Vec<Option<Slot>>,
}

impl Journals {
    /// Reads those that are there: the settings of all, the items of those asked for. `tasks` and `rows` say which items
    /// there are.
    pub fn read(
        out: &Path,
        of: Of,
        settings: &BTreeMap<String, Value>,
        rows: usize,
        tasks: &[Task],
    ) -> Result<Self, DataError> {
        let count = match of {
            Of::Shard(shard) => shard.count,
            Of::All(count) => count,
        };
        let mut all = Self { paths: Vec::new(), slots: vec![None; rows * tasks.len()] };
        for index in 0..count {
            let shard = Shard { index, count };
            let path = journal_path(out, shard);
            let items = matches!(of, Of::All(_)) || of == Of::Shard(shard);
            match File::open(&path) {
                Ok(file) => all.index(path, BufReader::new(file), settings, items.then_some(tasks))?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(DataError::io(&path)(e)),
            }
        }
        Ok(all)
    }

    /// Compares a journal's settings and notes its items, where their tasks are given.
    fn index(
        &mut self,
        path: PathBuf,
        mut reader: BufReader<File>,
        settings: &BTreeMap<String, Value>,
        tasks: Option<&[Task]>,
    ) -> Result<(), DataError> {
        let journal = self.paths.len();
        let (mut line, mut offset, mut number) = (Vec::new(), 0u64, 0u64);
        loop {
            line.clear();
            let bytes = reader.read_until(b'\n', &mut line).map_err(DataError::io(&path))?;
            // A line without its end is being written or torn.
            if line.last() != Some(&b'\n') {
                break;
            }
            number += 1;
            let fail = |what: String| {
                let place = Place { path: path.clone(), number, unit: Unit::Line };
                DataError::Journal { place, what }
            };
            if number == 1 {
                let header: Header = serde_json::from_slice(&line).map_err(|e| fail(e.to_string()))?;
                super::settings::compare(&path, &header.settings, settings)?;
            } else if let Some(tasks) = tasks {
                let entry: Entry = serde_json::from_slice(&line).map_err(|e| fail(e.to_string()))?;
                let task = tasks.iter().position(|t| *t == entry.task);
                let item = task.map(|task| entry.row * tasks.len() + task);
                let slot = item.and_then(|item| self.slots.get_mut(item));
                let slot = slot.ok_or_else(|| fail(format!("row {} has no such item", entry.row)))?;
                let (code, passing) = match entry.outcome {
                    Outcome::Kept(_) => (None, false),
                    Outcome::Rejected(r) => (Some(r.code), r.passing),
                };
                *slot = Some(Slot { journal, line: number, offset, bytes, code, passing });
            } else {
                break;
            }
            offset += bytes as u64;
        }
        self.paths.push(path);
        Ok(())
    }

    /// The entries of some items, in their order. Opens one journal at a time, for there may be more than a process may
    /// have open: best asked for many items at once.
    pub fn entries(&self, items: Range<usize>) -> Result<Vec<(usize, Entry)>, DataError> {
        let mut places: Vec<(usize, &Slot)> =
            items.filter_map(|item| Some((item, self.slots[item].as_ref()?))).collect();
        places.sort_unstable_by_key(|(_, slot)| (slot.journal, slot.offset));
        let mut entries = Vec::with_capacity(places.len());
        for places in places.chunk_by(|(_, a), (_, b)| a.journal == b.journal) {
            let path = &self.paths[places[0].1.journal];
            let mut file = File::open(path).map_err(DataError::io(path))?;
            for (item, slot) in places {
                let mut line = vec![0; slot.bytes];
                let read = file.seek(SeekFrom::Start(slot.offset)).and_then(|_| file.read_exact(&mut line));
                read.map_err(DataError::io(path))?;
                let entry = serde_json::from_slice(&line).map_err(|e| {
                    let place = Place { path: path.clone(), number: slot.line, unit: Unit::Line };
                    DataError::Journal { place, what: e.to_string() }
                })?;
                entries.push((*item, entry));
            }
        }
        entries.sort_unstable_by_key(|(item, _)| *item);
        Ok(entries)
    }
}
