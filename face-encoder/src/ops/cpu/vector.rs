//! Arithmetic in a form that the compiler turns into vector instructions.

/// Values of a vector register of the widest kind; sums keep this many partial sums on every machine, so that their
/// result does not depend on it.
const LANES: usize = 16;

/// Runs `f` compiled for the widest vectors this processor has. Only what is inlined into it is: loops, not `for_each`,
/// and functions marked so.
#[inline(always)]
pub fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// e^x to about 1e-7 relative; 0 at minus infinity is 1.6e-38 here.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let n = (x * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let e = p * r * r + r + 1.0;
    // The sum holds n in its lowest bits, and no vector instruction set lacks integer addition.
    let scale = (n + 12_582_912.0).to_bits().wrapping_add(127) << 23;
    e * f32::from_bits(scale)
}

/// The error function to about 1e-7: the rational fit on [-4, 4] that Eigen uses.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let x2 = x * x;
    let p = -2.726_142_3e-10;
    let p = p * x2 + 2.770_681_4e-8;
    let p = p * x2 - 2.101_024e-6;
    let p = p * x2 - 5.692_506_4e-5;
    let p = p * x2 - 7.349_906_3e-4;
    let p = p * x2 - 2.954_6e-3;
    let p = p * x2 - 1.609_603_3e-2;
    let q = -1.456_607_2e-5;
    let q = q * x2 - 2.133_740_6e-4;
    let q = q * x2 - 1.682_827e-3;
    let q = q * x2 - 7.373_329e-3;
    let q = q * x2 - 1.426_473_9e-2;
    x * p / q
}

/// The sum of `f(x, y)` over two slices of one length.
#[inline(always)]
pub fn sum(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let (x_blocks, x_rest) = x.as_chunks::<LANES>();
    let (y_blocks, y_rest) = y.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        for i in 0..LANES {
            lanes[i] += f(x[i], y[i]);
        }
    }
    let mut total = 0.0;
    for (x, y) in x_rest.iter().zip(y_rest) {
        total += f(*x, *y);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    total + lanes[0]
}

/// The largest value; minus infinity of nothing.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for block in blocks {
        for i in 0..LANES {
            lanes[i] = if block[i] > lanes[i] { block[i] } else { lanes[i] };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_exact_to_single_precision() {
        for i in -8600..8700 {
            let x = i as f32 / 100.0;
            let expected = f64::from(x).exp();
            assert!((f64::from(exp(x)) / expected - 1.0).abs() < 3e-7, "{x}");
        }
    }

    #[test]
    fn sums_and_maxima_of_any_length() {
        for n in 0..70 {
            let x: Vec<f32> = (0..n).map(|i| ((i * 37) % 64) as f32 - 40.0).collect();
            assert_eq!(sum(&x, &x, |a, b| a + b), 2.0 * x.iter().sum::<f32>());
            assert_eq!(max(&x), x.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b)));
        }
    }
}
