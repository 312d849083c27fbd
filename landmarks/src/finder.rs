//! The whole way from a picture to faces with points.

use std::path::Path;

use burn::tensor::Device;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::fan::FanAligner;
use crate::{BBox, Detection, Detections, Detector, DetectorOptions, Error, MeshAligner, Pass, PixelLandmarks, Point};

/// Below this width or height a face's details are guesses.
const SMALL_FACE: f32 = 24.0;

/// A face in a picture. All coordinates are pixels of the upright picture.
#[derive(Clone, Debug, Serialize)]
pub struct Face {
    /// Stable within the picture: 0 is the face with the best score.
    pub index: usize,
    /// `[x, y, width, height]`.
    pub bbox: BBox,
    /// The detector's confidence, 0 to 1.
    pub score: f32,
    /// The subject's right eye, left eye, nose tip, mouth, right ear, left ear.
    pub keypoints: [Point; 6],
    /// The 68 iBUG points.
    pub points: PixelLandmarks,
    /// Confidence of each point, where the aligner gives one (FAN).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point_scores: Option<Vec<f32>>,
    /// The aligner's belief that it saw a face, 0 to 1; the detector's confidence where the aligner has none (FAN).
    pub presence: f32,
    /// Turn of the eye line, degrees, clockwise.
    pub roll: f32,
    /// Part of the box lies outside the picture.
    pub truncated: bool,
    /// Under 24 pixels wide or high, or hardly recognised by the aligner: points are guesses.
    pub low_quality: bool,
}

/// All faces of a picture.
#[derive(Clone, Debug, Serialize)]
pub struct Faces {
    /// Best score first.
    pub faces: Vec<Face>,
    /// The pass that found them.
    pub pass: Pass,
    /// Whether some were dropped for being too many.
    pub capped: bool,
}

/// Which faces an application wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// The one with the largest box.
    #[default]
    Largest,
    /// The one with the best score.
    Best,
    /// The one with this index.
    Index(usize),
    /// Every one.
    All,
}

impl Select {
    /// Indices of the picked faces, given all boxes, best score first; none where there are none.
    pub fn indices(self, boxes: &[BBox]) -> Vec<usize> {
        // `max_by` would take the last of equals.
        let larger = |best: usize, i: usize| if boxes[i].area() > boxes[best].area() { i } else { best };
        match self {
            Self::Largest => (0..boxes.len()).reduce(larger).into_iter().collect(),
            Self::Best => (0..boxes.len().min(1)).collect(),
            Self::Index(i) => (0..boxes.len()).filter(|n| *n == i).collect(),
            Self::All => (0..boxes.len()).collect(),
        }
    }
}

impl Faces {
    /// The faces that a policy picks.
    pub fn select(&self, select: Select) -> Vec<&Face> {
        let boxes: Vec<BBox> = self.faces.iter().map(|f| f.bbox).collect();
        select.indices(&boxes).into_iter().map(|i| &self.faces[i]).collect()
    }
}

/// What finds the points of a detected face.
#[derive(Debug)]
enum Aligner {
    Mesh(Box<MeshAligner>),
    Fan(Box<FanAligner>),
}

/// Detector and aligner together. Expensive to make, cheap to use; shareable between threads by reference.
#[derive(Debug)]
pub struct FaceFinder {
    detector: Detector,
    aligner: Aligner,
}

impl FaceFinder {
    /// BlazeFace and the face mesh with their embedded weights.
    ///
    /// # Errors
    /// As [`crate::weights::load`]: only if the program was built from damaged files.
    pub fn new(options: DetectorOptions, device: &Device) -> Result<Self, Error> {
        let aligner = Aligner::Mesh(Box::new(MeshAligner::new(device)?));
        Ok(Self { detector: Detector::new(options, device)?, aligner })
    }

    /// BlazeFace with FAN for the points.
    ///
    /// # Errors
    /// As [`FanAligner::load`].
    pub fn with_fan(path: &Path, options: DetectorOptions, device: &Device) -> Result<Self, Error> {
        let aligner = Aligner::Fan(Box::new(FanAligner::load(path, device)?));
        Ok(Self { detector: Detector::new(options, device)?, aligner })
    }

    /// All faces with their points.
    ///
    /// # Errors
    /// [`Error::NonFiniteOutput`].
    pub fn find(&self, picture: &RgbImage) -> Result<Faces, Error> {
        let found = self.detect(picture)?;
        let faces = found.faces.iter().enumerate().map(|(i, d)| self.align(picture, i, d));
        Ok(Faces { faces: faces.collect::<Result<_, _>>()?, pass: found.pass, capped: found.capped })
    }

    /// Faces without their points.
    ///
    /// # Errors
    /// [`Error::NonFiniteOutput`].
    pub fn detect(&self, picture: &RgbImage) -> Result<Detections, Error> {
        self.detector.detect(picture)
    }

    /// The 68 points of a face that fills the picture: no detection.
    ///
    /// # Errors
    /// [`Error::NonFiniteOutput`], [`Error::BadBox`].
    pub fn align_crop(&self, crop: &RgbImage) -> Result<PixelLandmarks, Error> {
        let (width, height) = (crop.width() as f32, crop.height() as f32);
        match &self.aligner {
            Aligner::Mesh(mesh) => Ok(mesh.align_crop(crop)?.landmarks()),
            Aligner::Fan(fan) => Ok(fan.align(crop, &BBox { x: 0.0, y: 0.0, width, height }, true)?.points),
        }
    }

    /// The points of a detected face.
    ///
    /// # Errors
    /// [`Error::NonFiniteOutput`].
    pub fn align(&self, picture: &RgbImage, index: usize, d: &Detection) -> Result<Face, Error> {
        let (points, point_scores, presence) = match &self.aligner {
            Aligner::Mesh(mesh) => {
                let mesh = mesh.align(picture, d)?;
                (mesh.landmarks(), None, mesh.presence)
            }
            Aligner::Fan(fan) => {
                let found = fan.align(picture, &d.bbox, true)?;
                (found.points, Some(found.scores.to_vec()), d.score)
            }
        };
        let [right, left, ..] = d.keypoints;
        Ok(Face {
            index,
            bbox: d.bbox,
            score: d.score,
            keypoints: d.keypoints,
            points,
            point_scores,
            presence,
            roll: (left.y - right.y).atan2(left.x - right.x).to_degrees(),
            truncated: d.bbox.leaves(picture.width(), picture.height()),
            low_quality: d.bbox.width.min(d.bbox.height) < SMALL_FACE || presence < 0.5,
        })
    }
}
