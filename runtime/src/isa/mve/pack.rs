//! The packer: see `mod.rs` for the words.

use crate::isa::plain;
use crate::layer::{ROWS, Rows, words::put_words};
use crate::weight_type::WeightType;

pub(in crate::isa) fn pack(
    weight_type: WeightType,
    rows: &Rows,
    head: &mut [u8],
    weights: &mut [u8],
) {
    put_words(
        head,
        core::array::from_fn::<u32, ROWS, _>(|row| rows.bias(row).cast_unsigned()),
    );
    let width = match weight_type {
        WeightType::Int8 | WeightType::Int4 => 16,
        WeightType::Int16 => 8,
    };
    for (i, bytes) in weights.chunks_exact_mut(width).enumerate() {
        let (group, row) = (i / ROWS, i % ROWS);
        for (k, byte) in bytes.iter_mut().enumerate() {
            *byte = match weight_type {
                WeightType::Int4 => {
                    let first = 32 * group + k;
                    plain::pack::nibbles(rows.weight(row, first), rows.weight(row, first + 16))
                }
                WeightType::Int8 | WeightType::Int16 => {
                    rows.weight(row, width * group + k).cast_unsigned()
                }
            };
        }
    }
}
