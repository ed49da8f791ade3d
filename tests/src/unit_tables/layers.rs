//! The layers of `unit/layers_misc.json`: normalizations, noise, names, defaults, split sizes.

use ndarray::{Array1, Array2, ArrayD, IxDyn};
use serde_json::Value;
use thumbnet_trainer::layers::{
    AlphaDropout, BatchNormalization, Dense, Dropout, GaussianDropout, GaussianNoise, Identity,
    Input, Layer, LayerNormalization, Normalization, Rescaling, Statistics, UnitNormalization,
};
use thumbnet_trainer::training::FitOptions;
use thumbnet_trainer::{Result, Sequential};

use super::{Near, Tally, flat, near, number, table, width};

/// f32 sums of a few terms in another order: a few units in the last place of the larger terms.
const NEAR: Near = Near {
    relative: 1e-6,
    absolute: 2e-6,
};

/// Checks every entry; `None` where the golden folder has no such table.
pub fn check() -> Option<Tally> {
    let file = table("layers_misc.json")?;
    let mut tally = Tally::default();
    let mut entry = |name: String, found: Result<Vec<String>>| {
        let problems = found.unwrap_or_else(|error| vec![error.to_string()]);
        tally.entry(&format!("layers_misc.json {name}"), &problems);
    };
    for case in list(&file["batch_normalization"]["table"]) {
        entry(
            format!("BatchNormalization {}", case["kwargs"]),
            batch_normalization(case),
        );
    }
    entry(
        "LayerNormalization".into(),
        layer_normalization(&file["layer_normalization"]),
    );
    entry(
        "UnitNormalization".into(),
        unit_normalization(&file["unit_normalization"]),
    );
    for (name, found) in normalization(&file["normalization"]) {
        entry(format!("Normalization {name}"), found);
    }
    entry("Rescaling".into(), rescaling(&file["rescaling"]));
    for case in list(&file["stochastic_layers"]) {
        let class = case["cls"].as_str().unwrap_or_default();
        if let Some(layer) = noise(class, &case["kwargs"]) {
            entry(
                format!("{class} {}", case["kwargs"]),
                stochastic(layer, case),
            );
        }
    }
    for (class, saved) in file["layer_default_configs"]
        .as_object()
        .into_iter()
        .flatten()
    {
        entry(
            format!("default config of {class}"),
            default_config(class, saved),
        );
    }
    entry("automatic names".into(), names(&file["auto_names"]));
    for case in list(&file["split_sizes"]) {
        let what = format!("split {} of {}", case["validation_split"], case["n"]);
        entry(what, split(case));
    }
    Some(tally)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn matrix(value: &Value) -> Array2<f32> {
    let (values, width) = (flat(value), width(value));
    Array2::from_shape_vec((values.len() / width, width), values).expect("rows of one width")
}

/// A model of one layer for these inputs.
fn model(layer: impl Into<Layer>, x: &Array2<f32>) -> Result<Sequential> {
    Sequential::from_layers([Input::new([x.ncols()]).into(), layer.into()])
}

fn outputs(model: &Sequential, x: &Array2<f32>) -> Result<Vec<f32>> {
    Ok(model.predict(x)?.into_iter().collect())
}

fn set(model: &mut Sequential, weights: &[(&str, Vec<f32>)]) -> Result<()> {
    let array = |values: &Vec<f32>| {
        ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.clone()).expect("one axis")
    };
    let weights: Vec<_> = model
        .variables()
        .iter()
        .filter_map(|v| weights.iter().find(|(name, _)| *name == v.name))
        .map(|(_, values)| array(values))
        .collect();
    model.set_weights(&weights)
}

/// The loss `sum(upstream * y)` as the mean absolute difference to far-away targets: its gradient
/// by `y` is the upstream gradient for any sign when every row weighs its own value.
fn batch_normalization(case: &Value) -> Result<Vec<String>> {
    let kwargs = &case["kwargs"];
    let flag = |key: &str| kwargs.get(key).and_then(Value::as_bool).unwrap_or(true);
    let value = |key: &str, default| kwargs.get(key).and_then(Value::as_f64).unwrap_or(default);
    let layer = BatchNormalization {
        momentum: value("momentum", 0.99),
        epsilon: value("epsilon", 1e-3),
        center: flag("center"),
        scale: flag("scale"),
        ..BatchNormalization::new()
    };
    let steps = list(&case["training_steps"]);
    let mut model = model(layer, &matrix(&steps[0]["x"]))?;
    let init: Vec<(&str, Vec<f32>)> = ["gamma", "beta", "moving_mean", "moving_variance"]
        .into_iter()
        .filter_map(|name| Some((name, flat(case["init"].get(name)?))))
        .collect();
    set(&mut model, &init)?;
    let mut problems = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        let pass = model.pass(&matrix(&step["x"]), Some(&matrix(&step["upstream"])))?;
        let mut compare = |what: &str, found: &[f32], expected: &Value| {
            problems.extend(near(
                &format!("step {i} {what}"),
                found,
                &flat(expected),
                NEAR,
            ));
        };
        compare("y", &pass.outputs, &step["y"]);
        compare("grad_x", &pass.input_gradient, &step["grad_x"]);
        for variable in model.variables() {
            let range = variable.range.clone();
            match step["grads"].get(&variable.name) {
                Some(expected) => compare(&variable.name, &pass.gradients[range], expected),
                None => compare(
                    &variable.name,
                    &model.values()[range],
                    &step[&variable.name],
                ),
            }
        }
    }
    let inference = &case["inference"];
    let y = outputs(&model, &matrix(&inference["x"]))?;
    problems.extend(near("inference", &y, &flat(&inference["y"]), NEAR));
    Ok(problems)
}

