//! Which layers a model has, where files keep their weights.

use std::collections::HashMap;

use serde_json::Value;

use super::Stored;
use crate::keras::{LayerObject, functional_layers, is_model, listed, snake_case, unique};
use crate::layers::wrappers::is_wrapper;

/// A layer or a model inside a model, input layers left out.
pub(crate) struct Part {
    /// Its own name.
    pub(crate) name: String,
    /// Keras' class, such as `Dense`.
    pub(crate) class_name: String,
    pub(crate) trainable: bool,
    /// The layers of a model.
    pub(crate) parts: Option<Vec<Part>>,
    /// How its weights lie in a file.
    pub(crate) stored: Stored,
}

/// A layer that is not itself a model, as a file stores it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leaf {
    /// The layer's own name.
    pub(crate) name: String,
    /// Keras' class, such as `Dense`.
    pub(crate) class_name: String,
    /// Name of the outermost layer that holds it: its own, unless it is inside a nested model.
    /// Legacy files keep all weights of that one in one group.
    pub(crate) group: String,
    /// Folder in a `.weights.h5` file, such as `layers/sequential/layers/dense_1`.
    pub(crate) folder: String,
    /// False when it or a model around it is frozen.
    pub(crate) trainable: bool,
    /// How its weights lie there.
    pub(crate) stored: Stored,
}

impl Leaf {
    /// Whether it is inside a nested model.
    pub(crate) fn nested(&self) -> bool {
        self.folder.matches("layers/").count() > 1
    }

    /// How many of its `weights` are trained: all but the statistics, none when it is frozen.
    pub(crate) fn trained(&self, weights: usize) -> usize {
        match self.class_name.as_str() {
            _ if !self.trainable => 0,
            "BatchNormalization" => weights.saturating_sub(2),
            "Normalization" => 0,
            _ => weights,
        }
    }
}

/// What a file says of a model's structure.
#[derive(Default)]
pub(crate) struct Structure {
    /// The layers of the model and of the models inside it, in order, without the input layers.
    pub(crate) leaves: Vec<Leaf>,
    /// The models inside it.
    pub(crate) nested: Vec<Nested>,
}

/// A model inside a model.
#[derive(Debug, PartialEq)]
pub(crate) struct Nested {
    pub(crate) name: String,
    /// As [`Leaf::folder`].
    pub(crate) folder: String,
}

impl Structure {
    /// Of a model in a file. The error says what is missing.
    pub(crate) fn of(model: &Value) -> Result<Self, String> {
        parts(model).map(|parts| Self::of_parts(&parts))
    }

    /// Of a model's layers.
    pub(crate) fn of_parts(parts: &[Part]) -> Self {
        let mut all = Self::default();
        all.walk(parts, "", None, true);
        all
    }

    fn walk(&mut self, parts: &[Part], folder: &str, group: Option<&str>, trainable: bool) {
        let mut used = HashMap::new();
        for part in parts {
            let class = unique(&snake_case(&part.class_name), &mut used);
            let folder = format!("{folder}layers/{class}");
            let trainable = trainable && part.trainable;
            let group = group.unwrap_or(&part.name);
            if let Some(parts) = &part.parts {
                self.nested.push(Nested {
                    name: part.name.clone(),
                    folder: folder.clone(),
                });
                self.walk(parts, &format!("{folder}/"), Some(group), trainable);
            } else {
                self.leaves.push(Leaf {
                    name: part.name.clone(),
                    class_name: part.class_name.clone(),
                    group: group.to_string(),
                    folder: match is_wrapper(&part.class_name) {
                        true => format!("{folder}/layer"),
                        false => folder,
                    },
                    trainable,
                    stored: part.stored,
                });
            }
        }
    }
}

