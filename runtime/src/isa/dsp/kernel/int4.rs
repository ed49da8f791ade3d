//! int4 weights.
//!
//! # Instructions
//!
//! * 27 for eight inputs of four rows (32 multiply-accumulates): a load of four words of weights,
//!   two loads of two pairs of inputs, and six for each of the four pairs: SMLALD, AND, AND, SMLAD,
//!   UXTAB16, SMLAD.
//! * 17 for four outputs: starting the sums and taking them apart.
//! * 7 for eight inputs, once: the sum of the inputs, since three of four nibbles have 8 added.
//!
//! # Registers in the loop
//!
//! r0, r1 the 64 bits of the sum s; r2, r3 the sums e0, e1; r4, r5 two pairs of inputs; r6 to r9
//! four words of weights; r10 B and C of one of them; r11 the mask 0x0F000F00. On the stack below
//! the frame: what the eights added to s, in 64 bits, and to e0 and e1 each.

/// The start of a pair of inputs in `$x`, the word `$w`.
macro_rules! wide {
    ($x:literal, $w:literal) => {
        concat!("smlald r0, r1, ", $w, ", ", $x, "\n",)
    };
}

/// What follows that.
macro_rules! nibbles {
    ($x:literal, $w:literal) => {
        concat!(
            "and.w r10, r11, ",
            $w,
            ", lsl #4\n",
            "and.w ",
            $w,
            ", ",
            $w,
            ", #0x0F0F0F0F\n",
            "smlad r2, ",
            $w,
            ", ",
            $x,
            ", r2\n",
            "uxtab16 r10, r10, ",
            $w,
            ", ror #8\n",
        )
    };
}

/// The end.
macro_rules! middle {
    ($x:literal) => {
        concat!("smlad r3, r10, ", $x, ", r3\n",)
    };
}

/// Two pairs, woven together for Cortex-M7, which starts two instructions at a time.
macro_rules! two_pairs {
    ($x:literal, $v:literal, $y:literal, $w:literal) => {
        concat!(
            wide!($x, $v),
            nibbles!($x, $v),
            wide!($y, $w),
            middle!($x),
            nibbles!($y, $w),
            middle!($y),
        )
    };
}

kernel! {
    words: 3,
    prepare: concat!(
        sum_of_inputs!(),
        // 8 + 16 * 8 + 256 * 8 and 8 + 256 * 8.
        "movw r0, #2184\n",
        "movw r1, #2056\n",
        "smull r2, r3, r4, r0\n",
        "mul r4, r4, r1\n",
        "push {{r2-r9}}\n",
        "mov.w r11, #0x0F000F00",
    ),
    start: "ldm r12!, {{r0, r1, r2, r3}}
        ldm sp, {{r4, r5, r6, r7, lr}}
        subs r0, r0, r4
        sbc.w r1, r1, r5
        sub.w r2, r2, r6
        sub.w r3, r3, r6
        mov pc, r7",
    four_pairs: concat!(
        "ldm r12!, {{r6, r7, r8, r9}}\n",
        "ldrd r4, r5, [lr], #8\n",
        two_pairs!("r4", "r6", "r5", "r7"),
        "ldrd r4, r5, [lr], #8\n",
        two_pairs!("r4", "r8", "r5", "r9"),
    ), 108,
    two_pairs: 56, "ldrd r8, r9, [r12], #8",
    one_pair: concat!(
        "ldr r4, [lr], #4\n",
        "ldr r6, [r12], #4\n",
        wide!("r4", "r6"),
        nibbles!("r4", "r6"),
        middle!("r4"),
    ), 32,
    // Times 256.
    sums: "lsrs r0, r0, #4
        orr.w r0, r0, r1, lsl #28
        sub.w r1, r0, r2, lsr #4
        sub.w r1, r3, r1, lsl #8
        sub.w r1, r2, r1, lsl #8
        lsls r1, r1, #8
        sub.w r2, r2, r1, asr #8
        sub.w r3, r3, r2, asr #8
        sub.w r0, r0, r1, asr #12
        sub.w r0, r0, r2, asr #4
        sub.w r0, r0, r3, asr #8", "r1", "r3", "r2", "r0",
    integers: to_int8!("r1", "r3", "r2", "r0"),
    word: "asr.w", ", #8",
    fraction: ", #8",
}
