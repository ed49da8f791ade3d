//! The packer: see `mod.rs` for the words.

use crate::blob::Operation;
use crate::isa::plain;
use crate::layer::{ROWS, Rows, words::put_words};

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
                plain::pack::nibbles(rows.weight(row, first), rows.weight(row, first + 16))
            } else {
                rows.weight(row, width * group + k).cast_unsigned()
            };
        }
    }
}
