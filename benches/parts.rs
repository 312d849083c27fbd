//! Timings of the parts on this machine's CPU: `cargo bench -p face-llava-benches`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use face_encoder::{TowerConfig, image_pixels};
use frgca::{FrgcaConfig, Fusion, Variant};
use image::imageops::{FilterType, resize};
use landmarks::quantized::{Bits, Quantized};
use landmarks::{DetectorOptions, FaceFinder};

fn picture() -> image::RgbImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/assets/astronaut.png");
    landmarks::open(path).unwrap().rgb
}

fn faces(c: &mut Criterion) {
    let finder = FaceFinder::new(DetectorOptions::default(), &Device::flex()).unwrap();
    let photo = resize(&picture(), 1920, 1280, FilterType::Triangle);
    c.bench_function("detect_1920x1280", |b| b.iter(|| finder.detect(&photo).unwrap()));
    c.bench_function("detect_and_align_1920x1280", |b| b.iter(|| finder.find(&photo).unwrap()));
}

fn encoder(c: &mut Criterion) {
    let photo = picture();
    c.bench_function("image_pixels", |b| b.iter(|| image_pixels(&photo, 224, &Device::flex())));
    let layers = TowerConfig { layers: 5, ..TowerConfig::vit_l_14() };
    let tower = layers.init(&Device::flex());
    let pixels = Tensor::<4>::random([1, 3, 224, 224], Distribution::Default, &Device::flex());
    c.bench_function("vit_l_14_four_layers", |b| b.iter(|| tower.images(pixels.clone())));
}

fn fusion(c: &mut Criterion) {
    let frgca = FrgcaConfig::new(1024, Variant::Simple).init(&Device::flex());
    let features = Tensor::<3>::random([1, 256, 1024], Distribution::Default, &Device::flex());
    let landmarks = Tensor::<3>::random([1, 68, 2], Distribution::Default, &Device::flex());
    c.bench_function("frgca_simple_1024", |b| b.iter(|| frgca.fuse(features.clone(), landmarks.clone()).unwrap()));
}

/// A layer of a 7B decoder; eight of them in turn, so that the weights come from memory.
fn few_bits(c: &mut Criterion) {
    let (rows, columns) = (11_008, 4096);
    for bits in [Bits::Int4, Bits::Int8] {
        let weights: Vec<Quantized> = (0..8).map(|seed| Quantized::random(rows, columns, bits, seed)).collect();
        let mut weights = weights.iter().cycle();
        for n in [1, 64, 313] {
            let x = Tensor::<2>::random([n, columns], Distribution::Default, &Device::flex());
            let name = format!("{bits:?}_{columns}_to_{rows}_by_{n}");
            c.bench_function(&name, |b| b.iter(|| Quantized::products([weights.next().unwrap()], x.clone())));
        }
    }
}

criterion_group! { name = parts; config = Criterion::default().sample_size(20); targets = faces, encoder, fusion, few_bits }
criterion_main!(parts);
