//! What takes Cortex-M0 many instructions in Rust.

use core::arch::naked_asm;

/// Zeros above the top bit, of zero 31, in 18 instructions.
///
/// All the bits below the top one are set; then a product has five bits that tell them apart.
#[unsafe(naked)]
pub(super) extern "C" fn leading_zeros(value: u32) -> u32 {
    naked_asm!(
        "lsrs r1, r0, #1",
        "orrs r0, r1",
        "lsrs r1, r0, #2",
        "orrs r0, r1",
        "lsrs r1, r0, #4",
        "orrs r0, r1",
        "lsrs r1, r0, #8",
        "orrs r0, r1",
        "lsrs r1, r0, #16",
        "orrs r0, r1",
        "ldr r1, 2f",
        "muls r0, r1, r0",
        "lsrs r0, r0, #27",
        "adr r1, 3f",
        "ldrb r0, [r1, r0]",
        "bx lr",
        ".p2align 2",
        "2:",
        ".long 0x07C4ACDD",
        "3:",
        ".byte 31, 22, 30, 21, 18, 10, 29, 2",
        ".byte 20, 17, 15, 13, 9, 6, 28, 1",
        ".byte 23, 19, 11, 3, 16, 14, 7, 24",
        ".byte 12, 4, 8, 25, 5, 26, 27, 0",
    )
}

/// The high word of a product, in 19 instructions: four products of halves.
#[unsafe(naked)]
pub(super) extern "C" fn multiply_high(a: u32, b: u32) -> u32 {
    naked_asm!(
        "lsrs r2, r0, #16",
        "uxth r0, r0",
        "lsrs r3, r1, #16",
        "uxth r1, r1",
        "mov r12, r0",
        "muls r0, r1, r0",
        "lsrs r0, r0, #16",
        "muls r1, r2, r1",
        // Neither this sum nor the next exceeds a word.
        "adds r1, r1, r0",
        "muls r2, r3, r2",
        "mov r0, r12",
        "muls r0, r3, r0",
        "uxth r3, r1",
        "adds r0, r0, r3",
        "lsrs r0, r0, #16",
        "lsrs r1, r1, #16",
        "adds r2, r2, r1",
        "adds r0, r0, r2",
        "bx lr",
    )
}
