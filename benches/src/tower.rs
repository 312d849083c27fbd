//! The full-size ViT-L/14 tower with random weights: load time and peak memory, then one forward pass a line.
//!
//! `tower DIR [DEVICE]` loads the weights in DIR, in full and in 8 bits, and computes once for each line on stdin (`f32` or
//! `int8`), so that a script can interleave it with another program.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::io::BufRead;
use std::time::Instant;

use burn::tensor::{Distribution, Tensor};
use face_encoder::TowerConfig;
use face_llava::open_device;
use landmarks::quantized::Bits;
use landmarks::weights::{LoadOptions, Weights};

/// Peak resident memory of this process, MiB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap_or("VmHWM: 0 kB");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn main() {
    // As the program does.
    landmarks::memory::keep_freed_blocks();
    let arguments: Vec<String> = std::env::args().collect();
    let folder = arguments.get(1).expect("usage: tower DIR [DEVICE]; DIR holds model.safetensors");
    let device = open_device(arguments.get(2).map_or("cpu", String::as_str)).expect("device").device;
    let (before, start) = (peak(), Instant::now());
    let weights = Weights::open(folder).expect("weights");
    let config = TowerConfig::vit_l_14();
    let (tower, report) = config.init(&device).load(&weights, "vision_model.", &LoadOptions::default()).expect("load");
    let loaded = report.parameters as f64 * 4.0 / f64::from(1 << 20);
    let pixels = Tensor::<4>::random([1, 3, 224, 224], Distribution::Default, &device);
    println!(
        "loaded {loaded:.0} MiB in {:.2} s, peak {:.0} MiB over the start: {:.3} times the weights",
        start.elapsed().as_secs_f64(),
        peak() - before,
        (peak() - before) / loaded
    );
    let (prefix, options) = ("vision_model.", LoadOptions::default());
    let eight = config.init(&device).load_shared(&weights, prefix, prefix, &options, Some(Bits::Int8)).expect("load").0;
    let seen = [&tower, &eight].map(|tower| tower.images(pixels.clone()).into_data().iter::<f32>().collect::<Vec<_>>());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let cosine = dot(&seen[0], &seen[1]) / (dot(&seen[0], &seen[0]) * dot(&seen[1], &seen[1])).sqrt();
    println!("in 8 bits: cosine {cosine:.6} with f32");
    for line in std::io::stdin().lock().lines() {
        let tower = if line.unwrap().trim() == "int8" { &eight } else { &tower };
        let start = Instant::now();
        let out = tower.images(pixels.clone()).into_data();
        println!("{:.1} {}", start.elapsed().as_secs_f64() * 1000.0, out.shape());
    }
}
