//! A linear layer that keeps its weight as published files do, `[out, in]`.

use std::sync::Arc;

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::quantized::Quantized;

/// Standard deviation of fresh weights, as Llama-family models start.
const INIT_STD: f64 = 0.02;

/// Up to this many rows a product with a CPU weight is cut into slices, one per batch entry: the matrix-vector kernel
/// itself uses a single thread.
const FEW_ROWS: usize = 4;
const SLICES: usize = 8;

/// Configuration of a [`Linear`].
#[derive(Clone, Copy, Debug)]
pub struct LinearConfig {
    /// Width of the input.
    pub d_input: usize,
    /// Width of the output.
    pub d_output: usize,
    /// Whether a bias is added.
    pub bias: bool,
}

/// `y = x Wᵀ + b`. Unlike burn's own layer the weight is `[d_output, d_input]`: loading needs no transposition, and a
/// single row reads it in order.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[d_output, d_input]`.
    pub weight: Param<Tensor<2>>,
    /// `[d_output]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// A trained addition to the weight.
    pub lora: Option<LowRank>,
    /// The weight in few bits, in place of `weight`, which has no values then. Has no derivative.
    #[module(skip)]
    pub quantized: Option<Arc<Quantized>>,
}

/// Low-rank adaptation (arXiv 2106.09685): `scale * up down` is added to a weight without ever being formed.
#[derive(Module, Debug)]
pub struct LowRank {
    /// `[rank, d_input]`.
    pub down: Param<Tensor<2>>,
    /// `[d_output, rank]`.
    pub up: Param<Tensor<2>>,
    /// Factor of the addition.
    pub scale: f64,
}

impl LinearConfig {
    /// A layer with a bias.
    pub const fn new(d_input: usize, d_output: usize) -> Self {
        Self { d_input, d_output, bias: true }
    }

    /// A layer without a bias.
    pub const fn without_bias(d_input: usize, d_output: usize) -> Self {
        Self { d_input, d_output, bias: false }
    }

    /// Normal weights of standard deviation 0.02, zero biases; nothing is computed before the first use or load.
    pub fn init(&self, device: &Device) -> Linear {
        let weight = Initializer::Normal { mean: 0.0, std: INIT_STD };
        let (fan_in, fan_out) = (Some(self.d_input), Some(self.d_output));
        Linear {
            weight: weight.init_with([self.d_output, self.d_input], fan_in, fan_out, device),
            bias: self.bias.then(|| Initializer::Zeros.init([self.d_output], device)),
            lora: None,
            quantized: None,
        }
    }
}

impl Linear {
    /// Puts a weight in few bits in place of the tensor.
    ///
    /// # Panics
    /// If its shape is another one.
    pub fn quantize(&mut self, weight: Quantized) {
        let shape = self.weight.lazy_shape().to_vec();
        assert_eq!(weight.dims()[..], shape[..], "a weight in few bits has the shape of the weight");
        self.weight = Param::from_tensor(Tensor::empty([0, 0], &self.weight.lazy_device()));
        self.quantized = Some(Arc::new(weight));
    }

