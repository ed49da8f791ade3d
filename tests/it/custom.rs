//! A loss, a metric, a layer and an activation of one's own: trained as real Keras trains the same
//! definitions (`golden/custom/make.py`), saved as Keras saves them, refused by name where there are not.

use std::path::Path;

use ndarray::{Array1, Array2, ArrayD};
use serde_json::{Value, json};
use thumbnet_tests::golden;
use thumbnet_trainer::activations::Activation;
use thumbnet_trainer::custom::{
    Arguments, Custom, CustomActivation, CustomLayer, CustomLoss, CustomMetric, LayerBackward,
    LayerForward, LayerWeight, LayerWeights, ScaleOffset, register_activation, register_layer,
    register_loss, register_metric,
};
use thumbnet_trainer::initializers::Initializer;
use thumbnet_trainer::layers::{Dense, Input, Layer};
use thumbnet_trainer::losses::Loss;
use thumbnet_trainer::metrics::Metric;
use thumbnet_trainer::quantize::{QuantizeOptions, quantize};
use thumbnet_trainer::saving::SavedModel;
use thumbnet_trainer::sequential::CompileOptions;
use thumbnet_trainer::training::FitOptions;
use thumbnet_trainer::{Result, Sequential};

/// The quantile loss.
#[derive(Clone, Debug)]
struct Pinball {
    tau: f64,
}

impl Custom for Pinball {
    const NAME: &'static str = "shop>Pinball";

    fn read(arguments: &Arguments) -> Result<Self> {
        let tau = arguments.number("tau", 0.5)?;
        match tau > 0.0 && tau < 1.0 {
            true => Ok(Self { tau }),
            false => Err(arguments.error("tau", "a number between 0 and 1")),
        }
    }

    fn config(&self) -> Vec<(&'static str, Value)> {
        vec![("tau", json!(self.tau))]
    }
}

impl CustomLoss for Pinball {
    fn value(&self, y_true: &[f32], y_pred: &[f32]) -> f32 {
        let tau = self.tau as f32;
        let errors = y_true.iter().zip(y_pred).map(|(t, p)| t - p);
        errors.map(|e| (tau * e).max((tau - 1.0) * e)).sum::<f32>() / y_pred.len() as f32
    }

    fn gradient(&self, y_true: &[f32], y_pred: &[f32], gradient: &mut [f32]) {
        let tau = self.tau as f32;
        for ((d, t), p) in gradient.iter_mut().zip(y_true).zip(y_pred) {
            *d = if t > p { -tau } else { 1.0 - tau } / y_pred.len() as f32;
        }
    }
}

/// The share of rows whose predictions are all within a distance.
#[derive(Clone, Debug)]
struct Within {
    distance: f64,
    hits: f32,
    rows: f32,
}

impl Within {
    fn new(distance: f64) -> Self {
        Self {
            distance,
            hits: 0.0,
            rows: 0.0,
        }
    }
}

impl Custom for Within {
    const NAME: &'static str = "shop>Within";

    fn read(arguments: &Arguments) -> Result<Self> {
        Ok(Self::new(arguments.number("distance", 1.0)?))
    }

    fn config(&self) -> Vec<(&'static str, Value)> {
        vec![("distance", json!(self.distance))]
    }
}

impl CustomMetric for Within {
    fn update(&mut self, y_true: &[f32], y_pred: &[f32], weight: f32) {
        let mut pairs = y_true.iter().zip(y_pred);
        if pairs.all(|(t, p)| (t - p).abs() <= self.distance as f32) {
            self.hits += weight;
        }
        self.rows += weight;
    }

    fn result(&self) -> f32 {
        self.hits / self.rows
    }

    fn reset(&mut self) {
        (self.hits, self.rows) = (0.0, 0.0);
    }
}

/// Multiplies each feature by a weight.
#[derive(Clone, Debug)]
struct LearnedScale {
    start: f64,
}

impl Custom for LearnedScale {
    const NAME: &'static str = "shop>LearnedScale";

    fn read(arguments: &Arguments) -> Result<Self> {
        let start = arguments.number("start", 1.0)?;
        Ok(Self { start })
    }

    fn config(&self) -> Vec<(&'static str, Value)> {
        vec![("start", json!(self.start))]
    }
}

