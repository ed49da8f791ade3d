//! Train dense neural networks with Keras semantics, quantize them, and export them for
//! [`thumbnet_runtime`].
//!
//! ```
//! use thumbnet_trainer::layers::{Dense, Input, Rescaling};
//! use thumbnet_trainer::quantize::{QuantizeOptions, quantize};
//! use thumbnet_trainer::training::FitOptions;
//! use thumbnet_trainer::{Dataset, Sequential};
//!
//! let digits = Dataset::digits();
//! let labels = digits.y.as_ref().expect("digits have labels");
//!
//! let mut model = Sequential::new().with_seed(7);
//! model.add(Input::new([64]))?;
//! model.add(Rescaling::new(1.0 / 16.0, 0.0))?;
//! model.add(Dense::new(32).with_activation("relu"))?;
//! model.add(Dense::new(10).with_activation("softmax"))?;
//! model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
//! let options = FitOptions { epochs: 5, validation_split: 0.2, ..FitOptions::default() };
//! let history = model.fit(&digits.x, labels, options)?;
//! assert!(history.last("val_accuracy") > Some(0.8));
//!
//! # let folder = tempfile::tempdir().expect("a temporary folder");
//! # let file = |name: &str| folder.path().join(name);
//! model.save(file("digits.h5"))?;
//! let device = quantize(&model, &digits.x, &QuantizeOptions::default())?.device;
//! device.save(file("digits.tnet"))?;
//! let scores = device.predict(&digits.x)?; // the device's own bits
//! assert_eq!(scores.shape(), [1797, 10]);
//! # Ok::<(), thumbnet_trainer::Error>(())
//! ```
//!
//! The crate `thumbnet` does the same from the command line. [`guide`] goes from rows to a model on a device.

pub mod activations;
pub mod atomic_file;
pub mod callbacks;
pub mod constraints;
pub mod custom;
pub mod dataset;
mod engine;
pub mod error;
pub mod evaluation;
pub mod figures;
mod file_kind;
#[doc = include_str!("guide.md")]
pub mod guide {}
pub mod history;
pub mod initializers;
pub mod input;
mod keras;
pub mod layers;
pub mod losses;
mod matmul;
pub mod metrics;
mod number;
pub mod optimizers;

pub mod quantize;
pub mod regularizers;
mod samples;
pub mod saving;
pub mod sequential;
pub mod signature;
mod simd;
mod sums;
mod threads;
pub mod training;
pub mod variable;

/// Arrays of the functions here, as [`ndarray`](https://docs.rs/ndarray) has them.
pub use ndarray;
/// Configs and JSON of the functions here.
pub use serde_json;

pub use dataset::Dataset;
pub use error::{Error, ErrorKind, FormatKind, Result};
pub use history::{History, Logs};
pub use number::Number;
pub use sequential::Sequential;
pub use signature::{Signature, Task};
pub use variable::{ArrayData, NamedArray, Variable};
