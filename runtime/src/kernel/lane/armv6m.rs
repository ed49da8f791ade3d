//! Lane for Armv6-M and Armv8-M Baseline.
//!
//! # Instructions
//!
//! * 41 for four inputs of four rows (16 multiply-accumulates): a load of four inputs, two of two
//!   words of weights, and for each input six to take it apart from the others and eight to add
//!   its products: REV, LSR, three MUL, three ADD. The loop has twice that, so its end costs two
//!   instructions in 84. It is entered in the middle for an odd number of fours; up to three
//!   inputs are left for the code behind it, twelve instructions each.
//! * 117 for four outputs beside that: starting the sums (11), a jump, taking them apart (26),
//!   18 for each to be requantized, clamped and stored, 7 to go on.
//! * About 75 for a layer, and 14 for four inputs: their sum, since the weights have 128 added.
//!
//! # Registers in the loop
//!
//! r0 the blocks; r1 the inputs; r2 a word of inputs, r3 one of them; r4, r5 products; r6, r7
//! words of weights; r8, r9, r10 the sums e0, e1, e2; r11 the end of the inputs that the loop
//! takes; r12 where to go on behind it; lr where to enter it. All else is on the stack:
//!
//! | offset | |
//! |---|---|
//! | 0 | 128 times the sum of the inputs, times 0x01010101 and, at 4, 0x0101 |
//! | 8 | the inputs |
//! | 12 | where to go on with the sums |
//! | 16 | saved registers |
//! | 52 | y |
//! | 56 | the end of y |
//! | 60 | where the last block's outputs go if y has no room for all of them, then 0 |

use core::arch::naked_asm;

/// One input in `$x`, its word of weights in `$w`, which is lost.
macro_rules! input {
    ($w:literal, $x:literal) => {
        concat!(
            "rev r4, ",
            $w,
            "\n",
            "lsrs r5, r4, #16\n",
            "muls r4, ",
            $x,
            ", r4\n",
            "add r10, r4\n",
            "muls r5, ",
            $x,
            ", r5\n",
            "add r9, r5\n",
            "muls ",
            $w,
            ", ",
            $x,
            ", ",
            $w,
            "\n",
            "add r8, ",
            $w,
            "\n",
        )
    };
}

/// 82 bytes: four inputs.
macro_rules! four_inputs {
    () => {
        concat!(
            "ldm r1!, {{r2}}\n",
            "ldm r0!, {{r6, r7}}\n",
            "sxtb r3, r2\n",
            input!("r6", "r3"),
            "asrs r2, r2, #8\n",
            "sxtb r3, r2\n",
            input!("r7", "r3"),
            "ldm r0!, {{r6, r7}}\n",
            "asrs r2, r2, #8\n",
            "sxtb r3, r2\n",
            input!("r6", "r3"),
            "asrs r2, r2, #8\n",
            input!("r7", "r2"),
        )
    };
}

/// 24 bytes: one input.
macro_rules! one_input {
    () => {
        concat!(
            "ldm r0!, {{r6}}\n",
            "movs r3, #0\n",
            "ldrsb r3, [r1, r3]\n",
            "adds r1, #1\n",
            input!("r6", "r3"),
        )
    };
}

