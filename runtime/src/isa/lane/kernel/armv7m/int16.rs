//! int16 layers.
//!
//! # Instructions
//!
//! * 33 for four inputs of four rows (16 multiply-accumulates): a load of four words of weights,
//!   and eight for each input: its load, and between four MLA three LSR. The loop has four times
//!   that, so its end costs two instructions in 134. It is entered in the middle where the inputs
//!   are not a multiple of 16; a pair left is for the code behind it.
//! * 47 for four outputs beside that: starting the sums (3), three jumps, taking them apart (8), and
//!   what `mod.rs` says.
//! * About 50 for a layer, and 6 for two inputs: their sum, since the weights have 128 added.
//!
//! # Registers in the loop
//!
//! r0 to r3 the sums e0 to e3; r4 an input; r5 to r8 words of weights; r9 the end of the inputs that
//! the loop takes; r12 the blocks; lr the inputs. On the stack:
//!
//! | offset | |
//! |---|---|
//! | 0 | where to enter the loop |
//! | 4 | the end of the inputs that it takes |
//! | 8 | the inputs |
//! | 12 | where to go on behind the loop |
//! | 16 | 128 times the sum of the inputs |

/// One input: its word of weights in `$w`, which is lost.
macro_rules! input {
    ($w:literal) => {
        concat!(
            "ldrsh r4, [lr], #2\n",
            "mla r0, ",
            $w,
            ", r4, r0\n",
            "lsr.w ",
            $w,
            ", ",
            $w,
            ", #8\n",
            "mla r1, ",
            $w,
            ", r4, r1\n",
            "lsr.w ",
            $w,
            ", ",
            $w,
            ", #8\n",
            "mla r2, ",
            $w,
            ", r4, r2\n",
            "lsr.w ",
            $w,
            ", ",
            $w,
            ", #8\n",
            "mla r3, ",
            $w,
            ", r4, r3\n",
        )
    };
}

/// 132 bytes: four inputs.
macro_rules! four_inputs {
    () => {
        concat!(
            "ldm.w r12!, {{r5, r6, r7, r8}}\n",
            input!("r5"),
            input!("r6"),
            input!("r7"),
            input!("r8"),
        )
    };
}

/// An output at r9 from the sum in `$sum` and the multiplier in `$m`, r11 being 32767.
macro_rules! requantize {
    ($sum:literal, $m:literal) => {
        concat!(
            "smull r8, ",
            $sum,
            ", ",
            $sum,
            ", ",
            $m,
            "\n",
            "add.w ",
            $sum,
            ", ",
            $sum,
            ", r8, lsr #31\n",
            "ssat ",
            $sum,
            ", #16, ",
            $sum,
            "\n",
            // -32768 becomes -32767: it alone stays negative when 32767 is added.
            "add.w r8, ",
            $sum,
            ", r11\n",
            "sub.w ",
            $sum,
            ", ",
            $sum,
            ", r8, asr #31\n",
            "strh ",
            $sum,
            ", [r9], #2\n",
        )
    };
}

kernel!(
    int16,
    concat!(
        "mov r12, r0\n",
        "mov r6, r1\n",
        "mov lr, r1\n",
        // The sum of the inputs, in pairs, whatever the last one is if the layer lacks it.
        "adds r2, #1\n",
        "lsrs r5, r2, #1\n",
        "movs r8, #0\n",
        "2:\n",
        "ldrsh r0, [lr], #2\n",
        "ldrsh r1, [lr], #2\n",
        "add r8, r0\n",
        "add r8, r1\n",
        "subs r5, #1\n",
        "bne 2b\n",
        "lsl.w r8, r8, #7\n",
        "mov r5, lr\n",
        "adr.w r7, 8f\n",
        "lsrs r2, r2, #2\n",
        // The carry: an odd number of pairs.
        "bcc 3f\n",
        "adr.w r7, 4f\n",
        "subs r5, #4\n",
        "3:\n",
        "add.w r7, r7, #1\n",
        // Where to enter: of four fours the loop starts with the last one, two or three where
        // their number is not a multiple of four, and is left out where there is none.
        "mov r4, r7\n",
        "cbz r2, 6f\n",
        "rsbs r2, r2, #0\n",
        "and r2, r2, #3\n",
        "movs r0, #132\n",
        "adr.w r4, 7f\n",
        "mla r4, r2, r0, r4\n",
        "6:\n",
    ),
    concat!(
        "ldm r12!, {{r0, r1, r2, r3}}\n",
        "ldm.w sp, {{r4, r9, lr}}\n",
        "mov pc, r4\n",
        ".p2align 2\n",
        "7:\n",
        four_inputs!(),
        four_inputs!(),
        four_inputs!(),
        four_inputs!(),
        "cmp lr, r9\n",
        "bne.w 7b\n",
        "ldr.w pc, [sp, #12]\n",
        ".p2align 2\n",
        "4:\n",
        "ldrd r5, r6, [r12], #8\n",
        input!("r5"),
        input!("r6"),
        ".p2align 2\n",
        // The four sums in r3, r4, r6, r5.
        "8:\n",
        "ldr r7, [sp, #16]\n",
        "sub.w r6, r2, r3, lsl #8\n",
        "sub.w r4, r1, r2, lsl #8\n",
        "sub.w r0, r0, r1, lsl #8\n",
        "subs r5, r3, r7\n",
        "subs r6, r6, r7\n",
        "subs r4, r4, r7\n",
        "subs r3, r0, r7\n",
    ),
    "8",
    concat!(
        "movw r11, #32767\n",
        requantize!("r3", "r0"),
        requantize!("r4", "r1"),
        requantize!("r6", "r2"),
        requantize!("r5", "r7"),
    ),
    "mov r7, r5"
);
