//! Who computes which heads, and where the results lie.

use burn::backend::flex::FlexTensor;

use crate::ops::cpu::{heads_apart, tensor};

/// From this batch on one thread takes all heads of an entry, and results are written as `[B, L, H, d]`, the order in
/// which a linear layer reads them.
const WHOLE_ENTRIES: usize = 8;

/// Sizes, and who computes what.
pub struct Plan {
    pub b: usize,
    pub h: usize,
    pub times: usize,
    pub l: usize,
    pub l_k: usize,
    pub d: usize,
    whole: bool,
}

impl Plan {
    pub fn new(q: &FlexTensor, k: &FlexTensor) -> Self {
        let (q, k) = (q.layout().shape(), k.layout().shape());
        Self { b: q[0], h: q[1], times: q[1] / k[1], l: q[2], l_k: k[2], d: q[3], whole: q[0] >= WHOLE_ENTRIES }
    }

    /// Query heads in a unit of work: those of an entry, or those of a key head.
    pub const fn unit_heads(&self) -> usize {
        if self.whole { self.h } else { self.times }
    }

    pub fn query_heads(&self, unit: usize) -> impl Iterator<Item = (usize, usize)> {
        let first = unit * self.unit_heads();
        (first..first + self.unit_heads()).map(|i| (i / self.h, i % self.h))
    }

    pub const fn query_values(&self) -> usize {
        self.b * self.h * self.l * self.d
    }

    pub const fn key_values(&self) -> usize {
        self.b * self.h / self.times * self.l_k * self.d
    }

    pub fn query_unit(&self) -> usize {
        (self.unit_heads() * self.l * self.d).max(1)
    }

    pub fn key_unit(&self) -> usize {
        (self.unit_heads() / self.times * self.l_k * self.d).max(1)
    }

    /// From a head to the next within a unit's results.
    pub const fn query_step(&self) -> usize {
        if self.whole { self.d } else { self.l * self.d }
    }

    pub const fn key_step(&self) -> usize {
        if self.whole { self.d } else { self.l_k * self.d }
    }

    /// From a row to the next.
    pub const fn query_stride(&self) -> usize {
        if self.whole { self.h * self.d } else { self.d }
    }

    pub const fn key_stride(&self) -> usize {
        if self.whole { self.h / self.times * self.d } else { self.d }
    }

    pub fn result(&self, values: Vec<f32>, heads: usize, l: usize) -> FlexTensor {
        let (b, d) = (self.b, self.d);
        if !self.whole {
            return tensor(values, [b, heads, l, d]);
        }
        heads_apart(values, [b, heads, l, d])
    }
}
