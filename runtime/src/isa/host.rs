//! Every packing at the speed that a host is used to: block by block, inner loops that the
//! compiler vectorizes. Too large for a device.

use super::dsp::host as dsp;
use super::lane::host as lane;
use super::mve::host as mve;
use super::plain::host as plain;
use super::requantize::put;
use crate::blob::{Operation, Packing};
use crate::layer::{
    ROWS, Shape, Step, view,
    words::{first_words, words},
};

/// Runs a layer of integers.
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    // Padding of the last word is not an input.
    let x8 = || view::int8(x).get(..step.inputs).unwrap_or(&[]);
    let x16 = || view::int16(x).get(..step.inputs).unwrap_or(&[]);
    match (step.layer.operation(), step.layer.packing()) {
        (Operation::DenseInt8, Packing::Plain) => {
            let x = x8();
            blocks(step, y, |head, w| row(head, plain::dot(w, x)));
        }
        (Operation::DenseInt8, Packing::Dsp) => {
            let x = x16();
            blocks(step, y, |head, w| dsp::int8(head, w, x));
        }
        (Operation::DenseInt8, Packing::Lane) => {
            let x = x8();
            blocks(step, y, |head, w| lane::int8(head, w, x));
        }
        (Operation::DenseInt8, Packing::Mve) => {
            let x = x8();
            blocks(step, y, |head, w| mve::int8(head, w, x));
        }
        #[cfg(feature = "int4")]
        (Operation::DenseInt4, Packing::Plain) => {
            let x = x8();
            blocks(step, y, |head, w| row(head, plain::dot_nibbles(w, x)));
        }
        #[cfg(feature = "int4")]
        (Operation::DenseInt4, Packing::Dsp) => {
            let x = x16();
            blocks(step, y, |head, w| dsp::int4(head, w, x));
        }
        #[cfg(feature = "int4")]
        (Operation::DenseInt4, Packing::Lane) => {
            let x = x8();
            blocks(step, y, |head, w| lane::int4(head, w, x));
        }
        #[cfg(feature = "int4")]
        (Operation::DenseInt4, Packing::Mve) => {
            let x = x8();
            blocks(step, y, |head, w| mve::int4(head, w, x));
        }
        #[cfg(feature = "int16")]
        (Operation::DenseInt16, Packing::Plain) => {
            let x = x16();
            blocks(step, y, |head, w| row(head, plain::dot(w, x)));
        }
        #[cfg(feature = "int16")]
        (Operation::DenseInt16, Packing::Dsp) => {
            let x = x16();
            blocks(step, y, |head, w| dsp::int16(head, w, x));
        }
        #[cfg(feature = "int16")]
        (Operation::DenseInt16, Packing::Lane) => {
            let x = x16();
            blocks(step, y, |head, w| lane::int16(head, w, x));
        }
        #[cfg(feature = "int16")]
        (Operation::DenseInt16, Packing::Mve) => {
            let x = x16();
            blocks(step, y, |head, w| mve::int16(head, w, x));
        }
        _ => return false,
    }
    true
}

/// The sums of a block that has one row.
#[inline(always)]
fn row(head: &[u8], dot: i32) -> [i32; ROWS] {
    let [bias] = first_words::<1>(head);
    [dot.wrapping_add(bias.cast_signed()), 0, 0, 0]
}

/// Runs all blocks of a layer, `sums` giving the sums of one from its head and weights.
#[inline(always)]
fn blocks(step: &Step, y: &mut [u32], sums: impl Fn(&[u8], &[u8]) -> [i32; ROWS]) {
    let shape = Shape::of(step.layer.operation(), step.layer.packing());
    let mut units = 0..step.layer.units();
    for block in step.blocks.chunks_exact(step.block_len) {
        let (head, body) = block.split_at(shape.head_len());
        let (weights, _) = body.split_at(shape.weights_len(step.inputs));
        let scales = words(step.scales(block));
        for ((sum, scale), unit) in sums(head, weights).into_iter().zip(scales).zip(&mut units) {
            put(step, sum, scale, unit, y);
        }
    }
}
