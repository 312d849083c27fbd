//! Activations; on the CPU in one parallel pass.

use burn::tensor::{Tensor, activation};

use crate::Activation;

impl Activation {
    /// Applies the activation to every value.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "cpu")]
        let x = match cpu::apply(self, x) {
            Ok(done) => return done,
            Err(x) => x,
        };
        match self {
            Self::Gelu => activation::gelu(x),
            Self::QuickGelu => x.clone() * activation::sigmoid(x * 1.702),
        }
    }
}

/// The CPU backend's own activations are scalar loops on one thread, twenty times slower than this.
#[cfg(feature = "cpu")]
mod cpu {
    use burn::backend::Flex;
    use burn::tensor::{DType, Device, Tensor};
    use rayon::prelude::*;

    use crate::Activation;

    const BLOCK: usize = 4096;

    /// Gives the tensor back where it lies on another backend, records gradients or is not f32.
    #[expect(clippy::result_large_err, reason = "the error is the tensor itself")]
    pub fn apply<const D: usize>(kind: Activation, x: Tensor<D>) -> Result<Tensor<D>, Tensor<D>> {
        let device = x.device();
        if device.is_autodiff() || device != Device::flex() || x.dtype() != DType::F32 {
            return Err(x);
        }
        let Ok(primitive) = x.clone().try_into_primitive::<Flex>() else { return Err(x) };
        drop(x);
        let mut primitive = primitive.to_contiguous();
        // Only a buffer of its own is written; a shared one is copied first.
        let values: &mut [f32] = primitive.storage_mut();
        let f = match kind {
            Activation::Gelu => gelu,
            Activation::QuickGelu => quick_gelu,
        };
        values.par_chunks_mut(BLOCK).for_each(f);
        Ok(Tensor::from_primitive::<Flex>(primitive))
    }

    fn gelu(block: &mut [f32]) {
        for v in block {
            *v = 0.5 * *v * (1.0 + erf(*v * std::f32::consts::FRAC_1_SQRT_2));
        }
    }

    fn quick_gelu(block: &mut [f32]) {
        for v in block {
            *v /= 1.0 + exp(-1.702 * *v);
        }
    }

    /// e^x to about 1e-7 relative, in plain arithmetic that the compiler turns into vector instructions.
    #[inline(always)]
    fn exp(x: f32) -> f32 {
        let x = x.clamp(-87.0, 88.0);
        let n = (x * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0;
        let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
        let p = 1.987_569_1e-4;
        let p = p * r + 1.398_199_9e-3;
        let p = p * r + 8.333_452e-3;
        let p = p * r + 4.166_579_6e-2;
        let p = p * r + 1.666_666_5e-1;
        let p = p * r + 0.5;
        let e = p * r * r + r + 1.0;
        e * f32::from_bits((((n as i32) + 127) << 23) as u32)
    }

    /// The error function to about 1e-7: the rational fit on [-4, 4] that Eigen uses.
    #[inline(always)]
    fn erf(x: f32) -> f32 {
        let x = x.clamp(-4.0, 4.0);
        let x2 = x * x;
        let p = -2.726_142_3e-10;
        let p = p * x2 + 2.770_681_4e-8;
        let p = p * x2 - 2.101_024e-6;
        let p = p * x2 - 5.692_506_4e-5;
        let p = p * x2 - 7.349_906_3e-4;
        let p = p * x2 - 2.954_6e-3;
        let p = p * x2 - 1.609_603_3e-2;
        let q = -1.456_607_2e-5;
        let q = q * x2 - 2.133_740_6e-4;
        let q = q * x2 - 1.682_827e-3;
        let q = q * x2 - 7.373_329e-3;
        let q = q * x2 - 1.426_473_9e-2;
        x * p / q
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, activation};

    use super::*;

    #[test]
    fn the_fused_pass_equals_burns_own() {
        let x = Tensor::<1>::from_floats(
            (-12_000..=12_000).map(|i| i as f32 / 1000.0).collect::<Vec<_>>().as_slice(),
            &Device::flex(),
        );
        let worst = |a: Tensor<1>, b: Tensor<1>| (a - b).abs().max().into_scalar::<f32>();
        let gelu = activation::gelu(x.clone());
        assert!(worst(Activation::Gelu.forward(x.clone()), gelu) < 2e-6);
        let quick = x.clone() * activation::sigmoid(x.clone() * 1.702);
        assert!(worst(Activation::QuickGelu.forward(x.clone()), quick) < 2e-6);
        let still = x.clone().narrow(0, 0, 1).into_scalar::<f32>();
        assert_eq!(still, -12.0, "the input is not written to");
    }
}