impl CustomLayer for LearnedScale {
    fn weights(&self, input: &[usize]) -> Vec<LayerWeight> {
        let start = Initializer::Constant { value: self.start };
        vec![LayerWeight::new("scale", [input[input.len() - 1]], start)]
    }

    fn forward(&self, pass: LayerForward) {
        let scale = &pass.weights[0];
        for (y, x) in pass
            .y
            .chunks_exact_mut(scale.len())
            .zip(pass.x.chunks_exact(scale.len()))
        {
            for ((y, x), scale) in y.iter_mut().zip(x).zip(scale) {
                *y = x * scale;
            }
        }
    }

    fn backward(&self, mut pass: LayerBackward) {
        let scale = &pass.weights[0];
        let rows = pass
            .x
            .chunks_exact(scale.len())
            .zip(pass.dy.chunks_exact(scale.len()));
        for (x, dy) in rows {
            for ((sum, x), dy) in pass.gradients.of(0).iter_mut().zip(x).zip(dy) {
                *sum += x * dy;
            }
        }
        let Some(dx) = pass.dx else { return };
        for (dx, dy) in dx
            .chunks_exact_mut(scale.len())
            .zip(pass.dy.chunks_exact(scale.len()))
        {
            for ((dx, dy), scale) in dx.iter_mut().zip(dy).zip(scale) {
                *dx = dy * scale;
            }
        }
    }

    fn scale_offset(&self, weights: LayerWeights) -> Option<ScaleOffset> {
        Some(ScaleOffset {
            scale: weights[0].iter().map(|&scale| f64::from(scale)).collect(),
            offset: vec![0.0],
        })
    }
}

/// `x + sin(x)²`
#[derive(Clone, Debug)]
struct Snake;

impl Custom for Snake {
    const NAME: &'static str = "shop>snake";

    fn read(_arguments: &Arguments) -> Result<Self> {
        Ok(Self)
    }
}

impl CustomActivation for Snake {
    fn value(&self, x: f64) -> f64 {
        x + x.sin().powi(2)
    }

    fn slope(&self, x: f64) -> f64 {
        1.0 + (2.0 * x).sin()
    }
}

fn register_all() {
    register_loss::<Pinball>();
    register_metric::<Within>();
    register_layer::<LearnedScale>();
    register_activation::<Snake>();
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/custom")
}

pub fn array(value: &Value) -> Array2<f32> {
    let rows: Vec<Vec<f32>> = serde_json::from_value(value.clone()).expect("rows");
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn flat(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(list) => list.iter().flat_map(flat).collect(),
        one => vec![one.as_f64().expect("a number")],
    }
}

/// Within a hundred-thousandth of numbers above 1, as trainings in f32 are.
pub fn assert_near(what: &str, found: impl IntoIterator<Item = f64>, expected: &Value) {
    let (found, expected): (Vec<_>, _) = (found.into_iter().collect(), flat(expected));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(&expected) {
        let tolerance = 1e-5 * expected.abs().max(1.0);
        assert!(
            (found - expected).abs() < tolerance,
            "{what}: {found}, expected {expected}"
        );
    }
}

pub fn values(array: &ArrayD<f32>) -> impl Iterator<Item = f64> {
    array.iter().map(|&value| f64::from(value))
}

#[test]
fn a_training_is_that_of_keras_from_both_files() {
    register_all();
    let facts = golden::json(&folder().join("training.json"));
    let weights: Vec<f32> = serde_json::from_value(facts["sample_weight"].clone()).expect("rows");
    let weights = Array1::from(weights);
    for file in ["model.keras", "model.h5"] {
        let mut model = Sequential::load(folder().join(file)).expect("Keras' file");
        let options = FitOptions {
            epochs: 6,
            batch_size: Some(16),
            shuffle: false,
            verbose: 0,
            sample_weight: Some(weights.view()),
            ..FitOptions::default()
        };
        let (x, y) = (array(&facts["x"]), array(&facts["y"]));
        let history = model.fit(&x, &y, options).expect("a training");
        for (name, expected) in facts["history"].as_object().expect("a history") {
            let found = history.get(name).expect(name).to_vec();
            assert_near(&format!("{file}: {name}"), found, expected);
        }
        let all = model.get_weights();
        assert_near(file, all.iter().flat_map(values), &facts["weights"]);
        let predicted = model.predict(&x).expect("predictions");
        assert_near(file, values(&predicted), &facts["predictions"]);
    }
}

