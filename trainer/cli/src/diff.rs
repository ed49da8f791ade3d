//! `thumbnet diff`: what is different between two models.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::Args;
use ndarray::{Array2, ArrayD, ArrayView1};
use serde_json::{Value, json};
use thumbnet_trainer::{
    Sequential,
    error::visible,
    evaluation::flat,
    quantize::{self, Comparison, DeviceModel},
};

use super::{
    Failure, Outcome,
    architecture::ArchitectureArguments,
    console,
    data::{self, ColumnArguments, Part},
    inspect::operation,
    models::{AnyModel, silent},
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
        let (a, b) = (load(&self.a)?, load(&self.b)?);
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
            Some(path) => Some(self.outputs(path, &a, &b)?),
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

    fn outputs(&self, path: &Path, a: &AnyModel, b: &AnyModel) -> Outcome<Outputs> {
        let (a, b) = (
            flat(&self.predict(path, &self.a, a)?)?,
            flat(&self.predict(path, &self.b, b)?)?,
        );
        if a.ncols() != b.ncols() {
            return Err(Failure::usage(format!(
                "{} has {} outputs, {} has {}, expected as many of each; leave --data out",
                self.a.display(),
                a.ncols(),
                self.b.display(),
                b.ncols()
            )));
        }
        Ok(Outputs::of(&a, &b))
    }

    /// Outputs for the rows, by the model's own columns.
    fn predict(&self, path: &Path, name: &Path, model: &AnyModel) -> Outcome<ArrayD<f32>> {
        let meaning = model.meaning(name);
        let rows = data::features(path, &self.columns, &meaning, Part::Test)?;
        model.check_rows(&rows, path)?;
        Ok(model.predict(&rows.x, silent())?)
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
    /// Rows of which every output has the same bits.
    same: usize,
    /// Rows whose largest output is the same; none where there is one output.
    agree: Option<usize>,
    compared: Comparison,
}

impl Outputs {
    /// Of outputs, `[rows, outputs]` each.
    fn of(a: &Array2<f32>, b: &Array2<f32>) -> Self {
        let kind = match a.ncols() {
            0 | 1 => quantize::Outputs::Numbers,
            _ => quantize::Outputs::Classes,
        };
        let compared = Comparison::new(&a.view(), &b.view(), kind, None);
        let rows = a.outer_iter().zip(b.outer_iter());
        let same = |(a, b): &(ArrayView1<f32>, ArrayView1<f32>)| {
            a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
        };
        // A share of a count far below 2^53.
        let count = |share: f64| (share * compared.rows as f64).round() as usize;
        Self {
            same: rows.filter(same).count(),
            agree: compared.agreement.map(count),
            compared,
        }
    }

    fn text(&self) -> String {
        let agree = match self.agree {
            Some(agree) => format!("; {agree} have the same largest output"),
            None => String::new(),
        };
        format!(
            "outputs: {} of {} rows have the same bits{agree}; differences are {:.3e} at most, {:.3e} in the mean",
            self.same,
            self.compared.rows,
            self.compared.worst_difference,
            self.compared.mean_difference
        )
    }

    fn json(&self) -> Value {
        json!({
            "rows": self.compared.rows, "same_bits": self.same, "same_largest_output": self.agree,
            "largest_difference": self.compared.worst_difference,
            "mean_difference": self.compared.mean_difference,
        })
    }
}
