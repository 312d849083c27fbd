//! Is a benchmark's folder complete?

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::benchmarks::{Benchmark, Missing};
use super::{Dataset, EvalError, Truth};

/// Absent media that are named.
const NAMED: usize = 20;

/// What a folder holds of a split.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The benchmark's name.
    pub benchmark: &'static str,
    /// The split's name.
    pub split: String,
    /// Items that the lists name.
    pub listed: usize,
    /// Those of them whose media are there.
    pub items: usize,
    /// Items of the published dataset, where that is known.
    pub published: Option<usize>,
    /// [`Dataset::digest`], where nothing is absent.
    pub digest: Option<String>,
    /// Items that are there by label, all labels of the benchmark in its order. An item can have several, or none; ages
    /// are counted by decade.
    pub labels: Vec<LabelCount>,
    /// How many media are absent.
    pub absent: usize,
    /// The first twenty of them.
    pub missing: Vec<Missing>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// How often a label occurs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LabelCount {
    /// The label.
    pub label: String,
    /// Items that have it.
    pub items: usize,
}

impl CheckReport {
    /// Whether all media are there, and nothing differs from the published dataset.
    pub fn is_good(&self) -> bool {
        self.absent == 0 && self.notes.is_empty()
    }
}

/// Reads the lists of a split, looks for all media, and compares with what is known of the published dataset.
///
/// # Errors
/// What is wrong with a list is an error, as with [`Benchmark::list`]; what is absent is in the report.
pub fn check(benchmark: &dyn Benchmark, root: &Path, split: &str) -> Result<CheckReport, EvalError> {
    let mut listing = benchmark.list(root, split)?;
    let (listed, items, absent) = (listing.len(), listing.items.len(), listing.missing.len());
    let labels = counts(benchmark, listing.items.iter().map(|item| &item.truth));
    let mut missing = std::mem::take(&mut listing.missing);
    missing.truncate(NAMED);
    let dataset: Option<Dataset> = match absent {
        0 => Some(listing.dataset(benchmark.name(), root, split)?),
        _ => None,
    };
    let digest = dataset.map(|dataset| dataset.digest);
    let mut notes = Vec::new();
    let published = benchmark.published(split);
    if let Some(published) = published.filter(|published| *published != listed) {
        notes.push(format!("the lists name {listed} items; the published dataset has {published}"));
    }
    if let (Some(digest), Some(known)) = (&digest, benchmark.known_digest(split))
        && digest != known
    {
        notes.push(format!("ids and truths are not those of the published dataset: digest {digest}, not {known}"));
    }
    let benchmark = benchmark.name();
    Ok(CheckReport { benchmark, split: split.into(), listed, items, published, digest, labels, absent, missing, notes })
}

fn counts<'a>(benchmark: &dyn Benchmark, truths: impl Iterator<Item = &'a Truth>) -> Vec<LabelCount> {
    let known = benchmark.labels();
    let mut labels = vec![0; known.len()];
    let mut decades: BTreeMap<u32, usize> = BTreeMap::new();
    for truth in truths {
        let has = |label: &str| match truth {
            Truth::Label(it) => it == label,
            Truth::Units(units) => units.iter().any(|unit| label == format!("AU{unit}")),
            Truth::Attributes(_) | Truth::Age(_) => false,
        };
        match truth {
            Truth::Age(age) => *decades.entry((age / 10.0) as u32).or_default() += 1,
            Truth::Attributes(held) => labels.iter_mut().zip(held).for_each(|(n, held)| *n += usize::from(*held)),
            _ => labels.iter_mut().zip(known).for_each(|(n, label)| *n += usize::from(has(label))),
        }
    }
    let labels = labels.into_iter().zip(known).map(|(items, label)| LabelCount { label: (*label).into(), items });
    let decade = |(decade, items)| LabelCount { label: format!("{decade}0-{decade}9"), items };
    labels.chain(decades.into_iter().map(decade)).collect()
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {} items", self.benchmark, self.split, self.items)?;
        match self.published {
            Some(published) => writeln!(f, ", published {published}")?,
            None => writeln!(f)?,
        }
        for LabelCount { label, items } in &self.labels {
            writeln!(f, "  {items:>7}  {label}")?;
        }
        if let Some(digest) = &self.digest {
            writeln!(f, "digest {digest}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        if self.absent > 0 {
            writeln!(f, "media of {} of {} items are absent:", self.absent, self.listed)?;
        }
        for missing in &self.missing {
            writeln!(f, "  {missing}")?;
        }
        match self.absent - self.missing.len() {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}
