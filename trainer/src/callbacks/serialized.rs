//! Callbacks from Keras' arguments: `{"class_name": "EarlyStopping", "config": {"patience": 3}}`.

use serde_json::Value;

use super::{
    BackupAndRestore, CSVLogger, Callback, Direction, EarlyStopping, LearningRateScheduler,
    ModelCheckpoint, ReduceLROnPlateau, SaveFrequency, TerminateOnNaN,
};
use crate::keras::{Object, folded, unknown};
use crate::{Error, Result};

type Reader = fn(&Object) -> Result<Box<dyn Callback>>;

/// Every callback that a file can name: its class, and how its arguments are read.
const CALLBACKS: [(&str, Reader); 7] = [
    ("EarlyStopping", |object| boxed(early_stopping(object))),
    ("ReduceLROnPlateau", |object| {
        boxed(reduce_lr_on_plateau(object))
    }),
    ("LearningRateScheduler", learning_rate_scheduler),
    ("ModelCheckpoint", |object| boxed(model_checkpoint(object))),
    ("CSVLogger", |object| boxed(csv_logger(object))),
    ("TerminateOnNaN", |object| boxed(terminate_on_nan(object))),
    ("BackupAndRestore", |object| {
        boxed(backup_and_restore(object))
    }),
];

fn boxed<C: Callback + 'static>(callback: Result<C>) -> Result<Box<dyn Callback>> {
    callback.map(|callback| Box::new(callback) as Box<dyn Callback>)
}

/// A callback of Keras by its class name and arguments, with Keras' defaults.
///
/// A schedule cannot be written down as Python's function: `LearningRateScheduler` takes
/// `"schedule": [0.1, 0.05, ..]`, the learning rate of each epoch, of which the last one stays.
///
/// # Errors
///
/// [`Error::Value`] for an unknown name or argument, or an argument of another type.
pub fn from_config(value: &Value) -> Result<Box<dyn Callback>> {
    let object = Object::parse_builtin(value, "callback")?
        .ok_or_else(|| Error::value("callback is null, expected a name or an object"))?;
    let known = CALLBACKS
        .iter()
        .find(|(name, _)| folded(name) == folded(object.class_name));
    match known {
        Some((_, read)) => read(&object),
        None => {
            let names = CALLBACKS.map(|(name, _)| name);
            Err(unknown("callback", object.class_name, &names))
        }
    }
}

fn terminate_on_nan(object: &Object) -> Result<TerminateOnNaN> {
    check_keys(object, &["raise_error"])?;
    Ok(TerminateOnNaN {
        raise_error: object.flag_or("raise_error", false)?,
    })
}

fn early_stopping(object: &Object) -> Result<EarlyStopping> {
    check_keys(
        object,
        &[
            "monitor",
            "min_delta",
            "patience",
            "verbose",
            "mode",
            "baseline",
            "restore_best_weights",
            "start_from_epoch",
        ],
    )?;
    Ok(EarlyStopping {
        min_delta: object.number_or("min_delta", 0.0)?,
        patience: count(object, "patience", 0)?,
        verbose: verbose(object)?,
        mode: mode(object)?,
        baseline: object.number("baseline")?,
        restore_best_weights: object.flag_or("restore_best_weights", false)?,
        start_from_epoch: count(object, "start_from_epoch", 0)?,
        ..EarlyStopping::new(object.text_or("monitor", "val_loss")?)
    })
}

fn reduce_lr_on_plateau(object: &Object) -> Result<ReduceLROnPlateau> {
    check_keys(
        object,
        &[
            "monitor",
            "factor",
            "patience",
            "verbose",
            "mode",
            "min_delta",
            "cooldown",
            "min_lr",
        ],
    )?;
    Ok(ReduceLROnPlateau {
        factor: object.number_or("factor", 0.1)?,
        patience: count(object, "patience", 10)?,
        verbose: verbose(object)?,
        mode: mode(object)?,
        min_delta: object.number_or("min_delta", 1e-4)?,
        cooldown: count(object, "cooldown", 0)?,
        min_lr: object.number_or("min_lr", 0.0)?,
        ..ReduceLROnPlateau::new(object.text_or("monitor", "val_loss")?)
    })
}

fn learning_rate_scheduler(object: &Object) -> Result<Box<dyn Callback>> {
    check_keys(object, &["schedule", "verbose"])?;
    let bad = |value: &Value| {
        object.bad(
            "schedule",
            value,
            "the learning rate of each epoch, such as [0.1, 0.05]",
        )
    };
    let value = object.get("schedule").unwrap_or(&Value::Null);
    let rates: Option<Vec<f64>> = value
        .as_array()
        .and_then(|rates| rates.iter().map(Value::as_f64).collect());
    let rates = rates.ok_or_else(|| bad(value))?;
    let last = *rates.last().ok_or_else(|| bad(value))?;
    let schedule = move |epoch: usize, _| rates.get(epoch).copied().unwrap_or(last);
    Ok(Box::new(LearningRateScheduler {
        schedule,
        verbose: verbose(object)?,
    }))
}

fn model_checkpoint(object: &Object) -> Result<ModelCheckpoint> {
    check_keys(
        object,
        &[
            "filepath",
            "monitor",
            "verbose",
            "save_best_only",
            "save_weights_only",
            "mode",
            "save_freq",
            "initial_value_threshold",
        ],
    )?;
    Ok(ModelCheckpoint {
        monitor: object.text_or("monitor", "val_loss")?.to_string(),
        verbose: verbose(object)?,
        save_best_only: object.flag_or("save_best_only", false)?,
        save_weights_only: object.flag_or("save_weights_only", false)?,
        mode: mode(object)?,
        save_freq: save_frequency(object)?,
        initial_value_threshold: object.number("initial_value_threshold")?,
        ..ModelCheckpoint::new(path(object, "filepath")?)
    })
}

