//! Labelled manifests: CSV or a JSON list of objects, each row a picture or clip with what people said about it.
//!
//! Columns: `image` or `video` (a path beside the manifest or in an `images/` folder beside it), `expression`,
//! `action_units` (numbers, separated by space, `;` or `+`; `none` where a coder saw none), `attributes` (CelebA's names
//! separated by `;`, or `none`), `age` (years), `deepfake` (`real` or `fake`), and optionally `id` (default: the path),
//! `person` (an anonymous name, for splits), `source` and `licence`.

mod labels;
mod table;

pub use labels::Labels;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::error::{DataError, Place};
use super::seed::sha256;
use crate::Task;
use table::Cells;

/// Bytes of a manifest.
pub(crate) const MAX_MANIFEST: u64 = 1 << 30;

/// Columns that are understood.
pub(crate) const COLUMNS: [&str; 11] = [
    "image",
    "video",
    "expression",
    "action_units",
    "attributes",
    "age",
    "deepfake",
    "id",
    "person",
    "source",
    "licence",
];

/// A manifest that was read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its rows in order.
    pub rows: Vec<SourceRow>,
    /// Columns that nothing uses.
    pub ignored: Vec<String>,
}

/// One row: what it says, or what is wrong with it.
#[derive(Clone, Debug)]
pub struct SourceRow {
    /// Where it stands.
    pub place: Place,
    /// Its name.
    pub id: String,
    /// Its content.
    pub content: Result<Row, RowFault>,
}

/// What a good row says.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The picture, clip or folder of frames.
    pub media: PathBuf,
    /// Whether the row calls it a clip.
    pub is_video: bool,
    /// What people said about it.
    pub labels: Labels,
    /// An anonymous name of the person.
    pub person: Option<String>,
    /// The collection it comes from.
    pub source: Option<String>,
    /// Its licence.
    pub licence: Option<String>,
}

/// What is wrong with a row. The other rows are not affected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowFault {
    /// Neither picture nor clip, or both.
    #[error("{place}: give an image or a video")]
    Media {
        /// Where.
        place: Place,
    },
    /// A file that is not there.
    #[error("{place}: {} is not beside the manifest, nor in images/ beside it", path.display())]
    MissingFile {
        /// Where.
        place: Place,
        /// As named in the row.
        path: PathBuf,
    },
    /// A label outside the task's set.
    #[error("{place}: {kind} {label:?} is not known; nearest: {nearest:?}")]
    UnknownLabel {
        /// Where.
        place: Place,
        /// The column.
        kind: &'static str,
        /// What it says.
        label: String,
        /// The most similar known label.
        nearest: String,
    },
    /// A number out of range.
    #[error("{place}: age {value:?}; expected whole years from 0 to 120")]
    Age {
        /// Where.
        place: Place,
        /// What it says.
        value: String,
    },
    /// A name that an earlier row has.
    #[error("{place}: id {id:?} is taken by {first}")]
    DuplicateId {
        /// Where.
        place: Place,
        /// The name.
        id: String,
        /// The earlier row.
        first: Place,
    },
    /// A row with too few or too many cells, or no object, or no text.
    #[error("{place}: {what}")]
    Form {
        /// Where.
        place: Place,
        /// What is wrong.
        what: String,
    },
}

impl RowFault {
    /// Of files that are not there.
    pub(crate) const MISSING_FILE: &str = "missing_file";

    /// A name for the kind of fault that programs can rely on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Media { .. } => "no_media",
            Self::MissingFile { .. } => Self::MISSING_FILE,
            Self::UnknownLabel { .. } => "unknown_label",
            Self::Age { .. } => "bad_age",
            Self::DuplicateId { .. } => "duplicate_id",
            Self::Form { .. } => "bad_row",
        }
    }
}

impl Source {
    /// Reads a manifest; the content decides whether it is CSV or JSON.
    ///
    /// # Errors
    /// [`DataError::Io`], [`DataError::Manifest`], [`DataError::Columns`], [`DataError::ColumnName`],
    /// [`DataError::Empty`]. A bad row is no error: see [`SourceRow::content`].
    pub fn open(path: &Path) -> Result<Self, crate::Error> {
        let bytes = landmarks::picture::read_file(path, MAX_MANIFEST)?;
        let table = table::read(path, &bytes)?;
        if table.rows.is_empty() {
            return Err(DataError::Empty { path: path.into() }.into());
        }
        let ignored = check_columns(path, &table.columns)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut first: HashMap<String, Place> = HashMap::new();
        let rows = table.rows.into_iter().map(|(place, cells)| {
            let (id, content) = match cells {
                Ok(cells) => (cells.id(&place), row(folder, &place, &cells)),
                Err(what) => (place.to_string(), Err(RowFault::Form { place: place.clone(), what })),
            };
            let content = match first.get(&id) {
                Some(first) => {
                    Err(RowFault::DuplicateId { place: place.clone(), id: id.clone(), first: first.clone() })
                }
                None => {
                    first.insert(id.clone(), place.clone());
                    content
                }
            };
            SourceRow { place, id, content }
        });
        Ok(Self { path: path.into(), sha256: sha256(&bytes), rows: rows.collect(), ignored })
    }

    /// Tasks that any row has a label for.
    pub fn labelled_tasks(&self) -> Vec<Task> {
        let rows = || self.rows.iter().filter_map(|r| r.content.as_ref().ok());
        Task::ALL.into_iter().filter(|task| rows().any(|row| row.labels.has(*task))).collect()
    }
}

/// Columns that nothing uses. One that is almost known is an error: a misspelt label column must not be lost.
fn check_columns(path: &Path, columns: &[String]) -> Result<Vec<String>, DataError> {
    let unknown: Vec<String> = columns.iter().filter(|c| !COLUMNS.contains(&c.as_str())).cloned().collect();
    for column in &unknown {
        // A quarter of the letters may differ: `expresion`, but not `sex` for `age`.
        let near = |known: &&&'static str| edits(known, &column.to_lowercase()) <= known.len() / 4;
        if let Some(nearest) = COLUMNS.iter().find(near) {
            return Err(DataError::ColumnName { path: path.into(), column: column.clone(), nearest });
        }
    }
    if columns.iter().any(|c| c == "image" || c == "video") {
        return Ok(unknown);
    }
    Err(DataError::Columns { path: path.into(), found: columns.to_vec() })
}

fn row(folder: &Path, place: &Place, cells: &Cells) -> Result<Row, RowFault> {
    let (named, is_video) = match (cells.get("image"), cells.get("video")) {
        (Some(image), None) => (image, false),
        (None, Some(video)) => (video, true),
        _ => return Err(RowFault::Media { place: place.clone() }),
    };
    let labels = Labels::read(place, cells)?;
    let beside = [folder.join(&named), folder.join("images").join(&named)];
    let Some(media) = beside.into_iter().find(|p| p.exists()) else {
        return Err(RowFault::MissingFile { place: place.clone(), path: named.into() });
    };
    let (person, source, licence) = (cells.get("person"), cells.get("source"), cells.get("licence"));
    Ok(Row { media, is_video, labels, person, source, licence })
}

/// Insertions, deletions and substitutions between two words.
pub(crate) fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The candidate with the fewest edits.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let word = word.to_lowercase();
    candidates.into_iter().min_by_key(|c| edits(&c.to_lowercase(), &word)).unwrap_or_default().to_owned()
}
