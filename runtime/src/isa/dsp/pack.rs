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
    let [a, b, c, d] = bias;
    let chain = |low: u32, high: u32| low.wrapping_add(high << 8);
    match weight_type {
        WeightType::Int8 => {
            put_words(head, [chain(a, b), chain(b, c), chain(c, d)]);
            for (i, pair) in weights.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                put_words(pair, [pair_word(rows, 128, 0, i), pair_word(rows, 0, 2, i)]);
            }
        }
        WeightType::Int4 => {
            put_words(head, super::combine_int4(bias.map(u32::cast_signed)));
            for (i, word) in weights.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *word = (quad(rows, 2 * i) | quad(rows, 2 * i + 1) << 16).to_le_bytes();
            }
        }
        WeightType::Int16 => {
            put_words(head, bias);
            for (i, pair) in weights.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                put_words(pair, [pair_word(rows, 0, 0, i), pair_word(rows, 0, 2, i)]);
            }
        }
    }
}

/// A halfword with the four rows' int4 weights of an input.
fn quad(rows: &Rows, input: usize) -> u32 {
    let nibble = |row: usize| i16::from(rows.weight(row, input));
    let low = (nibble(0) + 8) + 16 * (nibble(1) + 8) + 256 * (nibble(2) + 8);
    u32::from((low + 4096 * nibble(3)).cast_unsigned())
}

/// A word with a pair of inputs' weights of two rows, `offset` added to each of the first.
fn pair_word(rows: &Rows, offset: i16, row: usize, pair: usize) -> u32 {
    let halfword = |input: usize| {
        let high = i16::from(rows.weight(row + 1, input)) << 8;
        u32::from((offset + i16::from(rows.weight(row, input)) + high).cast_unsigned())
    };
    halfword(2 * pair) | halfword(2 * pair + 1) << 16
}
