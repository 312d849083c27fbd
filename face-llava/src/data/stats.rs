//! What a dataset holds, in numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::parts::records_file;
use super::read::read_records;
use super::record::{LabelOrigin, Record, Speaker};
use super::split::{Fractions, Split, person_of, split_of};

/// Counts over all records.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Records.
    pub records: usize,
    /// Distinct pictures and clips.
    pub media: usize,
    /// Distinct persons; rows of the source where nobody is named.
    pub persons: usize,
    /// Sets of points: one for a picture, one for each frame of a clip.
    pub faces: usize,
    /// By task; records that name none under `other`.
    pub tasks: BTreeMap<&'static str, TaskStats>,
}

/// Counts over the records of one task.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TaskStats {
    /// Records.
    pub records: usize,
    /// By where the label comes from.
    pub origins: BTreeMap<&'static str, usize>,
    /// By part, as `split` would cut it.
    pub splits: BTreeMap<&'static str, usize>,
    /// By label; `none` counts answers without.
    pub labels: BTreeMap<String, usize>,
    /// Words of the answers: smallest, mean, largest.
    pub answer_words: [f64; 3],
}

/// Counts what a file of records, or the folder that a build wrote, holds.
///
/// # Errors
/// As [`read_records`].
pub fn stats(path: &Path, fractions: &Fractions, seed: u64) -> Result<Stats, crate::Error> {
    fractions.check()?;
    let records = read_records(records_file(path))?;
    let mut stats = Stats { records: records.len(), ..Stats::default() };
    let (mut media, mut persons) = (BTreeSet::new(), BTreeSet::new());
    for record in &records {
        persons.insert(person_of(record));
        if record.media().is_some_and(|path| media.insert(path)) {
            stats.faces += faces(record);
        }
        let split = split_of(person_of(record), seed, fractions);
        let name = record.meta.as_ref().map_or("other", |m| m.task.name());
        stats.tasks.entry(name).or_default().add(record, split);
    }
    (stats.media, stats.persons) = (media.len(), persons.len());
    Ok(stats)
}

fn faces(record: &Record) -> usize {
    match &record.landmarks {
        Some(super::LandmarksField::Points(sets)) => sets.len(),
        Some(super::LandmarksField::Path(_)) => 1,
        None => 0,
    }
}

impl TaskStats {
    fn add(&mut self, record: &Record, split: Split) {
        self.records += 1;
        *self.splits.entry(split.name()).or_default() += 1;
        if let Some(meta) = &record.meta {
            let origin = match meta.origin {
                LabelOrigin::Human => "human",
                LabelOrigin::Geometry => "geometry",
                LabelOrigin::Made => "made",
                LabelOrigin::None => "none",
            };
            *self.origins.entry(origin).or_default() += 1;
            if meta.labels.is_empty() {
                *self.labels.entry("none".into()).or_default() += 1;
            }
            for label in &meta.labels {
                *self.labels.entry(label.clone()).or_default() += 1;
            }
        }
        let answers = record.conversations.iter().filter(|turn| turn.from == Speaker::Gpt);
        let words = answers.map(|turn| turn.value.split_whitespace().count()).sum::<usize>() as f64;
        let [least, mean, most] = self.answer_words;
        let n = self.records as f64;
        self.answer_words =
            if self.records == 1 { [words; 3] } else { [least.min(words), mean + (words - mean) / n, most.max(words)] };
    }
}
