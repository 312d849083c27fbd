//! The product with AVX-512 and its instruction for sums of four products of bytes (VNNI).
#![expect(unsafe_code, reason = "vector instructions need the processor to have them, their loads take pointers")]

use std::arch::x86_64::{
    __m512, __m512i, _MM_HINT_T0, _mm_prefetch, _mm256_loadu_si256, _mm512_and_si512, _mm512_cvtepi32_ps,
    _mm512_cvtph_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_si512, _mm512_mul_ps, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_srli_epi16, _mm512_storeu_ps,
};

use super::input::{self, Input};
use super::layout::{GROUP, QUAD, SCALES, TILE, group_bytes};
use super::{Bits, Quantized};

/// Bytes that memory is fetched in.
const LINE: usize = 64;
/// How far ahead while few rows of the input are at hand: they are as fast as memory, and the processor's own fetching ahead
/// ends with each page.
const AHEAD: usize = 4096;
/// Rows of the input that are taken at once.
const ROWS: usize = 8;

/// Quads of columns in a group.
const QUADS: usize = GROUP / QUAD;

/// Whether the processor has what the kernel needs.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

/// Rounds one row of an input: the plain code, compiled for wide vectors.
///
/// # Panics
/// On a processor without the instructions.
pub(super) fn round(values: &[f32], codes: &mut [i8], scales: &mut [f32], corrections: &mut [i32], bits: Bits) {
    #[target_feature(enable = "avx512f,avx512bw")]
    fn wide(values: &[f32], codes: &mut [i8], scales: &mut [f32], corrections: &mut [i32], bits: Bits) {
        input::round(values, codes, scales, corrections, bits);
    }
    assert!(available());
    // SAFETY: the processor was asked.
    unsafe { wide(values, codes, scales, corrections, bits) }
}

/// 16 results for each row of the input.
///
/// # Panics
/// On a processor without the instructions.
pub(super) fn tile(weight: &Quantized, t: usize, input: &Input, out: &mut [f32]) {
    assert!(available());
    let (tile, groups) = (weight.tile(t), input.groups());
    assert!(tile.len() == groups * group_bytes(weight.bits) && out.len() == input.rows() * TILE);
    let mut n = 0;
    while n < input.rows() {
        let rows = match input.rows() - n {
            ROWS.. => ROWS,
            4..ROWS => 4,
            2..4 => 2,
            _ => 1,
        };
        let out = &mut out[n * TILE..(n + rows) * TILE];
        // With more rows the tile is in the cache for all but the first: the second ones have time to fetch the next tile.
        let ahead = match n {
            _ if input.rows() <= ROWS => AHEAD,
            ROWS => tile.len(),
            _ => 0,
        };
        // SAFETY: the processor was asked, and the lengths were checked: see `rows`.
        unsafe {
            match rows {
                ROWS => some::<ROWS>(weight.bits, tile, input, n, ahead, out),
                4 => some::<4>(weight.bits, tile, input, n, ahead, out),
                2 => some::<2>(weight.bits, tile, input, n, ahead, out),
                _ => some::<1>(weight.bits, tile, input, n, ahead, out),
            }
        }
        n += rows;
    }
}

/// `N` rows of the input from `first` on; meanwhile what lies `ahead` bytes further is fetched, if any.
///
/// # Safety
/// The processor has AVX-512 F, BW and VNNI; `tile` holds as many groups as the input, `out` has `N * 16` places, and the
/// input has rows up to `first + N`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn some<const N: usize>(bits: Bits, tile: &[u8], input: &Input, first: usize, ahead: usize, out: &mut [f32]) {
    let groups = input.groups();
    let mut sums: [__m512; N] = [_mm512_setzero_ps(); N];
    let codes: [*const i8; N] = std::array::from_fn(|n| input.codes[(first + n) * input.columns..].as_ptr());
    for (g, group) in tile.chunks_exact(group_bytes(bits)).enumerate() {
        if ahead > 0 {
            for line in (0..group.len()).step_by(LINE) {
                _mm_prefetch::<_MM_HINT_T0>(group.as_ptr().wrapping_add(ahead + line).cast());
            }
        }
        let mut whole: [__m512i; N] =
            std::array::from_fn(|n| _mm512_set1_epi32(input.corrections[(first + n) * groups + g]));
        // SAFETY: a group has 32 bytes of scales.
        let scales = _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(group.as_ptr().cast()) });
        let quads = unsafe { quads(bits, &group[SCALES..]) };
        for (q, weights) in quads.into_iter().enumerate() {
            for n in 0..N {
                // SAFETY: group `g` of a row has 32 codes, quad `q` four of them.
                let four = unsafe { codes[n].add(g * GROUP + q * QUAD).cast::<i32>().read_unaligned() };
                whole[n] = _mm512_dpbusd_epi32(whole[n], weights, _mm512_set1_epi32(four));
            }
        }
        for n in 0..N {
            let scales = _mm512_mul_ps(scales, _mm512_set1_ps(input.scales[(first + n) * groups + g]));
            sums[n] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole[n]), scales, sums[n]);
        }
    }
    for (out, sum) in out.chunks_exact_mut(TILE).zip(sums) {
        // SAFETY: 16 places.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sum) };
    }
}

/// The eight quads of a group, without sign.
///
/// # Safety
/// The processor has AVX-512 F and BW; `codes` are those of a group.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn quads(bits: Bits, codes: &[u8]) -> [__m512i; QUADS] {
    // SAFETY: 64 bytes each: eight of them for 8 bits, four for 4 bits.
    let load = |i: usize| unsafe { _mm512_loadu_si512(codes[i * 64..(i + 1) * 64].as_ptr().cast()) };
    match bits {
        Bits::Int8 => std::array::from_fn(load),
        Bits::Int4 => {
            let low = _mm512_set1_epi8(15);
            let halves = |q: usize| {
                let both = load(q / 2);
                _mm512_and_si512(if q.is_multiple_of(2) { both } else { _mm512_srli_epi16::<4>(both) }, low)
            };
            std::array::from_fn(halves)
        }
    }
}
