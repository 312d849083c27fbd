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
///
/// # Panics
/// If the picture has no pixels.
pub fn warp(picture: &RgbImage, map: &Affine, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |u, v| {
        let (x, y) = map.apply(f64::from(u), f64::from(v));
        image::Rgb(bilinear(picture, x, y, Border::Replicate))
    })
}

#[inline]
fn bilinear(picture: &RgbImage, x: f64, y: f64, border: Border) -> [u8; 3] {
    let (width, height) = (i64::from(picture.width()), i64::from(picture.height()));
    let raw = picture.as_raw();
    // To the nearest, halves away from zero; a cast cuts off.
    let steps = |x: f64| (x * STEPS as f64 + 0.5_f64.copysign(x)) as i64;
    let (qx, qy) = (steps(x), steps(y));
    let (x0, y0) = (qx.div_euclid(STEPS), qy.div_euclid(STEPS));
    let (fx, fy) = (qx.rem_euclid(STEPS) as u32, qy.rem_euclid(STEPS) as u32);
    let whole = STEPS as u32;
    let weights = [(whole - fx) * (whole - fy), fx * (whole - fy), (whole - fx) * fy, fx * fy];
    let blend = |corners: [&[u8]; 4]| -> [u8; 3] {
        let corner = |i: usize, c: usize| u32::from(corners[i][c]) * weights[i];
        // Spelled out: mapping an array is a call for each pixel.
        let channel = |c: usize| {
            let sum = corner(0, c) + corner(1, c) + corner(2, c) + corner(3, c);
            ((sum + whole * whole / 2) / (whole * whole)) as u8
        };
        [channel(0), channel(1), channel(2)]
    };
    if x0 >= 0 && y0 >= 0 && x0 + 1 < width && y0 + 1 < height {
        let at = ((y0 * width + x0) * 3) as usize;
        let (upper, lower) = (&raw[at..at + 6], &raw[at + 3 * width as usize..][..6]);
        return blend([&upper[..3], &upper[3..], &lower[..3], &lower[3..]]);
    }
    let pixel = |x: i64, y: i64| -> &[u8] {
        let (cx, cy) = (x.clamp(0, width - 1), y.clamp(0, height - 1));
        if border == Border::Zero && (cx != x || cy != y) {
            return &[0; 3];
        }
        let at = ((cy * width + cx) * 3) as usize;
        &raw[at..at + 3]
    };
    blend([pixel(x0, y0), pixel(x0 + 1, y0), pixel(x0, y0 + 1), pixel(x0 + 1, y0 + 1)])
}
