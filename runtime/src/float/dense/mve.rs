//! f32 layers on cores with vector instructions: two blocks of four rows at a time, a row to a lane.
//!
//! # Instructions
//!
//! * 26 for four inputs of eight rows (32 multiply-accumulates): a load of the inputs; a load of weights, VMUL and
//!   VADD for each of them and each block; and the loop's end. Up to three inputs are left, 8 for each.
//! * 14 for four inputs of the one block that may be left.
//! * 15 for eight outputs beside that.
//!
//! # Subnormal numbers
//!
//! Vector instructions take them as zero, and make zero of such results, where scalar ones compute with them. FPSCR
//! says that it has happened: then the results do not count, and the scalar code runs the layer again.
//!
//! # Registers
//!
//! q0 and q1 the sums of two blocks; q2, q3 weights, then products. r0, r5 the blocks; r1 the inputs, r2 their
//! number; r3 y; r4 the next input; r6 to r9 four inputs; r10 and lr count; r11 the blocks left; r12 the bytes of a
//! block.

use core::arch::naked_asm;

/// IDC and UFC of FPSCR: a subnormal input was taken as zero, a subnormal result became zero.
const FLUSHED: u32 = 1 << 7 | 1 << 3;

/// Runs `fours` full blocks. False where the results do not count.
///
/// # Safety
///
/// All pointers are multiples of four; `blocks` has that many blocks for `inputs` inputs, at least one; x has
/// those, y room for four outputs of each block.
pub(super) unsafe fn run(
    blocks: *const u32,
    x: *const u32,
    inputs: usize,
    y: *mut u32,
    fours: usize,
) -> bool {
    // SAFETY: as for this function.
    unsafe { flags(blocks, x, inputs, y, fours) & FLUSHED == 0 }
}

/// An input in `$x`, for two blocks.
macro_rules! input {
    ($x:literal) => {
        concat!(
            "vldrw.u32 q2, [r0], #16\n",
            "vmul.f32 q2, q2, ",
            $x,
            "\n",
            "vldrw.u32 q3, [r5], #16\n",
            "vmul.f32 q3, q3, ",
            $x,
            "\n",
            "vadd.f32 q0, q0, q2\n",
            "vadd.f32 q1, q1, q3\n",
        )
    };
}

/// An input in `$x`, for one block.
macro_rules! input_of_one {
    ($x:literal) => {
        concat!(
            "vldrw.u32 q2, [r0], #16\n",
            "vmul.f32 q2, q2, ",
            $x,
            "\n",
            "vadd.f32 q0, q0, q2\n",
        )
    };
}

/// All inputs, by fours and then one by one.
macro_rules! inputs {
    ($input:ident) => {
        concat!(
            "mov r4, r1\n",
            "lsrs.w r10, r2, #2\n",
            "wls lr, r10, 4f\n",
            "3:\n",
            "ldm r4!, {{r6, r7, r8, r9}}\n",
            $input!("r6"),
            $input!("r7"),
            $input!("r8"),
            $input!("r9"),
            "le lr, 3b\n",
            "4:\n",
            "and r10, r2, #3\n",
            "wls lr, r10, 4f\n",
            "3:\n",
            "ldr r6, [r4], #4\n",
            $input!("r6"),
            "le lr, 3b\n",
            "4:\n",
        )
    };
}

/// What [`run`] does, and the flags of FPSCR.
///
/// # Safety
///
/// As for [`run`].
#[unsafe(naked)]
unsafe extern "C" fn flags(
    blocks: *const u32,
    x: *const u32,
    inputs: usize,
    y: *mut u32,
    fours: usize,
) -> u32 {
    naked_asm!(
        crate::assembly::cpu!(),
        "push {{r4-r11, lr}}",
        "ldr r11, [sp, #36]",
        "adds r12, r2, #1",
        "lsl.w r12, r12, #4",
        "vmrs r4, fpscr",
        "bic r4, r4, #{flushed}",
        "vmsr fpscr, r4",
        "subs.w r11, r11, #2",
        "blo 6f",
        // Two blocks.
        "5:",
        "add.w r5, r0, r12",
        "vldrw.u32 q0, [r0], #16",
        "vldrw.u32 q1, [r5], #16",
        inputs!(input),
        "vstrw.32 q0, [r3], #16",
        "vstrw.32 q1, [r3], #16",
        "mov r0, r5",
        "subs.w r11, r11, #2",
        "bhs 5b",
        "6:",
        "lsls.w r11, r11, #31",
        "beq 7f",
        // One.
        "vldrw.u32 q0, [r0], #16",
        inputs!(input_of_one),
        "vstrw.32 q0, [r3], #16",
        "7:",
        "vmrs r0, fpscr",
        "pop {{r4-r11, pc}}",
        flushed = const FLUSHED,
    )
}
