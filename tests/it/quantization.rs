//! What quantization costs on real data: the table of the README, and its limits.
//!
//! `cargo test --release -p thumbnet-tests --test it quantization -- --nocapture` prints it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use ndarray::{Array1, Array2, ArrayD, Axis, Ix2};
use thumbnet_trainer::Sequential;
use thumbnet_trainer::callbacks::SharedCallback;
use thumbnet_trainer::dataset::{CsvOptions, Dataset, read_array};
use thumbnet_trainer::layers::{Dense, Input, Normalization, Rescaling};
use thumbnet_trainer::quantize::{
    DataType, LayerTypes, QuantizeAware, QuantizeOptions, Score, folded, quantize,
};
use thumbnet_trainer::sequential::CompileOptions;
use thumbnet_trainer::training::FitOptions;

/// Rows to train on and rows to score, split and trained several times over.
struct Task {
    name: &'static str,
    /// A model each; the scores are of all their test rows together.
    splits: Vec<Split>,
    hidden: usize,
    epochs: usize,
    /// Divides the inputs; none for a Normalization fitted on the training rows.
    divisor: Option<f64>,
}

/// Rows to train on, and others to score.
struct Split {
    train: Dataset,
    test: Dataset,
}

/// Scores and blob sizes of one task: means over the splits, whose tests are equally long.
#[derive(Default)]
struct Found {
    float: f64,
    int8: (f64, usize),
    int4: (f64, usize),
    int4_aware: (f64, usize),
}

fn labels(data: &Dataset) -> ArrayD<f32> {
    data.y.clone().expect("the data has labels")
}

fn accuracy(outputs: ArrayD<f32>, labels: &ArrayD<f32>) -> f64 {
    let outputs = outputs
        .into_dimensionality::<Ix2>()
        .expect("rows of scores");
    let labels: Array1<f32> = labels.iter().copied().collect();
    Score::Accuracy.of(&outputs.view(), &labels.insert_axis(Axis(1)).view())
}

fn compile(model: &mut Sequential, learning_rate: f32) {
    let mut options =
        CompileOptions::named("adam", "sparse_categorical_crossentropy", &["accuracy"])
            .expect("Keras names");
    options
        .optimizer
        .set_learning_rate(learning_rate)
        .expect("no schedule");
    model.compile_with(options).expect("settings");
}

fn fit(model: &mut Sequential, train: &Dataset, epochs: usize, callbacks: Vec<SharedCallback>) {
    let options = FitOptions {
        epochs,
        verbose: 0,
        callbacks,
        ..FitOptions::default()
    };
    model
        .fit(&train.x, &labels(train), options)
        .expect("a training");
}

fn study(task: &Task) -> Found {
    let mut mean = Found::default();
    let share = 1.0 / task.splits.len() as f64;
    for (seed, split) in task.splits.iter().enumerate() {
        let found = study_split(task, split, seed as u64 + 1);
        mean.float += share * found.float;
        for (mean, (score, bytes)) in [
            (&mut mean.int8, found.int8),
            (&mut mean.int4, found.int4),
            (&mut mean.int4_aware, found.int4_aware),
        ] {
            *mean = (mean.0 + share * score, bytes);
        }
    }
    mean
}

fn study_split(task: &Task, split: &Split, seed: u64) -> Found {
    let classes = labels(&split.train).iter().fold(0.0f32, |m, &v| m.max(v)) as usize + 1;
    let mut model = Sequential::new().with_seed(seed);
    model
        .add(Input::new(split.train.row_shape().to_vec()))
        .expect("an input");
    match task.divisor {
        Some(divisor) => model
            .add(Rescaling::new(1.0 / divisor, 0.0))
            .expect("a layer"),
        None => {
            let mut normalization = Normalization::new();
            normalization.adapt(&split.train.x).expect("finite rows");
            model.add(normalization).expect("a layer");
        }
    }
    let activated = |units: usize, name: &str| Dense::new(units).with_activation(name);
    model.add(activated(task.hidden, "relu")).expect("a layer");
    model.add(activated(classes, "softmax")).expect("a layer");
    compile(&mut model, 1e-3);
    fit(&mut model, &split.train, task.epochs, Vec::new());

    let truth = labels(&split.test);
    let float = accuracy(model.predict(&split.test.x).expect("finite rows"), &truth);
    let export = |model: &Sequential, data_type: DataType| {
        let options = QuantizeOptions {
            types: LayerTypes::All(data_type),
            self_tests: Some(0),
            ..QuantizeOptions::default()
        };
        let rows = split.train.split_at(1000).0.x;
        let device = quantize(model, &rows, &options).expect("a blob").device;
        let outputs = device.predict(&split.test.x).expect("finite rows");
        (accuracy(outputs, &truth), device.bytes().len())
    };
    let int8 = export(&model, DataType::Int8);
    let int4 = export(&model, DataType::Int4);
    let mut aware = folded(&model).expect("a folded model");
    compile(&mut aware, 5e-4);
    let rounding = QuantizeAware::new(DataType::Int4, &split.train.x).expect("int4");
    fit(
        &mut aware,
        &split.train,
        task.epochs / 2 + 1,
        vec![rounding.into()],
    );
    Found {
        float,
        int8,
        int4,
        int4_aware: export(&aware, DataType::Int4),
    }
}

