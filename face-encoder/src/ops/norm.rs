//! Layer norm and root-mean-square norm.

use burn::nn::{LayerNorm, RmsNorm};
use burn::tensor::Tensor;

#[cfg(feature = "cpu")]
use crate::ops::cpu;

/// `(x - mean) / sqrt(variance + epsilon) * gamma + beta` over the last axis (Ba et al.,
/// <https://arxiv.org/abs/1607.06450>).
///
/// `epsilon` is the norm's own, which it does not tell.
///
/// # Shapes
/// - x and output `[.., D]`
///
/// # Panics
/// If the last axis is not D.
pub fn layer_norm<const N: usize>(norm: &LayerNorm, epsilon: f64, x: Tensor<N>) -> Tensor<N> {
    #[cfg(feature = "cpu")]
    {
        let gamma = norm.gamma.val();
        assert_eq!(gamma.dims(), [x.dims()[N - 1]], "one scale for each column");
        if let Some(beta) = &norm.beta
            && let Some(operand) = cpu::Operand::of(&x)
            && let (Some(gamma), Some(beta)) = (cpu::Operand::of(&gamma), cpu::Operand::of(&beta.val()))
        {
            drop(x);
            return cpu::apply(layer::LayerNorm { epsilon: epsilon as f32 }, [operand, gamma, beta]).into_tensor();
        }
    }
    #[cfg(not(feature = "cpu"))]
    let _ = epsilon;
    norm.forward(x)
}

/// `x / sqrt(mean(x²) + epsilon) * gamma` over the last axis (Zhang & Sennrich, <https://arxiv.org/abs/1910.07467>).
///
/// # Shapes
/// - x and output `[.., D]`
///
/// # Panics
/// If the last axis is not D.
pub fn rms_norm<const N: usize>(norm: &RmsNorm, x: Tensor<N>) -> Tensor<N> {
    #[cfg(feature = "cpu")]
    {
        let gamma = norm.gamma.val();
        assert_eq!(gamma.dims(), [x.dims()[N - 1]], "one scale for each column");
        if let (Some(operand), Some(gamma)) = (cpu::Operand::of(&x), cpu::Operand::of(&gamma)) {
            drop(x);
            let epsilon = norm.epsilon as f32;
            return cpu::apply(root_mean_square::RmsNorm { epsilon }, [operand, gamma]).into_tensor();
        }
    }
    norm.forward(x)
}

#[cfg(feature = "cpu")]
mod layer {
    use burn::backend::flex::FlexTensor;
    use rayon::prelude::*;

    use crate::ops::cpu::{Fused, ROWS, column_sums, dense, owned, read, sum, tensor, vectorized};

    #[derive(Debug)]
    pub struct LayerNorm {
        pub epsilon: f32,
    }

    /// Input, scale, and each row's mean and reciprocal deviation.
    type Saved = (FlexTensor, FlexTensor, Vec<[f32; 2]>);

    impl Fused<3> for LayerNorm {
        type Saved = Saved;

        fn forward(&self, [x, gamma, beta]: [FlexTensor; 3], record: bool) -> (FlexTensor, Option<Saved>) {
            let (x, gamma, beta) = (dense(x), dense(gamma), dense(beta));
            let (values, scale, shift) = (read(&x), read(&gamma), read(&beta));
            let width = scale.len();
            let mut y = vec![0.0; values.len()];
            let mut moments = vec![[0.0; 2]; values.len() / width.max(1)];
            let blocks = y.par_chunks_mut(ROWS * width).zip(values.par_chunks(ROWS * width));
            blocks.zip(moments.par_chunks_mut(ROWS)).for_each(|((y, x), moments)| {
                vectorized(
                    #[inline(always)]
                    || forward(y, x, moments, scale, shift, self.epsilon),
                );
            });
            let y = tensor(y, x.layout().shape().clone());
            (y, record.then_some((x, gamma, moments)))
        }

        fn backward(self, (x, gamma, moments): Saved, dy: FlexTensor, _: [bool; 3]) -> [Option<FlexTensor>; 3] {
            let mut dx = owned(dy);
            let (values, scale) = (read(&x), read(&gamma));
            let width = scale.len();
            let mut parts = vec![0.0; moments.len().div_ceil(ROWS) * 2 * width];
            let blocks = dx.storage_mut::<f32>().par_chunks_mut(ROWS * width).zip(values.par_chunks(ROWS * width));
            blocks.zip(moments.par_chunks(ROWS)).zip(parts.par_chunks_mut(2 * width)).for_each(
                |(((dx, x), moments), part)| {
                    let (dgamma, dbeta) = part.split_at_mut(width);
                    vectorized(
                        #[inline(always)]
                        || backward(dx, x, moments, scale, dgamma, dbeta),
                    );
                },
            );
            let mut dgamma = column_sums(&parts, 2 * width);
            let dbeta = dgamma.split_off(width);
            [Some(dx), Some(tensor(dgamma, [width])), Some(tensor(dbeta, [width]))]
        }
    }