#[test]
fn files_name_the_parts_as_those_of_keras_do() {
    register_all();
    let temporary = tempfile::tempdir().expect("a folder");
    for file in ["model.keras", "model.h5"] {
        let (keras, ours) = (folder().join(file), temporary.path().join(file));
        let model = Sequential::load(&keras).expect("Keras' file");
        model.save(&ours).expect("saved");
        let read = |path| thumbnet_trainer::saving::read(path).expect("a model");
        let (expected, found) = (read(&keras), read(&ours));
        for part in [
            "/config/layers/1",
            "/config/layers/2/config/activation",
            "/config/layers/3/config/activation",
        ] {
            let strip = |value: &Value| {
                let mut value = value.pointer(part).expect(part).clone();
                // A number that Keras gives what stands twice in a file.
                if let Some(object) = value.as_object_mut() {
                    object.remove("shared_object_id");
                }
                value
            };
            assert_eq!(
                strip(&found.config),
                strip(&expected.config),
                "{file}: {part}"
            );
        }
        let settings = |saved: SavedModel| saved.compile_config.expect("compiled");
        let (expected, found) = (settings(expected), settings(found));
        for key in ["loss", "metrics", "weighted_metrics"] {
            assert_eq!(found[key], expected[key], "{file}: {key}");
        }
        let again = Sequential::load(&ours).expect("our file");
        assert_eq!(again.get_weights(), model.get_weights());
        assert_eq!(again.loss(), model.loss());
        assert_eq!(again.layers(), model.layers());
    }
}

#[test]
fn parts_go_wherever_keras_own_do() {
    let mut model = Sequential::new().with_seed(1);
    model.add(Input::new([2])).expect("an input");
    model
        .add(thumbnet_trainer::layers::Custom::from(LearnedScale { start: 2.0 }).named("gain"))
        .expect("a layer");
    model
        .add(Dense::new(3).with_activation(Snake))
        .expect("a layer");
    model.add(LearnedScale { start: 1.0 }).expect("a layer");
    model.add(Dense::new(1)).expect("a layer");
    let names: Vec<_> = model.layers().iter().map(Layer::name).collect();
    assert_eq!(names, ["gain", "dense", "learned_scale", "dense_1"]);
    assert_eq!(
        model.layers()[1].config()["activation"]["config"],
        "shop>snake"
    );
    let options = CompileOptions {
        metrics: vec![Metric::from(Within::new(0.5)).into(), "mae".into()],
        ..CompileOptions::new(
            "sgd".parse().expect("sgd"),
            Loss::from(Pinball { tau: 0.9 }),
        )
    };
    model.compile_with(options).expect("compiled");
    let (x, y) = (
        ndarray::arr2(&[[1.0_f32, 2.0], [0.5, -1.0]]),
        ndarray::arr1(&[1.0_f32, 0.0]),
    );
    let before = model.get_weights();
    let history = model
        .fit(
            &x,
            &y,
            FitOptions {
                verbose: 0,
                ..FitOptions::default()
            },
        )
        .expect("a training");
    assert!(history.last("within").is_some());
    assert!(
        before
            .iter()
            .zip(&model.get_weights())
            .all(|(before, after)| before != after)
    );
    // Frozen, the layer's weights stay.
    model.layer_mut("gain").expect("there").set_trainable(false);
    let before = model.get_weights();
    model
        .fit(
            &x,
            &y,
            FitOptions {
                verbose: 0,
                ..FitOptions::default()
            },
        )
        .expect("a training");
    assert_eq!(model.get_weights()[0], before[0]);
    assert_ne!(model.get_weights()[1], before[1]);
}

