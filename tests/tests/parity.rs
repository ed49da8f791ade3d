//! The same bits on this machine and on every core, emulated.
//!
//! `THUMBNET_PARITY=1000x100` draws that many models with that many rows, in place of 50x40.

use std::env;

use thumbnet_tests::{
    qemu::compare,
    random_model::{Limits, RandomModel, random_model},
};
use thumbnet_trainer::emulator::{Board, Firmware, Float};

/// Random models for one test.
fn models(limits: &Limits) -> Vec<RandomModel> {
    let wanted = env::var("THUMBNET_PARITY").unwrap_or_else(|_| "50x40".into());
    let (count, rows) = wanted.split_once('x').expect("THUMBNET_PARITY=MODELSxROWS");
    let count: u64 = count.parse().expect("a number of models");
    let rows = rows.parse().expect("a number of rows");
    (0..count)
        .map(|seed| random_model(seed, rows, limits))
        .collect()
}

fn same_bits(board: Board, float: Float, profile: &'static str) {
    let limits = match board {
        // 16 kB of RAM, 128 kB of flash for blobs.
        Board::Microbit => Limits {
            width: 200,
            weights: 8_000,
            packing: None,
        },
        _ => Limits {
            width: 400,
            weights: 30_000,
            packing: None,
        },
    };
    let models = models(&limits);
    let firmware = Firmware {
        float,
        profile,
        ..Firmware::release("parity", board)
    };
    let rows = compare(&firmware, &models);
    println!(
        "{}, {float:?} floats, {profile}: {rows} rows of {} models gave the same bits",
        board.core(),
        models.len()
    );
}

macro_rules! parity {
    ($($name:ident: $board:ident $float:ident $profile:literal;)*) => {
        $(#[test] fn $name() { same_bits(Board::$board, Float::$float, $profile); })*
    };
}

parity! {
    m0_release: Microbit Soft "release";
    m0_size: Microbit Soft "size";
    m3_release: Mps2An385 Soft "release";
    m3_size: Mps2An385 Soft "size";
    m4_release: Mps2An386 Soft "release";
    m4_size: Mps2An386 Soft "size";
    m4f_release: Mps2An386 Hard "release";
    m4f_size: Mps2An386 Hard "size";
    m7_release: Mps2An500 Soft "release";
    m7_size: Mps2An500 Soft "size";
    m7f_release: Mps2An500 Hard "release";
    m7f_size: Mps2An500 Hard "size";
    m33_release: Mps2An505 Soft "release";
    m33_size: Mps2An505 Soft "size";
    m33f_release: Mps2An505 Hard "release";
    m33f_size: Mps2An505 Hard "size";
    m55_release: Mps3An547 Soft "release";
    m55_size: Mps3An547 Soft "size";
    m55f_release: Mps3An547 Hard "release";
    m55f_size: Mps3An547 Hard "size";
}