    /// Applies the layer to the last axis.
    ///
    /// # Shapes
    /// - input `[.., d_input]`
    /// - output `[.., d_output]`
    ///
    /// # Panics
    /// If the last axis of the input is not `d_input`.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let [output] = Self::forward_all([self], input);
        output
    }

    /// What some layers make of the same input. Weights in few bits share the work that the input is.
    ///
    /// # Shapes
    /// As [`Linear::forward`].
    ///
    /// # Panics
    /// As [`Linear::forward`].
    pub fn forward_all<const N: usize, const D: usize>(layers: [&Self; N], input: Tensor<D>) -> [Tensor<D>; N] {
        let dims = input.dims();
        let d_input = dims[D - 1];
        let rows = dims[..D - 1].iter().product::<usize>();
        // Two axes throughout: with more, the backend would copy the transposed weight on every call.
        let input = input.reshape([rows, d_input]);
        let additions = layers.map(|layer| {
            layer
                .lora
                .as_ref()
                .map(|LowRank { down, up, scale }| product(product(input.clone(), down.val()), up.val()) * *scale)
        });
        let mut additions = additions.into_iter();
        let outputs = match alike(layers) {
            // A tensor that nobody else holds is read in place.
            Some(weights) => Quantized::products(weights, input),
            None => layers.map(|layer| match &layer.quantized {
                Some(weight) => {
                    let [output] = Quantized::products([weight], input.clone());
                    output
                }
                None => product(input.clone(), layer.weight.val()),
            }),
        };
        let mut layers = layers.into_iter();
        outputs.map(|mut output| {
            if let Some(addition) = additions.next().flatten() {
                output = output + addition;
            }
            if let Some(bias) = layers.next().and_then(|layer| layer.bias.as_ref()) {
                output = output + bias.val().unsqueeze();
            }
            let mut dims = dims;
            dims[D - 1] = output.dims()[1];
            output.reshape(dims)
        })
    }

    /// Rows of the weight, as embeddings are looked up.
    ///
    /// # Shapes
    /// - output `[L, d_input]`
    ///
    /// # Panics
    /// If there are not that many rows.
    pub fn rows(&self, rows: &[u32]) -> Tensor<2> {
        if let Some(weight) = &self.quantized {
            let values: Vec<f32> = rows.iter().flat_map(|row| weight.row(*row as usize)).collect();
            let data = TensorData::new(values, [rows.len(), weight.dims()[1]]);
            return Tensor::from_data(data, &self.weight.val().device());
        }
        let weight = self.weight.val();
        let rows = indices(rows.iter().map(|&row| row as usize), &weight.device());
        weight.select(0, rows)
    }

    /// Puts the rows of the weight into another order: row `i` becomes what row `rows[i]` was.
    ///
    /// # Panics
    /// If there is no such row, or the layer has a bias or an addition, which would have to follow.
    pub fn reorder(&mut self, rows: &[usize]) {
        assert!(self.bias.is_none() && self.lora.is_none(), "a plain weight");
        if let Some(weight) = &self.quantized {
            self.quantized = Some(Arc::new(weight.rows(rows)));
            return;
        }
        self.weight = self.weight.clone().map(|weight| {
            let rows = indices(rows.iter().copied(), &weight.device());
            weight.select(0, rows)
        });
    }

    /// Puts a fresh addition onto the weight. Its `up` is zero: nothing changes until it is trained.
    pub fn add_low_rank(&mut self, rank: usize, scale: f64) {
        let (weight, [d_output, d_input]) = (self.weight.val(), self.weight.val().dims());
        let device = weight.device();
        let down = Initializer::KaimingUniform { gain: 3.0_f64.sqrt().recip(), fan_out_only: false };
        self.lora = Some(LowRank {
            down: down.init_with([rank, d_input], Some(d_input), Some(rank), &device),
            up: Initializer::Zeros.init([d_output, rank], &device),
            scale,
        });
    }

    /// Adds the addition to the weight for good.
    pub fn merge_low_rank(&mut self) {
        if let Some(LowRank { down, up, scale }) = self.lora.take() {
            let addition = up.val().matmul(down.val()) * scale;
            self.weight = self.weight.clone().map(|weight| weight + addition);
        }
    }
}

/// Indices on an axis, as [`Tensor::select`] takes them.
pub fn indices(of: impl IntoIterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    let of: Vec<i32> = of.into_iter().map(|index| index as i32).collect();
    let count = of.len();
    Tensor::from_data(TensorData::new(of, [count]), device)
}

/// The weights of layers that are all in the same few bits.
fn alike<const N: usize>(layers: [&Linear; N]) -> Option<[&Quantized; N]> {
    let weights: Vec<&Quantized> = layers.into_iter().filter_map(|layer| layer.quantized.as_deref()).collect();
    let weights = <[&Quantized; N]>::try_from(weights).ok()?;
    weights.iter().all(|weight| weight.bits() == weights[0].bits()).then_some(weights)
}

