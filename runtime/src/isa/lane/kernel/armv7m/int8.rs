//! int8 layers.
//!
//! # Instructions
//!
//! * 49 for eight inputs of four rows (32 multiply-accumulates): a load of eight words of
//!   weights, and six for each input: its load, MLA, REV, MLA, LSR, MLA. The loop has four times
//!   that, so its end costs three instructions in 199. It is entered in the middle where the
//!   inputs are not a multiple of 32; up to seven inputs are left for the code behind it.
//! * 46 for four outputs beside that: starting the sums (6), two jumps, taking them apart (10),
//!   and what `mod.rs` says.
//! * About 50 for a layer, and 18 for eight inputs: their sum, since the weights have 128 added.
//!
//! # Registers in the loop
//!
//! r0, r1, r2 the sums e0, e1, e2; r3 an input; r4 to r11 words of weights; r12 the blocks; lr
//! the inputs. On the stack:
//!
//! | offset | |
//! |---|---|
//! | 0 | 128 times the sum of the inputs, times 0x0101 and, at 4, 0x01010101 |
//! | 8 | where to enter the loop |
//! | 12 | the inputs |
//! | 16 | the end of those that the loop takes |
//! | 20 | where to go on behind the loop |

/// One input: its word of weights in `$w`, which is lost.
macro_rules! input {
    ($w:literal) => {
        concat!(
            "ldrsb r3, [lr], #1\n",
            "mla r0, ",
            $w,
            ", r3, r0\n",
            "rev.w ",
            $w,
            ", ",
            $w,
            "\n",
            "mla r2, ",
            $w,
            ", r3, r2\n",
            "lsr.w ",
            $w,
            ", ",
            $w,
            ", #16\n",
            "mla r1, ",
            $w,
            ", r3, r1\n",
        )
    };
}

/// 196 bytes: eight inputs.
macro_rules! eight_inputs {
    () => {
        concat!(
            "ldm r12!, {{r4, r5, r6, r7, r8, r9, r10, r11}}\n",
            input!("r4"),
            input!("r5"),
            input!("r6"),
            input!("r7"),
            input!("r8"),
            input!("r9"),
            input!("r10"),
            input!("r11"),
        )
    };
}

/// 28 bytes: one input.
macro_rules! one_input {
    () => {
        concat!("ldr r4, [r12], #4\n", input!("r4"))
    };
}

kernel!(
    int8,
    concat!(
        "mov r12, r0\n",
        "mov lr, r1\n",
        "mov r7, r1\n",
        // The sum of the inputs, in eights, then the rest.
        "movs r4, #0\n",
        "lsrs r5, r2, #3\n",
        "beq 3f\n",
        "2:\n",
        ".rept 8\n",
        "ldrsb r0, [lr], #1\n",
        "add r4, r0\n",
        ".endr\n",
        "subs r5, #1\n",
        "bne 2b\n",
        "3:\n",
        "mov r8, lr\n",
        "adr.w r9, 8f\n",
        "add.w r9, r9, #1\n",
        "ands r5, r2, #7\n",
        "beq 5f\n",
        "4:\n",
        "ldrsb r0, [lr], #1\n",
        "add r4, r0\n",
        "sub.w r9, r9, #28\n",
        "subs r5, #1\n",
        "bne 4b\n",
        "5:\n",
        "mov.w r5, #0x01010101\n",
        "muls r5, r4, r5\n",
        "add.w r4, r4, r4, lsl #8\n",
        "lsls r5, r5, #7\n",
        "lsls r4, r4, #7\n",
        // Where to enter: of four eights the loop starts with the last one, two or three where
        // their number is not a multiple of four, and is left out where there is none.
        "mov r6, r9\n",
        "lsrs r0, r2, #3\n",
        "beq 6f\n",
        "rsbs r0, r0, #0\n",
        "and r0, r0, #3\n",
        "movs r1, #196\n",
        "adr.w r6, 7f\n",
        "mla r6, r0, r1, r6\n",
        "6:\n",
    ),
    concat!(
        "ldm r12!, {{r0, r1, r2}}\n",
        "ldm sp, {{r3, r4, r5, lr}}\n",
        "subs r0, r0, r4\n",
        "subs r1, r1, r3\n",
        "subs r2, r2, r4\n",
        "mov pc, r5\n",
        ".p2align 2\n",
        "7:\n",
        eight_inputs!(),
        eight_inputs!(),
        eight_inputs!(),
        eight_inputs!(),
        "ldr r3, [sp, #16]\n",
        "cmp lr, r3\n",
        "bne.w 7b\n",
        "ldr.w pc, [sp, #20]\n",
        ".p2align 2\n",
        one_input!(),
        one_input!(),
        one_input!(),
        one_input!(),
        one_input!(),
        one_input!(),
        one_input!(),
        // The four sums, times 256, in r3 to r6: A, B, D, C.
        "8:\n",
        "sub.w r2, r2, r1, lsl #16\n", // p
        "sub.w r0, r0, r1, lsl #8\n",
        "sub.w r0, r0, r2, lsl #24\n", // z
        "sub.w r4, r1, r0, lsl #8\n",
        "lsls r4, r4, #8\n",
        "sub.w r3, r1, r4, asr #8\n",
        "sub.w r0, r0, r3, asr #8\n",
        "add.w r0, r0, r3, lsl #8\n", // C << 16
        "rsb.w r5, r0, r2, lsl #8\n",
        "sub.w r6, r2, r5, asr #8\n",
    ),
    "4",
    to_int8!(),
    to_words!()
);
