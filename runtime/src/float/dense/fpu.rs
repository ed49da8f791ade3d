//! f32 layers on cores with an FPU, four rows at a time.
//!
//! # Instructions
//!
//! * 36 for four inputs of four rows (16 multiply-accumulates): a load of the inputs, one of the
//!   weights, VMUL and VADD for each product, and the loop's end. Up to three inputs are left,
//!   12 for each.
//! * 9 for four outputs beside that.
//! * `4 + 2 rows` for an input of the last block, where it has one to three rows.
//!
//! VMUL and VADD round one after the other, as the portable code does; VFMA would not. VMLA rounds
//! twice, too, and saves 16 of the 36, but takes Cortex-M4 three cycles where these two take
//! it one each. Cortex-M7 starts one in each cycle, and has it where the firmware is built for that core. Between
//! the two of a row there are three others, so that none waits.
//!
//! # Registers
//!
//! s0 to s3 the sums; s4 to s7 inputs; s8 to s23 weights; s24 to s27 products. r0 the blocks; r1 the
//! inputs, r2 their number; r3 y; r4 the full blocks left; r5 the rows of the last; r6 the next
//! input; r12 counts.

use core::arch::naked_asm;

use crate::blob::Operation;
use crate::layer::{ROWS, Step};

/// Runs a layer, or says that it must be run by other code.
#[inline(always)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    let blocks = step.blocks.as_ptr().cast::<u32>();
    if step.layer.operation() != Operation::DenseFloat
        || !blocks.is_aligned()
        || x.len() < step.inputs
        || y.len() < step.layer.units()
    {
        return false;
    }
    let (fours, rest) = (step.layer.units() / ROWS, step.layer.units() % ROWS);
    let (x, y) = (x.as_ptr(), y.as_mut_ptr());
    // SAFETY: `blocks` is aligned and has the layer's blocks, as the packer made them; x has all
    // inputs, y room for all units.
    #[cfg(kernel = "mve")]
    let done = match unsafe { super::mve::run(blocks, x, step.inputs, y, fours) } {
        true => fours,
        false => 0,
    };
    #[cfg(not(kernel = "mve"))]
    let done = 0;
    // SAFETY: as above, for what is left of them.
    unsafe {
        run(
            blocks.add(done * ROWS * (step.inputs + 1)),
            x,
            step.inputs,
            y.add(done * ROWS),
            fours - done,
            rest,
        );
    }
    true
}

/// One input in `$x`, four weights.
#[cfg(not(vmla))]
macro_rules! input {
    ($x:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "vmul.f32 s24, ",
            $a,
            ", ",
            $x,
            "\n",
            "vmul.f32 s25, ",
            $b,
            ", ",
            $x,
            "\n",
            "vmul.f32 s26, ",
            $c,
            ", ",
            $x,
            "\n",
            "vmul.f32 s27, ",
            $d,
            ", ",
            $x,
            "\n",
            "vadd.f32 s0, s0, s24\n",
            "vadd.f32 s1, s1, s25\n",
            "vadd.f32 s2, s2, s26\n",
            "vadd.f32 s3, s3, s27\n",
        )
    };
}

/// One input in `$x`, four weights.
#[cfg(vmla)]
macro_rules! input {
    ($x:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "vmla.f32 s0, ",
            $a,
            ", ",
            $x,
            "\n",
            "vmla.f32 s1, ",
            $b,
            ", ",
            $x,
            "\n",
            "vmla.f32 s2, ",
            $c,
            ", ",
            $x,
            "\n",
            "vmla.f32 s3, ",
            $d,
            ", ",
            $x,
            "\n",
        )
    };
}

/// The last block, from its biases to its outputs.
macro_rules! last_block {
    ($sums:literal, $weights:literal, $products:expr) => {
        concat!(
            "vldm r0!, {{",
            $sums,
            "}}\n",
            "2:\n",
            "vldm r1!, {{s4}}\n",
            "vldm r0!, {{",
            $weights,
            "}}\n",
            $products,
            "subs r2, #1\n",
            "bne 2b\n",
            "vstm r3!, {{",
            $sums,
            "}}\n",
        )
    };
}

/// Runs the blocks of a layer.
///
/// * `inputs` - at least one
/// * `fours`, `rest` - blocks of four rows, and the rows of the one behind them, if any
///
/// # Safety
///
/// All pointers are multiples of four and valid for that.
#[unsafe(naked)]
unsafe extern "C" fn run(
    blocks: *const u32,
    x: *const u32,
    inputs: usize,
    y: *mut u32,
    fours: usize,
    rest: usize,
) {
    naked_asm!(
        crate::assembly::cpu!(),
        "push {{r4-r6, lr}}",
        "vpush {{d8-d13}}",
        "ldrd r4, r5, [sp, #64]",
        "cmp r4, #0",
        "beq 6f",
        // A block.
        "2:",
        "vldm r0!, {{s0-s3}}",
        "mov r6, r1",
        "lsrs.w r12, r2, #2",
        "beq 4f",
        "3:",
        "vldm r6!, {{s4-s7}}",
        "vldm r0!, {{s8-s23}}",
        input!("s4", "s8", "s9", "s10", "s11"),
        input!("s5", "s12", "s13", "s14", "s15"),
        input!("s6", "s16", "s17", "s18", "s19"),
        input!("s7", "s20", "s21", "s22", "s23"),
        "subs.w r12, r12, #1",
        "bne 3b",
        "4:",
        "ands r12, r2, #3",
        "beq 5f",
        "3:",
        "vldm r6!, {{s4}}",
        "vldm r0!, {{s8-s11}}",
        input!("s4", "s8", "s9", "s10", "s11"),
        "subs.w r12, r12, #1",
        "bne 3b",
        "5:",
        "vstm r3!, {{s0-s3}}",
        "subs r4, #1",
        "bne 2b",
        "6:",
        "cmp r5, #2",
        "bhi 7f",
        "beq 8f",
        "cmp r5, #0",
        "beq 9f",
        last_block!(
            "s0",
            "s8",
            "vmul.f32 s24, s8, s4
            vadd.f32 s0, s0, s24
            "
        ),
        "b 9f",
        "7:",
        last_block!(
            "s0-s2",
            "s8-s10",
            "vmul.f32 s24, s8, s4
            vmul.f32 s25, s9, s4
            vmul.f32 s26, s10, s4
            vadd.f32 s0, s0, s24
            vadd.f32 s1, s1, s25
            vadd.f32 s2, s2, s26
            "
        ),
        "b 9f",
        "8:",
        last_block!(
            "s0-s1",
            "s8-s9",
            "vmul.f32 s24, s8, s4
            vmul.f32 s25, s9, s4
            vadd.f32 s0, s0, s24
            vadd.f32 s1, s1, s25
            "
        ),
        "9:",
        "vpop {{d8-d13}}",
        "pop {{r4-r6, pc}}",
    )
}
