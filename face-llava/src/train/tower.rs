//! Pre-training of a small tower from scratch: expressions from labels, and where the 68 points are. The paper's towers
//! come pre-trained on hundreds of millions of pictures; this one has only the training set.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor, TensorData, activation};
use face_encoder::{Tower, TowerConfig};
use landmarks::{Linear, LinearConfig, POINT_COUNT};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::augment::random;
use super::lesson::cross_entropy;
use super::{Lesson, Loss, Objective, Position, Teacher};
use crate::Error;

/// Purpose of the random numbers.
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

    /// Logits of the classes `[B, C]`.
    ///
    /// # Shapes
    /// - patches `[B, N, D]`: the tower's output
    pub fn judge(&self, patches: Tensor<3>) -> Tensor<2> {
        self.classify(self.norm.forward(patches))
    }

    fn classify(&self, normed: Tensor<3>) -> Tensor<2> {
        let [b, _, d] = normed.dims();
        self.classes.forward(normed.mean_dim(1).reshape([b, d]))
    }

    /// Logits and points from some patches.
    fn see(&self, pixels: Tensor<4>, patches: &[usize]) -> (Tensor<2>, Tensor<3>) {
        let z = self.norm.forward(self.tower.some_patches(pixels, patches));
        let [b, n, _] = z.dims();
        let logits = self.classify(z.clone());
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
pub struct TowerPlan {
    /// Weight of the points' loss.
    pub points: f64,
    /// How much of the classes' loss is about the teacher's judgement rather than the labels.
    pub teacher: f64,
    /// Part of the patches that is seen, another one with each batch.
    pub kept: f64,
    /// From this epoch on all patches are seen.
    pub whole_from: usize,
}

/// Teaching a tower.
#[derive(Debug)]
pub struct TowerObjective<'a> {
    lesson: &'a Lesson,
    teacher: &'a Teacher,
    plan: TowerPlan,
}

impl<'a> TowerObjective<'a> {
    /// What a lesson's labels and points and a teacher tell.
    pub const fn new(lesson: &'a Lesson, teacher: &'a Teacher, plan: TowerPlan) -> Self {
        Self { lesson, teacher, plan }
    }

    /// The patches that a batch shows.
    fn patches(&self, of: usize, at: Position) -> Vec<usize> {
        let mut all: Vec<usize> = (0..of).collect();
        if at.epoch < self.plan.whole_from {
            let place = ((at.epoch as u64) << 32) | at.batch as u64;
            all.shuffle(&mut random(self.lesson.seed(), PATCHES, place));
            all.truncate(((of as f64 * self.plan.kept).round() as usize).clamp(1, of));
        }
        all
    }
}

impl Objective for TowerObjective<'_> {
    type Model = Pupil;

    fn batches(&self, epoch: usize) -> Vec<Vec<usize>> {
        self.lesson.batches(epoch)
    }

    fn loss(&self, pupil: &Pupil, items: &[usize], at: Position, on: &Device) -> Result<Option<Loss>, Error> {
        let batch = self.lesson.batch(items, at);
        let share = self.plan.teacher;
        let judged = activation::softmax(self.teacher.forward(batch.pixels.clone()), 1);
        let targets = batch.targets * (1.0 - share) + judged * share;
        let patches = self.patches(pupil.tower.config().patches(), at);
        let (logits, points) = pupil.see(recorded(batch.pixels, on), &patches);
        let loss = cross_entropy(logits, recorded(targets, on));
        // Smooth L1 of both coordinates, the mean over points.
        let distance = (points - recorded(batch.points, on)).abs();
        let near = distance.clone().clamp_max(POINT_SCALE);
        let smooth = near.clone() * near.clone() * (0.5 / POINT_SCALE) + (distance - near);
        let known = recorded(batch.known, on);
        let off = (smooth * known).sum() * (self.plan.points / POINT_COUNT as f64);
        Ok(Some(Loss { sum: loss + off, terms: items.len() }))
    }
}

/// A constant among tensors whose gradients are recorded.
pub(super) fn recorded<const D: usize>(x: Tensor<D>, device: &Device) -> Tensor<D> {
    Tensor::from_data(x.into_data(), device)
}
