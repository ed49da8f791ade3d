//! int4 layers.
//!
//! # Instructions
//!
//! * 92 for 16 inputs of four rows (64 multiply-accumulates): a load of two words of weights for
//!   four inputs, and five for each input: its load, AND, MLA, AND, MLA; six to add up the halves
//!   of the two sums, and two for the loop's end. It is entered in the middle where the inputs are
//!   not a multiple of 16.
//! * 53 for four outputs beside that: starting the sums (6), two jumps, taking them apart (11), and
//!   what `mod.rs` says.
//! * About 45 for a layer, and 10 for four inputs: their sum, since the weights have 8 added.
//!
//! # Registers in the loop
//!
//! r0 `A + 2^16 C`, r1 C, r2 `B + 2^16 D`, r3 D; r4 and r5 the same two sums for up to 16 inputs;
//! r6 an input; r7 two weights; r8, r9 words of weights; r10 the mask; r11 the end of the inputs;
//! r12 the blocks; lr the inputs. On the stack:
//!
//! | offset | |
//! |---|---|
//! | 0 | where to enter the loop |
//! | 4 | the end of the inputs |
//! | 8 | the inputs |
//! | 12 | 8 times their sum |

/// The word's two weights above bit `$shift` of one input, to `$first` or more, by the
/// instruction `$multiply`.
macro_rules! rows {
    (add $sum:literal, $w:literal $shift:literal) => {
        concat!(
            "and.w r7, r10, ",
            $w,
            $shift,
            "\n",
            "mla ",
            $sum,
            ", r7, r6, ",
            $sum,
            "\n",
        )
    };
    (set $sum:literal, $w:literal $shift:literal) => {
        concat!(
            "and.w r7, r10, ",
            $w,
            $shift,
            "\n",
            "mul ",
            $sum,
            ", r7, r6\n",
        )
    };
}

/// Two inputs; whether the first one's products start the sums or are added.
macro_rules! two_inputs {
    ($how:ident $w:literal) => {
        concat!(
            "ldrsb r6, [lr], #1\n",
            rows!($how "r4", $w ""),
            rows!($how "r5", $w ", lsr #8"),
            "ldrsb r6, [lr], #1\n",
            rows!(add "r4", $w ", lsr #4"),
            rows!(add "r5", $w ", lsr #12"),
        )
    };
}

/// 84 bytes: four inputs.
macro_rules! four_inputs {
    ($how:ident) => {
        concat!(
            "ldrd r8, r9, [r12], #8\n",
            two_inputs!($how "r8"),
            two_inputs!(add "r9"),
        )
    };
}

kernel!(
    int4,
    concat!(
        "mov r12, r0\n",
        "mov r6, r1\n",
        "mov lr, r1\n",
        // The sum of the inputs, in fours, whatever the last ones are that the layer lacks.
        "adds r5, r2, #3\n",
        "lsrs r5, r5, #2\n",
        "rsbs r4, r5, #0\n",
        "and r4, r4, #3\n",
        "movs r7, #0\n",
        "2:\n",
        ".rept 4\n",
        "ldrsb r0, [lr], #1\n",
        "add r7, r0\n",
        ".endr\n",
        "subs r5, #1\n",
        "bne 2b\n",
        "lsls r7, r7, #3\n",
        "mov r5, lr\n",
        // Where to enter: of four fours with the second, third or last one where their number is
        // not a multiple of four.
        "movs r0, #84\n",
        "adr.w r1, 7f\n",
        "mla r4, r4, r0, r1\n",
    ),
    concat!(
        "ldm r12!, {{r0, r1, r2, r3}}\n",
        "ldm sp, {{r6, r11, lr}}\n",
        "mov.w r10, #0x000F000F\n",
        "movs r4, #0\n",
        "movs r5, #0\n",
        "mov pc, r6\n",
        ".p2align 2\n",
        "7:\n",
        four_inputs!(set),
        four_inputs!(add),
        four_inputs!(add),
        four_inputs!(add),
        // The carry is the bit that the low half has borrowed.
        "asrs r7, r4, #16\n",
        "adc r1, r1, r7\n",
        "add r0, r4\n",
        "asrs r7, r5, #16\n",
        "adc r3, r3, r7\n",
        "add r2, r5\n",
        "cmp lr, r11\n",
        "bne.w 7b\n",
        // The four sums, times 256, in r3, r4, r6, r5.
        "ldr r7, [sp, #12]\n",
        "sub.w r0, r0, r1, lsl #16\n",
        "sub.w r2, r2, r3, lsl #16\n",
        "subs r6, r1, r7\n",
        "subs r5, r3, r7\n",
        "subs r4, r2, r7\n",
        "subs r3, r0, r7\n",
        "lsls r6, r6, #8\n",
        "lsls r5, r5, #8\n",
        "lsls r4, r4, #8\n",
        "lsls r3, r3, #8\n",
    ),
    "4",
    to_int8!(),
    to_words!()
);
