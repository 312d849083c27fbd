//! Pre-training of a small tower from scratch: expressions from labels, and where the 68 points are. The paper's towers
//! come pre-trained on hundreds of millions of pictures; this one has only the training set.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use face_encoder::{Tower, TowerConfig, image_pixels, pad_to_square};
use image::RgbImage;
use landmarks::{CropRule, Linear, LinearConfig, POINT_COUNT, UnitLandmarks};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::augment::{Augmentation, random};
use super::features::crops;
use super::order::{batches, order};
use super::{Loss, Objective, Position, TrainingMedia};
use crate::{Error, Media};

/// Purposes of the random numbers.
const CHANGE: u64 = 5;
const PATCHES: u64 = 7;
/// Where the loss of a point turns from square to linear, in sides of the crop.
const POINT_SCALE: f32 = 0.02;

/// A tower and what reads it during pre-training only.
#[derive(Module, Debug)]
pub struct Pupil {
    /// The tower.
    pub tower: Tower,
    norm: LayerNorm,
    /// From the mean patch to classes.
    classes: Linear,
    /// For each point, which patch it lies in.
    places: Linear,
    /// For each point, where in the patch.
    offsets: Linear,
}

impl Pupil {
    /// A tower with fresh heads.
    pub fn new(config: &TowerConfig, classes: usize, device: &Device) -> Self {
        let d = config.width;
        Self {
            tower: config.init(device),
            norm: LayerNormConfig::new(d).init(device),
            classes: LinearConfig::new(d, classes).init(device),
            places: LinearConfig::new(d, POINT_COUNT).init(device),
            offsets: LinearConfig::new(d, 2 * POINT_COUNT).init(device),
        }
    }

    /// Logits of the classes `[B, C]` and points in fractions of the crop `[B, 68, 2]`.
    ///
    /// # Shapes
    /// - pixels `[B, 3, S, S]`, normalised
    pub fn forward(&self, pixels: Tensor<4>) -> (Tensor<2>, Tensor<3>) {
        self.see(pixels, &(0..self.tower.config().patches()).collect::<Vec<_>>())
    }

    /// The same from some patches.
    fn see(&self, pixels: Tensor<4>, patches: &[usize]) -> (Tensor<2>, Tensor<3>) {
        let z = self.norm.forward(self.tower.some_patches(pixels, patches));
        let [b, n, d] = z.dims();
        let logits = self.classes.forward(z.clone().mean_dim(1).reshape([b, d]));
        let places = activation::softmax(self.places.forward(z.clone()), 1);
        let side = self.tower.config().grid();
        let centre = |i: usize| (i as f32 + 0.5) / side as f32;
        let centres: Vec<f32> = patches.iter().flat_map(|i| [centre(i % side), centre(i / side)]).collect();
        let centres = Tensor::<2>::from_data(TensorData::new(centres, [n, 2]), &z.device());
        let by_point = places.clone().swap_dims(1, 2);
        let coarse = by_point.reshape([b * POINT_COUNT, n]).matmul(centres).reshape([b, POINT_COUNT, 2]);
        // In patches, so that fresh weights do not throw points far.
        let offsets = self.offsets.forward(z).reshape([b, n, POINT_COUNT, 2]) * (0.1 / side as f64);
        let fine = (places.unsqueeze_dim::<4>(3) * offsets).sum_dim(1).reshape([b, POINT_COUNT, 2]);
        (logits, coarse + fine)
    }
}

/// How a tower is taught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LessonPlan {
    /// How far pictures are changed.
    pub augmentation: Augmentation,
    /// Labels are drawn in proportion to `count^(1 - alpha)`.
    pub alpha: f64,
    /// `margin * ln(share of a class)` is added to the logits while they are trained, so that rare classes get the wider
    /// margin (logit adjustment, arXiv 2007.07314).
    pub margin: f64,
    /// Part of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// Weight of the points' loss.
    pub points: f64,
    /// Part of the patches that is seen, another one with each batch.
    pub kept: f64,
    /// From this epoch on all patches are seen.
    pub whole_from: usize,
    /// Pictures at once.
    pub micro_batch: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// How pictures are cropped.
    pub crop: Option<CropRule>,
}

/// Pictures with a class and points: what a tower is taught.
#[derive(Debug)]
pub struct Lesson {
    /// As large as the tower reads them.
    pictures: Vec<RgbImage>,
    points: Vec<Option<UnitLandmarks>>,
    labels: Vec<usize>,
    /// What is added to the logits of each class.
    margins: Vec<f32>,
    weights: Vec<f64>,
    plan: LessonPlan,
    device: Device,
}

/// A batch on the device.
struct Batch {
    pixels: Tensor<4>,
    /// `[B, 68, 2]`, and for each picture whether it has points `[B, 1, 1]`.
    points: Tensor<3>,
    known: Tensor<3>,
}

impl Lesson {
    /// Opens all pictures, for a tower that reads `size` pixels; those that cannot be opened are left out and returned.
    pub fn new(
        media: &[TrainingMedia],
        labels: &[usize],
        classes: usize,
        size: usize,
        plan: LessonPlan,
        device: &Device,
    ) -> (Self, Vec<(usize, Error)>) {
        let opened: Vec<Result<Small, Error>> = media.par_iter().map(|m| small(m, size as u32, plan.crop)).collect();
        let (mut pictures, mut points, mut kept, mut bad) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (i, picture) in opened.into_iter().enumerate() {
            match picture {
                Ok((picture, set)) => {
                    pictures.push(picture);
                    points.push(set);
                    kept.push(labels[i]);
                }
                Err(error) => bad.push((i, error)),
            }
        }
        let mut counts = vec![0.0_f64; classes];
        kept.iter().for_each(|label| counts[*label] += 1.0);
        let weights = kept.iter().map(|label| counts[*label].powf(-plan.alpha)).collect();
        let share = |count: &f64| count.max(1.0) / kept.len().max(1) as f64;
        let margins = counts.iter().map(|count| (plan.margin * share(count).ln()) as f32).collect();
        (Self { pictures, points, labels: kept, margins, weights, plan, device: device.clone() }, bad)
    }

