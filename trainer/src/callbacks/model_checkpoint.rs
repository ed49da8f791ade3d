//! `ModelCheckpoint`: the model, or its weights, saved during training.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Callback;
use super::monitor::{Direction, Monitor};
use crate::history::Logs;
use crate::{Error, Result, Sequential};

/// When a checkpoint is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveFrequency {
    /// After every epoch.
    Epoch,
    /// After this many batches, counted over epochs.
    Batches(usize),
}

/// Saves the model as training goes on. Each file appears whole or not at all.
///
/// The path may hold Python's fields: `"best.keras"`, `"{epoch:02d}-{val_loss:.3f}.weights.h5"`.
#[derive(Clone, Debug)]
pub struct ModelCheckpoint {
    /// Ends in `.keras` or `.h5`, or in `.weights.h5` with `save_weights_only`.
    pub filepath: String,
    /// Defaults to `val_loss`.
    pub monitor: String,
    /// Whether to say so. Defaults to 0, silent.
    pub verbose: u8,
    /// Whether only a better value saves. Defaults to false.
    pub save_best_only: bool,
    /// Weights and optimizer without the architecture. Defaults to false.
    pub save_weights_only: bool,
    /// Which way is better. Defaults to the metric's own.
    pub mode: Direction,
    /// Defaults to every epoch.
    pub save_freq: SaveFrequency,
    /// A value to be better than at first. Defaults to none.
    pub initial_value_threshold: Option<f64>,
    #[doc(hidden)]
    pub state: State,
}

#[derive(Clone, Debug)]
pub struct State {
    monitor: Monitor,
    epoch: usize,
    batches: usize,
}

impl ModelCheckpoint {
    /// Saves after every epoch to this path.
    pub fn new(filepath: impl Into<String>) -> Self {
        Self {
            filepath: filepath.into(),
            monitor: "val_loss".to_string(),
            verbose: 0,
            save_best_only: false,
            save_weights_only: false,
            mode: Direction::Auto,
            save_freq: SaveFrequency::Epoch,
            initial_value_threshold: None,
            state: State {
                monitor: Monitor::new("", Direction::Auto, 0.0),
                epoch: 0,
                batches: 0,
            },
        }
    }

    /// The same, saving only when `monitor` is better than before.
    pub fn best_of(self, monitor: impl Into<String>) -> Self {
        Self {
            monitor: monitor.into(),
            save_best_only: true,
            ..self
        }
    }

    fn save(&mut self, model: &Sequential, batch: Option<usize>, logs: &Logs) -> Result<()> {
        let epoch = self.state.epoch + 1;
        let path = format_path(&self.filepath, epoch, batch.map(|batch| batch + 1), logs)?;
        if !self.should_save(model, epoch, logs, &path) {
            return Ok(());
        }
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        match self.save_weights_only {
            true => model.save_weights(&path)?,
            false => model.save(&path)?,
        }
        if self.verbose > 0 {
            model.print(&format!(
                "\nEpoch {epoch}: finished saving model to {}\n",
                path.display()
            ));
        }
        Ok(())
    }

    fn should_save(&mut self, model: &Sequential, epoch: usize, logs: &Logs, path: &Path) -> bool {
        let say = |text: String| {
            if self.verbose > 0 {
                model.print(&text);
            }
        };
        if !self.save_best_only {
            say(format!(
                "\nEpoch {epoch}: saving model to {}\n",
                path.display()
            ));
            return true;
        }
        let monitor = &mut self.state.monitor;
        // Keras saves rather than to lose a model for want of the value.
        let Some(current) = monitor.value("ModelCheckpoint", model, logs) else {
            return true;
        };
        let best = monitor
            .best
            .map_or("None".to_string(), |best| format!("{best:.5}"));
        let better = monitor.is_better(current, monitor.best);
        let name = &self.monitor;
        if better {
            say(format!(
                "\nEpoch {epoch}: {name} improved from {best} to {current:.5}, saving model to {}\n",
                path.display()
            ));
            monitor.best = Some(current);
        } else {
            say(format!(
                "\nEpoch {epoch}: {name} did not improve from {best}\n"
            ));
        }
        better
    }
}

impl Callback for ModelCheckpoint {
    fn uses_batches(&self) -> bool {
        self.save_freq != SaveFrequency::Epoch
    }

    fn on_train_begin(&mut self, _model: &mut Sequential) -> Result<()> {
        let expected = match self.save_weights_only {
            true => self.filepath.ends_with(".weights.h5"),
            false => {
                let whole = self.filepath.ends_with(".keras") || self.filepath.ends_with(".h5");
                whole && !self.filepath.ends_with(".weights.h5")
            }
        };
        if !expected {
            return Err(Error::value(format!(
                "ModelCheckpoint: the path {:?} does not fit, expected an end of .keras or .h5, or of .weights.h5 to save weights only",
                self.filepath
            )));
        }
        // The best value is kept from one `fit` to the next, as Keras does.
        let best = self.state.monitor.best.or(self.initial_value_threshold);
        self.state.monitor = Monitor::new(&self.monitor, self.mode, 0.0);
        self.state.monitor.best = best;
        Ok(())
    }

    fn state(&self) -> Option<Value> {
        Some(json!({"model_checkpoint": {
            "batches": self.state.batches,
            "best": self.state.monitor.best_bits(),
        }}))
    }

