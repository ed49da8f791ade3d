//! Properties as files have them.
//!
//! ```toml
//! columns = ["rho", "theta"]        # optional where the blob has the names of its inputs
//! outputs = ["clear", "left"]       # optional where the blob has labels
//!
//! [[boxes]]                         # the property is about the inputs in any of them
//! rho = [1500, 1800]                # raw values, both ends within
//!
//! [holds_when]
//! never_smallest = "clear"
//! ```
//!
//! A column that a box leaves out may have any value. Inputs and outputs can be called by their numbers, from 0,
//! as well. `holds_when` has one of:
//!
//! * `always_class`, `never_class`: a name or a list of them, of the class that the device decides for
//! * `always_largest`, `never_largest`, `always_smallest`, `never_smallest`: the same of the greatest or least output;
//!   one as great as another is no proof, neither that it is nor that it is not
//! * `output` with `at_least`, `at_most` or both
//! * `output` with `margin`: it is greater than every other output by so much at least
//! * `output` with `rises_with` or `falls_with`, the name of a column: the output never falls, or never rises, while that
//!   column rises and all others stay
//! * `same_class = true`: this model and another one decide for the same class
//! * `within`: no output of this model and another one differs by more than that
//!
//! A file with `properties`, a table of such tables by name, holds several; their `columns` and `outputs` may stand
//! beside it. `text` says it in words; other keys of a table of properties (as `networks`) are left alone.

use serde_json::{Map, Value, json};

use crate::{
    error::{Error, Result},
    goal::{Goal, class},
    network::Network,
    relation::Relation,
};

/// A property of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Its name in the file, empty where it has none.
    pub name: String,
    /// Of each box and input a range of raw values, both ends within, or any value.
    pub boxes: Vec<Vec<Option<[f64; 2]>>>,
    /// What has to hold of every input in any of them.
    pub goal: Goal,
    /// Names of the inputs, where the file or the model has them.
    pub columns: Vec<String>,
    /// Names of the outputs, likewise.
    pub outputs: Vec<String>,
    /// The table that it was read from, with `columns` and `outputs`.
    pub source: Value,
}

/// The keys of a property's table that say something here.
const KEYS: [&str; 6] = [
    "columns",
    "outputs",
    "boxes",
    "holds_when",
    "text",
    "networks",
];

impl Property {
    /// Reads the properties of a file, TOML or JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Property`] for text that is neither, and for what does not fit the model.
    pub fn read(text: &str, network: &Network) -> Result<Vec<Self>> {
        let value: Value = if text.trim_start().starts_with('{') {
            serde_json::from_str(text)
                .map_err(|error| Error::Property(format!("no JSON: {error}")))?
        } else {
            toml::from_str(text).map_err(|error| Error::Property(format!("no TOML: {error}")))?
        };
        let Some(table) = value.as_object() else {
            return Error::property("expected a table with boxes and holds_when");
        };
        let Some(properties) = table.get("properties") else {
            return Ok(vec![Self::of("", table, network)?]);
        };
        let Some(properties) = properties.as_object() else {
            return Error::property("properties is no table, expected one of properties by name");
        };
        let read = properties.iter().map(|(name, value)| {
            let Some(own) = value.as_object() else {
                return Error::property(format!("properties.{name} is no table"));
            };
            let mut own = own.clone();
            for key in ["columns", "outputs"] {
                if let (Some(shared), None) = (table.get(key), own.get(key)) {
                    own.insert(key.into(), shared.clone());
                }
            }
            Self::of(name, &own, network)
                .map_err(|error| Error::Property(format!("property {name}: {error}")))
        });
        read.collect()
    }

