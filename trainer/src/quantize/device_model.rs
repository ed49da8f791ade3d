//! A blob in the host's memory, run by the device's own code.

use std::path::Path;

use ndarray::{Array2, ArrayBase, ArrayD, Axis, Data, Dimension};
use thumbnet_runtime::Model;

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

    /// Predicts rows: `[rows, ...]` with `inputs()` values each, to `[rows, outputs()]`.
    ///
    /// # Errors
    ///
    /// Rows of another width; a value that is not finite, named by row.
    pub fn predict<S: Data<Elem: Number>, D: Dimension>(
        &self,
        x: &ArrayBase<S, D>,
    ) -> Result<ArrayD<f32>> {
        let model = self.model();
        let x = Samples::new(x);
        let (rows, width) = (x.rows(), x.width());
        if rows > 0 && width != model.inputs() {
            return Err(Error::shape(format!(
                "rows have {width} values, expected the model's {} inputs",
                model.inputs()
            )));
        }
        let mut scratch = vec![0u32; model.scratch_len()];
        let mut y = Array2::<f32>::zeros((rows, model.outputs()));
        for (row, (x, mut y)) in x
            .values()
            .chunks(width.max(1))
            .zip(y.axis_iter_mut(Axis(0)))
            .enumerate()
        {
            let y = y.as_slice_mut().expect("rows are contiguous");
            model
                .predict(x, &mut scratch, y)
                .map_err(|error| Error::value(format!("data row {}: {error}", row + 1)))?;
        }
        Ok(y.into_dyn())
    }
}
