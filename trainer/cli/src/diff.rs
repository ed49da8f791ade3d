//! `thumbnet diff`: what is different between two models.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::Args;
use ndarray::{ArrayD, Axis};
use serde_json::{Value, json};
use thumbnet_trainer::{
    Sequential, error::visible, quantize::DeviceModel, training::PredictOptions,
};

use super::{
    Failure, Outcome,
    architecture::ArchitectureArguments,
    console,
    data::{self, ColumnArguments, Part},
    inspect::operation,
    meaning::Meaning,
    models::AnyModel,
};

/// Differences of two models, each a Keras file or a device model: layers, weights, outputs for rows
#[derive(Debug, Args)]
#[command(after_help = "Example: thumbnet diff model.h5 model.tnet --data iris.csv")]
pub struct Diff {
    /// Keras file (.h5, .keras) or device model (.tnet)
    a: PathBuf,
    /// The other one
    b: PathBuf,
    /// Table or array of rows whose outputs to compare
    #[arg(long, visible_alias = "x", value_name = "FILE")]
    data: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub fn run(&self) -> Outcome {
        let load = |path: &Path| AnyModel::load(path, &ArchitectureArguments::default());
        let (mut a, mut b) = (load(&self.a)?, load(&self.b)?);
        let mut found = match (&a, &b) {
            (AnyModel::Keras(a), AnyModel::Keras(b)) => {
                let mut found = layers(&of_keras(&a.model), &of_keras(&b.model));
                found.extend(weights(&a.model, &b.model));
                found
            }
            (AnyModel::Device(a), AnyModel::Device(b)) => {
                let mut found = layers(&of_device(a), &of_device(b));
                found.extend(bytes(a, b));
                found
            }
            // What the one has for a layer is no layer of the other.
            (AnyModel::Keras(_), AnyModel::Device(_))
            | (AnyModel::Device(_), AnyModel::Keras(_)) => Vec::new(),
        };
        let outputs = match &self.data {
            Some(path) => Some(self.outputs(path, &mut a, &mut b)?),
            None => None,
        };
        if self.json {
            return console::print_json(&json!({
                "a": self.a, "b": self.b, "differences": found,
                "outputs": outputs.map(|outputs| outputs.json()),
            }));
        }
        match &outputs {
            Some(outputs) => found.push(outputs.text()),
            None if found.is_empty() => found.push(match (&a, &b) {
                (AnyModel::Keras(_), AnyModel::Keras(_)) => "the same layers and weights".to_string(),
                (AnyModel::Device(_), AnyModel::Device(_)) => "the same bytes".to_string(),
                _ => return Err(Failure::usage(format!(
                    "{} and {} are models of different kinds, whose outputs alone can be compared; add --data rows.csv",
                    self.a.display(),
                    self.b.display()
                ))),
            }),
            None => {}
        }
        let lines: Vec<String> = found.iter().map(|line| visible(line) + "\n").collect();
        console::print(&lines.concat())
    }

    fn outputs(&self, path: &Path, a: &mut AnyModel, b: &mut AnyModel) -> Outcome<Outputs> {
        let (a, b) = (
            self.predict(path, &self.a, a)?,
            self.predict(path, &self.b, b)?,
        );
        let width = |y: &ArrayD<f32>| y.len() / y.len_of(Axis(0)).max(1);
        if width(&a) != width(&b) {
            return Err(Failure::usage(format!(
                "{} has {} outputs, {} has {}, expected as many of each; leave --data out",
                self.a.display(),
                width(&a),
                self.b.display(),
                width(&b)
            )));
        }
        Ok(Outputs::of(&a, &b))
    }

    /// Outputs for the rows, by the model's own columns.
    fn predict(&self, path: &Path, name: &Path, model: &mut AnyModel) -> Outcome<ArrayD<f32>> {
        let meaning = match model {
            AnyModel::Keras(loaded) => Meaning::of(&loaded.model, name),
            AnyModel::Device(device) => Meaning::of_device(device, name),
        };
        let rows = data::features(path, &self.columns, &meaning, Part::Test)?;
        model.check_rows(&rows, path)?;
        let silent = PredictOptions {
            verbose: 0,
            ..PredictOptions::default()
        };
        Ok(match model {
            AnyModel::Keras(loaded) => loaded.model.predict_with(&rows.x, silent)?,
            AnyModel::Device(device) => device.predict(&rows.x)?,
        })
    }
}

/// A layer: its name, and its settings by theirs.
type Layer = (String, Vec<(String, Value)>);

fn of_keras(model: &Sequential) -> Vec<Layer> {
    let layers = model.layers().iter().map(|layer| {
        let config = layer.config();
        let settings = config.as_object().into_iter().flatten();
        let class = ("class".to_string(), Value::from(layer.class_name()));
        // The same layer has another name in every model.
        let settings = settings
            .filter(|(key, _)| *key != "name")
            .map(|(key, value)| (key.clone(), value.clone()));
        (
            layer.name().to_string(),
            std::iter::once(class).chain(settings).collect(),
        )
    });
    layers.collect()
}

