//! f32 blocks for Armv7-M and Armv8-M Mainline without an FPU.
//!
//! # Instructions
//!
//! 69 for a multiply-accumulate whose weight is a normal number, 26 for an input beside that, 37
//! for a row. Weights that are zero or subnormal take 18 more: no input does. What is rare,
//! a product or a sum that is infinite or NaN, has a path of its own of the same length.
//!
//! # Registers
//!
//! r0 the weights; r1 the inputs; r2 the sums, r3 their end; of an input: r4 the mantissa with its
//! top bit at 2^31, r5 the exponent less 126, r6 the bits, for the sign. An exponent is beyond
//! -900 where the value is zero, around 4000 for infinity and 20000 for NaN, so that a product's
//! says what it is. On the stack:
//!
//! | offset | |
//! |---|---|
//! | 0 | up to four sums |
//! | 48 | the end of the inputs |
//! | 52 | y |

use core::arch::naked_asm;

/// The exponent in `$e` and the mantissa in `$m` of the bits in `$bits`, normal or not.
macro_rules! unpack {
    ($bits:literal, $e:literal, $m:literal, $temporary:literal) => {
        concat!(
            "ubfx ",
            $e,
            ", ",
            $bits,
            ", #23, #8\n",
            "lsl.w ",
            $m,
            ", ",
            $bits,
            ", #8\n",
            "cmp ",
            $e,
            ", #0\n",
            "ite ne\n",
            "orrne ",
            $m,
            ", ",
            $m,
            ", #0x80000000\n",
            "moveq ",
            $e,
            ", #1\n",
            "clz ",
            $temporary,
            ", ",
            $m,
            "\n",
            "lsl.w ",
            $m,
            ", ",
            $m,
            ", ",
            $temporary,
            "\n",
            "sub.w ",
            $e,
            ", ",
            $e,
            ", ",
            $temporary,
            "\n",
            "cmp ",
            $m,
            ", #0\n",
            "it eq\n",
            "subweq ",
            $e,
            ", ",
            $e,
            ", #1000\n",
            "lsl.w ",
            $temporary,
            ", ",
            $bits,
            ", #1\n",
            "cmp ",
            $temporary,
            ", #0xFF000000\n",
            "it hs\n",
            "addwhs ",
            $e,
            ", ",
            $e,
            ", #3744\n",
            "it hi\n",
            "movwhi ",
            $e,
            ", #20000\n",
        )
    };
}

