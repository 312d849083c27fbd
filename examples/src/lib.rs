//! What the examples share: the photograph and the model they run on when none is named.

use std::path::PathBuf;

use clap::Args;
use face_llava::{Error, ModelDir};

/// A photograph and a model.
#[derive(Args)]
pub struct Inputs {
    /// Picture or video
    #[arg(default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/astronaut.png"))]
    pub file: PathBuf,
    /// Folder of a Face-LLaVA model; without it the small demonstration model inside
    #[arg(long)]
    pub model: Option<PathBuf>,
}

impl Inputs {
    /// Opens the model's folder, or the model inside.
    ///
    /// # Errors
    /// As [`ModelDir::open`].
    pub fn open_model(&self) -> Result<ModelDir, Error> {
        self.model.as_ref().map_or_else(ModelDir::mini, ModelDir::open)
    }
}
