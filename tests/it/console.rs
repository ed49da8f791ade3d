//! What is printed reads as Keras prints it; the files are raw output of real Keras.

use std::sync::{Arc, Mutex};

use ndarray::{Array1, Array2};
use thumbnet_tests::golden;
use thumbnet_trainer::activations::Activation;
use thumbnet_trainer::layers::{
    BatchNormalization, Dense, Dropout, Flatten, Input, Layer, Rescaling,
};
use thumbnet_trainer::sequential::SummaryOptions;
use thumbnet_trainer::training::{EvaluateOptions, FitOptions, PredictOptions, ValidationData};
use thumbnet_trainer::{Result, Sequential};

fn expected(name: &str) -> Option<String> {
    let path = golden::root().join("unit/console").join(name);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped, there is no {}", path.display());
    }
    text
}

fn compare(name: &str, found: &str) {
    if let Some(expected) = expected(name) {
        assert_eq!(found, expected, "{name}\n{found}");
    }
}

/// 30 -> 64 -> 32 -> 1, the model of most files.
fn seed_model() -> Sequential {
    Sequential::from_layers([
        Input::new([30]).into(),
        Dense::new(64).with_activation(Activation::RELU).into(),
        Dense::new(32).with_activation(Activation::RELU).into(),
        Dense::new(1).with_activation(Activation::Sigmoid).into(),
    ])
    .unwrap()
}

fn compiled(optimizer: &str) -> Sequential {
    let mut model = seed_model();
    model
        .compile(optimizer, "binary_crossentropy", ["accuracy"])
        .unwrap();
    model
}

#[test]
fn summaries_are_byte_for_byte_keras() -> Result<()> {
    compare("summary_uncompiled.txt", &seed_model().summary());
    compare("summary_compiled_sgd.txt", &compiled("sgd").summary());
    let mut trained = compiled("sgd");
    trained.build_optimizer();
    compare("summary_after_fit_sgd.txt", &trained.summary());
    let mut trained = compiled("adam");
    trained.build_optimizer();
    compare("summary_after_fit_adam.txt", &trained.summary());
    compare(
        "summary_line_length_60.txt",
        &trained.summary_with(SummaryOptions {
            line_length: 60,
            ..SummaryOptions::default()
        }),
    );
    compare(
        "summary_show_trainable.txt",
        &trained.summary_with(SummaryOptions {
            show_trainable: true,
            ..SummaryOptions::default()
        }),
    );

    let unbuilt = Sequential::from_layers([Dense::new(4).into(), Dense::new(2).into()])?;
    compare("summary_unbuilt.txt", &unbuilt.summary());

    let mut wrapped = Sequential::new().with_name("digits_net");
    for layer in [
        Layer::from(Input::new([8, 8])),
        Rescaling::new(1.0 / 16.0, 0.0).into(),
        Flatten::new().into(),
        Dense::new(128).without_bias().into(),
        BatchNormalization::new().into(),
        thumbnet_trainer::layers::Activation::new(Activation::RELU).into(),
        Dropout::new(0.5).into(),
        Dense::new(10)
            .named("a_rather_long_layer_name_that_must_wrap")
            .into(),
    ] {
        wrapped.add(layer)?;
    }
    compare("summary_bn_dropout_wrap.txt", &wrapped.summary());

    let mut inner = Sequential::new().with_name("inner");
    inner.add(Input::new([4]))?;
    inner.add(Dense::new(3))?;
    let outer = Sequential::from_layers([inner.into(), Dense::new(1).named("dense_1").into()])?;
    compare("summary_nested.txt", &outer.summary());
    Ok(())
}

/// Where printed bytes go.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    fn of(model: &mut Sequential) -> Self {
        let printed = Self::default();
        model.set_output(printed.0.clone());
        printed
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// The text as it is on a screen, with every number as `#` and bars as one character: only times
/// and values may differ, and with them how often a bar was drawn.
fn shape(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        // The last thing drawn over the line.
        let last = line.rsplit('\r').next().unwrap_or_default();
        let mut out = String::new();
        for c in last.trim_end().replace('\u{8}', "").chars() {
            match c {
                '0'..='9' if out.ends_with('#') => {}
                '0'..='9' => out.push('#'),
                c => out.push(c),
            }
        }
        let out = out
            .replace("us/step", "ms/step")
            .replace("#s/step", "#ms/step");
        lines.push(out.replace("#.#e-#", "#.#").replace("#.#e+#", "#.#"));
    }
    lines
}

fn compare_shape(name: &str, printed: &Printed) {
    if let Some(expected) = expected(name) {
        assert_eq!(shape(&printed.text()), shape(&expected), "{name}");
    }
}

fn data(rows: usize) -> (Array2<f32>, Array1<f32>) {
    let x = Array2::from_shape_fn((rows, 30), |(i, j)| ((i * 7 + j * 13) % 11) as f32 / 11.0);
    let y = Array1::from_shape_fn(rows, |i| (i % 2) as f32);
    (x, y)
}

#[test]
fn training_prints_what_keras_prints() -> Result<()> {
    let (x, y) = data(500);
    let (x_val, y_val) = data(69);
    let train = |name: &str, epochs, verbose, validate: bool, split| {
        let mut model = compiled("sgd");
        let printed = Printed::of(&mut model);
        let options = FitOptions {
            epochs,
            verbose,
            validation_split: split,
            validation_data: validate.then(|| ValidationData::new(&x_val, &y_val)),
            ..Default::default()
        };
        model.fit(&x, &y, options)?;
        compare_shape(name, &printed);
        Ok(())
    };
    train("fit_verbose0.txt", 3, 0, false, 0.0)?;
    train("fit_verbose1.txt", 3, 1, false, 0.0)?;
    train("fit_verbose1_val.txt", 2, 1, true, 0.0)?;
    train("fit_verbose2.txt", 3, 2, false, 0.2)?;
    train("fit_verbose_auto_default.txt", 1, 1, false, 0.0)
}

#[test]
fn evaluating_and_predicting_print_what_keras_prints() -> Result<()> {
    let (x, y) = data(69);
    for verbose in [0, 1, 2] {
        let mut model = compiled("sgd");
        let printed = Printed::of(&mut model);
        let options = EvaluateOptions {
            verbose,
            ..Default::default()
        };
        model.evaluate(&x, &y, options)?;
        compare_shape(&format!("evaluate_verbose{verbose}.txt"), &printed);
    }
    let (x, _) = data(500);
    for verbose in [0, 1] {
        let mut model = compiled("sgd");
        let printed = Printed::of(&mut model);
        let options = PredictOptions {
            verbose,
            ..Default::default()
        };
        model.predict_with(&x, options)?;
        compare_shape(&format!("predict_verbose{verbose}.txt"), &printed);
    }
    Ok(())
}
