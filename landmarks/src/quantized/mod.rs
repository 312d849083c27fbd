//! Weights in 8 or 4 bits, and products with them on the CPU.
//!
//! Every 32 weights of a row share one scale, as in llama.cpp's `Q8_0` and `Q4_0`, which are taken over without loss. In
//! memory 16 rows lie together, so that one vector instruction serves all of them:
//!
//! ```text
//! tile of 16 rows ─► group of 32 columns ─► 16 scales (f16), then 4 columns of each row, 4 columns of each row, ..
//! ```
//!
//! Inputs are rounded to 8 bits in the same groups, each row for itself. Sums of a group are whole numbers, so the
//! vector kernel and the plain one agree to the last bit.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod columns;
mod input;
mod layout;
mod plain;
mod round;

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use columns::Columns;
use input::{Input, Round};
use layout::{GROUP, SCALES, TILE, group_bytes};

use crate::memory;

/// Multiplications that are not worth a second thread.
const SMALL: usize = 1 << 17;

/// How many bits a weight takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bits {
    /// 8.5 bits with the scales.
    Int8,
    /// 4.5 bits with the scales.
    Int4,
}

impl Bits {
    /// The bits of a weight that is kept as bytes `[rows, bytes of a row]`.
    pub(crate) fn of(bytes: &[usize], [rows, columns]: [usize; 2]) -> Option<Self> {
        let row = |bits| columns / GROUP * group_bytes(bits) / TILE;
        [Self::Int8, Self::Int4]
            .into_iter()
            .find(|bits| Quantized::fits(rows, columns) && bytes == [rows, row(*bits)].as_slice())
    }
}

/// A weight `[out, in]` in few bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    bits: Bits,
    rows: usize,
    columns: usize,
    bytes: Vec<u8>,
}

/// How a product is computed.
#[derive(Clone, Copy)]
struct Kernel {
    /// Rounds a row of the input.
    round: Round,
    /// One tile: 16 results for each row of the input, row after row.
    tile: fn(&Quantized, usize, &Input, &mut [f32]),
}

/// On any processor.
const PLAIN: Kernel = Kernel { round: input::round, tile: plain::tile };

impl Quantized {
    /// Whether a weight of this shape can be packed: whole tiles of 16 rows, whole groups of 32 columns.
    pub fn fits(rows: usize, columns: usize) -> bool {
        rows > 0 && columns > 0 && rows.is_multiple_of(TILE) && columns.is_multiple_of(GROUP)
    }

    /// Rounds a weight `[rows, columns]`, given row after row.
    ///
    /// # Panics
    /// If the shape does not fit ([`Quantized::fits`]) or there are not that many values.
    pub fn new(values: &[f32], rows: usize, columns: usize, bits: Bits) -> Self {
        assert!(Self::fits(rows, columns) && values.len() == rows * columns, "[{rows}, {columns}] does not fit");
        let mut packed = Self::zeros(rows, columns, bits);
        let tile_bytes = packed.tile_bytes();
        packed.bytes.par_chunks_mut(tile_bytes).zip(values.par_chunks(TILE * columns)).for_each(|(tile, values)| {
            let groups = tile.chunks_mut(group_bytes(bits)).enumerate();
            groups.for_each(|(g, group)| {
                for row in 0..TILE {
                    let start = row * columns + g * GROUP;
                    let (scale, codes) = round::group(&values[start..start + GROUP], bits);
                    layout::put(group, row, scale, &codes, bits);
                }
            });
        });
        packed
    }

    /// A weight whose groups are given one by one, row after row: scale and codes (-128..=127 for 8 bits, -8..=7 for 4).
    ///
    /// # Panics
    /// As [`Quantized::new`].
    pub fn from_groups(
        groups: impl IntoIterator<Item = (half::f16, [i8; 32])>,
        rows: usize,
        columns: usize,
        bits: Bits,
    ) -> Self {
        assert!(Self::fits(rows, columns), "[{rows}, {columns}] does not fit");
        let mut packed = Self::zeros(rows, columns, bits);
        let (per_row, size) = (columns / GROUP, group_bytes(bits));
        let mut count = 0;
        for (i, (scale, codes)) in groups.into_iter().enumerate() {
            let (row, g) = (i / per_row, i % per_row);
            let start = (row / TILE * per_row + g) * size;
            layout::put(&mut packed.bytes[start..start + size], row % TILE, scale, &codes, bits);
            count = i + 1;
        }
        assert_eq!(count, rows * per_row, "groups of [{rows}, {columns}]");
        packed
    }

