//! Mve, for cores with vector instructions: four rows A, B, C, D to a block, interleaved by 16
//! bytes, so that each vector of inputs is loaded once for all of them.
//!
//! * int8: for 16 inputs 16 bytes of A, of B, of C, of D, two's complement.
//! * int4: for 32 inputs the same; input k of the 32 in the low nibble of byte k for k < 16, else
//!   in the high nibble of byte k - 16, two's complement.
//! * int16: for 8 inputs 8 bytes of A, of B, of C, of D, two's complement.
//!
//! What the last group lacks is zero. The head is the four biases.

#[cfg(feature = "int4")]
use super::plain::{high_nibble, low_nibble};
use super::{ROWS, Rows, put_words};
use super::{first_words, plain};
use crate::blob::Operation;

pub(crate) fn pack(operation: Operation, rows: &Rows, head: &mut [u8], weights: &mut [u8]) {
    put_words(
        head,
        core::array::from_fn::<u32, ROWS, _>(|row| rows.bias(row).cast_unsigned()),
    );
    let width = if operation == Operation::DenseInt16 {
        8
    } else {
        16
    };
    for (i, bytes) in weights.chunks_exact_mut(width).enumerate() {
        let (group, row) = (i / ROWS, i % ROWS);
        for (k, byte) in bytes.iter_mut().enumerate() {
            *byte = if operation == Operation::DenseInt4 {
                let first = 32 * group + k;
                plain::nibbles(rows.weight(row, first), rows.weight(row, first + 16))
            } else {
                rows.weight(row, width * group + k).cast_unsigned()
            };
        }
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
pub(crate) fn int8(head: &[u8], weights: &[u8], x: &[i8]) -> [i32; ROWS] {
    interleaved::<16, _>(head, weights, x, 16, |row, x| plain::dot(row, x))
}

/// The four sums of an int4 block.
#[cfg(feature = "int4")]
#[inline(always)]
pub(crate) fn int4(head: &[u8], weights: &[u8], x: &[i8]) -> [i32; ROWS] {
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
#[cfg(feature = "int16")]
#[inline(always)]
pub(crate) fn int16(head: &[u8], weights: &[u8], x: &[i16]) -> [i32; ROWS] {
    interleaved::<8, _>(head, weights, x, 8, |row, x| plain::dot(row, x))
}
