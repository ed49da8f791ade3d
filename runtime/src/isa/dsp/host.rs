//! Blocks of the packing dsp, at the speed of a host.

use super::solve;
use super::solve_int4;
use crate::layer::{ROWS, view, words::first_words};
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
        WeightType::Int8 => int8(head, weights, view::int16s(x, inputs)),
        WeightType::Int4 => int4(head, weights, view::int16s(x, inputs)),
        WeightType::Int16 => int16(head, weights, view::int16s(x, inputs)),
    }
}

/// The four sums of an int8 block.
#[inline(always)]
fn int8(head: &[u8], weights: &[u8], x: &[i16]) -> [i32; ROWS] {
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

/// The four sums of an int4 block.
#[inline(always)]
fn int4(head: &[u8], weights: &[u8], x: &[i16]) -> [i32; ROWS] {
    let mut sums = solve_int4(first_words(head));
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
#[inline(always)]
fn int16(head: &[u8], weights: &[u8], x: &[i16]) -> [i32; ROWS] {
    let mut sums = first_words::<ROWS>(head).map(u32::cast_signed);
    let [a, b, c, d] = &mut sums;
    for (pair, x) in weights.as_chunks::<8>().0.iter().zip(x.chunks(2)) {
        let &[ap, bp, aq, bq, cp, dp, cq, dq] = pair;
        for (&x, [low_a, high_b, low_c, high_d]) in
            x.iter().zip([[ap, bp, cp, dp], [aq, bq, cq, dq]])
        {
            let x = i32::from(x);
            let add = |low_sum: &mut i32, high_sum: &mut i32, low: u8, high: u8| {
                // The upper byte has lent one where the lower is negative.
                let high = i32::from(high.cast_signed()) + i32::from(low >> 7);
                *low_sum = low_sum.wrapping_add(i32::from(low.cast_signed()) * x);
                *high_sum = high_sum.wrapping_add(high * x);
            };
            add(a, b, low_a, high_b);
            add(c, d, low_c, high_d);
        }
    }
    sums
}
