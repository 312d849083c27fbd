//! Tensors of heads, whose rows a reshaped projection leaves apart.

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::Shape;

use super::{Matrix, tensor};

/// Rows of a head may lie apart, the values of a row may not.
pub fn with_dense_heads(x: FlexTensor) -> FlexTensor {
    let strides = x.layout().strides();
    if strides[3] == 1 && strides.iter().all(|s| *s > 0) { x } else { x.to_contiguous() }
}

/// A `[B, H, L, d]` tensor as matrices.
pub struct Heads<'a> {
    values: &'a [f32],
    strides: [usize; 3],
    l: usize,
    d: usize,
}

impl<'a> Heads<'a> {
    /// Of a tensor from [`with_dense_heads`].
    pub fn of(x: &'a FlexTensor) -> Self {
        let (layout, stride) = (x.layout(), |i: usize| x.layout().strides()[i].unsigned_abs());
        Self {
            values: &x.storage()[layout.start_offset()..],
            strides: [stride(0), stride(1), stride(2)],
            l: layout.shape()[2],
            d: layout.shape()[3],
        }
    }

    /// A head of an entry.
    pub fn get(&self, b: usize, h: usize) -> Matrix<'a> {
        let start = b * self.strides[0] + h * self.strides[1];
        // A single row may come with any stride.
        Matrix::new(&self.values[start..], self.l, self.d, self.strides[2].max(self.d))
    }
}

/// `[B, H, L, d]` over values in the order `[B, L, H, d]`, in which a linear layer reads and writes them.
pub fn heads_apart(values: Vec<f32>, [b, h, l, d]: [usize; 4]) -> FlexTensor {
    let strides = [l * h * d, d, h * d, 1].map(|s| s as isize).to_vec();
    tensor(values, [b, l, h, d]).with_layout(Layout::new(Shape::from([b, h, l, d]), strides, 0))
}
