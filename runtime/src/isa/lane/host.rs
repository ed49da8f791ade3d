//! Blocks of the packing lane in plain Rust: for hosts, and for cores that have no kernel in assembly.
//!
//! # int8
//!
//! A core without REV gets the four sums from the word of each input x with two shifts and a mask,
//! where one product is the sums of several rows:
//!
//! ```text
//! e0 += W * x                      A + 2^8 B + 2^16 C + 2^24 D
//! e1 += (W >> 8 & 0x00FF00FF) * x  B + 2^16 D
//! e2 += (W >> 16) * x              C + 2^8 D
//! ```
//!
//! each less its share of `128 * sum(x)`, and modulo 2^32. Each step of [`solve_shifted`] is exact while
//! all four sums are below 2^23 in magnitude. On RV32IMC that is 11 instructions for an input of four
//! rows, beside the loop's own.

use super::{solve, solve_chain, solve_pairs};
use crate::layer::{
    ROWS, view,
    words::{first_words, low_24},
};
use crate::weight_type::WeightType;

/// The sum of a layer's inputs, of which each block takes off its share.
pub(in crate::isa) fn sum_of_inputs(weight_type: WeightType, x: &[u32], inputs: usize) -> u32 {
    let sum = match weight_type {
        WeightType::Int8 | WeightType::Int4 => {
            let x = view::int8s(x, inputs).iter();
            x.fold(0i32, |sum, &x| sum.wrapping_add(x.into()))
        }
        WeightType::Int16 => {
            let x = view::int16s(x, inputs).iter();
            x.fold(0i32, |sum, &x| sum.wrapping_add(x.into()))
        }
    };
    sum.cast_unsigned()
}

/// The four sums of a block; `x_sum` is [`sum_of_inputs`].
#[inline(always)]
pub(in crate::isa) fn sums(
    weight_type: WeightType,
    head: &[u8],
    weights: &[u8],
    x: &[u32],
    inputs: usize,
    x_sum: u32,
) -> [i32; ROWS] {
    let weights = view::words(weights);
    match weight_type {
        WeightType::Int8 => int8(head, weights, view::int8s(x, inputs), x_sum),
        WeightType::Int4 => int4(head, weights, view::int8s(x, inputs), x_sum),
        WeightType::Int16 => int16(head, weights, view::int16s(x, inputs), x_sum),
    }
}

/// The four sums of an int8 block.
#[inline(always)]
fn int8(head: &[u8], weights: &[u32], x: &[i8], x_sum: u32) -> [i32; ROWS] {
    let mut sums = [0u32; 3];
    let mut add = |&word: &u32, &x: &i8| {
        let (word, x) = (u32::from_le(word), i32::from(x).cast_unsigned());
        let [e0, e1, e2] = &mut sums;
        *e0 = e0.wrapping_add(word.wrapping_mul(x));
        *e1 = e1.wrapping_add((word >> 8 & 0x00FF_00FF).wrapping_mul(x));
        *e2 = e2.wrapping_add((word >> 16).wrapping_mul(x));
    };
    // By fours, since the loop's own instructions are a third of one input's.
    let (four_words, last_words) = weights.as_chunks::<4>();
    let (four_inputs, last_inputs) = x.as_chunks::<4>();
    for ([a, b, c, d], [p, q, r, s]) in four_words.iter().zip(four_inputs) {
        add(a, p);
        add(b, q);
        add(c, r);
        add(d, s);
    }
    for (word, x) in last_words.iter().zip(last_inputs) {
        add(word, x);
    }
    let share = x_sum.wrapping_mul(128);
    let less = |sum: u32, of: u32| sum.wrapping_sub(share.wrapping_mul(of));
    let [e0, e1, e2] = sums;
    let dots = solve_shifted(
        less(e0, 0x0101_0101),
        less(e1, 0x0001_0001),
        less(e2, 0x0000_0101),
    );
    let [h0, h1, h2] = first_words(head);
    let mut biases = solve(h0, h1, h2).into_iter();
    dots.map(|dot| dot.wrapping_add(biases.next().unwrap_or(0)))
}

