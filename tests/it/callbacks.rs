//! A user's own callback is called as Keras calls it: the same methods in the same order, with the
//! same logs. And the single steps with weights of rows and of classes.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayViewD, arr1, arr2, s};
use serde_json::{Value, json};
use thumbnet_tests::golden;
use thumbnet_trainer::callbacks::{Callback, LambdaCallback};
use thumbnet_trainer::history::Logs;
use thumbnet_trainer::layers::{Dense, Input};
use thumbnet_trainer::sequential::CompileOptions;
use thumbnet_trainer::training::{EvaluateOptions, FitOptions, PredictOptions, ValidationData};
use thumbnet_trainer::{Result, Sequential};

/// Keras' calls, `None` where the golden folder has none.
fn recorded() -> Option<Value> {
    let file = golden::root().join("unit/callbacks.json");
    if !file.is_file() {
        println!("callbacks: skipped, there is no {}", file.display());
        return None;
    }
    Some(golden::json(&file))
}

fn data() -> (Array2<f32>, Array2<f32>) {
    let x = arr2(&[[0., 1.], [1., 0.], [2., 1.], [1., 3.], [-1., 1.]]);
    (x, arr2(&[[1.], [0.], [1.], [0.], [1.]]))
}

fn compiled() -> Result<Sequential> {
    let mut model =
        Sequential::from_layers([Input::new([2]).into(), Dense::new(1).into()])?.with_seed(1);
    model.set_weights(&[
        arr2(&[[0.5], [-0.25]]).into_dyn(),
        arr1(&[0.125]).into_dyn(),
    ])?;
    let mut options = CompileOptions::named("sgd", "mse", &["mae"])?;
    options.optimizer = thumbnet_trainer::optimizers::Optimizer::from_config(
        &json!({"class_name": "SGD", "config": {"learning_rate": 0.1}}),
    )?;
    model.compile_with(options)?;
    Ok(model)
}

fn object(logs: &Logs) -> Value {
    let entry = |(name, value): (&str, &thumbnet_trainer::history::LogValue)| {
        (name.to_string(), json!(value.number()))
    };
    Value::Object(logs.iter().map(entry).collect())
}

fn outputs(values: ArrayViewD<f32>) -> Value {
    let rows = values.outer_iter();
    json!({"outputs": rows.map(|row| row.iter().copied().collect()).collect::<Vec<Vec<f32>>>()})
}

/// Calls as `[hook, epoch or batch, logs]`.
#[derive(Default)]
struct Recorder {
    calls: Vec<Value>,
    stop_evaluating_at: Option<usize>,
}

impl Recorder {
    fn note(&mut self, hook: &str, index: Option<usize>, logs: Value) -> Result<()> {
        self.calls.push(json!([hook, index, logs]));
        Ok(())
    }
}

