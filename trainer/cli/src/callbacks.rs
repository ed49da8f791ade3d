//! The arguments that become callbacks.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use thumbnet_trainer::{
    Error, atomic_file,
    callbacks::{
        BackupAndRestore, CSVLogger, Direction, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau,
        SaveFrequency, SharedCallback, TerminateOnNaN, from_config,
    },
};

use super::{
    Outcome,
    json::read_json,
    models::check_keras_name,
    outputs::Named,
    values::{direction, positive},
};

/// What happens around epochs and batches.
#[derive(Debug, Args)]
pub struct CallbackArguments {
    /// Stop when the monitored value has not improved for this many epochs
    #[arg(long, value_name = "PATIENCE")]
    early_stopping: Option<usize>,
    /// Give the best epoch's weights, not the last one's
    #[arg(long, requires = "early_stopping")]
    restore_best_weights: bool,
    /// Divide the learning rate by 10 when the monitored value has not improved for this many epochs
    #[arg(long, value_name = "PATIENCE")]
    reduce_lr_on_plateau: Option<usize>,
    /// File to save after every epoch, .h5, .keras or .weights.h5; {epoch:02d} and {val_loss:.2f} are
    /// filled in
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Save the checkpoint only when the monitored value has improved
    #[arg(long, requires = "checkpoint")]
    save_best_only: bool,
    /// Save the checkpoint after so many batches, not after every epoch
    #[arg(long, value_name = "BATCHES", requires = "checkpoint", value_parser = positive::<usize>)]
    save_freq: Option<usize>,
    /// Value that --early-stopping, --reduce-lr-on-plateau and --save-best-only watch [default:
    /// val_loss, or loss without validation]
    #[arg(long, value_name = "NAME")]
    monitor: Option<String>,
    /// Which way the monitored value improves: auto as its metric does, min or max
    #[arg(long, value_name = "auto|min|max", default_value = "auto", value_parser = direction)]
    mode: Direction,
    /// Folder that lets a run which was killed go on where it stopped
    #[arg(long, value_name = "FOLDER")]
    backup_dir: Option<PathBuf>,
    /// Back up after so many batches, not after every epoch
    #[arg(long, value_name = "BATCHES", requires = "backup_dir", value_parser = positive::<usize>)]
    backup_freq: Option<usize>,
    /// CSV file with a line per epoch
    #[arg(long, value_name = "FILE.csv")]
    csv_log: Option<PathBuf>,
    /// Stop as soon as the loss is NaN or infinite
    #[arg(long)]
    terminate_on_nan: bool,
    /// More callbacks with any of Keras' arguments, [{"class_name": "EarlyStopping", "config":
    /// {"patience": 3}}, ..]; the schedule of a LearningRateScheduler is a list of a rate per epoch
    #[arg(long, value_name = "FILE.json")]
    callbacks: Option<PathBuf>,
}

impl CallbackArguments {
    /// Refuses outputs that could not be written, before the work and not after it.
    pub fn check_outputs(&self) -> Outcome {
        if let Some(path) = &self.checkpoint
            && !is_weights(path)
        {
            check_keras_name(path)?;
        }
        for path in [&self.checkpoint, &self.csv_log].into_iter().flatten() {
            atomic_file::check(path)?;
        }
        Ok(())
    }

    /// Whether the model may be saved before an epoch has ended.
    pub fn saves_within_epochs(&self) -> bool {
        self.save_freq.is_some() || self.backup_freq.is_some()
    }

    /// The files that are read.
    pub fn inputs(&self) -> [Option<Named<'_>>; 1] {
        [Named::of("--callbacks", self.callbacks.as_ref())]
    }

    /// The files that are written: those of `--callbacks` are named in it.
    pub fn outputs(&self) -> [Option<Named<'_>>; 2] {
        [
            Named::of("--checkpoint", self.checkpoint.as_ref()),
            Named::of("--csv-log", self.csv_log.as_ref()),
        ]
    }

    /// The files that the callbacks in `--callbacks` write.
    pub fn listed_outputs(&self) -> Outcome<Vec<PathBuf>> {
        let Some(path) = &self.callbacks else {
            return Ok(Vec::new());
        };
        let written = |callback: &Value| {
            let config = &callback["config"];
            let path = config["filepath"].as_str().or(config["filename"].as_str());
            // A log that is appended to may be there.
            path.filter(|_| config["append"] != Value::Bool(true))
                .map(PathBuf::from)
        };
        Ok(list(path)?.iter().filter_map(written).collect())
    }

