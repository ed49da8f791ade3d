//! Kernels in plain Rust, block by block: of every packing for hosts, where the compiler vectorizes the inner
//! loops, and of the packing lane for cores that have none in assembly.

#[cfg(not(target_os = "none"))]
use super::dsp::host as dsp;
use super::lane::host as lane;
#[cfg(not(target_os = "none"))]
use super::mve::host as mve;
#[cfg(not(target_os = "none"))]
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
        Packing::Lane => {
            let sum = lane::sum_of_inputs(weights, x, inputs);
            blocks(step, y, |head, w| {
                lane::sums(weights, head, w, x, inputs, sum)
            });
        }
        #[cfg(not(target_os = "none"))]
        Packing::Plain => blocks(step, y, |head, w| plain::sums(weights, head, w, x, inputs)),
        #[cfg(not(target_os = "none"))]
        Packing::Dsp => blocks(step, y, |head, w| dsp::sums(weights, head, w, x, inputs)),
        #[cfg(not(target_os = "none"))]
        Packing::Mve => blocks(step, y, |head, w| mve::sums(weights, head, w, x, inputs)),
        #[cfg(target_os = "none")]
        Packing::Plain | Packing::Dsp | Packing::Mve => return false,
    }
    true
}

/// Runs all blocks of a layer, `sums` giving the sums of one from its head and weights.
#[inline(always)]
fn blocks(step: &Step, y: &mut [u32], sums: impl Fn(&[u8], &[u8]) -> [i32; ROWS]) {
    let shape = Shape::of(step.layer.operation(), step.layer.packing());
    let mut units = 0..step.layer.units();
    // A block is never empty.
    for block in step.blocks.chunks_exact(step.block_len.max(1)) {
        let (head, body) = block.split_at_checked(shape.head_len()).unwrap_or_default();
        let weights = body.get(..shape.weights_len(step.inputs)).unwrap_or(&[]);
        let scales = words(step.scales(block));
        for ((sum, scale), unit) in sums(head, weights).into_iter().zip(scales).zip(&mut units) {
            put(step, sum, scale, unit, y);
        }
    }
}
