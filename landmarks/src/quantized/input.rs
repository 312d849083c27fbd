//! Inputs rounded to 8 bits.

use rayon::prelude::*;

use super::Bits;
use super::layout::{GROUP, offset};

/// Rows of an input: codes, and for each group of 32 its scale and what makes up for weights without sign.
#[derive(Debug)]
pub(super) struct Input {
    /// `[rows, columns]`.
    pub codes: Vec<i8>,
    /// `[rows, groups]`.
    pub scales: Vec<f32>,
    /// `[rows, groups]`: less the sum of the codes times the weights' offset.
    pub corrections: Vec<i32>,
    pub columns: usize,
}

/// Rounds one row: codes, scales, corrections.
pub(super) type Round = fn(&[f32], &mut [i8], &mut [f32], &mut [i32], Bits);

/// One row, without asking the processor for anything.
#[inline(always)]
pub(super) fn round(values: &[f32], codes: &mut [i8], scales: &mut [f32], corrections: &mut [i32], bits: Bits) {
    let groups = values.as_chunks::<GROUP>().0.iter().zip(codes.as_chunks_mut::<GROUP>().0);
    for (g, (values, codes)) in groups.enumerate() {
        // Sixteen at a time: a maximum does not depend on the order. That of the bits is that of the values, with infinity
        // and NaN above all: a group with a NaN gets it as its scale.
        let mut most = [0_u32; 16];
        for values in values.as_chunks::<16>().0 {
            most.iter_mut().zip(values).for_each(|(most, value)| *most = (*most).max(value.abs().to_bits()));
        }
        let largest = most.into_iter().fold(0, u32::max);
        let scale = f32::from_bits(largest) / 127.0;
        let factor = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let mut sum = 0;
        for (code, value) in codes.iter_mut().zip(values) {
            *code = (value * factor).round_ties_even() as i8;
            sum += i32::from(*code);
        }
        scales[g] = scale;
        corrections[g] = -offset(bits) * sum;
    }
}

impl Input {
    pub fn new(values: &[f32], columns: usize, bits: Bits, round: Round) -> Self {
        let groups = columns / GROUP;
        let rows = values.len() / columns;
        let mut input = Self {
            codes: vec![0; values.len()],
            scales: vec![0.0; rows * groups],
            corrections: vec![0; rows * groups],
            columns,
        };
        if rows == 1 {
            round(values, &mut input.codes, &mut input.scales, &mut input.corrections, bits);
            return input;
        }
        let parts = values.par_chunks(columns).zip(input.codes.par_chunks_mut(columns));
        let parts = parts.zip(input.scales.par_chunks_mut(groups)).zip(input.corrections.par_chunks_mut(groups));
        parts.for_each(|(((values, codes), scales), corrections)| round(values, codes, scales, corrections, bits));
        input
    }

    pub fn rows(&self) -> usize {
        self.codes.len() / self.columns
    }

    pub fn groups(&self) -> usize {
        self.columns / GROUP
    }
}