    /// The callbacks in the order that they are called in.
    ///
    /// * `validates` - whether there are rows to validate on
    /// * `patience` - of stopping early where no option says it
    pub fn callbacks<'a>(
        &self,
        validates: bool,
        patience: Option<usize>,
    ) -> Outcome<Vec<SharedCallback<'a>>> {
        let monitor = self.monitor(validates);
        let frequency = |batches: Option<usize>| match batches {
            Some(batches) => SaveFrequency::Batches(batches),
            None => SaveFrequency::Epoch,
        };
        let mut callbacks = Vec::new();
        // First, so that the others see a restored run and not a new one.
        if let Some(folder) = &self.backup_dir {
            callbacks.push(SharedCallback::from(BackupAndRestore {
                save_freq: frequency(self.backup_freq),
                ..BackupAndRestore::new(folder)
            }));
        }
        callbacks.extend(self.without_files(validates, patience));
        if let Some(path) = &self.checkpoint {
            callbacks.push(SharedCallback::from(ModelCheckpoint {
                monitor,
                mode: self.mode,
                save_best_only: self.save_best_only,
                save_weights_only: is_weights(path),
                save_freq: frequency(self.save_freq),
                ..ModelCheckpoint::new(path.display().to_string())
            }));
        }
        if let Some(path) = &self.callbacks {
            for (index, value) in list(path)?.iter().enumerate() {
                let callback = from_config(value).map_err(|error| {
                    Error::format(path, format!("callback {}: {error}", index + 1))
                })?;
                callbacks.push(callback.into());
            }
        }
        // Last, so that it sees what the others add to the logs.
        if let Some(path) = &self.csv_log {
            callbacks.push(SharedCallback::from(CSVLogger::new(path)));
        }
        Ok(callbacks)
    }

    /// Whether the best epoch's weights come back at the end.
    pub fn restores_best(&self, by_default: bool) -> bool {
        match self.early_stopping {
            Some(_) => self.restore_best_weights,
            None => by_default,
        }
    }

    /// What to do to go on after an interruption.
    pub fn how_to_go_on(&self) -> String {
        match &self.backup_dir {
            Some(folder) => format!(
                "; the same command goes on from the backup in {}",
                folder.display()
            ),
            None => String::new(),
        }
    }

    /// What says which epoch is best, and which way.
    pub fn monitored(&self, validates: bool) -> (String, Direction) {
        (self.monitor(validates), self.mode)
    }

    fn monitor(&self, validates: bool) -> String {
        let usual = if validates { "val_loss" } else { "loss" };
        self.monitor.as_deref().unwrap_or(usual).to_string()
    }

    /// Those that write no files, as [`Self::callbacks`].
    pub fn without_files<'a>(
        &self,
        validates: bool,
        patience: Option<usize>,
    ) -> Vec<SharedCallback<'a>> {
        let monitor = self.monitor(validates);
        let mut callbacks = Vec::new();
        if self.terminate_on_nan {
            callbacks.push(SharedCallback::from(TerminateOnNaN::new()));
        }
        if let Some(patience) = self.early_stopping.or(patience) {
            callbacks.push(SharedCallback::from(EarlyStopping {
                mode: self.mode,
                restore_best_weights: self.restores_best(true),
                ..EarlyStopping::new(monitor.clone()).with_patience(patience)
            }));
        }
        if let Some(patience) = self.reduce_lr_on_plateau {
            callbacks.push(SharedCallback::from(ReduceLROnPlateau {
                mode: self.mode,
                patience,
                ..ReduceLROnPlateau::new(monitor)
            }));
        }
        callbacks
    }
}

/// The elements of a JSON list in a file.
fn list(path: &Path) -> Outcome<Vec<Value>> {
    match read_json(path)? {
        Value::Array(list) => Ok(list),
        _ => Err(Error::format(
            path,
            "expected a list, [{\"class_name\": \"EarlyStopping\", \"config\": {\"patience\": 3}}, ..]",
        )
        .into()),
    }
}

/// Whether a checkpoint of this name holds weights only.
fn is_weights(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".weights.h5")
}
