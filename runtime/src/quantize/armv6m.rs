//! Quantization to int8, 72 instructions for a value; 36 more where each has a scale of its own.
//! It is `without_floats` of `mod.rs`.
//!
//! # Registers in the loop
//!
//! r0 the values; r1 y; r7 collects, in its top bit, whether a value might not be finite; r2 to r6 a
//! value; r8 0x80000000; of the scale: r9 the mantissa's upper 16 bits, r10 the lower 8, r11 277
//! less the exponent, r12 2^31 - 1 less the greatest exponent of a value that surely is finite once
//! scaled; lr the zero point plus 127. On the stack:
//!
//! | offset | |
//! |---|---|
//! | 0 | where the loop starts |
//! | 4 | the next pair |
//! | 8 | the scale, for its sign |
//! | 12 | in the top bit, whether the zero point is odd |
//! | 16 | the end of the values |

use core::arch::naked_asm;

/// A word whose top bit is set where a value might not be finite, or its scale is below `2^-105`.
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
        crate::assembly::save!(),
        "sub sp, #20",
        "str r1, [sp, #4]",
        "mov r1, r2",
        "lsls r3, r3, #2",
        "adds r3, r3, r0",
        "str r3, [sp, #16]",
        "ldr r4, [sp, #56]",
        "adr r3, 2f",
        "cmp r4, #0",
        "beq 3f",
        "adr r3, 1f",
        "3:",
        "str r3, [sp, #0]",
        "movs r7, #1",
        "lsls r7, r7, #31",
        "mov r8, r7",
        "movs r7, #0",
        ".p2align 2",
        "1:",
        "ldr r4, [sp, #4]",
        "ldm r4!, {{r2, r3}}",
        "str r4, [sp, #4]",
        "str r2, [sp, #8]",
        "lsls r4, r3, #31",
        "str r4, [sp, #12]",
        "ldr r4, 8f",
        "adds r3, r3, r4",
        "mov lr, r3",
        "lsls r3, r2, #8",
        "mov r4, r8",
        "orrs r3, r4",
        "lsls r5, r2, #1",
        "lsrs r5, r5, #24",
        "bne 3f",
        "movs r3, #0",
        "b 4f",
        // Below, the shift by what a zero has for an exponent would exceed 255.
        "3:",
        "cmp r5, #22",
        "bhs 4f",
        "mov r7, r8",
        "4:",
        "lsrs r4, r3, #16",
        "mov r9, r4",
        "lsrs r3, r3, #8",
        "uxtb r3, r3",
        "mov r10, r3",
        "movs r4, #255",
        "adds r4, #22",
        "subs r4, r4, r5",
        "mov r11, r4",
        "adds r4, #102",
        "cmp r4, #254",
        "ble 5f",
        "movs r4, #254",
        "5:",
        "mov r3, r8",
        "subs r3, #1",
        "subs r3, r3, r4",
        "mov r12, r3",
        "b 2f",
        ".p2align 2",
        "8:",
        ".long 127 - 0x4B400000",
        "2:",
        // The product of the mantissas: its upper 32 bits in r5, and r3 not zero if the lower 16
        // are not.
        "ldm r0!, {{r2}}",
        "lsls r3, r2, #8",
        "mov r4, r8",
        "orrs r3, r4",
        "lsrs r5, r3, #16",
        "lsrs r3, r3, #8",
        "uxtb r4, r2",
        "mov r6, r9",
        "muls r5, r6, r5",
        "muls r4, r6, r4",
        "mov r6, r10",
        "muls r3, r6, r3",
        "lsrs r6, r3, #8",
        "adds r4, r4, r6",
        "uxtb r3, r3",
        "uxtb r6, r4",
        "orrs r3, r6",
        "lsrs r4, r4, #8",
        "adds r5, r5, r4",
        // Its top bit to 2^30. A shift by zero leaves the carry, which is cleared first.
        "lsrs r4, r5, #31",
        "lsls r6, r4, #1",
        "lsrs r5, r4",
        "adcs r3, r3",
        // p: the 24 bits that the float product has, ties to even.
        "lsls r6, r5, #24",
        "lsrs r6, r6, #31",
        "orrs r6, r3",
        "subs r6, #1",
        "movs r6, #0x3F",
        "adcs r5, r6",
        "lsrs r5, r5, #7",
        // How many of them are fractional.
        "lsls r6, r2, #1",
        "lsrs r6, r6, #24",
        "adds r4, r4, r6",
        "add r6, r12",
        "orrs r7, r6",
        "mov r6, r11",
        "subs r4, r6, r4",
        "asrs r6, r4, #31",
        "bics r4, r6",
        "movs r6, #31",
        "subs r6, r6, r4",
        // The whole part, rounded. In r5 stands, above the fraction, whether the sum is odd.
        "movs r3, r5",
        "lsrs r3, r4",
        "lsls r5, r6",
        "ldr r4, [sp, #12]",
        "eors r5, r4",
        "mov r4, r8",
        "lsls r5, r5, #1",
        "sbcs r5, r4",
        "movs r4, #0",
        "adcs r3, r4",
        "ldr r4, [sp, #8]",
        "eors r2, r4",
        "asrs r2, r2, #31",
        "eors r3, r2",
        "subs r3, r3, r2",
        // 127 more than the output, so the clamp is from 0 to 254.
        "add r3, lr",
        "asrs r4, r3, #31",
        "bics r3, r4",
        "movs r4, #254",
        "subs r3, r4, r3",
        "asrs r4, r3, #31",
        "bics r3, r4",
        "movs r4, #127",
        "subs r3, r4, r3",
        "strb r3, [r1]",
        "adds r1, #1",
        "ldr r4, [sp, #16]",
        "cmp r0, r4",
        "beq 9f",
        "ldr r4, [sp, #0]",
        "mov pc, r4",
        "9:",
        "mov r0, r7",
        "add sp, #20",
        crate::assembly::restore!(),
    )
}
