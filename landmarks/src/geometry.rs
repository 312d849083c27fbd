//! Points, boxes and transforms. Pixel and unit coordinates are distinct types.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::topology::POINT_COUNT;

/// A point in pixels of the upright picture: origin at the top-left corner, x right, y down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f32; 2]", into = "[f32; 2]")]
pub struct Point {
    /// Distance from the left edge, pixels.
    pub x: f32,
    /// Distance from the top edge, pixels.
    pub y: f32,
}

/// A point in the unit square of a crop: (0, 0) is its top-left corner, (1, 1) its bottom-right.
/// Points of a face cut by the border may lie outside [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f32; 2]", into = "[f32; 2]")]
pub struct UnitPoint {
    /// Fraction of the width.
    pub x: f32,
    /// Fraction of the height.
    pub y: f32,
}

macro_rules! pair {
    ($name:ident) => {
        impl $name {
            /// A point from x and y.
            pub const fn new(x: f32, y: f32) -> Self {
                Self { x, y }
            }
        }
        impl From<[f32; 2]> for $name {
            fn from([x, y]: [f32; 2]) -> Self {
                Self { x, y }
            }
        }
        impl From<$name> for [f32; 2] {
            fn from(p: $name) -> Self {
                [p.x, p.y]
            }
        }
    };
}
pair!(Point);
pair!(UnitPoint);

impl Point {
    /// Euclidean distance, pixels.
    pub fn distance(self, other: Self) -> f32 {
        (self.x - other.x).hypot(self.y - other.y)
    }
}

/// The 68 iBUG points of one face. Serialised as 68 `[x, y]` pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<P>", into = "Vec<P>")]
#[serde(bound(serialize = "P: Clone + Serialize", deserialize = "P: Clone + Deserialize<'de>"))]
pub struct Landmarks<P: Clone>([P; POINT_COUNT]);

/// The 68 points in pixels of the upright picture.
pub type PixelLandmarks = Landmarks<Point>;
/// The 68 points in the unit square of a crop: what the model reads.
pub type UnitLandmarks = Landmarks<UnitPoint>;

impl<P: Clone> Landmarks<P> {
    /// Wraps 68 points in iBUG order.
    pub const fn new(points: [P; POINT_COUNT]) -> Self {
        Self(points)
    }

    /// Each point sent through `f`.
    pub fn map<Q: Clone>(&self, f: impl FnMut(P) -> Q) -> Landmarks<Q> {
        Landmarks(self.0.clone().map(f))
    }
}

impl<P: Clone> std::ops::Deref for Landmarks<P> {
    type Target = [P; POINT_COUNT];
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<P: Clone> TryFrom<Vec<P>> for Landmarks<P> {
    type Error = Error;
    fn try_from(points: Vec<P>) -> Result<Self, Error> {
        let count = points.len();
        points.try_into().map(Self).map_err(|_| Error::LandmarkCount { count })
    }
}

impl<P: Clone> From<Landmarks<P>> for Vec<P> {
    fn from(landmarks: Landmarks<P>) -> Self {
        landmarks.0.to_vec()
    }
}

impl UnitLandmarks {
    /// Reads 68 `[x, y]` pairs in [0, 1] of the crop from JSON.
    ///
    /// # Errors
    /// [`Error::LandmarkCount`] names what a wrong count looks like, [`Error::LandmarkUnits`] points in pixels,
    /// [`Error::LandmarkNotFinite`] a NaN or infinity, [`Error::LandmarkJson`] anything else.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let points: Vec<UnitPoint> = serde_json::from_str(text).map_err(Error::LandmarkJson)?;
        let landmarks = Self::try_from(points)?;
        landmarks.check()?;
        Ok(landmarks)
    }

    /// Checks that the points are finite and in units of a crop rather than pixels.
    ///
    /// # Errors
    /// [`Error::LandmarkNotFinite`], [`Error::LandmarkUnits`].
    pub fn check(&self) -> Result<(), Error> {
        for (index, p) in self.iter().enumerate() {
            if !(p.x.is_finite() && p.y.is_finite()) {
                return Err(Error::LandmarkNotFinite { index });
            }
            // A face cut by the border leaves the unit square a little; pixels leave it by far.
            if p.x.abs().max(p.y.abs()) > 4.0 {
                return Err(Error::LandmarkUnits { index, x: p.x, y: p.y });
            }
        }
        Ok(())
    }

