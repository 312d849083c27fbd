//! Activations of the perceptrons.

use burn::tensor::Tensor;

use crate::{Activation, ops};

impl Activation {
    /// Applies the activation to every value.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        ops::activate(self, x)
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
