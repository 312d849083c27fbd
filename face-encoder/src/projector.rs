//! From the tower's width to the language model's.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use landmarks::quantized::Bits;
use landmarks::weights::{Key, LoadOptions, LoadReport, NamedTensors, Weights, collect_quantized, load_quantized};
use landmarks::{Linear, LinearConfig, Linears};

use crate::ops::linear;
use crate::{Activation, Error};

/// The vision projector: `mlpNx_gelu` has N layers, `linear` one, `identity` none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VisionProjectorConfig {
    /// The tower's width.
    pub d_input: usize,
    /// The language model's width.
    pub d_output: usize,
    /// Linear layers, GELU between.
    pub layers: usize,
}

/// Linear layers with GELU between.
#[derive(Module, Debug)]
pub struct VisionProjector {
    layers: Vec<Linear>,
}

impl VisionProjectorConfig {
    /// Reads `linear`, `identity` or `mlpNx_gelu`.
    ///
    /// # Errors
    /// [`Error::Config`] for other names, and for `identity` between different widths.
    pub fn parse(kind: &str, d_input: usize, d_output: usize) -> Result<Self, Error> {
        let layers = projector_layers(kind).ok_or_else(|| {
            Error::Config(format!("mm_projector_type {kind:?} is not linear, identity or mlpNx_gelu"))
        })?;
        if layers == 0 && d_input != d_output {
            return Err(Error::Config(format!("an identity projector cannot lead from {d_input} to {d_output}")));
        }
        Ok(Self { d_input, d_output, layers })
    }

    /// The module without weights.
    pub fn init(&self, device: &Device) -> VisionProjector {
        let width = |i| if i == 0 { self.d_input } else { self.d_output };
        let layers = (0..self.layers).map(|i| LinearConfig::new(width(i), self.d_output).init(device));
        VisionProjector { layers: layers.collect() }
    }
}

/// Linear layers of a projector by its published name.
pub fn projector_layers(kind: &str) -> Option<usize> {
    match kind {
        "identity" => Some(0),
        "linear" => Some(1),
        _ => kind.strip_prefix("mlp")?.strip_suffix("x_gelu")?.parse().ok().filter(|n| (1..=8).contains(n)),
    }
}

impl Linears for VisionProjector {
    fn linears_mut(&mut self) -> impl Iterator<Item = (String, &mut Linear)> {
        self.layers.iter_mut().enumerate().map(|(i, layer)| (format!("layers.{i}"), layer))
    }
}

impl VisionProjector {
    /// # Shapes
    /// - x `[B, N, D_tower]`
    /// - output `[B, N, D]`
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let step =
            |x, (i, layer): (usize, &Linear)| linear(layer, if i == 0 { x } else { Activation::Gelu.forward(x) });
        self.layers.iter().enumerate().fold(x, step)
    }

    /// Fills the projector from the published names under `prefix` (`model.mm_projector.`); with `bits`, its weights are
    /// rounded to them.
    ///
    /// # Errors
    /// As [`load_quantized`].
    pub fn load(
        self,
        weights: &Weights,
        prefix: &str,
        options: &LoadOptions,
        bits: Option<Bits>,
    ) -> Result<(Self, LoadReport), Error> {
        let key = self.key(prefix);
        Ok(load_quantized(self, weights, options, |_| bits, key)?)
    }

    /// All parameters under the published names.
    pub fn tensors(&self, prefix: &str) -> NamedTensors {
        collect_quantized(self, self.key(prefix))
    }

    fn key<'a>(&self, prefix: &'a str) -> impl Fn(&str) -> Key + use<'a> {
        let single = self.layers.len() == 1;
        move |path| {
            let (index, leaf) = path.trim_start_matches("layers.").split_once('.').unwrap_or(("0", path));
            let place = 2 * index.parse::<usize>().unwrap_or_default();
            Key::from(if single { format!("{prefix}{leaf}") } else { format!("{prefix}{place}.{leaf}") })
        }
    }
}
