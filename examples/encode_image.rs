//! A picture through a CLIP vision tower: patch features of any size of tower.

use std::path::PathBuf;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::Device;
use clap::Parser;
use face_encoder::{TowerConfig, image_pixels};
use landmarks::weights::{LoadOptions, Weights};

/// Encode a picture with a vision tower.
#[derive(Parser)]
struct Arguments {
    /// The picture
    #[arg(default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/astronaut.png"))]
    file: PathBuf,
    /// LanguageBind_Image folder; without it a small tower with random weights
    #[arg(long)]
    tower: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let device = Device::flex();
    let tower = match &arguments.tower {
        Some(folder) => {
            let config = TowerConfig::from_json(&std::fs::read_to_string(folder.join("config.json"))?, -2)?;
            let weights = Weights::open(folder)?;
            config.init(&device).load(&weights, "vision_model.", &LoadOptions::default())?.0
        }
        None => {
            let small = TowerConfig { width: 192, layers: 6, heads: 3, mlp_width: 768, ..TowerConfig::vit_l_14() };
            small.init(&device)
        }
    };
    let picture = landmarks::open(&arguments.file)?;
    let pixels = image_pixels(&picture.rgb, tower.config().image_size, &device);
    let start = Instant::now();
    let features = tower.images(pixels.unsqueeze());
    let [_, patches, width] = features.dims();
    println!("{} parameters, {patches} patches of width {width} in {:.0?}", tower.num_params(), start.elapsed());
    let norms = features.powi_scalar(2).sum_dim(2).sqrt().into_data().try_to_vec::<f32>()?;
    println!("norms of the first patches: {:.2?}", &norms[..4]);
    Ok(())
}
