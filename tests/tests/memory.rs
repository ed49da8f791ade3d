//! What training takes of memory: data, weights and optimizer state once, and what a batch needs.

use ndarray::{Array1, Array2};
use thumbnet_tests::allocations::{self, Counting};
use thumbnet_trainer::{
    Sequential,
    layers::{Dense, Input},
    sequential::CompileOptions,
    training::{FitOptions, ValidationData},
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Names, shapes, logs, a few hundred bytes for each layer, and what a product lays side by side.
const SMALL: usize = 150_000;
/// Rows that a core takes at a time in validation, of a network of this size.
const PASS: usize = 128;
/// Rows whose outputs are there at a time, on one core.
const VALIDATED: usize = 2000;

struct Case {
    units: &'static [usize],
    rows: usize,
    batch: usize,
}

/// Bytes of so many floats.
const fn floats(count: usize) -> usize {
    count * size_of::<f32>()
}

impl Case {
    fn data(&self) -> (Array2<f32>, Array1<f32>) {
        let x = Array2::from_shape_fn((self.rows, self.units[0]), |(i, j)| {
            ((i * 7 + j * 3) % 11) as f32 / 11.0
        });
        (x, Array1::from_shape_fn(self.rows, |i| (i % 10) as f32))
    }

    fn model(&self, optimizer: &str) -> Sequential {
        let mut model = Sequential::new().with_seed(1);
        model.add(Input::new([self.units[0]])).unwrap();
        let (last, hidden) = self.units[1..].split_last().unwrap();
        for &units in hidden {
            let relu = "relu";
            model.add(Dense::new(units).with_activation(relu)).unwrap();
        }
        let softmax = "softmax";
        model
            .add(Dense::new(*last).with_activation(softmax))
            .unwrap();
        let loss = "sparse_categorical_crossentropy";
        let options = CompileOptions::named(optimizer, loss, &["accuracy"]).unwrap();
        model.compile_with(options).unwrap();
        model
    }

    fn weights(&self) -> usize {
        let layers = self.units.windows(2);
        layers.map(|layer| (layer[0] + 1) * layer[1]).sum()
    }

    /// What every layer writes for a row, and the last one's sums before its softmax.
    fn outputs(&self) -> usize {
        self.units[1..].iter().sum::<usize>() + self.units[self.units.len() - 1]
    }

    /// Values that a batch needs: its rows, their outputs, and gradients of the widest place,
    /// coming in and going out.
    fn batch(&self) -> usize {
        let widest = self.units[1..].iter().max().unwrap();
        self.batch * (self.units[0] + self.outputs() + 2 * widest)
    }
}

const CASES: [Case; 4] = [
    Case {
        units: &[784, 128, 10],
        rows: 2000,
        batch: 32,
    },
    Case {
        units: &[784, 128, 10],
        rows: 2000,
        batch: 512,
    },
    Case {
        units: &[100, 1024, 1024, 10],
        rows: 500,
        batch: 64,
    },
    Case {
        units: &[20, 64, 64, 10],
        rows: 40_000,
        batch: 32,
    },
];

#[test]
fn training_takes_its_weights_their_state_and_one_batch() {
    for case in CASES {
        let (x, y) = case.data();
        // Weights, gradients, and the moments of the optimizer.
        for (optimizer, state) in [("sgd", 0), ("adam", 2)] {
            let (peak, _) = allocations::peak_of(|| {
                let mut model = case.model(optimizer);
                let options = FitOptions {
                    epochs: 2,
                    batch_size: Some(case.batch),
                    verbose: 0,
                    threads: Some(1),
                    validation_data: Some(ValidationData::new(&x, &y)),
                    ..FitOptions::default()
                };
                model.fit(&x, &y, options).unwrap();
                model
            });
            // The order of the rows, and the outputs of a part of the validation with what they come
            // from.
            let validated = case.rows.min(VALIDATED);
            let rows = case.rows * size_of::<u32>() + validated * floats(2 * 10);
            let values = (2 + state) * case.weights() + case.batch() + PASS * case.outputs();
            let needed = floats(values) + rows;
            println!(
                "{:?}, {} rows, batch {}, {optimizer}: {peak} bytes, {needed} needed",
                case.units, case.rows, case.batch
            );
            assert!(
                peak <= needed + SMALL,
                "{:?} {optimizer}: {peak} bytes, {needed} needed",
                case.units
            );
            // The sum above is not beside the point.
            assert!(
                peak * 2 >= needed,
                "{:?} {optimizer}: {peak} bytes",
                case.units
            );
        }
    }
}
