//! A folder with iris in it, and commands that are run there.

use std::{fs, path::Path};

use crate::command::{Finished, thumbnet};

/// A folder with `iris.csv`, text labels in place of numbers.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/data/iris.csv");
    let text = fs::read_to_string(data).unwrap();
    fs::write(folder.path().join("numbers.csv"), &text).unwrap();
    let named: Vec<String> = text
        .lines()
        .map(|line| match line.rsplit_once(',').unwrap() {
            (cells, "0") => format!("{cells},setosa"),
            (cells, "1") => format!("{cells},versicolor"),
            (cells, "2") => format!("{cells},virginica"),
            _ => line.to_string(),
        })
        .collect();
    fs::write(folder.path().join("iris.csv"), named.join("\r\n")).unwrap();
    folder
}

/// Runs a line of words.
pub fn run(folder: &Path, line: &str) -> Finished {
    thumbnet(folder, line.split_whitespace())
}

/// A quick training that all of iris takes part in.
pub const TRAIN: &str = "train --data iris.csv --layers 8:relu,3:softmax --epochs 40 --batch-size 8 --learning-rate 0.01 --verbose 0";

/// [`folder`] with model.h5, trained so, and model.tnet of it.
pub fn models() -> tempfile::TempDir {
    let folder = folder();
    let path = folder.path();
    run(path, &format!("{TRAIN} --output model.h5")).ok();
    run(
        path,
        "export model.h5 --calibrate iris.csv --output model.tnet",
    )
    .ok();
    folder
}

/// Names of the files in a folder, in order.
pub fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