    /// Pictures, changed where a position is given.
    fn batch(&self, items: &[usize], at: Option<Position>, device: &Device) -> Batch {
        let plain = device.clone().without_autodiff();
        let made: Vec<(Tensor<3>, Option<UnitLandmarks>)> = items
            .par_iter()
            .enumerate()
            .map(|(place, &item)| {
                let (picture, points) = (&self.pictures[item], &self.points[item]);
                let size = picture.width();
                let Some(at) = at else { return (image_pixels(picture, size as usize, &plain), points.clone()) };
                let index = ((at.epoch as u64) << 40) | ((at.batch as u64) << 16) | place as u64;
                let change = self.plan.augmentation.draw(&mut random(self.plan.seed, CHANGE, index));
                let moved = points.as_ref().map(|points| change.landmarks(points, size, size));
                (image_pixels(&change.picture(picture), size as usize, &plain), moved)
            })
            .collect();
        let (pixels, points): (Vec<Tensor<3>>, Vec<Option<UnitLandmarks>>) = made.into_iter().unzip();
        let b = items.len();
        let known: Vec<f32> = points.iter().map(|p| if p.is_some() { 1.0 } else { 0.0 }).collect();
        let values: Vec<f32> = points
            .iter()
            .flat_map(|p| match p {
                Some(points) => points.iter().flat_map(|p| [p.x, p.y]).collect(),
                None => vec![0.0; 2 * POINT_COUNT],
            })
            .collect();
        Batch {
            pixels: Tensor::from_data(Tensor::stack::<4>(pixels, 0).into_data(), device),
            points: Tensor::from_data(TensorData::new(values, [b, POINT_COUNT, 2]), device),
            known: Tensor::from_data(TensorData::new(known, [b, 1, 1]), device),
        }
    }

    /// The patches that a batch shows.
    fn patches(&self, of: usize, at: Position) -> Vec<usize> {
        let mut all: Vec<usize> = (0..of).collect();
        if at.epoch < self.plan.whole_from {
            let place = ((at.epoch as u64) << 32) | at.batch as u64;
            all.shuffle(&mut random(self.plan.seed, PATCHES, place));
            all.truncate(((of as f64 * self.plan.kept).round() as usize).clamp(1, of));
        }
        all
    }

    /// The class that a pupil sees in each picture, unchanged.
    pub fn predict(&self, pupil: &Pupil) -> Vec<usize> {
        let pupil = pupil.valid();
        let all: Vec<usize> = (0..self.pictures.len()).collect();
        let plain = self.device.clone().without_autodiff();
        let chunks = all.chunks(128).flat_map(|items| {
            let (logits, _) = pupil.forward(self.batch(items, None, &plain).pixels);
            let best = logits.argmax(1).into_data().iter::<i64>().collect::<Vec<_>>();
            best.into_iter().map(|class| class as usize)
        });
        chunks.collect()
    }

    /// The class of each picture.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }
}

type Small = (RgbImage, Option<UnitLandmarks>);

/// A picture as large as the tower reads it, with its points.
fn small(media: &TrainingMedia, size: u32, rule: Option<CropRule>) -> Result<Small, Error> {
    let opened = Media::open(&media.path)?;
    let (frames, points) = crops(&opened.frames()[..1], media.landmarks.as_ref().map(|sets| &sets[..1]), rule)?;
    let square = pad_to_square(&frames[0]);
    let picture = image::imageops::resize(&square, size, size, image::imageops::FilterType::CatmullRom);
    Ok((picture, points.and_then(|sets| sets.into_iter().next())))
}

impl Objective for Lesson {
    type Model = Pupil;

    fn batches(&self, epoch: usize) -> Vec<Vec<usize>> {
        let (items, seed) = (self.labels.len(), self.plan.seed);
        let order = order(items, Some((&self.weights, items)), seed, epoch);
        batches(&order, self.plan.micro_batch, seed, epoch, |_| ((), 0))
    }

    fn loss(&self, pupil: &Pupil, items: &[usize], at: Position) -> Result<Option<Loss>, Error> {
        let device = self.device.clone().autodiff();
        let batch = self.batch(items, Some(at), &device);
        let (b, c) = (items.len(), self.margins.len());
        let (logits, points) = pupil.see(batch.pixels, &self.patches(pupil.tower.config().patches(), at));
        let labels: Vec<i32> = items.iter().map(|&i| self.labels[i] as i32).collect();
        let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [b, 1]), &device);
        let margins = Tensor::<2>::from_data(TensorData::new(self.margins.clone(), [1, c]), &device);
        let scores = activation::log_softmax(logits + margins, 1);
        let spread = self.plan.label_smoothing;
        let right = scores.clone().gather(1, labels).sum() * (spread - 1.0);
        let loss = right - scores.sum() * (spread / c as f64);
        // Smooth L1 of both coordinates, the mean over points.
        let distance = (points - batch.points).abs();
        let near = distance.clone().clamp_max(POINT_SCALE);
        let smooth = near.clone() * near.clone() * (0.5 / POINT_SCALE) + (distance - near);
        let off = (smooth * batch.known).sum() * (self.plan.points / POINT_COUNT as f64);
        Ok(Some(Loss { sum: loss + off, terms: b }))
    }
}
