//! How a layer is run by a kernel in assembly: what all of them have around their loops over blocks.

use super::requantize::put;
#[cfg(feature = "int16")]
use super::requantize::{entries, interpolate};
use crate::blob::{Activation, Element};
use crate::float;
use crate::layer::{ROWS, Step, view, words::words};

/// How a kernel ends a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Finish {
    /// Four integers, as the kernel's inputs lie in memory.
    Integers,
    /// Four sums, a word each.
    Sums,
    /// Four floats.
    #[cfg_attr(not(fpu), allow(dead_code, reason = "only where the core has floats"))]
    Floats,
}

/// Runs the blocks of a layer.
///
/// * `x`, `count` - the inputs, and how many of what the kernel counts, at least one
/// * `finish` - as [`Finish`] has it
/// * `y`, `y_end` - where the outputs of the blocks go: all of four rows
/// * `rest` - null, or room for the outputs of one block more, the last
///
/// # Safety
///
/// All pointers are multiples of four and valid for what the arguments above say.
pub(crate) type Kernel = unsafe extern "C" fn(
    blocks: *const u32,
    x: *const u32,
    count: usize,
    finish: u32,
    y: *mut u32,
    y_end: *mut u32,
    rest: *mut u32,
);

/// A kernel with what is the same for all blocks.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub kernel: Kernel,
    /// What the kernel writes as integers.
    pub integer: Element,
    pub x: &'a [u32],
    /// Of the inputs, as the kernel counts them.
    pub count: usize,
}

impl Call<'_> {
    /// Runs blocks from `start` on.
    ///
    /// # Safety
    ///
    /// As [`Kernel`], for the blocks and the outputs.
    #[inline(always)]
    unsafe fn blocks(&self, start: *const u32, finish: Finish, y: &mut [u32], rest: *mut u32) {
        let ends = y.as_mut_ptr_range();
        // SAFETY: x has what the kernel reads for `count`, which is what this was made with; the
        // caller has the rest.
        unsafe {
            (self.kernel)(
                start,
                self.x.as_ptr(),
                self.count,
                finish as u32,
                ends.start,
                ends.end,
                rest,
            );
        }
    }
}

/// Runs a layer by blocks of four rows.
///
/// # Safety
///
/// `call.x` has what the kernel reads for so many inputs, and `step.blocks` are of its packing.
#[inline(always)]
pub(crate) unsafe fn run(step: &Step, y: &mut [u32], call: Call) -> bool {
    let start = step.blocks.as_ptr().cast::<u32>();
    if !start.is_aligned() {
        return false;
    }
    let (finish, block) = if step.layer.output() == call.integer {
        (Finish::Integers, call.integer.words(ROWS))
    } else if step.layer.output() != Element::Float {
        // SAFETY: as for this function.
        return unsafe { each(step, y, call.kernel, call.x, call.count) };
    } else if cfg!(fpu) {
        (Finish::Floats, ROWS)
    } else {
        (Finish::Sums, ROWS)
    };
    let whole = ((step.layer.units() + 3) >> 2) * block;
    if let Some(y) = y.get_mut(..whole) {
        // SAFETY: the blocks are those of the layer's units, y has room for their outputs.
        unsafe { call.blocks(start, finish, y, core::ptr::null_mut()) };
    } else if let Some((full, rest)) = y.split_at_mut_checked(whole - block) {
        // The last block's outputs go elsewhere, since y has no room for all of them.
        let mut last = [0; ROWS];
        // SAFETY: as above, with that room.
        unsafe { call.blocks(start, finish, full, last.as_mut_ptr()) };
        // A loop would become a call of memcpy, which is large.
        let [a, b, c, _] = last;
        match rest {
            [y0] => *y0 = a,
            [y0, y1] => (*y0, *y1) = (a, b),
            [y0, y1, y2] => (*y0, *y1, *y2) = (a, b, c),
            _ => {}
        }
    }
    if finish == Finish::Sums {
        scale(step, y);
    } else if step.layer.activation_number() == Activation::Table as u8
        && finish == Finish::Integers
    {
        look_up(step, y);
    }
    true
}

/// Integers that the kernel cannot write: it gives the sums, block by block.
///
/// # Safety
///
/// As [`run`], for a [`Call`] of the same kernel, inputs and count.
// It is rare, and takes more registers and stack than the rest. With a `Call` by reference, every
// layer would write one to the stack.
#[inline(never)]
unsafe fn each(step: &Step, y: &mut [u32], kernel: Kernel, x: &[u32], count: usize) -> bool {
    // Without int16 layers, only a blob that mixes packings comes here.
    if !cfg!(feature = "int16") {
        return false;
    }
    let mut units = 0..step.layer.units();
    let mut rest = step.blocks;
    while let Some((block, next)) = rest.split_at_checked(step.block_len) {
        rest = next;
        let mut sums = [0u32; ROWS];
        // SAFETY: x has what the kernel reads; it is a block of the layer, and the sums are of one.
        unsafe {
            let call = Call {
                kernel,
                integer: Element::Int8,
                x,
                count,
            };
            call.blocks(
                block.as_ptr().cast(),
                Finish::Sums,
                &mut sums,
                core::ptr::null_mut(),
            );
        }
        let scales = words(step.scales(block));
        for ((sum, scale), unit) in sums.into_iter().zip(scales).zip(&mut units) {
            put(step, sum.cast_signed(), scale, unit, y);
        }
    }
    true
}

/// Sums to floats.
#[inline(always)]
fn scale(step: &Step, y: &mut [u32]) {
    let mut rest = step.blocks;
    let mut units = y.iter_mut().take(step.layer.units());
    while let Some((block, next)) = rest.split_at_checked(step.block_len) {
        rest = next;
        for (scale, sum) in words(step.scales(block)).zip(&mut units) {
            *sum = float::scale(sum.cast_signed(), f32::from_bits(scale)).to_bits();
        }
    }
}

/// Integers to those that the table has for them.
#[inline(always)]
fn look_up(step: &Step, y: &mut [u32]) {
    #[cfg(feature = "int16")]
    if step.layer.output() == Element::Int16 {
        for y in view::int16_mut(y).iter_mut().take(step.layer.units()) {
            *y = interpolate((*y).into(), entries(step.table)) as i16; // between two i16
        }
        return;
    }
    let entry = |byte: u8| step.table.get(usize::from(byte)).copied().unwrap_or(0);
    if step.layer.output() == Element::Int8 {
        for y in view::int8_mut(y).iter_mut().take(step.layer.units()) {
            *y = entry(y.cast_unsigned()).cast_signed();
        }
    } else {
        for y in view::int16_mut(y).iter_mut().take(step.layer.units()) {
            // The value is that of its low byte.
            *y = entry(*y as u8).cast_signed().into();
        }
    }
}
