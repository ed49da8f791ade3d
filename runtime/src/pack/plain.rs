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