    /// Checks points that somebody gives: as [`check`](Self::check), and that eyes and mouth do not lie as in a mirror, which
    /// they do where x and y or the sides of the face are swapped. However far the face is turned, the mouth lies clockwise
    /// of the way from the subject's right eye to the left one.
    ///
    /// # Errors
    /// As [`check`](Self::check); [`Error::LandmarkOrder`].
    pub fn check_given(&self) -> Result<(), Error> {
        self.check()?;
        let mean = |range: std::ops::Range<usize>| {
            let n = range.len() as f32;
            let sum = self[range].iter().fold((0.0, 0.0), |(x, y), p| (x + p.x, y + p.y));
            (sum.0 / n, sum.1 / n)
        };
        let (right, left, mouth) = (mean(36..42), mean(42..48), mean(48..68));
        let eyes = (left.0 - right.0, left.1 - right.1);
        let down = (mouth.0 - (left.0 + right.0) / 2.0, mouth.1 - (left.1 + right.1) / 2.0);
        let sine = (eyes.0 * down.1 - eyes.1 * down.0) / (eyes.0.hypot(eyes.1) * down.0.hypot(down.1));
        // Profiles may be a little beyond; points that coincide have no side.
        if sine < -0.5 { Err(Error::LandmarkOrder) } else { Ok(()) }
    }
}

/// An axis-aligned box in pixels, `[x, y, width, height]`, origin top-left.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f32; 4]", into = "[f32; 4]")]
pub struct BBox {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width, positive.
    pub width: f32,
    /// Height, positive.
    pub height: f32,
}

impl From<[f32; 4]> for BBox {
    fn from([x, y, width, height]: [f32; 4]) -> Self {
        Self { x, y, width, height }
    }
}

impl From<BBox> for [f32; 4] {
    fn from(b: BBox) -> Self {
        [b.x, b.y, b.width, b.height]
    }
}

impl BBox {
    /// Centre of the box.
    pub fn center(&self) -> Point {
        Point::new(self.x + self.width / 2.0, self.y + self.height / 2.0)
    }

    /// Width times height.
    pub fn area(&self) -> f32 {
        self.width.max(0.0) * self.height.max(0.0)
    }

    /// Intersection over union, 0 to 1; 0 where both are empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let w = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let h = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        let inter = w.max(0.0) * h.max(0.0);
        let union = self.area() + other.area() - inter;
        if union > 0.0 { inter / union } else { 0.0 }
    }

    /// The smallest box around the points.
    pub fn around(points: &[Point]) -> Self {
        let (mut x0, mut y0, mut x1, mut y1) = (f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY);
        for p in points {
            (x0, y0, x1, y1) = (x0.min(p.x), y0.min(p.y), x1.max(p.x), y1.max(p.y));
        }
        Self { x: x0, y: y0, width: x1 - x0, height: y1 - y0 }
    }

    /// Whether any part leaves a picture of this size.
    pub fn leaves(&self, width: u32, height: u32) -> bool {
        self.x < 0.0 || self.y < 0.0 || self.x + self.width > width as f32 || self.y + self.height > height as f32
    }

    /// Checks a box given by the user: finite, of positive size, touching the picture and at
    /// most four times its size.
    ///
    /// # Errors
    /// [`Error::BadBox`].
    pub fn check(&self, width: u32, height: u32) -> Result<(), Error> {
        let finite = <[f32; 4]>::from(*self).iter().all(|v| v.is_finite());
        let inside =
            self.x < width as f32 && self.y < height as f32 && self.x + self.width > 0.0 && self.y + self.height > 0.0;
        let bounded = self.width.max(self.height) <= 4.0 * width.max(height) as f32;
        if finite && bounded && self.width > 0.0 && self.height > 0.0 && inside {
            Ok(())
        } else {
            Err(Error::BadBox { bbox: (*self).into(), width, height })
        }
    }
}

/// An affine map `x' = a x + b y + c`, `y' = d x + e y + f`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine(pub [f64; 6]);

impl Affine {
    /// Maps the unit square onto a rotated square of side `size` around `center`; `angle` in radians, clockwise on
    /// the screen (y down).
    pub fn unit_to_square(center: Point, size: f32, angle: f32) -> Self {
        let (s, c) = (f64::from(angle)).sin_cos();
        let size = f64::from(size);
        let (cx, cy) = (f64::from(center.x), f64::from(center.y));
        Self([c * size, -s * size, cx - 0.5 * size * (c - s), s * size, c * size, cy - 0.5 * size * (s + c)])
    }

