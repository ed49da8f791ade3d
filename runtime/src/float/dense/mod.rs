//! Layers of f32 weights: `bias + w0 * x0 + w1 * x1 ...` from left to right, each operation rounded.
//! Activations are left to `activation`, over the whole output.

mod blocks;
#[cfg(fpu_and_dsp)]
mod fpu;
#[cfg(all(fpu, kernel = "mve"))]
mod mve;
#[cfg(all(target_arch = "arm", not(fpu)))]
mod soft;

use super::NATIVE;
use crate::layer::{ROWS, Step, view};

/// Runs a layer.
///
/// # Shapes
///
/// * `x` - `[inputs]` floats, as their bits
/// * `y` - `[units]` floats; may be longer
#[inline(always)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) {
    #[cfg(fpu_and_dsp)]
    if fpu::dense(step, x, y) {
        return;
    }
    #[cfg(all(target_arch = "arm", not(fpu)))]
    if soft::dense(step, x, y) {
        return;
    }
    // Else `soft` has run it: what lies misaligned is refused.
    if NATIVE || cfg!(portable) {
        portable(step, view::floats(x), view::floats_mut(y));
    }
}

/// Every layer by compiled code.
#[inline(never)]
fn portable(step: &Step, x: &[f32], y: &mut [f32]) {
    let x = x.get(..step.inputs).unwrap_or(x);
    let mut blocks = step.blocks;
    let y = y.get_mut(..step.layer.units()).unwrap_or_default();
    if !NATIVE {
        // Short rather than fast: `soft` runs all that lies aligned.
        for y in y.chunks_mut(ROWS) {
            let rows = y.len();
            let (block, rest) = blocks
                .split_at_checked((x.len() + 1) * rows * 4)
                .unwrap_or_default();
            blocks = rest;
            for (row, y) in y.iter_mut().enumerate() {
                *y = blocks::sum(block, x, rows, row);
            }
        }
        return;
    }
    let (fours, last) = y.as_chunks_mut::<{ ROWS }>();
    for y in fours {
        let (block, rest) = blocks
            .split_at_checked(16 + x.len() * 16)
            .unwrap_or_default();
        blocks = rest;
        *y = blocks::sums(block, x);
    }
    match last {
        [a] => [*a] = blocks::sums(blocks, x),
        [a, b] => [*a, *b] = blocks::sums(blocks, x),
        [a, b, c] => [*a, *b, *c] = blocks::sums(blocks, x),
        _ => {}
    }
}
