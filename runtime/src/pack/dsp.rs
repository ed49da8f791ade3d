//! Dsp, for cores with SMLAD: four rows A, B, C, D to a block share each load of inputs.
//!
//! # int8
//!
//! For the inputs (p, q) = (x[2i], x[2i+1]) there are two words, p's part in the low halfwords:
//! `W1` with `(A+128) + 256*B`, `W2` with `C + 256*D` (as signed halfwords). Modulo 2^32 the
//! kernel sums, `.` being the dot product with (p, q):
//!
//! ```text
//! e0 += W1 . x                                 A + 256 B + 128
//! e1 += (W1 ror 8 as signed bytes + (W2 << 8 & 0xFF00FF00)) . x      B + 256 C
//! e2 += W2 . x                                 C + 256 D
//! ```
//!
//! `e0` starts at its head word less `128 * sum(x)`. With `b = e1 - 256 e2` the four sums are
//! `A = low 24 bits of (e0 - 256 b)`, `B = (e0 - A) / 256`, `C = (e1 - B) / 256`,
//! `D = (e2 - C) / 256`: exact while each is below 2^23 in magnitude, which the exporter proves.
//! The head is the same combination of the biases: `A + 256 B`, `B + 256 C`, `C + 256 D`.
//!
//! # int4
//!
//! One word for the inputs (x[2i], x[2i+1]), a halfword each:
//! `(A+8) + 16 (B+8) + 256 (C+8) + 4096 D` as a signed halfword. The head is the four biases.
//!
//! # int16
//!
//! For four inputs there are four words, one per row, bytes in the order x[4i], x[4i+2],
//! x[4i+1], x[4i+3]: SXTB16 of the word and of the word rotated by 8 gives the pairs as they lie
//! in memory. The head is the four biases.

use super::{ROWS, Rows, low_24, put_words};
use crate::blob::Operation;

pub(crate) fn pack(operation: Operation, rows: &Rows, head: &mut [u8], weights: &mut [u8]) {
    let bias: [u32; ROWS] = core::array::from_fn(|row| rows.bias(row).cast_unsigned());
    let [a, b, c, d] = bias;
    if operation == Operation::DenseInt8 {
        let chain = |low: u32, high: u32| low.wrapping_add(high << 8);
        put_words(head, [chain(a, b), chain(b, c), chain(c, d)]);
        for (i, pair) in weights.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            let halfword = |low: i16, row: usize, input: usize| {
                let high = i16::from(rows.weight(row + 1, input)) << 8;
                (low + i16::from(rows.weight(row, input)) + high).cast_unsigned()
            };
            let word = |low: i16, row: usize| {
                u32::from(halfword(low, row, 2 * i))
                    | u32::from(halfword(low, row, 2 * i + 1)) << 16
            };
            put_words(pair, [word(128, 0), word(0, 2)]);
        }
        return;
    }
    put_words(head, bias);
    if operation == Operation::DenseInt4 {
        for (i, word) in weights.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let halfword = |input: usize| {
                let nibble = |row: usize| i16::from(rows.weight(row, input));
                let low = (nibble(0) + 8) + 16 * (nibble(1) + 8) + 256 * (nibble(2) + 8);
                u32::from((low + 4096 * nibble(3)).cast_unsigned())
            };
            *word = (halfword(2 * i) | halfword(2 * i + 1) << 16).to_le_bytes();
        }
        return;
    }
    for (i, quad) in weights.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        for (row, bytes) in quad.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *bytes = [0, 2, 1, 3].map(|k| rows.weight(row, 4 * i + k).cast_unsigned());
        }
    }
}

/// The four sums from the three chained ones.
#[inline(always)]
pub(crate) fn solve(e0: u32, e1: u32, e2: u32) -> [i32; ROWS] {
    let b = e1.wrapping_sub(e2 << 8);
    let a = low_24(e0.wrapping_sub(b << 8));
    let next = |sum: u32, low: u32| sum.wrapping_sub(low).cast_signed() >> 8;
    let b = next(e0, a);
    let c = next(e1, b.cast_unsigned());
    let d = next(e2, c.cast_unsigned());
    [a.cast_signed(), b, c, d]
}
