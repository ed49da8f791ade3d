//! int8 layers on cores with DSP instructions: Cortex-M4, M7, M33 and up. See `pack/dsp.rs` for
//! the words and why the sums come apart again.
//!
//! # Instructions
//!
//! * 23 for eight inputs of four rows (32 multiply-accumulates): three loads of four words, and
//!   five for each of the four pairs: SMLAD, SMLAD, AND, SXTAB16, SMLAD. The loop has four times
//!   that, so its end costs three instructions in 95. It is entered in the middle where the
//!   inputs are not a multiple of 32; up to three pairs are left for the code behind it.
//! * 32 for four outputs beside that: starting the sums (4), two jumps, taking them apart (6),
//!   requantization (SMMULR has the rounding), clamp and store.
//! * About 50 for a layer, and 7 for eight inputs: the sum of the inputs, since the lowest byte
//!   of `W1` has 128 added.
//!
//! # Registers in the loop
//!
//! r0, r1, r2 the sums e0, e1, e2; r3 to r6 four pairs of inputs; r7 to r10 two pairs of weights;
//! r11 the mask 0xFF00FF00; r12 the blocks; lr the inputs. All else is on the stack:
//!
//! | offset | |
//! |---|---|
//! | 0 | 128 times the sum of the inputs |
//! | 4 | where to enter the loop |
//! | 8 | the inputs |
//! | 12 | the end of those that the loop takes |
//! | 16 | where to go on behind the loop |
//! | 20 | where to go on with the sums |
//! | 24 | saved registers |
//! | 60 | y |
//! | 64 | the end of y |
//! | 68 | where the last block's sums go if it is not full, then 0 |

use core::arch::naked_asm;

use super::Step;
use super::whole::{self, Blocks};
use crate::blob::{Element, Operation, Packing};

/// Runs a layer, or says that it must be run by other code.
#[inline(always)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    if step.packing != Packing::Dsp || step.operation != Operation::DenseInt8 {
        return false;
    }
    let pairs = step.inputs.div_ceil(2);
    if x.len() < pairs {
        return false;
    }
    whole::run(step, Element::Int8Wide, y, |blocks: Blocks| {
        // SAFETY: `Blocks` has the layer's blocks, as the packer made them for step.inputs, and
        // room for the outputs; x has a word for each pair.
        unsafe {
            run(
                blocks.start,
                x.as_ptr(),
                pairs,
                blocks.finish as u32,
                blocks.y,
                blocks.y_end,
                blocks.rest,
            );
        }
    })
}

/// One pair of inputs in `$x`, the words W1 and W2.
macro_rules! pair {
    ($x:literal, $w1:literal, $w2:literal) => {
        concat!(
            "smlad r2, ",
            $w2,
            ", ",
            $x,
            ", r2\n",
            "smlad r0, ",
            $w1,
            ", ",
            $x,
            ", r0\n",
            "and.w ",
            $w2,
            ", r11, ",
            $w2,
            ", lsl #8\n",
            "sxtab16 ",
            $w2,
            ", ",
            $w2,
            ", ",
            $w1,
            ", ror #8\n",
            "smlad r1, ",
            $w2,
            ", ",
            $x,
            ", r1\n",
        )
    };
}

/// 92 bytes: four pairs.
macro_rules! four_pairs {
    () => {
        concat!(
            "ldm lr!, {{r3, r4, r5, r6}}\n",
            "ldm r12!, {{r7, r8, r9, r10}}\n",
            pair!("r3", "r7", "r8"),
            pair!("r4", "r9", "r10"),
            "ldm r12!, {{r7, r8, r9, r10}}\n",
            pair!("r5", "r7", "r8"),
            pair!("r6", "r9", "r10"),
        )
    };
}

/// 28 bytes: one pair.
macro_rules! one_pair {
    () => {
        concat!(
            "ldr r3, [lr], #4\n",
            "ldrd r7, r8, [r12], #8\n",
            pair!("r3", "r7", "r8"),
        )
    };
}

/// The four sums to floats.
#[cfg(target_abi = "eabihf")]
macro_rules! floats {
    () => {
        concat!(
            "vmov s0, s1, r3, r0\n",
            "vmov s2, s3, r1, r2\n",
            "vmov s4, s5, r4, r5\n",
            "vmov s6, s7, r6, r7\n",
            // Of fixed-point numbers with eight fractional bits, as the sums stand there.
            "vcvt.f32.s32 s0, s0, #8\n",
            "vcvt.f32.s32 s1, s1, #8\n",
            "vcvt.f32.s32 s2, s2, #8\n",
            "vcvt.f32.s32 s3, s3, #8\n",
            "vmul.f32 s0, s0, s4\n",
            "vmul.f32 s1, s1, s5\n",
            "vmul.f32 s2, s2, s6\n",
            "vmul.f32 s3, s3, s7\n",
            "ldrd r4, r5, [sp, #60]\n",
            "vstm r4!, {{s0-s3}}\n",
            "b.w 11b\n",
        )
    };
}
#[cfg(not(target_abi = "eabihf"))]
macro_rules! floats {
    () => {
        ""
    };
}

