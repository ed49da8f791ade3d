//! The packer: see `mod.rs` for the words.

use crate::layer::{Rows, words::put_words};
use crate::weight_type::WeightType;

pub(in crate::isa) fn pack(
    weight_type: WeightType,
    rows: &Rows,
    head: &mut [u8],
    weights: &mut [u8],
) {
    put_words(head, [rows.bias(0).cast_unsigned()]);
    for (i, byte) in weights.iter_mut().enumerate() {
        *byte = match weight_type {
            WeightType::Int4 => nibbles(rows.weight(0, 2 * i), rows.weight(0, 2 * i + 1)),
            WeightType::Int8 | WeightType::Int16 => rows.weight(0, i).cast_unsigned(),
        };
    }
}

/// Two int4 weights in a byte.
pub(crate) fn nibbles(low: i8, high: i8) -> u8 {
    (low.cast_unsigned() & 0x0F) | (high.cast_unsigned() << 4)
}
