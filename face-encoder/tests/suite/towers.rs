//! Hidden states and features against the authors' code.

use burn::tensor::{Distribution, Tensor, TensorData};
use face_encoder::{Tower, TowerConfig};
use landmarks::weights::{LoadOptions, Weights};

use crate::{device, error, fixture, values};

/// Relative Frobenius error of f32 arithmetic over three layers.
const TOLERANCE: f64 = 2e-5;

fn tower(folder: &str) -> Tower {
    let json = std::fs::read_to_string(fixture(folder).join("config.json")).unwrap();
    let config = TowerConfig::from_json(&json, -2).unwrap();
    let weights = Weights::open(fixture(folder)).unwrap();
    let (tower, _) = config.init(&device()).load(&weights, "vision_model.", &LoadOptions::default()).unwrap();
    let top = format!("vision_model.encoder.layers.{}.", config.layers - 1);
    assert!(weights.unused().iter().any(|name| name.starts_with(&top)), "the top layer is not read");
    tower
}

fn pixels(reference: &Weights, name: &str) -> Tensor<4> {
    let shape = reference.info(name).unwrap().shape.clone();
    let data = TensorData::new(reference.read_f32(name).unwrap(), shape.clone());
    match shape.len() {
        4 => Tensor::<4>::from_data(data, &device()),
        _ => Tensor::<5>::from_data(data, &device()).swap_dims(1, 2).reshape([8, 3, 224, 224]),
    }
}

fn compare(tower: &Tower, frames: usize, media: &str) {
    let reference = Weights::open(fixture("towers.safetensors")).unwrap();
    let mut seen = 0;
    tower.run(pixels(&reference, &format!("{media}.pixel_values")), frames, |i, x| {
        let name = format!("{media}.hidden.{i}");
        if reference.info(&name).is_some() {
            let worst = error(&values(x.clone()), &reference.read_f32(&name).unwrap());
            assert!(worst <= TOLERANCE, "{name}: {worst}");
            seen += 1;
        }
    });
    assert!(seen > 0);
}

#[test]
fn image_features_match() {
    let tower = tower("LanguageBind_Image");
    compare(&tower, 1, "image");
    let reference = Weights::open(fixture("towers.safetensors")).unwrap();
    let features = tower.images(pixels(&reference, "image.pixel_values"));
    assert_eq!(features.dims(), [1, 256, 48]);
    let worst = error(&values(features), &reference.read_f32("image.tower_out").unwrap());
    assert!(worst <= TOLERANCE, "{worst}");
}

#[test]
fn video_features_match() {
    let tower = tower("LanguageBind_Video_merge");
    compare(&tower, 8, "video");
    let reference = Weights::open(fixture("towers.safetensors")).unwrap();
    let features = tower.videos(pixels(&reference, "video.pixel_values").unsqueeze());
    assert_eq!(features.dims(), [1, 8, 257, 48]);
    let worst = error(&values(features), &reference.read_f32("video.tower_out").unwrap());
    assert!(worst <= TOLERANCE, "{worst}");
}

#[test]
fn a_batch_gives_what_each_gives() {
    let small =
        TowerConfig { width: 32, layers: 3, heads: 4, mlp_width: 64, image_size: 56, ..TowerConfig::vit_l_14() };
    let images = Tensor::<4>::random([3, 3, 56, 56], Distribution::Default, &device());
    let tower = small.init(&device());
    let together = values(tower.images(images.clone()));
    let alone: Vec<f32> = (0..3).flat_map(|i| values(tower.images(images.clone().narrow(0, i, 1)))).collect();
    assert!(error(&together, &alone) < 1e-5);

    let video = TowerConfig { frames: Some(4), ..small }.init(&device());
    let clips = Tensor::<5>::random([2, 4, 3, 56, 56], Distribution::Default, &device());
    let together = values(video.videos(clips.clone()));
    let alone: Vec<f32> = (0..2).flat_map(|i| values(video.videos(clips.clone().narrow(0, i, 1)))).collect();
    assert!(error(&together, &alone) < 1e-5);
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let config =
        TowerConfig::from_json(&std::fs::read_to_string(fixture("LanguageBind_Image/config.json")).unwrap(), -2)
            .unwrap();
    let weights = Weights::open(fixture("LanguageBind_Image")).unwrap();
    let load = |config: &TowerConfig, prefix| {
        config.init(&device()).load(&weights, prefix, &LoadOptions::default()).unwrap_err().to_string()
    };
    let wide = TowerConfig { width: 64, ..config.clone() };
    let text = load(&wide, "vision_model.");
    assert!(text.contains("[64]") && text.contains("[48]"), "{text}");
    let text = load(&config, "model.image_tower.");
    assert!(text.contains("missing") && text.contains("vision_model.embeddings.class_embedding"), "{text}");
    let deep = TowerConfig { layers: 6, ..config };
    assert!(load(&deep, "vision_model.").contains("layers.4"));
}