/// Runs the blocks of a layer.
///
/// * `pairs` - of inputs, at least one
/// * `finish` - as [`whole::Finish`] has it: four i16 per block or four words
/// * `y`, `y_end` - the outputs of all full blocks
/// * `rest` - null, or room for the outputs of one block more, the last
///
/// # Safety
///
/// All pointers are multiples of four and valid for what the arguments above say.
#[unsafe(naked)]
unsafe extern "C" fn run(
    blocks: *const u32,
    x: *const u32,
    pairs: usize,
    finish: u32,
    y: *mut u32,
    y_end: *mut u32,
    rest: *mut u32,
) {
    naked_asm!(
        super::cpu!(),
        "push {{r4-r11, lr}}",
        "mov r12, r0",
        "mov r6, r1",
        "mov lr, r1",
        // The sum of the inputs, in fours of pairs, then the rest of pairs.
        "movs r4, #0",
        "mov.w r11, #0x00010001",
        "lsrs r7, r2, #2",
        "beq 3f",
        "2:",
        "ldm lr!, {{r0, r1, r5, r8}}",
        "smlad r4, r0, r11, r4",
        "smlad r4, r1, r11, r4",
        "smlad r4, r5, r11, r4",
        "smlad r4, r8, r11, r4",
        "subs r7, #1",
        "bne 2b",
        "3:",
        "mov r7, lr",
        "adr.w r8, 8f",
        "add.w r8, r8, #1",
        "ands r0, r2, #3",
        "beq 5f",
        "4:",
        "ldr r1, [lr], #4",
        "smlad r4, r1, r11, r4",
        "subs r8, #28",
        "subs r0, #1",
        "bne 4b",
        "5:",
        "lsls r4, r4, #7",
        // Where to enter: of four fours the loop starts with the last one, two or three where
        // their number is not a multiple of four, and is left out where there is none.
        "mov r5, r8",
        "lsrs r0, r2, #2",
        "beq 6f",
        "rsbs r0, r0, #0",
        "and r0, r0, #3",
        "movs r1, #92",
        "adr.w r5, 7f",
        "mla r5, r0, r1, r5",
        "6:",
        // Where to finish: at 9, 10 or 14.
        "adr.w r9, 9f",
        "cbz r3, 2f",
        "adr.w r9, 10f",
        "subs r3, #1",
        "beq 2f",
        "adr.w r9, 14f",
        "2:",
        "add.w r9, r9, #1",
        "ldrd r0, r1, [sp, #36]",
        "push {{r4-r9}}",
        "mov.w r11, #0xFF00FF00",
        "cmp r0, r1",
        "beq 12f",
        // A block.
        "5:",
        "ldm r12!, {{r0, r1, r2}}",
        "ldm sp, {{r3, r4, lr}}",
        "sub.w r0, r0, r3",
        "mov pc, r4",
        ".p2align 2",
        "7:",
        four_pairs!(),
        four_pairs!(),
        four_pairs!(),
        four_pairs!(),
        "ldr r3, [sp, #12]",
        "cmp lr, r3",
        "bne.w 7b",
        "ldr.w pc, [sp, #16]",
        ".p2align 2",
        one_pair!(),
        one_pair!(),
        one_pair!(),
        // The four sums, times 256, in r3, r0, r1, r2; multipliers or scales in r4 to r7.
        "8:",
        "sub.w r3, r1, r2, lsl #8",
        "sub.w r3, r0, r3, lsl #8",
        "lsls r3, r3, #8",
        "sub.w r0, r0, r3, asr #8",
        "sub.w r1, r1, r0, asr #8",
        "sub.w r2, r2, r1, asr #8",
        "ldm r12!, {{r4, r5, r6, r7}}",
        "ldr.w pc, [sp, #20]",
        // To integers.
        ".p2align 2",
        "9:",
        "smmulr r3, r3, r4",
        "smmulr r0, r0, r5",
        "smmulr r1, r1, r6",
        "smmulr r2, r2, r7",
        // The packer has proved that they fit 16 bits.
        "pkhbt r0, r3, r0, lsl #16",
        "pkhbt r1, r1, r2, lsl #16",
        "ssat16 r0, #8, r0",
        "ssat16 r1, #8, r1",
        // -128 becomes -127: one less, saturated, one more. Only in the low bytes, so what
        // borrows there is given back.
        "mov.w r4, #0x00010001",
        "qsub8 r0, r0, r4",
        "qsub8 r1, r1, r4",
        "sadd8 r0, r0, r4",
        "sadd8 r1, r1, r4",
        "ldrd r4, r5, [sp, #60]",
        "stm r4!, {{r0, r1}}",
        "11:",
        "str r4, [sp, #60]",
        "cmp r4, r5",
        "bne.w 5b",
        // The last block if it is not full. Its outputs end somewhere else: 8 bytes or 16.
        "12:",
        "ldr r4, [sp, #68]",
        "cbz r4, 13f",
        "movs r5, #0",
        "str r5, [sp, #68]",
        "adds r5, r4, #8",
        "ldr r6, [sp, #20]",
        "adr.w r7, 9b",
        "adds r7, #1",
        "cmp r6, r7",
        "it ne",
        "addne r5, #8",
        "strd r4, r5, [sp, #60]",
        "b.w 5b",
        "13:",
        "add sp, #24",
        "pop {{r4-r11, pc}}",
        // To words.
        ".p2align 2",
        "10:",
        "asr.w r5, r0, #8",
        "asr.w r4, r3, #8",
        "asr.w r6, r1, #8",
        "asr.w r7, r2, #8",
        "ldr r0, [sp, #60]",
        "stm r0!, {{r4, r5, r6, r7}}",
        "mov r4, r0",
        "ldr r5, [sp, #64]",
        "b.w 11b",
        // To floats.
        ".p2align 2",
        "14:",
        floats!(),
    )
}
