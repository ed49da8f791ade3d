//! What of a device model's rows and values is at the ends of their ranges.

use ndarray::{ArrayBase, Data, Dimension};
use serde::Serialize;
use thumbnet_runtime as runtime;

use super::DeviceModel;
use crate::{Error, Number, Result, samples::Samples};

/// What [`DeviceModel::saturation`] counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Saturation {
    /// Rows.
    pub rows: usize,
    /// Rows with an input beyond the range that the device can hold.
    pub rows_beyond: usize,
    /// For each layer, the input's quantization first.
    pub layers: Vec<LayerSaturation>,
}

/// Of a layer, over all rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LayerSaturation {
    /// Values.
    pub values: usize,
    /// Values at the lower end; behind a relu these are its zeros. 0 where the values are floats.
    pub low: u32,
    /// Values at the upper end.
    pub high: u32,
}

impl DeviceModel {
    /// Counts what of rows, and of the values of each layer, is at the ends of what the device can hold.
    ///
    /// # Errors
    ///
    /// As [`DeviceModel::predict`].
    pub fn saturation<S: Data<Elem: Number>, D: Dimension>(
        &self,
        x: &ArrayBase<S, D>,
    ) -> Result<Saturation> {
        let model = self.model();
        let x = Samples::new(x);
        self.check_width(&x)?;
        let mut scratch = vec![0; model.scratch_len()];
        let mut outputs = vec![0.0; model.outputs()];
        let mut counts = vec![runtime::Saturation::default(); model.layers().len()];
        let mut rows_beyond = 0;
        for (row, x) in x.values().chunks(model.inputs()).enumerate() {
            rows_beyond += usize::from(model.beyond_range(x).next().is_some());
            model
                .predict_counted(x, &mut scratch, &mut outputs, &mut counts)
                .map_err(|error| Error::value(format!("data row {}: {error}", row + 1)))?;
        }
        let rows = x.rows();
        let layers = model.layers().zip(counts);
        Ok(Saturation {
            rows,
            rows_beyond,
            layers: layers
                .map(|(layer, counts)| LayerSaturation {
                    values: rows * layer.units,
                    low: counts.low,
                    high: counts.high,
                })
                .collect(),
        })
    }
}
