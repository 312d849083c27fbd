//! What a benchmark's folder holds: items with their truth.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The right answer about an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// One label of a closed set.
    Label(String),
    /// The active action units, by number, of those that the benchmark counts.
    Units(Vec<u8>),
    /// Each of CelebA's forty attributes, in the order of [`crate::ATTRIBUTES`].
    Attributes(Vec<bool>),
    /// Years.
    Age(f64),
}

/// One thing to be asked about.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its name, alone of its kind in the dataset; stays the same wherever the dataset lies.
    pub id: String,
    /// Picture, video, or folder of frames.
    pub media: PathBuf,
    /// The right answer.
    pub truth: Truth,
}

/// A split of a benchmark, opened: tables are read and checked, media are not.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The benchmark's name.
    pub benchmark: &'static str,
    /// The split's name.
    pub split: String,
    /// In the order of the benchmark's own list.
    pub items: Vec<Item>,
    /// SHA-256 over ids and truths, in order.
    pub digest: String,
}