/// `x Wᵀ` for `x [rows, in]` and `w [out, in]`.
fn product(x: Tensor<2>, w: Tensor<2>) -> Tensor<2> {
    let ([rows, d_input], [d_output, _]) = (x.dims(), w.dims());
    if rows > FEW_ROWS || d_output % SLICES != 0 || d_output * d_input < 1 << 18 || x.device().is_autodiff() {
        return x.matmul(w.transpose());
    }
    let slices = w.reshape([SLICES, d_output / SLICES, d_input]).swap_dims(1, 2);
    let y = x.unsqueeze::<3>().expand([SLICES, rows, d_input]).matmul(slices);
    y.swap_dims(0, 1).reshape([rows, d_output])
}

/// Lays the weights of every [`Linear`] of a module out so that products with many rows are fast on a CPU: the matrix
/// kernel packs its operands, and packing reads this order in runs (measured: a vision tower takes two thirds of the
/// time). Shapes and values stay; products with one row are better off without it.
pub fn for_many_rows<M: Module>(module: M) -> M {
    module.map(&mut ManyRows { in_linear: Vec::new() })
}

struct ManyRows {
    in_linear: Vec<bool>,
}

impl ModuleMapper for ManyRows {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.in_linear.push(name == "weight" && container == "Struct:Linear");
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.in_linear.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if D != 2 || self.in_linear.last() != Some(&true) || param.lazy_shape().contains(&0) {
            return param;
        }
        param.map(|weight| {
            let transposed = weight.swap_dims(0, 1);
            let dims = transposed.dims();
            // Flattening writes the transposed order out; the view back has the old shape.
            transposed.reshape([dims.iter().product::<usize>()]).reshape(dims).swap_dims(0, 1)
        })
    }
}

/// A module that knows its linear layers, so that their weights can be had in few bits.
pub trait Linears {
    /// Each layer with its path in the module, as `layers.0.mlp.up_proj`.
    fn linears_mut(&mut self) -> impl Iterator<Item = (String, &mut Linear)>;
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;
    use crate::quantized::Bits;

    #[test]
    fn layers_together_give_what_each_gives_alone() {
        let device = Device::flex();
        let layer = |rows, bias, bits: Option<Bits>| {
            let mut layer = LinearConfig { d_input: 64, d_output: rows, bias }.init(&device);
            let values: Vec<f32> = layer.weight.val().into_data().iter().collect();
            if let Some(bits) = bits {
                layer.quantize(Quantized::new(&values, rows, 64, bits));
            }
            layer.bias = layer.bias.map(|bias| bias.map(|bias| bias + 0.5));
            layer
        };
        let (eight, four) = (Some(Bits::Int8), Some(Bits::Int4));
        let mut adapted = layer(32, false, eight);
        adapted.lora = Some(LowRank {
            down: Param::from_tensor(Tensor::random([2, 64], Distribution::Default, &device)),
            up: Param::from_tensor(Tensor::random([32, 2], Distribution::Default, &device)),
            scale: 0.7,
        });
        let cases = [
            [layer(48, true, eight), layer(16, false, eight), adapted],
            [layer(16, true, four), layer(16, true, eight), layer(32, false, None)],
        ];
        for layers in &cases {
            for rows in [1, 9] {
                let x = Tensor::<3>::random([1, rows, 64], Distribution::Default, &device);
                let together = Linear::forward_all(layers.each_ref(), x.clone());
                for (layer, together) in layers.iter().zip(together) {
                    assert_eq!(together.into_data(), layer.forward(x.clone()).into_data());
                }
            }
        }
    }

    #[test]
    fn rows_are_looked_up_as_they_lie() {
        let device = Device::flex();
        let layer = LinearConfig::without_bias(32, 16).init(&device);
        let (rows, whole) = (layer.rows(&[3, 0, 3]), layer.weight.val());
        for (i, row) in [3, 0, 3].into_iter().enumerate() {
            assert_eq!(rows.clone().narrow(0, i, 1).into_data(), whole.clone().narrow(0, row, 1).into_data());
        }
    }
}