/// The four sums from `A + 2^8 B + 2^16 C + 2^24 D`, `B + 2^16 D` and `C + 2^8 D`.
#[inline(always)]
fn solve_shifted(e0: u32, e1: u32, e2: u32) -> [i32; ROWS] {
    // A - 2^24 D, whose low 24 bits are A's; then D has 8 bits, B all, D 16, C all, D all.
    let a_and_d = e0.wrapping_sub(e1 << 8).wrapping_sub(e2 << 16);
    let a = low_24(a_and_d);
    let d = a.wrapping_sub(a_and_d) >> 24;
    let b = low_24(e1.wrapping_sub(d << 16));
    let d = e1.wrapping_sub(b) >> 16;
    let c = low_24(e2.wrapping_sub(d << 8));
    let d = e2.wrapping_sub(c).cast_signed() >> 8;
    [a.cast_signed(), b.cast_signed(), c.cast_signed(), d]
}

/// The four sums of an int4 block.
#[inline(always)]
fn int4(head: &[u8], weights: &[u32], x: &[i8], x_sum: u32) -> [i32; ROWS] {
    let [mut ac, mut c, mut bd, mut d] = first_words::<ROWS>(head);
    for (group, x) in weights.chunks(8).zip(x.chunks(16)) {
        let [mut of_ac, mut of_bd] = [0u32; 2];
        for (&word, x) in group.iter().zip(x.chunks(2)) {
            let word = u32::from_le(word);
            for (&x, word) in x.iter().zip([word, word >> 4]) {
                let x = i32::from(x).cast_unsigned();
                of_ac = of_ac.wrapping_add((word & 0x000F_000F).wrapping_mul(x));
                of_bd = of_bd.wrapping_add((word >> 8 & 0x000F_000F).wrapping_mul(x));
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
fn int16(head: &[u8], weights: &[u32], x: &[i16], x_sum: u32) -> [i32; ROWS] {
    let mut sums = first_words::<ROWS>(head);
    for (&word, &x) in weights.iter().zip(x) {
        let word = u32::from_le(word);
        let x = i32::from(x).cast_unsigned();
        for (sum, shift) in sums.iter_mut().zip([0, 8, 16, 24]) {
            *sum = sum.wrapping_add((word >> shift).wrapping_mul(x));
        }
    }
    let share = x_sum.wrapping_mul(128).cast_signed();
    solve_chain(sums).map(|sum| sum.wrapping_sub(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_sums_survive_in_shifted_words() {
        const TOP: i32 = (1 << 23) - 1;
        let values = [-TOP, -TOP + 1, -65_536, -256, -1, 0, 1, 255, 65_535, TOP];
        let few = if cfg!(miri) {
            &values[7..]
        } else {
            &values[..]
        };
        for &a in few {
            for &b in few {
                for &c in few {
                    for &d in few {
                        let [p, q, r, s] = [a, b, c, d].map(i32::cast_unsigned);
                        let two = |low: u32, high: u32, by: u32| low.wrapping_add(high << by);
                        let e0 = two(two(p, q, 8), two(r, s, 8), 16);
                        let found = solve_shifted(e0, two(q, s, 16), two(r, s, 8));
                        assert_eq!(found, [a, b, c, d]);
                    }
                }
            }
        }
    }

    #[test]
    fn one_input_of_int8() {
        // Weights 1, -2, 3, -127 with 128 added, biases 0, an input of -5.
        let word = u32::from_le_bytes([129, 126, 131, 1]).to_le();
        let sums = int8(&[0; 12], &[word], &[-5], (-5i32).cast_unsigned());
        assert_eq!(sums, [-5, 10, -15, 635]);
    }
}
