//! A [`Sequential`] to what a file holds, and back.

use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use serde_json::Value;

use super::stored::{self, Stored};
use super::structure::{Leaf, Part, Structure};
use super::{KERAS_VERSION, SavedLayer, SavedModel};
use crate::keras::Dialect;
use crate::layers::Layer;
use crate::metrics::Metric;
use crate::sequential::is_compiled;
use crate::variable::{ArrayData, NamedArray, Variable};
use crate::{Error, Result, Sequential};

/// What could be read of a model's file: the model, and what of its training thumbnet does not have.
///
/// [`Sequential::load`] is for those who want all of it or an error.
#[derive(Debug)]
pub struct Loaded {
    /// With the file's weights; compiled where nothing is in the way of it.
    pub model: Sequential,
    /// The file's compile settings as `compile_config` of a `.keras` file; none when it has none.
    pub settings: Option<Value>,
    /// Why the model is not compiled though the file has settings.
    pub compile_error: Option<Error>,
    /// Why the optimizer begins anew though the file has its state.
    pub optimizer_error: Option<Error>,
    /// Where the model is read as another than Keras runs: its dtype policy, integers of Keras' own
    /// quantization. One line each.
    pub notes: Vec<String>,
}

impl Loaded {
    /// Reads a `.keras` or legacy `.h5` file, once.
    ///
    /// # Errors
    ///
    /// As [`Sequential::load`], but for what is only needed to train on.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let saved = super::read(path)?;
        let mut model = restored(path, &saved)?;
        let dialect = Dialect::of(&saved.keras_version);
        let settings = saved.compile_config.filter(is_compiled);
        let settings = settings.map(|settings| dialect.compile_config(&settings, Metric::is_class));
        let hint = "; to use the model without its compile settings, load it uncompiled";
        let compiled = match &settings {
            Some(settings) => model.compile_from_config(settings),
            None => Ok(()),
        };
        let restored = match &saved.optimizer {
            Some(state) => model.restore_optimizer(state),
            None => Ok(()),
        };
        Ok(Self {
            model,
            settings,
            compile_error: compiled.err().map(|error| at(path, error, hint)),
            optimizer_error: restored.err().map(|error| at(path, error, hint)),
            notes: stored::notes(&saved.config),
        })
    }
}

