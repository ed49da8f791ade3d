//! Blocks of `pack/lane.rs`.

use crate::pack::lane::solve;
use crate::pack::{self, ROWS, first_words};

/// The three sums, before their share of `offset * sum(x)` is taken off.
#[derive(Clone, Copy)]
struct Sums {
    e0: u32,
    e1: u32,
    e2: u32,
    x: u32,
}

impl Sums {
    #[inline(always)]
    fn new(head: &[u8]) -> Self {
        let [e0, e1, e2] = first_words::<3>(head);
        Self { e0, e1, e2, x: 0 }
    }

    #[inline(always)]
    fn add(&mut self, word: u32, x: i8) {
        let x = i32::from(x).cast_unsigned();
        let reversed = word.swap_bytes();
        self.e0 = self.e0.wrapping_add(word.wrapping_mul(x));
        self.e1 = self.e1.wrapping_add((reversed >> 16).wrapping_mul(x));
        self.e2 = self.e2.wrapping_add(reversed.wrapping_mul(x));
        self.x = self.x.wrapping_add(x);
    }

    #[inline(always)]
    fn solve(self, offset: u32) -> [i32; ROWS] {
        let x = self.x.wrapping_mul(offset);
        let e0 = self.e0.wrapping_sub(x.wrapping_mul(0x0101_0101));
        let e1 = self.e1.wrapping_sub(x.wrapping_mul(0x0000_0101));
        let e2 = self.e2.wrapping_sub(x.wrapping_mul(0x0101_0101));
        solve(e0, e1, e2)
    }
}

/// The four sums of an int8 block.
#[inline(always)]
pub(crate) fn int8(head: &[u8], weights: &[u8], x: &[i8]) -> [i32; ROWS] {
    let mut sums = Sums::new(head);
    for (word, &x) in pack::words(weights).zip(x) {
        sums.add(word, x);
    }
    sums.solve(128)
}

/// The four sums of an int4 block.
#[cfg(feature = "int4")]
#[inline(always)]
pub(crate) fn int4(head: &[u8], weights: &[u8], x: &[i8]) -> [i32; ROWS] {
    let mut sums = Sums::new(head);
    for (word, x) in pack::words(weights).zip(x.chunks(2)) {
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
