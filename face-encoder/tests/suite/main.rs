//! Towers, preprocessing and frames as users see them. Reference values come from the authors' PyTorch code.
#![allow(missing_docs, clippy::unwrap_used)]

mod clips;
mod ops;
mod preprocess;
mod towers;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};

fn device() -> Device {
    Device::flex()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn values<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().try_to_vec().unwrap()
}

/// Relative Frobenius error.
fn error(ours: &[f32], reference: &[f32]) -> f64 {
    assert_eq!(ours.len(), reference.len());
    let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let difference = norm(&mut ours.iter().zip(reference).map(|(a, b)| a - b));
    difference / norm(&mut reference.iter().copied())
}
