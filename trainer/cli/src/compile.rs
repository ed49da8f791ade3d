//! Compile settings: from `--compile`, else from the model's file, else by the last layer; options
//! win over each.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use thumbnet_trainer::{
    Error, Task,
    dataset::{is_array, list},
    losses::{Loss, LossKind, SparseCategoricalCrossentropy},
    quantize::{DeviceModel, Outputs},
    saving::Loaded,
    sequential::CompileOptions,
};

use super::{
    Outcome,
    data::Labelled,
    head::Head,
    json::read_json,
    values::{loss_name, metric_name},
};

/// Loss and metrics.
#[derive(Clone, Debug, Default, Args)]
pub struct CompileArguments {
    /// Compile settings in Keras' serialized form, {"optimizer": .., "loss": .., "metrics": [..]}
    /// [default: those of the model's file]
    #[arg(long, value_name = "FILE.json")]
    pub compile: Option<PathBuf>,
    /// Loss by Keras' name [default: by the last activation and the targets]
    #[arg(long, value_name = "NAME", value_parser = loss_name)]
    pub loss: Option<String>,
    /// Metrics by Keras' names [default: accuracy for classes, mae for numbers]
    #[arg(long, value_name = "A,B,..", value_delimiter = ',', value_parser = metric_name)]
    pub metrics: Option<Vec<String>>,
}

impl CompileArguments {
    /// Whether the model's own settings hold: nothing asks for others, and they have a loss. An error
    /// where they would have to, but thumbnet does not have what they say.
    pub fn keep(&self, loaded: &Loaded) -> Outcome<bool> {
        if self.are_given() {
            return Ok(false);
        }
        match &loaded.compile_error {
            Some(error) => Err(Error::unsupported(format!(
                "{error}; give others with --loss and --metrics, or --compile"
            ))
            .into()),
            None => Ok(loaded
                .settings
                .as_ref()
                .is_some_and(|own| !own["loss"].is_null())),
        }
    }

    /// Whether anything asks for other settings than the model's own.
    pub fn are_given(&self) -> bool {
        self.compile.is_some() || self.loss.is_some() || self.metrics.is_some()
    }

    /// Optimizer, loss and metrics: from `--compile`, else the model's `own`, else by the last
    /// layer and the targets' shape, rows first; `--loss` and `--metrics` win.
    pub fn options(
        &self,
        own: Option<Value>,
        head: Head,
        outputs: usize,
        y_shape: &[usize],
    ) -> Outcome<CompileOptions> {
        let read = self.compile.as_deref().map(read_settings).transpose()?;
        let mut settings = read.or(own).unwrap_or_else(|| json!({"optimizer": "adam"}));
        let settles_loss = !settings["loss"].is_null();
        if let Some(loss) = &self.loss {
            settings["loss"] = json!(loss);
        } else if !settles_loss {
            settings["loss"] = json!(head.loss(outputs, y_shape));
        }
        let mut options = CompileOptions::from_config(&settings)?;
        if let Some(metrics) = &self.metrics {
            options.metrics = metrics.iter().map(|name| json!(name)).collect();
            options.weighted_metrics.clear();
        } else if !settles_loss && settings["metrics"].is_null() {
            let loss = options.loss.as_ref();
            let metric = loss.map_or("mae", |loss| default_metric(loss, outputs));
            options.metrics = vec![json!(metric)];
        }
        Ok(options)
    }
}

/// The compile settings of a model's file, those that thumbnet does not have too.
pub fn settings(loaded: &Loaded) -> Option<Value> {
    match loaded.compile_error {
        Some(_) => loaded.settings.clone(),
        None => loaded.model.compile_config(),
    }
}

/// A JSON file that must hold an object.
fn read_settings(path: &Path) -> Outcome<Value> {
    let settings = read_json(path)?;
    if !settings.is_object() {
        return Err(Error::format(
            path,
            "expected {\"optimizer\": .., \"loss\": .., \"metrics\": [..]} in Keras' serialized form",
        )
        .into());
    }
    Ok(settings)
}

/// Accuracy where the loss is about classes, else the mean absolute error. Of several outputs that
/// each say yes or no, Keras' "accuracy" would look for the greatest one.
fn default_metric(loss: &Loss, outputs: usize) -> &'static str {
    let name = loss.name.as_str();
    if name.starts_with("binary_") && outputs > 1 {
        "binary_accuracy"
    } else if ["crossentropy", "hinge"]
        .iter()
        .any(|part| name.contains(part))
    {
        "accuracy"
    } else {
        "mae"
    }
}

/// What the outputs of a model with this loss and last activation say, of rows with named classes.
pub fn task(loss: &Loss, head: Head, outputs: usize, names: Option<&[String]>) -> Task {
    match (Task::of(loss, outputs), head, names) {
        // A squared error of probabilities.
        (Task::Regression, Head::Sigmoid, Some(_)) if outputs == 1 => Task::Binary,
        (Task::Regression, Head::Softmax, Some(_)) => Task::MultiClass,
        (task, ..) => task,
    }
}

/// Refuses labels of a CSV file that the model cannot take, with their line. Arrays are left to the
/// library, which is as lenient as Keras, but for classes that are no whole numbers.
pub fn check_labels(loss: Option<&Loss>, head: Head, outputs: usize, rows: &Labelled) -> Outcome {
    let Some(loss) = loss else {
        return Ok(());
    };
    let classes = matches!(
        loss.kind,
        LossKind::SparseCategoricalCrossentropy { .. }
            | LossKind::CategoricalGeneralizedCrossEntropy { .. }
    );
    if is_array(&rows.y_path) {
        return match classes {
            true => rows.check_whole(),
            false => Ok(()),
        };
    }
    if let Some(names) = &rows.data.class_names {
        return match task(loss, head, outputs, Some(names)).class_count(outputs) {
            Some(expected) => rows.check_class_names(names, expected),
            None => Err(Error::format(
                &rows.y_path,
                format!(
                    "the labels are classes, {}, but the model predicts numbers with the loss {}; end --layers with {}",
                    list(names),
                    loss.name,
                    if names.len() == 2 {
                        "1:sigmoid".to_string()
                    } else {
                        format!("{}:softmax", names.len())
                    }
                ),
            )
            .into()),
        };
    }
    match loss.kind {
        LossKind::SparseCategoricalCrossentropy(SparseCategoricalCrossentropy {
            ignore_class: None,
            ..
        })
        | LossKind::CategoricalGeneralizedCrossEntropy(_) => rows.check_classes(outputs),
        LossKind::BinaryCrossentropy(_) => rows.check_probabilities(),
        _ => Ok(()),
    }
}

/// As [`check_labels`], for what a device model says of its outputs.
pub fn check_device_labels(model: &DeviceModel, rows: &Labelled) -> Outcome {
    if is_array(&rows.y_path) {
        let one_per_row = rows.y().len() == rows.data.rows();
        let classes = matches!(Outputs::of_device(model), Outputs::Classes);
        return match one_per_row && classes {
            true => rows.check_whole(),
            false => Ok(()),
        };
    }
    match (Outputs::of_device(model), Head::of_device(model)) {
        // A CSV file has one label per row.
        (Outputs::Classes, _) => rows.check_classes(model.outputs()),
        (Outputs::Binary { .. }, _) if model.outputs() > 1 => rows.check_classes(model.outputs()),
        (Outputs::Binary { .. }, Head::Sigmoid) => rows.check_probabilities(),
        (Outputs::Binary { .. } | Outputs::Numbers, _) => Ok(()),
    }
}