fn csv_logger(object: &Object) -> Result<CSVLogger> {
    check_keys(object, &["filename", "separator", "append"])?;
    let mut logger = CSVLogger::new(path(object, "filename")?);
    let separator = object.text_or("separator", ",")?;
    let mut characters = separator.chars();
    logger.separator = match (characters.next(), characters.next()) {
        (Some(character), None) => character,
        _ => {
            return Err(object.bad("separator", &separator.into(), "one character"));
        }
    };
    logger.append = object.flag_or("append", false)?;
    Ok(logger)
}

fn backup_and_restore(object: &Object) -> Result<BackupAndRestore> {
    check_keys(object, &["backup_dir", "save_freq", "delete_checkpoint"])?;
    Ok(BackupAndRestore {
        save_freq: save_frequency(object)?,
        delete_checkpoint: object.flag_or("delete_checkpoint", true)?,
        ..BackupAndRestore::new(path(object, "backup_dir")?)
    })
}

fn check_keys(object: &Object, known: &[&str]) -> Result<()> {
    let keys = object.config.into_iter().flat_map(|config| config.keys());
    for key in keys {
        if !known.contains(&key.as_str()) {
            return Err(Error::value(format!(
                "callback {} has no argument {key:?}, expected some of {}",
                object.class_name,
                known.join(", ")
            )));
        }
    }
    Ok(())
}

fn count(object: &Object, key: &str, default: usize) -> Result<usize> {
    let count = object.integer(key)?;
    Ok(count.map_or(default, |count| count as usize)) // 64-bit hosts
}

fn verbose(object: &Object) -> Result<u8> {
    Ok(object.integer("verbose")?.unwrap_or(0).min(2) as u8) // at most 2
}

fn mode(object: &Object) -> Result<Direction> {
    match object.text_or("mode", "auto")? {
        "auto" => Ok(Direction::Auto),
        "min" => Ok(Direction::Min),
        "max" => Ok(Direction::Max),
        other => Err(object.bad("mode", &other.into(), "auto, min or max")),
    }
}

fn save_frequency(object: &Object) -> Result<SaveFrequency> {
    match object.get("save_freq") {
        None => Ok(SaveFrequency::Epoch),
        Some(value) if value == "epoch" => Ok(SaveFrequency::Epoch),
        Some(value) => match value.as_u64() {
            Some(batches) if batches > 0 => Ok(SaveFrequency::Batches(batches as usize)), // 64-bit hosts
            _ => Err(object.bad("save_freq", value, "\"epoch\" or a number of batches")),
        },
    }
}

fn path<'a>(object: &Object<'a>, key: &str) -> Result<&'a str> {
    let value = object.get(key).unwrap_or(&Value::Null);
    value
        .as_str()
        .ok_or_else(|| object.bad(key, value, "a path"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(value: Value) -> String {
        from_config(&value).err().unwrap().to_string()
    }

    #[test]
    fn what_is_no_callback_is_named() {
        assert_eq!(
            error(json!("EarlyStoping")),
            "unknown callback \"EarlyStoping\", expected one of EarlyStopping, ReduceLROnPlateau, LearningRateScheduler, ModelCheckpoint, CSVLogger, TerminateOnNaN, BackupAndRestore"
        );
        assert_eq!(
            error(json!({"class_name": "TerminateOnNaN", "config": {"patience": 1}})),
            "callback TerminateOnNaN has no argument \"patience\", expected some of raise_error"
        );
        assert_eq!(
            error(json!({"class_name": "EarlyStopping", "config": {"mode": "up"}})),
            "mode of callback EarlyStopping is \"up\", expected auto, min or max"
        );
        assert_eq!(
            error(json!({"class_name": "CSVLogger", "config": {}})),
            "filename of callback CSVLogger is null, expected a path"
        );
        assert_eq!(
            error(json!({"class_name": "LearningRateScheduler", "config": {"schedule": []}})),
            "schedule of callback LearningRateScheduler is [], expected the learning rate of each epoch, such as [0.1, 0.05]"
        );
        assert_eq!(
            error(
                json!({"class_name": "ModelCheckpoint", "config": {"filepath": "a.h5", "save_freq": 0}})
            ),
            "save_freq of callback ModelCheckpoint is 0, expected \"epoch\" or a number of batches"
        );
    }

    #[test]
    fn arguments_and_defaults_are_keras_own() {
        let object = json!({"class_name": "EarlyStopping", "config": {"patience": 3, "mode": "max",
            "baseline": 0.5, "min_delta": 0.01, "start_from_epoch": 2, "restore_best_weights": true}});
        let stopping =
            early_stopping(&Object::parse_builtin(&object, "callback").unwrap().unwrap());
        let stopping = stopping.unwrap();
        assert_eq!(
            (stopping.monitor.as_str(), stopping.patience, stopping.mode),
            ("val_loss", 3, Direction::Max)
        );
        assert_eq!((stopping.baseline, stopping.min_delta), (Some(0.5), 0.01));
        assert!(stopping.restore_best_weights && stopping.start_from_epoch == 2);
        let object = json!("reduce_lr_on_plateau");
        let plateau =
            reduce_lr_on_plateau(&Object::parse_builtin(&object, "callback").unwrap().unwrap());
        let plateau = plateau.unwrap();
        assert_eq!(
            (plateau.factor, plateau.patience, plateau.min_delta),
            (0.1, 10, 1e-4)
        );
    }
}
