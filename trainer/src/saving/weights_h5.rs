//! The HDF5 layout of Keras 3: `.weights.h5` files, and `model.weights.h5` inside a `.keras` file.
//!
//! A layer's arrays are `layers/<class>/vars/0`, `1`, …, the class in snake case and counted; a
//! nested model is such a folder too. The optimizer's are `optimizer/vars/0`, … Names and order
//! of the layers are not in the file: they come from the model's configuration.

use std::path::Path;

use super::hdf5::{H5File, Node};
use super::structure::{self, Nested, Structure};
use super::{SavedLayer, SavedModel, SavedWeights, Stored};
use crate::variable::NamedArray;
use crate::{Error, FormatKind, Result};

/// Root folder of layers in files of Keras 2.12 and 2.13.
const OLD_LAYERS: &str = "_layer_checkpoint_dependencies";

/// Whether the file has this layout.
pub(super) fn is_weights(file: &H5File) -> Result<bool> {
    Ok(file.has_group("layers")? || file.has_group(OLD_LAYERS)? || file.has_group("vars")?)
}

/// Reads the weights, and the optimizer's variables when they are there, for the layers of
/// `structure`.
pub(super) fn read(file: &H5File, structure: &Structure) -> Result<SavedWeights> {
    if !is_weights(file)? {
        return Err(FormatKind::Unknown.error(
            file.path(),
            "has no group \"layers\", expected weights as Keras 3's model.save_weights writes them",
        ));
    }
    let old = !file.has_group("layers")? && file.has_group(OLD_LAYERS)?;
    let mut layers = Vec::new();
    for leaf in &structure.leaves {
        let folder = if old {
            leaf.folder.replace("layers/", &format!("{OLD_LAYERS}/"))
        } else {
            leaf.folder.clone()
        };
        let mut weights = variables(file, &folder)?.unwrap_or_default();
        match leaf.stored {
            Stored::Clustered { .. } => weights.extend(centroids(file, &folder)?),
            Stored::QuantizeAware => with_kernel(&mut weights, of_wrapper(file, &folder)?),
            Stored::Plain
            | Stored::Int8
            | Stored::Lora { .. }
            | Stored::WithVector
            | Stored::Pruned => {}
        }
        let mut weights = leaf.stored.plain(&weights);
        for weight in &mut weights {
            weight.name = format!("{}/{}", leaf.name, weight.name);
        }
        layers.push(SavedLayer {
            name: leaf.name.clone(),
            weights,
        });
    }
    Ok(SavedWeights {
        layers,
        keras_version: String::new(),
        optimizer: variables(file, "optimizer")?,
    })
}

/// The arrays of the wrapper around the layer in `folder`.
fn of_wrapper(file: &H5File, folder: &str) -> Result<Vec<NamedArray>> {
    let wrapper = folder.trim_end_matches("/layer");
    Ok(variables(file, wrapper)?.unwrap_or_default())
}

/// Puts the kernel first, which a wrapper that rounds it keeps for the layer: its first matrix.
fn with_kernel(weights: &mut Vec<NamedArray>, of_wrapper: Vec<NamedArray>) {
    let is_kernel = |array: &NamedArray| array.shape.len() == 2;
    if let Some(kernel) = of_wrapper.into_iter().find(is_kernel) {
        weights.retain(|array| !is_kernel(array));
        weights.insert(0, kernel);
    }
}

/// The kernel and its centroids, which the wrapper around the layer in `folder` keeps.
fn centroids(file: &H5File, folder: &str) -> Result<Vec<NamedArray>> {
    let mut own = of_wrapper(file, folder)?;
    let names = [
        "kernel",
        "cluster_centroids_kernel",
        "pulling_indices_kernel",
    ];
    for (array, name) in own.iter_mut().zip(names) {
        array.name = name.into();
    }
    Ok(own)
}

/// The arrays `<folder>/vars/0`, `1`, …; none when there is no such folder.
fn variables(file: &H5File, folder: &str) -> Result<Option<Vec<NamedArray>>> {
    let group = format!("{folder}/vars");
    if !file.has_group(&group)? {
        return Ok(None);
    }
    let names = file.array_names(&group)?;
    (0..names.len())
        .map(|index| {
            let index = index.to_string();
            if names.contains(&index) {
                file.array(&group, &index)
            } else {
                Err(Error::corrupt(
                    file.path(),
                    format!(
                        "group \"{group}\" has {} arrays and none is named \"{index}\", expected \"0\" to \"{}\"",
                        names.len(),
                        names.len() - 1
                    ),
                ))
            }
        })
        .collect::<Result<_>>()
        .map(Some)
}

/// The bytes of such a file.
pub(super) fn write(path: &Path, model: &SavedModel) -> Result<Vec<u8>> {
    let wrong = |message: String| Error::value(format!("{}: {message}", path.display()));
    let Structure { leaves, nested } = Structure::of(&model.config).map_err(wrong)?;
    let layers = model.by_leaf(&leaves).map_err(wrong)?;
    let mut root = Node::default();
    root.group("layers");
    root.group("vars")
        .set_text("name", structure::model_name(&model.config));
    for Nested { name, folder } in &nested {
        root.group(&format!("{folder}/layers"));
        root.group(&format!("{folder}/vars")).set_text("name", name);
    }
    for (leaf, layer) in leaves.iter().zip(layers) {
        let vars = root.group(&format!("{}/vars", leaf.folder));
        vars.set_text("name", &leaf.name);
        set_variables(vars, &layer.weights).map_err(wrong)?;
    }
    if let Some(variables) = &model.optimizer {
        let vars = root.group("optimizer/vars");
        vars.set_text("name", optimizer_name(model));
        set_variables(vars, variables).map_err(wrong)?;
    }
    root.into_bytes().map_err(wrong)
}

fn set_variables<'a>(vars: &mut Node<'a>, arrays: &'a [NamedArray]) -> Result<(), String> {
    arrays
        .iter()
        .enumerate()
        .try_for_each(|(index, array)| vars.set_array(&index.to_string(), array))
}

fn optimizer_name(model: &SavedModel) -> &str {
    let settings = model.compile_config.as_ref();
    settings
        .and_then(|settings| {
            settings["optimizer"]["config"]["name"]
                .as_str()
                .or(settings["optimizer_config"]["config"]["name"].as_str())
        })
        .unwrap_or("optimizer")
}
