//! What the README and the examples say to do, done as it is written.

use std::{fs, path::Path, process::Command};

use thumbnet_tests::{command::binary, iris};

/// The blocks of shell commands of a text, those that are thumbnet's.
fn blocks(text: &str) -> Vec<&str> {
    text.split("\n```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .filter(|block| {
            let mut commands = block.lines().filter(|line| !line.starts_with('#'));
            commands.all(|line| line.starts_with("thumbnet "))
        })
        .collect()
}

#[test]
#[cfg(unix)]
fn every_command_of_the_readme_runs_as_it_is_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("README.md")).unwrap();
    let folder = iris::folder();
    fs::copy(
        folder.path().join("iris.csv"),
        folder.path().join("more.csv"),
    )
    .unwrap();
    let bin = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(binary(), bin.path().join("thumbnet")).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", bin.path().display());
    let blocks = blocks(&text);
    assert!(blocks.len() >= 4, "{blocks:?}");
    for block in blocks {
        for line in block.lines().filter(|line| line.starts_with("thumbnet ")) {
            let done = Command::new("sh")
                .args(["-e", "-c", line])
                .current_dir(folder.path())
                .env("PATH", &path)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&done.stderr);
            let wrong = said.lines().any(|line| line.starts_with("error"));
            assert!(done.status.success() && !wrong, "{line}\n{said}");
        }
    }
}

#[test]
fn blocks_are_those_of_thumbnet() {
    let text = "a\n```sh\ncargo install x\n```\n```sh\n# first\nthumbnet a\nthumbnet b | head -3\n```\n```text\nthumbnet c\n```\n";
    assert_eq!(blocks(text), ["# first\nthumbnet a\nthumbnet b | head -3"]);
}

#[path = "../../trainer/examples/anomaly.rs"]
mod anomaly;
#[path = "../../trainer/examples/iris.rs"]
mod iris_flowers;
#[path = "../../trainer/examples/keras_file.rs"]
mod keras_file;
#[path = "../../trainer/examples/own_loop.rs"]
mod own_loop;
#[path = "../../trainer/examples/regression.rs"]
mod regression;

#[test]
fn the_examples_run() {
    anomaly::main().unwrap();
    iris_flowers::main().unwrap();
    keras_file::main().unwrap();
    own_loop::main().unwrap();
    regression::main().unwrap();
}
