//! Quantization to int8 on cores with an FPU and DSP instructions: four values at a time, 8
//! instructions each. Compiled code takes 20, most of them to clamp.
//!
//! The sum `t = x * a + b` of a value has the result in its low bits (see `quantize.rs`). QSUB
//! takes off those of the rounder without wrapping where t is below zero, and SSAT clamps to
//! [-128, 127]. VMLA rounds the product and the sum, unlike VFMA: the bits are those of the
//! portable code.

use core::arch::naked_asm;

use super::Step;
use crate::blob::{Element, Operation};

/// What the kernels of the core read: the only form that is done here.
const OUTPUT: Element = if cfg!(kernel = "mve") {
    Element::Int8
} else {
    Element::Int8Wide
};

/// Quantizes the values of `x` in fours. Says how many it did, and whether all were finite.
#[inline(always)]
pub(crate) fn quantize(step: &Step, x: &[f32], y: &mut [u32]) -> (usize, bool) {
    let pairs = step.blocks.as_ptr().cast::<u32>();
    // Both may be longer than the layer.
    let fours = step.inputs >> 2;
    if step.output != OUTPUT
        || x.len() < step.inputs
        || y.len() < OUTPUT.words(step.inputs)
        || fours == 0
        || !pairs.is_aligned()
    {
        return (0, true);
    }
    // Four pairs for each four values, or always the same four.
    let stride = if step.operation == Operation::QuantizeFeatures {
        32
    } else {
        0
    };
    // SAFETY: x has `fours * 4` values, y room for as many; `pairs` is aligned, and the blocks of
    // such a layer are four pairs or one for each input.
    let check = unsafe { run(x.as_ptr(), pairs, y.as_mut_ptr(), fours, stride) };
    (fours * 4, check == 0.0)
}

/// Stores the four values, which are in the halfwords of r6 and r8.
#[cfg(kernel = "dsp")]
macro_rules! store {
    () => {
        "strd r6, r8, [r2], #8"
    };
}
#[cfg(kernel = "mve")]
macro_rules! store {
    () => {
        concat!(
            "pkhbt r7, r6, r8, lsl #16\n",
            "pkhtb r6, r8, r6, asr #16\n",
            "uxtb16 r7, r7\n",
            "uxtb16 r6, r6\n",
            "orr r7, r7, r6, lsl #8\n",
            "str r7, [r2], #4",
        )
    };
}

/// Zero where all are finite, else NaN.
///
/// * `x` - four floats for each of `fours`, which is at least one
/// * `pairs` - four pairs, then at each multiple of `stride` bytes
/// * `y` - four values of [`OUTPUT`] for each of `fours`
///
/// # Safety
///
/// All pointers are multiples of four and valid for that.
#[unsafe(naked)]
unsafe extern "C" fn run(
    x: *const f32,
    pairs: *const u32,
    y: *mut u32,
    fours: usize,
    stride: usize,
) -> f32 {
    naked_asm!(
        super::cpu!(),
        "push {{r4-r9, lr}}",
        "ldr r4, [sp, #28]",
        "movs r5, #0",
        // The check, and zero.
        "vmov s0, r5",
        "vmov s1, r5",
        // The bits of the rounder.
        "movt r5, #0x4B40",
        "mov.w r12, #0x00010001",
        "2:",
        "vldm r0!, {{s4-s7}}",
        "vldm r1, {{s8-s15}}",
        "add r1, r4",
        "vmla.f32 s9, s4, s8",
        "vmla.f32 s11, s5, s10",
        "vmla.f32 s13, s6, s12",
        "vmla.f32 s15, s7, s14",
        "vmov r6, s9",
        "vmov r7, s11",
        "vmov r8, s13",
        "vmov r9, s15",
        // Zero times t: NaN where it is not finite.
        "vmla.f32 s0, s9, s1",
        "vmla.f32 s0, s11, s1",
        "vmla.f32 s0, s13, s1",
        "vmla.f32 s0, s15, s1",
        "qsub r6, r6, r5",
        "qsub r7, r7, r5",
        "qsub r8, r8, r5",
        "qsub r9, r9, r5",
        "ssat r6, #8, r6",
        "ssat r7, #8, r7",
        "ssat r8, #8, r8",
        "ssat r9, #8, r9",
        "pkhbt r6, r6, r7, lsl #16",
        "pkhbt r8, r8, r9, lsl #16",
        // -128 becomes -127, as in dsp.rs.
        "qsub8 r6, r6, r12",
        "qsub8 r8, r8, r12",
        "sadd8 r6, r6, r12",
        "sadd8 r8, r8, r12",
        store!(),
        "subs r3, #1",
        "bne 2b",
        "pop {{r4-r9, pc}}",
    )
}
