//! `keras_arguments/boundaries.json.gz`: arguments at and beyond their limits, against what real Keras gives.

use std::io::Read;

use ndarray::{Array1, ArrayD};
use serde_json::{Value, json};
use thumbnet_trainer::callbacks;
use thumbnet_trainer::constraints::Constraint;
use thumbnet_trainer::initializers::Initializer;
use thumbnet_trainer::losses::{Batch, Loss};
use thumbnet_trainer::metrics::Metric;
use thumbnet_trainer::optimizers::{Optimizer, Schedule};
use thumbnet_trainer::regularizers::Regularizer;
use thumbnet_trainer::sequential::CompileOptions;
use thumbnet_trainer::training::FitOptions;
use thumbnet_trainer::{Error, Result, Sequential};

use crate::unit_tables::optimizers::variable;
use crate::unit_tables::{Near, Tally, flat, golden, near, number, width};

/// Values near 0 are sums of larger ones.
const TOLERANCE: Near = Near {
    relative: 2e-5,
    absolute: 2e-6,
};

/// How the table went.
#[derive(Debug, Default)]
pub struct Boundaries {
    /// All cases, and those that are not as in Keras.
    pub tally: Tally,
    /// Cases that Keras refuses, and so do we.
    pub refused: usize,
    /// Cases that Keras takes, and that we refuse by name.
    pub unsupported: Vec<String>,
}

/// Checks every case; `None` where the golden folder has no such table.
pub fn check() -> Option<Boundaries> {
    let file = std::fs::File::open(golden().join("keras_arguments/boundaries.json.gz")).ok()?;
    let mut text = String::new();
    let mut packed = flate2::read::GzDecoder::new(file);
    packed.read_to_string(&mut text).expect("gzip of text");
    let table: Value = serde_json::from_str(&text).expect("a golden table is JSON");
    let mut boundaries = Boundaries::default();
    for case in table["cases"].as_array().expect("cases") {
        boundaries.case(case, &table["data"]);
    }
    Some(boundaries)
}

impl Boundaries {
    fn case(&mut self, case: &Value, data: &Value) {
        let name = format!(
            "{} {} {}{}",
            text(&case["kind"]),
            text(&case["class"]),
            case["config"],
            case.get("rank")
                .map_or(String::new(), |rank| format!(" rank {rank}"))
        );
        let keras = &case["keras"];
        let found = found(case, data);
        let problems = match (found, keras.get("refused"), keras.get("dtype")) {
            (Err(error), None, None) => {
                let argument = case["argument"].as_str().unwrap_or_default();
                let error = error.to_string();
                // Of a weight's regularizer the weight is named.
                let regularizer =
                    argument.ends_with("_regularizer") && error.contains("regularizer");
                if regularizer || error.contains(argument) {
                    self.unsupported.push(format!("{name}: {error}"));
                    Vec::new()
                } else {
                    vec![format!("refused without the argument's name: {error}")]
                }
            }
            (Err(_), _, _) => {
                self.refused += 1;
                Vec::new()
            }
            (Ok(_), Some(_), _) if taken_all_the_same(case) => Vec::new(),
            (Ok(_), Some(why), _) => vec![format!("accepted, but Keras: {}", text(why))],
            // Numbers of double and of half precision differ by no more than rounding: everything is computed in
            // float32, which `layers_around` holds for whole models.
            (Ok(_), None, Some(dtype)) if dtype == "float64" || dtype == "mixed_float16" => {
                Vec::new()
            }
            // Its kernels are added up when a file is read, which `layers_around` holds; here they are not in one.
            (Ok(_), None, None) if case["config"]["lora_rank"].is_number() => Vec::new(),
            (Ok(_), None, Some(dtype)) => vec![format!("accepted with dtype {dtype}")],
            (Ok(found), None, None) => found.differences(keras),
        };
        self.tally.entry(&name, &problems);
    }
}

/// Where Keras 3 is stricter than we are, and the argument has one meaning only.
fn taken_all_the_same(case: &Value) -> bool {
    let argument = text(&case["argument"]);
    let value = &case["config"][argument];
    let name = value.as_str().unwrap_or_default();
    match text(&case["kind"]) {
        // Keras 2 takes whole numbers, and writes them into its files.
        "optimizer" => matches!(argument, "learning_rate" | "momentum") && value.is_u64(),
        "layer" => {
            // Keras 2 writes 0, 1, an axis as a list of one and options that are off, and calls the regularizer so.
            (argument == "trainable" && matches!(value.as_u64(), Some(0 | 1)))
                || name == "l1_l2"
                || (case["class"] == "BatchNormalization" && (*value == json!([1]) || argument == "virtual_batch_size"))
                // Names are compared without case, on the command line, too.
                || (argument == "activation" && name.eq_ignore_ascii_case("relu"))
        }
        _ => false,
    }
}

