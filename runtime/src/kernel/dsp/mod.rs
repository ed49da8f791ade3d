//! Integer layers on cores with DSP instructions: Cortex-M4, M7, M33 and up. A file for each type
//! of weights; what is the same for all is here. See `pack/dsp.rs` for the words and why the sums
//! come apart again.
//!
//! # Instructions
//!
//! Beside the loops over the inputs, which have their budgets at their own head:
//!
//! * The end of the loop: 3 for 32 inputs of four rows. It is entered in the middle where the
//!   inputs are not a multiple of 32; up to three pairs are left for the code behind it.
//! * About 20 for four outputs: the jumps, requantization (SMMULR has the rounding), clamp and
//!   store.
//! * About 45 for a layer.
//!
//! # Registers in the loops
//!
//! r12 the blocks; lr the inputs; the rest as each kernel says. All else is on the stack, above
//! `words` words of the kernel's own:
//!
//! | offset | |
//! |---|---|
//! | 0 | where to enter the loop |
//! | 4 | the inputs |
//! | 8 | the end of those that the loop takes |
//! | 12 | where to go on behind the loop |
//! | 16 | where to go on with the sums |
//! | 20 | saved registers |
//! | 56 | y |
//! | 60 | the end of y |
//! | 64 | where the last block's sums go if it is not full, then 0 |

use super::Step;
use super::whole::{self, Blocks};
use crate::blob::{Element, Operation, Packing};

