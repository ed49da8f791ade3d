//! Integer layers on cores with vector instructions: Cortex-M55, M85. See `mod.rs` for the
//! order of the weights.
//!
//! # Instructions
//!
//! * int8: 10 for 16 inputs of four rows (64 multiply-accumulates): a load of inputs, then a load
//!   of weights and VMLADAVA for each row, and the loop's end. Tail predication takes care of the
//!   last inputs.
//! * int4: 23 for 32 inputs of four rows (128): two loads of inputs, five for each row. The sums
//!   are 16 times as large, since the nibbles stay in the upper half of their bytes.
//! * int16: 10 for 8 inputs of four rows (32).
//! * 18 for four outputs beside that. VRMULH is the rounding of `requantize.rs`.
//!
//! Loads and multiplications take turns, since Cortex-M55 runs the second half of one beside the first half of
//! the other.
//!
//! Vector instructions flush subnormal floats to zero, so floats are multiplied one by one.
//!
//! # Registers in the loops
//!
//! r0, r2, r4, r6 the sums; r1 the inputs; r3 the blocks; lr counts; r8 the start of the inputs, r9
//! their number; r5 y, r11 the end of y; r7 where to go on with the sums.

use core::arch::naked_asm;

use crate::blob::{Element, Operation};
use crate::isa::call::{self, Call, Kernel};
use crate::layer::Step;
use crate::packing::Packing;

/// Runs a layer, or says that it must be run by other code.
#[inline(always)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    if step.layer.packing() != Packing::Mve {
        return false;
    }
    let (kernel, element): (Kernel, _) = match step.layer.operation() {
        Operation::DenseInt8 => (int8, Element::Int8),
        #[cfg(feature = "int4")]
        Operation::DenseInt4 => (int4, Element::Int8),
        #[cfg(feature = "int16")]
        Operation::DenseInt16 => (int16, Element::Int16),
        _ => return false,
    };
    if x.len() < element.words(step.inputs) {
        return false;
    }
    let call = Call {
        kernel,
        integer: element,
        x,
        count: step.inputs,
    };
    // SAFETY: the blocks are of this packing, and x has all inputs; the kernels read no more.
    unsafe { call::run(step, y, call) }
}

/// A kernel from the code that runs a block up to its sums and the code that ends it with
/// integers, of `$bytes` per block. The sums are `2^$shift` times as large.
macro_rules! kernel {
    ($name:ident, $bytes:literal, $shift:literal, $sums:expr, $integers:expr) => {
        #[unsafe(naked)]
        unsafe extern "C" fn $name(
            blocks: *const u32,
            x: *const u32,
            inputs: usize,
            finish: u32,
            y: *mut u32,
            y_end: *mut u32,
            rest: *mut u32,
        ) {
            naked_asm!(
                crate::assembly::cpu!(),
                "push {{r4-r11, lr}}",
                "vpush {{d8, d9}}",
                "mov r12, r3",
                "mov r3, r0",
                "mov r8, r1",
                "mov r9, r2",
                "ldrd r5, r11, [sp, #52]",
                // Where to finish: at 9, 10 or 14.
                "adr.w r7, 9f",
                "subs.w r12, r12, #1",
                "bmi 2f",
                "adr.w r7, 10f",
                "beq 2f",
                "adr.w r7, 14f",
                "2:",
                "vmov.i8 q4, #0xF0",
                "cmp r5, r11",
                "beq 12f",
                // A block: to its four sums, in q0.
                "5:",
                "ldm r3!, {{r0, r2, r4, r6}}",
                "mov r1, r8",
                $sums,
                "vmov q0[2], q0[0], r0, r4",
                "vmov q0[3], q0[1], r2, r6",
                // Multipliers or scales.
                "vldrw.u32 q1, [r3], #16",
                "mov pc, r7",
                ".p2align 2",
                "9:",
                "vmov.i32 q3, #0x7F",
                $integers,
                "11:",
                "cmp r5, r11",
                "bne 5b",
                // The last block, where y has no room for all of it.
                "12:",
                "ldr r5, [sp, #60]",
                "cbz r5, 13f",
                "movs r0, #0",
                "str r0, [sp, #60]",
                "add.w r11, r5, #16",
                "adr.w r0, 9b",
                "cmp r7, r0",
                "it eq",
                concat!("addeq.w r11, r5, #", $bytes),
                "b 5b",
                "13:",
                "vpop {{d8, d9}}",
                "pop {{r4-r11, pc}}",
                // To words.
                ".p2align 2",
                "10:",
                $shift,
                "vstrw.32 q0, [r5], #16",
                "b 11b",
                // To floats.
                ".p2align 2",
                "14:",
                $shift,
                "vcvt.f32.s32 q0, q0",
                "vmul.f32 s0, s0, s4",
                "vmul.f32 s1, s1, s5",
                "vmul.f32 s2, s2, s6",
                "vmul.f32 s3, s3, s7",
                "vstrw.32 q0, [r5], #16",
                "b 11b",
            )
        }
    };
}