    #[inline(always)]
    fn forward(y: &mut [f32], x: &[f32], moments: &mut [[f32; 2]], scale: &[f32], shift: &[f32], epsilon: f32) {
        let width = scale.len();
        for ((y, x), moments) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(moments) {
            let mean = sum(x, x, |x, _| x) / width as f32;
            let variance = sum(x, x, |x, _| (x - mean) * (x - mean)) / width as f32;
            let deviation = 1.0 / (variance + epsilon).sqrt();
            for (((y, x), scale), shift) in y.iter_mut().zip(x).zip(scale).zip(shift) {
                *y = (x - mean) * deviation * scale + shift;
            }
            *moments = [mean, deviation];
        }
    }

    /// With n the normalised input, g = dy gamma: dx = (g - mean(g) - n mean(g n)) / deviation.
    #[inline(always)]
    fn backward(dy: &mut [f32], x: &[f32], moments: &[[f32; 2]], scale: &[f32], dgamma: &mut [f32], dbeta: &mut [f32]) {
        let width = scale.len();
        for ((dy, x), &[mean, deviation]) in dy.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(moments) {
            for ((((dgamma, dbeta), dy), x), scale) in
                dgamma.iter_mut().zip(dbeta.iter_mut()).zip(dy.iter_mut()).zip(x).zip(scale)
            {
                *dgamma += *dy * ((x - mean) * deviation);
                *dbeta += *dy;
                *dy *= scale;
            }
            let level = sum(dy, dy, |g, _| g) / width as f32;
            let slope = sum(dy, x, |g, x| g * ((x - mean) * deviation)) / width as f32;
            for (dy, x) in dy.iter_mut().zip(x) {
                *dy = (*dy - level - (x - mean) * deviation * slope) * deviation;
            }
        }
    }
}

#[cfg(feature = "cpu")]
mod root_mean_square {
    use burn::backend::flex::FlexTensor;
    use rayon::prelude::*;

    use crate::ops::cpu::{Fused, ROWS, column_sums, dense, owned, read, sum, tensor, vectorized};

    #[derive(Debug)]
    pub struct RmsNorm {
        pub epsilon: f32,
    }

    /// Input, scale, and each row's reciprocal root.
    type Saved = (FlexTensor, FlexTensor, Vec<f32>);

    impl Fused<2> for RmsNorm {
        type Saved = Saved;

        fn forward(&self, [x, gamma]: [FlexTensor; 2], record: bool) -> (FlexTensor, Option<Saved>) {
            let (x, gamma) = (dense(x), dense(gamma));
            let (values, scale) = (read(&x), read(&gamma));
            let width = scale.len();
            let mut y = vec![0.0; values.len()];
            let mut roots = vec![0.0; values.len() / width.max(1)];
            let blocks = y.par_chunks_mut(ROWS * width).zip(values.par_chunks(ROWS * width));
            blocks.zip(roots.par_chunks_mut(ROWS)).for_each(|((y, x), roots)| {
                vectorized(
                    #[inline(always)]
                    || forward(y, x, roots, scale, self.epsilon),
                );
            });
            let y = tensor(y, x.layout().shape().clone());
            (y, record.then_some((x, gamma, roots)))
        }

        fn backward(self, (x, gamma, roots): Saved, dy: FlexTensor, _: [bool; 2]) -> [Option<FlexTensor>; 2] {
            let mut dx = owned(dy);
            let (values, scale) = (read(&x), read(&gamma));
            let width = scale.len();
            let mut parts = vec![0.0; roots.len().div_ceil(ROWS) * width];
            let blocks = dx.storage_mut::<f32>().par_chunks_mut(ROWS * width).zip(values.par_chunks(ROWS * width));
            blocks.zip(roots.par_chunks(ROWS)).zip(parts.par_chunks_mut(width)).for_each(
                |(((dx, x), roots), dgamma)| {
                    vectorized(
                        #[inline(always)]
                        || backward(dx, x, roots, scale, dgamma),
                    );
                },
            );
            [Some(dx), Some(tensor(column_sums(&parts, width), [width]))]
        }
    }

    #[inline(always)]
    fn forward(y: &mut [f32], x: &[f32], roots: &mut [f32], scale: &[f32], epsilon: f32) {
        let width = scale.len();
        for ((y, x), saved) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(roots) {
            let root = 1.0 / (sum(x, x, |x, _| x * x) / width as f32 + epsilon).sqrt();
            for ((y, x), scale) in y.iter_mut().zip(x).zip(scale) {
                *y = x * root * scale;
            }
            *saved = root;
        }
    }

    /// With n the normalised input, g = dy gamma: dx = (g - n mean(g n)) root.
    #[inline(always)]
    fn backward(dy: &mut [f32], x: &[f32], roots: &[f32], scale: &[f32], dgamma: &mut [f32]) {
        let width = scale.len();
        for ((dy, x), &root) in dy.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(roots) {
            for (((dgamma, dy), x), scale) in dgamma.iter_mut().zip(dy.iter_mut()).zip(x).zip(scale) {
                *dgamma += *dy * (x * root);
                *dy *= scale;
            }
            let slope = sum(dy, x, |g, x| g * (x * root)) / width as f32;
            for (dy, x) in dy.iter_mut().zip(x) {
                *dy = (*dy - x * root * slope) * root;
            }
        }
    }
}
