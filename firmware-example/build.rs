//! Chooses the board's memory layout, and turns the model into constants once it is verified:
//! firmware with a damaged model does not compile.
//!
//! | variable | default | what |
//! |---|---|---|
//! | `THUMBNET_BOARD` | `mps2-an386` | a layout in `memory/` |
//! | `THUMBNET_MODEL` | `digits.tnet` | the model that the demo predicts with |
//! | `THUMBNET_ROWS` | `digits.csv` | its inputs: a header, features, the label in the last column |

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use thumbnet_runtime::Model;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it for build scripts"));
    let done = embed(&out).and_then(|()| match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("none") => link(&out),
        _ => Ok(()),
    });
    if let Err(message) = done {
        println!("cargo::error={message}");
    }
}

/// The value of a variable, such that a change of it runs this script again.
fn variable(name: &str, default: &str) -> String {
    println!("cargo:rerun-if-env-changed={name}");
    env::var(name).unwrap_or_else(|_| default.into())
}

/// Puts the board's `memory.x` where the linker looks for it.
fn link(out: &Path) -> Result<(), String> {
    println!("cargo:rerun-if-changed=memory");
    let board = variable("THUMBNET_BOARD", "mps2-an386");
    let layout = Path::new("memory").join(&board).with_extension("x");
    fs::copy(&layout, out.join("memory.x")).map_err(|error| {
        format!(
            "THUMBNET_BOARD={board}: {}: {error}; write the board's memory layout there",
            layout.display()
        )
    })?;
    println!("cargo:rustc-link-search={}", out.display());
    // Without --nmagic a page-aligned segment header would reach below the start of the flash.
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    if env::var_os("CARGO_FEATURE_LOG").is_some() {
        println!("cargo:rustc-link-arg-bin=demo=-Tdefmt.x");
    }
    Ok(())
}

/// Writes `model.rs` and `rows.rs`, which the demo includes.
fn embed(out: &Path) -> Result<(), String> {
    let path = variable("THUMBNET_MODEL", "digits.tnet");
    thumbnet_build::try_embed_as("model", &path).map_err(|error| error.to_string())?;
    let blob = fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let model = Model::<16>::from_bytes(&blob).map_err(|error| format!("{path}: {error}"))?;
    let mut scratch = vec![0; model.scratch_len()];
    let mut outputs = vec![0.0; model.outputs()];

    let rows_path = variable("THUMBNET_ROWS", "digits.csv");
    println!("cargo:rerun-if-changed={rows_path}");
    let mut expected = String::new();
    let rows = rows(&rows_path, model.inputs())?;
    for row in &rows {
        model
            .predict(&row.features, &mut scratch, &mut outputs)
            .map_err(|error| format!("{rows_path}: {error}"))?;
        let bits: Vec<u32> = outputs.iter().map(|y| y.to_bits()).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(expected, "    {bits:?},");
    }

    let count = rows.len();
    let features: Vec<_> = rows.iter().map(|row| &row.features).collect();
    let labels: Vec<_> = rows.iter().map(|row| &row.label).collect();
    let source = format!(
        "\
/// Inputs to predict.
pub static FEATURES: [[f32; {inputs}]; {count}] = {features:?};
/// The true class of each row.
pub static LABELS: [&str; {count}] = {labels:?};
/// The bits of the outputs on the machine that this was built on.
pub static EXPECTED: [[u32; {outputs}]; {count}] = [
{expected}];
",
        inputs = model.inputs(),
        outputs = model.outputs(),
    );
    let path = out.join("rows.rs");
    fs::write(&path, source).map_err(|error| format!("{}: {error}", path.display()))
}

/// A line of the rows' file.
struct Row {
    features: Vec<f32>,
    label: String,
}

fn rows(path: &str, inputs: usize) -> Result<Vec<Row>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let numbered = text.lines().zip(1..).skip(1);
    numbered
        .map(|(line, number)| {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let [features @ .., label] = &fields[..] else {
                return Err(format!("{path}:{number}: empty line; remove it"));
            };
            if features.len() != inputs {
                return Err(format!(
                    "{path}:{number}: {} features, expected {inputs} and a label as the model has inputs",
                    features.len()
                ));
            }
            let parse = |field: &&str| match field.parse::<f32>() {
                Ok(value) if value.is_finite() => Ok(value),
                _ => Err(format!("{path}:{number}: \"{field}\" is not a finite number")),
            };
            Ok(Row {
                features: features.iter().map(parse).collect::<Result<_, _>>()?,
                label: label.to_string(),
            })
        })
        .collect()
}
