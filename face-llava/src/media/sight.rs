//! Faces found in media, before one of them is chosen.

use std::time::Instant;

use face_encoder::video::Clip;
use image::RgbImage;
use landmarks::{
    BBox, CropRule, Detection, Face, FaceCrop, FaceFinder, PixelLandmarks, Select, Track, Tracker, TrackerOptions,
    UnitLandmarks, crop_face,
};

use super::{FrameFace, Pixels, ms};
use crate::Error;

/// All faces of a picture, or the tracks of a clip.
pub(super) enum Sight<'m> {
    Picture { image: &'m RgbImage, faces: Vec<Detection> },
    Clip { clip: &'m Clip, tracks: Vec<Track>, counts: Vec<usize> },
}

/// Milliseconds that finding faces and their points took.
#[derive(Clone, Copy, Default)]
pub(super) struct Clock {
    pub detect_ms: f64,
    pub landmarks_ms: f64,
}

/// A crop, its landmarks where they are wanted, and where it was.
pub(super) type Sighting = (FaceCrop, Option<UnitLandmarks>, FrameFace);

impl<'m> Sight<'m> {
    /// Looks for all faces. In clips all are aligned as well: tracks are made of them.
    pub fn new(pixels: &'m Pixels, finder: &FaceFinder, clock: &mut Clock) -> Result<Self, Error> {
        let mut detect = |picture: &RgbImage| {
            let start = Instant::now();
            let found = finder.detect(picture).map(|found| found.faces);
            clock.detect_ms += ms(start);
            found
        };
        let clip = match pixels {
            Pixels::Image(image) => return Ok(Self::Picture { image, faces: detect(image)? }),
            Pixels::Video(clip) => clip,
        };
        // Sampled frames lie far apart: a gap of any length may be bridged.
        let mut tracker = Tracker::new(TrackerOptions { max_gap: clip.frames.len(), ..Default::default() });
        let mut counts = Vec::with_capacity(clip.frames.len());
        for (i, frame) in clip.frames.iter().enumerate() {
            let found = detect(frame)?;
            let start = Instant::now();
            let faces = found.iter().enumerate().map(|(n, d)| finder.align(frame, n, d));
            let faces: Vec<Face> = faces.collect::<Result<_, _>>()?;
            clock.landmarks_ms += ms(start);
            counts.push(faces.len());
            tracker.push(i, &faces);
        }
        Ok(Self::Clip { clip, tracks: tracker.into_tracks(), counts })
    }

    /// Faces or tracks.
    pub fn count(&self) -> usize {
        match self {
            Self::Picture { faces, .. } => faces.len(),
            Self::Clip { tracks, .. } => tracks.len(),
        }
    }

    /// The one that is asked for; in clips the heaviest track.
    pub fn choose(&self, select: Select) -> Option<usize> {
        match self {
            Self::Picture { faces, .. } => {
                select.indices(&faces.iter().map(|d| d.bbox).collect::<Vec<_>>()).first().copied()
            }
            Self::Clip { tracks, .. } => match select {
                Select::Index(id) => tracks.iter().position(|t| t.id == id),
                _ => (0..tracks.len()).max_by(|a, b| tracks[*a].weight().total_cmp(&tracks[*b].weight())),
            },
        }
    }

    /// The crop of a face, or one for each frame of a clip; frames without it use its last sighting.
    pub fn face(
        &self,
        index: usize,
        finder: &FaceFinder,
        rule: CropRule,
        align: bool,
        clock: &mut Clock,
    ) -> Result<Vec<Sighting>, Error> {
        match self {
            Self::Picture { image, faces } => {
                let start = Instant::now();
                let needed = align || rule == CropRule::Aligned;
                let aligned = if needed { Some(finder.align(image, index, &faces[index])?) } else { None };
                clock.landmarks_ms += ms(start);
                let points = aligned.as_ref().map(|face| &face.points);
                let crop = lay(image, &faces[index].bbox, points, rule)?;
                let face = FrameFace {
                    bbox: Some(faces[index].bbox),
                    score: Some(faces[index].score),
                    index: Some(index),
                    crop: crop.square,
                    truncated: crop.truncated,
                    seen: true,
                    of: faces.len(),
                    low_quality: aligned.as_ref().is_some_and(|face| face.low_quality),
                };
                let landmarks = points.filter(|_| align).map(|p| crop.landmarks(p));
                Ok(vec![(crop, landmarks, face)])
            }
            Self::Clip { clip, tracks, counts } => {
                let each = clip.frames.iter().enumerate().filter_map(|(i, frame)| {
                    // A track has a face.
                    let (face, seen_in) = tracks[index].at(i)?;
                    // Its place in one picture means nothing in one of another size.
                    let other = &clip.frames[seen_in];
                    let frame = if frame.dimensions() == other.dimensions() { frame } else { other };
                    Some(lay(frame, &face.bbox, Some(&face.points), rule).map(|crop| {
                        let landmarks = align.then(|| crop.landmarks(&face.points));
                        let face = FrameFace {
                            bbox: Some(face.bbox),
                            score: Some(face.score),
                            index: Some(face.index),
                            crop: crop.square,
                            truncated: crop.truncated,
                            seen: seen_in == i,
                            of: counts[i],
                            low_quality: face.low_quality,
                        };
                        (crop, landmarks, face)
                    }))
                });
                each.collect()
            }
        }
    }
}

/// The crop around a detected face.
fn lay(picture: &RgbImage, bbox: &BBox, points: Option<&PixelLandmarks>, rule: CropRule) -> Result<FaceCrop, Error> {
    Ok(match (rule, points) {
        (CropRule::Aligned, Some(points)) => FaceCrop::aligned(picture, points)?,
        _ => crop_face(picture, bbox, rule)?,
    })
}
