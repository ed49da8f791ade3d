//! Train dense neural networks with Keras semantics, quantize them, and export them for
//! [`thumbnet_runtime`].

pub mod activations;
pub mod callbacks;
mod config;
pub mod constraints;
pub mod dataset;
pub mod emulator;
pub mod error;
pub mod history;
pub mod initializers;
pub mod layers;
pub mod losses;
pub mod metrics;
pub mod optimizers;
pub mod output;
pub mod quantize;
pub mod regularizers;
pub mod saving;
pub mod sequential;
mod sums;
pub mod variable;

pub use dataset::Dataset;
pub use error::{Error, Result};
pub use history::{History, Logs};
pub use sequential::Sequential;
pub use variable::{ArrayData, NamedArray, Variable};
