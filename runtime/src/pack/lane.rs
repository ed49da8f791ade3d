//! Lane, for cores without DSP instructions: one word has a weight of each of four rows A, B, C,
//! D for *one* input.
//!
//! # int8
//!
//! `W = (A+128) + 2^8 (B+128) + 2^16 (C+128) + 2^24 (D+128)` for each input x. Modulo 2^32 the
//! kernel sums
//!
//! ```text
//! r0 += W * x                          A + 2^8 B + 2^16 C + 2^24 D
//! r2 += (W >> 8 & 0x00FF00FF) * x      B + 2^16 D
//! r3 += (W >> 16) * x                  C + 2^8 D
//! ```
//!
//! each less its share of `128 * sum(x)`. Then, each step exact while all four sums are below
//! 2^23 in magnitude, which the exporter proves:
//!
//! ```text
//! u = r0 - 2^8 r2 - 2^16 r3 = A - 2^24 D     A = low 24 bits of u,   d = (A - u) >> 24
//! v = r2 - 2^16 d                            B = low 24 bits of v,   d = (r2 - B) >> 16
//! w = r3 - 2^8 d                             C = low 24 bits of w,   D = (r3 - C) >> 8
//! ```
//!
//! The head is the same three combinations of the biases.
//!
//! # int4
//!
//! One word for two inputs: in each byte, rows as above, the first input's weight + 8 in the low
//! nibble and the second's in the high one, so that `W & 0x0F0F0F0F` and `W >> 4 & 0x0F0F0F0F`
//! are words as above with 8 in place of 128. The same head.
//!
//! # int16
//!
//! One word for one input, the rows' weights in its bytes, two's complement. The head is the four
//! biases.

use super::{ROWS, Rows, first_words, low_24, put_words};
use crate::blob::Operation;

pub(crate) fn pack(operation: Operation, rows: &Rows, head: &mut [u8], weights: &mut [u8]) {
    let bias: [u32; ROWS] = core::array::from_fn(|row| rows.bias(row).cast_unsigned());
    if operation == Operation::DenseInt16 {
        put_words(head, bias);
    } else {
        put_words(head, combine(bias));
    }
    for (i, word) in weights.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        *word = core::array::from_fn(|row| {
            let weight = |input| rows.weight(row, input).cast_unsigned();
            match operation {
                Operation::DenseInt4 => {
                    weight(2 * i).wrapping_add(8) & 0x0F | weight(2 * i + 1).wrapping_add(8) << 4
                }
                Operation::DenseInt16 => weight(i),
                _ => weight(i) ^ 0x80,
            }
        });
    }
}

fn combine([a, b, c, d]: [u32; ROWS]) -> [u32; 3] {
    let r2 = b.wrapping_add(d << 16);
    let r3 = c.wrapping_add(d << 8);
    let r0 = a
        .wrapping_add(b << 8)
        .wrapping_add(c << 16)
        .wrapping_add(d << 24);
    [r0, r2, r3]
}

/// The three sums, before their share of `offset * sum(x)` is taken off.
#[derive(Clone, Copy)]
struct Sums {
    r0: u32,
    r2: u32,
    r3: u32,
    x: u32,
}

impl Sums {
    #[inline(always)]
    fn new(head: &[u8]) -> Self {
        let [r0, r2, r3] = first_words::<3>(head);
        Self { r0, r2, r3, x: 0 }
    }

    #[inline(always)]
    fn add(&mut self, word: u32, x: i8) {
        let x = i32::from(x).cast_unsigned();
        self.r0 = self.r0.wrapping_add(word.wrapping_mul(x));
        self.r2 = self
            .r2
            .wrapping_add((word >> 8 & 0x00FF_00FF).wrapping_mul(x));
        self.r3 = self.r3.wrapping_add((word >> 16).wrapping_mul(x));
        self.x = self.x.wrapping_add(x);
    }

    #[inline(always)]
    fn solve(self, offset: u32) -> [i32; ROWS] {
        let x = self.x.wrapping_mul(offset);
        let r0 = self.r0.wrapping_sub(x.wrapping_mul(0x0101_0101));
        let r2 = self.r2.wrapping_sub(x.wrapping_mul(0x0001_0001));
        let r3 = self.r3.wrapping_sub(x.wrapping_mul(0x0000_0101));
        solve(r0, r2, r3)
    }
}

/// The four sums from the three combined ones.
#[inline(always)]
pub(crate) fn solve(r0: u32, r2: u32, r3: u32) -> [i32; ROWS] {
    let u = r0.wrapping_sub(r2 << 8).wrapping_sub(r3 << 16);
    let a = low_24(u);
    let d = a.wrapping_sub(u).cast_signed() >> 24;
    let b = low_24(r2.wrapping_sub(d.cast_unsigned() << 16));
    let d = r2.wrapping_sub(b).cast_signed() >> 16;
    let c = low_24(r3.wrapping_sub(d.cast_unsigned() << 8));
    let d = r3.wrapping_sub(c).cast_signed() >> 8;
    [a.cast_signed(), b.cast_signed(), c.cast_signed(), d]
}

/// The four sums of an int8 block.
#[inline(always)]
pub(crate) fn int8(head: &[u8], weights: &[u8], x: &[i8]) -> [i32; ROWS] {
    let mut sums = Sums::new(head);
    for (word, &x) in super::words(weights).zip(x) {
        sums.add(word, x);
    }
    sums.solve(128)
}

/// The four sums of an int4 block.
#[cfg(feature = "int4")]
#[inline(always)]
pub(crate) fn int4(head: &[u8], weights: &[u8], x: &[i8]) -> [i32; ROWS] {
    let mut sums = Sums::new(head);
    for (word, x) in super::words(weights).zip(x.chunks(2)) {
        for (&x, word) in x.iter().zip([word, word >> 4]) {
            sums.add(word & 0x0F0F_0F0F, x);
        }
    }
    sums.solve(8)
}

/// The four sums of an int16 block.
#[cfg(feature = "int16")]
#[inline(always)]
pub(crate) fn int16(head: &[u8], weights: &[u8], x: &[i16]) -> [i32; ROWS] {
    let mut sums = first_words::<ROWS>(head).map(u32::cast_signed);
    for (bytes, &x) in weights.as_chunks::<4>().0.iter().zip(x) {
        for (sum, w) in sums.iter_mut().zip(bytes) {
            *sum = sum.wrapping_add(i32::from(w.cast_signed()) * i32::from(x));
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_sums_survive_in_three_words() {
        const TOP: i32 = (1 << 23) - 1;
        for sums in [
            [0, 0, 0, 0],
            [1, -2, 3, -4],
            [TOP, TOP, TOP, TOP],
            [-TOP, -TOP, -TOP, -TOP],
            [TOP, -TOP, TOP, -TOP],
            [-TOP, TOP, -1, TOP],
        ] {
            let [r0, r2, r3] = combine(sums.map(i32::cast_unsigned));
            assert_eq!(solve(r0, r2, r3), sums);
        }
    }
}
