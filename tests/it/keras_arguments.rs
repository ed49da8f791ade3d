//! Arguments at and beyond their limits: what real Keras 3.15 computes for them, or that it refuses them.

use ndarray::ArrayD;
use serde_json::{Value, json};
use thumbnet_tests::unit_tables::{Near, flat, near};
use thumbnet_trainer::{
    Sequential, activations::Activation, constraints::Constraint, losses::Loss,
    sequential::CompileOptions,
};

fn case(name: &str) -> Value {
    let path = format!(
        "{}/golden/keras_arguments/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

fn array(value: &Value) -> ArrayD<f32> {
    let shape = value["shape"].as_array().unwrap();
    let shape: Vec<usize> = shape.iter().map(|n| n.as_u64().unwrap() as usize).collect();
    ArrayD::from_shape_vec(shape, flat(&value["data"])).unwrap()
}

fn model(case: &Value) -> thumbnet_trainer::Result<Sequential> {
    let mut model = Sequential::from_serialized(&case["case"]["model"])?;
    let weights = case["case"]["weights"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if !weights.is_empty() {
        let weights: Vec<ArrayD<f32>> = weights.iter().map(array).collect();
        model.set_weights(&weights)?;
    }
    Ok(model)
}

fn assert_near(name: &str, found: &[f32], expected: &Value) {
    let tolerance = Near {
        relative: 1e-5,
        absolute: 1e-6,
    };
    let problems = near(name, found, &flat(expected), tolerance);
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn constraints_take_null_and_limits_as_keras_does() {
    for name in [
        "max_norm_axis_null",
        "max_norm_negative",
        "unit_norm_axis_null",
        "min_max_norm_min_above_max",
    ] {
        let case = case(name);
        let constraint = Constraint::from_config(&case["case"]["config"])
            .unwrap()
            .unwrap();
        let mut w = flat(&case["case"]["x"]);
        constraint.check(&[4, 3]).unwrap();
        constraint.apply(&mut w, &[4, 3]);
        assert_near(name, &w, &case["keras_3_15_1"]["out"]);
        let again = Constraint::from_config(&constraint.config())
            .unwrap()
            .unwrap();
        assert_eq!(again, constraint);
    }
}

#[test]
fn layers_compute_what_null_and_odd_numbers_mean() {
    for name in [
        "layer_normalization_epsilon_null",
        "normalization_negative_variance",
    ] {
        let case = case(name);
        let model = model(&case).unwrap();
        let y = model.predict(&array(&case["case"]["x"])).unwrap();
        let y: Vec<f32> = y.iter().copied().collect();
        assert_near(name, &y, &case["keras_3_15_1"]["out"]);
    }
}

#[test]
fn losses_and_gradients_are_keras_own() {
    for name in [
        "dice_reduction_none_reported_loss",
        "tversky_reduction_none_reported_loss",
        "circle_negative_margin_gradient",
        "relu_nan_upstream_model",
    ] {
        let case = case(name);
        let mut model = model(&case).unwrap();
        let loss = Loss::from_config(&case["case"]["config"]).unwrap();
        let mut options = CompileOptions::named("sgd", "mse", &[]).unwrap();
        options.loss = Some(loss);
        options.optimizer.set_learning_rate(1.0).unwrap();
        model.compile_with(options).unwrap();
        let (x, y) = (array(&case["case"]["x"]), array(&case["case"]["y"]));
        let before: Vec<f32> = model.values().to_vec();
        let logs = model.train_on_batch(&x, &y, None, None).unwrap();
        let expected = &case["keras_3_15_1"];
        let found = logs.get("loss").unwrap() as f32;
        assert_near(name, &[found], &expected["loss"]);
        // A step of sgd with rate 1 takes the gradient off.
        let gradient: Vec<f32> = before
            .iter()
            .zip(model.values())
            .map(|(before, after)| before - after)
            .collect();
        assert_near(
            name,
            &gradient,
            &expected["gradient(graph train_on_batch, sgd 1.0)"],
        );
    }
}

#[test]
fn what_keras_refuses_is_refused_by_name() {
    for (name, expected) in [
        (
            "relu_layer_max_value_negative",
            "\"max_value\" is -1.0, expected null or a number from 0",
        ),
        (
            "relu_layer_negative_slope",
            "\"negative_slope\" is -1.0, expected a number from 0",
        ),
        (
            "relu_layer_threshold_negative",
            "\"threshold\" is -1.0, expected a number from 0",
        ),
        (
            "relu_layer_threshold_null",
            "\"threshold\" is null, expected a number from 0",
        ),
        (
            "leaky_relu_layer_negative",
            "\"negative_slope\" is -1.0, expected a number from 0",
        ),
        (
            "leaky_relu_layer_null",
            "\"negative_slope\" is null, expected a number from 0",
        ),
        (
            "activity_regularization_negative",
            "\"l1\" is -1.0, expected a number from 0",
        ),
        (
            "flatten_data_format_unknown",
            "\"data_format\" is \"x\", expected \"channels_last\"",
        ),
        (
            "normalization_two_means_for_four",
            "2 means and 2 variances, expected 4 of each",
        ),
        // Keras' own mixes the rows of a batch.
        (
            "softmax_axis_null",
            "\"axis\" is null, expected an axis of a sample such as -1",
        ),
    ] {
        let error = model(&case(name)).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

fn softmax(axis: &Value, x: &ArrayD<f32>) -> thumbnet_trainer::Result<Vec<f32>> {
    let model = json!({"class_name": "Sequential", "config": {"name": "s", "layers": [
        {"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [null, 2, 3]}},
        {"class_name": "Softmax", "config": {"name": "l", "axis": axis}},
    ]}});
    let y = Sequential::from_serialized(&model)?.predict(x)?;
    Ok(y.iter().copied().collect())
}

/// Keras 3.15.1 for `np.arange(12).reshape(2, 2, 3) * 0.3`, rounded to four digits.
#[test]
fn a_softmax_over_axes_of_a_sample_is_keras_own() {
    let x = (0..12).map(|i| i as f32 * 0.3).collect();
    let x = ArrayD::from_shape_vec(vec![2, 2, 3], x).unwrap();
    let both = [0.0693, 0.0935, 0.1262, 0.1704, 0.23, 0.3105];
    let last = [0.2397, 0.3236, 0.4368, 0.2397, 0.3236, 0.4368];
    let first = [0.2891, 0.2891, 0.2891, 0.7109, 0.7109, 0.7109];
    for (axis, expected) in [
        (json!([-1, -2]), both),
        (json!([1, 2]), both),
        (json!([-1]), last),
        (json!(2), last),
        (json!([1]), first),
    ] {
        let found = softmax(&axis, &x).unwrap();
        let expected = [expected, expected].concat();
        let same = found
            .iter()
            .zip(&expected)
            .all(|(a, b)| (a - b).abs() < 6e-5);
        assert!(same && found.len() == expected.len(), "{axis}: {found:?}");
    }
}

/// Keras takes these, and divides by a sum over the rows of the batch: what comes out for a row
/// depends on the others, and a device sees one at a time.
#[test]
fn a_softmax_over_the_rows_of_a_batch_is_refused_by_name() {
    let x = ArrayD::zeros(vec![2, 2, 3]);
    for (axis, what) in [
        (
            json!(null),
            "Softmax \"l\": \"axis\" is null, expected an axis of a sample such as -1",
        ),
        (json!(0), "Softmax: axis 0 is that of the rows of a batch"),
        (json!(-3), "Softmax: axis -3 is that of the rows of a batch"),
        (
            json!([0, 1]),
            "Softmax: axis 0 is that of the rows of a batch",
        ),
    ] {
        let error = softmax(&axis, &x).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
    for (axis, shown) in [(json!(null), "null"), (json!([0, 1]), "[0,1]")] {
        let activation =
            json!({"class_name": "Softmax", "module": "keras.layers", "config": {"axis": axis}});
        let error = Activation::from_config(&activation).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "softmax over axis {shown}, thumbnet has it over the last axis only; use axis -1"
            )
        );
    }
}

#[test]
fn arguments_that_nothing_has_are_refused_with_the_nearest_that_is() {
    let loss = Loss::from_config(&case("loss_unknown_argument")["case"]["config"]);
    let error = loss.unwrap_err().to_string();
    assert!(
        error
            .starts_with("loss MeanSquaredError has no argument \"unknown_arg\", expected one of "),
        "{error}"
    );
    let layer = |class: &str, config: Value| {
        thumbnet_trainer::layers::Layer::from_config(class, &config)
            .unwrap_err()
            .to_string()
    };
    let error = layer("Dense", serde_json::json!({"units": 2, "use_bais": false}));
    assert!(
        error.starts_with("layer Dense has no argument \"use_bais\", expected one of "),
        "{error}"
    );
    assert!(error.ends_with("; did you mean \"use_bias\"?"), "{error}");
    let constraint = serde_json::json!({"class_name": "MaxNorm", "config": {"max_valu": 1.0}});
    let error = Constraint::from_config(&constraint)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "constraint MaxNorm has no argument \"max_valu\", expected one of max_value, axis; did you mean \"max_value\"?"
    );
}

/// What Keras takes and we must not refuse, for its files have it.
const NOT_REFUSED: [&str; 3] = [
    "metric CosineSimilarity {\"axis\":-1}",
    "loss CosineSimilarity {\"axis\":-1}",
    "metric SparseTopKCategoricalAccuracy {\"from_sorted_ids\":false}",
];

#[test]
fn boundaries_are_keras_own() {
    let boundaries = thumbnet_tests::boundaries::check().expect("the table");
    println!(
        "{} cases, {} refused as by Keras, {} more refused by name",
        boundaries.tally.total,
        boundaries.refused,
        boundaries.unsupported.len()
    );
    for line in &boundaries.unsupported {
        println!("  {line}");
    }
    let failures = &boundaries.tally.failures;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    for case in NOT_REFUSED {
        let refused = boundaries
            .unsupported
            .iter()
            .find(|line| line.starts_with(case));
        assert_eq!(refused, None);
    }
}

#[test]
fn layer_normalization_of_keras_2_has_its_axes_in_any_order() {
    let folder = format!("{}/golden/axes", env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| -> ArrayD<f32> {
        ndarray_npy::read_npy(format!("{folder}/{name}.npy")).unwrap()
    };
    let (x, expected) = (read("x"), read("y"));
    let temporary = tempfile::tempdir().unwrap();
    for name in ["layer_norm.h5", "layer_norm.keras"] {
        let model = Sequential::load(format!("{folder}/{name}")).unwrap();
        // As Keras 3 has them: the axes sorted, gamma of the shape of a sample.
        assert_eq!(model.variables()[0].shape, [4, 2]);
        let path = temporary.path().join(name);
        model.save(&path).unwrap();
        for model in [model, Sequential::load(&path).unwrap()] {
            let y = model.predict(&x).unwrap();
            for (y, expected) in y.iter().zip(&expected) {
                assert!((y - expected).abs() < 1e-5, "{name}: {y} {expected}");
            }
        }
    }
}
