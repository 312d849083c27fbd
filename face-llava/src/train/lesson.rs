//! Pictures with a class and points, changed and mixed: what a tower is pre-trained with, and its teacher before it.

use burn::tensor::{Device, Tensor, TensorData, activation};
use face_encoder::{image_pixels, pad_to_square};
use image::RgbImage;
use landmarks::{CropRule, POINT_COUNT, UnitLandmarks, indices};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_distr::{Beta, Distribution};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::augment::{Augmentation, random};
use super::features::crops;
use super::order::{batches, order};
use super::{Position, TrainingMedia};
use crate::{Error, Media};

/// Purposes of the random numbers.
const CHANGE: u64 = 5;
const MIX: u64 = 8;

/// How pictures are shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LessonPlan {
    /// How far pictures are changed.
    pub augmentation: Augmentation,
    /// Labels are drawn in proportion to `count^(1 - alpha)`.
    pub alpha: f64,
    /// Part of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// Part of the batches whose pictures are laid over one another in pairs, targets in the same shares (mixup, arXiv
    /// 1710.09412).
    pub mixed: f64,
    /// Pictures at once.
    pub micro_batch: usize,
    /// Seed of order and changes.
    pub seed: u64,
    /// How pictures are cropped.
    pub crop: Option<CropRule>,
}

/// Pictures with a class and points.
#[derive(Debug)]
pub struct Lesson {
    /// As large as the tower reads them.
    pictures: Vec<RgbImage>,
    points: Vec<Option<UnitLandmarks>>,
    labels: Vec<usize>,
    classes: usize,
    weights: Vec<f64>,
    plan: LessonPlan,
    /// Without gradients.
    device: Device,
}

/// A batch, without gradients.
pub(super) struct Batch {
    /// `[B, 3, S, S]`, normalised.
    pub pixels: Tensor<4>,
    /// Share of each class `[B, C]`.
    pub targets: Tensor<2>,
    /// `[B, 68, 2]` in fractions of the picture.
    pub points: Tensor<3>,
    /// How much the points of each picture count `[B, 1, 1]`: nothing where they are unknown.
    pub known: Tensor<3>,
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
        let device = device.clone().without_autodiff();
        (Self { pictures, points, labels: kept, classes, weights, plan, device }, bad)
    }

    /// The same pictures, to be changed in another way.
    pub fn changed(mut self, augmentation: Augmentation) -> Self {
        self.plan.augmentation = augmentation;
        self
    }

    /// The micro-batches of an epoch.
    pub(super) fn batches(&self, epoch: usize) -> Vec<Vec<usize>> {
        let (items, seed) = (self.labels.len(), self.plan.seed);
        let order = order(items, Some((&self.weights, items)), seed, epoch);
        batches(&order, self.plan.micro_batch, seed, epoch, |_| ((), 0))
    }

    /// Pictures, changed and mixed.
    pub(super) fn batch(&self, items: &[usize], at: Position) -> Batch {
        let made: Vec<(Tensor<3>, Option<UnitLandmarks>)> = items
            .par_iter()
            .enumerate()
            .map(|(place, &item)| {
                let (picture, points) = (&self.pictures[item], &self.points[item]);
                let size = picture.width();
                let index = ((at.epoch as u64) << 40) | ((at.batch as u64) << 16) | place as u64;
                let change = self.plan.augmentation.draw(&mut random(self.plan.seed, CHANGE, index));
                let moved = points.as_ref().map(|points| change.landmarks(points, size, size));
                (image_pixels(&change.picture(picture), size as usize, &self.device), moved)
            })
            .collect();
        let (pixels, points): (Vec<Tensor<3>>, Vec<Option<UnitLandmarks>>) = made.into_iter().unzip();
        let (b, c, spread) = (items.len(), self.classes, self.plan.label_smoothing);
        let mut targets = vec![(spread / c as f64) as f32; b * c];
        items.iter().enumerate().for_each(|(i, item)| targets[i * c + self.labels[*item]] += (1.0 - spread) as f32);
        let known: Vec<f32> = points.iter().map(|p| if p.is_some() { 1.0 } else { 0.0 }).collect();
        let values: Vec<f32> = points
            .iter()
            .flat_map(|p| match p {
                Some(points) => points.iter().flat_map(|p| [p.x, p.y]).collect(),
                None => vec![0.0; 2 * POINT_COUNT],
            })
            .collect();
        let batch = Batch {
            pixels: Tensor::stack(pixels, 0),
            targets: Tensor::from_data(TensorData::new(targets, [b, c]), &self.device),
            points: Tensor::from_data(TensorData::new(values, [b, POINT_COUNT, 2]), &self.device),
            known: Tensor::from_data(TensorData::new(known, [b, 1, 1]), &self.device),
        };
        self.mixed(batch, at)
    }

    /// Another picture laid over each, or the batch as it is.
    fn mixed(&self, batch: Batch, at: Position) -> Batch {
        let mut rng = random(self.plan.seed, MIX, ((at.epoch as u64) << 32) | at.batch as u64);
        if !rng.random_bool(self.plan.mixed) {
            return batch;
        }
        let share: f64 = Beta::new(0.4, 0.4).map_or(1.0, |beta| beta.sample(&mut rng));
        // The first one's points are those that are asked for.
        let share = share.max(1.0 - share);
        let mut others: Vec<usize> = (0..batch.pixels.dims()[0]).collect();
        others.shuffle(&mut rng);
        let others = indices(others, &self.device);
        Batch {
            pixels: batch.pixels.clone() * share + batch.pixels.select(0, others.clone()) * (1.0 - share),
            targets: batch.targets.clone() * share + batch.targets.select(0, others) * (1.0 - share),
            points: batch.points,
            known: batch.known * share,
        }
    }

    /// The class that a network finds most likely in each picture, unchanged.
    pub fn predict(&self, logits: impl Fn(Tensor<4>) -> Tensor<2>) -> Vec<usize> {
        let chunks = self.pictures.chunks(128).flat_map(|pictures| {
            let size = pictures[0].width() as usize;
            let pixels: Vec<Tensor<3>> =
                pictures.par_iter().map(|picture| image_pixels(picture, size, &self.device)).collect();
            let best = logits(Tensor::stack(pixels, 0)).argmax(1).into_data().iter::<i64>().collect::<Vec<_>>();
            best.into_iter().map(|class| class as usize)
        });
        chunks.collect()
    }

    /// The class of each picture.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Seed of order and changes.
    pub(super) fn seed(&self) -> u64 {
        self.plan.seed
    }
}

