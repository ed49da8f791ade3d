//! Lane for Armv7-M and Armv8-M Mainline, without DSP instructions.
//!
//! # Instructions
//!
//! * 49 for eight inputs of four rows (32 multiply-accumulates): a load of eight words of
//!   weights, and six for each input: its load, MLA, REV, MLA, LSR, MLA. The loop has four times
//!   that, so its end costs three instructions in 199. It is entered in the middle where the
//!   inputs are not a multiple of 32; up to seven inputs are left for the code behind it.
//! * 46 for four outputs beside that: starting the sums (6), two jumps, taking them apart (10),
//!   and six for each to be requantized, clamped and stored.
//! * About 50 for a layer, and 18 for eight inputs: their sum, since the weights have 128 added.
//!
//! # Registers in the loop
//!
//! r0, r1, r2 the sums e0, e1, e2; r3 an input; r4 to r11 words of weights; r12 the blocks; lr
//! the inputs. All else is on the stack:
//!
//! | offset | |
//! |---|---|
//! | 0 | 128 times the sum of the inputs, times 0x0101 and, at 4, 0x01010101 |
//! | 8 | where to enter the loop |
//! | 12 | the inputs |
//! | 16 | the end of those that the loop takes |
//! | 20 | where to go on behind the loop |
//! | 24 | where to go on with the sums |
//! | 28 | saved registers |
//! | 64 | y |
//! | 68 | the end of y |
//! | 72 | where the last block's outputs go if y has no room for all of them, then 0 |

use core::arch::naked_asm;

/// One input: its word of weights in `$w`, which is lost.
macro_rules! input {
    ($w:literal) => {
        concat!(
            "ldrsb r3, [lr], #1\n",
            "mla r0, ",
            $w,
            ", r3, r0\n",
            "rev.w ",
            $w,
            ", ",
            $w,
            "\n",
            "mla r2, ",
            $w,
            ", r3, r2\n",
            "lsr.w ",
            $w,
            ", ",
            $w,
            ", #16\n",
            "mla r1, ",
            $w,
            ", r3, r1\n",
        )
    };
}

/// 196 bytes: eight inputs.
macro_rules! eight_inputs {
    () => {
        concat!(
            "ldm r12!, {{r4, r5, r6, r7, r8, r9, r10, r11}}\n",
            input!("r4"),
            input!("r5"),
            input!("r6"),
            input!("r7"),
            input!("r8"),
            input!("r9"),
            input!("r10"),
            input!("r11"),
        )
    };
}

/// 28 bytes: one input.
macro_rules! one_input {
    () => {
        concat!("ldr r4, [r12], #4\n", input!("r4"))
    };
}

/// An output at r9 from the sum times 256 in `$sum` and the multiplier in `$m`.
macro_rules! requantize {
    ($sum:literal, $m:literal) => {
        concat!(
            "smull r8, ",
            $sum,
            ", ",
            $sum,
            ", ",
            $m,
            "\n",
            "add.w ",
            $sum,
            ", ",
            $sum,
            ", r8, lsr #31\n",
            "ssat ",
            $sum,
            ", #8, ",
            $sum,
            "\n",
            // -128 becomes -127: it alone stays negative when 127 is added.
            "add.w r8, ",
            $sum,
            ", #127\n",
            "sub.w ",
            $sum,
            ", ",
            $sum,
            ", r8, asr #31\n",
            "strb ",
            $sum,
            ", [r9], #1\n",
        )
    };
}

