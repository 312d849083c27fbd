//! A small convolutional network that is taught first and then judges what a tower sees: where faces are few, convolutions
//! learn more from each, and a transformer learns it from their judgement (DeiT, arXiv 2012.12877).

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor};
use face_encoder::Activation;
use face_encoder::ops::{layer_norm, linear, neighbourhoods};
use landmarks::{Linear, LinearConfig};

use super::lesson::cross_entropy;
use super::tower::recorded;
use super::{Lesson, Loss, Objective, Position};
use crate::Error;

const EPSILON: f64 = 1e-5;
/// Places of a kernel, and the one in its middle.
const PLACES: usize = 9;
const MIDDLE: usize = 4;

/// Classes of pictures by convolutions of three by three (residual blocks as of arXiv 1512.03385, layer norm and GELU in
/// place of batch norm and ReLU).
#[derive(Module, Debug)]
pub struct Teacher {
    stem: Convolution,
    blocks: Vec<Block>,
    classes: Linear,
}

/// A convolution and its norm.
#[derive(Module, Debug)]
struct Convolution {
    weight: Linear,
    norm: LayerNorm,
}

/// Two convolutions, the first of every second place, and a way past both.
#[derive(Module, Debug)]
struct Block {
    first: Convolution,
    second: Convolution,
    past: Linear,
}

impl Teacher {
    /// Without weights; `widths` are the channels behind the stem and each block.
    ///
    /// # Panics
    /// If there are no widths.
    pub fn new(widths: &[usize], classes: usize, device: &Device) -> Self {
        let block = |width: &[usize]| Block {
            first: Convolution::new(width[0], width[1], device),
            second: Convolution::new(width[1], width[1], device),
            past: LinearConfig::new(width[0], width[1]).init(device),
        };
        Self {
            stem: Convolution::new(3, widths[0], device),
            blocks: widths.windows(2).map(block).collect(),
            classes: LinearConfig::new(widths[widths.len() - 1], classes).init(device),
        }
    }

    /// Logits of the classes `[B, C]`.
    ///
    /// # Shapes
    /// - pixels `[B, 3, S, S]`, normalised
    pub fn forward(&self, pixels: Tensor<4>) -> Tensor<2> {
        let x = pixels.permute([0, 2, 3, 1]);
        let x = Activation::Gelu.forward(self.stem.forward(neighbourhoods(x, 2)));
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let [b, h, w, c] = x.dims();
        self.classes.forward(x.reshape([b, h * w, c]).mean_dim(1).reshape([b, c]))
    }
}

impl Convolution {
    fn new(input: usize, output: usize, device: &Device) -> Self {
        Self {
            weight: LinearConfig::without_bias(PLACES * input, output).init(device),
            norm: LayerNormConfig::new(output).with_epsilon(EPSILON).init(device),
        }
    }

    fn forward(&self, around: Tensor<4>) -> Tensor<4> {
        layer_norm(&self.norm, EPSILON, linear(&self.weight, around))
    }
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let c = x.dims()[3];
        let around = neighbourhoods(x, 2);
        let past = linear(&self.past, around.clone().narrow(3, MIDDLE * c, c));
        let x = Activation::Gelu.forward(self.first.forward(around));
        Activation::Gelu.forward(self.second.forward(neighbourhoods(x, 1)) + past)
    }
}

/// Teaching the teacher.
#[derive(Debug)]
pub struct TeacherObjective<'a> {
    lesson: &'a Lesson,
}

impl<'a> TeacherObjective<'a> {
    /// What a lesson's labels tell.
    pub const fn new(lesson: &'a Lesson) -> Self {
        Self { lesson }
    }
}

impl Objective for TeacherObjective<'_> {
    type Model = Teacher;

    fn batches(&self, epoch: usize) -> Vec<Vec<usize>> {
        self.lesson.batches(epoch)
    }

    fn loss(&self, teacher: &Teacher, items: &[usize], at: Position, on: &Device) -> Result<Option<Loss>, Error> {
        let batch = self.lesson.batch(items, at);
        let logits = teacher.forward(recorded(batch.pixels, on));
        let sum = cross_entropy(logits, recorded(batch.targets, on));
        Ok(Some(Loss { sum, terms: items.len() }))
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use image::RgbImage;
    use landmarks::CropRule;

    use super::*;
    use crate::train::tower::{Pupil, TowerObjective, TowerPlan};
    use crate::train::{Augmentation, LessonPlan, Optimization, Run, TrainingMedia, initialise, train};

    /// What it takes for two classes to be told apart, and whose judgement a tower takes over.
    #[test]
    fn a_tower_learns_what_its_teacher_sees_and_not_what_the_labels_say() {
        let folder = tempfile::tempdir().unwrap();
        let device = crate::open_device("cpu").unwrap().device;
        // Stripes along or across.
        let media = |i: usize| {
            let path = folder.path().join(format!("{i}.png"));
            let stripe = |x: u32, y: u32| ((if i.is_multiple_of(2) { x } else { y }) + i as u32 / 2) / 3 % 2;
            RgbImage::from_fn(24, 24, |x, y| image::Rgb([stripe(x, y) as u8 * 200; 3])).save(&path).unwrap();
            TrainingMedia { path, is_video: false, landmarks: None }
        };
        let media: Vec<TrainingMedia> = (0..16).map(media).collect();
        let right: Vec<usize> = (0..16).map(|i| i % 2).collect();
        let wrong: Vec<usize> = right.iter().map(|class| 1 - class).collect();
        let plan = LessonPlan {
            augmentation: Augmentation { degrees: 0.0, scale: 0.0, shift: 0.0, mirror: true, light: 0.1, blur: 0.0 },
            alpha: 0.0,
            label_smoothing: 0.0,
            mixed: 0.2,
            micro_batch: 8,
            seed: 1,
            crop: None::<CropRule>,
        };
        let lesson = |labels: &[usize]| Lesson::new(&media, labels, 2, 24, plan.clone(), &device).0;
        let settings = Optimization { epochs: 20, save_every: 1000, ..Optimization::new(3e-3, 8) };
        let run = |name: &str| (folder.path().join(name), serde_json::json!({ "step": name }));

        let shown = lesson(&right);
        let (place, identity) = run("teacher");
        let teacher = initialise(Teacher::new(&[8, 16], 2, &device), 1, 0);
        let run_teacher = Run { folder: &place, settings: &settings, identity, stop_at: None };
        let objective = TeacherObjective::new(&shown);
        let teacher = train(&objective, teacher, |_| true, std::slice::from_ref(&device), &run_teacher, &mut |_| ())
            .unwrap()
            .valid();
        assert_eq!(shown.predict(|pixels| teacher.forward(pixels)), right);

        let config = face_encoder::TowerConfig {
            width: 32,
            layers: 1,
            heads: 2,
            mlp_width: 64,
            image_size: 24,
            patch_size: 12,
            activation: Activation::Gelu,
            norm_eps: 1e-5,
            frames: None,
            select_layer: -1,
        };
        let shown = lesson(&wrong);
        let (place, identity) = run("tower");
        let run_tower = Run { folder: &place, settings: &settings, identity, stop_at: None };
        let plan = TowerPlan { points: 0.0, teacher: 1.0, kept: 1.0, whole_from: 0 };
        let objective = TowerObjective::new(&shown, &teacher, plan);
        let pupil = initialise(Pupil::new(&config, 2, &device), 2, 0);
        let pupil =
            train(&objective, pupil, |_| true, std::slice::from_ref(&device), &run_tower, &mut |_| ()).unwrap().valid();
        assert_eq!(shown.predict(|pixels| pupil.forward(pixels).0), right);
    }
}