/// The product with the multiplier of sums `2^24` times too large once `$shift` is done, clamped
/// to i8.
macro_rules! to_int8 {
    ($shift:literal) => {
        concat!(
            $shift,
            "\n",
            "vrmulh.s32 q0, q0, q1\n",
            "vneg.s32 q2, q3\n",
            "vmin.s32 q0, q0, q3\n",
            "vmax.s32 q0, q0, q2\n",
            "vstrb.32 q0, [r5], #4\n",
        )
    };
}

kernel!(
    int8,
    "4",
    "",
    concat!(
        "dlstp.8 lr, r9\n",
        "3:\n",
        "vldrb.u8 q0, [r1], #16\n",
        "vldrb.u8 q1, [r3], #16\n",
        "vmladava.s8 r0, q0, q1\n",
        "vldrb.u8 q2, [r3], #16\n",
        "vmladava.s8 r2, q0, q2\n",
        "vldrb.u8 q3, [r3], #16\n",
        "vmladava.s8 r4, q0, q3\n",
        "vldrb.u8 q1, [r3], #16\n",
        "vmladava.s8 r6, q0, q1\n",
        "letp lr, 3b\n",
    ),
    to_int8!("vshl.i32 q0, q0, #8")
);

/// A row of 32 inputs in q0 and q1, with the upper nibbles for those in q1.
#[cfg(feature = "int4")]
macro_rules! int4_row {
    ($sum:literal) => {
        concat!(
            "vldrb.u8 q2, [r3], #16\n",
            "vshl.i8 q3, q2, #4\n",
            "vmladava.s8 ",
            $sum,
            ", q0, q3\n",
            "vand q2, q2, q4\n",
            "vmladava.s8 ",
            $sum,
            ", q1, q2\n",
        )
    };
}

#[cfg(feature = "int4")]
macro_rules! int4_rows {
    () => {
        concat!(
            int4_row!("r0"),
            int4_row!("r2"),
            int4_row!("r4"),
            int4_row!("r6"),
        )
    };
}

#[cfg(feature = "int4")]
kernel!(
    int4,
    "4",
    "vshr.s32 q0, q0, #4",
    concat!(
        "lsls r0, r0, #4\n",
        "lsls r2, r2, #4\n",
        "lsls r4, r4, #4\n",
        "lsls r6, r6, #4\n",
        "lsrs r10, r9, #5\n",
        "wls lr, r10, 4f\n",
        "3:\n",
        "vldrb.u8 q0, [r1], #16\n",
        "vldrb.u8 q1, [r1], #16\n",
        int4_rows!(),
        "le lr, 3b\n",
        "4:\n",
        // Up to 31 inputs are left.
        "ands r10, r9, #31\n",
        "beq 4f\n",
        "vctp.8 r10\n",
        "vpst\n",
        "vldrbt.u8 q0, [r1], #16\n",
        "subs r10, #16\n",
        "it mi\n",
        "movmi r10, #0\n",
        "vctp.8 r10\n",
        "vpst\n",
        "vldrbt.u8 q1, [r1]\n",
        int4_rows!(),
        "4:\n",
    ),
    to_int8!("vshl.i32 q0, q0, #4")
);

#[cfg(feature = "int16")]
kernel!(
    int16,
    "8",
    "",
    concat!(
        "dlstp.16 lr, r9\n",
        "3:\n",
        "vldrh.u16 q0, [r1], #16\n",
        "vldrb.s16 q1, [r3], #8\n",
        "vmladava.s16 r0, q0, q1\n",
        "vldrb.s16 q2, [r3], #8\n",
        "vmladava.s16 r2, q0, q2\n",
        "vldrb.s16 q3, [r3], #8\n",
        "vmladava.s16 r4, q0, q3\n",
        "vldrb.s16 q1, [r3], #8\n",
        "vmladava.s16 r6, q0, q1\n",
        "letp lr, 3b\n",
    ),
    concat!(
        "vmov.i32 q3, #0x7FFF\n",
        "vneg.s32 q2, q3\n",
        "vrmulh.s32 q0, q0, q1\n",
        "vmin.s32 q0, q0, q3\n",
        "vmax.s32 q0, q0, q2\n",
        "vstrh.32 q0, [r5], #8\n",
    )
);
