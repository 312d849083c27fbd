//! Sampling a picture into a network's input the way OpenCV does, which is how MediaPipe's networks were fed.

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;

use crate::Affine;

/// What lies outside the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Border {
    /// Black.
    Zero,
    /// The nearest pixel.
    Replicate,
}

/// Fractional positions per pixel: OpenCV's fixed-point interpolation.
const STEPS: i64 = 32;

/// `[1, 3, size, size]` sampled bilinearly at `map(u, v)`, in pixel indices, each value `level * scale + offset`.
/// Positions are rounded to 1/32 pixel and results to whole levels, as the reference does.
pub(crate) fn sample(
    picture: &RgbImage,
    map: &Affine,
    size: usize,
    border: Border,
    (scale, offset): (f32, f32),
    device: &Device,
) -> Tensor<4> {
    let plane = size * size;
    let mut out = vec![0.0; 3 * plane];
    for v in 0..size {
        for u in 0..size {
            let (x, y) = map.apply(u as f64, v as f64);
            for (c, level) in bilinear(picture, x, y, border).into_iter().enumerate() {
                out[c * plane + v * size + u] = f32::from(level) * scale + offset;
            }
        }
    }
    Tensor::from_data(TensorData::new(out, [1, 3, size, size]), device)
}

/// A picture of `width` by `height` pixels, sampled bilinearly at `map(u, v)`, in pixel indices; the border's pixels go on
/// beyond it.
pub fn warp(picture: &RgbImage, map: &Affine, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |u, v| {
        let (x, y) = map.apply(f64::from(u), f64::from(v));
        image::Rgb(bilinear(picture, x, y, Border::Replicate))
    })
}

fn bilinear(picture: &RgbImage, x: f64, y: f64, border: Border) -> [u8; 3] {
    let (width, height) = (i64::from(picture.width()), i64::from(picture.height()));
    let raw = picture.as_raw();
    let pixel = |x: i64, y: i64| -> [i64; 3] {
        let (cx, cy) = (x.clamp(0, width - 1), y.clamp(0, height - 1));
        if border == Border::Zero && (cx != x || cy != y) {
            return [0; 3];
        }
        let at = ((cy * width + cx) * 3) as usize;
        [raw[at], raw[at + 1], raw[at + 2]].map(i64::from)
    };
    let (qx, qy) = ((x * STEPS as f64).round() as i64, (y * STEPS as f64).round() as i64);
    let (x0, y0) = (qx.div_euclid(STEPS), qy.div_euclid(STEPS));
    let (fx, fy) = (qx.rem_euclid(STEPS), qy.rem_euclid(STEPS));
    let corners = [pixel(x0, y0), pixel(x0 + 1, y0), pixel(x0, y0 + 1), pixel(x0 + 1, y0 + 1)];
    let weights = [(STEPS - fx) * (STEPS - fy), fx * (STEPS - fy), (STEPS - fx) * fy, fx * fy];
    std::array::from_fn(|c| {
        let sum: i64 = corners.iter().zip(weights).map(|(p, w)| p[c] * w).sum();
        ((sum + STEPS * STEPS / 2) / (STEPS * STEPS)) as u8
    })
}
