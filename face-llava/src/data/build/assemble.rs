//! The final files, from the journals of all shards, when every item has its entry.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use landmarks::files::{remove_temporary, write_whole};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::journal::{Journals, Of, Outcome};
use super::options::BuildOptions;
use crate::Task;
use crate::data::annotate::{Usage, prompts};
use crate::data::error::DataError;
use crate::data::seed::hex;
use crate::data::source::{Row, Source};

/// Items read at once.
const BLOCK: usize = 1024;

/// What the final files are made from.
pub(super) struct Assembly<'a> {
    pub options: &'a BuildOptions,
    pub source: &'a Source,
    pub tasks: &'a [Task],
    pub settings: &'a BTreeMap<String, Value>,
}

/// Counts for the manifest.
#[derive(Default)]
struct Tally {
    kept: BTreeMap<&'static str, usize>,
    rejected: BTreeMap<String, usize>,
    usage: Usage,
    inputs: usize,
}

impl Assembly<'_> {
    /// Writes `records.json`, `rejected.jsonl` and, last, `manifest.json`. Two processes that come here at once do it
    /// one after the other, with the same bytes.
    ///
    /// # Errors
    /// [`DataError::Unfinished`], [`DataError::Write`], [`DataError::Journal`].
    pub fn write(&self) -> Result<(), crate::Error> {
        let out = &self.options.out;
        let lock = out.join(".lock-assembly");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
        let file = file.map_err(DataError::write(&lock))?;
        file.lock().map_err(DataError::write(&lock))?;
        let rows = self.source.rows.len();
        let all = Of::All(self.options.shard.count);
        let journals = Journals::read(out, all, self.settings, rows, self.tasks)?;
        let missing = journals.slots.iter().filter(|s| s.is_none()).count();
        let items = journals.slots.len();
        if missing > 0 {
            return Err(DataError::Unfinished { path: out.clone(), missing, items }.into());
        }
        let mut tally = Tally::default();
        let mut inputs = Sha256::new();
        let rejected = out.join("rejected.jsonl");
        let mut fault = None;
        let mut rejections = Vec::new();
        let records = hashed(&out.join("records.json"), |file| {
            let mut before = "[\n";
            let mut last_row = None;
            for first in (0..items).step_by(BLOCK) {
                let block = journals.entries(first..items.min(first + BLOCK)).map_err(|error| {
                    fault = Some(error);
                    io::Error::other("journal")
                })?;
                for (item, entry) in block {
                    let row = &self.source.rows[entry.row];
                    if let (Some(digest), true) = (&entry.input, last_row != Some(entry.row)) {
                        last_row = Some(entry.row);
                        tally.inputs += 1;
                        inputs.update(format!("{digest}  {}\n", row.id));
                    }
                    tally.usage += entry.usage;
                    match &entry.outcome {
                        Outcome::Kept(record) => {
                            *tally.kept.entry(self.tasks[item % self.tasks.len()].name()).or_default() += 1;
                            file.write_all(before.as_bytes())?;
                            serde_json::to_writer(&mut *file, record)?;
                            before = ",\n";
                        }
                        Outcome::Rejected(rejection) => {
                            *tally.rejected.entry(rejection.code.clone()).or_default() += 1;
                            serde_json::to_writer(&mut rejections, rejection)?;
                            rejections.push(b'\n');
                        }
                    }
                }
            }
            file.write_all(if before == "[\n" { b"[]\n" } else { b"\n]\n" })
        });
        // What cannot be read is no fault of what is written.
        let records = fault.map_or(records, Err)?;
        let rejected = hashed(&rejected, |file| file.write_all(&rejections))?;
        let inputs = hex(&inputs.finalize());
        let manifest = self.manifest(&tally, &inputs, &records, &rejected);
        hashed(&out.join("manifest.json"), |file| {
            serde_json::to_writer_pretty(&mut *file, &manifest)?;
            file.write_all(b"\n")
        })?;
        // All shards are done, nobody writes any more; failures that may pass are tried again by others at this moment.
        if !journals.slots.iter().flatten().any(|slot| slot.passing) {
            remove_temporary(out, 0);
            remove_temporary(&out.join(super::media::FOLDER), 1);
        }
        Ok(())
    }

    /// No dates, no paths: the same build gives the same bytes.
    fn manifest(&self, tally: &Tally, inputs: &str, records: &str, rejected: &str) -> Value {
        let said = |flag: &Option<String>, column: fn(&Row) -> Option<&String>| {
            let rows = self.source.rows.iter().filter_map(|row| row.content.as_ref().ok());
            let each = rows.map(|row| column(row).or(flag.as_ref()).cloned().unwrap_or_else(|| "unknown".into()));
            each.collect::<BTreeSet<String>>()
        };
        let options = self.options;
        json!({
            "format": 1,
            "source": {
                "name": said(&options.source_name, |r| r.source.as_ref()),
                "licence": said(&options.licence, |r| r.licence.as_ref()),
                "file": self.source.path.file_name().unwrap_or_default().to_string_lossy(),
                "sha256": self.source.sha256,
                "rows": self.source.rows.len(),
            },
            "inputs": { "count": tally.inputs, "sha256": inputs },
            "prompts": { "annotate": prompts::annotate_digest(), "rate": prompts::rate_digest() },
            "usage": {
                "requests": tally.usage.requests,
                "prompt_tokens": tally.usage.prompt_tokens,
                "completion_tokens": tally.usage.completion_tokens,
                "cost": tally.usage.cost,
            },
            "counts": {
                "items": self.source.rows.len() * self.tasks.len(),
                "kept": tally.kept.values().sum::<usize>(),
                "kept_by_task": tally.kept,
                "rejected": tally.rejected,
            },
            "settings": self.settings,
            "files": { "records.json": records, "rejected.jsonl": rejected },
        })
    }
}

/// Writes a file whole or not at all and gives its digest.
fn hashed(
    path: &Path,
    write: impl FnOnce(&mut Hashing<BufWriter<File>>) -> io::Result<()>,
) -> Result<String, DataError> {
    let mut digest = String::new();
    let written = write_whole(path, |temporary| {
        let file = OpenOptions::new().write(true).truncate(true).open(temporary)?;
        let mut file = Hashing { inner: BufWriter::new(file), hash: Sha256::new() };
        write(&mut file)?;
        file.flush()?;
        digest = hex(&file.hash.finalize());
        Ok(())
    });
    written.map_err(|e| match e {
        landmarks::Error::Io { source, .. } => DataError::write(path)(source),
        other => DataError::write(path)(io::Error::other(other)),
    })?;
    Ok(digest)
}

struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
