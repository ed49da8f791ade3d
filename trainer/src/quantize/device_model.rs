//! A blob in the host's memory, run by the device's own code.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ndarray::{Array2, ArrayBase, ArrayD, Data, Dimension};
use thumbnet_runtime::{Detection, Model, Verdict, encode_verdict};

use super::batch::{self, Batch};
use crate::samples::Samples;
use crate::{Error, Number, Result, atomic_file, threads};

/// Layers that the host can run; a device chooses its own number.
const LAYERS: usize = 64;
/// Rows from which a model's weights are worth being taken apart.
const BATCH: usize = 64;

/// A model in the form that runs on the device, on the host.
///
/// Predictions come from `thumbnet_runtime`, so they are the device's, bit for bit.
#[derive(Clone, Debug)]
pub struct DeviceModel {
    /// In words, so that the tensors in it are aligned as on the device.
    words: Vec<u128>,
    length: usize,
}

impl DeviceModel {
    /// Verifies a blob, its weights too, and keeps a copy.
    ///
    /// # Errors
    ///
    /// What the runtime's verifier finds.
    pub fn from_bytes(blob: &[u8]) -> Result<Self> {
        let words = blob
            .chunks(16)
            .map(|chunk| {
                let mut bytes = [0; 16];
                bytes[..chunk.len()].copy_from_slice(chunk);
                u128::from_ne_bytes(bytes)
            })
            .collect();
        let model = Self {
            words,
            length: blob.len(),
        };
        Model::<LAYERS>::from_bytes(model.bytes())
            .and_then(|model| model.verify_weights())
            .map_err(|error| Error::value(error.to_string()))?;
        Ok(model)
    }

