//! Building instruction datasets (FaceInstruct): from labelled pictures to conversations.
//!
//! ```text
//! Source (CSV, JSON) ─► build ─► records.json, rejected.jsonl, manifest.json, media/ ─► split ─► train.json, val.json, test.json
//!                        │ Annotator: offline, chat endpoint, replay
//!                        └ Rater: chat endpoint, replay
//! ```
//!
//! [`build()`] is resumable and works in shards; [`read_records`] gives a trainer what it reads, [`split_of`] says which
//! part a person belongs to.

pub mod annotate;
pub mod blend;
mod build;
mod check;
mod error;
pub mod geometry;
pub mod light;
pub(crate) mod line_numbers;
mod parts;
mod points;
mod pool;
mod read;
mod record;
pub(crate) mod seed;
pub mod source;
mod split;
mod stats;

pub(crate) use annotate::capital;
pub use annotate::{Annotator, AnnotatorFault, ChatOptions, Rater, Usage};
pub use build::{
    AnnotatorChoice, BuildOptions, BuildReport, Faces, ItemFault, Progress, RaterChoice, Shard, build, build_with,
    merge,
};
pub use check::{Problem, check};
pub use error::{DataError, Place, Unit};
pub use parts::{Part, SplitReport, split};
pub use points::read_landmarks;
pub use read::{RecordsFile, read_records};
pub use record::{LabelOrigin, LandmarksField, Message, Meta, Rating, Record, Speaker};
pub use split::{Fractions, SPLIT_SEED, Split, person_of, split_of};
pub use stats::{Stats, TaskStats, stats};
