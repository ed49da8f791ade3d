//! Lane for Armv6-M and Armv8-M Baseline.
//!
//! # Instructions
//!
//! 10 for four outputs, beside each kernel's own: where to put them, and to go on.
//!
//! # Stack
//!
//! | offset | |
//! |---|---|
//! | 0, 4, 16 | the kernel's own |
//! | 8 | the inputs |
//! | 12 | where to go on with the sums |
//! | 20 | saved registers |
//! | 56 | y |
//! | 60 | the end of y |
//! | 64 | where the last block's outputs go if y has no room for all of them, then 0 |

/// A kernel from the code that
///
/// * prepares a layer: it takes the inputs and their number from r1 and r2 and keeps r0;
/// * runs a block, r0 being at its head, up to the four sums A, B, C, D in r2, r4, r3, r5;
/// * ends it with `$bytes` bytes of integers at r1, r0 being at its multipliers.
macro_rules! kernel {
    ($name:ident, $prepare:expr, $sums:expr, $bytes:literal, $integers:expr) => {
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
                crate::assembly::save!(),
                "sub sp, #20",
                "str r1, [sp, #8]",
                "ldr r4, 14f",
                "cmp r3, #0",
                "beq 2f",
                "ldr r4, 17f",
                "2:",
                "str r4, [sp, #12]",
                $prepare,
                "ldr r4, [sp, #56]",
                "ldr r5, [sp, #60]",
                "cmp r4, r5",
                "bne 5f",
                "b 12f",
                ".p2align 2",
                "14:",
                ".long 9f",
                "16:",
                ".long 7f",
                "17:",
                ".long 10f",
                // A block.
                "5:",
                $sums,
                "ldr r1, [sp, #56]",
                "ldr r6, [sp, #12]",
                "mov pc, r6",
                // To integers.
                ".p2align 2",
                "9:",
                $integers,
                concat!("adds r1, #", $bytes),
                "11:",
                "str r1, [sp, #56]",
                "ldr r2, [sp, #60]",
                "cmp r1, r2",
                "beq 12f",
                "b 5b",
                // The last block, where y has no room for all of it.
                "12:",
                "ldr r4, [sp, #64]",
                "cmp r4, #0",
                "beq 13f",
                "movs r5, #0",
                "str r5, [sp, #64]",
                "str r4, [sp, #56]",
                "ldr r5, [sp, #12]",
                "ldr r6, 18f",
                "cmp r5, r6",
                "beq 2f",
                concat!("subs r4, #16 - ", $bytes),
                "2:",
                "adds r4, #16",
                "str r4, [sp, #60]",
                "b 5b",
                "13:",
                "add sp, #20",
                crate::assembly::restore!(),
                ".p2align 2",
                "18:",
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
    };
}

/// An output at r1 from the sum in `$sum`.
///
/// The product of 24 and 24 bits without its low byte fits a word, since the packer has proved
/// that the output fits 16 bits before the clamp.
macro_rules! to_int8 {
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
    () => {
        concat!(
            to_int8!("r2", "0"),
            to_int8!("r4", "1"),
            to_int8!("r3", "2"),
            to_int8!("r5", "3"),
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
