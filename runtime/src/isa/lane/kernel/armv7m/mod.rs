//! Lane for Armv7-M and Armv8-M Mainline, without DSP instructions.
//!
//! # Instructions
//!
//! About 35 for four outputs, beside each kernel's own: a jump, the multipliers, and six for each
//! output to be requantized, clamped and stored.
//!
//! # Stack
//!
//! | offset | |
//! |---|---|
//! | 0 to 20 | the kernel's own |
//! | 24 | where to go on with the sums |
//! | 28 | saved registers |
//! | 64 | y |
//! | 68 | the end of y |
//! | 72 | where the last block's outputs go if y has no room for all of them, then 0 |

/// A kernel from the code that
///
/// * prepares a layer: it takes the blocks, the inputs and their number from r0, r1 and r2, leaves
///   the blocks in r12 and in r4 to r9 what is to lie on the stack from 0 on, and keeps r3;
/// * runs a block, r12 being at its head, up to the four sums A, B, C, D in r3, r4, r6, r5;
/// * ends it with `$bytes` bytes of integers at r9, the multipliers being in r0, r1, r2, r7;
/// * or leaves them as words in r3, r4, r6, r7.
macro_rules! kernel {
    ($name:ident, $prepare:expr, $sums:expr, $bytes:literal, $integers:expr, $words:expr) => {
        /// Runs the blocks of a layer.
        ///
        /// * `inputs` - at least one
        /// * `finish` - as [`Finish`](crate::isa::call::Finish) has it: integers or words
        /// * `y`, `y_end` - the outputs of all blocks but the one that goes to `rest`
        /// * `rest` - null, or room for the outputs of one block more, the last
        ///
        /// # Safety
        ///
        /// All pointers are multiples of four and valid for what the arguments above say.
        #[unsafe(naked)]
        pub(crate) unsafe extern "C" fn $name(
            blocks: *const u32,
            x: *const u32,
            inputs: usize,
            finish: u32,
            y: *mut u32,
            y_end: *mut u32,
            rest: *mut u32,
        ) {
            core::arch::naked_asm!(
                "push {{r4-r11, lr}}",
                $prepare,
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
                $sums,
                // Multipliers or scales.
                "ldm r12!, {{r0, r1, r2, r7}}",
                "ldrd r9, r10, [sp, #64]",
                "ldr.w pc, [sp, #24]",
                // To integers.
                ".p2align 2",
                "9:",
                $integers,
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
                concat!("add.w r5, r4, #", $bytes),
                "ldr r6, [sp, #24]",
                "adr.w r7, 9b",
                "adds r7, #1",
                "cmp r6, r7",
                "it ne",
                "addne.w r5, r4, #16",
                "strd r4, r5, [sp, #64]",
                "b.w 5b",
                "13:",
                "add sp, #28",
                "pop {{r4-r11, pc}}",
                // To words.
                ".p2align 2",
                "10:",
                $words,
                "stm r9!, {{r3, r4, r6, r7}}",
                "b.w 11b",
            )
        }
    };
}

/// Four i8 from sums times 256. The high word of a product, rounded, is saturated; -128 becomes
/// -127: it alone stays negative when 127 is added.
macro_rules! to_int8 {
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
    () => {
        concat!(
            to_int8!("r3", "r0"),
            to_int8!("r4", "r1"),
            to_int8!("r6", "r2"),
            to_int8!("r5", "r7"),
        )
    };
}

/// Words in r3, r4, r6, r7 from sums times 256.
macro_rules! to_words {
    () => {
        concat!(
            "asrs r3, r3, #8\n",
            "asrs r4, r4, #8\n",
            "asrs r6, r6, #8\n",
            "asrs r7, r5, #8\n",
        )
    };
}

#[cfg(feature = "int16")]
mod int16;
#[cfg(feature = "int4")]
mod int4;
mod int8;

#[cfg(feature = "int4")]
pub(super) use int4::int4;
pub(super) use int8::int8;
#[cfg(feature = "int16")]
pub(super) use int16::int16;
