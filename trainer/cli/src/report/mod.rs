//! Reports: one HTML file each, which needs nothing else.

mod anomalies;
mod answers;
mod chart;
mod curves;
mod layers;
mod page;
mod picture;
mod quantization;
mod run;
mod search;

pub use self::anomalies::{Scored, Watched};
pub use self::curves::Curves;
pub use self::run::Findings;
pub use self::search::{Searched, Tried};

use std::path::{Path, PathBuf};

use thumbnet_trainer::{
    atomic_file,
    error::visible,
    quantize::{DeviceModel, Report},
};

use super::{Failure, Outcome, models::has_extension};

/// Refuses names that say nothing about the format, and places that cannot be written.
pub fn check(paths: &[PathBuf]) -> Outcome {
    let expected =
        "the name says nothing about the format, expected one that ends in .html or .json";
    paths
        .iter()
        .try_for_each(|path| check_name(path, &["html", "htm", "json"], expected))
}

/// As [`check`], for a report that is a page only.
pub fn check_page(path: Option<&PathBuf>) -> Outcome {
    let expected = "a report is an HTML page, expected a name that ends in .html";
    path.map_or(Ok(()), |path| check_name(path, &["html", "htm"], expected))
}

/// As [`check`], for curves.
pub fn check_plot(path: Option<&PathBuf>) -> Outcome {
    let expected = "curves are drawn as SVG, expected a name that ends in .svg; browsers show it, and Inkscape or rsvg-convert make other formats of it";
    path.map_or(Ok(()), |path| check_name(path, &["svg"], expected))
}

/// The name of a file without its folder, which is nobody's business.
pub fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    visible(&name.to_string_lossy())
}

fn check_name(path: &Path, extensions: &[&str], expected: &str) -> Outcome {
    if !has_extension(path, extensions) {
        return Err(Failure::usage(format!("{}: {expected}", path.display())));
    }
    Ok(atomic_file::check(path)?)
}

/// Writes the report on the blob called `name` as HTML or JSON, by the file's name.
pub fn write(path: &Path, report: &Report, device: &DeviceModel, name: &str) -> Outcome {
    let mut text = if has_extension(path, &["json"]) {
        serde_json::to_string_pretty(report).expect("a tree of numbers and names is JSON")
    } else {
        quantization::to_html(report, device, name)?
    };
    text.push('\n');
    atomic_file::write_bytes(path, text.as_bytes())?;
    Ok(())
}

/// Writes the curves of a training as an SVG file.
pub fn write_plot(path: &Path, curves: &Curves) -> Outcome {
    let text = chart::document(&curves.charts());
    Ok(atomic_file::write_bytes(path, text.as_bytes())?)
}