/// An output at r1 from the sum in `$sum`.
///
/// The product of 24 and 24 bits without its low byte fits a word, since the packer has proved
/// that the output fits 16 bits before the clamp.
macro_rules! requantize {
    ($sum:literal, $at:literal) => {
        concat!(
            "ldm r0!, {{r6}}\n",
            "uxtb r7, ",
            $sum,
            "\n",
            "asrs ",
            $sum,
            ", ",
            $sum,
            ", #8\n",
            "muls r7, r6, r7\n",
            "muls ",
            $sum,
            ", r6, ",
            $sum,
            "\n",
            "lsrs r7, r7, #8\n",
            "adds ",
            $sum,
            ", ",
            $sum,
            ", r7\n",
            // The carry is the bit that rounds.
            "asrs ",
            $sum,
            ", ",
            $sum,
            ", #16\n",
            "movs r7, #127\n",
            "adcs ",
            $sum,
            ", r7\n",
            // 127 more than the output, so the clamp is from 0 to 254.
            "asrs r6, ",
            $sum,
            ", #31\n",
            "bics ",
            $sum,
            ", r6\n",
            "movs r6, #254\n",
            "subs ",
            $sum,
            ", r6, ",
            $sum,
            "\n",
            "asrs r6, ",
            $sum,
            ", #31\n",
            "bics ",
            $sum,
            ", r6\n",
            "subs ",
            $sum,
            ", r7, ",
            $sum,
            "\n",
            "strb ",
            $sum,
            ", [r1, #",
            $at,
            "]\n",
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
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4-r7}}",
        "sub sp, #16",
        "str r1, [sp, #8]",
        "adr r4, 9f",
        "cmp r3, #0",
        "beq 2f",
        "ldr r4, 14f",
        "2:",
        "str r4, [sp, #12]",
        // The sum of the inputs, in fours, then the rest.
        "movs r4, #0",
        "lsrs r5, r2, #2",
        "beq 3f",
        "2:",
        "ldm r1!, {{r6}}",
        ".rept 3",
        "sxtb r7, r6",
        "adds r4, r7",
        "asrs r6, r6, #8",
        ".endr",
        "adds r4, r6",
        "subs r5, #1",
        "bne 2b",
        "3:",
        "mov r11, r1",
        "ldr r7, 15f",
        "movs r5, #3",
        "ands r5, r2",
        "beq 5f",
        "4:",
        "movs r6, #0",
        "ldrsb r6, [r1, r6]",
        "adds r4, r6",
        "adds r1, #1",
        "subs r7, #24",
        "subs r5, #1",
        "bne 4b",
        "5:",
        "mov r12, r7",
        "lsls r4, r4, #7",
        "lsls r5, r4, #8",
        "adds r4, r5",
        "str r4, [sp, #4]",
        "lsls r5, r4, #16",
        "adds r4, r5",
        "str r4, [sp, #0]",
        // Where to enter: of two fours with the second one where their number is odd; the loop
        // is left out where there is none.
        "mov lr, r7",
        "lsrs r2, r2, #2",
        "beq 6f",
        "ldr r4, 16f",
        "lsrs r2, r2, #1",
        "bcc 2f",
        "adds r4, #82",
        "2:",
        "mov lr, r4",
        "6:",
        "ldr r4, [sp, #52]",
        "ldr r5, [sp, #56]",
        "cmp r4, r5",
        "bne 5f",
        "b 12f",
        ".p2align 2",
        "14:",
        ".long 10f",
        "15:",
        ".long 8f",
        "16:",
        ".long 7f",
        // A block.
        "5:",
        "ldm r0!, {{r4, r5, r6}}",
        "ldr r2, [sp, #0]",
        "ldr r3, [sp, #4]",
        "subs r4, r4, r2",
        "subs r5, r5, r3",
        "subs r6, r6, r2",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "ldr r1, [sp, #8]",
        "mov pc, lr",
        ".p2align 2",
        "7:",
        four_inputs!(),
        four_inputs!(),
        "cmp r1, r11",
        "bne 7b",
        "mov pc, r12",
        ".p2align 2",
        one_input!(),
        one_input!(),
        one_input!(),
        // The four sums in r2 to r5: A, C, B, D.
        "8:",
        "mov r1, r8",
        "mov r2, r9",
        "mov r3, r10",
        "lsls r4, r2, #16",
        "subs r3, r3, r4", // p
        "lsls r4, r2, #8",
        "subs r1, r1, r4",
        "lsls r4, r3, #24",
        "subs r1, r1, r4", // z
        "lsls r4, r1, #8",
        "subs r4, r2, r4",
        "lsls r4, r4, #8",
        "asrs r4, r4, #8", // B
        "subs r2, r2, r4",
        "asrs r2, r2, #8", // A
        "subs r1, r1, r2",
        "lsls r5, r2, #16",
        "adds r1, r1, r5", // C << 16
        "lsls r5, r3, #8",
        "subs r5, r5, r1",
        "asrs r5, r5, #8", // D
        "subs r3, r3, r5",
        "asrs r3, r3, #8", // C
        "ldr r1, [sp, #52]",
        "ldr r6, [sp, #12]",
        "mov pc, r6",
        // To integers.
        ".p2align 2",
        "9:",
        requantize!("r2", "0"),
        requantize!("r4", "1"),
        requantize!("r3", "2"),
        requantize!("r5", "3"),
        "adds r1, #4",
        "11:",
        "str r1, [sp, #52]",
        "ldr r2, [sp, #56]",
        "cmp r1, r2",
        "beq 12f",
        "b 5b",
        // The last block, where y has no room for all of it.
        "12:",
        "ldr r4, [sp, #60]",
        "cmp r4, #0",
        "beq 13f",
        "movs r5, #0",
        "str r5, [sp, #60]",
        "str r4, [sp, #52]",
        "adds r4, #4",
        "ldr r5, [sp, #12]",
        "ldr r6, 17f",
        "cmp r5, r6",
        "bne 2f",
        "adds r4, #12",
        "2:",
        "str r4, [sp, #56]",
        "b 5b",
        "13:",
        "add sp, #16",
        "pop {{r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4-r7, pc}}",
        ".p2align 2",
        "17:",
        ".long 10f",
        // To words.
        ".p2align 2",
        "10:",
        "str r2, [r1, #0]",
        "str r4, [r1, #4]",
        "str r3, [r1, #8]",
        "str r5, [r1, #12]",
        "adds r1, #16",
        "adds r0, #16",
        "b 11b",
    )
}
