//! Where the scale and the codes of a row lie within a group of a tile.

use half::f16;

use super::Bits;

/// Rows of a tile.
pub(super) const TILE: usize = 16;
/// Columns that share a scale.
pub(super) const GROUP: usize = 32;
/// Bytes of the scales of a group.
pub(super) const SCALES: usize = 2 * TILE;
/// Columns of a row that lie together.
pub(super) const QUAD: usize = 4;

/// What is added to a code so that it has no sign.
pub(super) const fn offset(bits: Bits) -> i32 {
    match bits {
        Bits::Int8 => 128,
        Bits::Int4 => 8,
    }
}

/// Bytes of a group of 16 rows.
pub(super) const fn group_bytes(bits: Bits) -> usize {
    SCALES
        + match bits {
            Bits::Int8 => GROUP * TILE,
            Bits::Int4 => GROUP * TILE / 2,
        }
}

/// The place of a code among the codes of a group, and whether it takes the upper half of its byte: of 8 columns the
/// first 4 take the lower halves of the bytes, the others the upper ones.
const fn place(row: usize, column: usize, bits: Bits) -> (usize, bool) {
    let (quad, within) = (column / QUAD, column % QUAD);
    match bits {
        Bits::Int8 => ((quad * TILE + row) * QUAD + within, false),
        Bits::Int4 => ((quad / 2 * TILE + row) * QUAD + within, quad % 2 == 1),
    }
}

/// Writes a row's part of a group that was zero before.
pub(super) fn put(group: &mut [u8], row: usize, scale: f16, codes: &[i8; GROUP], bits: Bits) {
    group[2 * row..2 * row + 2].copy_from_slice(&scale.to_le_bytes());
    for (column, code) in codes.iter().enumerate() {
        let (place, upper) = place(row, column, bits);
        let unsigned = (i32::from(*code) + offset(bits)) as u8;
        group[SCALES + place] |= if upper { unsigned << 4 } else { unsigned };
    }
}

/// A row's part of a group.
pub(super) fn get(group: &[u8], row: usize, bits: Bits) -> (f16, [i8; GROUP]) {
    let scale = f16::from_le_bytes([group[2 * row], group[2 * row + 1]]);
    let code = |column| {
        let (place, upper) = place(row, column, bits);
        let byte = group[SCALES + place];
        let unsigned = match (bits, upper) {
            (Bits::Int8, _) => byte,
            (Bits::Int4, false) => byte & 15,
            (Bits::Int4, true) => byte >> 4,
        };
        (i32::from(unsigned) - offset(bits)) as i8
    };
    (scale, std::array::from_fn(code))
}
