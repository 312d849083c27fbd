//! Pixel values against the authors' pipelines.

use face_encoder::{image_pixels, pad_to_square, video_pixels};
use image::{Rgb, RgbImage};
use landmarks::weights::Weights;

use crate::{device, fixture, values};

/// On normalised values, as promised; what f32 gives is far below.
const TOLERANCE: f32 = 5e-5;
/// The fixture keeps every 37th value.
const STRIDE: usize = 37;

fn compare(ours: &[f32], name: &str) {
    let reference = Weights::open(fixture("preprocess/every_37th.safetensors")).unwrap();
    let reference = reference.read_f32(&format!("{name}.pixel_values")).unwrap();
    let ours: Vec<f32> = ours.iter().step_by(STRIDE).copied().collect();
    assert_eq!(ours.len(), reference.len());
    let worst = ours.iter().zip(&reference).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= TOLERANCE, "{name}: {worst}");
}

fn picture(name: &str) -> RgbImage {
    landmarks::open(fixture("preprocess").join(name)).unwrap().rgb
}

#[test]
fn pictures_of_all_shapes_match() {
    for name in ["astronaut_140x100", "astronaut_200x260", "astronaut_crop256"] {
        compare(&values(image_pixels(&picture(&format!("{name}.png")), 224, &device())), name);
    }
    let large = landmarks::open(fixture("../../../examples/assets/astronaut.png")).unwrap().rgb;
    compare(&values(image_pixels(&large, 224, &device())), "astronaut_512");
}

#[test]
fn video_frames_match() {
    let source = picture("astronaut_crop256.png");
    let (w, h) = source.dimensions();
    let frames: Vec<RgbImage> = [0, 2, 5, 8, 10, 13, 16, 19]
        .iter()
        .map(|k| RgbImage::from_fn(w, h, |x, y| *source.get_pixel((x + w - 3 * k) % w, y)))
        .collect();
    // The reference is laid out channels first, then time.
    let pixels = video_pixels(&frames, 224, &device()).swap_dims(0, 1);
    compare(&values(pixels), "video");
}

#[test]
fn padding_keeps_the_picture_in_the_middle() {
    let wide = RgbImage::from_pixel(30, 10, Rgb([9, 9, 9]));
    let square = pad_to_square(&wide);
    assert_eq!(square.dimensions(), (30, 30));
    assert_eq!(square.get_pixel(0, 0).0, [122, 116, 104]);
    assert_eq!(square.get_pixel(15, 15).0, [9, 9, 9]);
    let strip = RgbImage::from_fn(10, 1001, |_, y| Rgb([(y / 4) as u8; 3]));
    let square = pad_to_square(&strip);
    assert_eq!((square.dimensions(), square.get_pixel(80, 80).0), ((160, 160), [125; 3]));
}

#[test]
fn thin_and_tiny_pictures_are_read() {
    for (w, h) in [(8, 8), (8, 16_000), (3000, 9), (225, 224)] {
        let pixels = values(image_pixels(&RgbImage::new(w, h), 224, &device()));
        assert!(pixels.len() == 3 * 224 * 224 && pixels.iter().all(|v| v.is_finite()), "{w}x{h}");
    }
}