impl Callback for Recorder {
    fn on_train_begin(&mut self, _: &mut Sequential) -> Result<()> {
        self.note("on_train_begin", None, json!({}))
    }
    fn on_train_end(&mut self, _: &mut Sequential, logs: &Logs) -> Result<()> {
        self.note("on_train_end", None, object(logs))
    }
    fn on_epoch_begin(&mut self, _: &mut Sequential, epoch: usize) -> Result<()> {
        self.note("on_epoch_begin", Some(epoch), json!({}))
    }
    fn on_epoch_end(&mut self, _: &mut Sequential, epoch: usize, logs: &mut Logs) -> Result<()> {
        self.note("on_epoch_end", Some(epoch), object(logs))
    }
    fn on_train_batch_begin(&mut self, _: &mut Sequential, batch: usize) -> Result<()> {
        self.note("on_train_batch_begin", Some(batch), json!({}))
    }
    fn on_train_batch_end(&mut self, _: &mut Sequential, batch: usize, logs: &Logs) -> Result<()> {
        self.note("on_train_batch_end", Some(batch), object(logs))
    }
    fn on_test_begin(&mut self, _: &mut Sequential) -> Result<()> {
        self.note("on_test_begin", None, json!({}))
    }
    fn on_test_end(&mut self, _: &mut Sequential, logs: &Logs) -> Result<()> {
        self.note("on_test_end", None, object(logs))
    }
    fn on_test_batch_begin(&mut self, _: &mut Sequential, batch: usize) -> Result<()> {
        self.note("on_test_batch_begin", Some(batch), json!({}))
    }
    fn on_test_batch_end(
        &mut self,
        model: &mut Sequential,
        batch: usize,
        logs: &Logs,
    ) -> Result<()> {
        if self.stop_evaluating_at == Some(batch) {
            model.stop_evaluating();
        }
        self.note("on_test_batch_end", Some(batch), object(logs))
    }
    fn on_predict_begin(&mut self, _: &Sequential) -> Result<()> {
        self.note("on_predict_begin", None, json!({}))
    }
    fn on_predict_end(&mut self, _: &Sequential) -> Result<()> {
        self.note("on_predict_end", None, json!({}))
    }
    fn on_predict_batch_begin(&mut self, _: &Sequential, batch: usize) -> Result<()> {
        self.note("on_predict_batch_begin", Some(batch), json!({}))
    }
    fn on_predict_batch_end(
        &mut self,
        _: &Sequential,
        batch: usize,
        values: ArrayViewD<f32>,
    ) -> Result<()> {
        self.note("on_predict_batch_end", Some(batch), outputs(values))
    }
}

/// Both sides equal, numbers within 1e-6: some roundings of f32.
fn agree(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            (found - expected).abs() <= 1e-6 * expected.abs().max(1.0)
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| agree(a, b))
        }
        (Value::Object(found), Value::Object(expected)) => {
            found.keys().eq(expected.keys())
                && found
                    .iter()
                    .all(|(key, value)| agree(value, &expected[key]))
        }
        (found, expected) => found == expected,
    }
}

fn compare(name: &str, found: &[Value], expected: &Value) {
    let expected = expected[name].as_array().unwrap();
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            agree(found, expected),
            "{name}, call {i}: {found}, Keras has {expected}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{name}");
}

#[test]
fn every_method_is_called_where_keras_calls_it() -> Result<()> {
    let Some(expected) = recorded() else {
        return Ok(());
    };
    let (x, y) = data();
    let (x_val, y_val) = (x.slice(s![..3, ..]), y.slice(s![..3, ..]));
    let mut model = compiled()?;

    let mut recorder = Recorder::default();
    let options = FitOptions {
        epochs: 2,
        batch_size: Some(2),
        shuffle: false,
        verbose: 0,
        validation_data: Some(ValidationData::new(&x_val, &y_val)),
        callbacks: vec![(&mut recorder).into()],
        ..FitOptions::default()
    };
    model.fit(&x, &y, options)?;
    compare("fit", &recorder.calls, &expected);

    for (name, steps, stop_evaluating_at) in [
        ("evaluate", None, None),
        ("evaluate_steps", Some(2), None),
        ("evaluate_stopped", None, Some(1)),
    ] {
        let mut recorder = Recorder {
            stop_evaluating_at,
            ..Recorder::default()
        };
        let options = EvaluateOptions {
            batch_size: Some(2),
            verbose: 0,
            steps,
            callbacks: vec![(&mut recorder).into()],
            ..EvaluateOptions::default()
        };
        model.evaluate(&x, &y, options)?;
        compare(name, &recorder.calls, &expected);
    }
    for (name, steps, rows) in [("predict", None, 5), ("predict_steps", Some(2), 4)] {
        let mut recorder = Recorder::default();
        let options = PredictOptions {
            batch_size: Some(2),
            verbose: 0,
            steps,
            callbacks: vec![(&mut recorder).into()],
        };
        assert_eq!(model.predict_with(&x, options)?.shape(), [rows, 1]);
        compare(name, &recorder.calls, &expected);
    }
    Ok(())
}

