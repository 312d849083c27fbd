//! Looking at a row's picture or clip: decode, detect, crop, align, filter.

use std::fs::File;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use image::RgbImage;
use landmarks::picture::{OpenOptions, decode, read_file, regular_file};
use landmarks::{
    BBox, CropRule, DetectorOptions, FaceCrop, FaceFinder, MeshAligner, Select, UnitLandmarks, UnitPoint, crop_face,
};
use sha2::{Digest, Sha256};

use super::item::ItemFault;
use super::options::{BuildOptions, Faces};
use crate::data::geometry::Measures;
use crate::data::light::Light;
use crate::data::seed::{feed, hex, sha256};
use crate::data::source::Row;
use crate::media::recrop;
use crate::{FaceOptions, LandmarkSource, Media, Pixels, quietly};

/// The aligner's belief below which points are guesses.
const MIN_PRESENCE: f32 = 0.5;

/// A face as the annotators and the model see it.
pub(super) struct Seen {
    pub frames: Vec<RgbImage>,
    pub points: Vec<UnitLandmarks>,
    pub is_video: bool,
    pub measures: Measures,
    pub light: Light,
}

/// Detector and aligner with the filters. Shared by the workers.
pub(super) struct Look {
    finder: FaceFinder,
    /// For clips, of which only the chosen faces are told: sees no others than those above the limit. None where `finder` sees
    /// no others either.
    strict: Option<FaceFinder>,
    mesh: MeshAligner,
    faces: Faces,
    crop: CropRule,
    min_score: f32,
}

type Found = (Vec<RgbImage>, Vec<UnitLandmarks>, bool);

/// Why a row shows no usable face, and the digest of its input where that could be read.
type Unseen = Box<(ItemFault, Option<String>)>;

impl Look {
    pub fn new(options: &BuildOptions) -> Result<Self, landmarks::Error> {
        let device: &Device = &options.device;
        let default = DetectorOptions::default();
        let detector = DetectorOptions { min_score: default.min_score.min(options.min_face_score), ..default };
        Ok(Self {
            finder: FaceFinder::new(detector, device)?,
            strict: (options.min_face_score > detector.min_score)
                .then(|| FaceFinder::new(DetectorOptions { min_score: options.min_face_score, ..default }, device))
                .transpose()?,
            mesh: MeshAligner::new(device)?,
            faces: options.faces,
            crop: options.crop,
            min_score: options.min_face_score,
        })
    }

    /// The face of a row and the digest of the input's bytes; the digest also where the face is rejected.
    pub fn at(&self, row: &Row) -> Result<(Seen, String), Unseen> {
        let mut digest = None;
        let seen = quietly(|| self.seen(row, &mut digest)).unwrap_or(Err(ItemFault::Internal));
        match (seen, digest) {
            (Ok(seen), Some(digest)) => Ok((seen, digest)),
            (Ok(_), None) => Err(Box::new((ItemFault::Internal, None))),
            (Err(fault), digest) => Err(Box::new((fault, digest))),
        }
    }

    fn seen(&self, row: &Row, digest: &mut Option<String>) -> Result<Seen, ItemFault> {
        let (frames, points, is_video) = if row.is_video {
            *digest = Some(digest_of(&row.media)?);
            self.clip(&row.media)?
        } else {
            let limits = OpenOptions::default();
            let bytes = read_file(&row.media, limits.max_file_bytes)?;
            *digest = Some(sha256(&bytes));
            self.picture(&decode(&bytes, &limits)?.rgb)?
        };
        // Four decimals are 1/40 of a pixel of the crop: records stay short and read the same everywhere.
        let short = |v: f32| (v * 1e4).round() / 1e4;
        let points: Vec<UnitLandmarks> =
            points.iter().map(|set| set.map(|p| UnitPoint::new(short(p.x), short(p.y)))).collect();
        let middle = frames.len() / 2;
        let (Some(frame), Some(set)) = (frames.get(middle), points.get(middle)) else {
            return Err(ItemFault::BadPoints);
        };
        if points.iter().any(|set| set.check().is_err()) {
            return Err(ItemFault::BadPoints);
        }
        let aspect = frame.width() as f32 / frame.height() as f32;
        let measures = Measures::new(set, aspect).ok_or(ItemFault::BadPoints)?;
        let light = Light::new(frame);
        Ok(Seen { frames, points, is_video, measures, light })
    }

