//! What is done with a compiled model: `adapt`, `fit`, `evaluate`, `predict`, and the steps on single batches.

mod adapt;
mod callback_list;
mod data;
mod epochs;
mod evaluate;
mod fit;
mod penalties;
mod predict;
mod progress;
mod step;

pub use evaluate::{EvaluateOptions, Pass};
pub use fit::{FitOptions, ValidationData, ValidationFrequency};
pub use predict::PredictOptions;