    /// Random codes with scales that give values around 0.02: for timing, without the values in full.
    ///
    /// # Panics
    /// If the shape does not fit.
    pub fn random(rows: usize, columns: usize, bits: Bits, seed: u64) -> Self {
        assert!(Self::fits(rows, columns), "[{rows}, {columns}] does not fit");
        let mut packed = Self::zeros(rows, columns, bits);
        let scale = half::f16::from_f32(0.04 / layout::offset(bits) as f32);
        packed.bytes.par_chunks_mut(group_bytes(bits)).enumerate().for_each(|(i, group)| {
            // SplitMix64.
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(i as u64);
            for eight in group.chunks_mut(8) {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                eight.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..eight.len()]);
            }
            group[..SCALES].chunks_mut(2).for_each(|s| s.copy_from_slice(&scale.to_le_bytes()));
        });
        packed
    }

    /// From the bytes of [`Quantized::bytes`]; none where they are not as many as the shape has.
    pub fn from_bytes(bytes: Vec<u8>, rows: usize, columns: usize, bits: Bits) -> Option<Self> {
        let fits = Self::fits(rows, columns) && bytes.len() == rows / TILE * (columns / GROUP) * group_bytes(bits);
        fits.then_some(Self { bits, rows, columns, bytes })
    }

    /// The packed bytes, the same on every machine.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `[rows, columns]`.
    pub fn dims(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// `x Wᵀ` for each of some weights, computed by the processor wherever the tensors are. The input is rounded once, and
    /// all rows of all weights are shared out among the threads together.
    ///
    /// # Shapes
    /// - x `[L, columns]`
    /// - outputs `[L, rows]`
    ///
    /// # Panics
    /// If the shapes do not fit each other, or the weights have different bits.
    pub fn products<const N: usize>(weights: [&Self; N], x: Tensor<2>) -> [Tensor<2>; N] {
        let (device, dtype, n) = (x.device(), x.dtype(), x.dims()[0]);
        let x = x.into_data().convert::<f32>();
        let mut products = match x.as_slice::<f32>() {
            Ok(values) => multiply(weights, x.shape()[1], values, kernel()),
            Err(_) => multiply(weights, x.shape()[1], &x.iter::<f32>().collect::<Vec<_>>(), kernel()),
        };
        std::array::from_fn(|i| {
            let data = TensorData::new(std::mem::take(&mut products[i]), [n, weights[i].rows]);
            Tensor::<2>::from_data(data, &device).cast(dtype)
        })
    }

    /// Bits of a weight.
    pub fn bits(&self) -> Bits {
        self.bits
    }

    /// The rounded values, row after row.
    pub fn values(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows * self.columns];
        let rows = values.par_chunks_mut(self.columns).enumerate();
        rows.for_each(|(row, values)| values.copy_from_slice(&self.row(row)));
        values
    }

    /// The weight that has these rows of this one, in their order.
    ///
    /// # Panics
    /// If there is no such row, or their number does not fit.
    pub fn rows(&self, rows: &[usize]) -> Self {
        let groups = rows.iter().flat_map(|&row| {
            assert!(row < self.rows, "row {row} of {}", self.rows);
            self.tile(row / TILE)
                .chunks(group_bytes(self.bits))
                .map(move |group| layout::get(group, row % TILE, self.bits))
        });
        Self::from_groups(groups, rows.len(), self.columns, self.bits)
    }

    /// The rounded values of one row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> Vec<f32> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let groups = self.tile(row / TILE).chunks(group_bytes(self.bits));
        let values = groups.flat_map(|group| {
            let (scale, codes) = layout::get(group, row % TILE, self.bits);
            codes.map(|code| scale.to_f32() * f32::from(code))
        });
        values.collect()
    }

    /// Whether all values are finite.
    pub fn is_finite(&self) -> bool {
        let scales = self.bytes.par_chunks(group_bytes(self.bits)).flat_map_iter(|group| group[..SCALES].as_chunks().0);
        scales.all(|scale| half::f16::from_le_bytes(*scale).is_finite())
    }

    fn zeros(rows: usize, columns: usize, bits: Bits) -> Self {
        let mut bytes = vec![0; rows / TILE * (columns / GROUP) * group_bytes(bits)];
        memory::large_pages(&mut bytes);
        Self { bits, rows, columns, bytes }
    }

    fn tile_bytes(&self) -> usize {
        self.columns / GROUP * group_bytes(self.bits)
    }

    fn tile(&self, t: usize) -> &[u8] {
        &self.bytes[t * self.tile_bytes()..(t + 1) * self.tile_bytes()]
    }
}

/// `x Wᵀ` for rows of `columns` values each; gives rows of as many values as a weight has rows.
fn multiply<const N: usize>(weights: [&Quantized; N], columns: usize, x: &[f32], kernel: Kernel) -> [Vec<f32>; N] {
    let bits = weights[0].bits;
    let alike = weights.iter().all(|weight| weight.columns == columns && weight.bits == bits);
    assert!(alike, "weights of the same bits, as wide as the input");
    let n = x.len() / columns;
    let input = Input::new(x, columns, bits, kernel.round);
    let mut out = weights.map(|weight| vec![0.0; n * weight.rows]);
    let places: Vec<Columns> =
        out.iter_mut().zip(weights).map(|(out, weight)| Columns::new(out, weight.rows / TILE)).collect();
    let one = |results: &mut Vec<f32>, mut t: usize| {
        for (weight, place) in weights.into_iter().zip(&places) {
            let tiles = weight.rows / TILE;
            if t < tiles {
                (kernel.tile)(weight, t, &input, results);
                return place.put(t, results);
            }
            t -= tiles;
        }
    };
    let results = || vec![0.0; n * TILE];
    let rows = weights.iter().map(|weight| weight.rows).sum::<usize>();
    if n * rows * columns < SMALL {
        let mut results = results();
        (0..rows / TILE).for_each(|t| one(&mut results, t));
    } else {
        (0..rows / TILE).into_par_iter().for_each_init(results, one);
    }
    out
}

