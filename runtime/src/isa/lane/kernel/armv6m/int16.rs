//! int16 layers.
//!
//! # Instructions
//!
//! * 26 for two inputs of four rows (8 multiply-accumulates): a load of them, one of two words of
//!   weights, two to take the inputs apart, and eleven for each: four products and their sums, and
//!   three shifts. The loop has four times that, so its end costs two instructions in 106. It is
//!   entered in the middle where the inputs are not a multiple of 8.
//! * 153 for four outputs beside that: starting the sums (7), taking them apart (15), 30 for each to
//!   be requantized, clamped and stored, and what `mod.rs` says.
//! * About 60 for a layer, and 7 for two inputs: their sum, since the weights have 128 added.
//!
//! # Registers in the loop
//!
//! r0 the blocks; r1 the inputs; r2 a word of two inputs, r3 one of them; r4, r5 products; r6, r7
//! words of weights; r8 to r11 the sums e0 to e3; r12 the end of the inputs; lr where to enter the
//! loop. On the stack, at 0, 128 times the sum of the inputs, and, at 4, 32767.

/// One input in `$x`, its word of weights in `$w`, which is lost.
macro_rules! input {
    ($w:literal, $x:literal) => {
        concat!(
            "lsrs r4, ",
            $w,
            ", #8\n",
            "lsrs r5, ",
            $w,
            ", #16\n",
            "muls r4, ",
            $x,
            ", r4\n",
            "add r9, r4\n",
            "muls r5, ",
            $x,
            ", r5\n",
            "add r10, r5\n",
            "lsrs r4, ",
            $w,
            ", #24\n",
            "muls r4, ",
            $x,
            ", r4\n",
            "add r11, r4\n",
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

/// 52 bytes: two inputs.
macro_rules! two_inputs {
    () => {
        concat!(
            "ldm r1!, {{r2}}\n",
            "ldm r0!, {{r6, r7}}\n",
            "sxth r3, r2\n",
            input!("r6", "r3"),
            "asrs r2, r2, #16\n",
            input!("r7", "r2"),
        )
    };
}

/// An output at r1 from the sum in r2, r7 being 32767.
///
/// The high word of the product, from those of the factors' halves: `h * 2^32 + (m + n) * 2^16 + l`,
/// where m + l / 2^16 fits a word, and so does n with the low half of that.
macro_rules! requantize {
    ($at:literal) => {
        concat!(
            "ldm r0!, {{r3}}\n",
            "asrs r4, r2, #16\n",
            "uxth r2, r2\n",
            "asrs r5, r3, #16\n",
            "uxth r3, r3\n",
            "movs r6, r2\n",
            "muls r6, r3, r6\n", // l
            "muls r3, r4, r3\n", // m
            "muls r2, r5, r2\n", // n
            "muls r4, r5, r4\n", // h
            "lsrs r6, r6, #16\n",
            "adds r3, r3, r6\n",
            "asrs r6, r3, #16\n",
            "adds r4, r4, r6\n",
            "uxth r3, r3\n",
            "adds r2, r2, r3\n",
            "adds r4, r4, r7\n",
            // The carry is the bit that rounds.
            "asrs r2, r2, #16\n",
            "adcs r4, r2\n",
            // 32767 more than the output, so the clamp is from 0 to 65534.
            "asrs r6, r4, #31\n",
            "bics r4, r6\n",
            "lsls r5, r7, #1\n",
            "subs r4, r5, r4\n",
            "asrs r6, r4, #31\n",
            "bics r4, r6\n",
            "subs r4, r7, r4\n",
            "strh r4, [r1, #",
            $at,
            "]\n",
        )
    };
}

kernel!(
    int16,
    concat!(
        // The sum of the inputs, in pairs, whatever the last one is if the layer lacks it.
        "adds r2, #1\n",
        "lsrs r2, r2, #1\n",
        "movs r5, r2\n",
        "movs r4, #0\n",
        "2:\n",
        "ldm r1!, {{r6}}\n",
        "sxth r7, r6\n",
        "adds r4, r7\n",
        "asrs r6, r6, #16\n",
        "adds r4, r6\n",
        "subs r5, #1\n",
        "bne 2b\n",
        "lsls r4, r4, #7\n",
        "str r4, [sp, #0]\n",
        "mov r12, r1\n",
        // Where to enter: of four pairs with the second, third or last one where their number is
        // not a multiple of four.
        "rsbs r2, r2, #0\n",
        "movs r5, #3\n",
        "ands r2, r5\n",
        "movs r5, #52\n",
        "muls r2, r5, r2\n",
        "ldr r5, 16f\n",
        "adds r2, r2, r5\n",
        "mov lr, r2\n",
        "ldr r2, 15f\n",
        "str r2, [sp, #4]\n",
    ),
    concat!(
        "ldm r0!, {{r4, r5, r6, r7}}\n",
        "mov r8, r4\n",
        "mov r9, r5\n",
        "mov r10, r6\n",
        "mov r11, r7\n",
        "ldr r1, [sp, #8]\n",
        "mov pc, lr\n",
        ".p2align 2\n",
        "15:\n",
        ".long 32767\n",
        "7:\n",
        two_inputs!(),
        two_inputs!(),
        two_inputs!(),
        two_inputs!(),
        "cmp r1, r12\n",
        "bne 7b\n",
        // The four sums in r2 to r5: A, C, B, D.
        "mov r2, r8\n",
        "mov r4, r9\n",
        "mov r3, r10\n",
        "mov r5, r11\n",
        "lsls r6, r4, #8\n",
        "subs r2, r2, r6\n",
        "lsls r6, r3, #8\n",
        "subs r4, r4, r6\n",
        "lsls r6, r5, #8\n",
        "subs r3, r3, r6\n",
        "ldr r6, [sp, #0]\n",
        "subs r2, r2, r6\n",
        "subs r3, r3, r6\n",
        "subs r4, r4, r6\n",
        "subs r5, r5, r6\n",
    ),
    "8",
    concat!(
        "ldr r7, [sp, #4]\n",
        "mov r8, r4\n",
        "mov r9, r3\n",
        "mov r10, r5\n",
        requantize!("0"),
        "mov r2, r8\n",
        requantize!("2"),
        "mov r2, r9\n",
        requantize!("4"),
        "mov r2, r10\n",
        requantize!("6"),
    )
);
