//! int8 layers.
//!
//! # Instructions
//!
//! * 41 for four inputs of four rows (16 multiply-accumulates): a load of four inputs, two of two
//!   words of weights, and for each input six to take it apart from the others and eight to add
//!   its products: REV, LSR, three MUL, three ADD. The loop has twice that, so its end costs two
//!   instructions in 84. It is entered in the middle for an odd number of fours; up to three
//!   inputs are left for the code behind it, twelve instructions each.
//! * 117 for four outputs beside that: starting the sums (11), a jump, taking them apart (23),
//!   18 for each to be requantized, clamped and stored, and what `mod.rs` says.
//! * About 75 for a layer, and 14 for four inputs: their sum, since the weights have 128 added.
//!
//! # Registers in the loop
//!
//! r0 the blocks; r1 the inputs; r2 a word of inputs, r3 one of them; r4, r5 products; r6, r7
//! words of weights; r8, r9, r10 the sums e0, e1, e2; r11 the end of the inputs that the loop
//! takes; r12 where to go on behind it; lr where to enter it. On the stack, at 0, 128 times the sum
//! of the inputs, times 0x01010101 and, at 4, 0x0101.

/// One input in `$x`, its word of weights in `$w`, which is lost.
macro_rules! input {
    ($w:literal, $x:literal) => {
        concat!(
            "rev r4, ",
            $w,
            "\n",
            "lsrs r5, r4, #16\n",
            "muls r4, ",
            $x,
            ", r4\n",
            "add r10, r4\n",
            "muls r5, ",
            $x,
            ", r5\n",
            "add r9, r5\n",
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

/// 82 bytes: four inputs.
macro_rules! four_inputs {
    () => {
        concat!(
            "ldm r1!, {{r2}}\n",
            "ldm r0!, {{r6, r7}}\n",
            "sxtb r3, r2\n",
            input!("r6", "r3"),
            "asrs r2, r2, #8\n",
            "sxtb r3, r2\n",
            input!("r7", "r3"),
            "ldm r0!, {{r6, r7}}\n",
            "asrs r2, r2, #8\n",
            "sxtb r3, r2\n",
            input!("r6", "r3"),
            "asrs r2, r2, #8\n",
            input!("r7", "r2"),
        )
    };
}

/// 24 bytes: one input.
macro_rules! one_input {
    () => {
        concat!(
            "ldm r0!, {{r6}}\n",
            "movs r3, #0\n",
            "ldrsb r3, [r1, r3]\n",
            "adds r1, #1\n",
            input!("r6", "r3"),
        )
    };
}

kernel!(
    int8,
    concat!(
        // The sum of the inputs, in fours, then the rest.
        "movs r4, #0\n",
        "lsrs r5, r2, #2\n",
        "beq 3f\n",
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
        "3:\n",
        "mov r11, r1\n",
        "ldr r7, 15f\n",
        "movs r5, #3\n",
        "ands r5, r2\n",
        "beq 5f\n",
        "4:\n",
        "movs r6, #0\n",
        "ldrsb r6, [r1, r6]\n",
        "adds r4, r6\n",
        "adds r1, #1\n",
        "subs r7, #24\n",
        "subs r5, #1\n",
        "bne 4b\n",
        "5:\n",
        "mov r12, r7\n",
        "lsls r4, r4, #7\n",
        "lsls r5, r4, #8\n",
        "adds r4, r5\n",
        "str r4, [sp, #4]\n",
        "lsls r5, r4, #16\n",
        "adds r4, r5\n",
        "str r4, [sp, #0]\n",
        // Where to enter: of two fours with the second one where their number is odd; the loop
        // is left out where there is none.
        "mov lr, r7\n",
        "lsrs r2, r2, #2\n",
        "beq 6f\n",
        "ldr r4, 16f\n",
        "lsrs r2, r2, #1\n",
        "bcc 2f\n",
        "adds r4, #82\n",
        "2:\n",
        "mov lr, r4\n",
        "6:\n",
    ),
    concat!(
        "ldm r0!, {{r4, r5, r6}}\n",
        "ldr r2, [sp, #0]\n",
        "ldr r3, [sp, #4]\n",
        "subs r4, r4, r2\n",
        "subs r5, r5, r3\n",
        "subs r6, r6, r2\n",
        "mov r8, r4\n",
        "mov r9, r5\n",
        "mov r10, r6\n",
        "ldr r1, [sp, #8]\n",
        "mov pc, lr\n",
        ".p2align 2\n",
        "15:\n",
        ".long 8f\n",
        "7:\n",
        four_inputs!(),
        four_inputs!(),
        "cmp r1, r11\n",
        "bne 7b\n",
        "mov pc, r12\n",
        ".p2align 2\n",
        one_input!(),
        one_input!(),
        one_input!(),
        // The four sums in r2 to r5: A, C, B, D.
        "8:\n",
        "mov r1, r8\n",
        "mov r2, r9\n",
        "mov r3, r10\n",
        "lsls r4, r2, #16\n",
        "subs r3, r3, r4\n", // p
        "lsls r4, r2, #8\n",
        "subs r1, r1, r4\n",
        "lsls r4, r3, #24\n",
        "subs r1, r1, r4\n", // z
        "lsls r4, r1, #8\n",
        "subs r4, r2, r4\n",
        "lsls r4, r4, #8\n",
        "asrs r4, r4, #8\n", // B
        "subs r2, r2, r4\n",
        "asrs r2, r2, #8\n", // A
        "subs r1, r1, r2\n",
        "lsls r5, r2, #16\n",
        "adds r1, r1, r5\n", // C << 16
        "lsls r5, r3, #8\n",
        "subs r5, r5, r1\n",
        "asrs r5, r5, #8\n", // D
        "subs r3, r3, r5\n",
        "asrs r3, r3, #8\n", // C
    ),
    "4",
    to_int8!()
);
