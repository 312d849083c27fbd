//! The square 256x256 face crop that the model reads, and the exact way back to the picture.

use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::warp::warp;
use crate::{Affine, BBox, Error, PixelLandmarks, Point, Region, UnitLandmarks, UnitPoint};

/// Side of the crop, pixels.
pub const CROP: u32 = 256;

/// How the square is laid around a face.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "rule")]
pub enum CropRule {
    /// The authors' crop tool: from the box's top-left corner, the side being the mean of width and height, clipped by
    /// the picture, sampled without smoothing. What the published model was trained on.
    #[default]
    Authors,
    /// Centred on the box, with a margin, black beyond the border, smoothed where it shrinks.
    Centered {
        /// Added on each side, in sides of the box.
        margin: f32,
    },
    /// Turned, scaled and shifted so that eyes and mouth lie where they do in every other face: [`FaceCrop::aligned`].
    Aligned,
}

/// Where the picture's left eye, right eye and mouth come to lie in an aligned crop, in fractions of it.
const PLACES: [[f64; 2]; 3] = [[0.27, 0.34], [0.73, 0.34], [0.5, 0.80]];

/// A crop and where it came from.
#[derive(Clone, Debug)]
pub struct FaceCrop {
    /// 256x256 pixels.
    pub image: RgbImage,
    /// The square of the picture that was cropped, pixels.
    pub square: BBox,
    /// The rule that laid it.
    pub rule: CropRule,
    /// Whether part of the square lies outside the picture.
    pub truncated: bool,
    /// From fractions of the crop to pixels of the picture.
    map: Affine,
}

impl FaceCrop {
    fn new(image: RgbImage, square: BBox, rule: CropRule, truncated: bool) -> Self {
        let [x, y, width, height] = [square.x, square.y, square.width, square.height].map(f64::from);
        Self { image, square, rule, truncated, map: Affine::scale_offset(width, height, x, y) }
    }

    /// A picture taken as the crop itself, whatever its shape.
    pub fn whole(picture: &RgbImage) -> Self {
        let (width, height) = (picture.width() as f32, picture.height() as f32);
        let square = BBox { x: 0.0, y: 0.0, width, height };
        Self::new(picture.clone(), square, CropRule::Centered { margin: 0.0 }, false)
    }

    /// The square in which eyes and mouth lie at fixed places, as nearly as turning, scaling and shifting can bring them
    /// there. `square` is the upright box around it; pixels beyond the border repeat the border's.
    ///
    /// # Errors
    /// [`Error::BadBox`] where the points are one point, or not finite.
    pub fn aligned(picture: &RgbImage, points: &PixelLandmarks) -> Result<Self, Error> {
        let (w, h) = picture.dimensions();
        let middle = |region: Region| {
            let points = &points[region.points()];
            let sum = points.iter().fold([0.0, 0.0], |[x, y], p| [x + f64::from(p.x), y + f64::from(p.y)]);
            sum.map(|v| v / points.len() as f64)
        };
        let to = [middle(Region::Eye1), middle(Region::Eye2), middle(Region::Lips)];
        let mean = |of: &[[f64; 2]; 3]| [0, 1].map(|i| of.iter().map(|p| p[i]).sum::<f64>() / 3.0);
        let ([fx, fy], [tx, ty]) = (mean(&PLACES), mean(&to));
        // The similarity with the least squared distance, as a complex factor a + bi.
        let (mut a, mut b, mut norm) = (0.0, 0.0, 0.0);
        for ([px, py], [qx, qy]) in PLACES.into_iter().zip(to) {
            let (px, py, qx, qy) = (px - fx, py - fy, qx - tx, qy - ty);
            a += px * qx + py * qy;
            b += px * qy - py * qx;
            norm += px * px + py * py;
        }
        let (a, b) = (a / norm, b / norm);
        let map = Affine([a, -b, tx - a * fx + b * fy, b, a, ty - b * fx - a * fy]);
        let corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)].map(|(u, v)| {
            let (x, y) = map.apply(u, v);
            Point::new(x as f32, y as f32)
        });
        let (square, side) = (BBox::around(&corners), a.hypot(b));
        if !(side.is_finite() && side >= 1.0) || square.check(w, h).is_err() {
            return Err(Error::BadBox { bbox: square.into(), width: w, height: h });
        }
        // Far larger faces are made smaller first: sampling does not smooth.
        let shrink = (side / f64::from(2 * CROP)).max(1.0);
        let small = (shrink > 1.0).then(|| {
            let size = |n: u32| ((f64::from(n) / shrink).round() as u32).max(1);
            resize(picture, [size(w), size(h)], ResizeAlg::Convolution(FilterType::Bilinear))
        });
        let source = small.as_ref().unwrap_or(picture);
        let (sx, sy) = (f64::from(source.width()) / f64::from(w), f64::from(source.height()) / f64::from(h));
        let step = 1.0 / f64::from(CROP);
        // Pixel indices lie half a pixel before pixel coordinates, on both sides.
        let (x0, y0) = map.apply(0.5 * step, 0.5 * step);
        let indices =
            Affine([a * step * sx, -b * step * sx, x0 * sx - 0.5, b * step * sy, a * step * sy, y0 * sy - 0.5]);
        let truncated = square.leaves(w, h);
        Ok(Self { image: warp(source, &indices, CROP, CROP), square, rule: CropRule::Aligned, truncated, map })
    }

    /// From pixels of the picture to the unit square of the crop.
    pub fn to_unit(&self, p: Point) -> UnitPoint {
        let back = self.map.inverse().unwrap_or(self.map);
        let (x, y) = back.apply(f64::from(p.x), f64::from(p.y));
        UnitPoint::new(x as f32, y as f32)
    }

    /// From the unit square of the crop to pixels of the picture.
    pub fn to_picture(&self, p: UnitPoint) -> Point {
        let (x, y) = self.map.apply(f64::from(p.x), f64::from(p.y));
        Point::new(x as f32, y as f32)
    }

    /// All 68 points in the unit square of the crop: what the model reads.
    pub fn landmarks(&self, points: &PixelLandmarks) -> UnitLandmarks {
        points.map(|p| self.to_unit(p))
    }
}

