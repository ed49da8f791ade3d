//! What a model says about its columns and classes, and what is assumed where it says nothing.

use std::{collections::BTreeMap, path::Path};

use thumbnet_trainer::{Dataset, Sequential, Signature, dataset::list, quantize::DeviceModel};

use super::{Failure, Outcome, console};

/// The names that tables are matched to.
#[derive(Clone, Debug, Default)]
pub struct Meaning {
    /// The model's file; empty for one that is still to be trained.
    pub model: String,
    signature: Option<Signature>,
    /// The names of a device model's inputs, where it has them.
    inputs: Vec<String>,
    /// The names of a device model's classes.
    labels: Vec<String>,
}

impl Meaning {
    /// Of a model that is still to be trained.
    pub fn none() -> Self {
        Self::default()
    }

    /// Of the model of a Keras file.
    pub fn of(model: &Sequential, path: &Path) -> Self {
        Self {
            model: path.display().to_string(),
            signature: model.signature().cloned(),
            inputs: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Of a device model.
    pub fn of_device(model: &DeviceModel, path: &Path) -> Self {
        Self {
            model: path.display().to_string(),
            signature: None,
            inputs: model.input_names(),
            labels: model.class_names(),
        }
    }

    /// The columns of the features in order, none where they are not known.
    pub fn features(&self) -> &[String] {
        self.signature
            .as_ref()
            .map_or(&self.inputs, |signature| &signature.features)
    }

    /// The columns of the targets, none where they are not known.
    pub fn targets(&self) -> Vec<String> {
        self.signature
            .as_ref()
            .map_or_else(Vec::new, |signature| signature.targets.clone())
    }

    /// By column: what stands for a value that is not there.
    pub fn fill(&self) -> BTreeMap<String, f32> {
        self.signature
            .as_ref()
            .map_or_else(BTreeMap::new, |signature| signature.fill.clone())
    }

    /// From which probability on an output says yes.
    pub fn threshold(&self) -> Option<f32> {
        self.signature.as_ref()?.threshold
    }

    /// The classes in the order of the outputs, none where they are not known.
    pub fn classes(&self) -> &[String] {
        match &self.signature {
            Some(signature) => &signature.classes,
            None => &self.labels,
        }
    }

    /// The names of the classes, of which `given` ones are those of the command line.
    pub fn class_names(&self, given: Option<&[String]>) -> Outcome<Option<Vec<String>>> {
        let own = self.classes();
        let Some(given) = given else {
            return Ok(Some(own.to_vec()).filter(|own| !own.is_empty()));
        };
        let given: Vec<String> = given.iter().map(|name| name.trim().to_string()).collect();
        // Classes that are called by their numbers may be given names.
        if own.is_empty() || own == given || (are_numbers(own) && own.len() == given.len()) {
            return Ok(Some(given));
        }
        Err(Failure::usage(format!(
            "--classes says {}, but {} has the classes {}; leave --classes out",
            list(&given),
            self.model,
            list(own)
        )))
    }

    /// Says on the standard error what was left out of a table, and what was assumed about it.
    pub fn say(&self, data: &Dataset, path: &Path) {
        let path = path.display();
        for note in &data.notes {
            console::note(&format!("note: {path}: {note}"));
        }
        let left_out = &data.left_out;
        if !left_out.is_empty() {
            let names: Vec<String> = left_out.iter().map(|name| format!("{name:?}")).collect();
            console::note(&format!(
                "note: {path}: not of the model and left out: {}",
                list(&names)
            ));
        }
        if self.model.is_empty() {
            return;
        }
        let mut assumed = Vec::new();
        if self.features().is_empty() && !data.feature_names.is_empty() {
            assumed.push(format!("its inputs are {}", list(&data.feature_names)));
        }
        if let (true, Some(names)) = (self.classes().is_empty(), &data.class_names) {
            assumed.push(format!("its classes are {}", list(names)));
        }
        if !assumed.is_empty() {
            console::note(&format!(
                "note: {} names no {}: assumed from {path} that {}",
                self.model,
                if assumed.len() == 2 || self.features().is_empty() {
                    "columns"
                } else {
                    "classes"
                },
                assumed.join(", and that ")
            ));
        }
        let own = self.classes();
        if data.y.is_some() && data.class_names.is_none() && !own.is_empty() && !are_numbers(own) {
            let numbered: Vec<String> = own
                .iter()
                .enumerate()
                .map(|(number, name)| format!("{number} is {name}"))
                .collect();
            console::note(&format!(
                "note: {path}: the labels are taken for numbers of classes: {}",
                list(&numbered)
            ));
        }
    }
}

/// Whether the names are 0, 1, 2 and so on.
pub fn are_numbers(names: &[String]) -> bool {
    names
        .iter()
        .enumerate()
        .all(|(number, name)| *name == number.to_string())
}
