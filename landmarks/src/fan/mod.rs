//! FAN, the face alignment network (arXiv 1703.07332): 68 points from heat maps, for users who have its weights.

mod decode;
mod network;
mod weights;

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;

pub use decode::{HEATMAP, decode_heatmaps};
pub use network::{Fan, FanConfig};

use crate::weights::{LoadOptions, Weights};
use crate::{BBox, Error, Landmarks, MIRROR, PixelLandmarks, Point, crop};

/// Side of the input, pixels.
pub const INPUT: usize = 256;
/// Pixels of a face of scale 1, as the network was trained.
const REFERENCE: f32 = 195.0;
/// The centre lies this share of the box's height above its middle.
const LIFT: f32 = 0.12;
/// Side of the crop of a face of scale 1, pixels.
const CROP: f32 = 200.0;

/// Points, each with the height of its heat map's peak.
#[derive(Clone, Debug)]
pub struct FanPoints {
    /// In pixels of the picture.
    pub points: PixelLandmarks,
    /// Peak of each heat map; about 0 to 1, summed over both directions when flipped. Low where the part is hidden.
    pub scores: [f32; 68],
}

/// The square of a picture that the network looks at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FanRoi {
    /// Centre, pixels.
    pub center: Point,
    /// Face size over the reference of 195 pixels.
    pub scale: f32,
}

impl FanRoi {
    /// The square for a detector's box.
    pub fn from_box(bbox: &BBox) -> Self {
        let c = bbox.center();
        let center = Point::new(c.x, c.y - bbox.height * LIFT);
        Self { center, scale: (bbox.width + bbox.height) / REFERENCE }
    }

    /// Whole pixels `[left, top, right, bottom)` of the crop.
    fn edges(&self) -> [i64; 4] {
        let side = f64::from(CROP * self.scale);
        let at = |n: f64, c: f32| (f64::from(c) + (n / INPUT as f64 - 0.5) * side) as i64;
        let (near, far) = (1.0, INPUT as f64);
        [at(near, self.center.x), at(near, self.center.y), at(far, self.center.x), at(far, self.center.y)]
    }

    /// From heat-map to picture pixels.
    fn to_picture(self, p: Point) -> Point {
        let side = CROP * self.scale;
        let at = |v: f32, c: f32| c + (v / HEATMAP as f32 - 0.5) * side;
        Point::new(at(p.x, self.center.x), at(p.y, self.center.y))
    }
}

/// FAN with its crop and decoding.
#[derive(Debug)]
pub struct FanAligner {
    network: Fan,
    device: Device,
}

impl FanAligner {
    /// Reads the published `2DFAN4-*.pth.tar`, or safetensors with the same names; one to four hourglasses.
    ///
    /// # Errors
    /// As [`crate::weights::load`].
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        let weights = Weights::open(path)?;
        let config = FanConfig { modules: weights::modules(&weights) };
        let network = config.init(device).load(&weights, &LoadOptions::default())?;
        Ok(Self { network, device: device.clone() })
    }

    /// The 256x256 crop that the network reads.
    ///
    /// # Errors
    /// [`Error::BadBox`].
    pub fn crop(&self, picture: &RgbImage, roi: &FanRoi) -> Result<RgbImage, Error> {
        let [left, top, right, bottom] = roi.edges();
        if right <= left || bottom <= top || (right - left).max(bottom - top) > crop::MAX_WINDOW {
            let bbox = [left, top, right - left, bottom - top].map(|v| v as f32);
            return Err(Error::BadBox { bbox, width: picture.width(), height: picture.height() });
        }
        let window = crop::window(picture, [left, top], [(right - left) as u32, (bottom - top) as u32]);
        Ok(crop::resize_bilinear(&window, INPUT as u32))
    }

    /// Heat maps of a 256x256 crop; with `flip` those of the mirrored crop are mirrored back and added.
    ///
    /// # Shapes
    /// - output `[1, 68, 64, 64]`
    pub fn heatmaps(&self, crop: &RgbImage, flip: bool) -> Tensor<4> {
        let (w, h) = (crop.width() as usize, crop.height() as usize);
        let values: Vec<f32> = crop.as_raw().iter().map(|&v| f32::from(v) / 255.0).collect();
        let pixels = Tensor::<3>::from_data(TensorData::new(values, [h, w, 3]), &self.device);
        let pixels = pixels.permute([2, 0, 1]).unsqueeze::<4>();
        let maps = self.network.forward(pixels.clone());
        if !flip {
            return maps;
        }
        let mirrored = self.network.forward(pixels.flip([3])).flip([3]);
        let order: Vec<i32> = MIRROR.iter().map(|&i| i as i32).collect();
        maps + mirrored.select(1, Tensor::from_ints(order.as_slice(), &self.device))
    }

    /// The 68 points of the face in a box.
    ///
    /// # Errors
    /// [`Error::BadBox`], [`Error::NonFiniteOutput`].
    pub fn align(&self, picture: &RgbImage, bbox: &BBox, flip: bool) -> Result<FanPoints, Error> {
        bbox.check(picture.width(), picture.height())?;
        let roi = FanRoi::from_box(bbox);
        let maps = self.heatmaps(&self.crop(picture, &roi)?, flip).into_data();
        let maps = maps.as_slice::<f32>().map_err(|_| Error::NonFiniteOutput { network: "FAN" })?;
        if !maps.iter().all(|v| v.is_finite()) {
            return Err(Error::NonFiniteOutput { network: "FAN" });
        }
        let peaks = decode_heatmaps(maps);
        let points = std::array::from_fn(|i| roi.to_picture(peaks[i].0));
        Ok(FanPoints { points: Landmarks::new(points), scores: std::array::from_fn(|i| peaks[i].1) })
    }
}
