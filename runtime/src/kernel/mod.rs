//! Kernels: one call is one whole layer, from its inputs to its finished outputs.
//!
//! [`dense`] picks the fast kernel of the core that the crate is built for when the layer has its
//! packing and lies aligned in memory, else [`portable`]: the same bits either way. Hosts have
//! `host` for all packings, under the same condition, so that tests reach both. Each kernel is a
//! file of its own; it says whether it ran the layer.
//!
//! # The arithmetic
//!
//! * Integer layers: `acc = sum(w * q) + bias` in wrapping i32. The bias has the zero points
//!   folded in, that of the output too.
//! * Integer outputs: `requantize(acc)`, see `finish.rs`, then the table if there is one.
//! * Float outputs of integer layers: `acc as f32 * scale`, each operation rounded.
//! * Float layers: `bias + w0 * x0 + w1 * x1 ...` from left to right, each operation rounded.
//! * Activations of float outputs: `math.rs`, over the whole output.
//! * Operations on floats: `softfloat`, where they are not the core's own; f32 layers then in `soft`.
//!   They take the same number of instructions for all values that a row may have.

#[cfg(kernel = "dsp")]
mod dsp;
pub(crate) mod finish;
#[cfg(all(fpu_and_dsp, feature = "f32"))]
mod float;
#[cfg(fpu_and_dsp)]
mod fpu;
#[cfg(not(target_os = "none"))]
pub(crate) mod host;
#[cfg(kernel = "lane")]
mod lane;
#[cfg(kernel = "mve")]
mod mve;
pub(crate) mod portable;
pub(crate) mod quantize;
#[cfg(all(target_arch = "arm", not(target_abi = "eabihf"), feature = "f32"))]
mod soft;
pub(crate) mod view;
#[cfg(any(kernel = "dsp", kernel = "lane", kernel = "mve"))]
mod whole;

/// Tells the assembler of instructions that it may not take the target to have. Whether the core
/// has them, build.rs has decided.
#[cfg(all(kernel = "dsp", not(armv8m)))]
macro_rules! cpu {
    () => {
        ".cpu cortex-m4"
    };
}
#[cfg(all(kernel = "dsp", armv8m))]
macro_rules! cpu {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(kernel = "mve")]
macro_rules! cpu {
    () => {
        ".cpu cortex-m55"
    };
}
#[cfg(any(kernel = "dsp", kernel = "mve"))]
pub(crate) use cpu;

/// Pushes all registers that a function must leave as they were: nine words.
#[cfg(armv6m)]
macro_rules! save {
    () => {
        "push {{r4-r7, lr}}
        mov r4, r8
        mov r5, r9
        mov r6, r10
        mov r7, r11
        push {{r4-r7}}"
    };
}
/// Pops what `save` pushed, and returns.
#[cfg(armv6m)]
macro_rules! restore {
    () => {
        "pop {{r4-r7}}
        mov r8, r4
        mov r9, r5
        mov r10, r6
        mov r11, r7
        pop {{r4-r7, pc}}"
    };
}
#[cfg(armv6m)]
pub(crate) use {restore, save};

use crate::blob::{ALIGNMENT, Packed, Packing};
use crate::pack;

/// The packing of integer weights that the core has kernels for. A build that is not `portable` has no
/// other code for them.
pub(crate) const OWN: Packing = if cfg!(kernel = "dsp") {
    Packing::Dsp
} else if cfg!(kernel = "mve") {
    Packing::Mve
} else {
    Packing::Lane
};

/// A layer with its tensors, as kernels take it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    pub layer: Packed,
    pub inputs: usize,
    /// Bytes of a block; of a quantization, a pair.
    pub block_len: usize,
    /// Bytes at its end that are scales or multipliers.
    pub scales_len: usize,
    /// As `pack` has them, exactly so many bytes.
    pub blocks: &'a [u8],
    /// The activation table, empty where there is none.
    pub table: &'a [u8],
    /// The tensors of the layers behind it.
    pub behind: &'a [u8],
}

impl<'a> Step<'a> {
    /// Takes the layer's tensors from the start of those left. `None` where they do not suffice.
    #[inline(never)]
    pub fn take(layer: Packed, inputs: usize, tensors: &'a [u8]) -> Option<Self> {
        let shape = pack::Blocks::of(layer, inputs);
        let (blocks, rest) = tensors.split_at_checked(shape.len.checked_mul(shape.count)?)?;
        let (table, rest) = rest.split_at_checked(layer.table_len())?;
        let padding = (blocks.len() + table.len()).wrapping_neg() % ALIGNMENT;
        Some(Self {
            layer,
            inputs,
            block_len: shape.len,
            scales_len: shape.scales_len,
            blocks,
            table,
            behind: rest.get(padding..)?,
        })
    }

    /// The scales or multipliers of a block.
    #[inline(always)]
    pub fn scales<'b>(&self, block: &'b [u8]) -> &'b [u8] {
        block.get(self.block_len - self.scales_len..).unwrap_or(&[])
    }
}

/// Runs a dense layer.
///
/// Activations of float outputs are left to the caller.
///
/// # Shapes
///
/// * `x` - `[inputs]` of the element that operation and packing read, packed into words
/// * `y` - `[units]` of `step.layer.output()`, packed into words; may be longer
#[inline(always)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) {
    #[cfg(not(target_os = "none"))]
    if step.blocks.as_ptr().cast::<u32>().is_aligned() && host::dense(step, x, y) {
        return;
    }
    #[cfg(kernel = "dsp")]
    if dsp::dense(step, x, y) {
        return;
    }
    #[cfg(kernel = "lane")]
    if apart(step, x, y) {
        return;
    }
    #[cfg(kernel = "mve")]
    if mve::dense(step, x, y) {
        return;
    }
    #[cfg(all(fpu_and_dsp, feature = "f32"))]
    if float::dense(step, x, y) {
        return;
    }
    #[cfg(all(target_arch = "arm", not(target_abi = "eabihf"), feature = "f32"))]
    if soft::dense(step, x, y) {
        return;
    }
    portable::dense(step, x, y);
}

/// [`lane::dense`], whose stack is free again before other code runs in its place: these cores have
/// the least memory and few registers.
#[cfg(kernel = "lane")]
#[inline(never)]
fn apart(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    lane::dense(step, x, y)
}