    fn picture(&self, picture: &RgbImage) -> Result<Found, ItemFault> {
        if self.faces == Faces::Whole {
            let mesh = self.mesh.align_crop(picture)?;
            if mesh.presence < MIN_PRESENCE {
                return Err(ItemFault::LowQuality);
            }
            let points = mesh.landmarks();
            let crop = recrop(picture, Some(&points), self.crop)?;
            let points = crop.landmarks(&points);
            return Ok((vec![crop.image], vec![points], false));
        }
        let mut found = self.finder.detect(picture)?.faces;
        let best = found.iter().map(|d| d.score).max_by(f32::total_cmp).ok_or(ItemFault::NoFace)?;
        // What is too unsure to be a face is none of several, nor the largest.
        found.retain(|d| d.score >= self.min_score);
        let boxes: Vec<BBox> = found.iter().map(|d| d.bbox).collect();
        let too_low = ItemFault::LowScore { score: best, limit: self.min_score };
        let index = *Select::Largest.indices(&boxes).first().ok_or(too_low)?;
        self.check(found.len())?;
        let face = self.finder.align(picture, index, &found[index])?;
        if face.low_quality {
            return Err(ItemFault::LowQuality);
        }
        let crop = match self.crop {
            CropRule::Aligned => FaceCrop::aligned(picture, &face.points)?,
            rule => crop_face(picture, &face.bbox, rule)?,
        };
        let points = crop.landmarks(&face.points);
        Ok((vec![crop.image], vec![points], false))
    }

    fn check(&self, faces: usize) -> Result<(), ItemFault> {
        if faces > 1 && self.faces == Faces::Single { Err(ItemFault::SeveralFaces { faces }) } else { Ok(()) }
    }

    fn clip(&self, path: &Path) -> Result<Found, ItemFault> {
        let media = Media::open(path)?;
        if let Pixels::Image(picture) = &media.pixels {
            return self.picture(picture);
        }
        if self.faces == Faces::Whole {
            let (mut frames, mut points) = (Vec::new(), Vec::new());
            for frame in media.frames() {
                let (frame, set, _) = self.picture(frame)?;
                frames.extend(frame);
                points.extend(set);
            }
            return Ok((frames, points, true));
        }
        let options = FaceOptions {
            detect: true,
            select: Select::Largest,
            crop: Some(self.crop),
            landmarks: LandmarkSource::Found,
        };
        let prepared = media.prepare(self.strict.as_ref().unwrap_or(&self.finder), &options, true, None)?;
        self.check(prepared.faces.iter().map(|f| f.of).max().unwrap_or(0))?;
        if prepared.faces.iter().any(|f| f.low_quality) {
            return Err(ItemFault::LowQuality);
        }
        Ok((prepared.crops, prepared.landmarks.unwrap_or_default(), true))
    }
}

/// SHA-256 of a file, or of the names and contents of a folder's files.
fn digest_of(path: &Path) -> Result<String, landmarks::Error> {
    let mut hash = Sha256::new();
    if path.is_dir() {
        let files = std::fs::read_dir(path).and_then(|all| all.map(|entry| entry.map(|e| e.path())).collect());
        let mut files: Vec<PathBuf> = files.map_err(|source| landmarks::Error::Io { path: path.into(), source })?;
        files.sort();
        for file in files.iter().filter(|f| f.is_file()) {
            hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
            add(&mut hash, file)?;
        }
    } else {
        add(&mut hash, path)?;
    }
    Ok(hex(&hash.finalize()))
}

fn add(hash: &mut Sha256, path: &Path) -> Result<(), landmarks::Error> {
    // Pipes and devices have no end.
    regular_file(path)?;
    File::open(path)
        .and_then(|file| feed(hash, file))
        .map_err(|source| landmarks::Error::Io { path: path.into(), source })
}