/// Runs a layer, or says that it must be run by other code.
#[inline(always)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    if step.packing != Packing::Dsp {
        return false;
    }
    let (kernel, element): (Kernel, _) = match step.operation {
        Operation::DenseInt8 => (int8::run, Element::Int8Wide),
        #[cfg(feature = "int4")]
        Operation::DenseInt4 => (int4::run, Element::Int8Wide),
        #[cfg(feature = "int16")]
        Operation::DenseInt16 => (int16::run, Element::Int16),
        _ => return false,
    };
    let pairs = step.inputs.div_ceil(2);
    if x.len() < pairs {
        return false;
    }
    whole::run(step, element, y, |blocks: Blocks| {
        // SAFETY: `Blocks` has the layer's blocks, as the packer made them for step.inputs, and
        // room for the outputs; x has a word for each pair.
        unsafe {
            kernel(
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
type Kernel = unsafe extern "C" fn(
    blocks: *const u32,
    x: *const u32,
    pairs: usize,
    finish: u32,
    y: *mut u32,
    y_end: *mut u32,
    rest: *mut u32,
);

/// A kernel from the code that differs.
///
/// * `words` - what `prepare` pushes below the frame
/// * `prepare` - from r2 pairs of inputs at r6, of which those up to r7 are fours; sets constants
///   and pushes r5 to r9 and registers below; has r0 to r4, r10, r11 and lr to itself
/// * `start` - the sums of a block; jumps to where the loop is entered
/// * `four_pairs`, `one_pair` - of inputs, with the size of that code in bytes
/// * `sums` - the four sums in `a`, `b`, `c`, `d`, none of which is r4 to r7
/// * `integers` - those times r4 to r7, as four halfwords in `a` and `c`; has r4 to itself then
/// * `to_word` - from the register before it to its value
/// * `to_float` - the same, from a register with an integer
macro_rules! kernel {
    (
        words: $words:literal,
        prepare: $prepare:expr,
        start: $start:expr,
        four_pairs: $four_pairs:expr, $four_size:literal,
        one_pair: $one_pair:expr, $one_size:literal,
        sums: $sums:expr, $a:literal, $b:literal, $c:literal, $d:literal,
        integers: $integers:expr,
        word: $word:literal, $shift:literal,
        fraction: $fraction:literal,
    ) => {
        #[unsafe(naked)]
        pub(super) unsafe extern "C" fn run(
            blocks: *const u32,
            x: *const u32,
            pairs: usize,
            finish: u32,
            y: *mut u32,
            y_end: *mut u32,
            rest: *mut u32,
        ) {
            core::arch::naked_asm!(
                crate::kernel::cpu!(),
                "push {{r4-r11, lr}}",
                "mov r12, r0",
                "mov r6, r1",
                // The end of the fours of pairs, and where to go on with the rest.
                "bic r0, r2, #3",
                "add.w r7, r1, r0, lsl #2",
                "and r1, r2, #3",
                "adr.w r8, 8f",
                "add.w r8, r8, #1",
                concat!("movs r4, #", $one_size),
                "mls r8, r1, r4, r8",
                // Where to enter: of four fours the loop starts with the last one, two or three
                // where their number is not a multiple of four, and is left out where there is
                // none.
                "mov r5, r8",
                "lsrs r0, r0, #2",
                "beq 2f",
                "rsbs r0, r0, #0",
                "and r0, r0, #3",
                concat!("movs r4, #", $four_size),
                "adr.w r5, 7f",
                "mla r5, r0, r4, r5",
                "2:",
                // Where to finish: at 9, 10 or 14.
                "adr.w r9, 9f",
                "cbz r3, 2f",
                "adr.w r9, 10f",
                "subs r3, #1",
                "beq 2f",
                "adr.w r9, 14f",
                "2:",
                "add.w r9, r9, #1",
                $prepare,
                "ldrd r0, r1, [sp, #{frame} + 56]",
                "cmp r0, r1",
                "beq 12f",
                // A block.
                "5:",
                $start,
                ".p2align 2",
                "7:",
                $four_pairs,
                $four_pairs,
                $four_pairs,
                $four_pairs,
                // The registers of inputs are free here.
                concat!("ldr r6, [sp, #{frame} + 8]"),
                "cmp lr, r6",
                "bne.w 7b",
                "ldr.w pc, [sp, #{frame} + 12]",
                ".p2align 2",
                $one_pair,
                $one_pair,
                $one_pair,
                "8:",
                $sums,
                // Multipliers or scales.
                "ldm r12!, {{r4, r5, r6, r7}}",
                "ldr.w pc, [sp, #{frame} + 16]",
                // To integers.
                ".p2align 2",
                "9:",
                concat!("smmulr ", $a, ", ", $a, ", r4"),
                concat!("smmulr ", $b, ", ", $b, ", r5"),
                concat!("smmulr ", $c, ", ", $c, ", r6"),
                concat!("smmulr ", $d, ", ", $d, ", r7"),
                $integers,
                "ldrd r4, r5, [sp, #{frame} + 56]",
                concat!("strd ", $a, ", ", $c, ", [r4], #8"),
                "11:",
                "str r4, [sp, #{frame} + 56]",
                "cmp r4, r5",
                "bne.w 5b",
                // The last block if it is not full. Its outputs end somewhere else: 8 bytes or 16.
                "12:",
                "ldr r4, [sp, #{frame} + 64]",
                "cbz r4, 13f",
                "movs r5, #0",
                "str r5, [sp, #{frame} + 64]",
                "adds r5, r4, #8",
                "ldr r6, [sp, #{frame} + 16]",
                "adr.w r7, 9b",
                "adds r7, #1",
                "cmp r6, r7",
                "it ne",
                "addne r5, #8",
                "strd r4, r5, [sp, #{frame} + 56]",
                "b.w 5b",
                "13:",
                "add sp, #{frame} + 20",
                "pop {{r4-r11, pc}}",
                // To words.
                ".p2align 2",
                "10:",
                concat!($word, " r4, ", $a, $shift),
                concat!($word, " r5, ", $b, $shift),
                concat!($word, " r6, ", $c, $shift),
                concat!($word, " r7, ", $d, $shift),
                "ldr r0, [sp, #{frame} + 56]",
                "stm r0!, {{r4, r5, r6, r7}}",
                "mov r4, r0",
                "ldr r5, [sp, #{frame} + 60]",
                "b.w 11b",
                // To floats.
                ".p2align 2",
                "14:",
                floats!($a, $b, $c, $d, $fraction),
                frame = const $words * 4,
            )
        }
    };
}

/// The four sums to floats. `$fraction` says how many bits of them are fractional.
#[cfg(target_abi = "eabihf")]
macro_rules! floats {
    ($a:literal, $b:literal, $c:literal, $d:literal, $fraction:literal) => {
        concat!(
            "vmov s0, s1, ",
            $a,
            ", ",
            $b,
            "\n",
            "vmov s2, s3, ",
            $c,
            ", ",
            $d,
            "\n",
            "vmov s4, s5, r4, r5\n",
            "vmov s6, s7, r6, r7\n",
            "vcvt.f32.s32 s0, s0",
            $fraction,
            "\n",
            "vcvt.f32.s32 s1, s1",
            $fraction,
            "\n",
            "vcvt.f32.s32 s2, s2",
            $fraction,
            "\n",
            "vcvt.f32.s32 s3, s3",
            $fraction,
            "\n",
            "vmul.f32 s0, s0, s4\n",
            "vmul.f32 s1, s1, s5\n",
            "vmul.f32 s2, s2, s6\n",
            "vmul.f32 s3, s3, s7\n",
            "ldrd r4, r5, [sp, #{frame} + 56]\n",
            "vstm r4!, {{s0-s3}}\n",
            "b.w 11b\n",
        )
    };
}
#[cfg(not(target_abi = "eabihf"))]
macro_rules! floats {
    ($a:literal, $b:literal, $c:literal, $d:literal, $fraction:literal) => {
        ""
    };
}

/// Sums of inputs for `prepare`: into r4.
macro_rules! sum_of_inputs {
    () => {
        "mov lr, r6
        movs r4, #0
        mov.w r11, #0x00010001
        cmp lr, r7
        beq 3f
        2:
        ldm lr!, {{r0, r1, r3, r10}}
        smlad r4, r0, r11, r4
        smlad r4, r1, r11, r4
        smlad r4, r3, r11, r4
        smlad r4, r10, r11, r4
        cmp lr, r7
        bne 2b
        3:
        ands r2, r2, #3
        beq 3f
        2:
        ldr r1, [lr], #4
        smlad r4, r1, r11, r4
        subs r2, #1
        bne 2b
        3:
        "
    };
}

/// The products in `$a` to `$d`, which the packer has proved to fit 16 bits, as int8 in the
/// halfwords of `$a` and `$c`.
macro_rules! to_int8 {
    ($a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "pkhbt ",
            $a,
            ", ",
            $a,
            ", ",
            $b,
            ", lsl #16\n",
            "pkhbt ",
            $c,
            ", ",
            $c,
            ", ",
            $d,
            ", lsl #16\n",
            "ssat16 ",
            $a,
            ", #8, ",
            $a,
            "\n",
            "ssat16 ",
            $c,
            ", #8, ",
            $c,
            "\n",
            // -128 becomes -127: one less, saturated, one more. Only in the low bytes, so what
            // borrows there is given back.
            "mov.w r4, #0x00010001\n",
            "qsub8 ",
            $a,
            ", ",
            $a,
            ", r4\n",
            "qsub8 ",
            $c,
            ", ",
            $c,
            ", r4\n",
            "sadd8 ",
            $a,
            ", ",
            $a,
            ", r4\n",
            "sadd8 ",
            $c,
            ", ",
            $c,
            ", r4\n",
        )
    };
}

#[cfg(feature = "int16")]
mod int16;
#[cfg(feature = "int4")]
mod int4;
mod int8;
