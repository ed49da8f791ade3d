//! `--layers` or `--config`: what a file that holds weights alone does not say.

use std::path::{Path, PathBuf};

use clap::Args;
use thumbnet_trainer::{
    Error, FormatKind, Sequential, input,
    saving::{Loaded, inputs_of_weights},
};

use super::{
    Outcome,
    layers::{self, LayerSpec},
    outputs::Named,
};

/// The layers of weights.
#[derive(Clone, Debug, Default, Args)]
pub struct ArchitectureArguments {
    /// Layers of a file that holds weights alone, from the first to the last, such as
    /// 32:relu,10:softmax
    #[arg(long, value_name = "SPEC", value_delimiter = ',')]
    layers: Vec<LayerSpec>,
    /// Model of a file that holds weights alone, as Keras' model.to_json() writes it
    #[arg(long, value_name = "FILE.json", conflicts_with = "layers")]
    config: Option<PathBuf>,
}

impl ArchitectureArguments {
    /// The file that is read.
    pub fn input(&self) -> Option<Named<'_>> {
        Named::of("--config", self.config.as_ref())
    }

    /// The model that is asked for, with the weights of the file; none where nothing is asked for.
    pub fn load(&self, path: &Path) -> Outcome<Option<Loaded>> {
        let mut model = match &self.config {
            Some(config) => from_json(config)?,
            None if self.layers.is_empty() => return Ok(None),
            None => {
                let mut model = Sequential::new();
                layers::add(&mut model, &self.layers)?;
                model
            }
        };
        if !model.is_built() {
            let inputs = inputs_of_weights(path, &model.serialized())?;
            model.build(&[inputs])?;
        }
        model.load_weights(path)?;
        Ok(Some(Loaded {
            model,
            settings: None,
            compile_error: None,
            optimizer_error: None,
            notes: Vec::new(),
        }))
    }
}

fn from_json(path: &Path) -> Outcome<Sequential> {
    let text = String::from_utf8_lossy(&input::read(path)?).into_owned();
    let model = Sequential::from_json(&text);
    Ok(model.map_err(|error| match error {
        Error::Unsupported(message) => FormatKind::Unsupported.error(path, message),
        error => Error::format(path, error.to_string()),
    })?)
}
