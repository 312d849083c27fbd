//! Rotary positions.

use burn::tensor::Tensor;

#[cfg(feature = "cpu")]
use crate::ops::cpu;

/// Turns the two halves of each head against each other: `x cos + (-x₂, x₁) sin` (Su et al.,
/// <https://arxiv.org/abs/2104.09864>, in the pairing of published Llama weights).
///
/// # Shapes
/// - x and output `[B, H, L, d]`
/// - cos, sin `[B or 1, 1, L, d]`, constants
///
/// # Panics
/// If the shapes do not fit each other or d is odd.
pub fn rotate_halves(x: Tensor<4>, cos: &Tensor<4>, sin: &Tensor<4>) -> Tensor<4> {
    let [b, _, l, d] = x.dims();
    let table = cos.dims();
    assert!(d.is_multiple_of(2), "a head of {d} values has no halves");
    assert!((table == [b, 1, l, d] || table == [1, 1, l, d]) && sin.dims() == table, "an angle for each position");
    #[cfg(feature = "cpu")]
    if let Some(operand) = cpu::Operand::of(&x)
        && let (Some(cos), Some(sin)) = (cpu::Operand::of(cos), cpu::Operand::of(sin))
    {
        drop(x);
        let (cos, sin) = (cos.constant(), sin.constant());
        return cpu::apply(fused::Rotate { cos, sin }, [operand]).into_tensor();
    }
    let half = d / 2;
    let (first, second) = (x.clone().narrow(3, 0, half), x.clone().narrow(3, half, half));
    x * cos.clone() + Tensor::cat(vec![second.neg(), first], 3) * sin.clone()
}

#[cfg(feature = "cpu")]
mod fused {
    use burn::backend::flex::FlexTensor;
    use rayon::prelude::*;

    use crate::ops::cpu::{Fused, Heads, dense, heads_apart, read, vectorized, with_dense_heads};

    #[derive(Debug)]
    pub struct Rotate {
        pub cos: FlexTensor,
        pub sin: FlexTensor,
    }

    impl Fused<1> for Rotate {
        type Saved = ();

        fn forward(&self, [x]: [FlexTensor; 1], _: bool) -> (FlexTensor, Option<()>) {
            let (cos, sin) = (dense(self.cos.clone()), dense(self.sin.clone()));
            let turn = |x: &[f32], y: &mut [f32], cos: &[f32], sin: &[f32]| forward(x, y, cos, sin);
            (each_row(x, &cos, &sin, turn), Some(()))
        }

        fn backward(self, (): (), dy: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
            let (cos, sin) = (dense(self.cos), dense(self.sin));
            let turn = |dy: &[f32], dx: &mut [f32], cos: &[f32], sin: &[f32]| backward(dy, dx, cos, sin);
            [Some(each_row(dy, &cos, &sin, turn))]
        }
    }

    /// `turn` for each position of each head; the result lies as `[B, L, H, d]`.
    fn each_row(
        x: FlexTensor,
        cos: &FlexTensor,
        sin: &FlexTensor,
        turn: impl Fn(&[f32], &mut [f32], &[f32], &[f32]) + Sync,
    ) -> FlexTensor {
        let x = with_dense_heads(x);
        let [b, h, l, d] = x.layout().shape().dims();
        let heads = Heads::of(&x);
        let (cos, sin) = (read(cos), read(sin));
        let mut out = vec![0.0; b * h * l * d];
        out.par_chunks_mut((h * d).max(1)).with_min_len(16).enumerate().for_each(|(position, out)| {
            let (b, l) = (position / l, position % l);
            let angle = position * d % cos.len();
            let (cos, sin) = (&cos[angle..angle + d], &sin[angle..angle + d]);
            for (h, out) in out.chunks_exact_mut(d).enumerate() {
                turn(heads.get(b, h).row(l), out, cos, sin);
            }
        });
        heads_apart(out, [b, h, l, d])
    }

    fn forward(x: &[f32], y: &mut [f32], cos: &[f32], sin: &[f32]) {
        vectorized(
            #[inline(always)]
            || {
                let half = x.len() / 2;
                let ((x1, x2), (y1, y2)) = (x.split_at(half), y.split_at_mut(half));
                let ((cos1, cos2), (sin1, sin2)) = (cos.split_at(half), sin.split_at(half));
                for i in 0..half {
                    y1[i] = x1[i] * cos1[i] - x2[i] * sin1[i];
                    y2[i] = x2[i] * cos2[i] + x1[i] * sin2[i];
                }
            },
        );
    }

    /// The transposed turn.
    fn backward(dy: &[f32], dx: &mut [f32], cos: &[f32], sin: &[f32]) {
        vectorized(
            #[inline(always)]
            || {
                let half = dy.len() / 2;
                let ((dy1, dy2), (dx1, dx2)) = (dy.split_at(half), dx.split_at_mut(half));
                let ((cos1, cos2), (sin1, sin2)) = (cos.split_at(half), sin.split_at(half));
                for i in 0..half {
                    dx1[i] = dy1[i] * cos1[i] + dy2[i] * sin2[i];
                    dx2[i] = dy2[i] * cos2[i] - dy1[i] * sin1[i];
                }
            },
        );
    }
}
