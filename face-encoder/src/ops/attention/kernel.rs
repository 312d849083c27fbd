//! Attention on the CPU: batch entries, or heads where the batch is small, in parallel; queries in blocks.

use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::plan::Plan;
use crate::ops::cpu::{Fused, Heads, Matrix, Threads, exp, max, product, sum, vectorized, with_dense_heads};

/// Queries in a block, at most.
const BLOCK: usize = 96;

#[derive(Debug)]
pub struct Attention {
    pub causal: bool,
    pub hidden: Hidden,
}

/// What is not seen besides.
#[derive(Debug)]
pub enum Hidden {
    Nothing,
    /// `[B * L_k]`: keys, by every query.
    Keys(Vec<bool>),
    /// `[L * L_k]`: keys, by some queries, in every entry.
    Pairs(Vec<bool>),
}

/// Queries, keys, values, output, and `[B, H, L]` log-sum-exps.
type Saved = ([FlexTensor; 4], Vec<f32>);

impl Fused<3> for Attention {
    type Saved = Saved;

    fn forward(&self, inputs: [FlexTensor; 3], record: bool) -> (FlexTensor, Option<Saved>) {
        let [q, k, v] = inputs.map(with_dense_heads);
        let plan = Plan::new(&q, &k);
        let (queries, keys, values) = (Heads::of(&q), Heads::of(&k), Heads::of(&v));
        let mut out = vec![0.0; plan.query_values()];
        let mut sums = vec![0.0; plan.b * plan.h * plan.l];
        let units = out.par_chunks_mut(plan.query_unit()).zip(sums.par_chunks_mut(plan.unit_heads() * plan.l));
        units.enumerate().for_each_init(Vec::new, |scores, (unit, (out, sums))| {
            for (i, (b, h)) in plan.query_heads(unit).enumerate() {
                let start = i * plan.query_step();
                let head = Head { plan: &plan, attention: self, b };
                let kv = h / plan.times;
                let [q, k, v] = [queries.get(b, h), keys.get(b, kv), values.get(b, kv)];
                let sums = &mut sums[i * plan.l..(i + 1) * plan.l];
                head.forward([q, k, v], &mut out[start..], plan.query_stride(), sums, scores);
            }
        });
        let out = plan.result(out, plan.h, plan.l);
        (out.clone(), record.then_some(([q, k, v, out], sums)))
    }

    fn backward(self, ([q, k, v, out], sums): Saved, grad: FlexTensor, _: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let grad = with_dense_heads(grad);
        let plan = Plan::new(&q, &k);
        let (queries, keys, values) = (Heads::of(&q), Heads::of(&k), Heads::of(&v));
        let (outs, grads) = (Heads::of(&out), Heads::of(&grad));
        let mut dq = vec![0.0; plan.query_values()];
        let mut dk = vec![0.0; plan.key_values()];
        let mut dv = vec![0.0; plan.key_values()];
        let units = dq
            .par_chunks_mut(plan.query_unit())
            .zip(dk.par_chunks_mut(plan.key_unit()))
            .zip(dv.par_chunks_mut(plan.key_unit()))
            .zip(sums.par_chunks(plan.unit_heads() * plan.l));
        units.enumerate().for_each_init(Default::default, |scratch, (unit, (((dq, dk), dv), sums))| {
            for (i, (b, h)) in plan.query_heads(unit).enumerate() {
                let head = Head { plan: &plan, attention: &self, b };
                let kv = h / plan.times;
                let from = [queries.get(b, h), keys.get(b, kv), values.get(b, kv), outs.get(b, h), grads.get(b, h)];
                let key_start = i / plan.times * plan.key_step();
                let to = [&mut dq[i * plan.query_step()..], &mut dk[key_start..], &mut dv[key_start..]];
                // The first query head of a key head writes, the others add.
                let add = i % plan.times > 0;
                head.backward(from, to, &sums[i * plan.l..(i + 1) * plan.l], add, scratch);
            }
        });
        [
            Some(plan.result(dq, plan.h, plan.l)),
            Some(plan.result(dk, plan.h / plan.times, plan.l_k)),
            Some(plan.result(dv, plan.h / plan.times, plan.l_k)),
        ]
    }
}

/// One query head.
struct Head<'a> {
    plan: &'a Plan,
    attention: &'a Attention,
    b: usize,
}

/// Scores, their gradients, and each query's `sum(dy y)`.
#[derive(Default)]
struct Scratch {
    scores: Vec<f32>,
    grads: Vec<f32>,
}

