//! What a trained model is worth: its score in float32 and as the device computes it, beside a baseline.

use ndarray::{ArrayViewD, Axis, Slice};
use serde_json::{Value, json};
use thumbnet_trainer::{
    Sequential,
    evaluation::{Answers, Evaluation, Headline},
    quantize::{DataType, LayerTypes, QuantizeOptions, Quantized, Report, compare, quantize},
};

use super::{
    Outcome,
    answers::{device_answers, keras_answers},
    data::LabelledView,
};

/// Rows to calibrate on; more take longer and change little.
pub const CALIBRATION_ROWS: usize = 1000;

/// Scores of one model on the same rows.
pub struct Scores {
    pub float: Answers,
    /// None where the device cannot run the model.
    pub device: Option<OnDevice>,
}

/// The same model as the device runs it.
pub struct OnDevice {
    pub data_type: DataType,
    pub evaluation: Evaluation,
    quantized: Quantized,
}

impl Scores {
    /// * `calibration` - rows that the model was trained on
    ///
    /// None where the targets are not what the outputs say.
    pub fn of(
        model: &Sequential,
        rows: &LabelledView,
        calibration: &ArrayViewD<f32>,
        data_type: DataType,
    ) -> Outcome<Option<Self>> {
        let Some(float) = keras_answers(model, &model.predict(&rows.x)?, rows)? else {
            return Ok(None);
        };
        let device = OnDevice::of(model, rows, calibration, data_type)?;
        Ok(Some(Self { float, device }))
    }

    /// Name, value and baseline in float32, and the value on the device.
    pub fn headline(&self) -> (Headline, Option<f64>) {
        let device = self.device.as_ref();
        (
            self.float.evaluation().headline(),
            device.map(|device| device.evaluation.headline().value),
        )
    }

    /// All of it.
    pub fn json(&self) -> Value {
        let (
            Headline {
                name,
                value,
                baseline,
            },
            _,
        ) = self.headline();
        let device = self.device.as_ref().map(|device| {
            json!({
                "type": device.data_type.to_string(),
                "value": device.evaluation.headline().value,
                "evaluation": device.evaluation,
            })
        });
        json!({
            "metric": name,
            "value": value,
            "baseline": baseline,
            "evaluation": self.float.evaluation(),
            "device": device,
        })
    }

    /// One line.
    pub fn line(&self) -> String {
        let Headline {
            name,
            value,
            baseline,
        } = self.float.evaluation().headline();
        let device = match &self.device {
            Some(device) => {
                let value = device.evaluation.headline().value;
                format!(", {value:.4} in {}", device.data_type)
            }
            None => String::new(),
        };
        format!(
            "{name} {value:.4} in float32{device}, {baseline:.4} by always saying {}",
            always(name)
        )
    }
}

impl OnDevice {
    /// As [`Scores::of`]. What the device cannot run is said by export, with what to do.
    pub fn of(
        model: &Sequential,
        rows: &LabelledView,
        calibration: &ArrayViewD<f32>,
        data_type: DataType,
    ) -> Outcome<Option<Self>> {
        let options = QuantizeOptions {
            types: LayerTypes::All(data_type),
            self_tests: Some(0),
            ..QuantizeOptions::default()
        };
        let some = spread_out(calibration, CALIBRATION_ROWS);
        let Ok(quantized) = quantize(model, &some, &options) else {
            return Ok(None);
        };
        let device = &quantized.device;
        let Some(found) = device_answers(device, &device.predict(&rows.x)?, rows)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            data_type,
            evaluation: found.evaluation().clone(),
            quantized,
        }))
    }

    /// What quantization did to the model, on these rows too.
    pub fn report(&self, model: &Sequential, rows: &LabelledView) -> Report {
        let (x, y) = (rows.x.to_owned(), rows.y.to_owned());
        let mut report = self.quantized.report.clone();
        report.evaluation = compare(model, &self.quantized.device, &x, Some(&y)).ok();
        report
    }
}

/// From one row to the next, where at most so many of them are taken, evenly, as a file may be sorted.
pub fn stride(rows: usize, most: usize) -> usize {
    rows.div_ceil(most).max(1)
}

/// At most so many of the rows, by their [`stride`].
pub fn spread_out<'a>(rows: &'a ArrayViewD<f32>, most: usize) -> ArrayViewD<'a, f32> {
    let step = stride(rows.len_of(Axis(0)), most);
    rows.slice_axis(Axis(0), Slice::from(..).step_by(step as isize))
}

/// What the baseline says.
pub fn always(headline: &str) -> &'static str {
    match headline {
        "mae" => "the mean",
        _ => "the most frequent class",
    }
}
