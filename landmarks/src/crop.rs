//! The square 256x256 face crop that the model reads, and the exact way back to the picture.

use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::{BBox, Error, PixelLandmarks, Point, UnitLandmarks, UnitPoint};

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
}

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
}

impl FaceCrop {
    /// A picture taken as the crop itself, whatever its shape.
    pub fn whole(picture: &RgbImage) -> Self {
        let (width, height) = (picture.width() as f32, picture.height() as f32);
        Self {
            image: picture.clone(),
            square: BBox { x: 0.0, y: 0.0, width, height },
            rule: CropRule::Centered { margin: 0.0 },
            truncated: false,
        }
    }

    /// From pixels of the picture to the unit square of the crop.
    pub fn to_unit(&self, p: Point) -> UnitPoint {
        let s = &self.square;
        UnitPoint::new((p.x - s.x) / s.width, (p.y - s.y) / s.height)
    }

    /// From the unit square of the crop to pixels of the picture.
    pub fn to_picture(&self, p: UnitPoint) -> Point {
        let s = &self.square;
        Point::new(s.x + p.x * s.width, s.y + p.y * s.height)
    }

    /// All 68 points in the unit square of the crop: what the model reads.
    pub fn landmarks(&self, points: &PixelLandmarks) -> UnitLandmarks {
        points.map(|p| self.to_unit(p))
    }
}

/// Cuts the square around a face box out of a picture.
///
/// # Errors
/// [`Error::BadBox`] where the box is not finite, empty or outside the picture.
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
            Ok(FaceCrop { image: resize_bilinear(&window, CROP), square, rule, truncated })
        }
        CropRule::Centered { margin } => {
            let (c, wide) = (bbox.center(), bbox.width.max(bbox.height));
            let side = (wide * (1.0 + 2.0 * margin.clamp(0.0, 4.0))).round().max(1.0);
            let (x, y) = ((c.x - side / 2.0).round(), (c.y - side / 2.0).round());
            let square = BBox { x, y, width: side, height: side };
            let window = window(picture, [x as i64, y as i64], [side as u32; 2]);
            let image = resize(&window, CROP, ResizeAlg::Convolution(FilterType::Bilinear));
            Ok(FaceCrop { image, square, rule, truncated: square.leaves(w, h) })
        }
    }
}

/// The box as MediaPipe reports it: each number cut to whole pixels, clamped to the picture.
fn whole_pixels(bbox: &BBox, w: u32, h: u32) -> [u32; 4] {
    let cut = |v: f32, max: u32| (v.max(0.0) as u32).min(max);
    [cut(bbox.x, w), cut(bbox.y, h), cut(bbox.width, w), cut(bbox.height, h)]
}

/// A window of a picture; black beyond its border.
pub(crate) fn window(picture: &RgbImage, [x, y]: [i64; 2], [width, height]: [u32; 2]) -> RgbImage {
    let mut out = RgbImage::new(width, height);
    image::imageops::replace(&mut out, picture, -x, -y);
    out
}

/// Bilinear without smoothing, pixel centres at one half: OpenCV's default.
pub(crate) fn resize_bilinear(picture: &RgbImage, side: u32) -> RgbImage {
    resize(picture, side, ResizeAlg::Interpolation(FilterType::Bilinear))
}

fn resize(picture: &RgbImage, side: u32, algorithm: ResizeAlg) -> RgbImage {
    let (w, h) = picture.dimensions();
    let mut out = Image::new(side, side, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(algorithm);
    let done = Image::from_vec_u8(w, h, picture.as_raw().clone(), PixelType::U8x3)
        .is_ok_and(|source| Resizer::new().resize(&source, &mut out, &options).is_ok());
    debug_assert!(done, "both images hold three bytes a pixel");
    RgbImage::from_raw(side, side, out.into_vec()).unwrap_or_default()
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
    fn beyond_the_border_is_black_and_said() {
        let rule = CropRule::Centered { margin: 0.5 };
        let crop = crop_face(&gradient(), &[-40., -40., 60., 60.].into(), rule).unwrap();
        assert!(crop.truncated);
        assert_eq!(crop.image.get_pixel(0, 0).0, [0, 0, 0]);
        let inside = crop_face(&gradient(), &[60., 60., 40., 40.].into(), rule).unwrap();
        assert!(!inside.truncated);
    }
}
