//! The crate as its users see it. Reference values come from the authors' PyTorch code in f32.
//!
//! `FACE_LLAVA_DEVICE` names the device of the parity tests (default `cpu`).
#![allow(missing_docs, clippy::unwrap_used)]

mod cli;
#[cfg(feature = "data")]
mod data;
#[cfg(feature = "data")]
mod data_endpoint;
#[cfg(feature = "data")]
mod data_faces;
#[cfg(feature = "data")]
mod data_files;
#[cfg(feature = "eval")]
mod eval_benchmarks;
#[cfg(feature = "eval")]
mod eval_judge;
#[cfg(feature = "eval")]
mod eval_layouts;
#[cfg(feature = "eval")]
mod eval_run;
#[cfg(feature = "eval")]
mod eval_scores;
mod gguf;
#[cfg(feature = "train")]
mod gradients;
#[cfg(feature = "train")]
mod guidance;
mod labels;
#[cfg(feature = "mini")]
mod mini;
mod model_dirs;
mod parity;
mod quantized;
mod run;
mod scores;
#[cfg(feature = "data")]
mod server;
mod sessions;
mod text;
#[cfg(feature = "train")]
mod train;
#[cfg(feature = "train")]
mod train_program;
#[cfg(feature = "train")]
mod train_runs;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use face_llava::{FaceLlava, LoadOptions, ModelDir, TowerFolders, open_device};
use landmarks::weights::Weights;
use serde_json::Value;

fn device() -> Device {
    open_device(&std::env::var("FACE_LLAVA_DEVICE").unwrap_or_else(|_| "cpu".into())).unwrap().device
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The encoder's fixtures: the towers' folders, their inputs, the photograph's crop.
fn encoder_fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../face-encoder/tests/fixtures").join(name)
}

fn astronaut() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/assets/astronaut.png")
}

fn crop() -> PathBuf {
    encoder_fixture("preprocess/astronaut_crop256.png")
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

fn towers() -> TowerFolders {
    TowerFolders {
        image: Some(encoder_fixture("LanguageBind_Image")),
        video: Some(encoder_fixture("LanguageBind_Video_merge")),
    }
}

/// The small checkpoint; its towers are described by the folders beside the encoder's tests.
fn open_dir() -> ModelDir {
    ModelDir::open_with(fixture("tiny-simple/checkpoint"), &towers()).unwrap()
}

fn model() -> FaceLlava {
    FaceLlava::load(&open_dir(), &LoadOptions::default(), &device()).unwrap()
}

fn reference() -> Weights {
    Weights::open(fixture("tiny-simple/tensors.safetensors")).unwrap()
}

fn tensor<const D: usize>(weights: &Weights, name: &str, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(weights.read_f32(name).unwrap(), shape), device)
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

fn assert_close<const D: usize>(ours: Tensor<D>, weights: &Weights, name: &str, tolerance: f64) {
    let worst = error(&values(ours), &weights.read_f32(name).unwrap());
    assert!(worst <= tolerance, "{name}: relative error {worst}");
}