fn table(name: &'static str, hidden: usize, epochs: usize, test_rows: usize, splits: u64) -> Task {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/data/{name}.csv"));
    let data = Dataset::from_csv(path, &CsvOptions::default()).expect("committed data");
    let splits = (0..splits)
        .map(|seed| {
            let data = data.shuffled(seed + 3);
            let (train, test) = data.split_at(data.rows() - test_rows);
            Split { train, test }
        })
        .collect();
    Task {
        name,
        splits,
        hidden,
        epochs,
        divisor: None,
    }
}

fn shared(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared")
        .join(name)
}

/// The bytes of a gzipped IDX file behind its header.
fn idx(path: &Path, header: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(path).expect("checked to be there"))
        .read_to_end(&mut bytes)
        .expect("gzip");
    bytes.split_off(header)
}

fn mnist() -> Option<Task> {
    let folder = shared("data/mnist");
    let images = folder.join("t10k-images-idx3-ubyte.gz");
    if !images.exists() {
        println!("MNIST: skipped, {} is not there", images.display());
        return None;
    }
    let pixels = idx(&images, 16).iter().map(|&p| f32::from(p)).collect();
    let classes: Vec<f32> = idx(&folder.join("t10k-labels-idx1-ubyte.gz"), 8)
        .iter()
        .map(|&c| f32::from(c))
        .collect();
    let x = Array2::from_shape_vec((classes.len(), 784), pixels).expect("28 x 28 pixels");
    let data = Dataset::new(x.into_dyn(), Some(Array1::from(classes).into_dyn()));
    let (train, test) = data.split_at(8000);
    Some(Task {
        name: "MNIST",
        splits: vec![Split { train, test }],
        hidden: 128,
        epochs: 6,
        divisor: Some(255.0),
    })
}

#[test]
fn int8_costs_less_than_a_third_of_a_point_and_int4_training_less_than_one_and_a_half() {
    let mut tasks = vec![
        table("digits", 32, 60, 360, 5),
        table("iris", 16, 120, 40, 10),
        table("breast_cancer", 16, 60, 120, 10),
        table("wine", 16, 80, 48, 10),
    ];
    tasks.extend(mnist());
    println!("| data | test rows | float32 | int8 | int4 | int4, trained for it |");
    println!("|---|---|---|---|---|---|");
    let mut missed = Vec::new();
    for task in &tasks {
        let found = study(task);
        let cell = |(score, bytes): (f64, usize)| format!("{:.2} % ({bytes} B)", score * 100.0);
        println!(
            "| {} | {} | {:.2} % | {} | {} | {} |",
            task.name,
            task.splits.iter().map(|s| s.test.rows()).sum::<usize>(),
            found.float * 100.0,
            cell(found.int8),
            cell(found.int4),
            cell(found.int4_aware)
        );
        // Two of the 400 rows of iris lie so near a boundary that any rounding may move them.
        let rows = task.splits.iter().map(|s| s.test.rows()).sum::<usize>();
        if found.float - found.int8.0 > f64::max(0.003, 2.5 / rows as f64) {
            missed.push(format!("{} int8", task.name));
        }
        let limited = matches!(task.name, "digits" | "MNIST");
        if limited && found.float - found.int4_aware.0 > 0.015 {
            missed.push(format!("{} int4, trained for it", task.name));
        }
    }
    assert!(
        missed.is_empty(),
        "further from float than allowed: {missed:?}"
    );
}

