//! The product without vector instructions: what the other kernels are checked against, and where there are none.

use super::Quantized;
use super::input::Input;
use super::layout::{GROUP, TILE, get, group_bytes};

/// 16 results for each row of the input.
pub(super) fn tile(weight: &Quantized, t: usize, input: &Input, out: &mut [f32]) {
    out.fill(0.0);
    for (g, group) in weight.tile(t).chunks(group_bytes(weight.bits)).enumerate() {
        for row in 0..TILE {
            let (scale, codes) = get(group, row, weight.bits);
            for n in 0..input.rows() {
                let x = &input.codes[n * input.columns + g * GROUP..][..GROUP];
                let sum: i32 = codes.iter().zip(x).map(|(w, x)| i32::from(*w) * i32::from(*x)).sum();
                let scales = scale.to_f32() * input.scales[n * input.groups() + g];
                let out = &mut out[n * TILE + row];
                *out = (sum as f32).mul_add(scales, *out);
            }
        }
    }
}
