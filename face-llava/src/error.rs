//! What can go wrong, and what to do about it.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Pictures, faces, weights.
    #[error(transparent)]
    Landmarks(#[from] landmarks::Error),
    /// Towers and videos.
    #[error(transparent)]
    Encoder(#[from] face_encoder::Error),
    /// The fusion of landmarks and features.
    #[error(transparent)]
    Fusion(#[from] frgca::Error),
    /// Building datasets.
    #[cfg(feature = "data")]
    #[error(transparent)]
    Data(#[from] crate::data::DataError),
    /// Training.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(#[from] crate::train::TrainError),
    /// A folder that is no model.
    #[error("{}: {what}", path.display())]
    ModelDir {
        /// The folder or file.
        path: PathBuf,
        /// What is missing or wrong.
        what: String,
    },
    /// A configuration that makes no sense.
    #[error("config.json: {0}")]
    Config(String),
    /// Weights that nothing uses, in strict mode.
    #[error("{count} tensors are not used, first {names:?}; drop --strict to go on")]
    UnusedTensors {
        /// How many.
        count: usize,
        /// The first twenty.
        names: Vec<String>,
    },
    /// A tokenizer that cannot be used.
    #[error("tokenizer.json: {0}")]
    Tokenizer(String),
    /// No face where one is needed.
    #[error(
        "no face found in {media}; if the picture is the face crop itself, say so: --no-detect (run, eval: --whole-image)"
    )]
    NoFace {
        /// Which media.
        media: String,
    },
    /// A face that is not there, where there are others.
    #[error("{media}: no face number {index}; {of} found, counted from 0 by `face-llava faces`")]
    FaceIndex {
        /// Which media.
        media: String,
        /// The number asked for.
        index: usize,
        /// Faces (in clips: tracks) found.
        of: usize,
    },
    /// Landmarks that do not go with the media.
    #[error("{given} sets of landmarks for {frames} frames: give one for each")]
    LandmarkFrames {
        /// Sets given.
        given: usize,
        /// Frames of the media.
        frames: usize,
    },
    /// The model has no tower for this kind of media.
    #[error("this model has no {kind} tower; pass --{kind}-tower DIR")]
    NoTower {
        /// `image` or `video`.
        kind: &'static str,
    },
    /// An empty or oversized question.
    #[error("the question has {bytes} bytes; expected 1 to {limit}, not only white space")]
    Question {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// More tokens than the model can hold.
    #[error(
        "{prompt} tokens of prompt and media and {new} new ones are more than the context of {context}: ask a shorter \
         question, begin a new conversation, or lower --max-new-tokens"
    )]
    Context {
        /// Tokens of the prompt, media included.
        prompt: usize,
        /// New tokens wanted.
        new: usize,
        /// The model's context.
        context: usize,
    },
    /// A sampling setting out of range.
    #[error("{name} is {value}; expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What is accepted.
        expected: &'static str,
    },
    /// No candidates to score, or too many.
    #[error("{given} labels to score; expected 1 to {limit}")]
    LabelCount {
        /// Labels given.
        given: usize,
        /// The limit.
        limit: usize,
    },
    /// A candidate that cannot be scored.
    #[error("label {index}, {label:?}, {what}")]
    Label {
        /// Its place among the candidates.
        index: usize,
        /// The label.
        label: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The model's output is not finite.
    #[error("the model gave NaN or infinity at step {step}: the weights are damaged or too large for this precision")]
    NonFinite {
        /// 0 for the prompt, then the new token.
        step: usize,
    },
    /// A device that is not there.
    #[error("device {device:?}: {what}")]
    Device {
        /// As asked for.
        device: String,
        /// Why not, and what to do.
        what: String,
    },
    /// The backend failed.
    #[error("the device failed: {0}; a smaller question or --device cpu may work")]
    Backend(String),
}

impl Error {
    /// Whether the same may succeed later: a disk, a helper program or a device was at fault.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Landmarks(error) => error.is_passing(),
            Self::Encoder(error) => error.is_passing(),
            Self::Backend(_) => true,
            _ => false,
        }
    }

    /// A name for the kind of error that programs can rely on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Landmarks(_) => "input",
            Self::Encoder(_) => "media",
            Self::Fusion(_) => "fusion",
            #[cfg(feature = "data")]
            Self::Data(e) => e.code(),
            #[cfg(feature = "train")]
            Self::Train(_) => "train",
            Self::ModelDir { .. } => "model_dir",
            Self::Config(_) => "config",
            Self::UnusedTensors { .. } => "unused_tensors",
            Self::Tokenizer(_) => "tokenizer",
            Self::NoFace { .. } => "no_face",
            Self::FaceIndex { .. } => "face_index",
            Self::LandmarkFrames { .. } => "landmark_frames",
            Self::NoTower { .. } => "no_tower",
            Self::Question { .. } => "question",
            Self::Context { .. } => "context",
            Self::Setting { .. } => "setting",
            Self::LabelCount { .. } => "label_count",
            Self::Label { .. } => "label",
            Self::NonFinite { .. } => "non_finite",
            Self::Device { .. } => "device",
            Self::Backend(_) => "backend",
        }
    }
}
