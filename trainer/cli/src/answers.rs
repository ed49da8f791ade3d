//! Outputs with their truth: what they say, and what the rows do.

use ndarray::ArrayD;
use thumbnet_trainer::{
    Sequential, Task,
    evaluation::{Answers, flat},
    quantize::{DeviceModel, Outputs, QuantizeOptions},
};

use super::{Outcome, data::LabelledView, meaning::are_numbers};

/// As the device would decide; none for models that it cannot run.
///
/// * `predicted` - the model's outputs for `rows`
pub fn keras_answers(
    model: &Sequential,
    predicted: &ArrayD<f32>,
    rows: &LabelledView,
) -> Outcome<Option<Answers>> {
    let Ok(kind) = Outputs::of_model(model, &QuantizeOptions::default()) else {
        return Ok(None);
    };
    let classes = model
        .signature()
        .map(|signature| signature.classes.as_slice());
    answers(kind, predicted, rows, classes.unwrap_or_default())
}

pub fn device_answers(
    model: &DeviceModel,
    predicted: &ArrayD<f32>,
    rows: &LabelledView,
) -> Outcome<Option<Answers>> {
    answers(
        Outputs::of_device(model),
        predicted,
        rows,
        &model.class_names(),
    )
}

/// None where the targets are not what the outputs say, such as probabilities.
fn answers(
    kind: Outputs,
    predicted: &ArrayD<f32>,
    rows: &LabelledView,
    classes: &[String],
) -> Outcome<Option<Answers>> {
    let (outputs, labels) = (flat(predicted)?, flat(&rows.y)?);
    let one = outputs.ncols() == 1;
    let (task, threshold) = match kind.labelled_by(outputs.ncols(), Some(labels.ncols())) {
        Outputs::Classes => (Task::MultiClass, 0.0),
        Outputs::Binary { threshold } if one => (Task::Binary, threshold),
        Outputs::Binary { threshold } => (Task::MultiLabel, threshold),
        Outputs::Numbers => (Task::Regression, 0.0),
    };
    let names = match task {
        Task::Regression => rows.target_names,
        // The columns say more than numbers of outputs.
        Task::MultiLabel if are_numbers(classes) && rows.target_names.len() == outputs.ncols() => {
            rows.target_names
        }
        Task::Binary | Task::MultiClass | Task::MultiLabel if classes.is_empty() => {
            // The name of the one column of classes is none of a class.
            let columns = match task {
                Task::MultiLabel => rows.target_names,
                _ => &[],
            };
            rows.class_names.unwrap_or(columns)
        }
        Task::Binary | Task::MultiClass | Task::MultiLabel => classes,
    };
    Ok(Answers::new(task, outputs, labels, names, threshold).ok())
}
