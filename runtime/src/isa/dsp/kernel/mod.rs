//! Integer layers on cores with DSP instructions: Cortex-M4, M7, M33 and up. A file for each type
//! of weights; what is the same for all is here. See `mod.rs` of the folder above for the words and why the sums
//! come apart again.
//!
//! # Instructions
//!
//! Beside the loops over the inputs, which have their budgets at their own head:
//!
//! * The end of the loop: 3 for 32 inputs of four rows. It is entered where as many are left as
//!   there are twos of pairs; the pair that may be left then is for the code behind it.
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
//! | 0 | where to begin with a block |
//! | 4 | the inputs |
//! | 8 | the end of those that the loop takes |
//! | 12 | where to go on behind the loop |
//! | 16 | where to go on with the sums |
//! | 20 | where to enter the loop, if something is to be loaded before |
//! | 24 | saved registers |
//! | 60 | y |
//! | 64 | the end of y |
//! | 68 | where the last block's sums go if it is not full, then 0 |

use crate::blob::{Element, Operation};
use crate::isa::call::{self, Call, Kernel};
use crate::layer::Step;
use crate::packing::Packing;

/// Runs a layer, or says that it must be run by other code.
#[inline(always)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    if step.layer.packing() != Packing::Dsp {
        return false;
    }
    let (kernel, element): (Kernel, _) = match step.layer.operation() {
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
    let call = Call {
        kernel,
        integer: element,
        x,
        count: pairs,
    };
    // SAFETY: the blocks are of this packing, and x has a word for each pair.
    unsafe { call::run(step, y, call) }
}

/// A kernel from the code that differs.
///
/// * `words` - what `prepare` pushes below the frame
/// * `prepare` - from r2 pairs of inputs at r6; sets constants and pushes r5 to r9 and registers
///   below; has r0 to r4, r10, r11 and lr to itself
/// * `start` - the sums of a block; jumps to where it begins
/// * `four_pairs` - of inputs, with the size of that code in bytes
/// * `two_pairs` - where in there the code for the last two begins, and what it needs to be loaded
/// * `one_pair` - the same for one, with the size of that code in bytes
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
        two_pairs: $two_start:literal, $two_load:literal,
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
                crate::assembly::cpu!(),
                // r3 for its place.
                "push {{r3-r11, lr}}",
                "mov r12, r0",
                "mov r6, r1",
                // Twos of pairs and their end; behind them the sums, or a pair that is left.
                "lsrs r0, r2, #1",
                "adr.w r8, 8f + 1",
                "it cs",
                concat!("subcs.w r8, r8, #", $one_size),
                "add.w r7, r1, r0, lsl #3",
                // Where to enter: the loop has four times two twos. It is left out where there is
                // none.
                "mov r5, r8",
                "cbz r0, 2f",
                "rsbs r0, r0, #0",
                "and r0, r0, #7",
                concat!("movs r4, #", $four_size),
                "adr.w r5, 7f + 1",
                "lsrs r0, r0, #1",
                "mla r5, r0, r4, r5",
                "bcc 2f",
                concat!("adds r5, #", $two_start),
                "str r5, [sp]",
                "adr.w r5, 6f",
                "2:",
                finish!(),
                $prepare,
                "ldrd r0, r1, [sp, #{frame} + 60]",
                "cmp r0, r1",
                "beq.w 12f",
                // A block.
                "5:",
                $start,
                "6:",
                $two_load,
                "ldr.w pc, [sp, #{frame} + 20]",
                ".p2align 2",
                "7:",
                $four_pairs,
                $four_pairs,
                $four_pairs,
                $four_pairs,
                // The registers of inputs are free here.
                "ldr r6, [sp, #{frame} + 8]",
                "cmp lr, r6",
                "bne.w 7b",
                "ldr.w pc, [sp, #{frame} + 12]",
                $one_pair,
                "8:",
                $sums,
                // Multipliers or scales.
                "ldm r12!, {{r4, r5, r6, r7}}",
                "ldr.w pc, [sp, #{frame} + 16]",
                // To integers.
                "9:",
                concat!("smmulr ", $a, ", ", $a, ", r4"),
                concat!("smmulr ", $b, ", ", $b, ", r5"),
                concat!("smmulr ", $c, ", ", $c, ", r6"),
                concat!("smmulr ", $d, ", ", $d, ", r7"),
                $integers,
                "ldrd r4, r5, [sp, #{frame} + 60]",
                concat!("strd ", $a, ", ", $c, ", [r4], #8"),
                "11:",
                "str r4, [sp, #{frame} + 60]",
                "cmp r4, r5",
                "bne.w 5b",
                // The last block if it is not full. Its outputs end somewhere else: 8 bytes or 16.
                "12:",
                "ldr r4, [sp, #{frame} + 68]",
                "cbz r4, 13f",
                "movs r5, #0",
                "str r5, [sp, #{frame} + 68]",
                "adds r5, r4, #8",
                "ldr r6, [sp, #{frame} + 16]",
                "adr.w r7, 9b + 1",
                "cmp r6, r7",
                "it ne",
                "addne r5, #8",
                "strd r4, r5, [sp, #{frame} + 60]",
                "b 5b",
                "13:",
                "add sp, #{frame} + 24",
                "pop {{r4-r11, pc}}",
                words!($a, $b, $c, $d, $word, $shift),
                floats!($a, $b, $c, $d, $fraction),
                frame = const $words * 4,
            )
        }
    };
}

