//! Instruction records: the authors' JSON, with what we know about each beside it.

use std::path::{Path, PathBuf};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::Task;

/// One conversation about one picture or clip, as the authors' trainer reads it. Fields that they do not have
/// ([`Record::meta`]) are ignored by their code and absent in their files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the record, unique in its file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// A picture, relative to the folder of the file; read from a list of one as well.
    #[serde(default, deserialize_with = "only", skip_serializing_if = "Option::is_none")]
    pub image: Option<PathBuf>,
    /// A clip, as the picture.
    #[serde(default, deserialize_with = "only", skip_serializing_if = "Option::is_none")]
    pub video: Option<PathBuf>,
    /// 68 points in fractions of the crop, one set for a picture or each frame; a path to them, or the points.
    #[serde(default, alias = "landmarks_2d", skip_serializing_if = "Option::is_none")]
    pub landmarks: Option<LandmarksField>,
    /// Questions and answers in turn; the first question holds `<image>` or `<video>`.
    pub conversations: Vec<Message>,
    /// Provenance, labels and ratings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// A path, or a list of one.
fn only<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Paths {
        One(PathBuf),
        List(Vec<PathBuf>),
    }
    match Option::deserialize(from)? {
        None => Ok(None),
        Some(Paths::One(path)) => Ok(Some(path)),
        Some(Paths::List(mut paths)) => match (paths.pop(), paths.len()) {
            (path, 0) => Ok(path),
            (_, others) => {
                Err(D::Error::custom(format!("{} pictures or clips in one record; one is read", others + 1)))
            }
        },
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub from: Speaker,
    /// What is said.
    pub value: String,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// Asks.
    Human,
    /// Answers.
    Gpt,
}

/// Landmarks in a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LandmarksField {
    /// A file beside the records: JSON, or the authors' `.npy`.
    Path(PathBuf),
    /// `[set][point][x, y]`, fractions of the crop.
    Points(Vec<Vec<[f32; 2]>>),
}

/// What is known about a record besides the conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// What the question is about.
    pub task: Task,
    /// The label that the answer was written from.
    pub labels: Vec<String>,
    /// Whether the label is a person's, or follows from geometry or from how the picture was made.
    pub origin: LabelOrigin,
    /// An anonymous name of the person, for splits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The row of the source that it came from.
    pub source_id: String,
    /// What a rater thought of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<Rating>,
}

/// Four scores from 1 (bad) to 10 (good), as the dataset's authors drew them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    /// Does the label fit the media?
    pub label_accuracy: u8,
    /// Does the answer fit the media?
    pub media_consistency: u8,
    /// Does the answer fit the label?
    pub label_consistency: u8,
    /// How good is the whole as an example?
    pub overall: u8,
}

impl Rating {
    /// The four scores in the order of the fields.
    pub fn scores(&self) -> [u8; 4] {
        [self.label_accuracy, self.media_consistency, self.label_consistency, self.overall]
    }
}

/// Where a label comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelOrigin {
    /// Given by a person.
    Human,
    /// Follows from the positions of landmarks or from pixel values: weak.
    Geometry,
    /// Known because the builder made the picture.
    Made,
    /// No label: the answer says that it cannot be told.
    None,
}

impl Record {
    /// The picture or clip.
    pub fn media(&self) -> Option<&Path> {
        self.image.as_deref().or(self.video.as_deref())
    }
}
