//! JSON files that a user gives.

use std::path::Path;

use serde_json::Value;
use thumbnet_trainer::{Error, FormatKind, input};

use super::Outcome;

/// What a file of JSON holds; an error names the line.
pub fn read_json(path: &Path) -> Outcome<Value> {
    let value = serde_json::from_slice(&input::read(path)?).map_err(|error| {
        let reason = error.to_string();
        // It ends in its place, which comes first here.
        let reason = reason.split(" at line ").next().unwrap_or_default();
        Error::Format {
            path: path.to_path_buf(),
            line: Some(error.line() as u64),
            kind: FormatKind::Corrupt,
            message: format!("column {}: {reason}, expected JSON", error.column()),
        }
    })?;
    Ok(value)
}