impl Sequential {
    /// Saves model, weights, compile settings and optimizer: as `.keras` (zip of Keras 3) or as
    /// `.h5`, `.hdf5` (legacy HDF5), which real Keras loads. The file is the old one or the new
    /// one at any moment.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for another extension, or a model that the file cannot hold (two layers of
    /// one name); [`Error::Io`] with the path.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match extension(path) {
            Extension::Keras => super::write_keras(path, &self.to_saved()?),
            Extension::H5 => super::write_h5(path, &self.to_saved()?),
            Extension::WeightsH5 => Err(Error::value(format!(
                "{}: .weights.h5 is for weights alone; save the model as .keras or .h5, or call save_weights",
                path.display()
            ))),
            Extension::Other => Err(Error::value(format!(
                "{}: expected a name that ends in .keras, .h5 or .hdf5",
                path.display()
            ))),
        }
    }

    /// [`Sequential::save`] as the `.h5` file of Keras 2.6 to 2.15, without the optimizer's state.
    ///
    /// # Errors
    ///
    /// As [`Sequential::save`]; [`Error::Value`] for another name than one in `.h5` or `.hdf5`, and for a
    /// layer or an activation that Keras 2 does not have.
    pub fn save_for_keras_2(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match extension(path) {
            Extension::H5 => super::write_h5_of_keras_2(path, &self.to_saved()?),
            Extension::Keras | Extension::WeightsH5 | Extension::Other => {
                Err(Error::value(format!(
                    "{}: Keras 2 reads whole models of .h5, expected a name that ends so",
                    path.display()
                )))
            }
        }
    }

    /// Loads a model from a `.keras` or legacy `.h5` file of Keras 2 or 3, or of our own; compiled,
    /// with the optimizer where it stopped, when the file says how. The contents count, not the
    /// name.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], or what is wrong with the file, by its name; [`Error::Unsupported`] for a
    /// layer, loss, metric or optimizer that thumbnet does not have.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let loaded = Loaded::read(path)?;
        match loaded.compile_error.or(loaded.optimizer_error) {
            None => Ok(loaded.model),
            Some(error) => Err(error),
        }
    }

    /// [`Sequential::load`] without compile settings and optimizer, as Keras'
    /// `load_model(path, compile=False)`.
    ///
    /// # Errors
    ///
    /// As [`Sequential::load`].
    pub fn load_uncompiled(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        restored(path, &super::read(path)?)
    }

    /// Saves weights and optimizer as `.weights.h5`; weights alone under another name in `.h5`, as
    /// Keras 2 did.
    ///
    /// # Errors
    ///
    /// As [`Sequential::save`]; [`Error::Value`] for a model that is not built.
    pub fn save_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if !self.is_built() {
            return Err(Error::value(format!(
                "{}: the model is not built and has no weights yet; give it an input shape or call build",
                path.display()
            )));
        }
        match extension(path) {
            Extension::WeightsH5 => super::write_weights(path, &self.to_saved()?),
            Extension::H5 => super::write_legacy_weights(path, &self.to_saved()?),
            Extension::Keras | Extension::Other => Err(Error::value(format!(
                "{}: expected a name that ends in .weights.h5",
                path.display()
            ))),
        }
    }

    /// Loads weights from a `.weights.h5` file, from weights that Keras 2 saved alone, or from a
    /// whole model. The optimizer's state comes along when both have one that fits, as in Keras.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], or what is wrong with the file, by its name; [`Error::Shape`] for weights of
    /// another model. The model is then as before.
    pub fn load_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if !self.is_built() {
            return Err(Error::value(format!(
                "{}: the model is not built and has no weights to load into; give it an input shape or call build",
                path.display()
            )));
        }
        let saved = super::weights_for(path, &self.structure())?;
        self.take_weights(&saved.layers)
            .map_err(|error| at(path, error, ""))?;
        if let (Some(state), Some(_)) = (&saved.optimizer, self.optimizer()) {
            // Another optimizer's state is left alone.
            let _ = self.restore_optimizer(state);
        }
        Ok(())
    }

    /// What a file of this model holds.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] when the configuration has no list of layers.
    pub fn to_saved(&self) -> Result<SavedModel> {
        let mut config = self.serialized();
        if let Some(config) = config.as_object_mut() {
            config.shift_remove("compile_config");
        }
        let mut ranges = self.leaf_variables().into_iter();
        let leaves = self.structure().leaves;
        let layers = leaves
            .iter()
            .map(|leaf| SavedLayer {
                name: leaf.name.clone(),
                weights: self.variables()[ranges.next().unwrap_or_default()]
                    .iter()
                    .map(|variable| self.array(leaf, variable))
                    .collect(),
            })
            .collect();
        Ok(SavedModel {
            config,
            keras_version: KERAS_VERSION.to_string(),
            layers,
            compile_config: self.compile_config(),
            optimizer: self.optimizer().map(|optimizer| optimizer.variables()),
            signature: self.signature().cloned(),
        })
    }

    fn array(&self, leaf: &Leaf, variable: &Variable) -> NamedArray {
        let values = &self.values()[variable.range.clone()];
        let counter = leaf.class_name == "Normalization" && variable.name == "count";
        NamedArray {
            name: variable.path.clone(),
            shape: variable.shape.clone(),
            data: if counter {
                // Keras' own is an integer.
                ArrayData::I64(values.iter().map(|&v| v as i64).collect())
            } else {
                ArrayData::F32(values.to_vec())
            },
        }
    }

    /// Where files keep the weights of its layers.
    fn structure(&self) -> Structure {
        Structure::of_parts(&parts(self.layers()))
    }

    /// Takes the weights of a file; all or none.
    fn take_weights(&mut self, saved: &[SavedLayer]) -> Result<()> {
        let leaves = self.structure().leaves;
        let variables = self.variables();
        let own: Vec<_> = leaves
            .iter()
            .zip(self.leaf_variables())
            .map(|(leaf, range)| (leaf, &variables[range]))
            .filter(|(_, variables)| !variables.is_empty())
            .collect();
        let found: Vec<_> = saved
            .iter()
            .filter(|layer| !layer.weights.is_empty())
            .collect();
        if own.len() != found.len() {
            let names = |names: Vec<&str>| match names.len() {
                0..=8 => names.join(", "),
                _ => format!("{}, …", names[..8].join(", ")),
            };
            return Err(Error::shape(format!(
                "{} layers have weights in the file ({}), expected {} ({}); load them into a model of the same layers",
                found.len(),
                names(found.iter().map(|layer| &*layer.name).collect()),
                own.len(),
                names(own.iter().map(|(leaf, _)| &*leaf.name).collect()),
            )));
        }
        let mut arrays = Vec::with_capacity(variables.len());
        for ((leaf, variables), layer) in own.into_iter().zip(found) {
            let weights = &layer.weights;
            if variables.len() != weights.len() {
                let expected: Vec<_> = variables
                    .iter()
                    .map(|variable| format!("{} {:?}", variable.name, variable.shape))
                    .collect();
                return Err(Error::shape(format!(
                    "layer \"{}\" has {} arrays in the file, expected {}: {}",
                    leaf.name,
                    weights.len(),
                    variables.len(),
                    expected.join(", ")
                )));
            }
            for (variable, weight) in variables.iter().zip(weights) {
                if variable.shape != weight.shape && !same_order(leaf, variable, weight) {
                    return Err(Error::shape(format!(
                        "array \"{}\" of layer \"{}\" has shape {:?}, expected {:?} for {}",
                        weight.name, leaf.name, weight.shape, variable.shape, variable.name
                    )));
                }
                let mut array = values(weight);
                if variable.shape != weight.shape {
                    array = array
                        .into_shape_with_order(variable.shape.clone())
                        .expect("as many values");
                }
                arrays.push(array);
            }
        }
        self.set_weights(&arrays)
    }

    /// Takes an optimizer's variables; all or none.
    fn restore_optimizer(&mut self, state: &[NamedArray]) -> Result<()> {
        if !self.is_built() {
            return Ok(());
        }
        self.build_optimizer();
        let variables = self.variables().to_vec();
        let learning = self.unfrozen_variables();
        let Some(optimizer) = self.optimizer_mut() else {
            return Ok(());
        };
        let Err(error) = optimizer.set_variables(&variables, state) else {
            return Ok(());
        };
        // Layers that were frozen after the training have slots in the file.
        let mut trained = optimizer.clone();
        if trained.set_variables(&learning, state).is_err() {
            return Err(error);
        }
        trained.build(&variables);
        *optimizer = trained;
        Ok(())
    }
}

