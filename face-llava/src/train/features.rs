//! What the frozen towers see: computed once for each picture, kept in half precision.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Tensor, TensorData};
use face_encoder::{Tower, image_pixels, pad_to_square, video_pixels};
use half::f16;
use image::RgbImage;
use landmarks::{CropRule, FaceCrop, POINT_COUNT, UnitLandmarks};
use rayon::prelude::*;

use super::augment::{Augmentation, random};
use crate::media::recrop;
use crate::{Error, Media, Pixels};

/// Pictures that go through a tower together, where all can be kept. Which ones is a matter of their numbers alone: a value
/// must not depend on when it was asked for.
const CHUNK: usize = 32;
/// Purpose of the random numbers.
const AUGMENT: u64 = 1;

/// A picture or clip of the training set: the face crop itself.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingMedia {
    /// Its file.
    pub path: PathBuf,
    /// Whether it is a clip.
    pub is_video: bool,
    /// Points, one set for a picture or for each sampled frame, in fractions of the crop.
    pub landmarks: Option<Vec<UnitLandmarks>>,
}

/// Tower output of one picture or clip.
#[derive(Debug)]
pub(super) struct Seen {
    /// Frames (1 for pictures), tokens, width.
    pub shape: [usize; 3],
    pub values: Vec<f16>,
    /// `[frames, 68, 2]`.
    pub landmarks: Option<Vec<f32>>,
}

/// The frozen towers with a memory.
#[derive(Debug)]
pub struct Features {
    towers: [Option<Tower>; 2],
    media: Vec<TrainingMedia>,
    augmentation: Option<Augmentation>,
    /// Versions of each picture; the first is the picture as it is.
    versions: usize,
    seed: u64,
    pad: bool,
    crop: Option<CropRule>,
    device: Device,
    /// Bytes that may be kept.
    limit: usize,
    /// Bytes of all media in one version.
    whole: usize,
    memory: Mutex<Memory>,
    /// Held by the device that computes what is not there yet.
    computing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Memory {
    seen: HashMap<(usize, usize), Result<Arc<Seen>, String>>,
    bytes: usize,
}

impl Features {
    /// Towers for pictures and clips, both optional, and what they will look at. `limit` is in bytes of memory.
    pub fn new(image: Option<Tower>, video: Option<Tower>, media: Vec<TrainingMedia>, pad: bool, limit: usize) -> Self {
        let tower = image.as_ref().or(video.as_ref());
        let device = tower.map_or_else(Device::default, |t| t.device().without_autodiff());
        let towers = [image, video];
        let bytes = |media: &TrainingMedia| {
            let tower = towers[usize::from(media.is_video)].as_ref().map(Tower::config);
            tower.map_or(0, |config| kept(config.frames.unwrap_or(1) * (config.patches() + 1) * config.width))
        };
        let whole = media.iter().map(bytes).sum();
        Self {
            towers,
            media,
            augmentation: None,
            versions: 1,
            seed: 0,
            pad,
            crop: None,
            device,
            limit,
            whole,
            memory: Mutex::default(),
            computing: Mutex::default(),
        }
    }

    /// Shows `versions` versions of each picture in turn, all but the first one augmented.
    pub fn augmented(mut self, augmentation: Augmentation, versions: usize, seed: u64) -> Self {
        (self.augmentation, self.versions, self.seed) = (Some(augmentation), versions.max(1), seed);
        self
    }

    /// Turns every picture into the crop that the model reads, as the model does itself with pictures taken as crops.
    pub fn cropped(mut self, rule: Option<CropRule>) -> Self {
        self.crop = rule;
        self
    }

    /// The pictures and clips.
    pub fn media(&self) -> &[TrainingMedia] {
        &self.media
    }

    /// Tokens of a picture or frame and their width, where there is such a tower.
    pub(super) fn tokens(&self, is_video: bool) -> Option<usize> {
        let tower = self.towers[usize::from(is_video)].as_ref()?;
        Some(tower.config().patches() + usize::from(is_video))
    }

