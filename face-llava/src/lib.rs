//! Face-LLaVA (arXiv 2504.07198) on burn: questions about a face, answered by a language model whose visual tokens are
//! guided by the face's geometry.
//!
//! ```text
//! Media::open ─► face, crop, 68 landmarks ─► Network: tower ─► projector ─► FRGCA ─► visual tokens ──┐
//! question ────► Conversation ─► Tokenizer ─► token ids ─────────────────────────► embeddings ──────┴► Llama ─► Answer
//! ```
//!
//! [`ModelDir`] opens a checkpoint as the hub keeps it, [`FaceLlava::load`] fills the [`Network`], a [`Session`] holds
//! the media and the conversation. The device decides where everything runs; features `cpu` (default), `wgpu` and
//! `cuda` build the backends in. Further features, on by default: `data` builds datasets, `train` trains, `eval` runs the
//! benchmarks, `mini` puts the small model inside; `tls` is for endpoints over https.
//!
//! ```no_run
//! use face_llava::{FaceLlava, LoadOptions, Media, ModelDir, SessionOptions, open_device};
//!
//! # fn main() -> Result<(), face_llava::Error> {
//! let device = open_device("auto")?.device;
//! let model = FaceLlava::load(&ModelDir::open("FaceLLaVA")?, &LoadOptions::default(), &device)?;
//! let mut session = model.session(SessionOptions::default());
//! session.set_media(&Media::open("photo.jpg")?)?;
//! let answer = session.ask("What emotion is shown?")?;
//! println!("{} (landmarks used: {})", answer.text, answer.landmarks_used);
//! # Ok(())
//! # }
//! ```
//!
//! Answers describe perceived expression and appearance. They are no statement about what a person feels, is or
//! intends, and nothing here identifies anybody.

mod config;
#[cfg(feature = "data")]
pub mod data;
pub mod decoder;
mod device;
mod differences;
mod error;
#[cfg(feature = "eval")]
pub mod eval;
mod generate;
mod media;
mod model;
mod model_dir;
mod network;
mod pruning;
mod questions;
mod row_file;
mod score;
mod session;
mod side_by_side;
mod slots;
mod task;
pub mod text;
#[cfg(feature = "train")]
pub mod train;
mod weights;

pub use config::FaceLlavaConfig;
pub use device::{NamedDevice, available, built_in, open_device, quietly};
pub use error::Error;
pub use generate::{Sampling, Step, StopReason, TokenLogprob};
pub use media::{FaceOptions, FrameFace, LandmarkSource, Media, Pixels, Prepared};
pub use model::{FaceLlava, LoadOptions, ModelReport};
pub use model_dir::{ModelDir, TowerFolders};
pub use network::{Network, Parts};
pub use row_file::{RowFault, RowFile};
pub use score::LabelScore;
pub use session::{Answer, Session, SessionOptions, Timings, check_question};
pub use side_by_side::Sessions;
pub use task::{ACTION_UNITS, ATTRIBUTES, AnswerSettings, EXPRESSIONS, Task, TaskAnswer};

/// The README's programs compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
