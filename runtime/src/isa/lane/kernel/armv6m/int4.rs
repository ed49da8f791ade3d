//! int4 layers.
//!
//! # Instructions
//!
//! * 168 for 16 inputs of four rows (64 multiply-accumulates): for four inputs a load of them, one of
//!   two words of weights, six to take them apart, and 15 for each word: four times a shift, a mask,
//!   a product and its sum, less one shift; 12 to add up the halves of the two sums, and four for
//!   the loop's end. It is entered in the middle where the inputs are not a multiple of 16.
//! * 110 for four outputs beside that: starting the sums (12), taking them apart (13), 18 for each to
//!   be requantized, clamped and stored, two jumps, and what `mod.rs` says.
//! * About 65 for a layer, and 11 for four inputs: their sum, since the weights have 8 added.
//!
//! # Registers in the loop
//!
//! r0 the blocks; r1 the inputs; r2 a word of inputs, r3 one of them; r4, r5 words of weights; r6
//! products; r7 the mask; r8, r9 the sums `A + 2^16 C` and `B + 2^16 D` of up to 16 inputs; r10,
//! r11 the first one and C of all, r12, lr the second one and D. On the stack, at 0, 8 times the
//! sum of the inputs, at 4 their end, at 16 where to enter the loop.

/// The weights of two rows above bit `$shift` of `$w`, to the sum in `$sum`: added, or in place of
/// it.
macro_rules! rows {
    ($set:ident $sum:literal, $w:literal >> $shift:literal) => {
        concat!(
            "lsrs r6, ",
            $w,
            ", #",
            $shift,
            "\n",
            rows!($set $sum, "r6"),
        )
    };
    ($set:ident $sum:literal, $w:literal) => {
        concat!(
            "ands ",
            $w,
            ", r7\n",
            "muls ",
            $w,
            ", r3, ",
            $w,
            "\n",
            stringify!($set),
            " ",
            $sum,
            ", ",
            $w,
            "\n",
        )
    };
}

/// Two inputs, the second one first: instructions that take each into r3, then that which its
/// first product goes by to the sums.
macro_rules! two_inputs {
    ($w:literal, $second:expr, $first:expr, $set:ident) => {
        concat!(
            $second,
            rows!($set "r8", $w >> "4"),
            rows!($set "r9", $w >> "12"),
            $first,
            rows!(add "r9", $w >> "8"),
            rows!(add "r8", $w),
        )
    };
}

/// 76 bytes: four inputs.
macro_rules! four_inputs {
    ($set:ident) => {
        concat!(
            "ldm r1!, {{r2}}\n",
            "ldm r0!, {{r4, r5}}\n",
            two_inputs!(
                "r4",
                "lsls r3, r2, #16\nasrs r3, r3, #24\n",
                "sxtb r3, r2\n",
                $set
            ),
            two_inputs!(
                "r5",
                "asrs r3, r2, #24\n",
                "lsls r3, r2, #8\nasrs r3, r3, #24\n",
                add
            ),
        )
    };
}

/// The sum in `$sum` to the one in `$pair` and its high half to that in `$high`.
macro_rules! halves {
    ($sum:literal, $pair:literal, $high:literal) => {
        concat!(
            "mov r6, ",
            $sum,
            "\n",
            "add ",
            $pair,
            ", r6\n",
            "mov r4, ",
            $high,
            "\n",
            // The carry is the bit that the low half has borrowed.
            "asrs r6, r6, #16\n",
            "adcs r4, r6\n",
            "mov ",
            $high,
            ", r4\n",
        )
    };
}

kernel!(
    int4,
    concat!(
        // The sum of the inputs, in fours, whatever the last ones are that the layer lacks.
        "adds r2, #3\n",
        "lsrs r2, r2, #2\n",
        "movs r5, r2\n",
        "movs r4, #0\n",
        "2:\n",
        "ldm r1!, {{r6}}\n",
        ".rept 3\n",
        "sxtb r7, r6\n",
        "adds r4, r7\n",
        "asrs r6, r6, #8\n",
        ".endr\n",
        "adds r4, r6\n",
        "subs r5, #1\n",
        "bne 2b\n",
        "lsls r4, r4, #3\n",
        "str r4, [sp, #0]\n",
        "str r1, [sp, #4]\n",
        // Where to enter: of four fours with the second, third or last one where their number is
        // not a multiple of four.
        "rsbs r2, r2, #0\n",
        "movs r5, #3\n",
        "ands r2, r5\n",
        "movs r5, #76\n",
        "muls r2, r5, r2\n",
        "ldr r5, 16f\n",
        "adds r2, r2, r5\n",
        "str r2, [sp, #16]\n",
    ),
    concat!(
        "ldm r0!, {{r4, r5, r6, r7}}\n",
        "mov r10, r4\n",
        "mov r11, r5\n",
        "mov r12, r6\n",
        "mov lr, r7\n",
        "movs r4, #0\n",
        "mov r8, r4\n",
        "mov r9, r4\n",
        "ldr r7, 15f\n",
        "ldr r1, [sp, #8]\n",
        "ldr r4, [sp, #16]\n",
        "mov pc, r4\n",
        ".p2align 2\n",
        "15:\n",
        ".long 0x000F000F\n",
        "7:\n",
        four_inputs!(mov),
        four_inputs!(add),
        four_inputs!(add),
        four_inputs!(add),
        halves!("r8", "r10", "r11"),
        halves!("r9", "r12", "lr"),
        "ldr r4, [sp, #4]\n",
        "cmp r1, r4\n",
        "beq 8f\n",
        "b 7b\n",
        "8:\n",
        // The four sums in r2 to r5: A, C, B, D.
        "mov r2, r10\n",
        "mov r3, r11\n",
        "mov r4, r12\n",
        "mov r5, lr\n",
        "lsls r6, r3, #16\n",
        "subs r2, r2, r6\n",
        "lsls r6, r5, #16\n",
        "subs r4, r4, r6\n",
        "ldr r6, [sp, #0]\n",
        "subs r2, r2, r6\n",
        "subs r3, r3, r6\n",
        "subs r4, r4, r6\n",
        "subs r5, r5, r6\n",
    ),
    "4",
    to_int8!()
);
