//! The stages as values: what trains, and how.

use serde::{Deserialize, Serialize};

use super::{LoraConfig, Optimization, TrainError};

/// Which parameters are trained. The towers never are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Trains {
    /// The landmark projectors and the cross-attention: the paper's first stage.
    LandmarkModules,
    /// Everything but the towers: the paper's second stage.
    AllButTowers,
    /// Low-rank additions to the decoder and nothing else.
    Lora(LoraConfig),
}

/// A stage of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What is trained.
    pub trains: Trains,
    /// How the weights are moved.
    pub optimization: Optimization,
}

impl Trains {
    /// Whether a parameter of the network is trained, by its path.
    pub fn contains(&self, path: &str) -> bool {
        let tower = path.starts_with("image_tower.") || path.starts_with("video_tower.");
        match self {
            Self::LandmarkModules => path.starts_with("fusion."),
            Self::AllButTowers => !tower,
            Self::Lora(_) => path.contains(".lora."),
        }
    }
}

impl Stage {
    /// Checks that every number makes sense.
    ///
    /// # Errors
    /// [`TrainError::Setting`].
    pub fn check(&self) -> Result<(), TrainError> {
        self.optimization.check()?;
        if let Trains::Lora(config) = &self.trains { config.check() } else { Ok(()) }
    }

    /// The authors' first stage: landmark modules alone, learning rate 1e-4, 24 to a device.
    pub const fn landmark_modules() -> Self {
        Self { trains: Trains::LandmarkModules, optimization: Optimization::new(1e-4, 24) }
    }

    /// The authors' second stage: all but the towers, learning rate 2e-5, 16 to a device.
    pub const fn fine_tuning() -> Self {
        Self { trains: Trains::AllButTowers, optimization: Optimization::new(2e-5, 16) }
    }

    /// Low-rank adaptation with the rate usual for it.
    pub const fn lora(config: LoraConfig) -> Self {
        Self { trains: Trains::Lora(config), optimization: Optimization::new(2e-4, 16) }
    }
}
