//! The three variants against the authors' PyTorch code (simple, masked) and the paper's formula.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Distribution, FloatDType, Tensor, TensorData};
use frgca::{CrossAttentionConfig, Error, Frgca, FrgcaConfig, Fusion, ProjectorKind, Variant, masked_bias, paper_bias};
use landmarks::weights::{Key, LoadOptions, Weights, load};

/// Relative Frobenius error.
const TOLERANCE: f32 = 2e-4;

fn device() -> Device {
    Device::flex()
}

fn open(name: &str) -> Weights {
    Weights::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// A fixture's tensor with its leading axes joined so that `D` remain.
fn tensor<const D: usize>(weights: &Weights, name: &str, tail: [usize; 2]) -> Tensor<D> {
    let values = weights.read_f32(name).unwrap();
    let mut shape = [1; D];
    shape[D - 2..].copy_from_slice(&tail);
    shape[0] = values.len() / tail.iter().product::<usize>();
    Tensor::from_data(TensorData::new(values, shape), &device())
}

fn assert_close<const D: usize>(ours: Tensor<D>, reference: Tensor<D>) {
    assert_eq!(ours.dims(), reference.dims());
    let norm = |t: Tensor<D>| t.powi_scalar(2).sum().sqrt().into_scalar::<f32>();
    let error = norm(ours - reference.clone()) / norm(reference);
    assert!(error <= TOLERANCE, "relative error {error}");
}

fn released(fixture: &Weights, variant: Variant) -> Frgca {
    let module = FrgcaConfig::new(32, variant).init(&device());
    let (module, report) = module.load(fixture, "model.", &LoadOptions::default(), None).unwrap();
    assert!(report.all_zero.is_empty());
    module
}

fn released_case(fixture: &Weights, module: &Frgca, media: &str, tokens: usize) {
    let name = |n: &str| format!("{media}.{n}");
    let landmarks = tensor::<3>(fixture, &name("landmarks"), [68, 2]);
    assert_close(module.local.forward(landmarks.clone()), tensor(fixture, &name("local_landmark_tokens"), [9, 32]));
    let global = module.global.as_ref().unwrap().forward(landmarks.clone());
    assert_close(global, tensor(fixture, &name("global_landmark_token"), [1, 32]));
    let features = tensor::<3>(fixture, &name("features_no_landmarks"), [tokens, 32]);
    let fused = module.fuse(features, landmarks).unwrap();
    assert_close(fused, tensor(fixture, &name("features"), [tokens, 32]));
}

#[test]
fn simple_matches_on_images_and_videos() {
    let fixture = open("simple.safetensors");
    let module = released(&fixture, Variant::Simple);
    released_case(&fixture, &module, "image", 256);
    released_case(&fixture, &module, "video", 257);
}

#[test]
fn masked_matches_on_videos_and_refuses_images() {
    let fixture = open("masked.safetensors");
    let module = released(&fixture, Variant::Masked);
    released_case(&fixture, &module, "video", 257);
    let image = Tensor::<3>::zeros([1, 256, 32], &device());
    let landmarks = Tensor::<3>::zeros([1, 68, 2], &device());
    assert!(matches!(module.fuse(image, landmarks), Err(Error::MaskedNeedsClassToken { tokens: 256 })));
}

#[test]
fn paper_matches_on_images_and_videos() {
    for (name, tokens) in [("paper_image_256.safetensors", 256), ("paper_video_257.safetensors", 257)] {
        let fixture = open(name);
        let module = CrossAttentionConfig::new(32, Variant::Paper).init(&device());
        let (module, _) = load(module, &fixture, &LoadOptions::default(), |path| Key::from(path)).unwrap();
        let landmarks = tensor::<3>(&fixture, "landmarks", [68, 2]);
        assert_close(paper_bias(landmarks.clone(), tokens).unwrap(), tensor(&fixture, "mask", [tokens, 9]));
        let out = module.forward(
            tensor(&fixture, "features", [tokens, 32]),
            tensor(&fixture, "region_tokens", [9, 32]),
            landmarks,
        );
        assert_close(out.unwrap(), tensor(&fixture, "output", [tokens, 32]));
    }
}

/// The mask is computed in full precision, whatever the features are in.
#[test]
fn masks_work_in_half_precision() {
    for (variant, tokens) in [(Variant::Masked, 257), (Variant::Paper, 256)] {
        let half = |t: Tensor<3>| t.cast(FloatDType::BF16);
        let module = CrossAttentionConfig::new(32, variant).init(&device()).map(&mut Loud);
        let inputs = [random([2, tokens, 32]), random([2, 9, 32]), random([2, 68, 2])];
        let [features, regions, landmarks] = inputs.clone();
        let full = module.forward(features, regions, landmarks).unwrap();
        let module = module.map(&mut Half);
        let [features, regions, landmarks] = inputs.clone().map(half);
        let out = module.forward(features, regions, landmarks).unwrap().cast(FloatDType::F32);
        // Of what the branch adds: features pass it by.
        let [features, ..] = inputs;
        let norm = |t: Tensor<3>| t.powi_scalar(2).sum().sqrt().into_scalar::<f32>();
        let off = norm(out - full.clone()) / norm(full - features);
        assert!(off < 0.05, "{variant:?}: {off}");
    }
}

/// Weights so large that the branch counts for as much as the features.
struct Loud;

impl ModuleMapper for Loud {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| if D > 1 { tensor * 8.0 } else { tensor })
    }
}

