//! Small changes that leave what is to be learnt as it is.

use image::RgbImage;
use landmarks::{Affine, Landmarks, MIRROR, UnitLandmarks, UnitPoint, warp};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How far pictures are changed. Points move with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Largest turn, degrees.
    pub degrees: f64,
    /// Largest change of size, as a fraction.
    pub scale: f64,
    /// Largest shift, in sides.
    pub shift: f64,
    /// Whether half of the pictures are mirrored.
    pub mirror: bool,
    /// Largest change of contrast and of brightness, as fractions.
    pub light: f64,
    /// Part of the pictures that lose sharpness.
    pub blur: f64,
}

/// One change.
#[derive(Clone, Debug)]
pub(super) struct Change {
    degrees: f64,
    scale: f64,
    shift: [f64; 2],
    mirror: bool,
    contrast: f64,
    brightness: f64,
    blur: Option<f32>,
}

/// Random numbers that depend on what they are for, and on nothing that happened before.
pub(super) fn random(seed: u64, purpose: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (part, value) in key.chunks_mut(8).zip([seed, purpose, index, 0]) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

impl Augmentation {
    /// Draws a change.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> Change {
        let mut around = |limit: f64| if limit > 0.0 { rng.random_range(-limit..limit) } else { 0.0 };
        let degrees = around(self.degrees);
        let scale = 1.0 + around(self.scale);
        let shift = [around(self.shift), around(self.shift)];
        let (contrast, brightness) = (1.0 + around(self.light), around(self.light));
        let mirror = self.mirror && rng.random_bool(0.5);
        let blur = rng.random_bool(self.blur).then(|| rng.random_range(0.4..1.6));
        Change { degrees, scale, shift, mirror, contrast, brightness, blur }
    }
}

impl Change {
    /// From the changed picture to the original, both as unit squares scaled by their sides in pixels.
    fn map(&self, width: f64, height: f64) -> Affine {
        let (sin, cos) = self.degrees.to_radians().sin_cos();
        let (cx, cy) = (width / 2.0, height / 2.0);
        let (sx, sy) = (self.shift[0] * width, self.shift[1] * height);
        let (a, b) = (cos / self.scale, -sin / self.scale);
        let (d, e) = (sin / self.scale, cos / self.scale);
        let flip = if self.mirror { -1.0 } else { 1.0 };
        // Out of the centre, mirrored, turned and scaled, back and shifted.
        Affine([flip * a, b, cx + sx - flip * a * cx - b * cy, flip * d, e, cy + sy - flip * d * cx - e * cy])
    }

    pub fn picture(&self, picture: &RgbImage) -> RgbImage {
        let (w, h) = picture.dimensions();
        // Pixel indices lie half a pixel before pixel coordinates.
        let Affine([a, b, c, d, e, f]) = self.map(f64::from(w), f64::from(h));
        let map = Affine([a, b, c + 0.5 * (a + b) - 0.5, d, e, f + 0.5 * (d + e) - 0.5]);
        let mut out = warp(picture, &map, w, h);
        if let Some(sigma) = self.blur {
            out = image::imageops::fast_blur(&out, sigma);
        }
        let table: Vec<u8> = (0..256)
            .map(|v| ((f64::from(v) - 127.5) * self.contrast + 127.5 + 255.0 * self.brightness).clamp(0.0, 255.0) as u8)
            .collect();
        for level in out.iter_mut() {
            *level = table[usize::from(*level)];
        }
        out
    }

    /// Points in fractions of the changed picture, `width` and `height` pixels large.
    pub fn landmarks(&self, points: &UnitLandmarks, width: u32, height: u32) -> UnitLandmarks {
        let (width, height) = (f64::from(width), f64::from(height));
        let Some(back) = self.map(width, height).inverse() else { return points.clone() };
        let moved = points.map(|p| {
            let (x, y) = back.apply(f64::from(p.x) * width, f64::from(p.y) * height);
            UnitPoint::new((x / width) as f32, (y / height) as f32)
        });
        if self.mirror { Landmarks::new(std::array::from_fn(|i| moved[MIRROR[i]])) } else { moved }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Augmentation =
        Augmentation { degrees: 20.0, scale: 0.2, shift: 0.1, mirror: true, light: 0.2, blur: 0.0 };

    #[test]
    fn points_move_with_the_picture() {
        // White dots on black at five places far enough from each other and the border.
        let places = [(40, 50), (100, 50), (70, 80), (50, 105), (92, 104)];
        let mut picture = RgbImage::new(144, 144);
        for (x, y) in places {
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                picture.put_pixel(x + dx, y + dy, image::Rgb([255; 3]));
            }
        }
        let unit = |(x, y): (u32, u32)| UnitPoint::new((x + 1) as f32 / 144.0, (y + 1) as f32 / 144.0);
        let points = Landmarks::new(std::array::from_fn(|i| unit(places[i % 5])));
        for index in 0..40 {
            let change = Augmentation { light: 0.0, ..ALL }.draw(&mut random(7, 0, index));
            let (moved, out) = (change.landmarks(&points, 144, 144), change.picture(&picture));
            for i in 0..5 {
                let p = if change.mirror { moved[MIRROR.iter().position(|m| *m == i).unwrap()] } else { moved[i] };
                let near = |d: i64| {
                    let (x, y) = ((p.x * 144.0) as i64, (p.y * 144.0) as i64);
                    (-d..=d).flat_map(move |dx| (-d..=d).map(move |dy| (x + dx, y + dy)))
                };
                let brightest = near(1).map(|(x, y)| out.get_pixel(x as u32, y as u32).0[0]).max().unwrap();
                assert!(brightest > 100, "{change:?} point {i}: {brightest}");
            }
        }
    }

    #[test]
    fn nothing_asked_changes_nothing() {
        let none = Augmentation { degrees: 0.0, scale: 0.0, shift: 0.0, mirror: false, light: 0.0, blur: 0.0 };
        let picture = RgbImage::from_fn(31, 20, |x, y| image::Rgb([x as u8, y as u8, 9]));
        assert_eq!(none.draw(&mut random(0, 0, 0)).picture(&picture), picture);
    }

    #[test]
    fn the_same_purpose_gives_the_same_change() {
        let draw = |seed, index| format!("{:?}", ALL.draw(&mut random(seed, 3, index)));
        assert_eq!(draw(1, 5), draw(1, 5));
        assert_ne!(draw(1, 5), draw(1, 6));
        assert_ne!(draw(1, 5), draw(2, 5));
    }
}
