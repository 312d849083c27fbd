//! GELU and the gated activation of SwiGLU.

use burn::tensor::{Tensor, activation};

use crate::Activation;
#[cfg(feature = "cpu")]
use crate::ops::cpu;

/// An activation of every value.
///
/// GELU is `x Φ(x)` with the exact normal distribution function (Hendrycks & Gimpel, <https://arxiv.org/abs/1606.08415>),
/// quick GELU its approximation `x sigmoid(1.702 x)` from the same paper.
///
/// # Shapes
/// - x and output: any
pub fn activate<const D: usize>(kind: Activation, x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "cpu")]
    if let Some(operand) = cpu::Operand::of(&x) {
        // The operand is then alone on its buffer, if nobody else holds it.
        drop(x);
        return cpu::apply(fused::Activate(kind), [operand]).into_tensor();
    }
    match kind {
        Activation::Gelu => activation::gelu(x),
        Activation::QuickGelu => x.clone() * activation::sigmoid(x * 1.702),
    }
}

/// `silu(gate) * up`, the inner part of SwiGLU (Shazeer, <https://arxiv.org/abs/2002.05202>).
///
/// # Shapes
/// - gate, up and output: the same
///
/// # Panics
/// If the shapes differ.
pub fn silu_gate<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    assert_eq!(gate.dims(), up.dims(), "a gate is as large as what it gates");
    #[cfg(feature = "cpu")]
    if let (Some(g), Some(u)) = (cpu::Operand::of(&gate), cpu::Operand::of(&up)) {
        drop((gate, up));
        return cpu::apply(fused::SiluGate, [g, u]).into_tensor();
    }
    activation::silu(gate) * up
}

#[cfg(feature = "cpu")]
mod fused {
    use burn::backend::flex::FlexTensor;
    use rayon::prelude::*;

    use crate::Activation;
    use crate::ops::cpu::{BLOCK, Fused, dense, erf, exp, owned, read, tensor, vectorized, zipped};

    /// 1 / sqrt(2 pi).
    const DENSITY_AT_ZERO: f32 = 0.398_942_3;

    #[derive(Debug)]
    pub struct Activate(pub Activation);

    impl Fused<1> for Activate {
        type Saved = FlexTensor;

        fn forward(&self, [x]: [FlexTensor; 1], record: bool) -> (FlexTensor, Option<FlexTensor>) {
            if record {
                let x = dense(x);
                let values = read(&x);
                let y = match self.0 {
                    Activation::Gelu => zipped(values, values, |x, _| gelu(x)),
                    Activation::QuickGelu => zipped(values, values, |x, _| quick_gelu(x)),
                };
                return (tensor(y, x.layout().shape().clone()), Some(x));
            }
            let mut x = owned(x);
            let kind = self.0;
            x.storage_mut::<f32>().par_chunks_mut(BLOCK).for_each(|block| match kind {
                Activation::Gelu => map(block, gelu),
                Activation::QuickGelu => map(block, quick_gelu),
            });
            (x, None)
        }

        fn backward(self, x: FlexTensor, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
            let (x, mut grad) = (dense(x), owned(grad));
            let blocks = grad.storage_mut::<f32>().par_chunks_mut(BLOCK).zip(read(&x).par_chunks(BLOCK));
            blocks.for_each(|(grad, x)| match self.0 {
                Activation::Gelu => scale(grad, x, gelu_slope),
                Activation::QuickGelu => scale(grad, x, quick_gelu_slope),
            });
            [Some(grad)]
        }
    }

    #[inline(always)]
    fn map(block: &mut [f32], f: impl Fn(f32) -> f32) {
        vectorized(
            #[inline(always)]
            || {
                for v in block {
                    *v = f(*v);
                }
            },
        );
    }

    #[inline(always)]
    fn scale(grad: &mut [f32], x: &[f32], slope: impl Fn(f32) -> f32) {
        vectorized(
            #[inline(always)]
            || {
                for (g, x) in grad.iter_mut().zip(x) {
                    *g *= slope(*x);
                }
            },
        );
    }

    #[inline(always)]
    fn gelu(x: f32) -> f32 {
        0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
    }

    #[inline(always)]
    fn gelu_slope(x: f32) -> f32 {
        0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)) + x * DENSITY_AT_ZERO * exp(-0.5 * x * x)
    }

    #[inline(always)]
    fn sigmoid(x: f32) -> f32 {
        1.0 / (1.0 + exp(-x))
    }

    #[inline(always)]
    fn quick_gelu(x: f32) -> f32 {
        x * sigmoid(1.702 * x)
    }

    #[inline(always)]
    fn quick_gelu_slope(x: f32) -> f32 {
        let s = sigmoid(1.702 * x);
        s * (1.0 + 1.702 * x * (1.0 - s))
    }

    #[derive(Debug)]
    pub struct SiluGate;

    impl Fused<2> for SiluGate {
        type Saved = [FlexTensor; 2];

        fn forward(&self, [gate, up]: [FlexTensor; 2], record: bool) -> (FlexTensor, Option<Self::Saved>) {
            let (gate, up) = (dense(gate), dense(up));
            let y = zipped(read(&gate), read(&up), |g, u| g * sigmoid(g) * u);
            (tensor(y, gate.layout().shape().clone()), record.then_some([gate, up]))
        }

        fn backward(self, [gate, up]: Self::Saved, grad: FlexTensor, _: [bool; 2]) -> [Option<FlexTensor>; 2] {
            let (mut grad_gate, mut grad_up) = (owned(gate), owned(up));
            let grad = dense(grad);
            let gates = grad_gate.storage_mut::<f32>().par_chunks_mut(BLOCK);
            let ups = grad_up.storage_mut::<f32>().par_chunks_mut(BLOCK);
            gates.zip(ups).zip(read(&grad).par_chunks(BLOCK)).for_each(|((gate, up), grad)| {
                vectorized(
                    #[inline(always)]
                    || {
                        for ((g, u), dy) in gate.iter_mut().zip(up).zip(grad) {
                            let s = sigmoid(*g);
                            let silu = *g * s;
                            let slope = s * (1.0 + *g * (1.0 - s));
                            *g = dy * *u * slope;
                            *u = dy * silu;
                        }
                    },
                );
            });
            [Some(grad_gate), Some(grad_up)]
        }
    }
}