struct Half;

impl ModuleMapper for Half {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(FloatDType::BF16))
    }
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(0.0, 1.0), &device())
}

#[test]
fn a_batch_gives_what_each_face_gives() {
    for variant in [Variant::Simple, Variant::Masked, Variant::Paper] {
        let module = FrgcaConfig::new(32, variant).init(&device()).map(&mut Loud);
        let (features, landmarks) = (random([3, 257, 32]), random([3, 68, 2]));
        let together = module.fuse(features.clone(), landmarks.clone()).unwrap();
        // Whose landmarks they are is seen.
        let swapped = module.fuse(features.clone(), landmarks.clone().flip([0])).unwrap();
        let norm = |t: Tensor<3>| t.powi_scalar(2).sum().sqrt().into_scalar::<f32>();
        assert!(norm(swapped - together.clone()) > 20.0 * TOLERANCE * norm(together.clone()), "{variant:?}");
        for i in 0..3 {
            let alone = module.fuse(features.clone().narrow(0, i, 1), landmarks.clone().narrow(0, i, 1)).unwrap();
            assert_close(together.clone().narrow(0, i, 1), alone);
        }
    }
}

#[test]
fn a_branch_scaled_by_zero_changes_nothing() {
    let mut config = FrgcaConfig::new(32, Variant::Simple);
    config.attention.branch_scale = 0.0;
    let features = random([1, 256, 32]);
    let out = config.init(&device()).fuse(features.clone(), random([1, 68, 2])).unwrap();
    assert_close(out, features);
}

#[test]
fn the_landmark_token_is_appended_where_asked() {
    let config = FrgcaConfig { landmark_token: true, ..FrgcaConfig::new(32, Variant::Simple) };
    let out = config.init(&device()).fuse(random([2, 256, 32]), random([2, 68, 2])).unwrap();
    assert_eq!(out.dims(), [2, 257, 32]);
}

#[test]
fn identical_landmarks_give_finite_values() {
    for variant in [Variant::Simple, Variant::Masked, Variant::Paper] {
        let module = FrgcaConfig::new(32, variant).init(&device());
        let out = module.fuse(random([1, 257, 32]), Tensor::full([1, 68, 2], 0.5, &device())).unwrap();
        assert!(out.into_data().as_slice::<f32>().unwrap().iter().all(|v| v.is_finite()));
    }
}

#[test]
fn wrong_shapes_are_errors() {
    let module = FrgcaConfig::new(32, Variant::Paper).init(&device());
    let fuse = |n, b, p| module.fuse(random([1, n, 32]), random([b, p, 2]));
    assert!(matches!(fuse(250, 1, 68), Err(Error::Grid { tokens: 250 })));
    assert!(matches!(fuse(256, 2, 68), Err(Error::Landmarks { .. })));
    assert!(matches!(fuse(256, 1, 67), Err(Error::Landmarks { .. })));
    assert!(masked_bias(random([1, 68, 2]), 0).is_err());
    // One token for the whole face, and a bias for nine regions.
    let config = FrgcaConfig { local: ProjectorKind::Linear, ..FrgcaConfig::new(32, Variant::Paper) };
    let fused = config.init(&device()).fuse(random([1, 256, 32]), random([1, 68, 2]));
    assert!(matches!(fused, Err(Error::Regions { tokens: 1 })));
}
