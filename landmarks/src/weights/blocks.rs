//! GGML's blocks of weights: 32 or 256 values that share a scale.

use half::f16;

/// Values of a K block.
const K: usize = 256;
/// Values of a simple block.
const SIMPLE: usize = 32;

/// Kinds of blocks that decoders are published in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Blocks {
    /// 32 values of 4 bits with one scale.
    Q4_0,
    /// 32 values of 8 bits with one scale.
    Q8_0,
    /// 256 values of 4 bits, scales and minima in 6 bits.
    Q4K,
    /// 256 values of 6 bits, scales in 8 bits.
    Q6K,
}

impl Blocks {
    /// Values and bytes of a block.
    pub const fn unit(self) -> (usize, usize) {
        match self {
            Self::Q4_0 => (SIMPLE, 18),
            Self::Q8_0 => (SIMPLE, 34),
            Self::Q4K => (K, 144),
            Self::Q6K => (K, 210),
        }
    }

    /// Scale and codes of a simple block; none for the others.
    pub(super) fn codes(self, block: &[u8]) -> Option<(f16, [i8; SIMPLE])> {
        let codes = &block[2..];
        let codes = match self {
            // The first half of the values lies in the lower halves of the bytes.
            Self::Q4_0 => std::array::from_fn(|i| {
                let byte = codes[i % (SIMPLE / 2)];
                (if i < SIMPLE / 2 { byte & 15 } else { byte >> 4 }) as i8 - 8
            }),
            Self::Q8_0 => std::array::from_fn(|i| codes[i] as i8),
            Self::Q4K | Self::Q6K => return None,
        };
        Some((half_at(block, 0), codes))
    }

    /// Appends the values of a block.
    pub(super) fn unpack(self, block: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::Q4_0 | Self::Q8_0 => {
                if let Some((scale, codes)) = self.codes(block) {
                    out.extend(codes.map(|code| scale.to_f32() * f32::from(code)));
                }
            }
            Self::Q4K => q4_k(block, out),
            Self::Q6K => q6_k(block, out),
        }
    }
}

fn half_at(block: &[u8], at: usize) -> f16 {
    f16::from_le_bytes([block[at], block[at + 1]])
}

/// Scale, scale of the minima, 12 bytes of eight 6-bit scales and minima, 128 bytes of codes.
fn q4_k(block: &[u8], out: &mut Vec<f32>) {
    let (scale, minimum) = (half_at(block, 0).to_f32(), half_at(block, 2).to_f32());
    let (packed, codes) = block[4..].split_at(12);
    let part = |i: usize| -> (f32, f32) {
        // The last four take their upper two bits from the first four.
        let (s, m) = if i < 4 {
            (packed[i] & 63, packed[i + 4] & 63)
        } else {
            (packed[i + 4] & 15 | (packed[i - 4] >> 6 << 4), packed[i + 4] >> 4 | (packed[i] >> 6 << 4))
        };
        (scale * f32::from(s), minimum * f32::from(m))
    };
    for (pair, codes) in codes.chunks(32).enumerate() {
        let ((low, low_minimum), (high, high_minimum)) = (part(2 * pair), part(2 * pair + 1));
        out.extend(codes.iter().map(|code| low * f32::from(code & 15) - low_minimum));
        out.extend(codes.iter().map(|code| high * f32::from(code >> 4) - high_minimum));
    }
}

/// 128 bytes of lower and 64 of upper bits, 16 scales, their scale.
fn q6_k(block: &[u8], out: &mut Vec<f32>) {
    let (lower, upper, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let scale = half_at(block, 208).to_f32();
    for i in 0..K {
        let (half, quarter, within) = (i / 128, i % 128 / 32, i % 32);
        let byte = lower[64 * half + 32 * (quarter % 2) + within];
        let low = if quarter < 2 { byte & 15 } else { byte >> 4 };
        let high = upper[32 * half + within] >> (2 * quarter) & 3;
        let code = f32::from((low | high << 4) as i8 - 32);
        out.push(scale * f32::from(scales[i / 16] as i8) * code);
    }
}