    /// One property, by its table.
    ///
    /// # Errors
    ///
    /// [`Error::Property`] for what does not fit the model.
    pub fn of(name: &str, table: &Map<String, Value>, network: &Network) -> Result<Self> {
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Error::property(format!(
                "{key:?} is no part of a property, expected {}",
                KEYS.join(", ")
            ));
        }
        let own: Vec<String> = network.model.input_names().map(str::to_string).collect();
        let boxes = table.get("boxes").and_then(Value::as_array);
        let columns = names(table, "columns", own, network.inputs())?;
        let labels = network.model.labels().map(str::to_string).collect();
        let outputs = names(table, "outputs", labels, network.outputs().max(2))?;
        let Some(boxes) = boxes.filter(|boxes| !boxes.is_empty()) else {
            return Error::property(
                "boxes is missing, expected a list of tables such as {rho = [1500, 1800]}",
            );
        };
        let goal = match table.get("holds_when") {
            None => Goal::Nothing,
            Some(Value::Object(holds)) => goal(holds, &outputs, &columns, network)?,
            Some(other) => {
                return Error::property(format!(
                    "holds_when is {other}, expected a table such as {{never_class = \"clear\"}}"
                ));
            }
        };
        let boxes = boxes
            .iter()
            .map(|value| ranges(value, &columns, network.inputs()));
        Ok(Self {
            name: name.into(),
            boxes: boxes.collect::<Result<_>>()?,
            goal,
            columns: columns.clone(),
            outputs,
            source: Value::Object(table.clone()),
        })
    }
}

impl Property {
    /// Any inputs, of which nothing has to hold.
    pub fn everything(network: &Network) -> Self {
        let table = json!({"boxes": [{}]});
        let table = table.as_object().cloned().unwrap_or_default();
        Self::of("", &table, network).expect("a box without columns fits every model")
    }

    /// That a row keeps its class, whatever its inputs are within `radius` of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Property`] for a row that the model refuses, or a radius that is no number from 0 on.
    pub fn robust(network: &Network, row: &[f32], radius: f64) -> Result<Self> {
        if !(0.0..f64::INFINITY).contains(&radius) {
            return Error::property(format!(
                "the radius is {radius}, expected a number from 0 on"
            ));
        }
        let outputs = network.predict(row)?;
        let class = class(&outputs, network.head.threshold);
        let range = |(input, &x): (usize, &f32)| {
            let x = f64::from(x);
            (input.to_string(), json!([x - radius, x + radius]))
        };
        let ranges: Map<String, Value> = row.iter().enumerate().map(range).collect();
        let table = json!({"boxes": [ranges], "holds_when": {"always_class": class}});
        Self::of("", table.as_object().unwrap_or(&Map::new()), network)
    }

    /// The name of an input, or its number.
    pub fn column(&self, input: usize) -> String {
        self.columns
            .get(input)
            .cloned()
            .unwrap_or_else(|| input.to_string())
    }

    /// The name of an output, or its number.
    pub fn output(&self, output: usize) -> String {
        self.outputs
            .get(output)
            .cloned()
            .unwrap_or_else(|| output.to_string())
    }
}

/// A list of names in the table, or those that the model has.
fn names(
    table: &Map<String, Value>,
    key: &str,
    own: Vec<String>,
    most: usize,
) -> Result<Vec<String>> {
    let Some(value) = table.get(key) else {
        return Ok(own);
    };
    let names = value.as_array().and_then(|names| {
        let names = names.iter().map(|name| name.as_str().map(str::to_string));
        names.collect::<Option<Vec<String>>>()
    });
    match names {
        Some(names) if names.len() <= most => Ok(names),
        Some(names) => Error::property(format!(
            "{key} has {} names, expected {most}, as the model has",
            names.len()
        )),
        None => Error::property(format!("{key} is {value}, expected a list of names")),
    }
}

fn find(name: &str, names: &[String], count: usize, what: &str) -> Result<usize> {
    let number = || name.parse().ok().filter(|&index: &usize| index < count);
    match names
        .iter()
        .position(|other| other == name)
        .filter(|&index| index < count)
        .or_else(number)
    {
        Some(index) => Ok(index),
        None if names.is_empty() => Error::property(format!(
            "{what} {name:?} is unknown, expected a number below {count}, since neither the model nor the file names them"
        )),
        None => Error::property(format!(
            "{what} {name:?} is unknown, expected one of {}",
            names.join(", ")
        )),
    }
}

