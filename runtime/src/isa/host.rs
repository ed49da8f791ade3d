//! Every packing at the speed that a host is used to: block by block, inner loops that the
//! compiler vectorizes. Too large for a device.

use super::dsp::host as dsp;
use super::lane::host as lane;
use super::mve::host as mve;
use super::plain::host as plain;
use super::requantize::put;
use crate::layer::{ROWS, Shape, Step, words::words};
use crate::packing::Packing;

/// Runs a layer, or says that it must be run by other code.
pub(super) fn dense(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    let Some(weights) = step.layer.operation().weights() else {
        return false;
    };
    // Padding of the last word is not an input.
    let inputs = step.inputs;
    match step.layer.packing() {
        Packing::Plain => blocks(step, y, |head, w| plain::sums(weights, head, w, x, inputs)),
        Packing::Dsp => blocks(step, y, |head, w| dsp::sums(weights, head, w, x, inputs)),
        Packing::Lane => blocks(step, y, |head, w| lane::sums(weights, head, w, x, inputs)),
        Packing::Mve => blocks(step, y, |head, w| mve::sums(weights, head, w, x, inputs)),
    }
    true
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