    /// Reads a `.tnet` file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], or [`Error::Format`] with what the runtime's verifier finds.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let blob = crate::input::read(path)?;
        Self::from_bytes(&blob).map_err(|error| {
            Error::corrupt(
                path,
                format!("not a sound thumbnet model: {error}; export it again"),
            )
        })
    }

    /// Writes a `.tnet` file, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        atomic_file::write_bytes(path.as_ref(), self.bytes())
    }

    /// The blob.
    pub fn bytes(&self) -> &[u8] {
        let bytes: &[u8] = bytemuck::cast_slice(&self.words);
        &bytes[..self.length]
    }

    /// The runtime's model, to run or to ask.
    pub fn model(&self) -> Model<'_, LAYERS> {
        Model::from_bytes_without_crc(self.bytes()).expect("verified in from_bytes")
    }

    /// Values of one input row.
    pub fn inputs(&self) -> usize {
        self.model().inputs()
    }

    /// Values of one output row.
    pub fn outputs(&self) -> usize {
        self.model().outputs()
    }

    /// The names of the classes, empty where the blob has none.
    pub fn labels(&self) -> Vec<String> {
        self.model().labels().map(str::to_owned).collect()
    }

    /// The labels, but none where these are the classes' numbers: then the classes have no names.
    pub fn class_names(&self) -> Vec<String> {
        let labels = self.labels();
        let mut numbered = (0usize..).zip(&labels);
        if numbered.all(|(class, label)| *label == class.to_string()) {
            Vec::new()
        } else {
            labels
        }
    }

    /// The names of the inputs, empty where the blob has none.
    pub fn input_names(&self) -> Vec<String> {
        self.model().input_names().map(str::to_owned).collect()
    }

    /// Refuses rows of another width.
    pub(super) fn check_width(&self, x: &Samples) -> Result<()> {
        if x.rows() > 0 && x.width() != self.inputs() {
            return Err(Error::shape(format!(
                "rows have {} values, expected the model's {} inputs",
                x.width(),
                self.inputs()
            )));
        }
        Ok(())
    }

    /// The same model, which says this of rows that it takes for anomalies or does not know.
    ///
    /// # Errors
    ///
    /// A model with another number of outputs than inputs, where it is to find anomalies; numbers that are not
    /// finite, or too few.
    pub fn with_verdict(&self, verdict: &Verdict) -> Result<Self> {
        let refused =
            |error: thumbnet_runtime::Error| Error::value(format!("the device model: {error}"));
        // What the names and the record take at most, and a mean and a factor for each input.
        let mut blob = vec![0; self.length + 64 + 8 * self.inputs()];
        let length = encode_verdict(self.bytes(), verdict, &mut blob).map_err(refused)?;
        Self::from_bytes(&blob[..length])
    }

    /// The score of each row, and whether it is an anomaly; as [`Self::predict`].
    ///
    /// # Errors
    ///
    /// As [`Self::predict`], and a model with another number of outputs than inputs.
    pub fn detect<S: Data<Elem: Number>, D: Dimension>(
        &self,
        x: &ArrayBase<S, D>,
    ) -> Result<Vec<Detection>> {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        if inputs != outputs {
            return Err(Error::value(format!(
                "the model has {inputs} inputs and {outputs} outputs; a score needs a model that gives back its \
                 inputs, as thumbnet train --autoencoder makes them"
            )));
        }
        let model = self.model();
        let x = Samples::new(x);
        let y = self.predict_samples(&x)?;
        let rows = x.values().chunks(inputs).zip(y.chunks(outputs));
        let scores = rows.map(|(x, y)| model.score_of(x, y));
        Ok(scores.map(|score| model.detection_of(score)).collect())
    }

    /// The class of each row, and whether it is known; as [`Self::predict`].
    ///
    /// # Errors
    ///
    /// As [`Self::predict`].
    pub fn classify<S: Data<Elem: Number>, D: Dimension>(
        &self,
        x: &ArrayBase<S, D>,
    ) -> Result<Vec<(usize, bool)>> {
        let model = self.model();
        let y = self.predict_samples(&Samples::new(x))?;
        let classes = y.chunks(self.outputs()).map(|y| model.class_of(y));
        Ok(classes
            .map(|class| (class.index, model.is_known(&class)))
            .collect())
    }

    /// Predicts rows: `[rows, ...]` with `inputs()` values each, to `[rows, outputs()]`.
    ///
    /// # Errors
    ///
    /// Rows of another width; a value that is not finite, named by row.
    pub fn predict<S: Data<Elem: Number>, D: Dimension>(
        &self,
        x: &ArrayBase<S, D>,
    ) -> Result<ArrayD<f32>> {
        let x = Samples::new(x);
        let y = self.predict_samples(&x)?;
        let y = Array2::from_shape_vec((x.rows(), self.outputs()), y)
            .expect("a row of outputs for each row");
        Ok(y.into_dyn())
    }

    /// The outputs of all rows, on every core.
    fn predict_samples(&self, x: &Samples) -> Result<Vec<f32>> {
        self.check_width(x)?;
        let model = self.model();
        let (width, outputs) = (model.inputs(), model.outputs());
        let mut y = vec![0.0; x.rows() * outputs];
        let batch = (x.rows() >= BATCH).then(|| Batch::new(&model)).flatten();
        let values = model.layers().map(|layer| layer.units).max().unwrap_or(1);
        let rows = (threads::PIECE / model.macs().max(values)).clamp(BATCH, 1024);
        let refused: Mutex<Option<(usize, thumbnet_runtime::Error)>> = Mutex::new(None);
        threads::chunks([&mut y], rows * outputs, |first, [y]| {
            let start = first / outputs;
            let x = &x.values()[start * width..][..y.len() / outputs * width];
            if let Some(batch) = &batch
                && batch.predict(x, &mut batch::Buffers::default(), y)
            {
                return;
            }
            if let Err((row, error)) = each(&model, x, y) {
                let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
                let row = start + row;
                if refused.as_ref().is_none_or(|(first, _)| row < *first) {
                    *refused = Some((row, error));
                }
            }
        });
        match refused.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some((row, error)) => Err(Error::value(format!("data row {}: {error}", row + 1))),
            None => Ok(y),
        }
    }
}

/// Predicts row by row, or says which is refused.
fn each(
    model: &Model<LAYERS>,
    x: &[f32],
    y: &mut [f32],
) -> std::result::Result<(), (usize, thumbnet_runtime::Error)> {
    let mut scratch = vec![0u32; model.scratch_len()];
    let rows = x.chunks(model.inputs()).zip(y.chunks_mut(model.outputs()));
    for (row, (x, y)) in rows.enumerate() {
        model
            .predict(x, &mut scratch, y)
            .map_err(|error| (row, error))?;
    }
    Ok(())
}
