//! Keras' files, both ways: legacy `.h5`, `.keras`, `.weights.h5`, and the weights of Keras 2.
//!
//! | file | reads | writes | holds |
//! |---|---|---|---|
//! | `.h5`, `.hdf5` | Keras 2 and 3 | as Keras 3 | model, weights, compile settings, optimizer |
//! | `.keras` | Keras 2.12 to 3 | as Keras 3 | the same |
//! | `.weights.h5` | Keras 2 and 3 | as Keras 3 | weights, optimizer |
//!
//! A Functional model that is a chain is written as one again. Slashes in the names of layers, which
//! Keras 2 allows and Keras 3 refuses, become underscores. `hard_sigmoid` in a file of Keras 2 stays
//! Keras 2's function; as Keras 3 has no such function, it does not read what we write of it.
//!
//! What is read is judged by its contents and not by its name, and every malformed file is an
//! error that names it. Weights of float64 are rounded to f32; other types (float16, bfloat16) are
//! refused. Wrappers of tensorflow-model-optimization are read as they are stripped. Writes are atomic: a killed process leaves the old file or the new one.

mod hdf5;
mod keras_zip;
mod legacy_h5;
mod sequential;
mod stored;
mod structure;
mod tflite;
mod weights_h5;

use std::path::Path;

use serde_json::Value;

pub use crate::atomic_file::write_bytes as write_atomically;

pub use self::sequential::Loaded;
pub(crate) use self::stored::Stored;
pub use self::tflite::{Imported, Integers, import_tflite};

use self::hdf5::H5File;
use crate::file_kind::FileKind;
use crate::signature::Signature;
use crate::variable::NamedArray;
use crate::{Error, FormatKind, Result, input};
use structure::{Leaf, Structure};

/// The Keras whose files ours are like.
const KERAS_VERSION: &str = "3.15.1";
/// The backend that Keras expects in a legacy file.
const BACKEND: &str = "tensorflow";

/// What a file of Keras holds, before it is made into a model.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedModel {
    /// `{"class_name", "config"}` as found, in either dialect.
    pub config: Value,
    /// The Keras that wrote the file, such as `3.15.1`; empty where the file does not say.
    pub keras_version: String,
    /// The layers in order, nested models opened and input layers left out.
    pub layers: Vec<SavedLayer>,
    /// `training_config` (legacy) or `compile_config` (`.keras`) as found; none when uncompiled.
    pub compile_config: Option<Value>,
    /// The optimizer's variables in its own order.
    pub optimizer: Option<Vec<NamedArray>>,
    /// What the model's columns and classes are called; Keras ignores it.
    pub signature: Option<Signature>,
}

/// A layer's weights in a file, trained ones before the others.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedLayer {
    /// The layer's name.
    pub name: String,
    /// Its arrays, in the order of Keras' `layer.weights`.
    pub weights: Vec<NamedArray>,
}

impl SavedModel {
    /// The saved layers in the order of `leaves`; layers that are missing have no weights.
    fn by_leaf(&self, leaves: &[Leaf]) -> Result<Vec<&SavedLayer>, String> {
        if leaves.len() == self.layers.len() {
            return Ok(self.layers.iter().collect());
        }
        Err(format!(
            "{} layers with weights were given for a model of {} layers",
            self.layers.len(),
            leaves.len()
        ))
    }
}

/// Reads a whole model from a legacy `.h5` file.
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be read, [`Error::Format`] when it is not such a file, both
/// with its path.
pub fn read_h5(path: &Path) -> Result<SavedModel> {
    legacy_h5::read(&H5File::open(path, bytes(path)?)?)
}

/// Reads a whole model from a `.keras` file. Errors are those of [`read_h5`].
pub fn read_keras(path: &Path) -> Result<SavedModel> {
    keras_zip::read(path, bytes(path)?)
}

/// Reads a whole model from a `.h5` or a `.keras` file, whatever its name. Errors are those of
/// [`read_h5`].
pub fn read(path: &Path) -> Result<SavedModel> {
    let bytes = bytes(path)?;
    if bytes.starts_with(b"PK") {
        keras_zip::read(path, bytes)
    } else {
        legacy_h5::read(&H5File::open(path, bytes)?)
    }
}

/// Reads weights for the model `config` (`{"class_name", "config"}`): a `.weights.h5` file, the
/// weights that Keras 2 saved alone, or those of a whole model. Errors are those of [`read_h5`].
pub fn read_weights(path: &Path, config: &Value) -> Result<SavedModel> {
    let structure = Structure::of(config).map_err(|message| Error::corrupt(path, message))?;
    let weights = weights_for(path, &structure)?;
    Ok(SavedModel {
        config: config.clone(),
        keras_version: weights.keras_version,
        layers: weights.layers,
        compile_config: None,
        optimizer: weights.optimizer,
        signature: None,
    })
}

/// Weights that were read for the layers of a model.
struct SavedWeights {
    layers: Vec<SavedLayer>,
    /// As [`SavedModel::keras_version`].
    keras_version: String,
    /// As [`SavedModel::optimizer`].
    optimizer: Option<Vec<NamedArray>>,
}

