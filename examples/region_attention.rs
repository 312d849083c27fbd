//! The cross-attention alone: where in the picture does each region of the face weigh most under the paper's mask?

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use clap::Parser;
use frgca::{FrgcaConfig, Fusion, Variant, paper_bias};
use landmarks::{FaceFinder, Region, crop_face};

/// Run the face-region-guided cross-attention on random features and a real face's landmarks.
#[derive(Parser)]
struct Arguments {
    /// Width of the features
    #[arg(long, default_value_t = 64)]
    width: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let device = Device::flex();
    let picture = landmarks::open(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/astronaut.png"))?;
    let face = FaceFinder::new(Default::default(), &device)?.find(&picture.rgb)?.faces.remove(0);
    let crop = crop_face(&picture.rgb, &face.bbox, Default::default())?;
    let points: Vec<f32> = crop.landmarks(&face.points).iter().flat_map(|p| [p.x, p.y]).collect();
    let landmarks = Tensor::<3>::from_data(TensorData::new(points, [1, 68, 2]), &device);

    let features = Tensor::<3>::random([1, 256, arguments.width], Distribution::Default, &device);
    for variant in [Variant::Simple, Variant::Paper] {
        let frgca = FrgcaConfig::new(arguments.width, variant).init(&device);
        let guided = frgca.fuse(features.clone(), landmarks.clone())?;
        let change = (guided - features.clone()).abs().mean().into_scalar::<f32>();
        println!("{variant:?}: features {:?} changed by {change:.4} on average", features.dims());
    }

    let nearest = paper_bias(landmarks, 256)?.argmax(1).into_data().try_into_vec_as::<i64>()?;
    for (region, patch) in Region::ALL.iter().zip(nearest) {
        println!("{:<9} weighs most in row {:>2}, column {:>2} of 16 x 16", region.name(), patch / 16, patch % 16);
    }
    Ok(())
}
