//! What `thumbnet export` says that a prediction costs, against the emulator's counts.

use ndarray::Array3;
use thumbnet_boards::{Board, Firmware, Run};
use thumbnet_runtime::Activation;
use thumbnet_tests::{
    cost::packing,
    qemu::prepare,
    random_model::{Kind, chain},
};
use thumbnet_trainer::{
    Dataset, Sequential,
    layers::{Dense, Flatten, Input, LayerNormalization, MaxPooling1D, PReLU},
    quantize::{DeviceModel, QuantizeOptions, instructions::estimate, quantize},
};

#[test]
fn what_export_estimates_is_what_the_emulator_counts() {
    let digits = Dataset::digits();
    let mut model = Sequential::new().with_seed(1);
    model.add(Input::new([64])).unwrap();
    for (units, activation) in [(24, "relu"), (18, "tanh"), (10, "softmax")] {
        let dense = Dense::new(units).with_activation(activation);
        model.add(dense).unwrap();
    }
    model.build(&[64]).unwrap();
    let rows = digits.split_at(100).0.x;
    for board in Board::ALL {
        let Some((qemu, elf)) = prepare(&Firmware::release("bench", board)) else {
            return;
        };
        let counted = |blob: &[u8], inputs: usize, x: &[f32]| {
            let folder = tempfile::tempdir().unwrap();
            let run = Run::new(board, &elf, folder.path());
            qemu.cost(&run, blob, inputs, x, 50).unwrap().instructions[0]
        };
        // A trained network's blob, with a table and values that are far from random.
        let options = QuantizeOptions {
            packing: packing(board),
            ..QuantizeOptions::default()
        };
        let device = quantize(&model, &rows, &options).unwrap().device;
        let row: Vec<f32> = rows.iter().take(64).copied().collect();
        let mut cases = vec![(
            "digits".to_string(),
            counted(device.bytes(), 64, &row),
            device,
        )];
        // Shapes that the estimates were not fitted to.
        for kind in [Kind::Int8, Kind::Int4, Kind::Int16, Kind::Float] {
            let widths = [50, 40, 20, 3];
            let model = chain(&widths, kind, packing(board), Activation::Sigmoid, 1);
            let count = counted(&model.blob, 50, &model.x);
            let device = DeviceModel::from_bytes(&model.blob).unwrap();
            cases.push((format!("{} {kind:?}", model.description), count, device));
        }
        // Layers without weights, and a dense one that goes over rows.
        let mut model = Sequential::new().with_seed(2);
        model.add(Input::new([6, 8])).unwrap();
        model.add(Dense::new(12)).unwrap();
        model.add(LayerNormalization::new()).unwrap();
        model.add(PReLU::new()).unwrap();
        model.add(MaxPooling1D::new([2])).unwrap();
        model.add(Flatten::new()).unwrap();
        model.add(Dense::new(3)).unwrap();
        let samples = Array3::from_shape_fn((50, 6, 8), |(i, j, k)| (i + 7 * j * k) as f32 % 5.0);
        let device = quantize(&model, &samples, &options).unwrap().device;
        let row: Vec<f32> = samples.iter().take(48).copied().collect();
        let count = counted(device.bytes(), 48, &row);
        cases.push(("layers beside dense ones".to_string(), count, device));
        for (name, count, device) in cases {
            let core = board.core().name;
            let estimate = estimate(&device)
                .into_iter()
                .find(|estimate| estimate.core == core)
                .unwrap_or_else(|| panic!("{core}: tests/bench --estimate knows every core"))
                .instructions as f64;
            println!("{core} {name}: {estimate} estimated, {count:.0} counted");
            assert!(
                (estimate / count - 1.0).abs() < 0.15,
                "{core} {name}: {estimate} estimated, {count} counted; renew the estimates by tests/bench --estimate"
            );
        }
    }
}
