//! TensorFlow Lite's `.tflite`, one way: a chain of dense layers becomes a Keras model.
//!
//! | in the file | in the model |
//! |---|---|
//! | FULLY_CONNECTED with its fused activation | `Dense`, before it `Flatten` where it takes several axes |
//! | RELU, RELU6, TANH, LOGISTIC, SOFTMAX, ELU, GELU and others | the activation of the `Dense` before, or `Activation` |
//! | LEAKY_RELU, PRELU | `LeakyReLU`, `PReLU` |
//! | MUL, ADD, SUB, DIV by constants (a BatchNormalization, Normalization or Rescaling once) | `Rescaling` |
//! | RESHAPE, SQUEEZE, EXPAND_DIMS and the operators that compute shapes | `Flatten` or `Reshape` where the axes matter |
//! | QUANTIZE, DEQUANTIZE | nothing: the model computes in float32 |
//!
//! Weights of integers become the numbers that they stand for, `(number - zero point) * scale`, rounded
//! once to f32. Everything else is refused by the operator's name and place.

mod chain;
mod operators;
mod schema;
mod tensor;

use std::path::Path;

use crate::file_kind::FileKind;
use crate::{Error, FormatKind, Result, Sequential, input};

use self::schema::Model;
pub use self::tensor::Integers;

/// What was read of a `.tflite` file.
#[derive(Debug)]
pub struct Imported {
    /// With the file's weights, not compiled.
    pub model: Sequential,
    /// What stands for a value in the file's inputs; none where they are floats.
    pub inputs: Option<Integers>,
    /// What stands for a value in the file's outputs; none where they are floats.
    pub outputs: Option<Integers>,
}

/// Reads a `.tflite` file that is a chain of dense layers.
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be read; [`Error::Format`] when it is no such file or damaged, or
/// when it holds what no chain of dense layers has, by the operator's name and place.
pub fn import_tflite(path: &Path) -> Result<Imported> {
    let bytes = input::read(path)?;
    match FileKind::of(&bytes[..bytes.len().min(4096)], path) {
        Some(FileKind::TfLite) => {}
        kind => {
            let found = match kind {
                Some(kind) => format!("this is {}", kind.name()),
                None => "does not begin as a TensorFlow Lite model does".into(),
            };
            return Err(FormatKind::Unknown.error(
                path,
                format!("{found}, expected a .tflite file with \"TFL3\" at byte 4"),
            ));
        }
    }
    let damaged = |error| Error::corrupt(path, tensor::damaged(error));
    let model = Model::of(&bytes).map_err(damaged)?;
    let version = model.version().map_err(damaged)?;
    if version != VERSION {
        return Err(FormatKind::Unsupported.error(
            path,
            format!("this is of version {version} of TensorFlow Lite's schema, expected {VERSION}; convert the model again"),
        ));
    }
    chain::import(&model, bytes.len()).map_err(|refusal| refusal.kind.error(path, refusal.message))
}

/// The only one in use since 2018.
const VERSION: u32 = 3;

/// Why a file is not read.
struct Refusal {
    kind: FormatKind,
    message: String,
}

impl Refusal {
    /// Of a sound file that holds something else.
    fn unsupported(message: impl Into<String>) -> Self {
        Self {
            kind: FormatKind::Unsupported,
            message: message.into(),
        }
    }

    fn corrupt(message: impl Into<String>) -> Self {
        Self {
            kind: FormatKind::Corrupt,
            message: message.into(),
        }
    }
}

impl From<planus::Error> for Refusal {
    fn from(error: planus::Error) -> Self {
        Self::corrupt(tensor::damaged(error))
    }
}
