//! What training costs: the products of a layer's two passes, a step, an epoch, a prediction.
//!
//! `cargo bench -p thumbnet-trainer --bench training -- step` runs those with that in their names.
//! `tests/bench-training` compares with other libraries.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array1, Array2};
use thumbnet_trainer::{
    Sequential,
    layers::{BatchNormalization, Dense, Dropout, Input},
    quantize::{DataType, LayerTypes, QuantizeOptions, quantize},
    sequential::CompileOptions,
    training::FitOptions,
};

/// Inputs, then the units of each layer, and the rows of a batch.
struct Network {
    name: &'static str,
    units: &'static [usize],
    batch: usize,
    batch_normalization: bool,
}

const NETWORKS: [Network; 5] = [
    plain("100-64-32-10", &[100, 64, 32, 10], 32),
    plain("784-128-10", &[784, 128, 10], 32),
    plain("784-128-10", &[784, 128, 10], 128),
    plain("784-512-512-10", &[784, 512, 512, 10], 128),
    Network {
        name: "640-128-128-8-640 with BatchNormalization",
        units: &[640, 128, 128, 8, 640],
        batch: 512,
        batch_normalization: true,
    },
];

const fn plain(name: &'static str, units: &'static [usize], batch: usize) -> Network {
    Network {
        name,
        units,
        batch,
        batch_normalization: false,
    }
}

impl Network {
    fn model(&self, optimizer: &str) -> Sequential {
        let (last, hidden) = self.units[1..].split_last().expect("a layer");
        let mut model = Sequential::new().with_seed(1);
        model.add(Input::new([self.units[0]])).expect("an input");
        for &units in hidden {
            let relu = "relu";
            let dense = Dense::new(units).with_activation(relu);
            model.add(dense).expect("a layer");
            if self.batch_normalization {
                model.add(BatchNormalization::new()).expect("a layer");
            }
        }
        let softmax = "softmax";
        model
            .add(Dense::new(*last).with_activation(softmax))
            .expect("a layer");
        let loss = "sparse_categorical_crossentropy";
        let options = CompileOptions::named(optimizer, loss, &[]).expect("names of Keras");
        model.compile_with(options).expect("a loss that fits");
        model
    }

    fn rows(&self, rows: usize) -> (Array2<f32>, Array1<f32>) {
        let classes = self.units[self.units.len() - 1].min(10);
        let x = Array2::from_shape_fn((rows, self.units[0]), |(i, j)| {
            ((i * 7 + j * 3) % 11) as f32 / 11.0
        });
        (x, Array1::from_shape_fn(rows, |i| (i % classes) as f32))
    }

    fn id(&self) -> BenchmarkId {
        BenchmarkId::new(self.name, self.batch)
    }
}

/// One layer forwards, and forwards and backwards: `y = x · w`, `dw = xᵀ · dy`, `dx = dy · wᵀ`.
fn layer(criterion: &mut Criterion) {
    for (inputs, units, batch) in [
        (64, 32, 32),
        (784, 128, 32),
        (784, 128, 128),
        (512, 512, 128),
        (128, 8, 512),
    ] {
        let mut group = criterion.benchmark_group("layer");
        let mut model = Sequential::new().with_seed(1);
        model.add(Input::new([inputs])).expect("an input");
        model.add(Dense::new(units)).expect("a layer");
        let x = Array2::from_shape_fn((batch, inputs), |(i, j)| ((i + j) % 11) as f32);
        let dy = Array2::from_shape_fn((batch, units), |(i, j)| ((i + j) % 7) as f32);
        let products = (inputs * units * batch) as u64; // multiply-accumulates
        let shape = format!("{inputs}-{units}");
        group.throughput(Throughput::Elements(products));
        group.bench_function(
            BenchmarkId::new(format!("{shape} forward"), batch),
            |bench| {
                bench.iter(|| black_box(model.pass(&x, None).expect("x fits")));
            },
        );
        group.throughput(Throughput::Elements(3 * products));
        group.bench_function(BenchmarkId::new(format!("{shape} both"), batch), |bench| {
            bench.iter(|| black_box(model.pass(&x, Some(&dy)).expect("x fits")));
        });
        group.finish();
    }
}

