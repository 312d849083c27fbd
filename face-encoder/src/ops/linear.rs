//! Linear layers.

use burn::tensor::Tensor;
use landmarks::Linear;
#[cfg(feature = "cpu")]
use landmarks::LowRank;

#[cfg(feature = "cpu")]
use crate::ops::cpu;

/// Up to this many rows the layer's own way is faster.
#[cfg(feature = "cpu")]
const FEW_ROWS: usize = 4;

/// What [`Linear::forward`] computes. On the CPU the bias starts the sums of the product, and the gradients come in the
/// order of what they belong to, where burn's come transposed.
///
/// # Shapes
/// - x `[.., D]`
/// - output `[.., d_output]`
///
/// # Panics
/// As [`Linear::forward`].
pub fn linear<const N: usize>(layer: &Linear, x: Tensor<N>) -> Tensor<N> {
    #[cfg(feature = "cpu")]
    if layer.quantized.is_none() && x.dims()[..N - 1].iter().product::<usize>() > FEW_ROWS {
        let bias = layer.bias.as_ref().map(|bias| bias.val());
        if let Some(y) = product(&x, &layer.weight.val(), bias.as_ref()) {
            let Some(LowRank { down, up, scale }) = &layer.lora else { return y };
            let addition = product(&x, &down.val(), None).and_then(|narrow| product(&narrow, &up.val(), None));
            if let Some(addition) = addition {
                return y + addition * *scale;
            }
        }
    }
    layer.forward(x)
}

/// [`linear`] of some layers for the same input; those in few bits share the work that the input is.
///
/// # Shapes
/// As [`linear`].
///
/// # Panics
/// As [`Linear::forward`].
pub fn linear_all<const L: usize, const N: usize>(layers: [&Linear; L], x: Tensor<N>) -> [Tensor<N>; L] {
    if layers.iter().all(|layer| layer.quantized.is_some()) {
        return Linear::forward_all(layers, x);
    }
    layers.map(|layer| linear(layer, x.clone()))
}

/// None where not all of it is `f32` on the CPU.
#[cfg(feature = "cpu")]
fn product<const N: usize>(x: &Tensor<N>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Option<Tensor<N>> {
    let (x, weight) = (cpu::Operand::of(x)?, cpu::Operand::of(weight)?);
    let y = match bias {
        None => cpu::apply(fused::Product, [x, weight]),
        Some(bias) => cpu::apply(fused::Affine, [x, weight, cpu::Operand::of(bias)?]),
    };
    Some(y.into_tensor())
}

#[cfg(feature = "cpu")]
mod fused {
    use burn::backend::flex::FlexTensor;

    use crate::ops::cpu::{Fused, Matrix, Threads, column_sums, dense, new_product, product, read, repeated, tensor};

    /// Products with fewer multiplications are not worth a second thread.
    const SMALL: usize = 1 << 18;

    fn threads(m: usize, n: usize, k: usize) -> Threads {
        if m * n * k < SMALL { Threads::This } else { Threads::All }
    }

    /// A tensor as rows of its last axis.
    fn rows(x: &FlexTensor) -> Matrix<'_> {
        let shape = x.layout().shape();
        let width = shape[shape.num_dims() - 1];
        Matrix::new(read(x), shape.num_elements() / width.max(1), width, width)
    }

    /// A matrix in whatever order it lies.
    fn strided(x: &FlexTensor) -> Matrix<'_> {
        let (shape, strides) = (x.layout().shape(), x.layout().strides());
        Matrix {
            values: &x.storage()[x.layout().start_offset()..],
            rows: shape[0],
            columns: shape[1],
            row_stride: strides[0].unsigned_abs(),
            column_stride: strides[1].unsigned_abs(),
        }
    }

    fn positive(x: FlexTensor) -> FlexTensor {
        if x.layout().strides().iter().all(|s| *s > 0) { x } else { x.to_contiguous() }
    }

    fn forward(x: &FlexTensor, weight: &FlexTensor, bias: Option<&[f32]>) -> FlexTensor {
        let (x_rows, w) = (rows(x), strided(weight));
        let width = w.rows;
        let threads = threads(x_rows.rows, width, x_rows.columns);
        let y = match bias {
            None => new_product(x_rows, w.transposed(), threads),
            Some(bias) => {
                let mut y = repeated(bias, x_rows.rows);
                product(&mut y, width, x_rows, w.transposed(), true, threads);
                y
            }
        };
        let mut shape = x.layout().shape().to_vec();
        shape.pop();
        shape.push(width);
        tensor(y, shape)
    }

    /// dX = dY W, dW = dYᵀ X.
    fn backward(x: &FlexTensor, weight: &FlexTensor, dy: &FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let (x_rows, w, dy) = (rows(x), strided(weight), rows(dy));
        let threads = threads(dy.rows, dy.columns, x_rows.columns);
        let dx = wanted[0].then(|| tensor(new_product(dy, w, threads), x.layout().shape().clone()));
        let dw = wanted[1].then(|| tensor(new_product(dy.transposed(), x_rows, threads), [w.rows, w.columns]));
        [dx, dw]
    }

    /// `x Wᵀ`.
    #[derive(Debug)]
    pub struct Product;

    impl Fused<2> for Product {
        type Saved = [FlexTensor; 2];

        fn forward(&self, [x, weight]: [FlexTensor; 2], record: bool) -> (FlexTensor, Option<Self::Saved>) {
            let (x, weight) = (dense(x), positive(weight));
            (forward(&x, &weight, None), record.then_some([x, weight]))
        }

        fn backward(self, [x, weight]: Self::Saved, dy: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
            backward(&x, &weight, &dense(dy), wanted)
        }
    }

    /// `x Wᵀ + b`.
    #[derive(Debug)]
    pub struct Affine;

    impl Fused<3> for Affine {
        type Saved = [FlexTensor; 2];

        fn forward(&self, [x, weight, bias]: [FlexTensor; 3], record: bool) -> (FlexTensor, Option<Self::Saved>) {
            let (x, weight, bias) = (dense(x), positive(weight), dense(bias));
            (forward(&x, &weight, Some(read(&bias))), record.then_some([x, weight]))
        }

        fn backward(self, [x, weight]: Self::Saved, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
            let dy = dense(dy);
            let [dx, dw] = backward(&x, &weight, &dy, [wanted[0], wanted[1]]);
            let width = weight.layout().shape()[0];
            let db = wanted[2].then(|| tensor(column_sums(read(&dy), width), [width]));
            [dx, dw, db]
        }
    }
}