fn parts(model: &Value) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    for value in layers(model)? {
        let layer = LayerObject::parse(value).ok_or_else(no_class)?;
        if layer.class_name == "InputLayer" {
            // No other layer shares a folder with it.
            name(&layer)?;
            continue;
        }
        let trainable = layer.config.and_then(|config| config.get("trainable"));
        parts.push(Part {
            name: name(&layer)?.to_string(),
            class_name: layer.class_name.to_string(),
            trainable: trainable.and_then(Value::as_bool).unwrap_or(true),
            stored: layer
                .config
                .map_or(Stored::Plain, |config| Stored::of(layer.class_name, config)),
            parts: match layer.is_model() {
                true => Some(self::parts(value)?),
                false => None,
            },
        });
    }
    Ok(parts)
}

/// Names of the outermost layers, input layers of a `Sequential` left out, as Keras lists them.
pub(crate) fn layer_names(model: &Value) -> Result<Vec<String>, String> {
    let sequential = LayerObject::parse(model).ok_or_else(no_class)?.class_name == "Sequential";
    let mut names = Vec::new();
    for layer in layers(model)? {
        let layer = LayerObject::parse(layer).ok_or_else(no_class)?;
        if !(sequential && layer.class_name == "InputLayer") {
            names.push(name(&layer)?.to_string());
        }
    }
    Ok(names)
}

/// The model's own name, `sequential` when it has none.
pub(crate) fn model_name(model: &Value) -> &str {
    model["config"]["name"].as_str().unwrap_or("sequential")
}

/// The layers of a model, of a Functional chain from input to output, in whatever order they are listed:
/// so Keras orders them.
fn layers(model: &Value) -> Result<Vec<&Value>, String> {
    let config = &model["config"];
    let listed = listed(config).ok_or_else(|| match model["class_name"].as_str() {
        Some(own) if !is_model(own) => format!(
            "the model is of class {own}, whose layers are made by Python code that is not in the file; build the same layers as a keras.Sequential, take the weights over by set_weights(model.get_weights()) and save that"
        ),
        _ => format!(
            "a model of class {} has no list \"layers\" in its \"config\"",
            model["class_name"]
        ),
    })?;
    let functional = matches!(model["class_name"].as_str(), Some("Functional" | "Model"));
    // One that is no chain is refused when the model is built.
    match functional_layers(config) {
        Ok(chain) if functional => Ok(chain),
        _ => Ok(listed.iter().collect()),
    }
}

fn name<'a>(layer: &LayerObject<'a>) -> Result<&'a str, String> {
    let class_name = layer.class_name;
    layer
        .name
        .ok_or_else(|| format!("a layer of class \"{class_name}\" has no \"name\""))
}

fn no_class() -> String {
    "an object has no text \"class_name\", expected a Keras configuration".into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn folders_count_by_class_and_groups_are_the_outermost_names() {
        let model = json!({"class_name": "Sequential", "config": {"name": "outer", "layers": [
            {"class_name": "InputLayer", "config": {"name": "in"}},
            {"class_name": "Sequential", "config": {"name": "inner", "trainable": false, "layers": [
                {"class_name": "Dense", "config": {"name": "a"}},
                {"class_name": "Dense", "config": {"name": "b"}},
            ]}},
            {"class_name": "Dense", "config": {"name": "c"}},
        ]}});
        let Structure { leaves, nested } = Structure::of(&model).unwrap();
        let all: Vec<_> = leaves
            .iter()
            .map(|l| (&*l.name, &*l.group, &*l.folder, l.trainable, l.nested()))
            .collect();
        assert_eq!(
            all,
            [
                ("a", "inner", "layers/sequential/layers/dense", false, true),
                (
                    "b",
                    "inner",
                    "layers/sequential/layers/dense_1",
                    false,
                    true
                ),
                ("c", "c", "layers/dense", true, false),
            ]
        );
        let inner = Nested {
            name: "inner".into(),
            folder: "layers/sequential".into(),
        };
        assert_eq!(nested, [inner]);
        assert_eq!(layer_names(&model).unwrap(), ["inner", "c"]);
    }
}
