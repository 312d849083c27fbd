//! Shapes, rates and shares of the small model's recipe.

use std::collections::BTreeMap;

use face_encoder::{Activation, TowerConfig, VisionProjectorConfig};
use frgca::{FrgcaConfig, Variant};
use landmarks::CropRule;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data::SPLIT_SEED;
use crate::decoder::LlamaConfig;
use crate::text::Template;
use crate::train::{Augmentation, Course, Guidance, LessonPlan, Optimization, Optimizer, Sampling, TowerPlan};
use crate::{FaceLlavaConfig, Task};

/// Numbers of the recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MiniRecipe {
    /// Seed of everything but the split.
    pub seed: u64,
    /// Seed of the split, so that another seed of the training is not tested on what it has seen.
    pub split_seed: u64,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Width of towers and decoder.
    pub width: usize,
    /// Layers of the towers.
    pub tower_layers: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Channels behind the stem and each block of the tower's teacher.
    pub teacher_widths: Vec<usize>,
    /// Times through the pictures for the teacher.
    pub teacher_epochs: usize,
    /// Times through the pictures for the tower.
    pub tower_epochs: usize,
    /// Records in an epoch of the other steps.
    pub records: usize,
    /// Epochs of decoder and projector, of the landmark modules, and of all but the towers.
    pub epochs: [usize; 3],
    /// Versions of each picture that the decoder learns from.
    pub versions: usize,
    /// Clips made of single pictures.
    pub clips: usize,
    /// Pictures of the source that are used; all where nothing is said.
    pub limit: Option<usize>,
}

impl Default for MiniRecipe {
    fn default() -> Self {
        Self {
            seed: 0,
            split_seed: SPLIT_SEED,
            vocab: 768,
            width: 160,
            tower_layers: 4,
            decoder_layers: 3,
            teacher_widths: vec![24, 48, 80, 112],
            teacher_epochs: 48,
            tower_epochs: 48,
            records: 12_000,
            epochs: [3, 1, 5],
            versions: 5,
            clips: 256,
            limit: None,
        }
    }
}

impl MiniRecipe {
    /// Shape of the image tower.
    pub fn tower(&self) -> TowerConfig {
        TowerConfig {
            width: self.width,
            layers: self.tower_layers,
            heads: 4,
            mlp_width: 4 * self.width,
            image_size: 96,
            patch_size: 12,
            activation: Activation::Gelu,
            norm_eps: 1e-5,
            frames: None,
            select_layer: -1,
        }
    }

    /// Shape of the whole.
    pub fn config(&self) -> FaceLlavaConfig {
        let width = self.width;
        FaceLlavaConfig {
            llama: LlamaConfig {
                vocab: self.vocab,
                width,
                mlp_width: 8 * width / 3 / 16 * 16,
                layers: self.decoder_layers,
                heads: 4,
                kv_heads: 4,
                context: 1024,
                norm_eps: 1e-5,
                rope_theta: 10_000.0,
            },
            tower_width: width,
            select_layer: -1,
            projector: VisionProjectorConfig { d_input: width, d_output: width, layers: 2 },
            frgca: FrgcaConfig::new(width, Variant::Simple),
            image_tower: Some("face-llava/mini-image".into()),
            video_tower: Some("face-llava/mini-video".into()),
            pad_to_square: false,
            face_crop: Some(CropRule::Aligned),
            eos: 2,
            bos: 1,
        }
    }

    pub(super) fn augmentation(&self) -> Augmentation {
        Augmentation { degrees: 5.0, scale: 0.06, shift: 0.04, mirror: true, light: 0.25, blur: 0.1 }
    }

    /// Changes of the pictures that the tower's teacher learns from: half as large as the tower's, which knows less of pictures
    /// from the start (ADR 009).
    pub(super) fn teacher_augmentation(&self) -> Augmentation {
        Augmentation { degrees: 4.0, scale: 0.05, shift: 0.03, mirror: true, light: 0.15, blur: 0.05 }
    }

