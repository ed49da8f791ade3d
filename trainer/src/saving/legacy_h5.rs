//! Keras' legacy HDF5 layout: whole models (`.h5`, `.hdf5`) of Keras 2 and 3, and the weights that
//! Keras 2 saved alone.
//!
//! Root attributes `model_config` and `training_config` hold JSON; group `model_weights` lists its
//! layers in `layer_names`, each layer's group its arrays in `weight_names`; `optimizer_weights`
//! lists the optimizer's variables in their order.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::hdf5::{Attributes, H5File, Node};
use super::structure::{Leaf, Structure, layer_names};
use super::{BACKEND, KERAS_VERSION, SavedLayer, SavedModel, SavedWeights};
use crate::keras::dialect::{Dialect, keras_2, legacy_compile, legacy_model};
use crate::keras::{to_json, unique};
use crate::layers::tfmot::Wrapper;
use crate::losses::LossKind;
use crate::variable::NamedArray;
use crate::{Error, FormatKind, Result};

const WEIGHTS: &str = "model_weights";
const OPTIMIZER: &str = "optimizer_weights";
/// Attribute of the root that Keras does not look at.
const SIGNATURE: &str = "thumbnet_signature";

/// Reads a whole model.
pub(super) fn read(file: &H5File) -> Result<SavedModel> {
    let root = file.attributes("")?;
    let wrong = |message: String| Error::corrupt(file.path(), message);
    let unsupported = |message: String| FormatKind::Unsupported.error(file.path(), message);
    let Some(model_config) = root.text("model_config")? else {
        let message = if is_weights(file)? || file.has_group("layers")? {
            "holds weights without a model; load the model's file, then these into it by load_weights (--weights of the command line), or name its layers by --layers 16:relu,3:softmax or --config model.json"
        } else {
            "has no attribute \"model_config\", expected a whole model as Keras' model.save writes it"
        };
        return Err(FormatKind::Unknown.error(file.path(), message));
    };
    let keras_version = version(&root)?;
    if Dialect::of(&keras_version) == Dialect::Keras1 {
        return Err(unsupported(format!(
            "this file is of Keras {keras_version}, expected Keras 2 or 3; load it in Keras 2.0 to 2.3, which reads it, and save it again with model.save(\"model.h5\")"
        )));
    }
    let config = json(file, "model_config", &model_config)?;
    let Structure { leaves, .. } = Structure::of(&config)
        .map_err(|message| wrong(format!("attribute \"model_config\": {message}")))?;
    if !file.has_group(WEIGHTS)? {
        return Err(wrong(format!(
            "has no readable group \"{WEIGHTS}\", expected a whole model as Keras' model.save writes it"
        )));
    }
    let compile_config = match root.text("training_config")? {
        Some(text) => Some(json(file, "training_config", &text)?),
        None => None,
    };
    let optimizer = if file.has_group(OPTIMIZER)? {
        Some(arrays(file, OPTIMIZER, &file.attributes(OPTIMIZER)?)?)
    } else {
        None
    };
    Ok(SavedModel {
        layers: read_layers(file, WEIGHTS, &leaves)?,
        config,
        keras_version,
        compile_config,
        optimizer,
        signature: super::signature(
            file.path(),
            &format!("attribute \"{SIGNATURE}\""),
            root.text(SIGNATURE)?.as_deref(),
        )?,
    })
}

/// Whether the file holds weights in this layout, alone or in a whole model.
pub(super) fn is_weights(file: &H5File) -> Result<bool> {
    Ok(file.attributes("")?.names("layer_names")?.is_some() || file.has_group(WEIGHTS)?)
}

/// Reads the weights alone, of a whole model too, for the layers of `structure`.
pub(super) fn read_weights(file: &H5File, structure: &Structure) -> Result<SavedWeights> {
    let alone = file.attributes("")?.names("layer_names")?.is_some();
    let group = if alone { "" } else { WEIGHTS };
    Ok(SavedWeights {
        keras_version: version(&file.attributes(group)?)?,
        layers: read_layers(file, group, &structure.leaves)?,
        optimizer: None,
    })
}

fn version(attributes: &Attributes) -> Result<String> {
    Ok(attributes.text("keras_version")?.unwrap_or_default())
}

fn json(file: &H5File, attribute: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| {
        Error::corrupt(
            file.path(),
            format!("attribute \"{attribute}\" is not JSON: {error}; save the model again"),
        )
    })
}