/// A forward pass, a backward pass and an update.
fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    for network in &NETWORKS {
        group.throughput(Throughput::Elements(network.batch as u64));
        let (x, y) = network.rows(network.batch);
        let mut model = network.model("adam");
        group.bench_function(network.id(), |bench| {
            bench.iter(|| {
                model
                    .train_on_batch(&x, &y, None, None)
                    .expect("rows that fit")
            });
        });
    }
    group.finish();
}

/// One step of 784-128-10 with each optimizer.
fn optimizer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("optimizer");
    let network = &NETWORKS[1];
    let (x, y) = network.rows(network.batch);
    for optimizer in ["sgd", "adam", "adamw", "rmsprop", "nadam", "lion", "muon"] {
        let mut model = network.model(optimizer);
        group.bench_function(optimizer, |bench| {
            bench.iter(|| {
                model
                    .train_on_batch(&x, &y, None, None)
                    .expect("rows that fit")
            });
        });
    }
    group.finish();
}

/// A shuffled epoch of 2,048 rows.
fn epoch(criterion: &mut Criterion) {
    const ROWS: usize = 2048;
    let mut group = criterion.benchmark_group("epoch");
    group
        .throughput(Throughput::Elements(ROWS as u64))
        .sample_size(10);
    for network in &NETWORKS {
        let (x, y) = network.rows(ROWS);
        let mut model = network.model("adam");
        group.bench_function(network.id(), |bench| {
            bench.iter(|| {
                model
                    .fit(&x, &y, silent(network.batch))
                    .expect("rows that fit")
            });
        });
    }
    let network = &NETWORKS[1];
    let (x, y) = network.rows(ROWS);
    let mut model = network.model("adam");
    let output = model.pop().expect("a layer");
    model.add(Dropout::new(0.2)).expect("a layer");
    model.add(output).expect("a layer");
    group.bench_function("784-128-10 with Dropout/32", |bench| {
        bench.iter(|| {
            model
                .fit(&x, &y, silent(network.batch))
                .expect("rows that fit")
        });
    });
    group.finish();
}

/// Outputs for 2,048 rows.
fn predict(criterion: &mut Criterion) {
    const ROWS: usize = 2048;
    let mut group = criterion.benchmark_group("predict");
    group
        .throughput(Throughput::Elements(ROWS as u64))
        .sample_size(10);
    for network in &NETWORKS {
        let (x, _) = network.rows(ROWS);
        let mut model = network.model("adam");
        model.build(&[network.units[0]]).expect("an input shape");
        group.bench_function(network.id(), |bench| {
            bench.iter(|| black_box(model.predict(&x).expect("rows that fit")));
        });
    }
    // Of a device model: all rows at once, and one after the other.
    let network = &NETWORKS[1];
    let (x, _) = network.rows(ROWS);
    let mut model = network.model("adam");
    model.build(&[network.units[0]]).expect("an input shape");
    for data_type in DataType::ALL {
        let options = QuantizeOptions {
            types: LayerTypes::All(data_type),
            ..QuantizeOptions::default()
        };
        let device = quantize(&model, &x, &options)
            .expect("a model that quantizes")
            .device;
        group.bench_function(format!("{} in {data_type}", network.name), |bench| {
            bench.iter(|| black_box(device.predict(&x).expect("rows that fit")));
        });
        let model = device.model();
        let (mut scratch, mut y) = (vec![0; model.scratch_len()], vec![0.0; model.outputs()]);
        group.bench_function(
            format!("{} in {data_type}, by rows", network.name),
            |bench| {
                bench.iter(|| {
                    for x in x.outer_iter() {
                        let x = x.as_slice().expect("a row lies together");
                        model.predict(x, &mut scratch, &mut y).expect("a row");
                    }
                });
            },
        );
    }
    group.finish();
}

fn silent(batch: usize) -> FitOptions<'static> {
    FitOptions {
        batch_size: Some(batch),
        verbose: 0,
        ..FitOptions::default()
    }
}

criterion_group!(benches, layer, step, optimizer, epoch, predict);
criterion_main!(benches);
