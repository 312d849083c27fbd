//! Buffers of tensors.

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType, Shape};
use rayon::prelude::*;

use super::vectorized;

/// Values a thread takes at a time.
pub const BLOCK: usize = 8192;

/// A tensor over values in row-major order.
pub fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}

/// The same tensor in row-major order, copied only if it is not.
pub fn dense(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() { x } else { x.to_contiguous() }
}

/// The values of a [`dense`] tensor.
pub fn read(x: &FlexTensor) -> &[f32] {
    let start = x.layout().start_offset();
    &x.storage()[start..start + x.layout().num_elements()]
}

/// The same tensor in row-major order over a buffer that holds nothing else. Writing to its storage copies it first
/// where somebody else holds it too.
pub fn owned(x: FlexTensor) -> FlexTensor {
    let copy = x.to_contiguous();
    drop(x);
    copy
}

/// `f(x, y)` of each pair, in a new buffer.
pub fn zipped(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) -> Vec<f32> {
    assert_eq!(x.len(), y.len(), "one of each");
    let mut out = Vec::with_capacity(x.len());
    let blocks = out.spare_capacity_mut()[..x.len()].par_chunks_mut(BLOCK);
    blocks.zip(x.par_chunks(BLOCK)).zip(y.par_chunks(BLOCK)).for_each(|((out, x), y)| {
        vectorized(
            #[inline(always)]
            || {
                for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                    out.write(f(*x, *y));
                }
            },
        );
    });
    #[expect(unsafe_code, reason = "filling the buffer twice costs as much as the arithmetic")]
    // SAFETY: the three slices have one length and are cut alike, so each of these values was written above.
    unsafe {
        out.set_len(x.len());
    }
    out
}

/// A row, `times` over.
pub fn repeated(row: &[f32], times: usize) -> Vec<f32> {
    let size = row.len() * times;
    let mut out = Vec::with_capacity(size);
    if size > 0 {
        out.spare_capacity_mut()[..size].par_chunks_mut(ROWS * row.len()).for_each(|block| {
            for copy in block.chunks_exact_mut(row.len()) {
                for (to, from) in copy.iter_mut().zip(row) {
                    to.write(*from);
                }
            }
        });
    }
    #[expect(unsafe_code, reason = "filling the buffer twice costs as much again")]
    // SAFETY: the buffer is a whole number of rows, cut at rows, and each row was written above.
    unsafe {
        out.set_len(size);
    }
    out
}

/// Rows summed at a time; these parts are then summed in order.
pub const ROWS: usize = 64;

/// The sum of all rows.
pub fn column_sums(values: &[f32], width: usize) -> Vec<f32> {
    let mut parts = vec![0.0; values.len().div_ceil(ROWS * width) * width];
    parts.par_chunks_mut(width).zip(values.par_chunks(ROWS * width)).for_each(|(part, rows)| {
        vectorized(
            #[inline(always)]
            || add_rows(part, rows),
        );
    });
    let mut total = vec![0.0; width];
    add_rows(&mut total, &parts);
    total
}

#[inline(always)]
fn add_rows(total: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(total.len()) {
        for (a, b) in total.iter_mut().zip(row) {
            *a += b;
        }
    }
}
