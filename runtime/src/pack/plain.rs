//! Plain: one row to a block, weight after weight, as two's-complement bytes.
//!
//! int4 has two weights to a byte, the first in the low nibble, two's complement.
//! What a row lacks to whole words is zero. The head is the bias.

use super::Rows;
use crate::blob::Operation;

pub(crate) fn pack(operation: Operation, rows: &Rows, head: &mut [u8], weights: &mut [u8]) {
    super::put_words(head, [rows.bias(0).cast_unsigned()]);
    for (i, byte) in weights.iter_mut().enumerate() {
        *byte = if operation == Operation::DenseInt4 {
            nibbles(rows.weight(0, 2 * i), rows.weight(0, 2 * i + 1))
        } else {
            rows.weight(0, i).cast_unsigned()
        };
    }
}

/// Two int4 weights in a byte.
pub(super) fn nibbles(low: i8, high: i8) -> u8 {
    (low.cast_unsigned() & 0x0F) | (high.cast_unsigned() << 4)
}

/// The dot product of int8 weights and inputs.
#[inline(always)]
pub(crate) fn dot<X: Copy + Into<i32>>(weights: &[u8], x: &[X]) -> i32 {
    weights.iter().zip(x).fold(0i32, |sum, (&w, &x)| {
        sum.wrapping_add(i32::from(w.cast_signed()).wrapping_mul(x.into()))
    })
}

/// The dot product of int4 weights and inputs.
#[cfg(feature = "int4")]
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

#[cfg(feature = "int4")]
#[inline(always)]
pub(super) fn low_nibble(byte: u8) -> i32 {
    i32::from((byte << 4).cast_signed() >> 4)
}

#[cfg(feature = "int4")]
#[inline(always)]
pub(super) fn high_nibble(byte: u8) -> i32 {
    i32::from(byte.cast_signed() >> 4)
}
