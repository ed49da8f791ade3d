//! Blocks of the packing plain, at the speed of a host.

use crate::layer::{ROWS, view, words::first_words};
use crate::weight_type::WeightType;

/// The sum of a block, which has one row.
#[inline(always)]
pub(in crate::isa) fn sums(
    weight_type: WeightType,
    head: &[u8],
    weights: &[u8],
    x: &[u32],
    inputs: usize,
) -> [i32; ROWS] {
    let dot = match weight_type {
        WeightType::Int8 => dot(weights, view::int8s(x, inputs)),
        WeightType::Int4 => dot_nibbles(weights, view::int8s(x, inputs)),
        WeightType::Int16 => dot(weights, view::int16s(x, inputs)),
    };
    let [bias] = first_words::<1>(head);
    [dot.wrapping_add(bias.cast_signed()), 0, 0, 0]
}

/// The dot product of int8 weights and inputs.
#[inline(always)]
pub(crate) fn dot<X: Copy + Into<i32>>(weights: &[u8], x: &[X]) -> i32 {
    weights.iter().zip(x).fold(0i32, |sum, (&w, &x)| {
        sum.wrapping_add(i32::from(w.cast_signed()).wrapping_mul(x.into()))
    })
}

/// The dot product of int4 weights and inputs.
#[inline(always)]
pub(crate) fn dot_nibbles(weights: &[u8], x: &[i8]) -> i32 {
    let (pairs, last) = x.as_chunks::<2>();
    let mut sum = 0i32;
    for (&w, &[p, q]) in weights.iter().zip(pairs) {
        sum += low_nibble(w) * i32::from(p) + high_nibble(w) * i32::from(q);
    }
    if let (Some(&w), Some(&p)) = (weights.get(pairs.len()), last.first()) {
        sum += low_nibble(w) * i32::from(p);
    }
    sum
}

#[inline(always)]
pub(crate) fn low_nibble(byte: u8) -> i32 {
    i32::from((byte << 4).cast_signed() >> 4)
}

#[inline(always)]
pub(crate) fn high_nibble(byte: u8) -> i32 {
    i32::from(byte.cast_signed() >> 4)
}