/// What files know of the layers.
fn parts(layers: &[Layer]) -> Vec<Part> {
    let part = |layer: &Layer| Part {
        name: layer.name().to_string(),
        class_name: layer.class_name().to_string(),
        trainable: layer.trainable(),
        parts: layer.layers().map(parts),
        stored: Stored::Plain,
    };
    layers.iter().map(part).collect()
}

/// Whether the values lie alike though the axes are in another order: Keras 2 has gamma and beta of a
/// LayerNormalization in the order of its `axis`, and reshapes them to the sample's.
fn same_order(leaf: &Leaf, variable: &Variable, weight: &NamedArray) -> bool {
    let sorted = |shape: &[usize]| {
        let mut sizes = shape.to_vec();
        sizes.sort_unstable();
        sizes
    };
    leaf.class_name == "LayerNormalization" && sorted(&variable.shape) == sorted(&weight.shape)
}

/// The model of a file with its weights, not compiled.
fn restored(path: &Path, saved: &SavedModel) -> Result<Sequential> {
    let dialect = Dialect::of(&saved.keras_version);
    let mut model =
        Sequential::read(&saved.config, dialect).map_err(|error| at(path, error, ""))?;
    let weights = saved.layers.iter().any(|layer| !layer.weights.is_empty());
    if weights && !model.is_built() {
        return Err(Error::format(
            path,
            "has weights, but its model says no input shape; build the model with an Input and load the weights into it",
        ));
    }
    if model.is_built() {
        model
            .take_weights(&saved.layers)
            .map_err(|error| at(path, error, ""))?;
    }
    model
        .set_signature(saved.signature.clone())
        .map_err(|error| at(path, error, ""))?;
    Ok(model)
}

/// The array as floats. Integers are counters, far below 2^24.
fn values(array: &NamedArray) -> ArrayD<f32> {
    let values = match &array.data {
        ArrayData::F32(values) => values.clone(),
        ArrayData::I64(values) => values.iter().map(|&v| v as f32).collect(),
    };
    ArrayD::from_shape_vec(IxDyn(&array.shape), values).expect("as many values as its shape says")
}

/// The error, with the file's name before it.
fn at(path: &Path, error: Error, hint: &str) -> Error {
    let message = |message: String| format!("{}: {message}{hint}", path.display());
    match error {
        Error::Shape(text) => Error::Shape(message(text)),
        Error::Value(text) => Error::Value(message(text)),
        Error::Unsupported(text) => Error::Unsupported(message(text)),
        other => other,
    }
}

enum Extension {
    Keras,
    H5,
    WeightsH5,
    Other,
}

fn extension(path: &Path) -> Extension {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".weights.h5") {
        Extension::WeightsH5
    } else if name.ends_with(".h5") || name.ends_with(".hdf5") {
        Extension::H5
    } else if name.ends_with(".keras") {
        Extension::Keras
    } else {
        Extension::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Dense, Dropout, Input};

    #[test]
    fn the_leaves_of_a_model_are_those_of_its_json() {
        let mut frozen = Sequential::new().with_name("inner");
        frozen.add(Input::new([3])).unwrap();
        frozen.add(Dense::new(2)).unwrap();
        let mut frozen = Layer::from(frozen);
        frozen.set_trainable(false);
        let mut model = Sequential::new();
        model.add(Dense::new(3).with_input_shape([4])).unwrap();
        model.add(frozen).unwrap();
        model.add(Dropout::new(0.5)).unwrap();
        model.add(Dense::new(1)).unwrap();
        let own = model.structure();
        let read = Structure::of(&model.serialized()).unwrap();
        assert_eq!((own.leaves.len(), own.nested.len()), (4, 1));
        assert_eq!(own.leaves[3].folder, "layers/dense_1");
        assert!(!own.leaves[1].trainable);
        assert_eq!((own.leaves, own.nested), (read.leaves, read.nested));
    }
}