/// The arrays that `weight_names` of a group lists, in that order.
fn arrays(file: &H5File, group: &str, attributes: &Attributes) -> Result<Vec<NamedArray>> {
    attributes
        .expect_names("weight_names")?
        .iter()
        .map(|name| file.array(group, name))
        .collect()
}

/// The layers of group `base`, one for each of `leaves`; in the file's own order, those with
/// weights alone, when the names or their order are others than those of `leaves`.
fn read_layers(file: &H5File, base: &str, leaves: &[Leaf]) -> Result<Vec<SavedLayer>> {
    let mut groups = Vec::new();
    for name in file.attributes(base)?.expect_names("layer_names")? {
        let group = if base.is_empty() {
            name.clone()
        } else {
            format!("{base}/{name}")
        };
        let weights = arrays(file, &group, &file.attributes(&group)?)?;
        if !weights.is_empty() {
            groups.push((name, weights));
        }
    }
    // By position, as in Keras, where names or their order differ from the model's.
    let places: Option<Vec<usize>> = groups
        .iter()
        .map(|(name, _)| leaves.iter().position(|leaf| leaf.group == *name))
        .collect();
    if !places.is_some_and(|places| places.is_sorted()) {
        return Ok(groups
            .into_iter()
            .flat_map(|(name, weights)| by_path(name, weights))
            .collect());
    }
    let mut groups: HashMap<String, Vec<NamedArray>> = groups.into_iter().collect();
    let mut layers = Vec::new();
    let mut rest = leaves;
    while let Some(first) = rest.first() {
        let count = rest
            .iter()
            .take_while(|leaf| leaf.group == first.group)
            .count();
        let (these, others) = rest.split_at(count);
        rest = others;
        let weights = groups.remove(&first.group).unwrap_or_default();
        if !first.nested() {
            layers.push(SavedLayer {
                name: first.name.clone(),
                weights: first.stored.plain(&weights),
            });
            continue;
        }
        // A nested model keeps all its weights in one group, the trained ones before the others:
        // the paths tell whose they are.
        let weights = weights.into_iter().map(|array| of_wrapper(array, these));
        let mut parts = by_path(first.group.clone(), weights.collect());
        for leaf in these {
            let part = parts.iter().position(|part| part.name == leaf.name);
            layers.push(match part {
                Some(part) => {
                    let part = parts.remove(part);
                    SavedLayer {
                        weights: leaf.stored.plain(&part.weights),
                        ..part
                    }
                }
                None => SavedLayer {
                    name: leaf.name.clone(),
                    weights: Vec::new(),
                },
            });
        }
        if let Some(part) = parts.first() {
            return Err(Error::corrupt(
                file.path(),
                format!(
                    "group \"{}\" has weights of a layer \"{}\", expected only layers of the nested model of that name",
                    first.group, part.name
                ),
            ));
        }
    }
    Ok(layers)
}

/// The array by the name of the wrapper where it is of the layer within.
fn of_wrapper(mut array: NamedArray, leaves: &[Leaf]) -> NamedArray {
    let named = |folder: &str| {
        leaves.iter().find_map(|leaf| {
            let inner = leaf
                .name
                .strip_prefix(Wrapper::of(&leaf.class_name)?.prefix())?;
            (folder.rsplit('/').next() == Some(inner)).then_some(&leaf.name)
        })
    };
    if let Some((folder, name)) = array.name.rsplit_once('/')
        && let Some(wrapper) = named(folder)
    {
        array.name = format!("{wrapper}/{name}");
    }
    array
}

/// Splits a group's weights by the folder in their names: `inner/dense/kernel` belongs to `dense`.
/// All of one folder, or without any, are the group's own.
fn by_path(group: String, weights: Vec<NamedArray>) -> Vec<SavedLayer> {
    let folder = |array: &NamedArray| {
        let (folder, _) = array.name.rsplit_once('/').unwrap_or(("", &array.name));
        folder.to_string()
    };
    let mut parts: Vec<(String, SavedLayer)> = Vec::new();
    for array in weights {
        let folder = folder(&array);
        match parts.iter_mut().find(|(known, _)| *known == folder) {
            Some((_, part)) => part.weights.push(array),
            None => {
                let name = match folder.rsplit('/').next() {
                    Some("") | None => group.clone(),
                    Some(name) => name.to_string(),
                };
                let weights = vec![array];
                parts.push((folder, SavedLayer { name, weights }));
            }
        }
    }
    parts.into_iter().map(|(_, part)| part).collect()
}

