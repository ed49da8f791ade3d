//! Train dense neural networks with Keras semantics, quantize them, and export them for
//! [`thumbnet_runtime`].

pub mod dataset;
pub mod emulator;
pub mod error;
pub mod losses;
pub mod metrics;
pub mod output;
pub mod saving;
pub mod variable;

pub use dataset::Dataset;
pub use error::{Error, Result};
pub use variable::{ArrayData, NamedArray};
