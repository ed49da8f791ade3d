//! What predictions cost on the cores, counted in instructions by the emulator.

use std::fs;

use thumbnet_boards::{Board, Firmware, Float, Run};
use thumbnet_runtime::Activation;
use thumbnet_tests::{
    cost::packing,
    qemu::prepare,
    random_model::{Kind, chain},
    size::symbols,
};

/// The difference between the row of a thousand that takes the most instructions and the one that
/// takes the fewest, and the latter.
fn spread(board: Board, float: Float, kind: Kind) -> Option<(f64, f64)> {
    let (qemu, elf) = prepare(&Firmware {
        float,
        ..Firmware::release("bench", board)
    })?;
    // Its float32 layers run again without vectors where a number is subnormal.
    let vectors = board == Board::Mps3An547 && float == Float::Hard && kind == Kind::Float;
    // Of a row that is measured once the count is exact to 40 instructions.
    let repetitions = 80;
    let mut worst = (0.0, f64::MAX);
    for last in [
        Activation::Sigmoid,
        Activation::Softmax,
        Activation::Tanh,
        Activation::Exponential,
        Activation::LogSoftmax,
        Activation::Lines,
        Activation::Curve,
    ] {
        let mut model = chain(&[5, 6, 3], kind, packing(board), last, 1000);
        // Zeros, subnormal numbers and, of floats, sums that are large; those beyond f32's range are
        // refused.
        for (i, row) in model.x.chunks_mut(5).enumerate() {
            let factor = match i % 10 {
                7 => 0.0,
                8 | 9 if vectors => 2.0,
                8 => 1e-39,
                9 if kind == Kind::Float && last != Activation::Exponential => 1e30,
                _ => 1.0,
            };
            row.iter_mut().for_each(|x| *x *= factor);
        }
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
        for float in board.floats() {
            for kind in KINDS {
                let Some((spread, least)) = spread(board, float, kind) else {
                    return;
                };
                let what = format!("{}, {float:?} floats, {kind:?}", board.core().name);
                println!("{what}: {least} to {} instructions", least + spread);
                assert!(spread < 1.0, "{what}: {spread} of {least}");
            }
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
            board.core().name,
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
            ("bench", "activations,f32,int16,int4,layers,portable"),
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

#[test]
fn firmware_without_an_fpu_has_no_floats_of_the_compiler() {
    for board in Board::ALL {
        for (binary, features) in [("bare", ""), ("bench", "activations,f32,int16,int4,layers")] {
            let firmware = Firmware {
                float: Float::Soft,
                features,
                ..Firmware::release(binary, board)
            };
            let Some((_, elf)) = prepare(&firmware) else {
                return;
            };
            let names = symbols(&fs::read(elf).unwrap());
            // `thumbnet_runtime::float::integer`, as the compiler writes it.
            assert!(names.iter().any(|name| name.contains("float7integer")));
            let floats: Vec<&String> = names.iter().filter(|name| is_soft_float(name)).collect();
            assert_eq!(floats, [""; 0], "{firmware:?}");
        }
    }
}

/// Whether a symbol is of the compiler's float library: `__aeabi_fmul`, `__aeabi_i2f`,
/// `__aeabi_f2iz`, `__mulsf3`, `__floatsisf`, `__fixsfsi`, `__unordsf2` and the like.
fn is_soft_float(name: &str) -> bool {
    let aeabi = ["f", "d", "cf", "cd", "i2", "ui2", "l2", "ul2"];
    match name.strip_prefix("__aeabi_") {
        Some(rest) => aeabi.iter().any(|start| rest.starts_with(start)),
        None => name.starts_with("__") && ["sf", "df"].iter().any(|float| name.contains(float)),
    }
}

#[test]
fn soft_floats_are_known_by_their_names() {
    for name in [
        "__aeabi_fmul",
        "__aeabi_i2f",
        "__aeabi_cfcmple",
        "__addsf3",
        "__fixsfsi",
    ] {
        assert!(is_soft_float(name), "{name}");
    }
    for name in [
        "__aeabi_lmul",
        "__aeabi_memclr4",
        "__aeabi_uidiv",
        "__stext",
        "__sidata",
    ] {
        assert!(!is_soft_float(name), "{name}");
    }
}