fn of_device(device: &DeviceModel) -> Vec<Layer> {
    let model = device.model();
    let layers = model.layers().enumerate().map(|(index, layer)| {
        let settings = [
            ("operation", operation(layer.operation).into()),
            ("inputs", layer.inputs.into()),
            ("units", layer.units.into()),
            ("activation", layer.activation.name().into()),
            (
                "packing",
                format!("{:?}", layer.packing).to_lowercase().into(),
            ),
        ];
        let settings = settings.map(|(key, value): (&str, Value)| (key.to_string(), value));
        (format!("layer {}", index + 1), settings.to_vec())
    });
    layers.collect()
}

/// What is different, in sentences.
fn layers(a: &[Layer], b: &[Layer]) -> Vec<String> {
    let mut found = Vec::new();
    for index in 0..a.len().max(b.len()) {
        match (a.get(index), b.get(index)) {
            (Some((name, a)), Some((_, b))) => {
                let value = |settings: &[(String, Value)], key: &str| {
                    let found = settings.iter().find(|(other, _)| other == key);
                    found.map(|(_, value)| value.clone()).unwrap_or_default()
                };
                let keys: BTreeSet<&String> = a.iter().chain(b).map(|(key, _)| key).collect();
                for key in keys {
                    let (left, right) = (value(a, key), value(b, key));
                    if left != right {
                        found.push(format!("{name}: {key} is {left} and {right}"));
                    }
                }
            }
            (Some((name, _)), None) => found.push(format!("{name}: only in the first model")),
            (None, Some((name, _))) => found.push(format!("{name}: only in the second model")),
            (None, None) => {}
        }
    }
    found
}

/// How far the weights are from each other, where they have the same shapes.
fn weights(a: &Sequential, b: &Sequential) -> Vec<String> {
    let pairs = a.variables().iter().zip(b.variables());
    let mut found = Vec::new();
    for (left, right) in pairs {
        let path = &left.path;
        if left.shape != right.shape {
            found.push(format!(
                "{path}: shape is {:?} and {:?}",
                left.shape, right.shape
            ));
            continue;
        }
        let values = a.values()[left.range.clone()]
            .iter()
            .zip(&b.values()[right.range.clone()]);
        let different: Vec<f64> = values
            .filter(|(a, b)| a.to_bits() != b.to_bits())
            .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs())
            .collect();
        if !different.is_empty() {
            found.push(format!(
                "{path}: {} of {} weights differ, by {:.3e} at most",
                different.len(),
                left.range.len(),
                different.iter().copied().fold(0.0, f64::max)
            ));
        }
    }
    found
}

fn bytes(a: &DeviceModel, b: &DeviceModel) -> Option<String> {
    let (a, b) = (a.bytes(), b.bytes());
    if a == b {
        return None;
    }
    let same = a.iter().zip(b).filter(|(a, b)| a == b).count();
    let longer = a.len().max(b.len());
    Some(format!(
        "{} of {longer} bytes differ; the sizes are {} and {}",
        longer - same,
        a.len(),
        b.len()
    ))
}

/// How the outputs of two models for the same rows differ.
struct Outputs {
    rows: usize,
    /// Rows of which every output has the same bits.
    same: usize,
    /// Rows whose largest output is the same; none where there is one output.
    agree: Option<usize>,
    largest: f64,
    mean: f64,
}

impl Outputs {
    fn of(a: &ArrayD<f32>, b: &ArrayD<f32>) -> Self {
        let rows = a.len_of(Axis(0));
        let width = a.len() / rows.max(1);
        let (a, b): (Vec<f32>, Vec<f32>) =
            (a.iter().copied().collect(), b.iter().copied().collect());
        let pairs = || a.chunks(width.max(1)).zip(b.chunks(width.max(1)));
        let largest_output = |row: &[f32]| {
            let best = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter().position(|&value| value == best)
        };
        let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let differences = a
            .iter()
            .zip(&b)
            .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
        Self {
            rows,
            same: pairs().filter(|(a, b)| bits(a) == bits(b)).count(),
            agree: (width > 1).then(|| {
                pairs()
                    .filter(|(a, b)| largest_output(a) == largest_output(b))
                    .count()
            }),
            largest: differences.clone().fold(0.0, f64::max),
            // Counts are far below 2^53.
            mean: differences.sum::<f64>() / a.len().max(1) as f64,
        }
    }

    fn text(&self) -> String {
        let agree = match self.agree {
            Some(agree) => format!("; {agree} have the same largest output"),
            None => String::new(),
        };
        format!(
            "outputs: {} of {} rows have the same bits{agree}; differences are {:.3e} at most, {:.3e} in the mean",
            self.same, self.rows, self.largest, self.mean
        )
    }

    fn json(&self) -> Value {
        json!({
            "rows": self.rows, "same_bits": self.same, "same_largest_output": self.agree,
            "largest_difference": self.largest, "mean_difference": self.mean,
        })
    }
}