#[test]
fn the_anomaly_model_in_int8_is_closer_to_float_than_the_published_one() {
    let folder = shared("mlperf");
    if !folder.exists() {
        println!("MLPerf: skipped, {} is not there", folder.display());
        return;
    }
    let read = |name: &str| read_array(&folder.join(name)).expect("an array");
    let (x, float, published) = (read("x.npy"), read("y_float.npy"), read("y_tflite.npy"));
    let model = Sequential::load_uncompiled(folder.join("model_ToyCar.hdf5")).expect("a model");
    let device = quantize(&model, &x, &QuantizeOptions::default())
        .expect("a blob")
        .device;
    let found = device.predict(&x).expect("finite rows");
    let off = |y: &ArrayD<f32>| {
        let squares = y.iter().zip(&float).map(|(y, f)| f64::from(y - f).powi(2));
        squares.sum::<f64>() / float.len() as f64
    };
    println!(
        "MLPerf anomaly model, mean squared difference from float: ours {:.4}, published {:.4}; {} B",
        off(&found),
        off(&published),
        device.bytes().len()
    );
    assert!(off(&found) * 2.0 <= off(&published));
    // Anomaly scores: mean squared error of the reconstruction, per window.
    let scores = |y: &ArrayD<f32>| -> Vec<f64> {
        y.axis_iter(Axis(0))
            .zip(x.axis_iter(Axis(0)))
            .map(|(y, x)| {
                let squares = y.iter().zip(&x).map(|(y, x)| f64::from(y - x).powi(2));
                squares.sum::<f64>() / x.len() as f64
            })
            .collect()
    };
    let (float, found, published) = (scores(&float), scores(&found), scores(&published));
    let order = Order::new(&float, &found);
    println!("order of the anomaly scores, ours:      {order:?}");
    println!(
        "order of the anomaly scores, published: {:?}",
        Order::new(&float, &published)
    );
    // The scores of 196 windows lie 0.02 apart on average, and int8 moves each by several times
    // that: neighbours swap, and a threshold decides the same. Ranges are chosen for rows to come and not
    // for these, so that one pair swaps which lies as far apart as the published model's worst.
    assert!(order.rank_correlation > 0.995, "{order:?}");
    assert!(order.swapped < 0.02, "{order:?}");
    assert!(order.largest_gap < 1.5, "{order:?}");
    assert!(order.same_decisions > 0.98, "{order:?}");
}

/// How well the order of scores is kept.
#[derive(Debug)]
#[allow(dead_code, reason = "printed")]
struct Order {
    /// Spearman's.
    rank_correlation: f64,
    /// Pairs in another order, as a share of all.
    swapped: f64,
    /// Difference of the float scores that 99 of 100 swapped pairs stay below.
    usual_gap: f64,
    /// And the largest one.
    largest_gap: f64,
    /// Windows on the same side of the threshold, over every threshold that separates two windows.
    same_decisions: f64,
}

impl Order {
    fn new(float: &[f64], found: &[f64]) -> Self {
        let mut gaps = Vec::new();
        for (i, (f, d)) in float.iter().zip(found).enumerate() {
            for (g, e) in float[..i].iter().zip(&found[..i]) {
                if (f < g) != (d < e) {
                    gaps.push((f - g).abs());
                }
            }
        }
        gaps.sort_by(f64::total_cmp);
        let count = float.len();
        let same = float.iter().flat_map(|threshold| {
            let rows = float.iter().zip(found);
            rows.map(move |(f, d)| (f > threshold) == (d > threshold))
        });
        Self {
            rank_correlation: rank_correlation(float, found),
            swapped: gaps.len() as f64 / (count * (count - 1) / 2) as f64,
            usual_gap: gaps.get(gaps.len() * 99 / 100).copied().unwrap_or(0.0),
            largest_gap: gaps.last().copied().unwrap_or(0.0),
            same_decisions: same.filter(|same| *same).count() as f64 / (count * count) as f64,
        }
    }
}

/// Spearman's.
fn rank_correlation(a: &[f64], b: &[f64]) -> f64 {
    let ranks = |values: &[f64]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
        let mut ranks = vec![0.0; values.len()];
        for (rank, &i) in order.iter().enumerate() {
            ranks[i] = rank as f64;
        }
        ranks
    };
    let n = a.len() as f64;
    let squares = ranks(a)
        .iter()
        .zip(&ranks(b))
        .map(|(a, b)| (a - b).powi(2))
        .sum::<f64>();
    1.0 - 6.0 * squares / (n * (n * n - 1.0))
}
