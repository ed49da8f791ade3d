//! Quantization on cores with an FPU and DSP instructions: to int8 four values at a time, 8
//! instructions each. Compiled code takes 20, most of them to clamp. What is left of them, and
//! other elements, goes one by one, 25 instructions each.
//!
//! The sum `t = x * a + b` of a value has the result in its low bits (see `mod.rs`). QSUB
//! takes off those of the rounder without wrapping where t is below zero, and SSAT clamps to
//! [-128, 127]. VMLA rounds the product and the sum, unlike VFMA: the bits are those of the
//! portable code.

use core::arch::naked_asm;

use crate::blob::{Element, Operation};
use crate::layer::Step;

/// What the kernels of the core read: what is done in fours.
const OUTPUT: Element = if cfg!(kernel = "mve") {
    Element::Int8
} else {
    Element::Int8Wide
};

/// Quantizes the values of `x`. Says whether all were finite.
#[inline(always)]
pub(crate) fn quantize(step: &Step, x: &[f32], y: &mut [u32]) -> bool {
    // Both may be longer than the layer; shorter ones the verifier has ruled out.
    if x.len() < step.inputs || y.len() < step.layer.output().words(step.inputs) {
        return true;
    }
    let pairs = step.blocks.as_ptr();
    let fours = if step.layer.output() == OUTPUT && pairs.cast::<u32>().is_aligned() {
        step.inputs >> 2
    } else {
        0
    };
    // Four pairs for each four values, or always the same four.
    let stride = if step.layer.operation() == Operation::QuantizeFeatures {
        32
    } else {
        0
    };
    // SAFETY: x has that many values, y room for as many; the blocks of such a layer are four
    // pairs or one for each input, and aligned where there are fours.
    let check = unsafe {
        run(
            x.as_ptr(),
            pairs,
            y.as_mut_ptr(),
            fours,
            stride,
            step.inputs - fours * 4,
            step.layer.output().len(),
            step.layer.output().limit(),
        )
    };
    check == 0.0
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
/// * `x` - four floats for each of `fours`, and `ones` more
/// * `pairs` - four pairs, then at each multiple of `stride` bytes; aligned unless `fours` is zero
/// * `y` - four values of [`OUTPUT`] for each of `fours`, then `ones` of `len` bytes
/// * `limit` - the greatest integer where `len` is not four, that of floats
///
/// # Safety
///
/// `x` and `y` are multiples of four, and all pointers valid for that.
#[allow(clippy::too_many_arguments, reason = "registers and the stack's words")]
#[unsafe(naked)]
unsafe extern "C" fn run(
    x: *const f32,
    pairs: *const u8,
    y: *mut u32,
    fours: usize,
    stride: usize,
    ones: usize,
    len: usize,
    limit: i32,
) -> f32 {
    naked_asm!(
        crate::assembly::cpu!(),
        "push {{r4-r10, lr}}",
        "ldrd r4, r10, [sp, #32]",
        "movs r5, #0",
        // The check, and zero.
        "vmov s0, r5",
        "vmov s1, r5",
        // The bits of the rounder.
        "movt r5, #0x4B40",
        "mov.w r12, #0x00010001",
        // CBZ would not reach over `store`.
        "cmp r3, #0",
        "beq 3f",
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
        // -128 becomes -127, as in `isa/dsp`.
        "qsub8 r6, r6, r12",
        "qsub8 r8, r8, r12",
        "sadd8 r6, r6, r12",
        "sadd8 r8, r8, r12",
        store!(),
        "subs r3, #1",
        "bne 2b",
        "3:",
        "cmp r10, #0",
        "beq 5f",
        "ldrd r7, r8, [sp, #40]",
        "rsbs r9, r8, #0",
        "lsrs r4, r4, #2",
        "4:",
        "vldm r0!, {{s4}}",
        // VLDR would not read what lies misaligned.
        "ldr r3, [r1]",
        "ldr r6, [r1, #4]",
        "vmov s8, s9, r3, r6",
        "add r1, r4",
        "vmla.f32 s9, s4, s8",
        "vmla.f32 s0, s9, s1",
        "vmov r6, s9",
        "qsub r3, r6, r5",
        "cmp r3, r8",
        "it gt",
        "movgt r3, r8",
        "cmp r3, r9",
        "it lt",
        "movlt r3, r9",
        "cmp r7, #2",
        "it lo",
        "strblo r3, [r2]",
        "it eq",
        "strheq r3, [r2]",
        "it hi",
        "strhi r6, [r2]",
        "add r2, r7",
        "subs.w r10, r10, #1",
        "bne 4b",
        "5:",
        "pop {{r4-r10, pc}}",
    )
}
