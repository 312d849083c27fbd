//! How a run goes through its data: learning rate, batches, schedule.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::TrainError;

/// What turns gradients into steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// AdamW for everything, as the authors do.
    AdamW,
    /// Muon for the matrices inside of transformer layers, AdamW for the rest; both at one rate. Learns from scratch in
    /// fewer steps.
    Muon,
}

/// How the weights are moved. Defaults are those of AdamW in PyTorch, not of burn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimization {
    /// What turns gradients into steps.
    pub optimizer: Optimizer,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Part of all steps over which the rate rises from zero; after it, half a cosine falls to zero.
    pub warmup_ratio: f64,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// Largest norm of the gradient of all weights together.
    pub clip_norm: Option<f32>,
    /// Items that go through the network at once, on one device.
    pub micro_batch: usize,
    /// Micro-batches to a step.
    pub accumulation: usize,
    /// Times through the data.
    pub epochs: usize,
    /// Seed of order, sampling and augmentation.
    pub seed: u64,
    /// Steps between checkpoints.
    pub save_every: usize,
}

impl Optimization {
    /// The authors' common settings: AdamW without decay, warm-up over 3 %, cosine, gradient norm 1, one epoch.
    pub const fn new(learning_rate: f64, micro_batch: usize) -> Self {
        Self {
            optimizer: Optimizer::AdamW,
            learning_rate,
            warmup_ratio: 0.03,
            weight_decay: 0.0,
            beta_2: 0.999,
            clip_norm: Some(1.0),
            micro_batch,
            accumulation: 1,
            epochs: 1,
            seed: 0,
            save_every: 5000,
        }
    }

    /// What must be the same when a run goes on: how often it is saved changes nothing.
    pub(crate) fn compared(&self) -> Value {
        let mut settings = serde_json::to_value(self).unwrap_or_default();
        settings.as_object_mut().map(|settings| settings.remove("save_every"));
        settings
    }

    /// Checks that every number makes sense.
    ///
    /// # Errors
    /// [`TrainError::Setting`].
    pub fn check(&self) -> Result<(), TrainError> {
        let bad = |name, value: String, expected| Err(TrainError::Setting { name, value, expected });
        if !(self.learning_rate > 0.0 && self.learning_rate < 1.0) {
            return bad("learning rate", self.learning_rate.to_string(), "a number between 0 and 1");
        }
        if !(0.0..1.0).contains(&self.warmup_ratio) {
            return bad("warm-up ratio", self.warmup_ratio.to_string(), "at least 0 and below 1");
        }
        if !(0.0..1.0).contains(&self.weight_decay) {
            return bad("weight decay", self.weight_decay.to_string(), "at least 0 and below 1");
        }
        if !(0.0..1.0).contains(&self.beta_2) {
            return bad("beta 2", self.beta_2.to_string(), "at least 0 and below 1");
        }
        if self.clip_norm.is_some_and(|c| !(c > 0.0 && c.is_finite())) {
            return bad("clip norm", format!("{:?}", self.clip_norm), "a positive number");
        }
        for (name, value) in [
            ("micro-batch", self.micro_batch),
            ("accumulation", self.accumulation),
            ("epochs", self.epochs),
            ("save every", self.save_every),
        ] {
            if value == 0 {
                return bad(name, "0".into(), "at least 1");
            }
        }
        Ok(())
    }

    /// The learning rate of a step, counted from zero.
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        // As transformers counts: the number of warm-up steps is rounded up.
        let warmup = (steps as f64 * self.warmup_ratio).ceil() as usize;
        if step < warmup {
            return self.learning_rate * step as f64 / warmup.max(1) as f64;
        }
        let progress = (step - warmup) as f64 / (steps - warmup).max(1) as f64;
        self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls() {
        let settings = Optimization { warmup_ratio: 0.1, ..Optimization::new(1e-3, 1) };
        let rates: Vec<f64> = (0..100).map(|s| settings.rate(s, 100)).collect();
        assert_eq!(rates[0], 0.0);
        assert_eq!(rates[5], 0.5e-3);
        assert_eq!(rates[10], 1e-3);
        assert!((rates[55] - 0.5e-3).abs() < 1e-9);
        assert!(rates[99] < 1e-6 && rates.windows(2).skip(10).all(|w| w[1] < w[0]));
        assert_eq!(settings.rate(0, 1), 0.0);
        let without = Optimization { warmup_ratio: 0.0, ..settings };
        assert_eq!(without.rate(0, 1), 1e-3);
    }

    #[test]
    fn nonsense_is_refused() {
        let good = Optimization::new(1e-3, 1);
        assert!(good.check().is_ok());
        for bad in [
            Optimization { learning_rate: f64::NAN, ..good.clone() },
            Optimization { learning_rate: -1.0, ..good.clone() },
            Optimization { warmup_ratio: 1.0, ..good.clone() },
            Optimization { weight_decay: -0.1, ..good.clone() },
            Optimization { clip_norm: Some(0.0), ..good.clone() },
            Optimization { micro_batch: 0, ..good.clone() },
            Optimization { epochs: 0, ..good.clone() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
