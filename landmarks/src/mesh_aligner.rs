//! From a detected face to 468 mesh points and to the 68 of the iBUG scheme.

use burn::tensor::Device;
use image::RgbImage;

use crate::face_mesh::{FaceMesh, FaceMeshConfig, INPUT, MESH_POINTS};
use crate::warp::{Border, sample};
use crate::{Affine, BBox, Detection, Error, Landmarks, PixelLandmarks, Point};

/// Side of the crop in sides of the face.
const MARGIN: f32 = 1.5;
/// Outer eye corners of the mesh: the subject's right, then left.
const EYE_CORNERS: [usize; 2] = [33, 263];

/// The mesh point for each of the 68: the nearest single vertex.
pub const MESH_TO_68: [usize; 68] = [
    127, 234, 132, 58, 172, 150, 149, 148, 152, 377, 378, 379, 397, 288, 361, 454, 356, // jaw
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, // eyebrows
    168, 197, 5, 4, 75, 97, 2, 326, 305, // nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380, // eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, // outer lips
    78, 82, 13, 312, 308, 317, 14, 87, // inner lips
];

/// A face's mesh in the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Mesh {
    /// 468 points in pixels.
    pub points: Vec<Point>,
    /// Probability that the crop held a face, 0 to 1.
    pub presence: f32,
}

impl Mesh {
    /// The 68 iBUG points.
    pub fn landmarks(&self) -> PixelLandmarks {
        Landmarks::new(MESH_TO_68.map(|i| self.points[i]))
    }
}

/// The face mesh network with the rotated crop around it.
#[derive(Debug)]
pub struct MeshAligner {
    network: FaceMesh,
    device: Device,
}

impl MeshAligner {
    /// The aligner with the embedded weights.
    ///
    /// # Errors
    /// As [`crate::weights::load`]: only if the program was built from damaged files.
    pub fn new(device: &Device) -> Result<Self, Error> {
        Ok(Self { network: FaceMeshConfig.pretrained(device)?, device: device.clone() })
    }

    /// The mesh of a detected face. The first result gives a better crop than the detector's box; the second run, in
    /// that crop, is the answer.
    ///
    /// # Errors
    /// [`Error::NonFiniteOutput`].
    pub fn align(&self, picture: &RgbImage, face: &Detection) -> Result<Mesh, Error> {
        let [right, left, ..] = face.keypoints;
        let first = self.run(picture, &Roi::new(&face.bbox, right, left))?;
        self.follow(picture, &first)
    }

    /// The mesh of a face in a square picture of it, without detection: a crop that is taken as the face itself.
    ///
    /// # Errors
    /// [`Error::NonFiniteOutput`].
    pub fn align_crop(&self, picture: &RgbImage) -> Result<Mesh, Error> {
        let (w, h) = (picture.width() as f32, picture.height() as f32);
        let roi = Roi { center: Point::new(w / 2.0, h / 2.0), side: MARGIN * w.max(h), angle: 0.0 };
        let first = self.run(picture, &roi)?;
        self.follow(picture, &first)
    }

    /// The mesh where it was a moment ago: the next frame of a video.
    ///
    /// # Errors
    /// [`Error::NonFiniteOutput`].
    pub fn follow(&self, picture: &RgbImage, last: &Mesh) -> Result<Mesh, Error> {
        let [right, left] = EYE_CORNERS.map(|i| last.points[i]);
        self.run(picture, &Roi::new(&BBox::around(&last.points), right, left))
    }

    fn run(&self, picture: &RgbImage, roi: &Roi) -> Result<Mesh, Error> {
        let size = INPUT as f64;
        let square = Affine::unit_to_square(roi.center, roi.side, roi.angle);
        let [a, b, c, d, e, f] = square.0;
        let map = Affine([a / size, b / size, c, d / size, e / size, f]);
        let pixels = sample(picture, &map, INPUT, Border::Replicate, (1.0 / 255.0, 0.0), &self.device);
        let (points, presence) = self.network.forward(pixels);
        let (points, presence) = (points.into_data(), presence.into_data());
        let (Ok(points), Ok(presence)) = (points.as_slice::<f32>(), presence.as_slice::<f32>()) else {
            return Err(Error::NonFiniteOutput { network: "face mesh" });
        };
        if !points.iter().chain(presence).all(|v| v.is_finite()) {
            return Err(Error::NonFiniteOutput { network: "face mesh" });
        }
        let points = points.as_chunks::<3>().0.iter().take(MESH_POINTS).map(|[x, y, _]| {
            let (x, y) = map.apply(f64::from(*x), f64::from(*y));
            Point::new(x as f32, y as f32)
        });
        Ok(Mesh { points: points.collect(), presence: 1.0 / (1.0 + (-presence[0]).exp()) })
    }
}

/// A square turned so that the eyes lie level.
struct Roi {
    center: Point,
    side: f32,
    angle: f32,
}

impl Roi {
    fn new(face: &BBox, right_eye: Point, left_eye: Point) -> Self {
        Self {
            center: face.center(),
            side: MARGIN * face.width.max(face.height),
            angle: (left_eye.y - right_eye.y).atan2(left_eye.x - right_eye.x),
        }
    }
}
