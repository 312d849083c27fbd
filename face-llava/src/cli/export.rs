//! `face-llava export` and `face-llava merge`

use std::path::{Path, PathBuf};

use burn::tensor::FloatDType;
use clap::Args;
use face_llava::train::{Description, export, load_adapter, merge};
use face_llava::{ModelDir, Network};

use super::options::{DeviceOption, ModelOptions, Precision};
use super::{Failure, Outcome, busy, say};

#[derive(Args)]
#[command(after_help = "Examples:
  face-llava export --model stage2/model --out FaceLLaVA-mine --dtype f16
  face-llava export --model FaceLLaVA --quantize int4 --out FaceLLaVA-int4
  face-llava export --model checkpoint-bin --out as-safetensors
With --quantize the decoder's layers are kept in few bits, whatever --dtype says: this program
then reads less and starts sooner; others cannot read them.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    out: OutOptions,
    #[command(flatten)]
    device: DeviceOption,
}

#[derive(Args)]
#[command(after_help = "Example:
  face-llava merge --model FaceLLaVA --adapter run/adapter --out FaceLLaVA-tuned")]
pub(crate) struct MergeArguments {
    /// Folder of the model that the adapter was trained for
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// LanguageBind_Image folder to take the image tower from
    #[arg(long, value_name = "DIR")]
    image_tower: Option<PathBuf>,
    /// LanguageBind_Video_merge folder to take the video tower from
    #[arg(long, value_name = "DIR")]
    video_tower: Option<PathBuf>,
    /// Folder of the adapter: adapter_config.json and adapter_model.safetensors
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,
    #[command(flatten)]
    out: OutOptions,
    #[command(flatten)]
    device: DeviceOption,
}

#[derive(Args)]
struct OutOptions {
    /// Name of the new folder, in the hub's layout with upstream names
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Type of the weights
    #[arg(long, value_enum, default_value = "f16")]
    dtype: Precision,
}

impl OutOptions {
    /// Before anything is loaded.
    fn check(&self) -> Result<(), Failure> {
        if self.out.exists() {
            let out = self.out.display();
            return Err(Failure::Usage(format!("{out} exists already; give the name of a new folder")));
        }
        Ok(())
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    arguments.out.check()?;
    let dir = arguments.model.open()?;
    let model = arguments.model.load_from(&dir, &arguments.device.open()?)?;
    finish(&model.network, &dir, &arguments.out)
}

pub(crate) fn run_merge(arguments: &MergeArguments) -> Result<Outcome, Failure> {
    arguments.out.check()?;
    // An adapter goes with the weights as they are, in full precision.
    let model = ModelOptions {
        model: Some(arguments.model.clone()),
        image_tower: arguments.image_tower.clone(),
        video_tower: arguments.video_tower.clone(),
        decoder: None,
        strict: false,
        allow_nonfinite: false,
        quantize: None,
        precision: Precision::F32,
    };
    let dir = model.open()?;
    let mut network = model.load_from(&dir, &arguments.device.open()?)?.network;
    network.decoder = merge(load_adapter(network.decoder, &dir, &arguments.adapter)?);
    finish(&network, &dir, &arguments.out)
}

fn finish(network: &Network, dir: &ModelDir, out: &OutOptions) -> Result<Outcome, Failure> {
    write_model(network, dir, &out.out, out.dtype.into())?;
    say(format_args!("{}", out.out.display()))?;
    Ok(Outcome::Done)
}

/// Writes a model that began as the one in `dir`.
pub(crate) fn write_model(network: &Network, dir: &ModelDir, out: &Path, dtype: FloatDType) -> Result<(), Failure> {
    let bar = busy("writing the model");
    let mut parts = dir.parts();
    parts.landmarks = network.fusion.is_some();
    let about = Description { config: dir.config(), parts: &parts, tokenizer: &dir.tokenizer_json()? };
    let written = export(network, &about, out, dtype);
    bar.finish_and_clear();
    Ok(written?)
}