/// Computes `y[j] = bias[j] + w[0][j] * x[0] + w[1][j] * x[1] ...` from left to right. Gives back
/// the end of the weights.
///
/// * `weights` - `rows` biases, then as many weights for each input
/// * `x`, `x_end` - the inputs, at least one
/// * `y` - `rows` words, one to four
///
/// # Safety
///
/// All pointers are multiples of four and valid for that.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn block(
    weights: *const u32,
    x: *const u32,
    x_end: *const u32,
    y: *mut u32,
    rows: usize,
) -> *const u32 {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldr.w r12, [sp, #36]",
        "sub sp, #60",
        "strd r2, r3, [sp, #48]",
        "mov r2, sp",
        "add.w r12, r12, r12, lsl #1",
        "add.w r3, r2, r12, lsl #2",
        // The biases.
        "2:",
        "ldr.w lr, [r0], #4",
        "lsl.w r9, lr, #9",
        "lsr.w r9, r9, #3",
        "ubfx r12, lr, #23, #8",
        "cmp.w r12, #0",
        "itt ne",
        "subne.w r12, r12, #1",
        "orrne r9, r9, #0x20000000",
        "lsl.w r8, lr, #1",
        "cmp r8, #0xFF000000",
        "it hi",
        "movwhi r12, #1000",
        "eor.w r9, r9, lr, asr #31",
        "sub.w r9, r9, lr, asr #31",
        "stm r2!, {{r9, r12, lr}}",
        "cmp r2, r3",
        "bne 2b",
        // An input.
        "3:",
        "ldr r6, [r1], #4",
        unpack!("r6", "r5", "r4", "r7"),
        "subs r5, #126",
        "mov r2, sp",
        // A weight.
        ".p2align 2",
        "4:",
        "ldr r7, [r0], #4",
        "ubfx r8, r7, #23, #8",
        "sub.w r8, r8, #1",
        "cmp.w r8, #254",
        "bhs.w 20f",
        "lsl.w r9, r7, #8",
        "orr r9, r9, #0x80000000",
        // The product, its top bit at 2^63, and its exponent less one.
        "5:",
        "umull r10, r9, r4, r9",
        "eor r7, r7, r6",
        "add r8, r5",
        "clz r11, r9",
        "lsl.w r9, r9, r11",
        "sub.w r8, r8, r11",
        // Rounded to 24 bits, or fewer where the exponent would be below zero: ties to even.
        "usat r11, #8, r8",
        "sub.w r12, r11, r8",
        "add.w r12, r12, #8",
        "rsb.w lr, r12, #32",
        "lsl.w lr, r9, lr",
        "lsr.w r9, r9, r12",
        "orr.w lr, lr, r10, lsr #16",
        "cmp.w lr, #0x80000000",
        "adc r9, r9, #0",
        "it eq",
        "biceq r9, r9, #1",
        "add.w lr, r11, r9, lsr #24",
        "cmp.w lr, #254",
        "bhs.w 30f",
        // As a sum has it.
        "lsl.w r9, r9, #6",
        "eor.w r9, r9, r7, asr #31",
        "sub.w r9, r9, r7, asr #31",
        "ldm r2, {{r10, r12, lr}}",
        "cmp.w r12, #254",
        "bhs.w 40f",
        "and.w lr, lr, r7",
        // The one of the greater exponent in r10, that in r12.
        "subs.w r8, r12, r11",
        "eor.w r7, r10, r9",
        "itttt mi",
        "eormi.w r9, r9, r7",
        "eormi.w r10, r10, r7",
        "rsbmi.w r8, r8, #0",
        "movmi r12, r11",
        // The other one shifted; what is lost leaves a bit set.
        "add.w r8, r8, #2",
        "rsb.w r11, r8, #32",
        "lsls.w r11, r9, r11",
        "asr.w r9, r9, r8",
        "it ne",
        "orrne r9, r9, #1",
        // The sum, its top bit at 2^29 or lower.
        "add.w r9, r9, r10, asr #2",
        // Its top bit to 2^29, as far as the exponent goes; of zero as far as it goes.
        "eors.w r11, r9, r9, asr #31",
        "clz r11, r11",
        "add.w r12, r12, #4",
        "it ne",
        "cmpne r12, r11",
        "it ls",
        "movls r11, r12",
        "sub.w r12, r12, r11",
        "sub.w r11, r11, #2",
        "lsl.w r9, r9, r11",
        // Rounded to 24 bits, ties to even.
        "ubfx r8, r9, #6, #1",
        "add r9, r8",
        "add.w r9, r9, #0x1F",
        "bic r9, r9, #0x3F",
        // 2^30 is 2^29 of the next exponent. Zero too, which does no harm.
        "lsls.w r8, r9, #2",
        "itt eq",
        "asreq.w r9, r9, #1",
        "addeq.w r12, r12, #1",
        "6:",
        "stm r2!, {{r9, r12, lr}}",
        "cmp r2, r3",
        "bne.w 4b",
        "ldr r7, [sp, #48]",
        "cmp r1, r7",
        "bne.w 3b",
        // To floats.
        "ldr.w r8, [sp, #52]",
        "mov r2, sp",
        "7:",
        "ldm r2!, {{r9, r12, lr}}",
        "cmp.w r9, #0",
        "ite eq",
        "moveq.w r12, #0",
        "movne lr, r9",
        "eor.w r10, r9, r9, asr #31",
        "sub.w r10, r10, r9, asr #31",
        "lsr.w r10, r10, #6",
        "add.w r10, r10, r12, lsl #23",
        "cmp.w r12, #254",
        "it hs",
        "movhs.w r10, #0x7F800000",
        "cmp.w r12, #1000",
        "it hs",
        "orrhs r10, r10, #0x00400000",
        "lsr.w lr, lr, #31",
        "orr.w r10, r10, lr, lsl #31",
        "str r10, [r8], #4",
        "cmp r2, r3",
        "bne 7b",
        "add sp, #60",
        "pop {{r4-r11, pc}}",
        // A weight that is not a normal number.
        "20:",
        unpack!("r7", "r8", "r9", "r10"),
        "sub.w r8, r8, #1",
        "b.w 5b",
        // The product is infinite or NaN. As many instructions as else from here to 6.
        "30:",
        "ldm r2, {{r10, r12, lr}}",
        "and.w lr, lr, r7",
        "mov.w r9, #0x20000000",
        "eor.w r9, r9, r7, asr #31",
        "sub.w r9, r9, r7, asr #31",
        "mov.w r11, #254",
        // Zero times infinity, and NaN.
        "subw r7, r8, #1000",
        "cmp.w r7, #2560",
        "it lo",
        "movwlo r11, #1000",
        "cmp.w r8, #16384",
        "it hs",
        "movwhs r11, #1000",
        // The sum was NaN, or infinity of the other sign.
        "cmp.w r12, #1000",
        "it hs",
        "movwhs r11, #1000",
        "eor.w r10, r10, r9",
        "lsr.w r10, r10, #31",
        "cmp.w r12, #254",
        "it hs",
        "cmphs.w r10, #1",
        "it eq",
        "movweq r11, #1000",
        "mov r12, r11",
        "nop",
        "movs r7, #6",
        "2:",
        "subs r7, #1",
        "bne 2b",
        "b.w 6b",
        // The sum was infinite or NaN and stays so. As many instructions, too.
        "40:",
        "mov r9, r10",
        "movs r7, #15",
        "2:",
        "subs r7, #1",
        "bne 2b",
        "b.w 6b",
    )
}
