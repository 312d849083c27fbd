//! Rotary positions, rotating halves of a head against each other (the pairing of published Llama weights).

use burn::tensor::{Tensor, TensorData};
use face_encoder::ops::rotate_halves;

use super::LlamaConfig;

/// Cosines and sines of some positions.
pub(super) struct Rope {
    /// `[B or 1, 1, L, d]`.
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Rope {
    /// Positions `start..start + l`, less each sequence's padding; in the type and on the device of `like`.
    pub fn new(config: &LlamaConfig, start: usize, l: usize, pads: &[usize], like: &Tensor<3>) -> Self {
        let equal = pads.iter().all(|p| *p == pads[0]);
        let rows = if equal { &pads[..1] } else { pads };
        let positions = rows.iter().flat_map(|pad| (start..start + l).map(|p| p.saturating_sub(*pad)));
        Self::at(config, positions, rows.len(), like)
    }

    /// Any positions, those of each of the `rows` sequences after each other.
    pub fn at(config: &LlamaConfig, positions: impl IntoIterator<Item = usize>, rows: usize, like: &Tensor<3>) -> Self {
        let half = config.head_width() / 2;
        let frequency = |i: usize| config.rope_theta.powf(-(i as f64) / half as f64) as f32;
        let frequencies: Vec<f32> = (0..half).map(frequency).collect();
        // The reference multiplies in f32.
        let angles: Vec<f32> =
            positions.into_iter().flat_map(|p| frequencies.iter().map(move |f| p as f32 * f)).collect();
        let l = angles.len() / half / rows;
        let table = |f: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|a| f(*a)).collect();
            let shape = [rows, 1, l, half];
            let t = Tensor::<4>::from_data(TensorData::new(values, shape), &like.device());
            Tensor::cat(vec![t.clone(), t], 3).cast(like.dtype())
        };
        Self { cos: table(f32::cos), sin: table(f32::sin) }
    }

    /// # Shapes
    /// - x `[B, H, L, d]`, output the same
    pub fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        rotate_halves(x, &self.cos, &self.sin)
    }
}
