//! Low-rank adaptation of the decoder: adapters as files that know their base, in the layout of the peft library.

use std::path::Path;

use burn::tensor::FloatDType;
use landmarks::Linears;
use landmarks::files::{write_bytes, write_folder};
use landmarks::picture::read_file;
use landmarks::weights::{Key, LoadOptions, NamedTensors, Weights, collect, load, write};
use serde::{Deserialize, Serialize};

use super::TrainError;
use super::init::initialise_some;
use crate::decoder::Llama;
use crate::weights::digest_of;
use crate::{Error, ModelDir};

const ADAPTER: &str = "adapter_model.safetensors";
const CONFIG: &str = "adapter_config.json";
const MAX_CONFIG: u64 = 1 << 20;
/// The layers of the decoder that can be adapted.
pub const TARGETS: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// Low-rank adaptation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank of the additions.
    pub rank: usize,
    /// The additions are multiplied by `alpha / rank`.
    pub alpha: f64,
    /// Names of the adapted layers.
    pub targets: Vec<String>,
}

impl Default for LoraConfig {
    /// The authors' defaults, rank 64 and alpha 16, on every linear layer.
    fn default() -> Self {
        Self { rank: 64, alpha: 16.0, targets: TARGETS.map(str::to_owned).to_vec() }
    }
}

impl LoraConfig {
    /// # Errors
    /// [`TrainError::Setting`].
    pub fn check(&self) -> Result<(), TrainError> {
        if !(1..=4096).contains(&self.rank) {
            let value = self.rank.to_string();
            return Err(TrainError::Setting { name: "rank", value, expected: "1 to 4096" });
        }
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            let value = self.alpha.to_string();
            return Err(TrainError::Setting { name: "alpha", value, expected: "a positive number" });
        }
        let unknown = self.targets.iter().find(|t| !TARGETS.contains(&t.as_str()));
        if unknown.is_some() || self.targets.is_empty() {
            let expected = "some of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj";
            return Err(TrainError::Setting { name: "targets", value: self.targets.join(","), expected });
        }
        Ok(())
    }
}

/// adapter_config.json: peft's fields, and what the base is.
#[derive(Debug, Serialize, Deserialize)]
struct AdapterFile {
    peft_type: String,
    base_model_name_or_path: String,
    base_weights_sha256: String,
    r: usize,
    lora_alpha: f64,
    target_modules: Vec<String>,
    bias: String,
    task_type: String,
}

/// Puts fresh additions onto the decoder, the same from the same seed; they add nothing until they are trained.
///
/// # Errors
/// As [`LoraConfig::check`]; [`TrainError::Setting`] for layers in few bits.
pub fn adapt(decoder: Llama, config: &LoraConfig, seed: u64) -> Result<Llama, Error> {
    Ok(initialise_some(with_additions(decoder, config)?, 1, seed, |path| path.contains(".lora.")))
}

fn with_additions(mut decoder: Llama, config: &LoraConfig) -> Result<Llama, Error> {
    config.check()?;
    in_full(&mut decoder)?;
    for (path, linear) in decoder.linears_mut() {
        if config.targets.iter().any(|target| path.ends_with(target.as_str())) {
            linear.add_low_rank(config.rank, config.alpha / config.rank as f64);
        }
    }
    Ok(decoder)
}

/// Refuses a decoder with layers in few bits: they let no gradients through.
///
/// # Errors
/// [`TrainError::Setting`].
pub fn in_full(decoder: &mut Llama) -> Result<(), TrainError> {
    match decoder.linears_mut().find(|(_, linear)| linear.quantized.is_some()) {
        Some((path, _)) => {
            let (value, expected) = (format!("one with {path} in few bits"), "one in full precision");
            Err(TrainError::Setting { name: "the decoder", value, expected })
        }
        None => Ok(()),
    }
}

/// Adds the additions to the weights.
pub fn merge(mut decoder: Llama) -> Llama {
    for (_, linear) in decoder.linears_mut() {
        linear.merge_low_rank();
    }
    decoder
}

fn key(path: &str) -> Key {
    let name = path.replace(".lora.down", ".lora_A.weight").replace(".lora.up", ".lora_B.weight");
    format!("base_model.model.model.{name}").into()
}

/// Writes an adapter's folder, whole or not at all.
///
/// # Errors
/// [`Error::Landmarks`] where the disk refuses or the folder is there already.
pub fn save_adapter(decoder: &Llama, config: &LoraConfig, base: &ModelDir, folder: &Path) -> Result<(), Error> {
    let fail = |source| TrainError::Io { path: folder.into(), source };
    let all = collect(decoder, key);
    let tensors: NamedTensors = all.into_iter().filter(|(name, _)| name.contains(".lora_")).collect();
    let file = AdapterFile {
        peft_type: "LORA".into(),
        base_model_name_or_path: base.path().display().to_string(),
        base_weights_sha256: digest_of(base.weights())?,
        r: config.rank,
        lora_alpha: config.alpha,
        target_modules: config.targets.clone(),
        bias: "none".into(),
        task_type: "CAUSAL_LM".into(),
    };
    let text = serde_json::to_vec_pretty(&file).map_err(|e| fail(e.into()))?;
    write_folder(folder, |partial| {
        write(&partial.join(ADAPTER), &tensors, FloatDType::F32)?;
        Ok(write_bytes(&partial.join(CONFIG), &text)?)
    })
}

/// Puts an adapter onto the decoder of the model it belongs to.
///
/// # Errors
/// [`TrainError::OtherBase`]; [`TrainError::Setting`] for layers in few bits; [`Error::Config`] for another decoder; that and [`Error::Landmarks`] for files that are no adapter.
pub fn load_adapter(decoder: Llama, base: &ModelDir, folder: &Path) -> Result<Llama, Error> {
    let bytes = read_file(&folder.join(CONFIG), MAX_CONFIG)?;
    let file: AdapterFile =
        serde_json::from_slice(&bytes).map_err(|e| Error::Config(format!("{CONFIG} of the adapter: {e}")))?;
    if base.decoder.is_some() {
        return Err(Error::Config(format!(
            "{CONFIG}: an adapter goes with the decoder in its model's folder, not with another"
        )));
    }
    let found = digest_of(base.weights())?;
    if file.base_weights_sha256 != found {
        return Err(TrainError::OtherBase { expected: file.base_weights_sha256, found }.into());
    }
    let config = LoraConfig { rank: file.r, alpha: file.lora_alpha, targets: file.target_modules };
    let mut decoder = with_additions(decoder, &config)?;
    let weights = Weights::open(folder.join(ADAPTER))?;
    let options = LoadOptions::default();
    for (path, linear) in decoder.linears_mut() {
        if let Some(lora) = linear.lora.take() {
            let (lora, _) = load(lora, &weights, &options, |leaf| key(&format!("{path}.lora.{leaf}")))?;
            linear.lora = Some(lora);
        }
    }
    Ok(decoder)
}