#[test]
fn what_is_not_registered_is_refused_by_name() {
    let layer = |registered: &str| json!({"module": null, "class_name": "Gate", "config": {"name": "gate"}, "registered_name": registered});
    let model = |layer: Value| {
        let object =
            json!({"class_name": "Sequential", "config": {"name": "m", "layers": [layer]}});
        Sequential::from_serialized(&object)
            .expect_err("refused")
            .to_string()
    };
    let refused = |what: &str, name: &str, by: &str| {
        format!(
            "{what} \"{name}\" is not one of Keras' own, expected one that is registered; register it by custom::{by} of the library, or build the model with what Keras has"
        )
    };
    assert_eq!(
        model(layer("lab>Gate")),
        refused("layer", "lab>Gate", "register_layer")
    );
    // A class of a legacy file, and one that has Keras' name and is not Keras'.
    assert_eq!(
        model(json!({"class_name": "lab>Dense", "config": {"name": "d", "units": 1}})),
        refused("layer", "lab>Dense", "register_layer")
    );
    assert_eq!(
        model(
            json!({"module": "__main__", "class_name": "Dense", "registered_name": "Dense", "config": {"name": "d", "units": 1}})
        ),
        refused("layer", "__main__>Dense", "register_layer")
    );
    let function = json!({"module": "builtins", "class_name": "function", "config": "lab>wave", "registered_name": "function"});
    assert_eq!(
        Activation::from_config(&function)
            .expect_err("refused")
            .to_string(),
        refused("activation", "lab>wave", "register_activation")
    );
    let object = |class: &str| json!({"module": null, "class_name": class, "config": {}, "registered_name": format!("lab>{class}")});
    assert_eq!(
        Loss::from_config(&object("MeanSquaredError"))
            .expect_err("refused")
            .to_string(),
        refused("loss", "lab>MeanSquaredError", "register_loss")
    );
    assert_eq!(
        Metric::from_config(&object("AUC"), 1, 1)
            .expect_err("refused")
            .to_string(),
        refused("metric", "lab>AUC", "register_metric")
    );
    // Kinds that thumbnet has none of one's own of.
    let dense = json!({"class_name": "Dense", "config": {"name": "d", "units": 1, "kernel_regularizer": object("L2")}});
    assert_eq!(
        model(dense),
        "Dense \"kernel_regularizer\": regularizer \"lab>L2\" is not one of Keras' own, and thumbnet takes no regularizer of one's own; build the model with what Keras has"
    );
}

#[test]
fn wrong_arguments_of_a_part_are_said() {
    register_all();
    let loss = |config: Value| {
        let object = json!({"module": null, "class_name": "Pinball", "config": config, "registered_name": "shop>Pinball"});
        Loss::from_config(&object).expect_err("refused").to_string()
    };
    assert_eq!(
        loss(json!({"tau": 2})),
        "tau of loss Pinball is 2, expected a number between 0 and 1"
    );
    assert_eq!(
        loss(json!({"tau": "a"})),
        "tau of loss Pinball is \"a\", expected a number"
    );
    assert_eq!(
        loss(json!({"taw": 0.5})),
        "loss Pinball has no argument \"taw\", expected one of name, reduction, tau; did you mean \"tau\"?"
    );
}

#[test]
fn a_scale_goes_into_the_device_model_and_other_parts_do_not() {
    let x = Array2::from_shape_fn((200, 2), |(i, j)| {
        ((i * 7 + j * 31) % 41) as f32 / 20.0 - 1.0
    });
    let build = |activation: Activation| {
        let mut model = Sequential::new().with_seed(4);
        model.add(Input::new([2])).expect("an input");
        model.add(LearnedScale { start: 3.0 }).expect("a layer");
        model
            .add(Dense::new(8).with_activation(activation))
            .expect("a layer");
        model.add(LearnedScale { start: 0.25 }).expect("a layer");
        model.add(Dense::new(1)).expect("a layer");
        model
    };
    let model = build(Activation::RELU);
    let device = quantize(&model, &x, &QuantizeOptions::default())
        .expect("a blob")
        .device;
    let (found, expected) = (
        device.predict(&x).expect("some"),
        model.predict(&x).expect("some"),
    );
    let range = expected.iter().fold(0.0_f32, |range, y| range.max(y.abs()));
    let pairs = found.iter().zip(&expected);
    let worst = pairs.fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
    // An int8 network of two layers is within some hundredths of its range.
    assert!(worst < 0.05 * range, "{worst} of {range}");
    let error =
        quantize(&build(Snake.into()), &x, &QuantizeOptions::default()).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "layer \"dense\": shop>snake cannot run on the device; use one of Keras' own"
    );
}
