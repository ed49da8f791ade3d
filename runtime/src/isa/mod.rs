//! Layers of integer weights: one call is one whole layer, from its inputs to its finished outputs.
//!
//! A folder for each instruction set, or order of weights in flash, holds all that must fit together:
//!
//! * `pack` - what the words of a block are, and the packer
//! * `kernel` - the code for the core, in assembly
//! * `host` - the same sums for hosts, in loops that the compiler vectorizes
//!
//! [`dense`] picks the kernel of the core that the crate is built for when the layer has its packing and
//! lies aligned in memory, else [`portable`]: the same bits either way. Hosts have [`compiled`] for all
//! packings, under the same condition, so that tests reach both; cores without a kernel in assembly
//! have it for the packing lane.
//!
//! # The arithmetic
//!
//! * `acc = sum(w * q) + bias` in wrapping i32. The bias has the zero points folded in, that of the
//!   output too.
//! * Integer outputs: `requantize(acc)`, see [`requantize`], then the table if there is one.
//! * Float outputs: `acc as f32 * scale`, each operation rounded. Their activations are left to
//!   `activation`, over the whole output.

#[cfg(any(kernel = "dsp", kernel = "lane", kernel = "mve"))]
mod call;
#[cfg(compiled)]
mod compiled;
pub(crate) mod dsp;
mod lane;
mod mve;
mod plain;
pub(crate) mod portable;
pub(crate) mod requantize;

use crate::layer::Step;
#[cfg(not(target_os = "none"))]
use crate::{layer::Rows, packing::Packing, weight_type::WeightType};

/// Runs a layer.
///
/// # Shapes
///
/// * `x` - `[inputs]` of the element that operation and packing read, packed into words
/// * `y` - `[units]` of `step.layer.output()`, packed into words; may be longer
#[inline(always)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) {
    #[cfg(compiled)]
    if step.blocks.as_ptr().cast::<u32>().is_aligned() && compiled::dense(step, x, y) {
        return;
    }
    #[cfg(kernel = "dsp")]
    if dsp::kernel::dense(step, x, y) {
        return;
    }
    #[cfg(kernel = "lane")]
    if apart(step, x, y) {
        return;
    }
    #[cfg(kernel = "mve")]
    if mve::kernel::dense(step, x, y) {
        return;
    }
    // Elsewhere the verifier has refused what the core's own kernels do not run.
    if cfg!(portable) {
        portable::dense(step, x, y);
    }
}

/// [`lane::kernel::dense`], whose stack is free again before other code runs in its place: these cores
/// have the least memory and few registers.
#[cfg(kernel = "lane")]
#[inline(never)]
fn apart(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    lane::kernel::dense(step, x, y)
}

/// Packs the head and the weights of one block; both slices start zeroed.
#[cfg(not(target_os = "none"))]
pub(crate) fn pack(
    weight_type: WeightType,
    packing: Packing,
    rows: &Rows,
    head: &mut [u8],
    weights: &mut [u8],
) {
    match packing {
        Packing::Plain => plain::pack::pack(weight_type, rows, head, weights),
        Packing::Dsp => dsp::pack::pack(weight_type, rows, head, weights),
        Packing::Lane => lane::pack::pack(weight_type, rows, head, weights),
        Packing::Mve => mve::pack::pack(weight_type, rows, head, weights),
    }
}
