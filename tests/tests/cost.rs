//! What predictions cost on the cores, counted in instructions by the emulator.

use thumbnet_runtime::{Activation, Packing};
use thumbnet_tests::{
    qemu::prepare,
    random_model::{Kind, chain},
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
        let firmware = Firmware::release("bench", board);
        let Some((qemu, elf)) = prepare(&firmware) else {
            return;
        };
        let packing = if board == Board::Mps3An547 {
            Packing::Mve
        } else {
            Packing::Dsp
        };
        let model = chain(
            &[16, 24, 8, 3],
            Kind::Int8,
            packing,
            Activation::Sigmoid,
            1000,
        );
        let folder = tempfile::tempdir().unwrap();
        let run = Run::new(board, &elf, folder.path());
        // 125 repetitions make one instruction at least four ticks of 31.25 or 40 instructions.
        let cost = qemu
            .cost(&run, &model.blob, model.inputs, &model.x, 125)
            .unwrap();
        let (min, max) = cost
            .instructions
            .iter()
            .fold((f64::MAX, 0.0f64), |(a, b), &n| (a.min(n), b.max(n)));
        assert!(
            max - min < 1.0,
            "{}: from {min} to {max} instructions",
            board.core()
        );
    }
}
