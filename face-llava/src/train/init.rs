//! Weights to begin with, the same from the same seed on every machine and backend.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use rand_distr::{Distribution, StandardNormal};

use super::augment::random;

/// Purpose of the random numbers.
const INIT: u64 = 4;
/// Standard deviation of a weight times the square root of its inputs.
const GAIN: f64 = 0.8;
/// Standard deviation of embeddings.
const EMBEDDING: f64 = 0.02;

/// Fills a module for training from scratch: matrices by their number of inputs, those that end a branch (`depth` of them
/// add up) the smaller, embeddings small, norms one, biases zero.
pub fn initialise<M: Module>(module: M, depth: usize, seed: u64) -> M {
    initialise_some(module, depth, seed, |_| true)
}

/// The same for parameters whose paths are wanted; the others stay.
pub(super) fn initialise_some<M: Module>(module: M, depth: usize, seed: u64, wanted: fn(&str) -> bool) -> M {
    module.map(&mut Initialise { depth, seed, wanted, path: Vec::new() })
}

struct Initialise {
    depth: usize,
    seed: u64,
    wanted: fn(&str) -> bool,
    path: Vec<String>,
}

impl ModuleMapper for Initialise {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape().to_vec();
        let (path, leaf) = (self.path.join("."), self.path.last().map_or("", String::as_str));
        if !(self.wanted)(&path) {
            return param;
        }
        let count: usize = shape.iter().product();
        let ends_branch = ["out_proj.weight", "o_proj.weight", "fc2.weight", "down_proj.weight"];
        let scaled = || {
            let inputs = count / shape.first().copied().unwrap_or(1).max(1);
            let gain = GAIN / (inputs.max(1) as f64).sqrt();
            let ends = ends_branch.iter().any(|end| path.ends_with(end));
            if ends { gain / (self.depth.max(1) as f64).sqrt() } else { gain }
        };
        let deviation = match leaf {
            "gamma" | "beta" | "bias" | "up" => 0.0,
            "patch_embedding" => scaled(),
            _ if path.contains("embed") => EMBEDDING,
            _ => scaled(),
        };
        let constant = if leaf == "gamma" { 1.0 } else { 0.0 };
        let mut rng = random(self.seed, INIT, fnv(&path));
        let values: Vec<f32> = (0..count)
            .map(|_| {
                let x: f64 = if deviation > 0.0 { StandardNormal.sample(&mut rng) } else { 0.0 };
                (constant + deviation * x) as f32
            })
            .collect();
        let device = param.lazy_device();
        let id = param.id;
        param.transform_for_load(Tensor::from_data(TensorData::new(values, shape), &device), id)
    }
}

/// A number for a name (FNV-1a).
fn fnv(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