/// What came of a case: named numbers, where the training may be refused alone.
struct Found {
    numbers: Vec<(&'static str, Vec<f32>)>,
    train: Option<Error>,
}

impl Found {
    fn new(numbers: Vec<(&'static str, Vec<f32>)>) -> Self {
        Self {
            numbers,
            train: None,
        }
    }

    fn differences(&self, keras: &Value) -> Vec<String> {
        let mut problems: Vec<String> = self
            .numbers
            .iter()
            .filter(|(key, _)| keras.get(key).is_some())
            .flat_map(|(key, found)| near(key, found, &flat(&keras[key]), TOLERANCE))
            .collect();
        match (&self.train, keras.get("train")) {
            (Some(error), None) if keras.get("loss").is_some() => {
                problems.push(format!("training is refused: {error}"));
            }
            (None, Some(_)) => problems.push("trains, but Keras refuses to".to_string()),
            _ => {}
        }
        problems
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn found(case: &Value, data: &Value) -> Result<Found> {
    match text(&case["kind"]) {
        "layer" => layer(case, data),
        "loss" => loss(case, data),
        "metric" => metric(case, data),
        "regularizer" => regularizer(case),
        "constraint" => constraint(case),
        "initializer" => initializer(case),
        "schedule" => schedule(case, data),
        "optimizer" => optimizer(case),
        "callback" => callback(case),
        other => panic!("unknown kind {other}"),
    }
}

/// Weights that are all different, as in the script that made the table.
fn pattern(count: usize) -> Vec<f32> {
    let value = |i: usize| (((7 * i) % 11) as f32 - 4.0) / 8.0; // small
    (0..count).map(value).collect()
}

fn object(case: &Value) -> Value {
    json!({"class_name": case["class"], "config": case["config"]})
}

fn array(value: &Value) -> ArrayD<f32> {
    let mut shape = Vec::new();
    let mut inner = value;
    while let Some(list) = inner.as_array() {
        shape.push(list.len());
        inner = &list[0];
    }
    ArrayD::from_shape_vec(shape, flat(value)).expect("a full array")
}

fn sequential(shape: &[usize], layers: &[Value]) -> Result<Sequential> {
    let mut batch_shape = vec![Value::Null];
    batch_shape.extend(shape.iter().map(|&size| json!(size)));
    let input =
        json!({"class_name": "InputLayer", "config": {"batch_shape": batch_shape, "name": "in"}});
    let layers: Vec<&Value> = std::iter::once(&input).chain(layers).collect();
    Sequential::from_serialized(
        &json!({"class_name": "Sequential", "config": {"name": "s", "layers": layers}}),
    )
}

fn with_rate_1(loss: Loss) -> Result<CompileOptions> {
    let mut options = CompileOptions::named("sgd", "mse", &[])?;
    options.optimizer.set_learning_rate(1.0)?;
    options.loss = Some(loss);
    Ok(options)
}

fn layer(case: &Value, data: &Value) -> Result<Found> {
    let (x, y) = match case["rank"].as_u64() {
        Some(1) => ("x", "y"),
        _ => ("x2", "y2"),
    };
    let (x, y) = (array(&data[x]), flat(&data[y]));
    let mut config = case["config"].clone();
    config["name"] = json!("l");
    let before = json!({"class_name": "Dense", "config": {"units": 3, "name": "before"}});
    let layer = json!({"class_name": case["class"], "config": config});
    let mut model = sequential(&x.shape()[1..], &[before, layer])?;
    let weights: Vec<ArrayD<f32>> = model
        .variables()
        .iter()
        .map(|variable| {
            let mut values = pattern(variable.shape.iter().product());
            if variable.name.contains("variance") {
                values.iter_mut().for_each(|v| *v = v.abs() + 0.25);
            }
            if variable.name == "count" {
                values.fill(0.0);
            }
            ArrayD::from_shape_vec(variable.shape.clone(), values).expect("as many values")
        })
        .collect();
    model.set_weights(&weights)?;
    let mut found = Found::new(vec![(
        "predict",
        model.predict(&x)?.into_raw_vec_and_offset().0,
    )]);
    let mut shape = vec![x.shape()[0]];
    shape.extend(model.output_shape().unwrap_or_default());
    let count = shape.iter().product();
    // As numpy's resize: again from the beginning.
    let target: Vec<f32> = y.iter().copied().cycle().take(count).collect();
    let target = ArrayD::from_shape_vec(shape, target).expect("as many values");
    let trained = model
        .compile_with(with_rate_1("mse".parse()?)?)
        .and_then(|()| model.train_on_batch(&x, &target, None, None));
    match trained {
        Ok(logs) => {
            let loss = logs.get("loss").expect("a loss") as f32; // it was one
            found.numbers.push(("loss", vec![loss]));
            found.numbers.push(("after", model.values().to_vec()));
        }
        Err(error) => found.train = Some(error),
    }
    Ok(found)
}

fn loss(case: &Value, data: &Value) -> Result<Found> {
    let loss = Loss::from_config(&object(case))?;
    let data = &data[text(&case["data"])];
    let (x, y) = (array(&data["y_pred"]), array(&data["y_true"]));
    let width = x.shape()[1];
    let dense = json!({"class_name": "Dense", "config": {"units": width, "name": "d"}});
    let mut model = sequential(&[width], &[dense])?;
    model.set_weights(&[
        ndarray::Array2::<f32>::eye(width).into_dyn(),
        Array1::<f32>::zeros(width).into_dyn(),
    ])?;
    model.compile_with(with_rate_1(loss)?)?;
    let logs = model.train_on_batch(&x, &y, None, None)?;
    let loss = logs.get("loss").expect("a loss") as f32; // it was one
    Ok(Found::new(vec![
        ("loss", vec![loss]),
        ("after", model.values().to_vec()),
    ]))
}

fn metric(case: &Value, data: &Value) -> Result<Found> {
    let data = &data[text(&case["data"])];
    let (t, p) = (&data["y_true"], &data["y_pred"]);
    let mut metric = Metric::from_config(&object(case), width(t), width(p))?;
    if t[0].is_number() {
        metric.take_flat_targets();
    }
    let rows = |value: &Value, from: usize, to: usize| {
        flat(&json!(value.as_array().expect("rows")[from..to]))
    };
    for (from, to) in [(0, 2), (2, 4)] {
        let (y_true, y_pred) = (rows(t, from, to), rows(p, from, to));
        metric.update(&Batch::new(&y_true, width(t), &y_pred, width(p)), None);
    }
    Ok(Found::new(vec![("result", metric.results())]))
}

fn regularizer(case: &Value) -> Result<Found> {
    let regularizer = Regularizer::from_config(&object(case))?.expect("not null");
    let (w, shape) = (pattern(12), [4, 3]);
    regularizer.check(&shape)?;
    let mut gradient = vec![0.0; w.len()];
    regularizer.add_gradient(&w, &shape, 1.0, &mut gradient);
    Ok(Found::new(vec![
        ("penalty", vec![regularizer.penalty(&w, &shape)]),
        ("gradient", gradient),
    ]))
}

fn constraint(case: &Value) -> Result<Found> {
    let constraint = Constraint::from_config(&object(case))?.expect("not null");
    let (mut w, shape) = (pattern(12), [4, 3]);
    constraint.check(&shape)?;
    constraint.apply(&mut w, &shape);
    Ok(Found::new(vec![("out", w)]))
}

fn initializer(case: &Value) -> Result<Found> {
    let initializer = Initializer::from_config(&object(case))?;
    initializer.check(&[4, 3])?;
    Ok(Found::new(vec![("out", initializer.sample(&[4, 3], 0))]))
}

fn schedule(case: &Value, data: &Value) -> Result<Found> {
    let schedule = Schedule::from_config(&object(case))?;
    let steps = data["steps"].as_array().expect("steps").iter();
    let rates = steps.map(|step| schedule.at(number(step) as u64)); // small
    Ok(Found::new(vec![("rates", rates.collect())]))
}

fn optimizer(case: &Value) -> Result<Found> {
    let mut optimizer = Optimizer::from_config(&object(case))?;
    let variables = [
        variable("kernel", &[3, 2], 0..6),
        variable("bias", &[2], 6..8),
    ];
    let bias = pattern(2).into_iter().rev().collect();
    let mut values = [pattern(6), bias].concat();
    optimizer.build(&variables);
    for step in 0..4 {
        let mut gradients = pattern(9 + step)[step + 1..][..8].to_vec();
        optimizer.apply(&variables, &mut values, &mut gradients);
    }
    optimizer.finalize(&variables, &mut values);
    Ok(Found::new(vec![("after", values)]))
}

fn callback(case: &Value) -> Result<Found> {
    let callback = callbacks::from_config(&object(case))?;
    let dense = json!({"class_name": "Dense", "config": {"units": 1, "name": "d"}});
    let mut model = sequential(&[1], &[dense])?;
    let (one, zero) = (ArrayD::ones(vec![1, 1]), ArrayD::zeros(vec![1]));
    model.set_weights(&[one, zero])?;
    let mut options = with_rate_1("mse".parse()?)?;
    options.optimizer.set_learning_rate(0.75)?;
    model.compile_with(options)?;
    let (x, y) = (
        ArrayD::<f32>::ones(vec![2, 1]),
        ArrayD::<f32>::zeros(vec![2, 1]),
    );
    let history = model.fit(
        &x,
        &y,
        FitOptions {
            epochs: 6,
            shuffle: false,
            verbose: 0,
            callbacks: vec![callback.into()],
            ..FitOptions::default()
        },
    )?;
    let column = |key: &str| {
        let column = history.get(key).unwrap_or_default();
        column.into_iter().map(|v| v as f32).collect() // they were
    };
    Ok(Found::new(vec![
        ("loss", column("loss")),
        ("learning_rate", column("learning_rate")),
        ("after", model.values().to_vec()),
    ]))
}
