//! Which part of a dataset a person belongs to, decided by name alone: no person is in two parts, on any machine.

use std::path::Path;

use serde::Serialize;

use super::error::DataError;
use super::record::Record;
use super::seed::unit;

/// A part of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// For training.
    Train,
    /// For choices during training.
    Val,
    /// For the final figures.
    Test,
}

impl Split {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// `train`, `val` or `test`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

/// The size of each part, fractions that sum to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fractions {
    /// For training.
    pub train: f64,
    /// For choices during training.
    pub val: f64,
    /// For the final figures.
    pub test: f64,
}

impl Default for Fractions {
    fn default() -> Self {
        Self { train: 0.85, val: 0.05, test: 0.10 }
    }
}

impl Fractions {
    /// The fraction of a part.
    pub const fn of(&self, split: Split) -> f64 {
        match split {
            Split::Train => self.train,
            Split::Val => self.val,
            Split::Test => self.test,
        }
    }

    /// # Errors
    /// [`DataError::Option`] where a fraction is outside [0, 1] or their sum is not 1.
    pub fn check(&self) -> Result<(), DataError> {
        let all = Split::ALL.map(|split| self.of(split));
        if all.iter().all(|f| (0.0..=1.0).contains(f)) && (all.iter().sum::<f64>() - 1.0).abs() < 1e-6 {
            return Ok(());
        }
        let value = format!("{} + {} + {}", self.train, self.val, self.test);
        Err(DataError::Option { option: "--train, --val, --test", value, expected: "fractions that sum to 1" })
    }
}

/// The seed of a split where nobody gives one: the same for all that split, so that what one keeps for the test is what
/// another asks about (ADR 010).
pub const SPLIT_SEED: u64 = 0;

/// The part of a person: u is the first eight bytes (big-endian) of SHA-256 of `"{seed}:{person}"` over 2^64; u below
/// `test` is for the test, u below `test + val` for validation, the rest for training.
pub fn split_of(person: &str, seed: u64, fractions: &Fractions) -> Split {
    match unit(seed, person) {
        u if u < fractions.test => Split::Test,
        u if u < fractions.test + fractions.val => Split::Val,
        _ => Split::Train,
    }
}

/// The name that decides a record's part: the person, else the source's row, else the picture or clip, which several records
/// may be about, else the record's own.
pub fn person_of(record: &Record) -> &str {
    let meta = record.meta.as_ref();
    let person = meta.and_then(|m| m.person.as_deref());
    let row = meta.map(|m| m.source_id.as_str()).filter(|row| !row.is_empty());
    person.or(row).or_else(|| record.media().and_then(Path::to_str)).unwrap_or(&record.id)
}
