//! Golden models: `cases` (Keras 3) and `cases_keras2`.

use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use serde_json::Value;
use thumbnet_trainer::Sequential;
use thumbnet_trainer::training::PredictOptions;

/// One folder of `cases` or `cases_keras2`.
pub struct Case {
    /// Name of the folder.
    pub name: String,
    /// Path of the folder.
    pub folder: PathBuf,
    /// What its `metadata.json` says.
    pub metadata: Value,
    /// Inputs, a row per sample.
    pub x: ArrayD<f32>,
    /// Keras' predictions for `x`.
    pub y_pred: ArrayD<f32>,
}

impl Case {
    /// All of them, by name.
    pub fn all() -> Vec<Self> {
        let folders = ["cases", "cases_keras2"].map(|kind| super::folders(kind, "metadata.json"));
        let read = |folder: PathBuf| Self {
            name: super::name(&folder),
            metadata: super::json(&folder.join("metadata.json")),
            x: super::npy(&folder.join("x.npy")),
            y_pred: super::npy(&folder.join("y_pred.npy")),
            folder,
        };
        folders.into_iter().flatten().map(read).collect()
    }

    /// The path of `file` when the case has it.
    pub fn file(&self, file: &str) -> Option<PathBuf> {
        let path = self.folder.join(file);
        path.is_file().then_some(path)
    }

    /// The model of `config.json`, with the weights of the file at `path`.
    pub fn with_weights(&self, path: &Path) -> thumbnet_trainer::Result<Sequential> {
        let config = std::fs::read_to_string(self.folder.join("config.json"))
            .unwrap_or_else(|e| panic!("{}: {e}", self.folder.display()));
        let mut model = Sequential::from_json(&config)?;
        model.load_weights(path)?;
        Ok(model)
    }

    /// What the model makes of the case's rows, in Keras' batches.
    pub fn predict(&self, model: &Sequential) -> thumbnet_trainer::Result<ArrayD<f32>> {
        let batch_size = self.metadata["predict_batch_size"].as_u64().unwrap_or(32);
        let options = PredictOptions {
            batch_size: Some(batch_size as usize), // tens
            verbose: 0,
            ..PredictOptions::default()
        };
        model.predict_with(&self.x, options)
    }

    /// Whether the predictions are Keras' within 1e-5 of max(1, |y|): some roundings of f32 sums
    /// taken in another order.
    pub fn check(&self, predicted: &ArrayD<f32>) -> Result<(), String> {
        close(predicted, &self.y_pred, 1e-5)
    }
}

/// Whether all values agree within `tolerance` of max(1, |expected|).
pub fn close(found: &ArrayD<f32>, expected: &ArrayD<f32>, tolerance: f32) -> Result<(), String> {
    if found.shape() != expected.shape() {
        return Err(format!(
            "shape {:?}, expected {:?}",
            found.shape(),
            expected.shape()
        ));
    }
    let worst = found
        .iter()
        .zip(expected)
        .map(|(a, b)| {
            if a == b {
                0.0
            } else {
                (a - b).abs() / b.abs().max(1.0)
            }
        })
        .fold(
            0.0,
            |worst: f32, off| if off <= worst { worst } else { off },
        );
    if worst <= tolerance {
        return Ok(());
    }
    Err(format!("off by {worst}, expected at most {tolerance}"))
}
