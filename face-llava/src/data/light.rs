//! What the pixels of a crop tell: how bright and how sharp it is.

use image::{GrayImage, RgbImage, imageops};
use serde::Serialize;

/// Side that pictures are brought to before sharpness is measured: sharpness depends on scale.
const SIDE: u32 = 128;
/// A mean level below this is dark.
const DARK: f32 = 80.0;
/// A mean level above this is bright.
const BRIGHT: f32 = 180.0;
/// A [`Light::sharpness`] below this is blurry.
const BLURRY: f32 = 0.018;

/// Brightness and sharpness of the middle of a crop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Light {
    /// Mean level, 0 to 255.
    pub level: f32,
    /// Variance of the Laplacian over that of the levels, at 128 pixels a side: low contrast is no blur.
    pub sharpness: f32,
}

impl Light {
    /// Measures the middle half of a crop, where the face is.
    pub fn new(crop: &RgbImage) -> Self {
        let small = imageops::resize(&imageops::grayscale(crop), SIDE, SIDE, imageops::FilterType::Triangle);
        let (mut levels, mut edges) = (Spread::default(), Spread::default());
        for y in SIDE / 4..SIDE * 3 / 4 {
            for x in SIDE / 4..SIDE * 3 / 4 {
                let at = |dx: i32, dy: i32| level(&small, x.wrapping_add_signed(dx), y.wrapping_add_signed(dy));
                let edge = at(-1, 0) + at(1, 0) + at(0, -1) + at(0, 1) - 4.0 * at(0, 0);
                levels.add(at(0, 0));
                edges.add(edge);
            }
        }
        // One grey level squared: a flat picture is blurry, not undefined.
        Self { level: levels.mean(), sharpness: edges.variance() / levels.variance().max(1.0) }
    }

    /// Whether it is dark.
    pub fn is_dark(&self) -> bool {
        self.level < DARK
    }

    /// Whether it is bright.
    pub fn is_bright(&self) -> bool {
        self.level > BRIGHT
    }

    /// Whether edges are missing.
    pub fn is_blurry(&self) -> bool {
        self.sharpness < BLURRY
    }
}

/// Sums for a mean and a variance.
#[derive(Default)]
struct Spread {
    count: f32,
    sum: f32,
    squares: f32,
}

impl Spread {
    fn add(&mut self, value: f32) {
        (self.count, self.sum, self.squares) = (self.count + 1.0, self.sum + value, self.squares + value * value);
    }

    fn mean(&self) -> f32 {
        self.sum / self.count
    }

    fn variance(&self) -> f32 {
        self.squares / self.count - self.mean().powi(2)
    }
}

fn level(picture: &GrayImage, x: u32, y: u32) -> f32 {
    f32::from(picture.get_pixel(x, y).0[0])
}