fn ranges(value: &Value, columns: &[String], inputs: usize) -> Result<Vec<Option<[f64; 2]>>> {
    let Some(table) = value.as_object() else {
        return Error::property(format!(
            "the box {value} is no table, expected ranges by column"
        ));
    };
    let mut ranges = vec![None; inputs];
    for (name, value) in table {
        let index = find(name, columns, inputs, "column")?;
        let ends = match value.as_array().map(Vec::as_slice) {
            Some([low, high]) => low.as_f64().zip(high.as_f64()),
            _ => value.as_f64().map(|value| (value, value)),
        };
        match ends {
            Some((low, high)) if low <= high => ranges[index] = Some([low, high]),
            Some((low, high)) => {
                return Error::property(format!(
                    "column {name} is from {low} to {high}, expected the lesser first"
                ));
            }
            None => {
                return Error::property(format!(
                    "column {name} is {value}, expected two numbers [low, high]"
                ));
            }
        }
    }
    Ok(ranges)
}

fn goal(
    holds: &Map<String, Value>,
    outputs: &[String],
    columns: &[String],
    network: &Network,
) -> Result<Goal> {
    let number = |key: &str| match holds.get(key) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) => Ok(Some(number)),
            None => Error::property(format!("{key} is {value}, expected a number")),
        },
    };
    let name = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_string)
    };
    let set = |key: &str, count: usize, member: bool, what: &str| {
        let value = &holds[key];
        let names = value
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![value.clone()]);
        let mut set = vec![!member; count];
        for value in &names {
            set[find(&name(value), outputs, count, what)?] = member;
        }
        Ok(set)
    };
    let count = network.outputs();
    let keys: Vec<&str> = holds.keys().map(String::as_str).collect();
    match keys[..] {
        ["always_class"] => Ok(Goal::Class(set(keys[0], count.max(2), true, "class")?)),
        ["never_class"] => Ok(Goal::Class(set(keys[0], count.max(2), false, "class")?)),
        ["always_largest"] => Ok(Goal::Largest(set(keys[0], count, true, "output")?)),
        ["never_largest"] => Ok(Goal::Largest(set(keys[0], count, false, "output")?)),
        ["always_smallest"] => Ok(Goal::Smallest(set(keys[0], count, true, "output")?)),
        ["never_smallest"] => Ok(Goal::Smallest(set(keys[0], count, false, "output")?)),
        ["same_class"] if holds["same_class"] == true => Ok(Goal::Relation(Relation::SameClass)),
        ["within"] => match number("within")? {
            Some(most) if most >= 0.0 => Ok(Goal::Relation(Relation::Within(most))),
            _ => Error::property(format!(
                "within is {}, expected a number from 0 on",
                holds["within"]
            )),
        },
        ["output", key @ ("rises_with" | "falls_with")]
        | [key @ ("rises_with" | "falls_with"), "output"] => {
            Ok(Goal::Relation(Relation::Monotone {
                output: find(&name(&holds["output"]), outputs, count, "output")?,
                column: find(&name(&holds[key]), columns, network.inputs(), "column")?,
                rises: key == "rises_with",
            }))
        }
        _ if holds.contains_key("output") && keys.len() > 1 => {
            let index = find(&name(&holds["output"]), outputs, count, "output")?;
            if let Some(key) = keys
                .iter()
                .find(|key| !["output", "at_least", "at_most", "margin"].contains(key))
            {
                return Error::property(format!("holds_when.{key} is unknown beside output"));
            }
            if let Some(by) = number("margin")? {
                if keys.len() > 2 {
                    return Error::property(
                        "margin stands alone with output; make two properties of it",
                    );
                }
                return Ok(Goal::Margin { index, by });
            }
            Ok(Goal::Output {
                index,
                at_least: number("at_least")?.unwrap_or(f64::NEG_INFINITY),
                at_most: number("at_most")?.unwrap_or(f64::INFINITY),
            })
        }
        _ => Error::property(format!(
            "holds_when has {}, expected always_class, never_class, always_largest, never_largest, always_smallest or never_smallest, output with at_least, at_most, margin, rises_with or falls_with, or of two models same_class = true or within",
            if keys.is_empty() {
                "nothing".to_string()
            } else {
                keys.join(", ")
            }
        )),
    }
}
