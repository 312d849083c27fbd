//! Following faces over the frames of a video.

use crate::{BBox, Face};

/// Settings of a [`Tracker`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackerOptions {
    /// A face continues a track when its box overlaps the track's last box by at least this (intersection over union).
    pub min_overlap: f32,
    /// Frames that a track survives without its face.
    pub max_gap: usize,
}

impl Default for TrackerOptions {
    fn default() -> Self {
        Self { min_overlap: 0.2, max_gap: 12 }
    }
}

/// One person's way through a video.
#[derive(Clone, Debug)]
pub struct Track {
    /// Stable within the video, from 0 in order of appearance.
    pub id: usize,
    /// `(frame, face)`, frames ascending; frames without the face are absent.
    pub faces: Vec<(usize, Face)>,
}

impl Track {
    /// The face in a frame; in a gap the one seen last before it. With the frame that it was seen in.
    pub fn at(&self, frame: usize) -> Option<(&Face, usize)> {
        let seen = self.faces.iter().rev().find(|(f, _)| *f <= frame).or_else(|| self.faces.first())?;
        Some((&seen.1, seen.0))
    }

    /// Sum of the box areas: large and long tracks first.
    pub fn weight(&self) -> f32 {
        self.faces.iter().map(|(_, f)| f.bbox.area()).sum()
    }

    fn last(&self) -> Option<(usize, BBox)> {
        self.faces.last().map(|(frame, face)| (*frame, face.bbox))
    }
}

/// Joins the faces of successive frames into tracks, greedily by overlap.
#[derive(Debug, Default)]
pub struct Tracker {
    options: TrackerOptions,
    tracks: Vec<Track>,
}

impl Tracker {
    /// An empty tracker.
    pub fn new(options: TrackerOptions) -> Self {
        Self { options, tracks: Vec::new() }
    }

    /// Adds the faces of a frame; frames must come in ascending order. Returns each face's track id.
    pub fn push(&mut self, frame: usize, faces: &[Face]) -> Vec<usize> {
        let mut pairs = Vec::new();
        for (t, track) in self.tracks.iter().enumerate() {
            let Some((seen, bbox)) = track.last() else { continue };
            if seen >= frame || frame - seen > self.options.max_gap + 1 {
                continue;
            }
            for (f, face) in faces.iter().enumerate() {
                let overlap = bbox.iou(&face.bbox);
                if overlap >= self.options.min_overlap {
                    pairs.push((overlap, t, f));
                }
            }
        }
        // Ties go to the older track and the better face.
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut ids = vec![None; faces.len()];
        for (_, t, f) in pairs {
            if ids[f].is_none() && !ids.contains(&Some(t)) {
                ids[f] = Some(t);
            }
        }
        let mut assigned = Vec::with_capacity(faces.len());
        for (face, id) in faces.iter().zip(ids) {
            let id = id.unwrap_or_else(|| {
                self.tracks.push(Track { id: self.tracks.len(), faces: Vec::new() });
                self.tracks.len() - 1
            });
            self.tracks[id].faces.push((frame, face.clone()));
            assigned.push(id);
        }
        assigned
    }

    /// All tracks, in order of appearance.
    pub fn into_tracks(self) -> Vec<Track> {
        self.tracks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Landmarks, Point};

    fn face(x: f32) -> Face {
        Face {
            index: 0,
            bbox: [x, 0.0, 10.0, 10.0].into(),
            score: 0.9,
            keypoints: [Point::default(); 6],
            points: Landmarks::new([Point::default(); 68]),
            point_scores: None,
            presence: 1.0,
            roll: 0.0,
            truncated: false,
            low_quality: false,
        }
    }

    #[test]
    fn two_faces_keep_their_ids_through_a_gap() {
        let mut tracker = Tracker::new(TrackerOptions { max_gap: 2, ..Default::default() });
        assert_eq!(tracker.push(0, &[face(0.0), face(100.0)]), [0, 1]);
        assert_eq!(tracker.push(1, &[face(101.0)]), [1]);
        assert_eq!(tracker.push(2, &[face(102.0), face(2.0)]), [1, 0]);
        assert_eq!(tracker.push(9, &[face(2.0)]), [2]);
        let tracks = tracker.into_tracks();
        let (carried, seen_in) = tracks[0].at(1).unwrap();
        assert_eq!((carried.bbox.x, seen_in), (0.0, 0));
        assert!(tracks[1].weight() > tracks[0].weight());
    }
}
