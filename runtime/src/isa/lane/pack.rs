//! The packer: see `mod.rs` for the words.

use crate::layer::{ROWS, Rows, words::put_words};
use crate::weight_type::WeightType;

pub(in crate::isa) fn pack(
    weight_type: WeightType,
    rows: &Rows,
    head: &mut [u8],
    weights: &mut [u8],
) {
    let bias: [u32; ROWS] = core::array::from_fn(|row| rows.bias(row).cast_unsigned());
    match weight_type {
        WeightType::Int8 => put_words(head, combine(bias)),
        WeightType::Int4 => put_words(head, pairs(bias)),
        WeightType::Int16 => put_words(head, chain(bias)),
    }
    for (i, word) in weights.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        *word = core::array::from_fn(|row| {
            let weight = |input| rows.weight(row, input).cast_unsigned();
            match weight_type {
                WeightType::Int4 => {
                    weight(2 * i).wrapping_add(8) & 0x0F | weight(2 * i + 1).wrapping_add(8) << 4
                }
                WeightType::Int8 | WeightType::Int16 => weight(i) ^ 0x80,
            }
        });
    }
}

pub(super) fn pairs([a, b, c, d]: [u32; ROWS]) -> [u32; ROWS] {
    [a.wrapping_add(c << 16), c, b.wrapping_add(d << 16), d]
}

pub(super) fn chain([a, b, c, d]: [u32; ROWS]) -> [u32; ROWS] {
    let e2 = c.wrapping_add(d << 8);
    let e1 = b.wrapping_add(e2 << 8);
    [a.wrapping_add(e1 << 8), e1, e2, d]
}

pub(super) fn combine([a, b, c, d]: [u32; ROWS]) -> [u32; 3] {
    let two = |low: u32, high: u32| low.wrapping_add(high << 8);
    let e0 = two(a, b).wrapping_add(two(c, d) << 16);
    let e2 = two(d, c).wrapping_add(two(b, a) << 16);
    [e0, two(b, a), e2]
}