    /// Scale then offset along each axis.
    pub fn scale_offset(sx: f64, sy: f64, ox: f64, oy: f64) -> Self {
        Self([sx, 0.0, ox, 0.0, sy, oy])
    }

    /// Applies the map.
    pub fn apply(&self, x: f64, y: f64) -> (f64, f64) {
        let [a, b, c, d, e, f] = self.0;
        (a * x + b * y + c, d * x + e * y + f)
    }

    /// The inverse, `None` where the map is degenerate.
    pub fn inverse(&self) -> Option<Self> {
        let [a, b, c, d, e, f] = self.0;
        let det = a * e - b * d;
        if !det.is_normal() {
            return None;
        }
        let (ia, ib, id, ie) = (e / det, -b / det, -d / det, a / det);
        Some(Self([ia, ib, -(ia * c + ib * f), id, ie, -(id * c + ie * f)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_of_halves_is_a_third() {
        let a = BBox::from([0.0, 0.0, 2.0, 1.0]);
        assert!((a.iou(&BBox::from([1.0, 0.0, 2.0, 1.0])) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.iou(&BBox::from([5.0, 5.0, 1.0, 1.0])), 0.0);
    }

    #[test]
    fn rotated_square_maps_back() {
        let map = Affine::unit_to_square(Point::new(30.0, 40.0), 20.0, 0.7);
        let (x, y) = map.apply(0.5, 0.5);
        assert!((x - 30.0).abs() < 1e-9 && (y - 40.0).abs() < 1e-9);
        let (x, y) = map.apply(0.2, 0.9);
        let (u, v) = map.inverse().unwrap().apply(x, y);
        assert!((u - 0.2).abs() < 1e-9 && (v - 0.9).abs() < 1e-9);
    }

    #[test]
    fn landmark_json_is_told_apart() {
        let pairs = |n: usize, v: f32| serde_json::to_string(&vec![[v, v]; n]).unwrap();
        assert!(UnitLandmarks::from_json(&pairs(68, 0.5)).is_ok());
        for n in [0, 5, 67, 69, 98, 106, 468] {
            assert!(matches!(
                UnitLandmarks::from_json(&pairs(n, 0.5)),
                Err(Error::LandmarkCount { count }) if count == n
            ));
        }
        assert!(matches!(UnitLandmarks::from_json(&pairs(68, 120.0)), Err(Error::LandmarkUnits { .. })));
        assert!(matches!(UnitLandmarks::from_json("[[1e999, 0]]"), Err(Error::LandmarkJson(_))));
        assert!(matches!(UnitLandmarks::from_json("{}"), Err(Error::LandmarkJson(_))));
    }

    #[test]
    fn mirrored_points_are_no_face() {
        // Eyes, mouth, and the rest where the nose is.
        let point = |i: usize| match i {
            36..42 => UnitPoint::new(0.3, 0.4),
            42..48 => UnitPoint::new(0.7, 0.4),
            48..68 => UnitPoint::new(0.5, 0.8),
            _ => UnitPoint::new(0.5, 0.6),
        };
        let face = UnitLandmarks::try_from((0..POINT_COUNT).map(point).collect::<Vec<_>>()).unwrap();
        for turn in 0..12 {
            let (s, c) = (turn as f32 * std::f32::consts::FRAC_PI_6).sin_cos();
            let turned = face.map(|p| {
                let (x, y) = (p.x - 0.5, p.y - 0.5);
                UnitPoint::new(0.5 + c * x - s * y, 0.5 + s * x + c * y)
            });
            turned.check_given().unwrap();
            for wrong in [turned.map(|p| UnitPoint::new(p.y, p.x)), turned.map(|p| UnitPoint::new(1.0 - p.x, p.y))] {
                assert!(matches!(wrong.check_given(), Err(Error::LandmarkOrder)));
            }
        }
        face.map(|_| UnitPoint::new(0.5, 0.5)).check_given().unwrap();
    }

    #[test]
    fn bad_boxes_are_refused() {
        for b in [[f32::NAN, 0., 1., 1.], [0., 0., -1., 1.], [0., 0., 0., 1.], [200., 0., 9., 9.]] {
            assert!(matches!(BBox::from(b).check(100, 100), Err(Error::BadBox { .. })));
        }
        assert!(BBox::from([-5., -5., 20., 20.]).check(100, 100).is_ok());
    }
}
