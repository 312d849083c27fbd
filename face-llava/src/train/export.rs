//! A model's folder in the hub's layout, with upstream names.

use std::path::Path;

use burn::tensor::FloatDType;
use landmarks::files::{write_bytes, write_folder};
use landmarks::weights::write;

use super::TrainError;
use crate::model_dir::{IMAGE_FOLDER, VIDEO_FOLDER};
use crate::{Error, FaceLlavaConfig, Network, Parts};

/// What a folder says besides its weights.
#[derive(Clone, Debug)]
pub struct Description<'a> {
    /// For config.json.
    pub config: &'a FaceLlavaConfig,
    /// Shapes of the towers.
    pub parts: &'a Parts,
    /// Content of tokenizer.json.
    pub tokenizer: &'a [u8],
}

/// Writes a folder that [`crate::ModelDir::open`] opens, whole or not at all. Towers are written into the checkpoint,
/// their shapes beside it.
///
/// # Errors
/// [`TrainError::Io`], also where the folder is there already; [`Error::Landmarks`].
pub fn export(network: &Network, about: &Description<'_>, folder: &Path, dtype: FloatDType) -> Result<(), Error> {
    let fail = |source| TrainError::Io { path: folder.into(), source };
    if folder.exists() {
        return Err(fail(std::io::Error::other("exists already; give the name of a new folder")).into());
    }
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(fail)?;
    write_folder(folder, |partial| {
        let at = |name: &str| partial.join(name);
        let json = |value: &serde_json::Value| serde_json::to_vec_pretty(value).map_err(|e| fail(e.into()));
        write(&at("model.safetensors"), &network.tensors(), dtype)?;
        let mut config = about.config.to_json();
        config["torch_dtype"] = match dtype {
            FloatDType::F16 => "float16",
            FloatDType::BF16 => "bfloat16",
            _ => "float32",
        }
        .into();
        write_bytes(&at("config.json"), &json(&config)?)?;
        write_bytes(&at("tokenizer.json"), about.tokenizer)?;
        for (tower, name) in [(&about.parts.image_tower, IMAGE_FOLDER), (&about.parts.video_tower, VIDEO_FOLDER)] {
            if let Some(tower) = tower {
                std::fs::create_dir(at(name)).map_err(fail)?;
                write_bytes(&at(name).join("config.json"), &json(&tower.to_json())?)?;
            }
        }
        Ok(())
    })
}
