//! The files that hold models: Keras' and the device's.

use std::{fs::File, io::Read, path::Path};

use ndarray::ArrayD;
use thumbnet_trainer::{
    Dataset, Error, Result, Sequential, quantize::DeviceModel, saving::Loaded,
    training::PredictOptions,
};

use super::{
    Failure, Outcome,
    architecture::ArchitectureArguments,
    console,
    data::{self, ColumnArguments, Part},
    meaning::Meaning,
};

/// A model of either kind.
pub enum AnyModel {
    Keras(Box<Loaded>),
    Device(DeviceModel),
}

impl AnyModel {
    /// Reads a file by what it holds, not by its name. Compile settings and an optimizer's state that
    /// thumbnet does not have are left out: see [`Loaded`].
    pub fn load(path: &Path, architecture: &ArchitectureArguments) -> Outcome<Self> {
        if is_device(path)? {
            return Ok(Self::Device(DeviceModel::load(path)?));
        }
        Ok(Self::Keras(Box::new(load_keras(path, architecture)?)))
    }

    /// The same model, read from `path`, with the weights of another file of Keras.
    pub fn with_weights(mut self, path: &Path, weights: Option<&Path>) -> Outcome<Self> {
        match (&mut self, weights) {
            (_, None) => {}
            (Self::Keras(loaded), Some(weights)) => loaded.model.load_weights(weights)?,
            (Self::Device(_), Some(_)) => {
                return Err(Failure::usage(format!(
                    "{} is a device model, which has its weights within; leave --weights out",
                    path.display()
                )));
            }
        }
        Ok(self)
    }

    /// What its columns and classes mean; `path` is where it was read from.
    pub fn meaning(&self, path: &Path) -> Meaning {
        match self {
            Self::Keras(loaded) => Meaning::of(&loaded.model, path),
            Self::Device(device) => Meaning::of_device(device, path),
        }
    }

    /// Outputs for rows; the device takes one after the other, whatever the options.
    pub fn predict(&self, x: &ArrayD<f32>, options: PredictOptions) -> Result<ArrayD<f32>> {
        match self {
            Self::Keras(loaded) => loaded.model.predict_with(x, options),
            Self::Device(device) => device.predict(x),
        }
    }

    /// Refuses rows of another shape than the model's.
    pub fn check_rows(&self, rows: &Dataset, path: &Path) -> Outcome {
        match self {
            Self::Keras(loaded) => check_row_shape(&loaded.model, rows, path),
            Self::Device(model) => check_device_rows(model, rows, path),
        }
    }
}

/// Predicts without a progress bar.
pub fn silent() -> PredictOptions<'static> {
    PredictOptions {
        verbose: 0,
        ..PredictOptions::default()
    }
}

/// A model of Keras, or weights of Keras with the layers that the command line says.
pub fn load_keras(path: &Path, architecture: &ArchitectureArguments) -> Outcome<Loaded> {
    match architecture.load(path)? {
        Some(loaded) => Ok(loaded),
        None => read_keras(path),
    }
}

/// A model of Keras, with what is to be known of it.
pub fn read_keras(path: &Path) -> Outcome<Loaded> {
    let loaded = Loaded::read(path)?;
    for note in &loaded.notes {
        console::note(&format!("note: {}: {note}", path.display()));
    }
    Ok(loaded)
}

/// Refuses rows of another shape than the model's input.
pub fn check_row_shape(model: &Sequential, rows: &Dataset, path: &Path) -> Outcome {
    match (model.input_shape(), rows.row_shape()) {
        (None, _) => Ok(()),
        (Some([inputs]), [width]) => check_width(*inputs, *width, rows, path),
        (Some(expected), found) if expected == found => Ok(()),
        (Some(expected), found) => Err(Error::shape(format!(
            "{} has rows of shape {found:?}, expected {expected:?} as the model's input; reshape the array",
            path.display()
        ))
        .into()),
    }
}

/// Rows for a device model, of a table or an array.
///
/// * `path` - where the model was read from
pub fn device_rows(
    device: &DeviceModel,
    path: &Path,
    rows_path: &Path,
    columns: &ColumnArguments,
) -> Outcome<Dataset> {
    let meaning = Meaning::of_device(device, path);
    let rows = data::features(rows_path, columns, &meaning, Part::Test)?;
    check_device_rows(device, &rows, rows_path)?;
    Ok(rows)
}

fn check_device_rows(device: &DeviceModel, rows: &Dataset, path: &Path) -> Outcome {
    let width: usize = rows.row_shape().iter().product();
    check_width(device.inputs(), width, rows, path)
}

/// Refuses rows of another width than the model's.
fn check_width(inputs: usize, width: usize, rows: &Dataset, path: &Path) -> Outcome {
    if inputs == width {
        return Ok(());
    }
    let hint = if rows.feature_names.is_empty() {
        "give the array that many columns".to_string()
    } else if width == inputs + 1 && rows.target_names.is_empty() {
        "name the label column with --target".to_string()
    } else {
        "give the columns that the model was trained on".to_string()
    };
    Err(Error::shape(format!(
        "{} has {width} feature{}, expected the model's {inputs} input{}; {hint}",
        path.display(),
        if width == 1 { "" } else { "s" },
        if inputs == 1 { "" } else { "s" },
    ))
    .into())
}

/// Whether the file begins as a blob does, or is called `.tnet`.
pub fn is_device(path: &Path) -> Result<bool> {
    // A folder, such as a SavedModel, is refused by what it is when it is read.
    if path.is_dir() {
        return Ok(false);
    }
    let mut start = [0; 4];
    let mut file = File::open(path).map_err(|source| Error::io(path, source))?;
    let read = file
        .read(&mut start)
        .map_err(|source| Error::io(path, source))?;
    Ok(start[..read] == thumbnet_runtime::MAGIC || has_extension(path, &["tnet"]))
}

/// Whether the name ends in one of these, whatever the case.
pub fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .is_some_and(|found| extensions.iter().any(|e| found.eq_ignore_ascii_case(e)))
}

/// Refuses the name of an output that no Keras file has.
pub fn check_keras_name(path: &Path) -> Outcome {
    let name = path.to_string_lossy().to_lowercase();
    if name.ends_with(".weights.h5") {
        Err(Failure::usage(format!(
            "{}: a name in .weights.h5 is for weights alone, expected one that ends in .h5 or .keras",
            path.display()
        )))
    } else if has_extension(path, &["h5", "hdf5", "keras"]) {
        Ok(())
    } else {
        Err(Failure::usage(format!(
            "{}: the name says nothing about the format, expected one that ends in .h5 or .keras",
            path.display()
        )))
    }
}
