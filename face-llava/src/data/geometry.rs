//! What 68 points tell about a face: lengths in units of the distance between the outer eye corners, and weak labels.
//!
//! The labels are weak: thresholds on single frames without the person's neutral face, set by looking at the spread
//! over 870 photographs of training persons. They tell a raised corner of the mouth from a level one; they do not replace
//! a coder. There, corners counted as pulled up in 70 % of the faces that people call happy and 4 % of the neutral ones;
//! raised brows in 26 % of the surprised and 7 % of the neutral ones; lowered brows in 26 % of the angry and 4 % of the
//! neutral ones. Heads that nod or look up shift the brows' heights, strong turns blur everything.

use landmarks::UnitLandmarks;
use serde::Serialize;

/// Lengths of a face, level and in units of the distance between the outer eye corners; angles in degrees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measures {
    /// Between the inner lips, mean of three places.
    pub lip_gap: f32,
    /// Between the corners of the mouth.
    pub mouth_width: f32,
    /// How far the corners of the mouth lie above the middle of the lips; negative below.
    pub corner_lift: f32,
    /// From the eye's centre up to the inner ends of the brows.
    pub inner_brow: f32,
    /// From the eye's centre up to the outer halves of the brows.
    pub outer_brow: f32,
    /// Height of the eyes over their width, mean of both.
    pub eye_open: f32,
    /// Turn of the head to the picture's right (positive) or left, roughly, degrees.
    pub yaw: f32,
    /// Tilt of the eye line, clockwise, degrees.
    pub roll: f32,
}

/// Lips further apart than this are parted (AU 25).
const LIPS_PART: f32 = 0.05;
/// Lips further apart than this mean a dropped jaw (AU 26).
const JAW_DROP: f32 = 0.16;
/// A [`Measures::pull`] above this raises the corners of the mouth (AU 12).
const CORNERS_PULLED: f32 = 0.075;
/// Width of a mouth at rest.
const MOUTH_WIDTH: f32 = 0.58;
/// Corners lower than this point down (described only: AU 15 needs more than points).
const CORNERS_DOWN: f32 = -0.05;
/// Inner brow ends higher than this are raised (AU 1).
const INNER_RAISED: f32 = 0.31;
/// Outer brows higher than this are raised (AU 2).
const OUTER_RAISED: f32 = 0.305;
/// Inner brow ends lower than this are lowered (AU 4) ...
const INNER_LOWERED: f32 = 0.18;
/// ... where they are also lower than the outer halves by this: heads that nod lower both.
const INNER_BELOW_OUTER: f32 = 0.02;
/// Eyes flatter than this are closed (AU 43).
const EYES_CLOSED: f32 = 0.14;
/// Eyes flatter than this are narrow.
const EYES_NARROW: f32 = 0.185;
/// Eyes rounder than this are wide open.
const EYES_WIDE: f32 = 0.355;
/// Heads turned further than this look aside.
const TURNED: f32 = 20.0;

/// How the mouth is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lips {
    /// Together.
    Closed,
    /// Apart.
    Parted,
    /// Wide apart: the jaw drops.
    WideOpen,
}

/// A place on a scale with a usual middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Below the usual.
    Low,
    /// As usual.
    Middle,
    /// Above the usual.
    High,
}

/// How the eyes are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Eyes {
    /// Shut.
    Closed,
    /// Nearly shut.
    Narrow,
    /// As usual.
    Open,
    /// Wide.
    Wide,
}

/// Where the head turns, in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// To the picture's left.
    Left,
    /// Straight at the camera.
    Ahead,
    /// To the picture's right.
    Right,
}

