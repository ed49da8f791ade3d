//! A blob in the host's memory, run by the device's own code.

use std::path::Path;

use ndarray::{Array2, ArrayBase, ArrayD, Data, Dimension};
use thumbnet_runtime::{Detection, Model, Verdict, encode_verdict};

use crate::samples::Samples;
use crate::{Error, Number, Result, atomic_file};

/// Layers that the host can run; a device chooses its own number.
const LAYERS: usize = 64;

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
        self.each(x, |model, x, scratch, y| model.detect(x, scratch, y))
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
        self.each(x, |model, x, scratch, y| {
            let class = model.classify(x, scratch, y)?;
            Ok((class.index, model.is_known(&class)))
        })
    }

    /// What the runtime says of each row.
    fn each<S: Data<Elem: Number>, D: Dimension, T>(
        &self,
        x: &ArrayBase<S, D>,
        mut ask: impl FnMut(
            &Model<LAYERS>,
            &[f32],
            &mut [u32],
            &mut [f32],
        ) -> std::result::Result<T, thumbnet_runtime::Error>,
    ) -> Result<Vec<T>> {
        let model = self.model();
        let x = Samples::new(x);
        let width = x.width();
        self.check_width(&x)?;
        let mut scratch = vec![0u32; model.scratch_len()];
        let mut y = vec![0.0; model.outputs()];
        let rows = x.values().chunks(width.max(1)).enumerate();
        rows.map(|(row, x)| {
            ask(&model, x, &mut scratch, &mut y)
                .map_err(|error| Error::value(format!("data row {}: {error}", row + 1)))
        })
        .collect()
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
        let rows = self.each(x, |model, x, scratch, y| {
            model.predict(x, scratch, y)?;
            Ok(y.to_vec())
        })?;
        let shape = (rows.len(), self.outputs());
        let y =
            Array2::from_shape_vec(shape, rows.concat()).expect("a row of outputs for each row");
        Ok(y.into_dyn())
    }
}
