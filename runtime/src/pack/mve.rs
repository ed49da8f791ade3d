//! Mve, for cores with vector instructions: four rows A, B, C, D to a block, interleaved by 16
//! bytes, so that each vector of inputs is loaded once for all of them.
//!
//! * int8: for 16 inputs 16 bytes of A, of B, of C, of D, two's complement.
//! * int4: for 32 inputs the same; input k of the 32 in the low nibble of byte k for k < 16, else
//!   in the high nibble of byte k - 16, two's complement.
//! * int16: for 8 inputs 8 bytes of A, of B, of C, of D, two's complement.
//!
//! What the last group lacks is zero. The head is the four biases.

use super::{ROWS, Rows, plain, put_words};
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
