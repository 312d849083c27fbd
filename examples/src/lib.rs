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
    /// Folder of a Face-LLaVA model; without it a tiny one with random weights, whose answers are nonsense
    #[arg(long)]
    pub model: Option<PathBuf>,
}

impl Inputs {
    /// Opens the model's folder.
    ///
    /// # Errors
    /// As [`ModelDir::open`].
    pub fn open_model(&self) -> Result<ModelDir, Error> {
        if let Some(folder) = &self.model {
            return ModelDir::open(folder);
        }
        eprintln!("no --model given: using a tiny model with random weights, its answers are nonsense");
        ModelDir::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../face-llava/tests/fixtures/tiny-simple/checkpoint"))
    }
}
