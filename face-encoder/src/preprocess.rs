//! From pictures to normalised pixel values, as the authors' pipelines make them.

use burn::tensor::{Device, Tensor, TensorData};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::F32x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::{Rgb, RgbImage};

/// CLIP's mean of each channel.
pub const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// CLIP's standard deviation of each channel.
pub const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
/// The grey that training lays beside a picture to make it square.
const PAD: Rgb<u8> = Rgb([122, 116, 104]);

/// Of longer pictures only the middle is looked at. They hold no face.
const MAX_ASPECT: usize = 16;

/// A picture as the image tower reads it: short side to `size` (bicubic, smoothed), centre square, normalised.
///
/// # Shapes
/// - output `[3, size, size]`
pub fn image_pixels(picture: &RgbImage, size: usize, device: &Device) -> Tensor<3> {
    let values = picture.pixels().map(|p| F32x3::new(p.0.map(|v| f32::from(v) / 255.0))).collect();
    let plane = Plane { width: picture.width() as usize, height: picture.height() as usize, values };
    let mut square =
        plane.shortened().short_side(size, ResizeAlg::Convolution(FilterType::CatmullRom)).middle(size, size);
    square.normalise();
    square.into_tensor(device)
}

/// Frames as the video tower reads them: normalised first, then short side to `size` (bilinear, not smoothed), centre
/// square.
///
/// # Shapes
/// - output `[T, 3, size, size]`
///
/// # Panics
/// If there are no frames.
pub fn video_pixels(frames: &[RgbImage], size: usize, device: &Device) -> Tensor<4> {
    let frames = frames.iter().map(|frame| {
        let values = frame.pixels().map(|p| F32x3::new(p.0.map(|v| f32::from(v) / 255.0))).collect();
        let mut plane = Plane { width: frame.width() as usize, height: frame.height() as usize, values };
        plane.normalise();
        plane
            .shortened()
            .short_side(size, ResizeAlg::Interpolation(FilterType::Bilinear))
            .middle(size, size)
            .into_tensor(device)
    });
    Tensor::stack(frames.collect(), 0)
}

/// A picture laid in the middle of a square of the mean colour, as training does (`image_aspect_ratio: pad`). Of one longer
/// than sixteen times its short side the middle: the square of a whole strip could take gigabytes.
pub fn pad_to_square(picture: &RgbImage) -> RgbImage {
    let (w, h) = picture.dimensions();
    let side = w.max(h).min(MAX_ASPECT as u32 * w.min(h));
    let mut out = RgbImage::from_pixel(side, side, PAD);
    let before = |length: u32| (i64::from(side) - i64::from(length)).div_euclid(2);
    image::imageops::replace(&mut out, picture, before(w), before(h));
    out
}

/// RGB values in rows.
struct Plane {
    width: usize,
    height: usize,
    values: Vec<F32x3>,
}

impl Plane {
    fn normalise(&mut self) {
        for v in &mut self.values {
            *v = F32x3::new(std::array::from_fn(|c| (v.0[c] - MEAN[c]) / STD[c]));
        }
    }

    /// No longer than `MAX_ASPECT` times its short side: only the middle will be looked at, and a strip made larger as a
    /// whole could take gigabytes.
    fn shortened(self) -> Self {
        let limit = MAX_ASPECT * self.width.min(self.height);
        let (width, height) = (self.width.min(limit), self.height.min(limit));
        if (width, height) == (self.width, self.height) { self } else { self.middle(width, height) }
    }

    fn short_side(self, size: usize, algorithm: ResizeAlg) -> Self {
        let (w, h) = (self.width, self.height);
        let (width, height) = if w <= h { (size, size * h / w) } else { (size * w / h, size) };
        if (w, h) == (width, height) {
            return self;
        }
        let mut out = TypedImage::<F32x3>::new(width as u32, height as u32);
        let options = ResizeOptions::new().resize_alg(algorithm);
        let done = TypedImageRef::new(w as u32, h as u32, &self.values)
            .is_ok_and(|source| Resizer::new().resize_typed(&source, &mut out, &options).is_ok());
        debug_assert!(done, "a buffer of width times height pixels");
        Self { width, height, values: out.pixels().to_vec() }
    }

    /// The middle; halves are rounded to even, as Python does.
    fn middle(self, width: usize, height: usize) -> Self {
        let offset = |length: usize, size: usize| ((length - size) as f64 / 2.0).round_ties_even() as usize;
        let (left, top) = (offset(self.width, width), offset(self.height, height));
        let rows = (top..top + height).flat_map(|y| {
            let start = y * self.width + left;
            self.values[start..start + width].iter().copied()
        });
        Self { width, height, values: rows.collect() }
    }

    fn into_tensor(self, device: &Device) -> Tensor<3> {
        let planes: Vec<f32> = (0..3).flat_map(|c| self.values.iter().map(move |v| v.0[c])).collect();
        Tensor::from_data(TensorData::new(planes, [3, self.height, self.width]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_strips_the_middle_is_kept() {
        let plane = |width: usize, height: usize| {
            let values = (0..width * height).map(|i| F32x3::new([i as f32; 3])).collect();
            Plane { width, height, values }.shortened()
        };
        let strip = plane(8, 16_000);
        assert_eq!((strip.width, strip.height, strip.values.len()), (8, 128, 8 * 128));
        assert_eq!(strip.values[0].0[0], (8 * (16_000 - 128) / 2) as f32);
        let wide = plane(3000, 9);
        assert_eq!((wide.width, wide.height, wide.values[0].0[0]), (144, 9, 1428.0));
        let usual = plane(16, 1);
        assert_eq!((usual.width, usual.height), (16, 1));
    }
}
