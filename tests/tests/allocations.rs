//! No step of training, validation or prediction allocates.

use ndarray::{Array1, Array2};
use thumbnet_tests::allocations::{self, Counting};
use thumbnet_trainer::{
    Sequential,
    layers::{BatchNormalization, Dense, Dropout, GaussianNoise, Input, Layer, LayerNormalization},
    sequential::CompileOptions,
    training::{FitOptions, ValidationData},
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const INPUTS: usize = 12;
const OPTIMIZERS: [&str; 14] = [
    "sgd",
    "adam",
    "adamw",
    "rmsprop",
    "adagrad",
    "adadelta",
    "adamax",
    "nadam",
    "ftrl",
    "lion",
    "lamb",
    "adafactor",
    "schedulefreeadamw",
    "muon",
];

/// A model, how it is compiled, and what its targets are.
#[derive(Clone)]
struct Case {
    name: String,
    layers: Vec<Layer>,
    optimizer: &'static str,
    loss: &'static str,
    metrics: &'static [&'static str],
    batch: usize,
}

fn dense(units: usize, activation: &str) -> Layer {
    Dense::new(units).with_activation(activation).into()
}

fn cases() -> Vec<Case> {
    let plain = Case {
        name: "plain".to_string(),
        layers: vec![dense(16, "relu"), dense(3, "softmax")],
        optimizer: "adam",
        loss: "sparse_categorical_crossentropy",
        metrics: &["accuracy"],
        batch: 32,
    };
    let with = |name: &str, layer: Layer| Case {
        name: name.to_string(),
        layers: vec![dense(16, "relu"), layer, dense(3, "softmax")],
        ..plain.clone()
    };
    let mut cases = vec![
        with("batch normalization", BatchNormalization::new().into()),
        with("layer normalization", LayerNormalization::new().into()),
        with("dropout", Dropout::new(0.3).into()),
        with("noise", GaussianNoise::new(0.1).into()),
        Case {
            name: "a partial last batch".to_string(),
            batch: 48,
            ..plain.clone()
        },
        Case {
            name: "large batches".to_string(),
            batch: 512,
            layers: vec![dense(256, "relu"), dense(3, "softmax")],
            ..plain.clone()
        },
        Case {
            name: "yes or no".to_string(),
            layers: vec![dense(16, "tanh"), dense(1, "sigmoid")],
            loss: "binary_crossentropy",
            metrics: &["accuracy", "AUC", "Precision", "Recall", "F1Score"],
            ..plain.clone()
        },
        Case {
            name: "a number".to_string(),
            layers: vec![dense(16, "gelu"), dense(1, "linear")],
            loss: "mse",
            metrics: &[
                "mae",
                "RootMeanSquaredError",
                "R2Score",
                "cosine_similarity",
            ],
            ..plain.clone()
        },
        Case {
            name: "class metrics".to_string(),
            metrics: &[
                "sparse_top_k_categorical_accuracy",
                "sparse_categorical_crossentropy",
            ],
            ..plain.clone()
        },
    ];
    cases.extend(OPTIMIZERS.map(|optimizer| Case {
        name: optimizer.to_string(),
        optimizer,
        ..plain.clone()
    }));
    cases
}

impl Case {
    fn model(&self) -> Sequential {
        let mut model = Sequential::new().with_seed(1);
        model.add(Input::new([INPUTS])).unwrap();
        for layer in &self.layers {
            model.add(layer.clone()).unwrap();
        }
        let options = CompileOptions::named(self.optimizer, self.loss, self.metrics).unwrap();
        model.compile_with(options).unwrap();
        model
    }

    /// Allocations of two epochs on these rows, of a validation after each, and of a prediction.
    fn allocations(&self, rows: usize) -> [usize; 3] {
        let x = Array2::from_shape_fn((rows, INPUTS), |(i, j)| {
            ((i * 7 + j * 3) % 11) as f32 / 11.0
        });
        let classes = self.layers.last().map_or(0, |last| match last {
            Layer::Dense(last) => last.units,
            _ => 0,
        });
        let y = Array1::from_shape_fn(rows, |i| (i % classes.max(2)) as f32);
        let few = (x.slice(ndarray::s![..64, ..]), y.slice(ndarray::s![..64]));
        let options = || FitOptions {
            epochs: 2,
            batch_size: Some(self.batch),
            verbose: 0,
            ..FitOptions::default()
        };
        let mut model = self.model();
        let (fit, _) = allocations::of(|| model.fit(&x, &y, options()).unwrap());
        let validated = FitOptions {
            validation_data: Some(ValidationData::new(&x, &y)),
            ..options()
        };
        let mut model = self.model();
        let (validation, _) = allocations::of(|| model.fit(&few.0, &few.1, validated).unwrap());
        // Passes have more rows than batches.
        let many = Array2::<f32>::zeros((rows * 16, INPUTS));
        let (prediction, _) = allocations::of(|| model.predict(&many).unwrap());
        [fit, validation, prediction]
    }

    /// The fewest of three runs.
    fn fewest_allocations(&self, rows: usize) -> [usize; 3] {
        let mut fewest = [usize::MAX; 3];
        for _ in 0..3 {
            for (fewest, found) in fewest.iter_mut().zip(self.allocations(rows)) {
                *fewest = found.min(*fewest);
            }
        }
        fewest
    }
}

#[test]
fn no_step_allocates() {
    const STEPS: usize = 64;
    let mut allocating = Vec::new();
    for case in cases() {
        let twice = case.fewest_allocations(2 * STEPS * case.batch);
        let once = case.fewest_allocations(STEPS * case.batch);
        // Which thread first takes part in what is chance, and each allocates its own buffers once:
        // less than one allocation in two steps, in the best of some runs, is no allocation per step.
        let grows = |(twice, once): (&usize, &usize)| twice.saturating_sub(*once) * 2 >= STEPS;
        if twice.iter().zip(&once).any(grows) {
            let name = &case.name;
            allocating.push(format!("{name}: {twice:?} for 128 steps, {once:?} for 64"));
        }
    }
    assert!(
        allocating.is_empty(),
        "allocations of fit, validation and predict grow with the steps:\n{}",
        allocating.join("\n")
    );
}