    /// What a tower makes of a picture or clip in the version of some epoch; the inner error says why it cannot be read.
    pub(super) fn get(&self, index: usize, epoch: usize) -> Result<Arc<Seen>, String> {
        let version = epoch % self.versions;
        let known = || self.lock().seen.get(&(index, version)).cloned();
        if let Some(known) = known() {
            return known;
        }
        // One at a time: what another device waits for as well is not computed twice.
        let _turn = self.computing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known() {
            return known;
        }
        // Where not all can be kept, neighbours would be thrown away.
        let size = if self.whole.saturating_mul(self.versions) > self.limit { 1 } else { CHUNK };
        let first = index / size * size;
        let chunk: Vec<usize> = (first..(first + size).min(self.media.len())).collect();
        let mut wanted = Err("not computed".to_owned());
        let computed = self.compute(&chunk, version);
        let mut memory = self.lock();
        for (i, seen) in chunk.into_iter().zip(computed) {
            if i == index {
                wanted = seen.clone();
            }
            let bytes = seen.as_ref().map_or(64, |s| kept(s.values.len()));
            if memory.bytes + bytes <= self.limit && memory.seen.insert((i, version), seen).is_none() {
                memory.bytes += bytes;
            }
        }
        wanted
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compute(&self, chunk: &[usize], version: usize) -> Vec<Result<Arc<Seen>, String>> {
        let opened: Vec<Result<Opened, String>> =
            chunk.par_iter().map(|&i| self.open(i, version).map_err(|e| e.to_string())).collect();
        // Pictures go through the tower together, clips one by one.
        let pictures: Vec<Tensor<3>> =
            opened.iter().flatten().filter(|o| !o.is_video).map(|o| o.pixels.clone().squeeze_dim(0)).collect();
        let mut pictures = match &self.towers[0] {
            Some(tower) if !pictures.is_empty() => halves(tower.images(Tensor::stack(pictures, 0))),
            _ => Vec::new(),
        }
        .into_iter();
        opened
            .into_iter()
            .map(|opened| {
                let opened = opened?;
                let (shape, values) = if opened.is_video {
                    let tower = self.towers[1].as_ref().ok_or("no video tower")?;
                    let frames = tower.videos(opened.pixels.unsqueeze::<5>());
                    let [_, t, n, d] = frames.dims();
                    ([t, n, d], halves(frames.reshape([1, t * n, d])).pop().unwrap_or_default())
                } else {
                    let values = pictures.next().ok_or("no image tower")?;
                    let tower = self.towers[0].as_ref().ok_or("no image tower")?;
                    ([1, tower.config().patches(), tower.config().width], values)
                };
                let landmarks = opened.landmarks.map(|sets| flat(&sets));
                Ok(Arc::new(Seen { shape, values, landmarks }))
            })
            .collect()
    }

    fn open(&self, index: usize, version: usize) -> Result<Opened, Error> {
        let media = &self.media[index];
        let opened = Media::open(&media.path)?;
        let is_video = matches!(opened.pixels, Pixels::Video(_));
        let kind = if is_video { "video" } else { "image" };
        let size = self.towers[usize::from(is_video)].as_ref().ok_or(Error::NoTower { kind })?.config().image_size;
        let (frames, points) = crops(opened.frames(), media.landmarks.as_deref(), self.crop)?;
        let (frames, landmarks) = match &self.augmentation {
            Some(augmentation) if version > 0 => {
                let purpose = AUGMENT + ((version as u64) << 8);
                // One change for all frames of a clip.
                let change = augmentation.draw(&mut random(self.seed, purpose, index as u64));
                let (w, h) = frames[0].dimensions();
                let moved = points.map(|sets| sets.iter().map(|s| change.landmarks(s, w, h)).collect());
                (frames.iter().map(|frame| change.picture(frame)).collect(), moved)
            }
            _ => (frames, points),
        };
        let pixels = if is_video {
            video_pixels(&frames, size, &self.device)
        } else {
            let picture = &frames[0];
            let square = if self.pad { pad_to_square(picture) } else { picture.clone() };
            image_pixels(&square, size, &self.device).unsqueeze()
        };
        Ok(Opened { pixels, is_video, landmarks })
    }
}

/// Bytes that so many values take, with what is kept beside them.
const fn kept(values: usize) -> usize {
    2 * values + 1024
}

/// Crops, each with its points where there are any.
type Crops = (Vec<RgbImage>, Option<Vec<UnitLandmarks>>);

/// Frames and their points as the model reads them.
pub(super) fn crops(
    frames: &[RgbImage],
    points: Option<&[UnitLandmarks]>,
    rule: Option<CropRule>,
) -> Result<Crops, Error> {
    let Some(sets) = points else { return Ok((frames.to_vec(), None)) };
    if sets.len() != frames.len() {
        return Err(Error::LandmarkFrames { given: sets.len(), frames: frames.len() });
    }
    let mut out = (Vec::with_capacity(frames.len()), Vec::with_capacity(frames.len()));
    for (frame, set) in frames.iter().zip(sets) {
        let whole = FaceCrop::whole(frame);
        let pixels = set.map(|p| whole.to_picture(p));
        let crop = recrop(frame, Some(&pixels), rule.unwrap_or_default())?;
        out.1.push(crop.landmarks(&pixels));
        out.0.push(crop.image);
    }
    Ok((out.0, Some(out.1)))
}

struct Opened {
    /// `[frames, 3, S, S]`.
    pixels: Tensor<4>,
    is_video: bool,
    landmarks: Option<Vec<UnitLandmarks>>,
}

/// Each entry of a batch on the host, in half precision.
fn halves(features: Tensor<3>) -> Vec<Vec<f16>> {
    let [b, n, d] = features.dims();
    let values: Vec<f16> = features.into_data().iter::<f32>().map(f16::from_f32).collect();
    (0..b).map(|i| values[i * n * d..(i + 1) * n * d].to_vec()).collect()
}

fn flat(sets: &[UnitLandmarks]) -> Vec<f32> {
    sets.iter().flat_map(|set| set.iter().flat_map(|p| [p.x, p.y])).collect()
}

/// Joins several pictures or clips of one kind: features `[B * frames, N, D]` and, where all have them, points
/// `[B * frames, 68, 2]`.
pub(super) fn join(seen: &[Arc<Seen>], device: &Device) -> (Tensor<3>, Option<Tensor<3>>) {
    let [t, n, d] = seen[0].shape;
    let frames = seen.len() * t;
    let values: Vec<f32> = seen.iter().flat_map(|s| s.values.iter().map(|v| v.to_f32())).collect();
    let features = Tensor::from_data(TensorData::new(values, [frames, n, d]), device);
    let points: Option<Vec<&Vec<f32>>> = seen.iter().map(|s| s.landmarks.as_ref()).collect();
    let points = points.map(|sets| {
        let values: Vec<f32> = sets.into_iter().flatten().copied().collect();
        Tensor::from_data(TensorData::new(values, [frames, POINT_COUNT, 2]), device)
    });
    (features, points)
}
