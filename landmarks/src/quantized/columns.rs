//! A matrix that several threads write, each its own columns.
#![expect(unsafe_code, reason = "columns of a matrix are no slices: the borrow checker cannot tell them apart")]

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};

use super::layout::TILE;

/// Rows of `tiles * 16` values, written in columns of 16.
#[derive(Debug)]
pub(super) struct Columns<'a> {
    start: *mut f32,
    rows: usize,
    /// Whether somebody has written a column.
    taken: Vec<AtomicBool>,
    matrix: PhantomData<&'a mut [f32]>,
}

// SAFETY: `put` writes a column once, and the columns do not overlap.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
    /// # Panics
    /// If the rows are not whole.
    pub fn new(matrix: &'a mut [f32], tiles: usize) -> Self {
        assert!(matrix.len().is_multiple_of(tiles * TILE), "whole rows");
        let taken = (0..tiles).map(|_| AtomicBool::new(false)).collect();
        Self { start: matrix.as_mut_ptr(), rows: matrix.len() / (tiles * TILE), taken, matrix: PhantomData }
    }

    /// Writes column `t`, 16 values a row.
    ///
    /// # Panics
    /// If it was written before, or `values` are not as many.
    pub fn put(&self, t: usize, values: &[f32]) {
        assert!(values.len() == self.rows * TILE && !self.taken[t].swap(true, Ordering::Relaxed));
        for (row, values) in values.chunks_exact(TILE).enumerate() {
            // SAFETY: row and column lie in the matrix, which is borrowed as long as this is, and nobody else writes here.
            unsafe {
                let place = self.start.add((row * self.taken.len() + t) * TILE);
                std::ptr::copy_nonoverlapping(values.as_ptr(), place, TILE);
            }
        }
    }
}