/// Where to finish, 9 to integers, 10 to words or 14 to floats: from r3 into r9.
#[cfg(not(fpu))]
macro_rules! finish {
    () => {
        "adr.w r9, 9f + 1
        cbz r3, 2f
        adr.w r9, 10f + 1
        2:"
    };
}
#[cfg(all(fpu, feature = "int16"))]
macro_rules! finish {
    () => {
        "adr.w r9, 9f + 1
        cbz r3, 2f
        adr.w r9, 10f + 1
        subs r3, #1
        beq 2f
        adr.w r9, 14f + 1
        2:"
    };
}
#[cfg(all(fpu, not(feature = "int16")))]
macro_rules! finish {
    () => {
        "adr.w r9, 9f + 1
        cbz r3, 2f
        adr.w r9, 14f + 1
        2:"
    };
}

/// The four sums to words. Where there are floats, only `call::each` asks for them.
#[cfg(any(not(fpu), feature = "int16"))]
macro_rules! words {
    ($a:literal, $b:literal, $c:literal, $d:literal, $word:literal, $shift:literal) => {
        concat!(
            "10:\n",
            $word,
            " r4, ",
            $a,
            $shift,
            "\n",
            $word,
            " r5, ",
            $b,
            $shift,
            "\n",
            $word,
            " r6, ",
            $c,
            $shift,
            "\n",
            $word,
            " r7, ",
            $d,
            $shift,
            "\n",
            "ldr r0, [sp, #{frame} + 60]\n",
            "stm r0!, {{r4, r5, r6, r7}}\n",
            "mov r4, r0\n",
            "ldr r5, [sp, #{frame} + 64]\n",
            "b 11b\n",
        )
    };
}
#[cfg(not(any(not(fpu), feature = "int16")))]
macro_rules! words {
    ($a:literal, $b:literal, $c:literal, $d:literal, $word:literal, $shift:literal) => {
        ""
    };
}

/// The four sums to floats. `$fraction` says how many bits of them are fractional.
#[cfg(fpu)]
macro_rules! floats {
    ($a:literal, $b:literal, $c:literal, $d:literal, $fraction:literal) => {
        concat!(
            "14:\n",
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
            "ldrd r4, r5, [sp, #{frame} + 60]\n",
            "vstm r4!, {{s0-s3}}\n",
            "b 11b\n",
        )
    };
}
#[cfg(not(fpu))]
macro_rules! floats {
    ($a:literal, $b:literal, $c:literal, $d:literal, $fraction:literal) => {
        ""
    };
}

/// The sum of the inputs for `prepare`: into r4.
macro_rules! sum_of_inputs {
    () => {
        "mov lr, r6
        movs r4, #0
        mov.w r11, #0x00010001
        subs r2, #4
        blo 3f
        2:
        ldm lr!, {{r0, r1, r3, r10}}
        smlad r4, r0, r11, r4
        smlad r4, r1, r11, r4
        smlad r4, r3, r11, r4
        smlad r4, r10, r11, r4
        subs r2, #4
        bhs 2b
        3:
        adds r2, #4
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
