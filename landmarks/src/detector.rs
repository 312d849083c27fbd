//! Finding faces in a whole picture with BlazeFace: letterbox, anchors, weighted non-maximum suppression.

use burn::tensor::Device;
use image::RgbImage;
use serde::Serialize;

use crate::blazeface::{ANCHORS, BlazeFace, BlazeFaceConfig, INPUT, VALUES};
use crate::warp::{Border, sample};
use crate::{Affine, BBox, Error, Point};

/// A face as the detector sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Detection {
    /// Box in pixels of the upright picture; may leave it where the face does.
    pub bbox: BBox,
    /// Confidence, 0 to 1.
    pub score: f32,
    /// The subject's right eye, left eye, nose tip, mouth, right ear, left ear, in pixels.
    pub keypoints: [Point; 6],
}

/// How the picture is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// The whole picture at once; faces above about a twelfth of its longer side.
    #[default]
    Whole,
    /// The whole picture and overlapping windows: smaller faces, many times the work.
    Tiles,
}

/// The pass that found the faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// The whole picture.
    Whole,
    /// The picture shrunk into a frame: faces that fill it.
    Padded,
    /// Windows.
    Tiles,
}

/// Settings of the [`Detector`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DetectorOptions {
    /// Faces below this score are dropped, 0 to 1.
    pub min_score: f32,
    /// Boxes that overlap more than this (intersection over union) become one.
    pub overlap: f32,
    /// How the picture is searched.
    pub search: Search,
    /// At most this many faces are kept, the best ones.
    pub max_faces: usize,
}

impl Default for DetectorOptions {
    fn default() -> Self {
        Self { min_score: 0.5, overlap: 0.3, search: Search::Whole, max_faces: 256 }
    }
}

/// What a search found, best first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Detections {
    /// The faces; none is an answer, not an error.
    pub faces: Vec<Detection>,
    /// The pass that found them; the last one tried where none did.
    pub pass: Pass,
    /// Whether faces beyond [`DetectorOptions::max_faces`] were dropped.
    pub capped: bool,
}

/// Size of the frame around a picture in the padded pass, in sides of the picture.
const PADDED: f32 = 2.0;
/// Smallest window, pixels.
const MIN_TILE: u32 = 256;
/// Windows along the longer side, before overlap.
const TILES_ALONG: u32 = 4;

/// BlazeFace with everything around it.
#[derive(Debug)]
pub struct Detector {
    network: BlazeFace,
    options: DetectorOptions,
    device: Device,
}

impl Detector {
    /// The detector with the embedded weights.
    ///
    /// # Errors
    /// As [`crate::weights::load`]: only if the program was built from damaged files.
    pub fn new(options: DetectorOptions, device: &Device) -> Result<Self, Error> {
        Ok(Self { network: BlazeFaceConfig.pretrained(device)?, options, device: device.clone() })
    }

    /// All faces of a picture, best first; equal scores keep the order of the anchors.
    ///
    /// # Errors
    /// [`Error::NonFiniteOutput`].
    pub fn detect(&self, picture: &RgbImage) -> Result<Detections, Error> {
        let (w, h) = (picture.width() as f32, picture.height() as f32);
        let whole = Square { center: Point::new(w / 2.0, h / 2.0), side: w.max(h) };
        let mut pass = Pass::Whole;
        let mut faces = self.in_square(picture, whole)?;
        if self.options.search == Search::Tiles {
            pass = Pass::Tiles;
            faces = self.in_tiles(picture, faces)?;
        }
        if faces.is_empty() {
            pass = Pass::Padded;
            faces = self.in_square(picture, Square { side: whole.side * PADDED, ..whole })?;
        }
        let capped = faces.len() > self.options.max_faces;
        faces.truncate(self.options.max_faces);
        Ok(Detections { faces, pass, capped })
    }

    fn in_square(&self, picture: &RgbImage, square: Square) -> Result<Vec<Detection>, Error> {
        let step = f64::from(square.side) / INPUT as f64;
        let half = f64::from(square.side) / 2.0;
        let (x0, y0) = (f64::from(square.center.x) - half, f64::from(square.center.y) - half);
        let map = Affine::scale_offset(step, step, x0, y0);
        let pixels = sample(picture, &map, INPUT, Border::Zero, (2.0 / 255.0, -1.0), &self.device);
        let (boxes, logits) = self.network.forward(pixels);
        let (boxes, logits) = (boxes.into_data(), logits.into_data());
        let (Ok(boxes), Ok(logits)) = (boxes.as_slice::<f32>(), logits.as_slice::<f32>()) else {
            return Err(Error::NonFiniteOutput { network: "BlazeFace" });
        };
        if !logits.iter().all(|v| v.is_finite()) {
            return Err(Error::NonFiniteOutput { network: "BlazeFace" });
        }
        let mut found = suppress(decode(boxes, logits, self.options.min_score), self.options.overlap);
        for face in &mut found {
            face.place(x0 as f32, y0 as f32, square.side);
        }
        Ok(found)
    }

    fn in_tiles(&self, picture: &RgbImage, mut faces: Vec<Detection>) -> Result<Vec<Detection>, Error> {
        let (w, h) = picture.dimensions();
        let side = (w.max(h) / TILES_ALONG).max(MIN_TILE);
        for y in starts(h, side) {
            for x in starts(w, side) {
                let half = side as f32 / 2.0;
                let center = Point::new(x as f32 + half, y as f32 + half);
                faces.extend(self.in_square(picture, Square { center, side: side as f32 })?);
            }
        }
        // A second look at each, centred: a face at the edge of a window is placed badly.
        let mut refined = Vec::new();
        for face in best_of_overlapping(faces, self.options.overlap) {
            let (center, side) = (face.bbox.center(), 2.0 * face.bbox.width.max(face.bbox.height));
            let near = |d: &Detection| d.bbox.center().distance(center);
            let again = self.in_square(picture, Square { center, side })?;
            // One beside it is another face.
            let same = again.into_iter().filter(|d| d.bbox.iou(&face.bbox) > 0.0);
            refined.push(same.min_by(|a, b| near(a).total_cmp(&near(b))).unwrap_or(face));
        }
        Ok(best_of_overlapping(refined, self.options.overlap))
    }
}

