//! What predictions cost on the cores, counted in instructions by the emulator.

use std::fs;

use thumbnet_runtime::Activation;
use thumbnet_tests::{
    cost::packing,
    qemu::prepare,
    random_model::{Kind, chain},
    size::symbols,
};
use thumbnet_trainer::emulator::{Board, Firmware, Float, Run};

/// The difference between the row of a thousand that takes the most instructions and the one that
/// takes the fewest, and the latter.
fn spread(board: Board, kind: Kind) -> Option<(f64, f64)> {
    let (qemu, elf) = prepare(&Firmware::release("bench", board))?;
    // Of a row that is measured once the count is exact to 40 instructions.
    let repetitions = if board.floats().contains(&Float::Hard) {
        80
    } else {
        20
    };
    let mut worst = (0.0, f64::MAX);
    for last in [Activation::Sigmoid, Activation::Softmax] {
        let model = chain(&[5, 6, 3], kind, packing(board), last, 1000);
        let folder = tempfile::tempdir().unwrap();
        let run = Run::new(board, &elf, folder.path());
        let cost = qemu
            .cost(&run, &model.blob, model.inputs, &model.x, repetitions)
            .unwrap();
        assert_eq!(cost.instructions.len(), 1000);
        let min = cost.instructions.iter().copied().fold(f64::MAX, f64::min);
        let max = cost.instructions.iter().copied().fold(0.0, f64::max);
        if max - min >= worst.0 {
            worst = (max - min, min);
        }
    }
    Some(worst)
}

const KINDS: [Kind; 4] = [Kind::Int8, Kind::Int4, Kind::Int16, Kind::Float];

#[test]
fn instructions_do_not_depend_on_the_input() {
    for board in Board::ALL {
        for kind in KINDS {
            let Some((spread, least)) = spread(board, kind) else {
                return;
            };
            println!(
                "{} {kind:?}: {least} to {} instructions",
                board.core(),
                least + spread
            );
            // Cores without an FPU have the compiler's library for floats, whose additions, products
            // and roundings look at the values: one to a few for each output, and all of a layer
            // of f32 weights.
            let allowed = match (board.floats().contains(&Float::Hard), kind) {
                (true, _) => 1.0,
                (false, Kind::Float) => least * 0.2,
                (false, _) => least * 0.08,
            };
            assert!(
                spread < allowed,
                "{} {kind:?}: {spread} of {least}",
                board.core()
            );
        }
    }
}

#[test]
fn loading_does_not_take_longer_for_more_weights() {
    for board in [Board::Microbit, Board::Mps2An386] {
        let Some((qemu, elf)) = prepare(&Firmware::release("bench", board)) else {
            return;
        };
        // The same layers and units, and hence as many scales to look at.
        let [small, large] = [20, 400].map(|inputs| {
            let model = chain(
                &[inputs, 64, 10],
                Kind::Int8,
                packing(board),
                Activation::Softmax,
                1,
            );
            let folder = tempfile::tempdir().unwrap();
            let run = Run::new(board, &elf, folder.path());
            let cost = qemu
                .cost(&run, &model.blob, model.inputs, &model.x, 10)
                .unwrap();
            (model.blob.len() as f64, cost)
        });
        println!(
            "{}: {} and {} bytes take {} and {} instructions, with the checksum {} and {}",
            board.core(),
            small.0,
            large.0,
            small.1.load_without_crc,
            large.1.load_without_crc,
            small.1.load,
            large.1.load,
        );
        // Two ticks, and lengths that take a byte more.
        let difference = (large.1.load_without_crc - small.1.load_without_crc).abs();
        assert!(difference < 150.0, "{difference}");
        // The checksum takes its time for each byte, the same for all.
        let [a, b] = [&small, &large].map(|(len, cost)| (cost.load - cost.load_without_crc) / len);
        assert!(
            (a / b - 1.0).abs() < 0.01,
            "{a} and {b} instructions a byte"
        );
    }
}

#[test]
fn firmware_with_a_model_cannot_panic() {
    for board in Board::ALL {
        for (binary, features) in [
            ("bare", ""),
            ("bare", "portable"),
            ("bench", "f32,int16,int4,portable"),
        ] {
            for profile in ["release", "size"] {
                let firmware = Firmware {
                    profile,
                    features,
                    ..Firmware::release(binary, board)
                };
                let Some((_, elf)) = prepare(&firmware) else {
                    return;
                };
                let panicking: Vec<String> = symbols(&fs::read(elf).unwrap())
                    .into_iter()
                    // The linker drops the panic handler as well where nothing calls it.
                    .filter(|name| {
                        ["panic", "unwind", "unwrap_failed", "expect_failed", "_fail"]
                            .iter()
                            .any(|part| name.contains(part))
                    })
                    .collect();
                assert_eq!(panicking, [""; 0], "{firmware:?}");
            }
        }
    }
}