/// The fastest kernel that this processor has.
fn kernel() -> Kernel {
    #[cfg(target_arch = "x86_64")]
    if avx512::available() {
        return Kernel { round: avx512::round, tile: avx512::tile };
    }
    PLAIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next() * next().abs()).collect()
    }

    fn relative(a: &[f32], b: &[f32]) -> f64 {
        let sum = |v: &mut dyn Iterator<Item = f32>| v.map(|x| f64::from(x).powi(2)).sum::<f64>();
        (sum(&mut a.iter().zip(b).map(|(a, b)| a - b)) / sum(&mut b.iter().copied())).sqrt()
    }

    #[test]
    fn products_are_those_of_the_rounded_values() {
        for (bits, rounding, whole) in [(Bits::Int8, 0.008, 0.012), (Bits::Int4, 0.12, 0.13)] {
            for n in [1, 3, 8, 21] {
                let (rows, columns) = (48, 160);
                let (w, x) = (noise(rows * columns, 1), noise(n * columns, 2));
                let packed = Quantized::new(&w, rows, columns, bits);
                assert!(relative(&packed.values(), &w) < rounding, "{}", relative(&packed.values(), &w));
                let exact = |w: &[f32]| -> Vec<f32> {
                    let dot = |i: usize| {
                        let (x, w) = (&x[i / rows * columns..][..columns], &w[i % rows * columns..][..columns]);
                        x.iter().zip(w).map(|(x, w)| x * w).sum()
                    };
                    (0..n * rows).map(dot).collect()
                };
                let [plain] = multiply([&packed], columns, &x, PLAIN);
                // The input is rounded too.
                assert!(relative(&plain, &exact(&packed.values())) < 0.012);
                assert!(relative(&plain, &exact(&w)) < whole + 0.012);
                let other = Quantized::new(&noise(16 * columns, 3), 16, columns, bits);
                let [fast, others] = multiply([&packed, &other], columns, &x, kernel());
                assert_eq!(fast, plain, "the fast kernel is the plain one, bit for bit");
                assert_eq!([others], multiply([&other], columns, &x, PLAIN), "as alone");
            }
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        for bits in [Bits::Int8, Bits::Int4] {
            for (w, x) in [(1e4, 1e3), (-1e4, 1e3), (-1e4, -1e3), (0.0, 1.0), (1.0, 0.0), (6e4, 1.0)] {
                let packed = Quantized::new(&[w; 16 * 64], 16, 64, bits);
                let [[y], [plain]] = [kernel(), PLAIN].map(|kernel| multiply([&packed], 64, &[x; 64 * 2], kernel));
                assert_eq!(y, plain);
                assert!(y.iter().all(|y| (y - w * x * 64.0).abs() <= (w * x * 64.0).abs() * 0.01), "{w} {x} {}", y[0]);
            }
            // What is not finite stays so: the other row, and only that.
            let packed = Quantized::new(&[1.0; 16 * 64], 16, 64, bits);
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut x = [1.0; 64 * 2];
                x[5] = bad;
                for kernel in [kernel(), PLAIN] {
                    let [y] = multiply([&packed], 64, &x, kernel);
                    assert!(y[..16].iter().all(|y| !y.is_finite()) && y[16..].iter().all(|y| y.is_finite()), "{bad}");
                }
            }
        }
    }

    #[test]
    fn groups_and_bytes_come_back() {
        for bits in [Bits::Int8, Bits::Int4] {
            let (rows, columns) = (32, 96);
            let packed = Quantized::new(&noise(rows * columns, 5), rows, columns, bits);
            let groups = |packed: &Quantized| {
                let per_row = columns / GROUP;
                let one = |i: usize| {
                    let (row, g) = (i / per_row, i % per_row);
                    let tile = packed.tile(row / TILE);
                    layout::get(&tile[g * group_bytes(bits)..][..group_bytes(bits)], row % TILE, bits)
                };
                (0..rows * per_row).map(one).collect::<Vec<_>>()
            };
            assert_eq!(Quantized::from_groups(groups(&packed), rows, columns, bits), packed);
            let bytes = packed.bytes().to_vec();
            assert_eq!(Quantized::from_bytes(bytes.clone(), rows, columns, bits).as_ref(), Some(&packed));
            assert_eq!(Quantized::from_bytes(bytes[1..].to_vec(), rows, columns, bits), None);
        }
        assert!(!Quantized::fits(8, 32) && !Quantized::fits(16, 40) && !Quantized::fits(0, 32));
    }
}