impl Head<'_> {
    /// Blocks of queries, with the keys that any of the block sees.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let Plan { l, l_k, .. } = *self.plan;
        let size = l.div_ceil(l.div_ceil(BLOCK).max(1)).max(1);
        let causal = self.attention.causal;
        (0..l).step_by(size).map(move |start| {
            let end = (start + size).min(l);
            (start, end - start, if causal { l_k - l + end } else { l_k })
        })
    }

    /// Keys a query sees, before those that are hidden.
    const fn seen(&self, query: usize) -> usize {
        if self.attention.causal { self.plan.l_k - self.plan.l + query + 1 } else { self.plan.l_k }
    }

    /// Keys that a query does not see although it might.
    fn hidden(&self, query: usize) -> Option<&[bool]> {
        let (all, row) = match &self.attention.hidden {
            Hidden::Nothing => return None,
            Hidden::Keys(all) => (all, self.b),
            Hidden::Pairs(all) => (all, query),
        };
        Some(&all[row * self.plan.l_k..(row + 1) * self.plan.l_k])
    }

    fn scale(&self) -> f32 {
        1.0 / (self.plan.d as f32).sqrt()
    }

    fn forward(
        &self,
        [q, k, v]: [Matrix; 3],
        out: &mut [f32],
        out_stride: usize,
        sums: &mut [f32],
        scores: &mut Vec<f32>,
    ) {
        for (start, rows, keys) in self.blocks() {
            scores.resize(rows * keys, 0.0);
            product(scores, keys, q.row_range(start, rows), k.row_range(0, keys).transposed(), false, Threads::This);
            vectorized(
                #[inline(always)]
                || {
                    for (i, row) in scores.chunks_exact_mut(keys).enumerate() {
                        let (row, hidden) = row.split_at_mut(self.seen(start + i));
                        hidden.fill(0.0);
                        sums[start + i] = softmax(row, self.scale(), self.hidden(start + i));
                    }
                },
            );
            let scores = Matrix::new(scores, rows, keys, keys);
            let out = &mut out[start * out_stride..];
            product(out, out_stride, scores, v.row_range(0, keys), false, Threads::This);
        }
    }

    /// With P the probabilities: dV = Pᵀ dY, dS = P (dY Vᵀ - sum(dY Y)) scale, dQ = dS K, dK = dSᵀ Q.
    fn backward(
        &self,
        [q, k, v, y, dy]: [Matrix; 5],
        [dq, dk, dv]: [&mut [f32]; 3],
        sums: &[f32],
        add: bool,
        Scratch { scores, grads }: &mut Scratch,
    ) {
        let (query_stride, key_stride, l_k) = (self.plan.query_stride(), self.plan.key_stride(), self.plan.l_k);
        let mut add = add;
        for (start, rows, keys) in self.blocks().collect::<Vec<_>>().into_iter().rev() {
            scores.resize(rows * keys, 0.0);
            grads.resize(rows * keys, 0.0);
            let [q, y, dy] = [q, y, dy].map(|m| m.row_range(start, rows));
            let [k, v] = [k, v].map(|m| m.row_range(0, keys));
            product(scores, keys, q, k.transposed(), false, Threads::This);
            product(grads, keys, dy, v.transposed(), false, Threads::This);
            vectorized(
                #[inline(always)]
                || {
                    for (i, (p, ds)) in scores.chunks_exact_mut(keys).zip(grads.chunks_exact_mut(keys)).enumerate() {
                        let shift = sum(y.row(i), dy.row(i), |y, dy| y * dy);
                        let seen = self.seen(start + i);
                        p[seen..].fill(0.0);
                        ds[seen..].fill(0.0);
                        let (p, ds) = (&mut p[..seen], &mut ds[..seen]);
                        slope(p, ds, self.scale(), sums[start + i], shift, self.hidden(start + i));
                    }
                },
            );
            let p = Matrix::new(scores, rows, keys, keys);
            let ds = Matrix::new(grads, rows, keys, keys);
            product(dv, key_stride, p.transposed(), dy, add, Threads::This);
            product(dk, key_stride, ds.transposed(), q, add, Threads::This);
            product(&mut dq[start * query_stride..], query_stride, ds, k, false, Threads::This);
            // The last block, which comes first, sees every key.
            debug_assert!(add || keys == l_k);
            add = true;
        }
    }
}

/// Scores to probabilities, in place; the log-sum-exp of the scaled scores.
#[inline(always)]
fn softmax(row: &mut [f32], scale: f32, hidden: Option<&[bool]>) -> f32 {
    if let Some(hidden) = hidden {
        if hidden[..row.len()].iter().all(|hidden| *hidden) {
            row.fill(0.0);
            return 0.0;
        }
        for (s, hidden) in row.iter_mut().zip(hidden) {
            *s = if *hidden { f32::NEG_INFINITY } else { *s };
        }
    }
    let top = max(row);
    for s in row.iter_mut() {
        *s = exp((*s - top) * scale);
    }
    if let Some(hidden) = hidden {
        for (s, hidden) in row.iter_mut().zip(hidden) {
            *s = if *hidden { 0.0 } else { *s };
        }
    }
    let total = sum(row, row, |p, _| p);
    let factor = 1.0 / total;
    for p in row.iter_mut() {
        *p *= factor;
    }
    top * scale + total.ln()
}

/// Scores to probabilities and gradients of probabilities to gradients of scores, in place.
#[inline(always)]
fn slope(p: &mut [f32], ds: &mut [f32], scale: f32, log_sum: f32, shift: f32, hidden: Option<&[bool]>) {
    for (p, ds) in p.iter_mut().zip(ds.iter_mut()) {
        *p = exp(*p * scale - log_sum);
        *ds = *p * (*ds - shift) * scale;
    }
    if let Some(hidden) = hidden {
        for ((p, ds), hidden) in p.iter_mut().zip(ds).zip(hidden) {
            if *hidden {
                (*p, *ds) = (0.0, 0.0);
            }
        }
    }
}
