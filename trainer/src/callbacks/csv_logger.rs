//! `CSVLogger`: one line of a CSV file per epoch.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::Callback;
use crate::history::{LogValue, Logs};
use crate::{Error, Result, Sequential};

/// Writes the logs of every epoch to a CSV file, as `keras.callbacks.CSVLogger`.
#[derive(Debug)]
pub struct CSVLogger {
    /// The file, begun anew by each training unless `append`.
    pub filename: PathBuf,
    /// Between the fields. Defaults to `,`.
    pub separator: char,
    /// Whether to go on in a file that exists. Defaults to false.
    pub append: bool,
    file: Option<File>,
    header: bool,
    keys: Option<Vec<String>>,
}

impl CSVLogger {
    /// A logger to this file.
    pub fn new(filename: impl Into<PathBuf>) -> Self {
        Self {
            filename: filename.into(),
            separator: ',',
            append: false,
            file: None,
            header: true,
            keys: None,
        }
    }

    fn line(&mut self, fields: impl Iterator<Item = String>) -> Result<()> {
        let separator = self.separator.to_string();
        let quote = |field: String| {
            if field.contains([self.separator, '"', '\n', '\r']) {
                format!("\"{}\"", field.replace('"', "\"\""))
            } else {
                field
            }
        };
        let fields: Vec<_> = fields.map(quote).collect();
        // Python's csv module ends lines so.
        let line = fields.join(&separator) + "\r\n";
        match &mut self.file {
            Some(file) => file
                .write_all(line.as_bytes())
                .and_then(|()| file.flush())
                .map_err(|e| Error::io(&self.filename, e)),
            None => Ok(()),
        }
    }
}

/// As Python's csv module writes the value.
fn field(value: Option<&LogValue>) -> String {
    let number = |value: &f64| match value {
        value if value.is_nan() => "nan".to_string(),
        value if value.is_infinite() => if *value > 0.0 { "inf" } else { "-inf" }.to_string(),
        value => super::learning_rate::python_float(*value),
    };
    match value {
        None => "NA".to_string(),
        Some(LogValue::Number(value)) => number(value),
        Some(LogValue::Numbers(values)) => {
            format!(
                "\"[{}]\"",
                values.iter().map(number).collect::<Vec<_>>().join(", ")
            )
        }
    }
}

impl Callback for CSVLogger {
    fn uses_batches(&self) -> bool {
        false
    }

    fn on_train_begin(&mut self, _model: &mut Sequential) -> Result<()> {
        let io = |e| Error::io(&self.filename, e);
        self.keys = None;
        self.header = true;
        self.file = Some(if self.append {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&self.filename)
                .map_err(io)?;
            self.header = file.metadata().map_err(io)?.len() == 0;
            file
        } else {
            File::create(&self.filename).map_err(io)?
        });
        Ok(())
    }

    /// The length of the file, and its columns.
    fn state(&self) -> Option<Value> {
        let length = self.file.as_ref()?.metadata().ok()?.len();
        Some(json!({"csv_logger": {"length": length, "keys": self.keys}}))
    }

    fn on_train_resume(&mut self, model: &mut Sequential, state: &Value) -> Result<()> {
        let state = &state["csv_logger"];
        let io = |e| Error::io(&self.filename, e);
        let file = OpenOptions::new().append(true).open(&self.filename);
        let (Ok(file), Some(length)) = (file, state["length"].as_u64()) else {
            return self.on_train_begin(model);
        };
        // Lines of epochs that will be trained once more.
        if file.metadata().map_err(io)?.len() > length {
            file.set_len(length).map_err(io)?;
        }
        self.header = length == 0;
        let keys = state["keys"].as_array();
        let text = |key: &Value| key.as_str().map(str::to_string);
        self.keys = keys.and_then(|keys| keys.iter().map(text).collect());
        self.file = Some(file);
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        _model: &mut Sequential,
        epoch: usize,
        logs: &mut Logs,
    ) -> Result<()> {
        if self.keys.is_none() {
            let mut keys: Vec<_> = logs.names().map(str::to_string).collect();
            keys.sort_unstable();
            // A first epoch without validation still leaves room for later ones.
            if !keys.iter().any(|key| key.starts_with("val_")) {
                let validation: Vec<_> = keys.iter().map(|key| format!("val_{key}")).collect();
                keys.extend(validation);
            }
            if self.header {
                self.line(std::iter::once("epoch".to_string()).chain(keys.clone()))?;
            }
            self.keys = Some(keys);
        }
        let keys = self.keys.clone().unwrap_or_default();
        let values = keys.iter().map(|key| field(logs.value(key)));
        self.line(std::iter::once(epoch.to_string()).chain(values))
    }

    fn on_train_end(&mut self, _model: &mut Sequential, _logs: &Logs) -> Result<()> {
        self.file = None;
        Ok(())
    }
}
