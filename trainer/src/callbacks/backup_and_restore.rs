//! `BackupAndRestore`: a training that was killed goes on where it was.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Callback, SaveFrequency};
use crate::history::Logs;
use crate::{Error, Result, Sequential, atomic_file};

/// Keeps a backup of weights, optimizer, position and the other callbacks' states, and restores it
/// when `fit` begins.
///
/// A killed process that is started again with the same data and options ends with the weights of
/// one that was never killed. The history, as Keras', has the epochs since the restoration; an
/// epoch that goes on in its middle has the logs of the batches since. The backup is two files: weights under a name of their own, then
/// `training_metadata.json`, which names them; it is replaced in one step, so that both always
/// belong together. After the training both are deleted.
#[derive(Clone, Debug)]
pub struct BackupAndRestore {
    /// The folder, made when needed.
    pub backup_dir: PathBuf,
    /// Defaults to every epoch.
    pub save_freq: SaveFrequency,
    /// Whether the backup goes when the training is complete. Defaults to true.
    pub delete_checkpoint: bool,
    #[doc(hidden)]
    pub state: State,
}

#[derive(Clone, Debug, Default)]
pub struct State {
    epoch: usize,
    batches: usize,
    /// Name of the current backup's weights.
    weights: Option<String>,
    /// Locked as long as this training may write to the folder.
    lock: Option<Arc<File>>,
}

const METADATA: &str = "training_metadata.json";
/// Empty; its lock tells that a training uses the folder. The system gives it up when a process is killed.
const LOCK: &str = ".lock";

impl BackupAndRestore {
    /// Backs up after every epoch to this folder.
    pub fn new(backup_dir: impl Into<PathBuf>) -> Self {
        Self {
            backup_dir: backup_dir.into(),
            save_freq: SaveFrequency::Epoch,
            delete_checkpoint: true,
            state: State::default(),
        }
    }

    /// Keeps other trainings out of the folder.
    fn lock(&self) -> Result<Arc<File>> {
        let folder = &self.backup_dir;
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let path = folder.join(LOCK);
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true);
        let file = file.open(&path).map_err(|e| Error::io(&path, e))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::value(format!(
                "{}: another training keeps its backups here, expected a folder of its own for each; give another one, or wait for its end",
                folder.display()
            ))),
            // Some network folders have no locks.
            Err(TryLockError::Error(_)) | Ok(()) => Ok(Arc::new(file)),
        }
    }

    fn restore(&mut self, model: &mut Sequential) -> Result<()> {
        let path = self.backup_dir.join(METADATA);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io(path, error)),
        };
        let metadata: Value = serde_json::from_str(&text).map_err(|e| {
            Error::format(
                &path,
                format!("is not JSON: {e}; delete the folder to begin anew"),
            )
        })?;
        let count = |key: &str| {
            metadata
                .get(key)
                .and_then(Value::as_u64)
                .map(|v| v as usize)
        }; // 64-bit hosts
        let Some(epoch) = count("epoch") else {
            return Err(Error::format(
                path,
                "has no \"epoch\", expected a number; delete the folder to begin anew",
            ));
        };
        // Keras' own backups have this one name.
        let weights = metadata
            .get("weights")
            .and_then(Value::as_str)
            .unwrap_or("latest.weights.h5");
        if weights.contains(['/', '\\']) {
            return Err(Error::format(
                path,
                format!("names the weights {weights:?}, expected a file in the same folder"),
            ));
        }
        model.load_weights(self.backup_dir.join(weights))?;
        if let Some(seed) = metadata.get("seed").and_then(Value::as_u64) {
            model.set_training_seed(seed);
        }
        self.remove_weights(Some(weights));
        self.state.weights = Some(weights.to_string());
        let batch = match metadata.get("weights") {
            Some(_) => count("batch").unwrap_or(0),
            None => 0,
        };
        model.resume_at(epoch, batch);
        if metadata.get("stopping") == Some(&Value::Bool(true)) {
            model.stop_training();
        }
        let states = metadata.get("callbacks").and_then(Value::as_array);
        model.set_callback_states(states.cloned().unwrap_or_default());
        Ok(())
    }

    /// Saves a backup from which the training goes on at this batch of this epoch.
    fn save(&mut self, model: &Sequential, epoch: usize, batch: usize) -> Result<()> {
        fs::create_dir_all(&self.backup_dir).map_err(|e| Error::io(&self.backup_dir, e))?;
        let name = format!("epoch_{epoch}_batch_{batch}.weights.h5");
        model.save_weights(self.backup_dir.join(&name))?;
        let metadata = json!({"epoch": epoch, "batch": batch, "weights": name,
            "seed": model.training_seed(), "stopping": model.is_stopping(),
            "callbacks": model.callback_states()});
        atomic_file::write_bytes(
            &self.backup_dir.join(METADATA),
            metadata.to_string().as_bytes(),
        )?;
        self.remove_weights(Some(&name));
        self.state.weights = Some(name);
        Ok(())
    }

    /// Removes the weights of backups, and what a killed process left of them.
    fn remove_weights(&self, except: Option<&str>) {
        let entries = fs::read_dir(&self.backup_dir).into_iter().flatten();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let ours = self.state.weights.as_deref() == Some(&*name)
                || name.trim_start_matches('.').starts_with("epoch_") && name.contains("_batch_");
            if ours && except != Some(&*name) {
                // No training ends for an old backup that stays.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Callback for BackupAndRestore {
    fn uses_batches(&self) -> bool {
        self.save_freq != SaveFrequency::Epoch
    }

    fn keeps_states(&self) -> bool {
        true
    }

    fn on_train_begin(&mut self, model: &mut Sequential) -> Result<()> {
        self.state = State::default();
        self.state.lock = Some(self.lock()?);
        self.restore(model)
    }

    fn on_epoch_begin(&mut self, _model: &mut Sequential, epoch: usize) -> Result<()> {
        self.state.epoch = epoch;
        Ok(())
    }

    fn on_train_batch_end(
        &mut self,
        model: &mut Sequential,
        batch: usize,
        _logs: &Logs,
    ) -> Result<()> {
        let SaveFrequency::Batches(every) = self.save_freq else {
            return Ok(());
        };
        self.state.batches += 1;
        if self.state.batches < every {
            return Ok(());
        }
        self.state.batches = 0;
        self.save(model, self.state.epoch, batch + 1)
    }

    fn on_epoch_end(
        &mut self,
        model: &mut Sequential,
        epoch: usize,
        _logs: &mut Logs,
    ) -> Result<()> {
        match self.save_freq {
            SaveFrequency::Epoch => self.save(model, epoch + 1, 0),
            SaveFrequency::Batches(_) => Ok(()),
        }
    }

    fn on_train_end(&mut self, model: &mut Sequential, _logs: &Logs) -> Result<()> {
        let lock = self.state.lock.take();
        // What was interrupted may go on.
        if !self.delete_checkpoint || model.was_interrupted() {
            return Ok(());
        }
        // The position first: weights without one are never read.
        let path = self.backup_dir.join(METADATA);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(path, error));
            }
            Ok(()) | Err(_) => {}
        }
        self.remove_weights(None);
        self.state.weights = None;
        let _ = fs::remove_file(self.backup_dir.join(LOCK));
        drop(lock);
        // The folder stays when it holds something else.
        let _ = fs::remove_dir(&self.backup_dir);
        Ok(())
    }
}
