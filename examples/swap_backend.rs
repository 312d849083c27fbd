//! The same code on every device that this program was built for: cargo run --features wgpu --example swap_backend

use std::time::Instant;

use burn::tensor::{Distribution, Tensor};
use clap::Parser;
use face_llava::{available, built_in};
use frgca::{FrgcaConfig, Fusion, Variant};

/// Run one module on each device and compare the results.
#[derive(Parser)]
struct Arguments {
    /// Width of the features
    #[arg(long, default_value_t = 64)]
    width: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    println!("built in: {}", built_in().join(", "));
    let devices = available();
    let first = devices.last().ok_or("no device")?.device.clone();
    let module = FrgcaConfig::new(arguments.width, Variant::Simple).init(&first);
    let features = Tensor::<3>::random([1, 256, arguments.width], Distribution::Default, &first);
    let landmarks = Tensor::<3>::random([1, 68, 2], Distribution::Default, &first);
    let expected = module.fuse(features.clone(), landmarks.clone())?.into_data();
    for named in devices {
        // Nothing but the device changes.
        let module = burn::module::Module::to_device(module.clone(), &named.device);
        let (features, landmarks) =
            (features.clone().to_device(&named.device), landmarks.clone().to_device(&named.device));
        let start = Instant::now();
        let found = module.fuse(features, landmarks)?.into_data();
        let pairs = found.as_slice::<f32>()?.iter().zip(expected.as_slice::<f32>()?);
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{}: {:.1?}, largest difference {worst:.1e}", named.name, start.elapsed());
    }
    Ok(())
}
