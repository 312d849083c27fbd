//! Self-blended pictures (in the spirit of Shiohara and Yamasaki, 2022): a face laid over itself after a small change,
//! with a soft edge. Such pictures show the traces of a face swap without any swapped face.

use image::RgbImage;
use landmarks::UnitLandmarks;
use rand::RngExt;
use serde::Serialize;

use super::seed::generator;

/// Width of the soft edge in widths of the face.
const EDGE: f32 = 0.07;

/// The change that was made to the face before it was laid over itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Blend {
    /// Factor of each channel.
    pub gain: [f32; 3],
    /// Added to each channel, levels.
    pub offset: [f32; 3],
    /// Standard deviation of the smoothing, fractions of the face's width.
    pub blur: f32,
    /// Factor of the size.
    pub scale: f32,
    /// Displacement, fractions of the face's width.
    pub shift: [f32; 2],
    /// Strength of the soft edge's middle, 0 to 1.
    pub strength: f32,
    trace: Trace,
}

/// What a viewer would notice first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trace {
    /// Another tone.
    Tone,
    /// Softer details.
    Softness,
    /// A displaced outline.
    Place,
}

impl Blend {
    /// A change drawn from the seed and a name. One kind of change leads, the others stay faint.
    pub fn draw(seed: u64, name: &str) -> Self {
        let mut rng = generator(seed, &format!("blend:{name}"));
        let trace = [Trace::Tone, Trace::Softness, Trace::Place][rng.random_range(0..3)];
        let sign = |rng: &mut rand_chacha::ChaCha8Rng| if rng.random::<bool>() { 1.0f32 } else { -1.0 };
        let common = sign(&mut rng) * if trace == Trace::Tone { rng.random_range(0.15f32..0.25) } else { 0.03 };
        let gain = [0; 3].map(|_| 1.0 + common + rng.random_range(-0.03f32..0.03));
        let offset = [0; 3].map(|_| rng.random_range(-3.0f32..3.0) + 30.0 * common);
        let blur = if trace == Trace::Softness { rng.random_range(0.009f32..0.015) } else { 0.004 };
        let scale = 1.0 + sign(&mut rng) * if trace == Trace::Place { rng.random_range(0.05f32..0.08) } else { 0.01 };
        let reach = if trace == Trace::Place { rng.random_range(0.05f32..0.08) } else { 0.006 };
        let angle = rng.random_range(0.0f32..std::f32::consts::TAU);
        let shift = [reach * angle.cos(), reach * angle.sin()];
        Self { gain, offset, blur, scale, shift, strength: rng.random_range(0.85f32..1.0), trace }
    }

    /// What a viewer would notice first.
    pub fn trace(&self) -> Trace {
        self.trace
    }

    /// The picture with the face laid over itself. Pixels outside the hull of the points stay as they are.
    pub fn apply(&self, picture: &RgbImage, points: &UnitLandmarks) -> RgbImage {
        let (w, h) = picture.dimensions();
        let hull = hull(points.iter().map(|p| [p.x * w as f32, p.y * h as f32]));
        let (x0, x1) = bounds(hull.iter().map(|p| p[0]));
        let (y0, y1) = bounds(hull.iter().map(|p| p[1]));
        let (width, center) = ((x1 - x0).max(1.0), [(x0 + x1) / 2.0, (y0 + y1) / 2.0]);
        let edge = EDGE * width;
        let soft = image::imageops::blur(picture, (self.blur * width).max(0.3));
        let (gain, offset) = self.tone(picture);
        let mut out = picture.clone();
        let span = |low: f32, high: f32, size: u32| (low.max(0.0) as u32)..(high.ceil().clamp(0.0, size as f32) as u32);
        for y in span(y0, y1, h) {
            for x in span(x0, x1, w) {
                let at = [x as f32 + 0.5, y as f32 + 0.5];
                let inside = depth(&hull, at) / edge;
                if inside <= 0.0 {
                    continue;
                }
                let t = inside.min(1.0);
                let weight = self.strength * t * t * (3.0 - 2.0 * t);
                let from = |i: usize| center[i] + (at[i] - center[i] - self.shift[i] * width) / self.scale;
                let moved = sample(&soft, from(0), from(1));
                let old = picture.get_pixel(x, y).0;
                let mixed = [0, 1, 2].map(|c| {
                    let changed = moved[c] * gain[c] + offset[c];
                    let level = f32::from(old[c]) * (1.0 - weight) + changed * weight;
                    level.round().clamp(0.0, 255.0) as u8
                });
                out.put_pixel(x, y, image::Rgb(mixed));
            }
        }
        out
    }

    /// The change of tone; grey pictures stay grey, or their tint would give them away.
    fn tone(&self, picture: &RgbImage) -> ([f32; 3], [f32; 3]) {
        if picture.pixels().any(|p| p.0[0] != p.0[1] || p.0[1] != p.0[2]) {
            return (self.gain, self.offset);
        }
        let mean = |v: [f32; 3]| [v.iter().sum::<f32>() / 3.0; 3];
        (mean(self.gain), mean(self.offset))
    }
}

fn bounds(values: impl Iterator<Item = f32>) -> (f32, f32) {
    values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

/// Bilinear, pixel centres at one half, the border repeated.
fn sample(picture: &RgbImage, x: f32, y: f32) -> [f32; 3] {
    let (w, h) = picture.dimensions();
    let split = |v: f32, size: u32| {
        let v = (v - 0.5).clamp(0.0, (size - 1) as f32);
        (v as u32, (v as u32 + 1).min(size - 1), v.fract())
    };
    let ((xa, xb, fx), (ya, yb, fy)) = (split(x, w), split(y, h));
    let level = |x, y, c: usize| f32::from(picture.get_pixel(x, y).0[c]);
    [0, 1, 2].map(|c| {
        let top = level(xa, ya, c) * (1.0 - fx) + level(xb, ya, c) * fx;
        let bottom = level(xa, yb, c) * (1.0 - fx) + level(xb, yb, c) * fx;
        top * (1.0 - fy) + bottom * fy
    })
}

/// The convex hull (Andrew's monotone chain), counter-clockwise with y down.
fn hull(points: impl Iterator<Item = [f32; 2]>) -> Vec<[f32; 2]> {
    let mut points: Vec<[f32; 2]> = points.collect();
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let half = |points: &mut dyn Iterator<Item = &[f32; 2]>| {
        let mut chain: Vec<[f32; 2]> = Vec::new();
        for p in points {
            while chain.len() > 1 && cross(chain[chain.len() - 2], chain[chain.len() - 1], *p) <= 0.0 {
                chain.pop();
            }
            chain.push(*p);
        }
        chain.pop();
        chain
    };
    let mut hull = half(&mut points.iter());
    hull.extend(half(&mut points.iter().rev()));
    hull
}

fn cross(o: [f32; 2], a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])
}

/// Distance to the nearest side of a convex polygon; negative outside.
fn depth(hull: &[[f32; 2]], p: [f32; 2]) -> f32 {
    let sides = hull.iter().zip(hull.iter().cycle().skip(1));
    let inner = sides.map(|(a, b)| cross(*a, *b, p) / (b[0] - a[0]).hypot(b[1] - a[1]).max(1e-6));
    let nearest = inner.fold(f32::INFINITY, f32::min);
    if hull.len() < 3 { f32::NEG_INFINITY } else { nearest }
}