impl Measures {
    /// Measures a face; `None` where the points coincide so that nothing can be measured.
    pub fn new(points: &UnitLandmarks, aspect: f32) -> Option<Self> {
        let raw = |i: usize| (points[i].x * aspect, points[i].y);
        let ((ax, ay), (bx, by)) = (raw(36), raw(45));
        let (dx, dy) = (bx - ax, by - ay);
        let scale = dx.hypot(dy);
        if !(scale.is_finite() && scale > 1e-3) {
            return None;
        }
        // Level: x along the eye line, y down.
        let (c, s) = (dx / scale, dy / scale);
        let at = |i: usize| {
            let (x, y) = raw(i);
            let (x, y) = (x - ax, y - ay);
            ((x * c + y * s) / scale, (y * c - x * s) / scale)
        };
        let apart = |i: usize, j: usize| {
            let ((ax, ay), (bx, by)) = (at(i), at(j));
            (ax - bx).hypot(ay - by)
        };
        let height = |points: &[usize]| points.iter().map(|i| at(*i).1).sum::<f32>() / points.len() as f32;
        let eye = |[a, b, c, d, e, f]: [usize; 6]| (apart(b, f) + apart(c, e)) / (2.0 * apart(a, d).max(1e-6));
        let eyes = height(&[36, 39, 42, 45]);
        // The nose's tip between the jaw's sides at the height of the ears: in the middle when looking ahead.
        let (left, right, nose) = (at(1).0, at(15).0, at(30).0);
        let aside = (2.0 * nose - left - right) / (right - left).abs().max(1e-6);
        let measures = Self {
            lip_gap: (apart(61, 67) + apart(62, 66) + apart(63, 65)) / 3.0,
            mouth_width: apart(48, 54),
            corner_lift: height(&[51, 57, 62, 66]) - height(&[48, 54]),
            inner_brow: eyes - height(&[21, 22]),
            outer_brow: eyes - height(&[18, 19, 24, 25]),
            eye_open: (eye([36, 37, 38, 39, 40, 41]) + eye([42, 43, 44, 45, 46, 47])) / 2.0,
            yaw: aside.clamp(-1.0, 1.0).asin().to_degrees(),
            roll: dy.atan2(dx).to_degrees(),
        };
        let all = [measures.lip_gap, measures.mouth_width, measures.corner_lift, measures.inner_brow];
        all.into_iter().chain([measures.eye_open, measures.yaw]).all(f32::is_finite).then_some(measures)
    }

    /// How the mouth is held.
    pub fn lips(&self) -> Lips {
        match self.lip_gap {
            gap if gap > JAW_DROP => Lips::WideOpen,
            gap if gap > LIPS_PART => Lips::Parted,
            _ => Lips::Closed,
        }
    }

    /// How far the corners of the mouth are pulled up and out; a dropped jaw, which lowers the middle of the lips, is
    /// taken off.
    pub fn pull(&self) -> f32 {
        self.corner_lift + (self.mouth_width - MOUTH_WIDTH) - 0.3 * self.lip_gap
    }

    /// The corners of the mouth: down, level, pulled up.
    pub fn corners(&self) -> Level {
        if self.pull() > CORNERS_PULLED {
            Level::High
        } else if self.corner_lift < CORNERS_DOWN {
            Level::Low
        } else {
            Level::Middle
        }
    }

    /// The brows: lowered, level, raised.
    pub fn brows(&self) -> Level {
        if self.inner_raised() || self.outer_raised() {
            Level::High
        } else if self.lowered() {
            Level::Low
        } else {
            Level::Middle
        }
    }

    /// The eyes.
    pub fn eyes(&self) -> Eyes {
        match self.eye_open {
            e if e < EYES_CLOSED => Eyes::Closed,
            e if e < EYES_NARROW => Eyes::Narrow,
            e if e > EYES_WIDE => Eyes::Wide,
            _ => Eyes::Open,
        }
    }

    /// The head.
    pub fn turn(&self) -> Turn {
        match level(self.yaw, -TURNED, TURNED) {
            Level::Low => Turn::Left,
            Level::Middle => Turn::Ahead,
            Level::High => Turn::Right,
        }
    }

    fn inner_raised(&self) -> bool {
        self.inner_brow > INNER_RAISED
    }

    fn outer_raised(&self) -> bool {
        self.outer_brow > OUTER_RAISED
    }

    fn lowered(&self) -> bool {
        self.inner_brow < INNER_LOWERED && self.inner_brow < self.outer_brow - INNER_BELOW_OUTER
    }

    /// Action units that the points show: 1, 2, 4, 12, 25, 26 and 43. Others need wrinkles and bulges, which points do
    /// not show.
    pub fn action_units(&self) -> Vec<u8> {
        let lips = self.lips();
        let found = [
            (1, self.inner_raised()),
            (2, self.outer_raised()),
            (4, self.lowered()),
            (12, self.corners() == Level::High),
            (25, lips != Lips::Closed),
            (26, lips == Lips::WideOpen),
            (43, self.eyes() == Eyes::Closed),
        ];
        found.into_iter().filter(|(_, active)| *active).map(|(unit, _)| unit).collect()
    }

    /// CelebA's attributes that the points show.
    pub fn attributes(&self) -> Vec<&'static str> {
        let found = [
            ("Arched_Eyebrows", self.brows() == Level::High),
            ("Mouth_Slightly_Open", self.lips() != Lips::Closed),
            ("Narrow_Eyes", matches!(self.eyes(), Eyes::Narrow | Eyes::Closed)),
            ("Smiling", self.corners() == Level::High),
        ];
        found.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name).collect()
    }
}

fn level(value: f32, low: f32, high: f32) -> Level {
    match value {
        v if v < low => Level::Low,
        v if v > high => Level::High,
        _ => Level::Middle,
    }
}