    fn on_train_resume(&mut self, model: &mut Sequential, state: &Value) -> Result<()> {
        self.on_train_begin(model)?;
        let state = &state["model_checkpoint"];
        self.state.batches = state["batches"].as_u64().map_or(0, |n| n as usize); // 64-bit hosts
        if let Some(best) = state["best"].as_u64() {
            self.state.monitor.best = Some(f64::from_bits(best));
        }
        Ok(())
    }

    fn on_epoch_begin(&mut self, _model: &mut Sequential, epoch: usize) -> Result<()> {
        self.state.epoch = epoch;
        Ok(())
    }

    fn on_train_batch_end(
        &mut self,
        model: &mut Sequential,
        batch: usize,
        logs: &Logs,
    ) -> Result<()> {
        let SaveFrequency::Batches(every) = self.save_freq else {
            return Ok(());
        };
        self.state.batches += 1;
        if self.state.batches < every {
            return Ok(());
        }
        self.state.batches = 0;
        if self.save_best_only {
            self.state.monitor.resolve("ModelCheckpoint", model, logs)?;
        }
        self.save(model, Some(batch), logs)
    }

    fn on_epoch_end(
        &mut self,
        model: &mut Sequential,
        _epoch: usize,
        logs: &mut Logs,
    ) -> Result<()> {
        if self.save_best_only {
            self.state.monitor.resolve("ModelCheckpoint", model, logs)?;
        }
        match self.save_freq {
            SaveFrequency::Epoch => self.save(model, None, logs),
            SaveFrequency::Batches(_) => Ok(()),
        }
    }
}

/// Fills Python's fields in: `{epoch}`, `{epoch:02d}`, `{val_loss:.3f}`, `{batch:d}`.
fn format_path(template: &str, epoch: usize, batch: Option<usize>, logs: &Logs) -> Result<PathBuf> {
    let mut path = String::new();
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        path += &rest[..start];
        let field = &rest[start..];
        if let Some(after) = field.strip_prefix("{{").or(field.strip_prefix("}}")) {
            path.push_str(&field[..1]);
            rest = after;
            continue;
        }
        let inside = field
            .strip_prefix('{')
            .and_then(|inside| inside.split_once('}'));
        let Some((inside, after)) = inside else {
            return Err(Error::value(format!(
                "path {template:?} has a brace without its other half, expected fields such as {{epoch:02d}}"
            )));
        };
        let (name, spec) = inside.split_once(':').unwrap_or((inside, ""));
        let text = match name {
            "epoch" => integer(epoch, spec),
            "batch" if batch.is_some() => integer(batch.unwrap_or_default(), spec),
            name => match logs.get(name) {
                Some(value) => float(value, spec),
                None => {
                    let names: Vec<_> = logs.names().collect();
                    return Err(Error::value(format!(
                        "path {template:?} has a field {name:?}, which is not among the logs: {}",
                        names.join(", ")
                    )));
                }
            },
        };
        path += &text.ok_or_else(|| {
            Error::value(format!(
                "path {template:?}: the format {spec:?} of {name:?} is not one of d, f and e with width and precision, such as 02d or .3f"
            ))
        })?;
        rest = after;
    }
    Ok(PathBuf::from(path + rest))
}

/// Whether to fill with zeros, the width, the precision and the letter of a format.
fn parse_spec(spec: &str) -> Option<(bool, usize, Option<usize>, char)> {
    let letter = spec.chars().last().filter(char::is_ascii_alphabetic);
    let spec = spec
        .strip_suffix(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(spec);
    let (width, precision) = match spec.split_once('.') {
        Some((width, precision)) => (width, Some(precision.parse().ok()?)),
        None => (spec, None),
    };
    let width_value = if width.is_empty() {
        0
    } else {
        width.parse().ok()?
    };
    Some((
        width.starts_with('0'),
        width_value,
        precision,
        letter.unwrap_or(' '),
    ))
}

fn integer(value: usize, spec: &str) -> Option<String> {
    match parse_spec(spec)? {
        (true, width, None, ' ' | 'd') => Some(format!("{value:0width$}")),
        (false, width, None, ' ' | 'd') => Some(format!("{value:width$}")),
        _ => None,
    }
}

fn float(value: f64, spec: &str) -> Option<String> {
    let (zeros, width, precision, letter) = parse_spec(spec)?;
    let text = match (letter, precision) {
        (' ', None) => super::learning_rate::python_float(value),
        ('f', precision) => format!("{value:.*}", precision.unwrap_or(6)),
        ('e', precision) => {
            let text = format!("{value:.*e}", precision.unwrap_or(6));
            let (mantissa, exponent) = text.split_once('e')?;
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        _ => return None,
    };
    Some(match zeros {
        true => format!("{text:0>width$}"),
        false => format!("{text:>width$}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_filled_in_as_python_does() {
        let mut logs = Logs::new();
        logs.set("val_loss", 0.89448);
        let path = |template| format_path(template, 2, Some(14), &logs).unwrap();
        assert_eq!(
            path("m_{epoch:02d}_{val_loss:.3f}.keras"),
            Path::new("m_02_0.894.keras")
        );
        assert_eq!(path("{epoch}-{batch:05d}.h5"), Path::new("2-00014.h5"));
        assert_eq!(
            path("{{{epoch:3d}}}-{val_loss:.1e}"),
            Path::new("{  2}-8.9e-01")
        );
        assert_eq!(
            format_path("{loss}.h5", 1, None, &logs)
                .unwrap_err()
                .to_string(),
            "path \"{loss}.h5\" has a field \"loss\", which is not among the logs: val_loss"
        );
    }
}