#[derive(Clone, Copy)]
struct Square {
    center: Point,
    side: f32,
}

/// Left edges of half-overlapping windows that end flush with the border.
fn starts(length: u32, side: u32) -> Vec<u32> {
    let last = length.saturating_sub(side);
    (0..last).step_by((side / 2) as usize).chain([last]).collect()
}

/// Boxes and keypoints in fractions of the input, best score first.
fn decode(boxes: &[f32], logits: &[f32], min_score: f32) -> Vec<Detection> {
    let size = INPUT as f32;
    let mut found: Vec<Detection> = (0..ANCHORS)
        .filter_map(|i| {
            let score = 1.0 / (1.0 + (-logits[i].clamp(-100.0, 100.0)).exp());
            let anchor = anchor(i);
            let v = &boxes[i * VALUES..(i + 1) * VALUES];
            let (width, height) = (v[2] / size, v[3] / size);
            if score < min_score || !(width >= 0.0 && height >= 0.0) {
                return None;
            }
            let at = |k: usize| Point::new(v[k] / size + anchor.x, v[k + 1] / size + anchor.y);
            let center = at(0);
            let bbox = BBox { x: center.x - width / 2.0, y: center.y - height / 2.0, width, height };
            Some(Detection { bbox, score, keypoints: std::array::from_fn(|k| at(4 + 2 * k)) })
        })
        .collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found
}

/// Centre of anchor `i` in fractions of the input.
fn anchor(i: usize) -> Point {
    let (grid, cell) = if i < 512 { (16, i / 2) } else { (8, (i - 512) / 6) };
    let center = |n: usize| (n as f32 + 0.5) / grid as f32;
    Point::new(center(cell % grid), center(cell / grid))
}

/// Weighted suppression: a group of overlapping boxes becomes their mean, weighted by score, with the best score.
fn suppress(mut rest: Vec<Detection>, overlap: f32) -> Vec<Detection> {
    let mut kept = Vec::new();
    while let Some(best) = rest.first().cloned() {
        let before = rest.len();
        let (group, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|d| d.bbox.iou(&best.bbox) > overlap);
        rest = others;
        kept.push(if group.is_empty() { best } else { mean(&group, best.score) });
        if rest.len() == before {
            break;
        }
    }
    kept
}

fn mean(group: &[Detection], score: f32) -> Detection {
    let total: f32 = group.iter().map(|d| d.score).sum();
    let mean = |f: &dyn Fn(&Detection) -> f32| group.iter().map(|d| f(d) * d.score).sum::<f32>() / total;
    let (x, y) = (mean(&|d| d.bbox.x), mean(&|d| d.bbox.y));
    let bbox =
        BBox { x, y, width: mean(&|d| d.bbox.x + d.bbox.width) - x, height: mean(&|d| d.bbox.y + d.bbox.height) - y };
    let keypoints = std::array::from_fn(|k| Point::new(mean(&|d| d.keypoints[k].x), mean(&|d| d.keypoints[k].y)));
    Detection { bbox, score, keypoints }
}

/// Plain suppression between faces from different windows.
fn best_of_overlapping(mut faces: Vec<Detection>, overlap: f32) -> Vec<Detection> {
    faces.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Detection> = Vec::new();
    for face in faces {
        if kept.iter().all(|k| k.bbox.iou(&face.bbox) <= overlap) {
            kept.push(face);
        }
    }
    kept
}

impl Detection {
    /// From fractions of a square at (x0, y0) to pixels.
    fn place(&mut self, x0: f32, y0: f32, side: f32) {
        let b = &mut self.bbox;
        *b = BBox { x: x0 + b.x * side, y: y0 + b.y * side, width: b.width * side, height: b.height * side };
        for p in &mut self.keypoints {
            *p = Point::new(x0 + p.x * side, y0 + p.y * side);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32, score: f32) -> Detection {
        Detection { bbox: [x, 0.0, 1.0, 1.0].into(), score, keypoints: [Point::new(x, 0.0); 6] }
    }

    #[test]
    fn overlapping_boxes_become_their_weighted_mean() {
        let kept = suppress(vec![face(0.0, 0.9), face(0.2, 0.6), face(5.0, 0.5)], 0.3);
        assert_eq!(kept.len(), 2);
        assert!((kept[0].bbox.x - 0.2 * 0.6 / 1.5).abs() < 1e-6);
        assert_eq!(kept[0].score, 0.9);
    }

    #[test]
    fn an_empty_box_ends_the_suppression() {
        let empty = Detection { bbox: [0.0, 0.0, 0.0, 0.0].into(), ..face(0.0, 0.9) };
        assert_eq!(suppress(vec![empty.clone(), empty], 0.3).len(), 1);
    }

    #[test]
    fn equal_scores_keep_their_order() {
        let kept = best_of_overlapping(vec![face(0.0, 0.7), face(0.1, 0.7), face(3.0, 0.7)], 0.3);
        assert_eq!(kept.iter().map(|f| f.bbox.x).collect::<Vec<_>>(), [0.0, 3.0]);
    }

    #[test]
    fn windows_end_flush_with_the_border() {
        assert_eq!(starts(500, 256), [0, 128, 244]);
        assert_eq!(starts(100, 256), [0]);
    }
}
