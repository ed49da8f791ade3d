//! What a trained model is worth: its score in float32 and as the device computes it, beside a baseline.

use ndarray::{ArrayViewD, Axis, Slice};
use thumbnet_trainer::{
    Sequential,
    evaluation::{Evaluation, Headline},
    quantize::{DataType, LayerTypes, QuantizeOptions, quantize},
};

use super::{
    Outcome,
    data::LabelledView,
    tables::{device_tables, keras_tables},
};

/// Rows to calibrate on; more take longer and change little.
const CALIBRATION_ROWS: usize = 1000;

/// Scores of one model on the same rows.
pub struct Scores {
    pub float: Evaluation,
    /// With the data type's name; none where the device cannot run the model.
    pub device: Option<(DataType, Evaluation)>,
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
        let Some(float) = keras_tables(model, &model.predict(&rows.x)?, rows)? else {
            return Ok(None);
        };
        let options = QuantizeOptions {
            types: LayerTypes::All(data_type),
            self_tests: Some(0),
            ..QuantizeOptions::default()
        };
        let some = spread_out(calibration, CALIBRATION_ROWS);
        // What the device cannot run is said by export, with what to do.
        let device = match quantize(model, &some, &options) {
            Err(_) => None,
            Ok(quantized) => {
                let predicted = quantized.device.predict(&rows.x)?;
                device_tables(&quantized.device, &predicted, rows)?.map(|table| (data_type, table))
            }
        };
        Ok(Some(Self { float, device }))
    }

    /// Name, value and baseline in float32, and the value on the device.
    pub fn headline(&self) -> (Headline, Option<f64>) {
        let device = self.device.as_ref();
        (
            self.float.headline(),
            device.map(|(_, table)| table.headline().value),
        )
    }

    /// One line.
    pub fn line(&self) -> String {
        let Headline {
            name,
            value,
            baseline,
        } = self.float.headline();
        let device = match &self.device {
            Some((data_type, table)) => {
                format!(", {:.4} in {data_type}", table.headline().value)
            }
            None => String::new(),
        };
        format!(
            "{name} {value:.4} in float32{device}, {baseline:.4} by always saying {}",
            always(name)
        )
    }
}

/// At most so many of the rows, evenly, as a file may be sorted.
pub fn spread_out<'a>(rows: &'a ArrayViewD<f32>, most: usize) -> ArrayViewD<'a, f32> {
    let step = rows.len_of(Axis(0)).div_ceil(most).max(1);
    rows.slice_axis(Axis(0), Slice::from(..).step_by(step as isize))
}

/// What the baseline says.
pub fn always(headline: &str) -> &'static str {
    match headline {
        "mae" => "the mean",
        _ => "the most frequent class",
    }
}
