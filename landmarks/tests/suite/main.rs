//! Tests of the crate as its users see it. Fixtures come from MediaPipe 0.10.14 and the authors' PyTorch code.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod detection;
mod networks;
mod pictures;
mod weights;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use landmarks::picture::Picture;

fn device() -> Device {
    Device::flex()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn astronaut() -> Picture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/assets/astronaut.png");
    landmarks::open(path).unwrap()
}

/// Largest absolute difference.
fn max_abs(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}
