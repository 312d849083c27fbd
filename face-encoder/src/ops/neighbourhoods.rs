//! What a convolution of three by three multiplies its weights with.

use burn::tensor::Tensor;
use burn::tensor::module::unfold4d;
use burn::tensor::ops::UnfoldOptions;

#[cfg(feature = "cpu")]
use crate::ops::cpu;

/// Places of a neighbourhood, row by row.
const PLACES: usize = 9;

/// The three by three neighbourhood of every `stride`-th position, zeros beyond the border: a product of it with weights
/// `[out, 9 C]` is a convolution.
///
/// # Shapes
/// - x `[B, H, W, C]`
/// - output `[B, ceil(H / stride), ceil(W / stride), 9 C]`, the places row by row, the channels of each together
///
/// # Panics
/// If the stride is zero.
pub fn neighbourhoods(x: Tensor<4>, stride: usize) -> Tensor<4> {
    let [b, h, w, c] = x.dims();
    let (rows, columns) = (h.div_ceil(stride), w.div_ceil(stride));
    #[cfg(feature = "cpu")]
    if let Some(operand) = cpu::Operand::of(&x) {
        return cpu::apply(fused::Neighbourhoods { stride }, [operand]).into_tensor();
    }
    let options = UnfoldOptions::new([stride, stride], [1, 1], [1, 1]);
    let all = unfold4d(x.permute([0, 3, 1, 2]), [3, 3], options);
    all.reshape([b, c, PLACES, rows * columns]).permute([0, 3, 2, 1]).reshape([b, rows, columns, PLACES * c])
}

#[cfg(feature = "cpu")]
mod fused {
    use burn::backend::flex::FlexTensor;
    use rayon::prelude::*;

    use super::PLACES;
    use crate::ops::cpu::{Fused, dense, read, tensor};

    #[derive(Clone, Copy, Debug)]
    pub struct Neighbourhoods {
        pub stride: usize,
    }

    impl Neighbourhoods {
        /// For output row or column `at`, those of the input that its three places lie in.
        fn places(self, at: usize, length: usize) -> impl Iterator<Item = (usize, usize)> {
            let first = at * self.stride;
            (0..3).filter_map(move |k| (first + k).checked_sub(1).filter(|i| *i < length).map(|i| (k, i)))
        }
    }

    impl Fused<1> for Neighbourhoods {
        type Saved = [usize; 4];

        fn forward(&self, [x]: [FlexTensor; 1], record: bool) -> (FlexTensor, Option<[usize; 4]>) {
            let x = dense(x);
            let dims: [usize; 4] = std::array::from_fn(|i| x.layout().shape()[i]);
            let [b, h, w, c] = dims;
            let (rows, columns) = (h.div_ceil(self.stride), w.div_ceil(self.stride));
            let values = read(&x);
            let mut out = vec![0.0; b * rows * columns * PLACES * c];
            out.par_chunks_mut((columns * PLACES * c).max(1)).enumerate().for_each(|(line, out)| {
                let picture = &values[line / rows * h * w * c..][..h * w * c];
                for (column, out) in out.chunks_mut(PLACES * c).enumerate() {
                    for (ky, y) in self.places(line % rows, h) {
                        for (kx, x) in self.places(column, w) {
                            let from = &picture[(y * w + x) * c..][..c];
                            out[(ky * 3 + kx) * c..][..c].copy_from_slice(from);
                        }
                    }
                }
            });
            (tensor(out, [b, rows, columns, PLACES * c]), record.then_some(dims))
        }

        fn backward(self, dims: [usize; 4], grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
            let grad = dense(grad);
            let [b, h, w, c] = dims;
            let (rows, columns) = (h.div_ceil(self.stride), w.div_ceil(self.stride));
            let values = read(&grad);
            let mut out = vec![0.0; b * h * w * c];
            out.par_chunks_mut((h * w * c).max(1)).enumerate().for_each(|(picture, out)| {
                let grads = &values[picture * rows * columns * PLACES * c..][..rows * columns * PLACES * c];
                for (place, grads) in grads.chunks(PLACES * c).enumerate() {
                    for (ky, y) in self.places(place / columns, h) {
                        for (kx, x) in self.places(place % columns, w) {
                            let to = &mut out[(y * w + x) * c..][..c];
                            let from = &grads[(ky * 3 + kx) * c..][..c];
                            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
                        }
                    }
                }
            });
            [Some(tensor(out, dims))]
        }
    }
}
