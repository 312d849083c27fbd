//! Keys and values of the positions seen so far, in buffers that are written in place.

use burn::tensor::{Tensor, s};

use super::LlamaConfig;

/// Places by which a full cache grows.
const STEP: usize = 256;

/// One layer's buffers `[B, H_kv, capacity, d]`.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerCache {
    keys: Option<Tensor<4>>,
    values: Option<Tensor<4>>,
}

impl LayerCache {
    /// Writes new keys and values at `start` and returns all up to them, `[B, H_kv, start + L, d]`.
    pub fn append(&mut self, start: usize, keys: Tensor<4>, values: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        (write(&mut self.keys, start, keys), write(&mut self.values, start, values))
    }
}

/// The buffer is taken out while it is written, so that no second owner forces a copy.
fn write(slot: &mut Option<Tensor<4>>, start: usize, new: Tensor<4>) -> Tensor<4> {
    let end = start + new.dims()[2];
    let written = match slot.take() {
        Some(buffer) => buffer.slice_assign(s![.., .., start..end, ..], new),
        None => new,
    };
    let seen = written.clone().narrow(2, 0, end);
    *slot = Some(written);
    seen
}

/// The cache of a batch of sequences of equal length (shorter ones padded on the left).
#[derive(Clone, Debug)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    shape: [usize; 3],
    context: usize,
    capacity: usize,
    len: usize,
}

impl KvCache {
    pub(super) fn new(config: &LlamaConfig, batch: usize) -> Self {
        Self {
            layers: vec![LayerCache::default(); config.layers],
            shape: [batch, config.kv_heads, config.head_width()],
            context: config.context,
            capacity: 0,
            len: 0,
        }
    }

    /// Positions seen.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all positions from `len` on; the buffers stay.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub(super) fn layer(&mut self, i: usize) -> &mut LayerCache {
        &mut self.layers[i]
    }

    pub(super) fn advance(&mut self, by: usize) {
        self.len += by;
    }

    /// Makes room for `needed` positions.
    pub(super) fn reserve(&mut self, needed: usize, like: &Tensor<3>) {
        if needed <= self.capacity {
            return;
        }
        let capacity = needed.next_multiple_of(STEP).min(self.context);
        let [b, h, d] = self.shape;
        let old = self.capacity;
        for layer in &mut self.layers {
            for slot in [&mut layer.keys, &mut layer.values] {
                let fresh = Tensor::<4>::zeros([b, h, capacity - old, d], (&like.device(), like.dtype()));
                *slot = Some(match slot.take() {
                    Some(buffer) => Tensor::cat(vec![buffer, fresh], 2),
                    None => fresh,
                });
            }
        }
        self.capacity = capacity;
    }
}