/// Cuts the square around a face box out of a picture.
///
/// # Errors
/// [`Error::BadBox`] where the box is not finite, empty, outside the picture, or with its margin over 16,384 pixels wide.
pub fn crop_face(picture: &RgbImage, bbox: &BBox, rule: CropRule) -> Result<FaceCrop, Error> {
    let (w, h) = picture.dimensions();
    bbox.check(w, h)?;
    match rule {
        CropRule::Authors => {
            let [x, y, width, height] = whole_pixels(bbox, w, h);
            let side = (width + height) / 2;
            let (right, bottom) = ((x + side).min(w), (y + side).min(h));
            if right <= x || bottom <= y {
                return Err(Error::BadBox { bbox: (*bbox).into(), width: w, height: h });
            }
            let size = [right - x, bottom - y];
            let window = window(picture, [i64::from(x), i64::from(y)], size);
            let square = BBox { x: x as f32, y: y as f32, width: size[0] as f32, height: size[1] as f32 };
            let truncated = bbox.leaves(w, h) || size != [side, side];
            Ok(FaceCrop::new(resize_bilinear(&window, CROP), square, rule, truncated))
        }
        CropRule::Aligned => Err(Error::BadBox { bbox: (*bbox).into(), width: w, height: h }),
        CropRule::Centered { margin } => {
            let (c, wide) = (bbox.center(), bbox.width.max(bbox.height));
            let side = (wide * (1.0 + 2.0 * margin.clamp(0.0, 4.0))).round().max(1.0);
            let (x, y) = ((c.x - side / 2.0).round(), (c.y - side / 2.0).round());
            let square = BBox { x, y, width: side, height: side };
            if side > MAX_WINDOW as f32 {
                return Err(Error::BadBox { bbox: (*bbox).into(), width: w, height: h });
            }
            let window = window(picture, [x as i64, y as i64], [side as u32; 2]);
            let image = resize(&window, [CROP; 2], ResizeAlg::Convolution(FilterType::Bilinear));
            Ok(FaceCrop::new(image, square, rule, square.leaves(w, h)))
        }
    }
}

/// The box as MediaPipe reports it: each number cut to whole pixels, clamped to the picture.
fn whole_pixels(bbox: &BBox, w: u32, h: u32) -> [u32; 4] {
    let cut = |v: f32, max: u32| (v.max(0.0) as u32).min(max);
    [cut(bbox.x, w), cut(bbox.y, h), cut(bbox.width, w), cut(bbox.height, h)]
}

