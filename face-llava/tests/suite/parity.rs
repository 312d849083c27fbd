//! Every stage from pixels to tokens, and the whole way from a PNG file.

use burn::tensor::Tensor;
use face_llava::{FaceLlava, FaceOptions, LandmarkSource, LoadOptions, Media, ModelDir, Sampling, SessionOptions};
use landmarks::UnitLandmarks;
use serde_json::Value;

use crate::{assert_close, crop, device, encoder_fixture, fixture, ids, json, model, reference, tensor, towers};

/// Towers, projector.
const FEATURES: f64 = 2e-5;
/// Cross-attention, as promised.
const FUSED: f64 = 2e-4;
/// Final logits.
const LOGITS: f64 = 5e-5;

#[test]
fn image_stages_match() {
    let (model, reference, device) = (model(), reference(), device());
    let pixels = tensor(&reference, "image.pixel_values", [2, 3, 224, 224], &device);
    let tower = model.network.image_tower.as_ref().unwrap().images(pixels.clone());
    assert_close(tower.clone(), &reference, "image.tower_out", FEATURES);
    assert_close(model.network.projector.forward(tower), &reference, "image.projected", FEATURES);
    let plain = model.network.image_features(pixels.clone(), None).unwrap();
    assert_close(plain, &reference, "image.features_no_landmarks", FEATURES);
    let landmarks = tensor(&reference, "image.landmarks", [2, 68, 2], &device);
    let fused = model.network.image_features(pixels, Some(landmarks)).unwrap();
    assert_close(fused, &reference, "image.features", FUSED);
}

#[test]
fn video_stages_match() {
    let (model, reference, device) = (model(), reference(), device());
    let towers = landmarks::weights::Weights::open(encoder_fixture("towers.safetensors")).unwrap();
    let pixels = tensor(&towers, "video.pixel_values", [1, 3, 8, 224, 224], &device);
    let pixels = pixels.swap_dims(1, 2).squeeze_dim::<4>(0);
    let plain = model.network.video_features(pixels.clone(), None).unwrap();
    assert_close(plain, &reference, "video.features_no_landmarks", FEATURES);
    let landmarks = tensor(&reference, "video.landmarks", [8, 68, 2], &device);
    let fused = model.network.video_features(pixels, Some(landmarks)).unwrap();
    assert_close(fused, &reference, "video.features", FUSED);
}

/// `[1, L, D]`: text embeddings with each -200 replaced by the next block of features.
fn spliced(model: &FaceLlava, input_ids: &Value, features: &Tensor<3>) -> Tensor<3> {
    let (mut parts, mut block) = (Vec::new(), 0);
    for id in input_ids.as_array().unwrap() {
        if id.as_i64() == Some(-200) {
            parts.push(features.clone().narrow(0, block, 1).squeeze_dim(0));
            block += 1;
        } else {
            parts.push(model.network.decoder.embed(&[id.as_u64().unwrap() as u32]));
        }
    }
    Tensor::cat(parts, 0).unsqueeze()
}

/// `skip` leaves out features of a batch that the case does not use.
fn logits_case(case: &str, features: &str, shape: [usize; 3], skip: usize) {
    let (model, reference) = (model(), reference());
    let cases = json("tiny-simple/cases.json");
    let features = tensor(&reference, features, shape, &device()).narrow(0, skip, shape[0] - skip);
    let embeddings = spliced(&model, &cases[case]["input_ids"], &features);
    let length = cases[case]["seq_len_after_expansion"].as_u64().unwrap() as usize;
    assert_eq!(embeddings.dims()[1], length);

    let decoder = &model.network.decoder;
    let mut cache = decoder.cache(1);
    let hidden = decoder.forward(embeddings, &mut cache, &[0]);
    // In runs: the logits of a whole video would not fit into one buffer of a small device.
    let runs = (0..length).step_by(256).map(|start| {
        let run = hidden.clone().narrow(1, start, (length - start).min(256));
        decoder.logits(run).narrow(2, 0, 8)
    });
    let first = Tensor::cat(runs.collect(), 1);
    assert_close(first, &reference, &format!("{case}.logits_first8dims"), LOGITS);
    let mut last = decoder.logits(hidden.narrow(1, length - 1, 1));
    assert_close(last.clone(), &reference, &format!("{case}.logits_last"), LOGITS);

    for expected in ids(&cases[case]["greedy_new_ids"]) {
        let id = last.argmax(2).into_scalar::<i32>() as u32;
        assert_eq!(id, expected, "{case}");
        let hidden = decoder.forward(decoder.embed(&[id]).unsqueeze(), &mut cache, &[0]);
        last = decoder.logits(hidden);
    }
}

#[test]
fn image_logits_and_greedy_tokens_match() {
    logits_case("image", "image.features", [2, 256, 32], 0);
    logits_case("image_no_landmarks", "image.features_no_landmarks", [2, 256, 32], 1);
}

#[test]
fn video_logits_and_greedy_tokens_match() {
    logits_case("video", "video.features", [8, 257, 32], 0);
}

fn from_the_photo(dir: &ModelDir) {
    let model = FaceLlava::load(dir, &LoadOptions::default(), &device()).unwrap();
    let photo = json("tiny-simple/photo.json");
    let points: UnitLandmarks = serde_json::from_value(photo["landmarks_68_normalised"].clone()).unwrap();
    for (landmarks, name, used) in [
        (LandmarkSource::Given(vec![points]), "with_landmarks", true),
        (LandmarkSource::Without, "without_landmarks", false),
    ] {
        let mut session = model.session(SessionOptions {
            faces: FaceOptions { detect: false, landmarks, ..Default::default() },
            sampling: Sampling { max_new_tokens: 24, ..Default::default() },
            ..Default::default()
        });
        session.set_media(&Media::open(crop()).unwrap()).unwrap();
        let answer = session.ask(photo["question"].as_str().unwrap()).unwrap();
        assert_eq!(answer.token_ids, ids(&photo[name]["greedy_new_ids"]), "{name}");
        assert_eq!(answer.text, photo[name]["text"].as_str().unwrap());
        assert_eq!(answer.landmarks_used, used);
    }
}

#[test]
fn a_png_file_gives_the_reference_tokens() {
    // The towers come from the LanguageBind folders here, from the checkpoints below.
    from_the_photo(&ModelDir::open_with(fixture("tiny-simple/checkpoint"), &towers()).unwrap());
}

/// A model folder with the towers' folders inside it, which then only describe the checkpoint's own towers.
fn with_tower_folders(checkpoint: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: std::path::PathBuf, to: std::path::PathBuf| {
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    copy(fixture("tiny-simple").join(checkpoint), folder.path().into());
    for tower in ["LanguageBind_Image", "LanguageBind_Video_merge"] {
        let to = folder.path().join(tower);
        std::fs::create_dir_all(&to).unwrap();
        std::fs::copy(encoder_fixture(tower).join("config.json"), to.join("config.json")).unwrap();
    }
    folder
}

#[test]
fn safetensors_with_their_own_towers_give_the_same() {
    from_the_photo(&ModelDir::open(with_tower_folders("checkpoint").path()).unwrap());
}

#[test]
fn pickled_shards_give_the_same() {
    from_the_photo(&ModelDir::open(with_tower_folders("checkpoint-bin").path()).unwrap());
}
