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

use super::{ROWS, Rows, first_words, low_24, put_words};
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

/// The four sums of an int8 block.
#[inline(always)]
pub(crate) fn int8(head: &[u8], weights: &[u8], x: &[i16]) -> [i32; ROWS] {
    let [mut e0, mut e1, mut e2] = first_words::<3>(head);
    let (pairs, last) = x.as_chunks::<2>();
    let mut words = weights.as_chunks::<8>().0.iter();
    let mut add = |word: &[u8; 8], p: i16, q: i16| {
        let &[a0, b0, a1, b1, c0, d0, c1, d1] = word;
        let input = |x: i16| i32::from(x).cast_unsigned();
        let (p, q) = (input(p), input(q));
        let dot = |low0, high0, low1, high1| {
            let halfword = |low, high| i32::from(i16::from_le_bytes([low, high])).cast_unsigned();
            halfword(low0, high0)
                .wrapping_mul(p)
                .wrapping_add(halfword(low1, high1).wrapping_mul(q))
        };
        e0 = e0
            .wrapping_add(dot(a0, b0, a1, b1))
            .wrapping_sub(p.wrapping_add(q) << 7);
        e2 = e2.wrapping_add(dot(c0, d0, c1, d1));
        let middle = |b: u8, c: u8| {
            // B is a signed byte of its own: its borrow reaches into C's, as in SXTAB16.
            let sum = (u16::from(c) << 8).wrapping_add(i16::from(b.cast_signed()).cast_unsigned());
            i32::from(sum.cast_signed()).cast_unsigned()
        };
        e1 = e1
            .wrapping_add(middle(b0, c0).wrapping_mul(p))
            .wrapping_add(middle(b1, c1).wrapping_mul(q));
    };
    for (&[p, q], word) in pairs.iter().zip(&mut words) {
        add(word, p, q);
    }
    if let (Some(&p), Some(word)) = (last.first(), words.next()) {
        add(word, p, 0);
    }
    solve(e0, e1, e2)
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

/// The four sums of an int4 block.
#[cfg(feature = "int4")]
#[inline(always)]
pub(crate) fn int4(head: &[u8], weights: &[u8], x: &[i16]) -> [i32; ROWS] {
    let mut sums = first_words::<ROWS>(head).map(u32::cast_signed);
    let halfwords = weights.as_chunks::<2>().0;
    for (&bytes, &x) in halfwords.iter().zip(x) {
        let w = i32::from(i16::from_le_bytes(bytes));
        let x = i32::from(x);
        let [a, b, c, d] = &mut sums;
        *a = a.wrapping_add(((w & 15) - 8) * x);
        *b = b.wrapping_add(((w >> 4 & 15) - 8) * x);
        *c = c.wrapping_add(((w >> 8 & 15) - 8) * x);
        *d = d.wrapping_add((w >> 12) * x);
    }
    sums
}

/// The four sums of an int16 block.
#[cfg(feature = "int16")]
#[inline(always)]
pub(crate) fn int16(head: &[u8], weights: &[u8], x: &[i16]) -> [i32; ROWS] {
    let mut sums = first_words::<ROWS>(head).map(u32::cast_signed);
    for (quad, x) in weights.as_chunks::<16>().0.iter().zip(x.chunks(4)) {
        for (sum, &[w0, w2, w1, w3]) in sums.iter_mut().zip(quad.as_chunks::<4>().0) {
            *sum = sum.wrapping_add(super::plain::dot(&[w0, w1, w2, w3], x));
        }
    }
    sums
}