    /// What the tower is shown, and its teacher but for the changes.
    pub(super) fn lesson(&self) -> LessonPlan {
        LessonPlan {
            augmentation: Augmentation { degrees: 8.0, scale: 0.1, shift: 0.06, light: 0.3, ..self.augmentation() },
            alpha: 0.5,
            label_smoothing: 0.1,
            mixed: 0.6,
            micro_batch: 64,
            seed: self.seed,
            crop: Some(CropRule::Aligned),
        }
    }

    /// How the tower is taught.
    pub(super) fn plan(&self) -> TowerPlan {
        TowerPlan { points: 10.0, teacher: 0.7, kept: 0.7, whole_from: self.tower_epochs * 7 / 8 }
    }

    /// How the teacher's weights are moved.
    pub(super) fn teaching(&self) -> Optimization {
        Optimization {
            warmup_ratio: 0.1,
            weight_decay: 0.05,
            epochs: self.teacher_epochs,
            seed: self.seed,
            save_every: 200,
            ..Optimization::new(4e-3, 64)
        }
    }

    /// How the tower's weights are moved.
    pub(super) fn schooling(&self) -> Optimization {
        Optimization {
            optimizer: Optimizer::Muon,
            warmup_ratio: 0.02,
            weight_decay: 0.05,
            beta_2: 0.98,
            epochs: self.tower_epochs,
            seed: self.seed,
            save_every: 200,
            ..Optimization::new(3e-3, 64)
        }
    }

    /// Of the decoder, the landmark modules, all but the towers.
    pub(super) fn steps(&self) -> [Optimization; 3] {
        [(2e-3, 0), (1e-3, 1), (6e-4, 2)].map(|(rate, i)| Optimization {
            optimizer: Optimizer::Muon,
            warmup_ratio: 0.05,
            weight_decay: 0.02,
            beta_2: 0.98,
            epochs: self.epochs[i],
            seed: self.seed + i as u64,
            save_every: 200,
            ..Optimization::new(rate, 32)
        })
    }

    /// How the tower's own head guides the decoder, by step: the last one takes it over wholly, with rare expressions as rare
    /// as they are and named where that serves accuracy and mean recall (numbers: ADR 012).
    pub(super) fn guidance(&self, step: usize) -> Guidance {
        Guidance {
            share: [0.7, 0.7, 1.0][step],
            weight: 4.0,
            scale: 1.4,
            alpha: [0.0, 0.0, self.lesson().alpha][step],
            recall: [0.0, 0.0, 1.5][step],
        }
    }

    /// All that is not said by the recipe itself: what was begun with other numbers is another recipe's.
    pub(super) fn numbers(&self) -> Value {
        let steps = [0, 1, 2];
        json!({
            "augmentation": self.augmentation(),
            "lesson": self.lesson(),
            "teacher_augmentation": self.teacher_augmentation(),
            "plan": self.plan(),
            "teaching": self.teaching().compared(),
            "schooling": self.schooling().compared(),
            "steps": self.steps().map(|step| step.compared()),
            "guidance": steps.map(|step| self.guidance(step)),
            "courses": steps.map(|step| self.course(step)),
            "config": self.config().to_json(),
            "tower": self.tower().to_json(),
        })
    }

    pub(super) fn course(&self, step: usize) -> Course {
        let tasks = BTreeMap::from([
            (Task::Expression, 0.5),
            (Task::ActionUnits, 0.17),
            (Task::Attributes, 0.15),
            (Task::Age, 0.03),
            (Task::Deepfake, 0.15),
        ]);
        Course {
            template: Template::Inference,
            // What the head judges needs no balance: the last stage sees more pictures, not the rare ones again and again.
            sampling: Sampling::Balanced { alpha: [0.75, 0.75, 0.25][step], tasks, records: self.records },
            micro_batch: 32,
            max_length: 900,
            // The base never sees landmarks; the last stage keeps it able to do without.
            landmark_dropout: [1.0, 0.0, 0.15][step],
            bad_budget: 0.001,
            seed: self.seed + step as u64,
        }
    }
}