/// Runs the blocks of a layer.
///
/// * `inputs` - at least one
/// * `finish` - as [`Finish`](crate::kernel::whole::Finish) has it: a word of four i8 per block,
///   or four words
/// * `y`, `y_end` - the outputs of all blocks but the one that goes to `rest`
/// * `rest` - null, or room for the outputs of one block more, the last
///
/// # Safety
///
/// All pointers are multiples of four and valid for what the arguments above say.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn run(
    blocks: *const u32,
    x: *const u32,
    inputs: usize,
    finish: u32,
    y: *mut u32,
    y_end: *mut u32,
    rest: *mut u32,
) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "mov r12, r0",
        "mov lr, r1",
        "mov r7, r1",
        // The sum of the inputs, in eights, then the rest.
        "movs r4, #0",
        "lsrs r5, r2, #3",
        "beq 3f",
        "2:",
        ".rept 8",
        "ldrsb r0, [lr], #1",
        "add r4, r0",
        ".endr",
        "subs r5, #1",
        "bne 2b",
        "3:",
        "mov r8, lr",
        "adr.w r9, 8f",
        "add.w r9, r9, #1",
        "ands r5, r2, #7",
        "beq 5f",
        "4:",
        "ldrsb r0, [lr], #1",
        "add r4, r0",
        "sub.w r9, r9, #28",
        "subs r5, #1",
        "bne 4b",
        "5:",
        "mov.w r5, #0x01010101",
        "muls r5, r4, r5",
        "add.w r4, r4, r4, lsl #8",
        "lsls r5, r5, #7",
        "lsls r4, r4, #7",
        // Where to enter: of four eights the loop starts with the last one, two or three where
        // their number is not a multiple of four, and is left out where there is none.
        "mov r6, r9",
        "lsrs r0, r2, #3",
        "beq 6f",
        "rsbs r0, r0, #0",
        "and r0, r0, #3",
        "movs r1, #196",
        "adr.w r6, 7f",
        "mla r6, r0, r1, r6",
        "6:",
        "adr.w r10, 9f",
        "cbz r3, 2f",
        "adr.w r10, 10f",
        "2:",
        "add.w r10, r10, #1",
        "ldrd r0, r1, [sp, #36]",
        "push {{r4-r10}}",
        "cmp r0, r1",
        "beq 12f",
        // A block.
        "5:",
        "ldm r12!, {{r0, r1, r2}}",
        "ldm sp, {{r3, r4, r5, lr}}",
        "subs r0, r0, r4",
        "subs r1, r1, r3",
        "subs r2, r2, r4",
        "mov pc, r5",
        ".p2align 2",
        "7:",
        eight_inputs!(),
        eight_inputs!(),
        eight_inputs!(),
        eight_inputs!(),
        "ldr r3, [sp, #16]",
        "cmp lr, r3",
        "bne.w 7b",
        "ldr.w pc, [sp, #20]",
        ".p2align 2",
        one_input!(),
        one_input!(),
        one_input!(),
        one_input!(),
        one_input!(),
        one_input!(),
        one_input!(),
        // The four sums, times 256, in r3 to r6: A, B, D, C.
        "8:",
        "sub.w r2, r2, r1, lsl #16", // p
        "sub.w r0, r0, r1, lsl #8",
        "sub.w r0, r0, r2, lsl #24", // z
        "sub.w r4, r1, r0, lsl #8",
        "lsls r4, r4, #8",
        "sub.w r3, r1, r4, asr #8",
        "sub.w r0, r0, r3, asr #8",
        "add.w r0, r0, r3, lsl #8", // C << 16
        "rsb.w r5, r0, r2, lsl #8",
        "sub.w r6, r2, r5, asr #8",
        // Multipliers or scales.
        "ldm r12!, {{r0, r1, r2, r7}}",
        "ldrd r9, r10, [sp, #64]",
        "ldr.w pc, [sp, #24]",
        // To integers.
        ".p2align 2",
        "9:",
        requantize!("r3", "r0"),
        requantize!("r4", "r1"),
        requantize!("r6", "r2"),
        requantize!("r5", "r7"),
        "11:",
        "str r9, [sp, #64]",
        "cmp r9, r10",
        "bne.w 5b",
        // The last block, where y has no room for all of it.
        "12:",
        "ldr r4, [sp, #72]",
        "cbz r4, 13f",
        "movs r5, #0",
        "str r5, [sp, #72]",
        "adds r5, r4, #4",
        "ldr r6, [sp, #24]",
        "adr.w r7, 9b",
        "adds r7, #1",
        "cmp r6, r7",
        "it ne",
        "addne r5, #12",
        "strd r4, r5, [sp, #64]",
        "b.w 5b",
        "13:",
        "add sp, #28",
        "pop {{r4-r11, pc}}",
        // To words.
        ".p2align 2",
        "10:",
        "asrs r3, r3, #8",
        "asrs r4, r4, #8",
        "asrs r6, r6, #8",
        "asrs r7, r5, #8",
        "stm r9!, {{r3, r4, r6, r7}}",
        "b.w 11b",
    )
}