fn layer_normalization(case: &Value) -> Result<Vec<String>> {
    let x = matrix(&case["x"]);
    let layer = LayerNormalization {
        epsilon: number(&case["epsilon"]),
        ..LayerNormalization::new()
    };
    let mut model = model(layer, &x)?;
    set(
        &mut model,
        &[
            ("gamma", flat(&case["gamma"])),
            ("beta", flat(&case["beta"])),
        ],
    )?;
    Ok(near("y", &outputs(&model, &x)?, &flat(&case["y"]), NEAR))
}

fn unit_normalization(case: &Value) -> Result<Vec<String>> {
    let x = matrix(&case["x"]);
    let y = outputs(&model(UnitNormalization::new(), &x)?, &x)?;
    Ok(near("y", &y, &flat(&case["y"]), NEAR))
}

fn normalization(case: &Value) -> Vec<(&'static str, Result<Vec<String>>)> {
    let raw = matrix(&case["raw"]);
    let adapt = |layer: Normalization, data: &Array2<f32>, expected: &Value| {
        let mut layer = layer;
        layer.adapt(data)?;
        let model = model(layer, data)?;
        // The first rows, as many as were kept.
        let y = outputs(&model, data)?;
        let wanted = flat(&expected["y"]);
        let mut problems = near("y", &y[..wanted.len()], &wanted, NEAR);
        for (variable, weight) in model.variables().iter().zip(list(&expected["weights"])) {
            let found = &model.values()[variable.range.clone()];
            problems.extend(near(&variable.name, found, &flat(&weight[3]), NEAR));
            if weight[0] != *variable.name {
                problems.push(format!("{}, expected {}", variable.name, weight[0]));
            }
        }
        Ok(problems)
    };
    let whole = Normalization {
        axis: Vec::new(),
        ..Normalization::new()
    };
    // The table's column 1 held at its mean.
    let mut constant = raw.clone();
    constant.column_mut(1).fill(5.0);
    let given = |case: &Value, statistics: Statistics, invert: bool| {
        let x = matrix(&case["x"]);
        let layer = Normalization {
            invert,
            ..Normalization::with_statistics(statistics)
        };
        Ok(near(
            "y",
            &outputs(&model(layer, &x)?, &x)?,
            &flat(&case["y"]),
            NEAR,
        ))
    };
    let statistics = |case: &Value| Statistics {
        mean: flat(&case["mean"]).into_iter().map(f64::from).collect(),
        variance: flat(&case["variance"]).into_iter().map(f64::from).collect(),
    };
    vec![
        (
            "adapted",
            adapt(Normalization::new(), &raw, &case["adapted"]),
        ),
        ("axis none", adapt(whole, &raw, &case["axis_none"])),
        (
            "constant column",
            adapt(Normalization::new(), &constant, &case["constant_column"]),
        ),
        (
            "given",
            given(&case["given"], statistics(&case["given"]), false),
        ),
        (
            "invert",
            given(&case["invert"], statistics(&case["invert"]), true),
        ),
    ]
}

fn rescaling(case: &Value) -> Result<Vec<String>> {
    let x = matrix(&case["x"]);
    let layer = Rescaling::new(number(&case["scale"]), number(&case["offset"]));
    Ok(near(
        "y",
        &outputs(&model(layer, &x)?, &x)?,
        &flat(&case["y"]),
        NEAR,
    ))
}

fn noise(class: &str, kwargs: &Value) -> Option<Layer> {
    let value = |key: &str| number(&kwargs[key]);
    Some(match class {
        "Dropout" => Dropout::new(value("rate")).into(),
        "AlphaDropout" => AlphaDropout::new(value("rate")).into(),
        "GaussianDropout" => GaussianDropout::new(value("rate")).into(),
        "GaussianNoise" => GaussianNoise::new(value("stddev")).into(),
        _ => return None,
    })
}