/// The bytes of a whole model for Keras 2, without the optimizer's state.
pub(super) fn write_keras_2(path: &Path, model: &SavedModel) -> Result<Vec<u8>> {
    let write = || {
        let settings = model.compile_config.as_ref();
        let settings = settings.map(|settings| keras_2::compile(settings, LossKind::long_name));
        let config = keras_2::model(&model.config)?;
        whole_model(model, keras_2::VERSION, &config, settings.as_ref())?.into_bytes()
    };
    write().map_err(wrong(path))
}

/// The bytes of a whole model.
pub(super) fn write(path: &Path, model: &SavedModel) -> Result<Vec<u8>> {
    let variables = named_apart(model.optimizer.as_deref().unwrap_or_default());
    let write = || {
        let settings = model.compile_config.as_ref();
        let settings = settings.map(|settings| legacy_compile(settings, LossKind::long_name));
        let config = legacy_model(&model.config);
        let mut root = whole_model(model, KERAS_VERSION, &config, settings.as_ref())?;
        if !variables.is_empty() {
            write_arrays(root.group(OPTIMIZER), &variables.iter().collect::<Vec<_>>())?;
        }
        root.into_bytes()
    };
    write().map_err(wrong(path))
}

/// The bytes of a file of weights alone, as Keras 2 wrote it.
pub(super) fn write_weights(path: &Path, model: &SavedModel) -> Result<Vec<u8>> {
    let write = || {
        let mut root = Node::default();
        write_layers(&mut root, model)?;
        root.into_bytes()
    };
    write().map_err(wrong(path))
}

fn wrong(path: &Path) -> impl Fn(String) -> Error {
    move |message| Error::value(format!("{}: {message}", path.display()))
}

/// A file but for the optimizer's state: `config` and `settings` are the model's in the words of the
/// Keras of this version.
fn whole_model<'a>(
    model: &'a SavedModel,
    keras_version: &str,
    config: &Value,
    settings: Option<&Value>,
) -> Result<Node<'a>, String> {
    let mut root = Node::default();
    root.set_text("keras_version", keras_version);
    root.set_text("backend", BACKEND);
    root.set_bytes("model_config", &to_json(config));
    if let Some(settings) = settings {
        root.set_bytes("training_config", &to_json(settings));
    }
    if let Some(signature) = &model.signature {
        root.set_text(SIGNATURE, &signature.to_json());
    }
    write_layers(root.group(WEIGHTS), model)?;
    Ok(root)
}

/// Adafactor's variables share names, which Keras' own files cannot hold: the later ones get a
/// number. Readers go by the order.
fn named_apart(variables: &[NamedArray]) -> Vec<NamedArray> {
    let mut used = HashMap::new();
    let mut apart = variables.to_vec();
    for variable in &mut apart {
        variable.name = unique(&variable.name, &mut used);
    }
    apart
}

fn write_layers<'a>(base: &mut Node<'a>, model: &'a SavedModel) -> Result<(), String> {
    let Structure { leaves, .. } = Structure::of(&model.config)?;
    let names = layer_names(&model.config)?;
    let layers = model.by_leaf(&leaves)?;
    base.set_names("layer_names", &names)?;
    base.set_bytes("backend", BACKEND);
    base.set_bytes("keras_version", KERAS_VERSION);
    for name in &names {
        if name.is_empty() || name == "top_level_model_weights" {
            return Err(format!(
                "a layer has the name \"{name}\", which the file needs for itself; give the layer another name"
            ));
        }
        if names.iter().filter(|other| *other == name).count() > 1 {
            return Err(format!(
                "two layers have the name \"{name}\", expected different names"
            ));
        }
        let mine = || {
            leaves
                .iter()
                .zip(&layers)
                .filter(|(leaf, _)| leaf.group == *name)
        };
        let trained = mine().flat_map(|(leaf, layer)| {
            let count = leaf.trained(layer.weights.len());
            &layer.weights[..count]
        });
        let others = mine().flat_map(|(leaf, layer)| {
            let count = leaf.trained(layer.weights.len());
            &layer.weights[count..]
        });
        write_arrays(base.group(name), &trained.chain(others).collect::<Vec<_>>())?;
    }
    write_arrays(base.group("top_level_model_weights"), &[])
}

fn write_arrays<'a>(group: &mut Node<'a>, arrays: &[&'a NamedArray]) -> Result<(), String> {
    let names: Vec<String> = arrays.iter().map(|array| array.name.clone()).collect();
    group.set_names("weight_names", &names)?;
    for array in arrays {
        group.set_array(&array.name, array)?;
    }
    Ok(())
}
