//! Rounding of weights.

use half::f16;

use super::Bits;
use super::layout::GROUP;

/// Steps of the search for a good scale, to either side of the one that just holds the largest weight.
const STEPS: i32 = 8;
const STEP: f32 = 0.1;

/// The scale and the codes of 32 weights.
pub(super) fn group(values: &[f32], bits: Bits) -> (f16, [i8; GROUP]) {
    let largest = values.iter().copied().fold(0.0_f32, |a, v| if v.abs() > a.abs() { v } else { a });
    if largest == 0.0 || !largest.is_finite() {
        return (f16::ZERO, [0; GROUP]);
    }
    match bits {
        Bits::Int8 => {
            let scale = scale(largest.abs() / 127.0);
            (scale, codes(values, scale, -127.0, 127.0))
        }
        Bits::Int4 => {
            // The largest weight takes the code -8; a little less range may round the others better.
            let tries = (-STEPS..=STEPS).map(|i| {
                let scale = scale(largest / (-8.0 + STEP * i as f32));
                let codes = codes(values, scale, -8.0, 7.0);
                let off = values.iter().zip(codes).map(|(v, c)| (v - scale.to_f32() * f32::from(c)).powi(2)).sum();
                (off, scale, codes)
            });
            let best = tries.reduce(|a: (f32, _, _), b| if b.0 < a.0 { b } else { a });
            best.map_or((f16::ZERO, [0; GROUP]), |(_, scale, codes)| (scale, codes))
        }
    }
}

/// In half precision, within its range.
fn scale(wanted: f32) -> f16 {
    f16::from_f32(wanted.clamp(f16::MIN.to_f32(), f16::MAX.to_f32()))
}

fn codes(values: &[f32], scale: f16, least: f32, most: f32) -> [i8; GROUP] {
    let scale = scale.to_f32();
    // A scale that vanishes in half precision stands for nothing.
    let factor = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    std::array::from_fn(|i| (values[i] * factor).round_ties_even().clamp(least, most) as i8)
}
