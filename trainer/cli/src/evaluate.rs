//! `thumbnet evaluate`: loss and metrics of a Keras file or of a device model on labelled rows.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};
use thumbnet_trainer::{
    Sequential,
    history::{LogValue, Logs},
    quantize::{self, DeviceModel, scores},
    sequential::EvaluateOptions,
};

use super::{
    Outcome,
    compile::{CompileArguments, check_device_labels, check_labels},
    data::{DataArguments, Labelled},
    head::Head,
    meaning::Meaning,
    models::AnyModel,
    values::BatchSize,
};

/// Loss and metrics of a model on labelled rows
#[derive(Debug, Args)]
pub struct Evaluate {
    /// Keras file (.h5, .keras) or device model (.tnet)
    model: PathBuf,
    /// Keras file (.weights.h5) whose weights to use in place of the model's
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    compile: CompileArguments,
    /// Rows per step; none takes all rows at once
    #[arg(long, default_value = "32", value_name = "N|none")]
    batch_size: BatchSize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    pub fn run(&self) -> Outcome {
        let mut model =
            AnyModel::load(&self.model)?.with_weights(&self.model, self.weights.as_deref())?;
        let rows = match &model {
            AnyModel::Device(device) => self
                .data
                .labelled(&Meaning::of_device(device, &self.model))?,
            AnyModel::Keras(model) => self.data.labelled(&Meaning::of(model, &self.model))?,
        };
        model.check_rows(&rows.data, &rows.x_path)?;
        let results = match &mut model {
            AnyModel::Keras(model) => self.keras(model, &rows)?,
            AnyModel::Device(model) => self.device(model, &rows)?,
        };
        self.print(&results);
        Ok(())
    }

    fn keras(&self, model: &mut Sequential, rows: &Labelled) -> Outcome<Logs> {
        let outputs = model
            .output_shape()
            .and_then(<[usize]>::last)
            .copied()
            .unwrap_or(1);
        let own = model.compile_config();
        let keep = self.compile.keep(own.as_ref());
        let options = self
            .compile
            .options(own, Head::of(model), outputs, rows.y().shape())?;
        check_labels(options.loss.as_ref(), Head::of(model), outputs, rows)?;
        if !keep {
            model.compile_with(options)?;
        }
        let logs = model.evaluate(
            &rows.data.x,
            rows.y(),
            EvaluateOptions {
                batch_size: self.batch_size.0,
                verbose: 0,
                ..EvaluateOptions::default()
            },
        )?;
        Ok(logs)
    }

    /// By what the blob says of itself; `--loss`, `--metrics` and `--compile` ask for others, but
    /// accuracy remains the device's.
    fn device(&self, model: &DeviceModel, rows: &Labelled) -> Outcome<Logs> {
        let own = || quantize::evaluate(model, &rows.data.x, rows.y());
        if !self.compile.are_given() {
            check_device_labels(model, rows)?;
            return Ok(own()?);
        }
        let outputs = model.outputs();
        let head = Head::of_device(model);
        let mut options = self
            .compile
            .options(None, head, outputs, rows.y().shape())?;
        check_labels(options.loss.as_ref(), head, outputs, rows)?;
        let names = ["accuracy", "acc"];
        let (own_score, metrics) = options
            .metrics
            .into_iter()
            .partition(|metric| metric.as_str().is_some_and(|name| names.contains(&name)));
        options.metrics = metrics;
        let mut logs = scores(&model.predict(&rows.data.x)?, rows.y(), &options)?;
        let own_score: Vec<Value> = own_score;
        if !own_score.is_empty() {
            let own = own()?;
            for name in ["accuracy", "binary_accuracy", "r2_score"] {
                if let Some(value) = own.value(name) {
                    logs.set_value(name, value.clone());
                }
            }
        }
        Ok(logs)
    }

    fn print(&self, logs: &Logs) {
        // Keras shows the loss last, as its names are sorted; a reader looks for it first.
        let mut results: Vec<_> = logs.iter().collect();
        results.sort_by_key(|(name, _)| *name != "loss");
        if self.json {
            let object: Map<String, Value> = results
                .into_iter()
                .map(|(name, value)| (name.to_string(), value.to_json()))
                .collect();
            println!("{}", Value::Object(object));
        } else {
            let parts: Vec<String> = results
                .into_iter()
                .map(|(name, value)| format!("{name}: {}", text(value)))
                .collect();
            println!("{}", parts.join(" - "));
        }
    }
}

/// `0.4615`, or `[0.4615, 0.6667, 0.0000]` of a metric with a value per class or threshold.
fn text(value: &LogValue) -> String {
    match value {
        LogValue::Number(value) => format!("{value:.4}"),
        LogValue::Numbers(values) => {
            let values: Vec<String> = values.iter().map(|value| format!("{value:.4}")).collect();
            format!("[{}]", values.join(", "))
        }
    }
}
