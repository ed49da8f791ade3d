//! Quantization to int8 without an FPU, 36 instructions for a value; 19 more where each has a
//! scale of its own. It is `without_floats` of `mod.rs`.
//!
//! # Registers in the loop
//!
//! r0 the values; r2 y; r3 counts; of the scale: r4 its mantissa, r5 276 less its exponent, r6 its
//! bits, for the sign; r7 the zero point; r8 the greatest exponent of a value that surely is finite
//! once scaled; r9 collects, in its top bit, whether one exceeded that; r1 and r10 to lr a value.
//! On the stack, at 0, where the loop starts, and, at 4, the next pair.

use core::arch::naked_asm;

/// A word whose top bit is set where a value might not be finite.
///
/// * `x` - as many floats as `count`, which is at least one
/// * `pairs` - a pair, or if `own` is not zero one for each value
/// * `y` - as many bytes
///
/// # Safety
///
/// The pointers are multiples of four and valid for that.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn quantize(
    x: *const f32,
    pairs: *const u32,
    y: *mut u32,
    count: usize,
    own: usize,
) -> u32 {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldr r4, [sp, #36]",
        "movs r9, #0",
        "adr.w r5, 2f",
        "cbz r4, 3f",
        "adr.w r5, 1f",
        "3:",
        "add.w r5, r5, #1",
        "push {{r1, r4}}",
        "str r5, [sp, #0]",
        "str r1, [sp, #4]",
        ".p2align 2",
        "1:",
        "ldr r1, [sp, #4]",
        "ldrd r6, r7, [r1], #8",
        "str r1, [sp, #4]",
        "lsls r4, r6, #7",
        "orr r4, r4, #0x40000000",
        "bic r4, r4, #0x80000000",
        "ubfx r12, r6, #23, #8",
        "cmp r12, #0",
        "it eq",
        "moveq r4, #0",
        "rsb.w r5, r12, #276",
        "movw r8, #379",
        "sub.w r8, r8, r12",
        "cmp r8, #254",
        "it gt",
        "movgt r8, #254",
        // The bits of the rounder.
        "sub.w r7, r7, #0x4B000000",
        "sub.w r7, r7, #0x00400000",
        ".p2align 2",
        "2:",
        // The product of the mantissas, its top bit at 2^62.
        "ldr r10, [r0], #4",
        "ubfx r12, r10, #23, #8",
        "lsl.w r11, r10, #8",
        "orr r11, r11, #0x80000000",
        "umull lr, r11, r11, r4",
        "lsr.w r1, r11, #30",
        "eor r1, r1, #1",
        "lsl.w r11, r11, r1",
        // How many of the bits that p will have are fractional.
        "add r1, r5",
        "sub.w r1, r1, r12",
        "usat r1, #5, r1",
        "sub.w r12, r8, r12",
        "orr.w r9, r9, r12",
        // p: the 24 bits that the float product has, ties to even.
        "ubfx r12, r11, #7, #1",
        "orr.w r12, r12, lr",
        "cmp.w r12, #1",
        "adc r11, r11, #0x3F",
        "lsr.w r11, r11, #7",
        // Its whole part, rounded. In r11 stands, above the fraction, whether the sum is odd.
        "lsr.w lr, r11, r1",
        "rsb.w r1, r1, #31",
        "lsl.w r11, r11, r1",
        "eor.w r11, r11, r7, lsl #31",
        "lsls.w r11, r11, #1",
        "sbcs r11, r11, #0x80000000",
        "adc lr, lr, #0",
        "eor.w r10, r10, r6",
        "eor.w lr, lr, r10, asr #31",
        "sub.w lr, lr, r10, asr #31",
        "add lr, r7",
        // Clamped; -128 becomes -127.
        "ssat lr, #8, lr",
        "add.w r10, lr, #127",
        "sub.w lr, lr, r10, asr #31",
        "strb lr, [r2], #1",
        "subs r3, #1",
        "beq 9f",
        "ldr.w pc, [sp, #0]",
        "9:",
        "mov r0, r9",
        "add sp, #8",
        "pop {{r4-r11, pc}}",
    )
}
