//! How good outputs are, in tables.

use ndarray::ArrayD;
use thumbnet_trainer::{
    Sequential, Task,
    evaluation::{Evaluation, flat},
    quantize::{DeviceModel, Outputs, QuantizeOptions},
    sequential::PredictOptions,
};

use super::{Outcome, data::Labelled};

/// As the device would decide; none for models that it cannot run.
pub fn keras_tables(model: &Sequential, rows: &Labelled) -> Outcome<Option<Evaluation>> {
    let Ok(kind) = Outputs::of_model(model, &QuantizeOptions::default()) else {
        return Ok(None);
    };
    let silent = PredictOptions {
        verbose: 0,
        ..PredictOptions::default()
    };
    let predicted = model.predict_with(&rows.data.x, silent)?;
    let classes = model
        .signature()
        .map(|signature| signature.classes.as_slice());
    tables(kind, &predicted, rows, classes.unwrap_or_default())
}

pub fn device_tables(
    model: &DeviceModel,
    predicted: &ArrayD<f32>,
    rows: &Labelled,
) -> Outcome<Option<Evaluation>> {
    tables(
        Outputs::of_device(model),
        predicted,
        rows,
        &model.class_names(),
    )
}

/// None where the targets are not what the outputs say, such as probabilities.
fn tables(
    kind: Outputs,
    predicted: &ArrayD<f32>,
    rows: &Labelled,
    classes: &[String],
) -> Outcome<Option<Evaluation>> {
    let (outputs, labels) = (flat(predicted)?, flat(rows.y())?);
    let one = outputs.ncols() == 1;
    let (task, threshold) = match kind.labelled_by(outputs.ncols(), Some(labels.ncols())) {
        Outputs::Classes => (Task::MultiClass, 0.0),
        Outputs::Binary { threshold } if one => (Task::Binary, threshold),
        Outputs::Binary { threshold } => (Task::MultiLabel, threshold),
        Outputs::Numbers => (Task::Regression, 0.0),
    };
    let own = rows.data.class_names.as_deref();
    let names = match task {
        Task::Regression => rows.data.target_names.as_slice(),
        Task::Binary | Task::MultiClass | Task::MultiLabel if classes.is_empty() => {
            own.unwrap_or(&rows.data.target_names)
        }
        Task::Binary | Task::MultiClass | Task::MultiLabel => classes,
    };
    Ok(Evaluation::new(task, &outputs.view(), &labels.view(), names, threshold).ok())
}