/// Summed cross-entropy of logits `[B, C]` against shares of the classes `[B, C]`.
pub(super) fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    -(activation::log_softmax(logits, 1) * targets).sum()
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

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Augmentation =
        Augmentation { degrees: 0.0, scale: 0.0, shift: 0.0, mirror: false, light: 0.0, blur: 0.0 };

    /// Black pictures of the first class, white ones of the second, 8 pixels wide.
    fn lesson(folder: &std::path::Path, plan: LessonPlan) -> Lesson {
        let media = |i: usize| {
            let path = folder.join(format!("{i}.png"));
            RgbImage::from_pixel(8, 8, image::Rgb([if i.is_multiple_of(2) { 0 } else { 255 }; 3])).save(&path).unwrap();
            TrainingMedia { path, is_video: false, landmarks: None }
        };
        let media: Vec<TrainingMedia> = (0..8).map(media).collect();
        let device = crate::open_device("cpu").unwrap().device;
        let (lesson, bad) = Lesson::new(&media, &[0, 1, 0, 1, 0, 1, 0, 1], 2, 8, plan, &device);
        assert!(bad.is_empty());
        lesson
    }

    #[test]
    fn targets_are_mixed_as_pictures_are() {
        let folder = tempfile::tempdir().unwrap();
        let plan = LessonPlan {
            augmentation: STILL,
            alpha: 0.0,
            label_smoothing: 0.0,
            mixed: 1.0,
            micro_batch: 4,
            seed: 3,
            crop: None,
        };
        let values = |x: Tensor<1>| x.into_data().iter::<f32>().collect::<Vec<_>>();
        let items: Vec<usize> = (0..8).collect();
        let plain = lesson(folder.path(), LessonPlan { mixed: 0.0, ..plan.clone() });
        let at = |batch| Position { epoch: 0, batch };
        let red = |batch: &Batch| values(batch.pixels.clone().narrow(1, 0, 1).mean_dims(&[1, 2, 3]).reshape([8]));
        let batch = plain.batch(&items, at(0));
        let (black, white) = (red(&batch)[0], red(&batch)[1]);
        assert!(values(batch.targets.flatten(0, 1)).iter().all(|share| *share == 0.0 || *share == 1.0));
        let lesson = lesson(folder.path(), plan);
        let mut between = 0;
        for number in 0..4 {
            let batch = lesson.batch(&items, at(number));
            let shares = values(batch.targets.clone().narrow(1, 1, 1).reshape([8]));
            for (light, share) in red(&batch).into_iter().zip(&shares) {
                assert!((light - (black + (white - black) * share)).abs() < 1e-4, "{light} {share}");
            }
            between += shares.iter().filter(|share| (0.01..0.99).contains(*share)).count();
            let again = lesson.batch(&items, at(number));
            assert_eq!(batch.pixels.into_data(), again.pixels.into_data());
        }
        assert!(between > 4, "{between}");
    }
}
