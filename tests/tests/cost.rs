//! What predictions cost on the cores, counted in instructions by the emulator.

use std::fs;

use thumbnet_runtime::Activation;
use thumbnet_tests::{
    cost::packing,
    qemu::prepare,
    random_model::{Kind, chain},
    size::symbols,
};
use thumbnet_trainer::emulator::{Board, Firmware, Run};

#[test]
fn instructions_do_not_depend_on_the_input() {
    for board in [
        Board::Mps2An386,
        Board::Mps2An500,
        Board::Mps2An505,
        Board::Mps3An547,
    ] {
        let Some((qemu, elf)) = prepare(&Firmware::release("bench", board)) else {
            return;
        };
        let model = chain(
            &[9, 14, 3],
            Kind::Int8,
            packing(board),
            Activation::Softmax,
            1000,
        );
        let folder = tempfile::tempdir().unwrap();
        let run = Run::new(board, &elf, folder.path());
        // 80 repetitions make a difference of one instruction at least two ticks of 31.25 or 40.
        let cost = qemu
            .cost(&run, &model.blob, model.inputs, &model.x, 80)
            .unwrap();
        let min = cost.instructions.iter().copied().fold(f64::MAX, f64::min);
        let max = cost.instructions.iter().copied().fold(0.0, f64::max);
        assert!(
            max - min < 1.0,
            "{}: from {min} to {max} instructions",
            board.core()
        );
    }
}

#[test]
fn firmware_with_a_model_cannot_panic() {
    for board in Board::ALL {
        for (binary, features) in [("bare", ""), ("bench", "f32,int16,int4")] {
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
