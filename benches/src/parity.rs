//! Compares with reference values that are too large, or show people who did not agree, to be kept in the repository:
//! `parity REFERENCE [DATA]`. REFERENCE holds the folders fan, mediapipe, detection, tiny-masked; DATA landmarks68.
//! Prints one line for each comparison; docs/parity.md quotes them.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use face_llava::{FaceLlava, LoadOptions, ModelDir, open_device};
use landmarks::fan::{FanAligner, FanRoi, decode_heatmaps};
use landmarks::weights::Weights;
use landmarks::{BBox, CropRule, Detector, DetectorOptions, FaceFinder, Point, Search, crop_face};
use serde_json::Value;

fn main() {
    let arguments: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let reference = arguments.first().expect("usage: parity REFERENCE [DATA]");
    let device = open_device("cpu").expect("the CPU").device;
    detection(&reference.join("detection"), &device);
    fan(&reference.join("fan"), &reference.join("detection"), &device);
    masked(&reference.join("tiny-masked"), &device);
    if let Some(data) = arguments.get(1) {
        points68(&data.join("landmarks68"), &device);
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("file")).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn bbox(value: &Value) -> BBox {
    BBox::from(<[f32; 4]>::try_from(numbers(value)).unwrap())
}

fn detection(folder: &Path, device: &Device) {
    let detector = Detector::new(DetectorOptions::default(), device).unwrap();
    let (mut faces, mut same, mut iou, mut score, mut grey) = (0, 0, 1.0_f32, 0.0_f32, 0.0_f64);
    let cases = json(&folder.join("detections.json"));
    for case in cases.as_array().unwrap() {
        let picture = landmarks::open(folder.join(case["image"].as_str().unwrap())).unwrap().rgb;
        let found = detector.detect(&picture).unwrap().faces;
        let expected = case["detections"].as_array().unwrap();
        same += usize::from(found.len() == expected.len());
        for e in expected {
            let truth = bbox(&e["bbox"]);
            let best = found.iter().max_by(|a, b| a.bbox.iou(&truth).total_cmp(&b.bbox.iou(&truth))).unwrap();
            faces += 1;
            iou = iou.min(best.bbox.iou(&truth));
            score = score.max((best.score - e["score"].as_f64().unwrap() as f32).abs());
        }
        if let Some(crop) = case["crop"].as_str() {
            let theirs = landmarks::open(folder.join(crop)).unwrap().rgb;
            let ours = crop_face(&picture, &found[0].bbox, CropRule::Authors).unwrap().image;
            let sum: u64 = ours.as_raw().iter().zip(theirs.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            grey = grey.max(sum as f64 / theirs.as_raw().len() as f64);
        }
    }
    let pictures = cases.as_array().unwrap().len();
    println!(
        "detection: same count in {same} of {pictures} pictures, {faces} faces, IoU >= {iou:.3}, score within {score:.4}"
    );
    println!("authors' crop: at most {grey:.2} grey levels mean difference");
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max)
}

fn fan(folder: &Path, pictures: &Path, device: &Device) {
    let aligner = FanAligner::load(folder.join("fan.pth.tar"), device).unwrap();
    let bytes = std::fs::read(folder.join("tensors.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        tensors.tensor(name).unwrap().data().as_chunks().0.iter().map(|c| f32::from_le_bytes(*c)).collect()
    };
    for (i, case) in json(&folder.join("cases.json"))["cases"].as_array().unwrap().iter().enumerate() {
        let b = numbers(&case["box_xyxy"]);
        let roi = FanRoi::from_box(&BBox::from([b[0], b[1], b[2] - b[0], b[3] - b[1]]));
        let picture = landmarks::open(pictures.join(case["image"].as_str().unwrap())).unwrap().rgb;
        let crop = aligner.crop(&picture, &roi).unwrap();
        let theirs = tensors.tensor(&format!("{i}.crop_u8")).unwrap().data();
        let grey = crop.as_raw().iter().zip(theirs).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
        let theirs = image::RgbImage::from_raw(256, 256, theirs.to_vec()).unwrap();
        let read = |flip| aligner.heatmaps(&theirs, flip).into_data().try_to_vec::<f32>().unwrap();
        let plain = read(false);
        let error = worst(&plain, &floats(&format!("{i}.heatmaps_last")));
        let flipped = tensors
            .tensor(&format!("{i}.heatmaps_with_flip"))
            .is_ok()
            .then(|| worst(&read(true), &floats(&format!("{i}.heatmaps_with_flip"))));
        let expected = floats(&format!("{i}.points_heatmap"));
        let maps = read(true);
        let points: Vec<f32> = decode_heatmaps(&maps).iter().flat_map(|(p, _)| [p.x, p.y]).collect();
        let points = worst(&points, &expected);
        let grey = grey / (3.0 * 65_536.0);
        println!(
            "FAN case {i}: crop {grey:.2} grey levels, heat maps {error:.1e}, flipped {flipped:?}, points {points:.3} px"
        );
    }
}

fn relative(ours: &[f32], reference: &[f32]) -> f64 {
    let norm = |v: &mut dyn Iterator<Item = f32>| v.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    norm(&mut ours.iter().zip(reference).map(|(a, b)| a - b)) / norm(&mut reference.iter().copied())
}

fn masked(folder: &Path, device: &Device) {
    let model =
        FaceLlava::load(&ModelDir::open(folder.join("checkpoint")).unwrap(), &LoadOptions::default(), device).unwrap();
    let reference = Weights::open(folder.join("tensors.safetensors")).unwrap();
    let read = |name: &str| reference.read_f32(name).unwrap();
    let pixels = TensorData::new(read("video.pixel_values"), [3, 8, 224, 224]);
    let pixels = Tensor::<4>::from_data(pixels, device).swap_dims(0, 1);
    let landmarks = Tensor::<3>::from_data(TensorData::new(read("video.landmarks"), [8, 68, 2]), device);
    let features = model.network.video_features(pixels, Some(landmarks)).unwrap();
    let fused = relative(&features.clone().into_data().try_to_vec::<f32>().unwrap(), &read("video.features"));
    let case = &json(&folder.join("cases.json"))["video"];
    let (decoder, mut block) = (&model.network.decoder, 0);
    let parts = case["input_ids"].as_array().unwrap().iter().map(|id| match id.as_i64() {
        Some(-200) => {
            block += 1;
            features.clone().narrow(0, block - 1, 1).squeeze_dim(0)
        }
        id => decoder.embed(&[id.unwrap() as u32]),
    });
    let mut cache = decoder.cache(1);
    let hidden = decoder.forward(Tensor::cat(parts.collect(), 0).unsqueeze(), &mut cache, &[0]);
    let length = hidden.dims()[1];
    let mut last = decoder.logits(hidden.narrow(1, length - 1, 1));
    let logits = relative(&last.clone().into_data().try_to_vec::<f32>().unwrap(), &read("video.logits_last"));
    let expected = case["greedy_new_ids"].as_array().unwrap();
    let mut equal = 0;
    for id in expected {
        let ours = last.argmax(2).into_scalar::<i32>();
        equal += usize::from(i64::from(ours) == id.as_i64().unwrap());
        last = decoder.logits(decoder.forward(decoder.embed(&[ours as u32]).unsqueeze(), &mut cache, &[0]));
    }
    println!("masked video: features {fused:.1e}, logits {logits:.1e}, {equal} of {} greedy tokens", expected.len());
}

/// Mean distance over the distance of the outer eye corners.
fn points68(folder: &Path, device: &Device) {
    let options = DetectorOptions { search: Search::Tiles, ..DetectorOptions::default() };
    let finder = FaceFinder::new(options, device).unwrap();
    let (mut errors, mut missed) = (Vec::new(), 0);
    let mut found = std::collections::HashMap::new();
    for face in json(&folder.join("points.json")).as_array().unwrap() {
        let name = face["image"].as_str().unwrap().to_owned();
        let path = folder.join(&name);
        let faces =
            found.entry(name).or_insert_with(|| finder.find(&landmarks::open(path).unwrap().rgb).unwrap().faces);
        let points = face["points_xy"].as_array().unwrap().iter();
        let truth: Vec<Point> = points.map(|p| Point::from(<[f32; 2]>::try_from(numbers(p)).unwrap())).collect();
        let around = BBox::around(&truth);
        let near = |f: &&landmarks::Face| f.bbox.center().distance(around.center());
        match faces.iter().min_by(|a, b| near(a).total_cmp(&near(b))).filter(|f| near(f) < around.width / 2.0) {
            None => missed += 1,
            Some(best) => {
                let sum: f32 = best.points.iter().zip(&truth).map(|(a, b)| a.distance(*b)).sum();
                errors.push(sum / 68.0 / truth[36].distance(truth[45]));
            }
        }
    }
    let mean = errors.iter().sum::<f32>() / errors.len() as f32;
    println!("68 points: mean error {mean:.4} of the inter-ocular distance on {} faces, {missed} missed", errors.len());
}
