//! Who writes the answers, and who rates them.

mod cache;
mod chat;
mod complete;
mod http;
mod key;
mod offline;
pub(crate) mod prompts;
mod replay;
mod usage;
mod words;

pub use chat::{Chat, ChatOptions};
#[cfg(feature = "eval")]
pub(crate) use complete::{Completion, Prompt, unfenced};
#[cfg(feature = "eval")]
pub(crate) use http::quote;
pub use offline::Offline;
pub use replay::Replay;
pub use usage::{Priced, Usage};
pub(crate) use words::capital;

use image::RgbImage;
use landmarks::UnitLandmarks;

use super::blend::Blend;
use super::geometry::Measures;
use super::light::Light;
use super::record::{LabelOrigin, Rating};
use crate::Task;

/// One answer to be written: a question about a face, and what is known about it.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The record's name.
    pub id: &'a str,
    /// What the question is about.
    pub task: Task,
    /// The question.
    pub question: &'a str,
    /// The labels that the answer must agree with.
    pub labels: &'a [String],
    /// Where they come from.
    pub origin: LabelOrigin,
    /// The crops: one picture, or the frames of a clip.
    pub frames: &'a [RgbImage],
    /// The 68 points of each, fractions of the crop.
    pub points: &'a [UnitLandmarks],
    /// What the points of the middle frame tell.
    pub measures: Measures,
    /// What its pixels tell.
    pub light: Light,
    /// How the picture was altered, where the builder did it.
    pub blend: Option<&'a Blend>,
    /// For choices of words.
    pub seed: u64,
}

/// Writes answers. Shared by the workers.
pub trait Annotator: Send + Sync {
    /// Name, model, prompt and settings: whatever changes the answers. Part of the manifest.
    fn identity(&self) -> String;

    /// The answer.
    ///
    /// # Errors
    /// Any [`AnnotatorFault`]; the item is rejected, the others go on.
    fn annotate(&self, request: &Request<'_>) -> Result<Priced<String>, AnnotatorFault>;
}

/// Rates answers. Shared by the workers.
pub trait Rater: Send + Sync {
    /// As [`Annotator::identity`].
    fn identity(&self) -> String;

    /// The rating.
    ///
    /// # Errors
    /// Any [`AnnotatorFault`]; a rating that is missing or out of range is one, never a number.
    fn rate(&self, request: &Request<'_>, answer: &str) -> Result<Priced<Rating>, AnnotatorFault>;
}

/// Why there is no answer or no rating.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnotatorFault {
    /// The endpoint did not answer, or was busy, each time it was asked.
    #[error("{url}: {what}; asked {attempts} times")]
    Endpoint {
        /// The endpoint.
        url: String,
        /// What happened last.
        what: String,
        /// Requests made.
        attempts: u32,
    },
    /// The endpoint refuses the request.
    #[error("{url}: refused with status {status}: {message}")]
    Refused {
        /// The endpoint.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of its message.
        message: String,
    },
    /// An answer that cannot be used.
    #[error("the reply cannot be used: {what}")]
    Reply {
        /// Why.
        what: String,
    },
    /// A rating that is incomplete or out of range.
    #[error("the rater's reply is no rating: {what}")]
    Rating {
        /// Why.
        what: String,
    },
    /// A reply that cannot be used and has to be paid for all the same.
    #[error("{}", .0.value)]
    Paid(Priced<Box<AnnotatorFault>>),
    /// Nothing was recorded for an item.
    #[error("no recorded answer for {id}")]
    NotRecorded {
        /// The record's name.
        id: String,
    },
    /// An annotator that needs a label, and an item without.
    #[error("no label for {task}, and this annotator invents none", task = task.name())]
    NoLabel {
        /// The task.
        task: Task,
    },
    /// An endpoint over TLS in a program without it.
    #[error("{url}: this program was built without TLS; build with --features tls, or use an http:// endpoint")]
    NoTls {
        /// The endpoint.
        url: String,
    },
    /// No key.
    #[error("environment variable {variable} holds no key for the endpoint")]
    NoKey {
        /// The variable's name.
        variable: String,
    },
    /// A cache or recording that cannot be read or written.
    #[error("{path}: {what}")]
    Storage {
        /// The file.
        path: String,
        /// Why.
        what: String,
    },
}

impl AnnotatorFault {
    /// A name for the kind of fault that programs can rely on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Paid(reply) => reply.value.code(),
            Self::Endpoint { .. } => "endpoint",
            Self::Refused { .. } => "refused",
            Self::Reply { .. } => "bad_reply",
            Self::Rating { .. } => "bad_rating",
            Self::NotRecorded { .. } => "not_recorded",
            Self::NoLabel { .. } => "no_label",
            Self::NoTls { .. } => "no_tls",
            Self::NoKey { .. } => "no_key",
            Self::Storage { .. } => "storage",
        }
    }

    /// Whether the same request may succeed later: such items are tried again when the build is resumed.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Endpoint { .. } | Self::Storage { .. } | Self::NoKey { .. } | Self::NoTls { .. })
            // An address or a key that is wrong refuses everything; status 0 is one that cannot be asked at all.
            || matches!(self, Self::Refused { status: 0 | 300..=399 | 401..=405, .. })
    }
}