#[test]
fn closures_are_called_as_methods_are() -> Result<()> {
    let Some(expected) = recorded() else {
        return Ok(());
    };
    let (x, y) = data();
    let (x_val, y_val) = (x.slice(s![..3, ..]), y.slice(s![..3, ..]));
    let recorder = std::cell::RefCell::new(Recorder::default());
    let note = |hook: &str, index, logs| recorder.borrow_mut().note(hook, index, logs);
    let closures = || {
        LambdaCallback::new()
            .on_train_begin(|_| note("on_train_begin", None, json!({})))
            .on_train_end(|_, logs| note("on_train_end", None, object(logs)))
            .on_epoch_begin(|_, epoch| note("on_epoch_begin", Some(epoch), json!({})))
            .on_epoch_end(|_, epoch, logs| note("on_epoch_end", Some(epoch), object(logs)))
            .on_train_batch_begin(|_, i| note("on_train_batch_begin", Some(i), json!({})))
            .on_train_batch_end(|_, i, logs| note("on_train_batch_end", Some(i), object(logs)))
            .on_test_begin(|_| note("on_test_begin", None, json!({})))
            .on_test_end(|_, logs| note("on_test_end", None, object(logs)))
            .on_test_batch_begin(|_, i| note("on_test_batch_begin", Some(i), json!({})))
            .on_test_batch_end(|_, i, logs| note("on_test_batch_end", Some(i), object(logs)))
            .on_predict_begin(|_| note("on_predict_begin", None, json!({})))
            .on_predict_end(|_| note("on_predict_end", None, json!({})))
            .on_predict_batch_begin(|_, i| note("on_predict_batch_begin", Some(i), json!({})))
            .on_predict_batch_end(|_, i, y| note("on_predict_batch_end", Some(i), outputs(y)))
    };
    let mut model = compiled()?;
    let options = FitOptions {
        epochs: 2,
        batch_size: Some(2),
        shuffle: false,
        verbose: 0,
        validation_data: Some(ValidationData::new(&x_val, &y_val)),
        callbacks: vec![closures().into()],
        ..FitOptions::default()
    };
    model.fit(&x, &y, options)?;
    compare(
        "fit",
        &std::mem::take(&mut recorder.borrow_mut().calls),
        &expected,
    );
    let options = PredictOptions {
        batch_size: Some(2),
        verbose: 0,
        callbacks: vec![closures().into()],
        ..PredictOptions::default()
    };
    model.predict_with(&x, options)?;
    compare(
        "predict",
        &std::mem::take(&mut recorder.borrow_mut().calls),
        &expected,
    );
    Ok(())
}

#[test]
fn single_steps_take_weights_of_rows_or_of_classes() -> Result<()> {
    let Some(expected) = recorded() else {
        return Ok(());
    };
    let (x, y) = data();
    let rows: Array1<f32> = arr1(&[1., 2., 0.5, 0., 1.]);
    let classes = BTreeMap::from([(0, 0.5), (1, 2.0)]);
    let mut model = compiled()?;
    let mut found = Vec::new();
    for step in expected["on_batch"].as_array().unwrap() {
        let sample_weight = (step[1] == "sample_weight").then(|| rows.view());
        let class_weight = (step[1] == "class_weight").then_some(&classes);
        let logs = match step[0].as_str() {
            Some("train") => model.train_on_batch(&x, &y, sample_weight, class_weight)?,
            _ => model.test_on_batch(&x, &y, sample_weight)?,
        };
        found.push(json!([step[0], step[1], object(&logs)]));
    }
    compare("on_batch", &found, &expected);
    let weights: Vec<Value> = model.values().iter().map(|&value| json!(value)).collect();
    compare("weights_after", &weights, &expected);
    let both = model.train_on_batch(&x, &y, Some(rows.view()), Some(&classes));
    assert_eq!(
        both.unwrap_err().to_string(),
        "class_weight and sample_weight are both given, expected one of them; multiply the class weights into the sample weights"
    );
    Ok(())
}