/// The statistics of a layer's noise on ones, as Keras' own differ from run to run.
fn stochastic(layer: Layer, case: &Value) -> Result<Vec<String>> {
    let n = 100_000_usize;
    let x = Array2::ones((n / 100, 100));
    let mut model = model(layer, &x)?.with_seed(1);
    let y = model.pass(&x, None)?.outputs;
    let mean = y.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64;
    let variance = y
        .iter()
        .map(|&v| (f64::from(v) - mean).powi(2))
        .sum::<f64>()
        / n as f64;
    let zeros = y.iter().filter(|&&v| v == 0.0).count() as f64 / n as f64;
    let mut problems = Vec::new();
    let mut compare = |what: &str, found: f64, expected: f64, allowed: f64| {
        if (found - expected).abs() > allowed {
            problems.push(format!(
                "{what} is {found}, expected {expected} within {allowed:.1e}"
            ));
        }
    };
    // Two samples of 100,000: five standard errors of their difference.
    let std = number(&case["std"]);
    let error = 5.0 * (2.0 / n as f64).sqrt();
    compare("mean", mean, number(&case["mean"]), error * std);
    compare("std", variance.sqrt(), std, error * std);
    compare("zeros", zeros, number(&case["fraction_zero"]), error * 0.5);
    if let Value::Array(values) = &case["distinct"] {
        let mut found: Vec<f32> = y.clone();
        found.sort_by(f32::total_cmp);
        found.dedup();
        problems.extend(near(
            "distinct",
            &found,
            &flat(&Value::Array(values.clone())),
            NEAR,
        ));
    }
    if outputs(&model, &x)?.iter().any(|&v| v != 1.0) {
        problems.push("inference changes its input".into());
    }
    Ok(problems)
}

fn default_config(class: &str, saved: &Value) -> Result<Vec<String>> {
    let config = &saved["config"];
    let found = Layer::from_config(class, config)?.config();
    // As text, so that the order of the keys counts, too.
    let (found, config) = (found.to_string(), config.to_string());
    Ok(match found == config {
        true => vec![],
        false => vec![format!("is {found}, expected {config}")],
    })
}

/// The automatic names of the classes that there are, each once, Dense twice.
fn names(expected: &Value) -> Result<Vec<String>> {
    let first = Layer::from(Dense::new(1));
    let mut model = Sequential::new();
    model.add(first.clone())?;
    model.add(first)?;
    for class in [
        "BatchNormalization",
        "Dropout",
        "Activation",
        "ReLU",
        "LeakyReLU",
        "ELU",
        "PReLU",
        "LayerNormalization",
        "Flatten",
        "Softmax",
        "GaussianNoise",
        "Rescaling",
        "Normalization",
        "UnitNormalization",
        "ActivityRegularization",
        "GaussianDropout",
        "AlphaDropout",
    ] {
        let config = match class {
            "GaussianNoise" => serde_json::json!({"stddev": 0.5}),
            _ if class.ends_with("Dropout") => serde_json::json!({"rate": 0.5}),
            _ => serde_json::json!({}),
        };
        model.add(Layer::from_config(class, &config)?)?;
    }
    model.add(Identity::new())?;
    let known: Vec<_> = list(expected).iter().filter_map(Value::as_str).collect();
    let unknown = model
        .layers()
        .iter()
        .filter(|layer| !known.contains(&layer.name()));
    Ok(unknown
        .map(|layer| format!("{} is not a name of Keras", layer.name()))
        .collect())
}

fn split(case: &Value) -> Result<Vec<String>> {
    let n = case["n"].as_u64().unwrap_or_default() as usize; // a small number
    let x = Array2::from_shape_fn((n, 1), |(row, _)| row as f32);
    let y = Array1::<f32>::zeros(n);
    let mut model = model(Dense::new(1), &x)?;
    model.compile("sgd", "mse", None::<&str>)?;
    let mut batches = Vec::new();
    // One row per batch: the batches of an epoch are the rows trained on.
    let count =
        thumbnet_trainer::callbacks::LambdaCallback::new().on_train_batch_end(|_, batch, _| {
            batches.push(batch);
            Ok(())
        });
    let options = FitOptions {
        batch_size: Some(1),
        validation_split: number(&case["validation_split"]),
        verbose: 0,
        callbacks: vec![count.into()],
        ..Default::default()
    };
    model.fit(&x, &y, options)?;
    let expected = case["train"].as_u64().unwrap_or_default() as usize; // a small number
    Ok(match batches.len() == expected {
        true => vec![],
        false => vec![format!(
            "{} rows to train on, expected {expected}",
            batches.len()
        )],
    })
}
