//! Blocks of the packing lane, at the speed of a host.

use super::solve;
use super::solve_chain;
use super::solve_pairs;
use crate::layer::{
    ROWS, view,
    words::{first_words, words},
};
use crate::weight_type::WeightType;

/// The four sums of a block.
#[inline(always)]
pub(in crate::isa) fn sums(
    weight_type: WeightType,
    head: &[u8],
    weights: &[u8],
    x: &[u32],
    inputs: usize,
) -> [i32; ROWS] {
    match weight_type {
        WeightType::Int8 => int8(head, weights, view::int8s(x, inputs)),
        WeightType::Int4 => int4(head, weights, view::int8s(x, inputs)),
        WeightType::Int16 => int16(head, weights, view::int16s(x, inputs)),
    }
}

/// The three sums of an int8 block, before their share of `128 * sum(x)` is taken off.
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
    fn solve(self) -> [i32; ROWS] {
        let x = self.x.wrapping_mul(128);
        let e0 = self.e0.wrapping_sub(x.wrapping_mul(0x0101_0101));
        let e1 = self.e1.wrapping_sub(x.wrapping_mul(0x0000_0101));
        let e2 = self.e2.wrapping_sub(x.wrapping_mul(0x0101_0101));
        solve(e0, e1, e2)
    }
}

/// The four sums of an int8 block.
#[inline(always)]
fn int8(head: &[u8], weights: &[u8], x: &[i8]) -> [i32; ROWS] {
    let mut sums = Sums::new(head);
    for (word, &x) in words(weights).zip(x) {
        sums.add(word, x);
    }
    sums.solve()
}

/// The four sums of an int4 block.
#[inline(always)]
fn int4(head: &[u8], weights: &[u8], x: &[i8]) -> [i32; ROWS] {
    let [mut ac, mut c, mut bd, mut d] = first_words::<ROWS>(head);
    let mut x_sum = 0u32;
    for (group, x) in weights.chunks(32).zip(x.chunks(16)) {
        let [mut of_ac, mut of_bd] = [0u32; 2];
        for (word, x) in words(group).zip(x.chunks(2)) {
            for (&x, word) in x.iter().zip([word, word >> 4]) {
                let x = i32::from(x).cast_unsigned();
                of_ac = of_ac.wrapping_add((word & 0x000F_000F).wrapping_mul(x));
                of_bd = of_bd.wrapping_add((word >> 8 & 0x000F_000F).wrapping_mul(x));
                x_sum = x_sum.wrapping_add(x);
            }
        }
        for (pair, high, of_pair) in [(&mut ac, &mut c, of_ac), (&mut bd, &mut d, of_bd)] {
            *pair = pair.wrapping_add(of_pair);
            // The low half is signed: its top bit is what it has borrowed from the high one.
            let half = (of_pair.cast_signed() >> 16).cast_unsigned();
            *high = high.wrapping_add(half).wrapping_add(of_pair >> 15 & 1);
        }
    }
    let share = x_sum.wrapping_mul(8).cast_signed();
    solve_pairs([ac, c, bd, d]).map(|sum| sum.wrapping_sub(share))
}

/// The four sums of an int16 block.
#[inline(always)]
fn int16(head: &[u8], weights: &[u8], x: &[i16]) -> [i32; ROWS] {
    let mut sums = first_words::<ROWS>(head);
    let mut x_sum = 0u32;
    for (word, &x) in words(weights).zip(x) {
        let x = i32::from(x).cast_unsigned();
        for (sum, shift) in sums.iter_mut().zip([0, 8, 16, 24]) {
            *sum = sum.wrapping_add((word >> shift).wrapping_mul(x));
        }
        x_sum = x_sum.wrapping_add(x);
    }
    let share = x_sum.wrapping_mul(128).cast_signed();
    solve_chain(sums).map(|sum| sum.wrapping_sub(share))
}
