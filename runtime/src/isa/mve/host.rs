//! Blocks of the packing mve, at the speed of a host.

use crate::isa::plain::host as plain;
use crate::isa::plain::host::{high_nibble, low_nibble};
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
        WeightType::Int8 => int8(head, weights, view::int8s(x, inputs)),
        WeightType::Int4 => int4(head, weights, view::int8s(x, inputs)),
        WeightType::Int16 => int16(head, weights, view::int16s(x, inputs)),
    }
}

/// The four sums of a block of rows interleaved by `WIDTH` bytes, `dot` for each.
#[inline(always)]
fn interleaved<const WIDTH: usize, X>(
    head: &[u8],
    weights: &[u8],
    x: &[X],
    inputs: usize,
    dot: impl Fn(&[u8; WIDTH], &[X]) -> i32,
) -> [i32; ROWS] {
    let mut sums = first_words::<ROWS>(head).map(u32::cast_signed);
    let mut rows = weights.as_chunks::<WIDTH>().0.iter();
    for x in x.chunks(inputs) {
        for (sum, row) in sums.iter_mut().zip(&mut rows) {
            *sum = sum.wrapping_add(dot(row, x));
        }
    }
    sums
}

/// The four sums of an int8 block.
#[inline(always)]
fn int8(head: &[u8], weights: &[u8], x: &[i8]) -> [i32; ROWS] {
    interleaved::<16, _>(head, weights, x, 16, |row, x| plain::dot(row, x))
}

/// The four sums of an int4 block.
#[inline(always)]
fn int4(head: &[u8], weights: &[u8], x: &[i8]) -> [i32; ROWS] {
    interleaved::<16, _>(head, weights, x, 32, |row, x| {
        let (low, high) = x.split_at_checked(16).unwrap_or((x, &[]));
        let mut sum = 0i32;
        for (&w, &x) in row.iter().zip(low) {
            sum += low_nibble(w) * i32::from(x);
        }
        for (&w, &x) in row.iter().zip(high) {
            sum += high_nibble(w) * i32::from(x);
        }
        sum
    })
}

/// The four sums of an int16 block.
#[inline(always)]
fn int16(head: &[u8], weights: &[u8], x: &[i16]) -> [i32; ROWS] {
    interleaved::<8, _>(head, weights, x, 8, |row, x| plain::dot(row, x))
}