fn weights_for(path: &Path, structure: &Structure) -> Result<SavedWeights> {
    let bytes = bytes(path)?;
    if bytes.starts_with(b"PK") {
        return keras_zip::read(path, bytes).map(|saved| SavedWeights {
            layers: saved.layers,
            keras_version: saved.keras_version,
            optimizer: saved.optimizer,
        });
    }
    let file = H5File::open(path, bytes)?;
    // First: a layer there may be called "layers".
    if legacy_h5::is_weights(&file)? {
        legacy_h5::read_weights(&file, structure)
    } else if weights_h5::is_weights(&file)? {
        weights_h5::read(&file, structure)
    } else {
        Err(FormatKind::Unknown.error(
            path,
            "holds no weights as Keras writes them, expected a group \"layers\" or an attribute \"layer_names\"",
        ))
    }
}

/// How many values each row has that a model of these weights takes: the first axis of the first array.
///
/// # Errors
///
/// Those of [`read_weights`]; [`Error::Format`] for a file without weights.
pub fn inputs_of_weights(path: &Path, config: &Value) -> Result<usize> {
    let saved = read_weights(path, config)?;
    let arrays = saved.layers.iter().flat_map(|layer| &layer.weights);
    let inputs = arrays.filter_map(|array| array.shape.first()).next();
    inputs.copied().ok_or_else(|| {
        Error::format(
            path,
            "has no weights, which would say how many inputs the model has",
        )
    })
}

/// Writes a whole model as a legacy `.h5` file.
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be written; [`Error::Value`] for a model that the layout
/// cannot hold, such as two layers of one name.
pub fn write_h5(path: &Path, model: &SavedModel) -> Result<()> {
    write_atomically(path, &legacy_h5::write(path, model)?)
}

/// Writes a whole model as the `.h5` file of Keras 2.6 to 2.15, without the optimizer's state, which
/// each of them names in another way.
///
/// # Errors
///
/// As [`write_h5`]; [`Error::Value`] for a layer or an activation that Keras 2 does not have.
pub fn write_h5_of_keras_2(path: &Path, model: &SavedModel) -> Result<()> {
    write_atomically(path, &legacy_h5::write_keras_2(path, model)?)
}

/// Writes a whole model as a `.keras` file. Errors are those of [`write_h5`].
pub fn write_keras(path: &Path, model: &SavedModel) -> Result<()> {
    write_atomically(path, &keras_zip::write(path, model)?)
}

/// Writes weights and optimizer as a `.weights.h5` file. Errors are those of [`write_h5`].
pub fn write_weights(path: &Path, model: &SavedModel) -> Result<()> {
    write_atomically(path, &weights_h5::write(path, model)?)
}

/// Writes weights alone in the layout of Keras 2's `save_weights("name.h5")`. Errors are those of
/// [`write_h5`].
pub fn write_legacy_weights(path: &Path, model: &SavedModel) -> Result<()> {
    write_atomically(path, &legacy_h5::write_weights(path, model)?)
}

/// Most bytes that compressed parts of a file of `size` bytes may take together. Weights hardly
/// compress: what claims more is damaged or hostile, and is refused before it is read.
fn most_expanded(size: u64) -> u64 {
    (64 << 20) + size.saturating_mul(8)
}

/// The signature in a file; an error of it begins with `place`.
fn signature(path: &Path, place: &str, text: Option<&str>) -> Result<Option<Signature>> {
    let read = text.map(Signature::from_json).transpose();
    read.map_err(|error| Error::format(path, format!("{place}: {error}")))
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    if path.is_dir() {
        return Err(FormatKind::Unknown.error(
            path,
            "is a folder, expected a .h5 or .keras file; save a TensorFlow SavedModel again as .keras",
        ));
    }
    let bytes = input::read(path)?;
    if let Some(what) = text_kind(&bytes) {
        return Err(FormatKind::Unknown.error(path, what));
    }
    match FileKind::of(&bytes[..bytes.len().min(4096)], path) {
        // A zip archive of any kind may be a damaged .keras file, and says what it lacks.
        None | Some(FileKind::Hdf5 | FileKind::Keras | FileKind::Zip) => Ok(bytes),
        Some(kind) => Err(FormatKind::Unknown.error(
            path,
            format!(
                "this is {}, expected a Keras file (.h5 or .keras); {}",
                kind.name(),
                kind.as_model()
            ),
        )),
    }
}

/// What a file of text is that was given as a model, and what to do; none for other files.
fn text_kind(bytes: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(bytes).ok()?;
    if text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    match text.trim_start().chars().next() {
        Some('{') => Some(
            "this is JSON, which says a model's layers without their weights; give the weights' file and this one as --config, or save the whole model with model.save(\"model.keras\")",
        ),
        Some('m') if text.starts_with("model_checkpoint_path:") => Some(
            "this names the newest checkpoint of TensorFlow, expected a Keras file (.h5 or .keras); build the model in Keras 2, load the checkpoint with model.load_weights and save it with model.save(\"model.h5\")",
        ),
        Some(_) => Some(
            "this is text, expected a Keras file (.h5 or .keras); give the model's file, and this one as data",
        ),
        None => None,
    }
}
