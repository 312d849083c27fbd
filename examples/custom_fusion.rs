//! A research change: another way to inform visual tokens by landmarks, in place of the cross-attention, without a
//! change to any crate.

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};
use clap::Parser;
use face_llava::{FaceLlava, LoadOptions, Media, SessionOptions, open_device};
use face_llava_examples::Inputs;
use frgca::Fusion;
use landmarks::{Linear, LinearConfig};

/// Ask with a gated fusion in place of the cross-attention.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
}

/// Each channel of every patch is scaled by what a small perceptron reads from the landmarks (as FiLM does).
#[derive(Module, Debug)]
struct GatedFusion {
    hidden: Linear,
    gate: Linear,
}

impl GatedFusion {
    fn new(width: usize, device: &Device) -> Self {
        Self { hidden: LinearConfig::new(136, 64).init(device), gate: LinearConfig::new(64, width).init(device) }
    }
}

impl Fusion for GatedFusion {
    fn fuse(&self, features: Tensor<3>, landmarks: Tensor<3>) -> Result<Tensor<3>, frgca::Error> {
        let [b, ..] = features.dims();
        let hidden = activation::gelu(self.hidden.forward(landmarks.reshape([b, 1, 136])));
        Ok(features * (self.gate.forward(hidden) + 1.0))
    }
}

fn main() -> Result<(), face_llava::Error> {
    let arguments = Arguments::parse();
    let device = open_device("auto")?.device;
    let model = FaceLlava::load(&arguments.inputs.open_model()?, &LoadOptions::default(), &device)?;
    let media = Media::open(&arguments.inputs.file)?;
    let width = model.config.llama.width;
    let ours = answer(&model, &media)?;
    let theirs = answer(&model.with_fusion(Some(GatedFusion::new(width, &device))), &media)?;
    println!("cross-attention: {ours}\ngated fusion:    {theirs}");
    Ok(())
}

fn answer<F: Fusion>(model: &FaceLlava<F>, media: &Media) -> Result<String, face_llava::Error> {
    let mut session = model.session(SessionOptions::default());
    session.options_mut().sampling.max_new_tokens = 48;
    session.set_media(media)?;
    Ok(session.ask("What emotion is shown?")?.text)
}
