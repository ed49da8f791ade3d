//! Trainings that were interrupted: the trajectories with a `final.h5`, which Keras wrote with the
//! optimizer's state, and what comes after.

use std::path::PathBuf;

use ndarray::{ArrayD, Axis, Slice};
use serde_json::Value;
use thumbnet_trainer::Sequential;
use thumbnet_trainer::training::FitOptions;

/// One interrupted training.
pub struct Interrupted {
    /// Name of the folder.
    pub name: String,
    /// Path of the folder.
    pub folder: PathBuf,
    /// What its `recipe.json` says.
    pub recipe: Value,
    /// Inputs that were trained on, a row per sample.
    pub x: ArrayD<f32>,
    /// Targets of `x`.
    pub y: ArrayD<f32>,
    /// Rows of a training batch.
    pub batch_size: usize,
}

/// Epochs to go on for, as those of `resume_final`.
pub const EPOCHS: usize = 2;

impl Interrupted {
    /// All of them, by name.
    pub fn all() -> Vec<Self> {
        let folders = super::folders("trajectories", "final.h5");
        folders.into_iter().map(Self::read).collect()
    }

    fn read(folder: PathBuf) -> Self {
        let recipe = super::json(&folder.join("recipe.json"));
        let data = folder.join(recipe["data"]["file"].as_str().unwrap());
        let rows = |key: &str| {
            let range = recipe["data"]["train_rows"].as_array().unwrap();
            let ends = [0, 1].map(|end| range[end].as_u64().unwrap() as isize); // hundreds
            let array = super::npz(&data, recipe["data"][key].as_str().unwrap());
            array
                .slice_axis(Axis(0), Slice::from(ends[0]..ends[1]))
                .to_owned()
        };
        Self {
            name: super::name(&folder),
            x: rows("x"),
            y: rows("y"),
            batch_size: recipe["fit"]["batch_size"].as_u64().unwrap() as usize, // tens
            folder,
            recipe,
        }
    }

    /// Keras' file.
    pub fn file(&self) -> PathBuf {
        self.folder.join("final.h5")
    }

    /// Trains the model on for [`EPOCHS`] and returns its weights, one after the other.
    pub fn go_on(&self, mut model: Sequential) -> thumbnet_trainer::Result<Vec<f32>> {
        let options = FitOptions {
            epochs: EPOCHS,
            batch_size: Some(self.batch_size),
            shuffle: false,
            verbose: 0,
            ..Default::default()
        };
        model.fit(&self.x, &self.y, options)?;
        Ok(model.values().to_vec())
    }

    /// What the weights are when Keras goes on, where the trajectory tells.
    pub fn resumed(&self) -> Option<Vec<f32>> {
        let resume = &self.recipe["resume"];
        if resume["epochs"].as_u64() != Some(EPOCHS as u64) {
            return None;
        }
        let weights = super::npz(&self.folder.join("trajectory.npz"), "resume_final");
        Some(weights.iter().copied().collect())
    }

    /// Whether the weights are those of `expected` within 20 times the training's own rounding,
    /// plus 1e-5.
    pub fn check(&self, found: &[f32], expected: &[f32]) -> Result<(), String> {
        let rounding = self.recipe["rounding"]["final_abs"].as_f64().unwrap_or(0.0) as f32;
        if found.len() != expected.len() {
            return Err(format!(
                "{} weights, expected {}",
                found.len(),
                expected.len()
            ));
        }
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            let tolerance = 20.0 * rounding + 1e-5 * b.abs().max(1.0);
            let off = (a - b).abs();
            if off.is_nan() || off > tolerance {
                return Err(format!(
                    "weight {i} is {a}, expected {b} within {tolerance}"
                ));
            }
        }
        Ok(())
    }
}
