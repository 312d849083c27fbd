//! The 68-point iBUG scheme: nine regions and the mirror pairs.

use std::ops::Range;

/// Points of one face.
pub const POINT_COUNT: usize = 68;
/// Regions of one face.
pub const REGION_COUNT: usize = 9;

/// A region of the face: a run of consecutive points (facts of the paper's face-region landmark projector).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// Jaw line, 17 points.
    Face,
    /// Eyebrow on the picture's left, 5 points.
    Eyebrow1,
    /// Eyebrow on the picture's right, 5 points.
    Eyebrow2,
    /// Bridge of the nose, 4 points.
    Nose,
    /// Base of the nose, 5 points.
    Nostril,
    /// Eye on the picture's left, 6 points.
    Eye1,
    /// Eye on the picture's right, 6 points.
    Eye2,
    /// Outer lip contour, 12 points.
    Lips,
    /// Inner lip contour, 8 points.
    Teeth,
}

impl Region {
    /// All regions in token order.
    pub const ALL: [Self; REGION_COUNT] = [
        Self::Face,
        Self::Eyebrow1,
        Self::Eyebrow2,
        Self::Nose,
        Self::Nostril,
        Self::Eye1,
        Self::Eye2,
        Self::Lips,
        Self::Teeth,
    ];

    /// The name used in checkpoints and figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Face => "face",
            Self::Eyebrow1 => "eyebrow1",
            Self::Eyebrow2 => "eyebrow2",
            Self::Nose => "nose",
            Self::Nostril => "nostril",
            Self::Eye1 => "eye1",
            Self::Eye2 => "eye2",
            Self::Lips => "lips",
            Self::Teeth => "teeth",
        }
    }

    /// Its points as a range of the 68.
    pub const fn points(self) -> Range<usize> {
        match self {
            Self::Face => 0..17,
            Self::Eyebrow1 => 17..22,
            Self::Eyebrow2 => 22..27,
            Self::Nose => 27..31,
            Self::Nostril => 31..36,
            Self::Eye1 => 36..42,
            Self::Eye2 => 42..48,
            Self::Lips => 48..60,
            Self::Teeth => 60..68,
        }
    }

    /// Whether the points close into a ring when drawn.
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Eye1 | Self::Eye2 | Self::Lips | Self::Teeth)
    }
}

/// `MIRROR[i]` is the point that point `i` becomes when the face is flipped left to right.
pub const MIRROR: [usize; POINT_COUNT] = [
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 27, 28, 29, 30,
    35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,
    64, 63, 62, 61, 60, 67, 66, 65,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_cover_each_point_once() {
        let points: Vec<_> = Region::ALL.iter().flat_map(|r| r.points()).collect();
        assert_eq!(points, (0..POINT_COUNT).collect::<Vec<_>>());
    }

    #[test]
    fn mirror_is_its_own_inverse() {
        for (i, &m) in MIRROR.iter().enumerate() {
            assert_eq!(MIRROR[m], i);
        }
    }
}
