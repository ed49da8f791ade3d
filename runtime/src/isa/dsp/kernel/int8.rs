//! int8 weights.
//!
//! # Instructions
//!
//! * 23 for eight inputs of four rows (32 multiply-accumulates): three loads of four words, and
//!   five for each of the four pairs: SMLAD, AND, SMLAD, SXTAB16, SMLAD.
//! * 9 for four outputs: starting the sums and taking them apart.
//! * 7 for eight inputs, once: the sum of the inputs, since the lowest byte of `W1` has 128 added.
//!
//! # Registers in the loop
//!
//! r0, r1, r2 the sums e0, e1, e2; r3 to r6 four pairs of inputs; r7 to r10 two pairs of weights;
//! r11 the mask 0xFF00FF00. On the stack below the frame: 128 times the sum of the inputs.

/// The start of a pair of inputs in `$x`, the words W1 and W2.
macro_rules! outer {
    ($x:literal, $w2:literal) => {
        concat!(
            "smlad r2, ",
            $w2,
            ", ",
            $x,
            ", r2\n",
            "and.w ",
            $w2,
            ", r11, ",
            $w2,
            ", lsl #8\n",
        )
    };
}

/// What follows that.
macro_rules! low {
    ($x:literal, $w1:literal, $w2:literal) => {
        concat!(
            "smlad r0, ",
            $w1,
            ", ",
            $x,
            ", r0\n",
            "sxtab16 ",
            $w2,
            ", ",
            $w2,
            ", ",
            $w1,
            ", ror #8\n",
        )
    };
}

/// The end.
macro_rules! middle {
    ($x:literal, $w2:literal) => {
        concat!("smlad r1, ", $w2, ", ", $x, ", r1\n",)
    };
}

/// Two pairs, woven together: what takes the result of an instruction comes two behind it, so that
/// Cortex-M7, which starts two instructions at a time, does not wait for it.
macro_rules! two_pairs {
    ($x:literal, $w1:literal, $w2:literal, $y:literal, $w3:literal, $w4:literal) => {
        concat!(
            outer!($x, $w2),
            outer!($y, $w4),
            low!($x, $w1, $w2),
            low!($y, $w3, $w4),
            middle!($x, $w2),
            middle!($y, $w4),
        )
    };
}

kernel! {
    words: 1,
    prepare: concat!(
        sum_of_inputs!(),
        "lsls r4, r4, #7\n",
        "push {{r4-r9}}\n",
        "mov.w r11, #0xFF00FF00",
    ),
    start: "ldm r12!, {{r0, r1, r2}}
        ldm sp, {{r3, r4, lr}}
        subs r0, r0, r3
        mov pc, r4",
    four_pairs: concat!(
        "ldm lr!, {{r3, r4, r5, r6}}\n",
        "ldm r12!, {{r7, r8, r9, r10}}\n",
        two_pairs!("r3", "r7", "r8", "r4", "r9", "r10"),
        "ldm r12!, {{r7, r8, r9, r10}}\n",
        two_pairs!("r5", "r7", "r8", "r6", "r9", "r10"),
    ), 92,
    two_pairs: 48, "ldrd r5, r6, [lr], #8",
    one_pair: concat!(
        "ldr r3, [lr], #4\n",
        "ldrd r7, r8, [r12], #8\n",
        outer!("r3", "r8"),
        low!("r3", "r7", "r8"),
        middle!("r3", "r8"),
    ), 28,
    // Times 256.
    sums: "sub.w r3, r1, r2, lsl #8
        sub.w r3, r0, r3, lsl #8
        lsls r3, r3, #8
        sub.w r0, r0, r3, asr #8
        sub.w r1, r1, r0, asr #8
        sub.w r2, r2, r1, asr #8", "r3", "r0", "r1", "r2",
    integers: to_int8!("r3", "r0", "r1", "r2"),
    word: "asr.w", ", #8",
    fraction: ", #8",
}
