//! int8 weights of int16 inputs.
//!
//! # Instructions
//!
//! * 28 for eight inputs of four rows (32 multiply-accumulates): four loads, and six for each of
//!   the four pairs: SMLALD, SXTB16, SMLAD, twice.
//! * 18 for four outputs: starting the sums and taking them apart.
//!
//! # Registers in the loop
//!
//! r0 and r2 the sums of A and C; r1 and r4, r3 and r5 the 64 bits of A + 256 B and of C + 256 D; r6,
//! r7 two pairs of inputs; r8 to r11 two pairs of weights. Nothing on the stack below the frame.

/// One pair of inputs in `$x`, the words of A and B and of C and D.
macro_rules! pair {
    ($x:literal, $ab:literal, $cd:literal) => {
        concat!(
            "smlald r1, r4, ",
            $ab,
            ", ",
            $x,
            "\n",
            "sxtb16 ",
            $ab,
            ", ",
            $ab,
            "\n",
            "smlad r0, ",
            $ab,
            ", ",
            $x,
            ", r0\n",
            "smlald r3, r5, ",
            $cd,
            ", ",
            $x,
            "\n",
            "sxtb16 ",
            $cd,
            ", ",
            $cd,
            "\n",
            "smlad r2, ",
            $cd,
            ", ",
            $x,
            ", r2\n",
        )
    };
}

/// Two pairs, woven together for Cortex-M7, which starts two instructions at a time.
macro_rules! two_pairs {
    () => {
        "ldrd r6, r7, [lr], #8
        ldm r12!, {{r8, r9, r10, r11}}
        smlald r1, r4, r10, r7
        sxtb16 r10, r10
        smlald r1, r4, r8, r6
        sxtb16 r8, r8
        smlald r3, r5, r9, r6
        sxtb16 r9, r9
        smlald r3, r5, r11, r7
        sxtb16 r11, r11
        smlad r2, r9, r6, r2
        smlad r2, r11, r7, r2
        smlad r0, r8, r6, r0
        smlad r0, r10, r7, r0
        "
    };
}

kernel! {
    words: 0,
    prepare: "push {{r5-r9}}",
    start: "ldm r12!, {{r0, r1, r2, r3}}
        ldm sp, {{r6, lr}}
        asrs r4, r1, #24
        lsls r1, r1, #8
        adds r1, r1, r0
        adc.w r4, r4, r0, asr #31
        asrs r5, r3, #24
        lsls r3, r3, #8
        adds r3, r3, r2
        adc.w r5, r5, r2, asr #31
        mov pc, r6",
    four_pairs: concat!(two_pairs!(), two_pairs!()), 112,
    two_pairs: 56, "",
    one_pair: concat!(
        "ldr r6, [lr], #4\n",
        "ldrd r8, r9, [r12], #8\n",
        pair!("r6", "r8", "r9"),
    ), 32,
    sums: "subs r1, r1, r0
        sbc.w r4, r4, r0, asr #31
        lsrs r1, r1, #8
        orr.w r1, r1, r4, lsl #24
        subs r3, r3, r2
        sbc.w r5, r5, r2, asr #31
        lsrs r3, r3, #8
        orr.w r3, r3, r5, lsl #24", "r0", "r1", "r2", "r3",
    integers: "ssat r0, #16, r0
        ssat r1, #16, r1
        ssat r2, #16, r2
        ssat r3, #16, r3
        pkhbt r0, r0, r1, lsl #16
        pkhbt r2, r2, r3, lsl #16
        mov.w r4, #0x00010001
        qsub16 r0, r0, r4
        qsub16 r2, r2, r4
        sadd16 r0, r0, r4
        sadd16 r2, r2, r4",
    word: "mov.w", "",
    fraction: "",
}