/// Pixels along the longest side of a window, as of a picture: it is filled before it is made smaller.
pub(crate) const MAX_WINDOW: i64 = 16_384;

/// A window of a picture; black beyond its border.
pub(crate) fn window(picture: &RgbImage, [x, y]: [i64; 2], [width, height]: [u32; 2]) -> RgbImage {
    let mut out = RgbImage::new(width, height);
    image::imageops::replace(&mut out, picture, -x, -y);
    out
}

/// Bilinear without smoothing, pixel centres at one half: OpenCV's default.
pub(crate) fn resize_bilinear(picture: &RgbImage, side: u32) -> RgbImage {
    resize(picture, [side; 2], ResizeAlg::Interpolation(FilterType::Bilinear))
}

fn resize(picture: &RgbImage, [width, height]: [u32; 2], algorithm: ResizeAlg) -> RgbImage {
    let (w, h) = picture.dimensions();
    let mut out = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(algorithm);
    let done = Image::from_vec_u8(w, h, picture.as_raw().clone(), PixelType::U8x3)
        .is_ok_and(|source| Resizer::new().resize(&source, &mut out, &options).is_ok());
    debug_assert!(done, "both images hold three bytes a pixel");
    RgbImage::from_raw(width, height, out.into_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient() -> RgbImage {
        RgbImage::from_fn(300, 200, |x, y| image::Rgb([(x % 256) as u8, y as u8, 7]))
    }

    #[test]
    fn the_way_back_is_exact() {
        for rule in [CropRule::Authors, CropRule::Centered { margin: 0.25 }] {
            for bbox in [[20., 30., 100., 90.], [-10., -5., 80., 80.], [250., 150., 90., 90.]] {
                let crop = crop_face(&gradient(), &bbox.into(), rule).unwrap();
                assert_eq!(crop.image.dimensions(), (CROP, CROP));
                for p in [Point::new(0.0, 0.0), Point::new(123.4, 56.7)] {
                    let back = crop.to_picture(crop.to_unit(p));
                    assert!(back.distance(p) < 1e-3, "{rule:?} {bbox:?} {back:?}");
                }
            }
        }
    }

    #[test]
    fn aligned_faces_have_eyes_and_mouth_in_their_places() {
        // A face turned by 20 degrees and 90 pixels between the eyes.
        let turn = |x: f32, y: f32| {
            let (s, c) = 20_f32.to_radians().sin_cos();
            Point::new(150.0 + c * x - s * y, 90.0 + s * x + c * y)
        };
        let points = crate::Landmarks::new(std::array::from_fn(|i| match i {
            36..42 => turn(-46.0, -46.0),
            42..48 => turn(46.0, -46.0),
            48..60 => turn(0.0, 46.0),
            _ => turn(0.0, 0.0),
        }));
        let crop = FaceCrop::aligned(&gradient(), &points).unwrap();
        let unit = crop.landmarks(&points);
        for (i, [x, y]) in [(36, PLACES[0]), (42, PLACES[1]), (50, PLACES[2])] {
            assert!(
                (f64::from(unit[i].x) - x).abs() < 1e-5 && (f64::from(unit[i].y) - y).abs() < 1e-5,
                "{:?}",
                unit[i]
            );
        }
        let there = crop.to_picture(unit[3]);
        assert!(there.distance(points[3]) < 1e-3);
        // What lies at a place of the crop is what lies there in the picture.
        let (u, v) = (100_u32, 140_u32);
        let at = crop.to_picture(UnitPoint::new((u as f32 + 0.5) / 256.0, (v as f32 + 0.5) / 256.0));
        let seen = crop.image.get_pixel(u, v).0[1];
        assert!((f32::from(seen) - (at.y - 0.5)).abs() < 1.0, "{seen} {at:?}");
        let collapsed = points.map(|_| Point::new(5.0, 5.0));
        assert!(FaceCrop::aligned(&gradient(), &collapsed).is_err());
    }

    #[test]
    fn beyond_the_border_is_black_and_said() {
        let rule = CropRule::Centered { margin: 0.5 };
        let crop = crop_face(&gradient(), &[-40., -40., 60., 60.].into(), rule).unwrap();
        assert!(crop.truncated);
        assert_eq!(crop.image.get_pixel(0, 0).0, [0, 0, 0]);
        let inside = crop_face(&gradient(), &[60., 60., 40., 40.].into(), rule).unwrap();
        assert!(!inside.truncated);
    }
}
