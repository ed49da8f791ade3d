//! What `thumbnet export` says about a model: as HTML, as JSON.

use std::path::{Path, PathBuf};

use thumbnet_trainer::{atomic_file, quantize::Report};

use super::{Failure, Outcome, models::has_extension};

/// Refuses names that say nothing about the format, and places that cannot be written.
pub fn check(paths: &[PathBuf]) -> Outcome {
    for path in paths {
        if !has_extension(path, &["html", "htm", "json"]) {
            return Err(Failure::usage(format!(
                "{}: the name says nothing about the format, expected one that ends in .html or .json",
                path.display()
            )));
        }
        atomic_file::check(path)?;
    }
    Ok(())
}

/// Writes the report on the blob called `name` as HTML or JSON, by the file's name.
pub fn write(path: &Path, report: &Report, name: &str) -> Outcome {
    let mut text = if has_extension(path, &["json"]) {
        serde_json::to_string_pretty(report).expect("a tree of numbers and names is JSON")
    } else {
        report.to_html(name)
    };
    text.push('\n');
    atomic_file::write_bytes(path, text.as_bytes())?;
    Ok(())
}
