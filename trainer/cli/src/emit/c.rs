//! A folder that a C project takes as it is.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use ndarray::{ArrayD, Axis};
use thumbnet_boards::library::Library;
use thumbnet_c::{
    HANDLE_LAYERS,
    sources::{EXAMPLES, HEADER},
};
use thumbnet_runtime::cores::{Core, Target};
use thumbnet_trainer::{Error, atomic_file, figures::thousands, quantize::DeviceModel};

use super::{
    super::{Failure, Outcome, console, firmware::features},
    literals, project,
    wrapper::Wrapper,
};

/// Rows of the example.
const ROWS: usize = 3;

/// What is written, and where.
pub struct Folder<'a> {
    pub folder: &'a Path,
    pub libraries: &'a [&'static Core],
    pub wrappers: &'a [Wrapper],
    pub device: &'a DeviceModel,
    pub rows: Option<&'a ArrayD<f32>>,
    /// Name of the model's file.
    pub from: &'a str,
}

/// A library that was built.
pub struct Built {
    pub target: &'static Target,
    archive: PathBuf,
}

/// Builds the libraries, then writes all files.
pub fn write(folder: &Folder) -> Outcome {
    let layers = folder.device.model().layers().len();
    if layers > HANDLE_LAYERS {
        return Err(Failure::usage(format!(
            "the model has {layers} layers with the input's quantization, expected at most {HANDLE_LAYERS} for C; use --emit rust, or train a model of fewer layers"
        )));
    }
    let work = tempfile::tempdir().map_err(|error| Error::io(std::env::temp_dir(), error))?;
    let built = build(folder, work.path())?;
    for (path, text) in files(folder, &built) {
        put(&folder.folder.join(path), text.as_bytes())?;
    }
    for library in &built {
        let bytes =
            fs::read(&library.archive).map_err(|error| Error::io(&library.archive, error))?;
        let own = Path::new("lib").join(Library::name(library.target));
        let others = folder.wrappers.iter();
        let others = others.flat_map(|wrapper| wrapper.folders(library.target));
        for place in [own].into_iter().chain(others) {
            put(&folder.folder.join(place).join("libthumbnet.a"), &bytes)?;
        }
    }
    console::print(&format!(
        "saved {}: {} bytes of flash for the model, libraries for {}\n",
        folder.folder.display(),
        thousands(folder.device.bytes().len()),
        built
            .iter()
            .map(|library| Library::name(library.target))
            .collect::<Vec<_>>()
            .join(", ")
    ))
}

/// Writes a file, in a folder that may have to be made.
fn put(path: &Path, bytes: &[u8]) -> Outcome {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    atomic_file::write_bytes(path, bytes)?;
    Ok(())
}

/// Builds the libraries that can be built here, and says which cannot.
fn build(folder: &Folder, work: &Path) -> Outcome<Vec<Built>> {
    let mut built = Vec::new();
    let mut missing: Vec<String> = Vec::new();
    for target in Library::targets() {
        let wanted = folder.libraries.is_empty()
            || folder
                .libraries
                .iter()
                .any(|core| core.targets.contains(target));
        if !wanted {
            continue;
        }
        let library = Library {
            target,
            features: features(folder.device, target),
        };
        match library.build(work) {
            Ok(archive) => built.push(Built { target, archive }),
            Err(thumbnet_boards::Error::MissingTarget(triple)) => missing.push(triple),
            Err(error) => return Err(error.into()),
        }
    }
    missing.dedup();
    if built.is_empty() {
        return Err(Failure::usage(format!(
            "no library can be built: the Rust targets {0} are not installed; get them with `rustup target add {0}`",
            missing.join(" ")
        )));
    }
    if !missing.is_empty() {
        console::note(&format!(
            "note: no library for {0}: get the Rust targets with `rustup target add {0}` and export again",
            missing.join(" ")
        ));
    }
    Ok(built)
}

/// The text files, by their path in the folder.
fn files(folder: &Folder, built: &[Built]) -> Vec<(PathBuf, String)> {
    let rows = rows(folder);
    let mut files: Vec<(PathBuf, String)> = vec![
        ("thumbnet.h".into(), HEADER.to_string()),
        ("model.h".into(), header(folder.device, folder.from)),
        ("model.c".into(), source(folder.device)),
        ("examples/rows.h".into(), rows.clone()),
        ("Makefile".into(), project::makefile(built)),
        ("README.txt".into(), project::readme(folder, built)),
    ];
    for (name, text) in EXAMPLES {
        files.push((Path::new("examples").join(name), (*text).to_string()));
    }
    for wrapper in folder.wrappers {
        files.extend(wrapper.files(folder.wrappers, built, folder.from, &rows));
    }
    files
}

/// `model.h`.
fn header(device: &DeviceModel, from: &str) -> String {
    let labels = device.labels();
    let mut text = format!(
        "\
/* Made by `thumbnet export --emit c` from {from}; export again rather than edit. */
#ifndef MODEL_H
#define MODEL_H

#include <stdint.h>

#if defined(__cplusplus)
extern \"C\" {{
#endif

{numbers}
/* Names of the classes, of which there are so many. */
#define MODEL_LABEL_COUNT {label_count}U
",
        from = literals::comment(from),
        numbers = numbers(device, "MODEL"),
        label_count = labels.len(),
    );
    if !labels.is_empty() {
        let labels: Vec<String> = labels.iter().map(|label| literals::text(label)).collect();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "/* To initialize an array of them: const char *const labels[] = {{MODEL_LABELS}}; */\n\
             #define MODEL_LABELS {}\n",
            labels.join(", ")
        );
    }
    let _ = write!(
        text,
        "
/* The blob of MODEL_BLOB_BYTES bytes, in words such that it is aligned. */
extern const uint32_t model_blob[{}];

#if defined(__cplusplus)
}}
#endif

#endif /* MODEL_H */
",
        device.bytes().len().div_ceil(4)
    );
    text
}

/// Macros of a model's sizes.
fn numbers(device: &DeviceModel, prefix: &str) -> String {
    let model = device.model();
    format!(
        "\
/* Values of an input row, values of an output row. */
#define {prefix}_INPUTS {inputs}U
#define {prefix}_OUTPUTS {outputs}U
/* Words of scratch memory. */
#define {prefix}_SCRATCH_WORDS {scratch}U
/* Bytes of the blob. */
#define {prefix}_BLOB_BYTES {bytes}U
",
        inputs = model.inputs(),
        outputs = model.outputs(),
        // An array of C has an element.
        scratch = model.scratch_len().max(1),
        bytes = device.bytes().len(),
    )
}

/// `model.c`.
fn source(device: &DeviceModel) -> String {
    format!(
        "\
#include \"model.h\"

#if defined(__GNUC__)
__attribute__((aligned(16)))
#endif
const uint32_t model_blob[{}] = {{
{}}};
",
        device.bytes().len().div_ceil(4),
        literals::words(device.bytes())
    )
}

/// `--emit header`: the bytes alone, in a file for one place of a program.
pub fn bytes(device: &DeviceModel, from: &str, file: &Path) -> String {
    let guard = literals::guard(&file.file_name().unwrap_or_default().to_string_lossy());
    format!(
        "\
/* Made by `thumbnet export --emit header` from {from}; export again rather than edit. */
#ifndef {guard}
#define {guard}

#include <stdint.h>

{numbers}
/* The blob. It must lie at a multiple of 4, better of 16: by this attribute with GCC and Clang. */
#if defined(__GNUC__)
__attribute__((aligned(16)))
#endif
static const uint8_t model_blob[MODEL_BLOB_BYTES] = {{
{bytes}}};

#endif /* {guard} */
",
        from = literals::comment(from),
        numbers = numbers(device, "MODEL"),
        bytes = literals::bytes(device.bytes()),
    )
}

/// `rows.h`: the first rows that the model was exported with, or one of zeros.
fn rows(folder: &Folder) -> String {
    let inputs = folder.device.inputs();
    let rows: Vec<Vec<f32>> = match folder.rows {
        Some(rows) => rows
            .axis_iter(Axis(0))
            .take(ROWS)
            .map(|row| row.iter().copied().collect())
            .collect(),
        None => vec![vec![0.0; inputs]],
    };
    let literals: Vec<String> = rows
        .iter()
        .map(|row| {
            let values: Vec<String> = row.iter().map(|value| literals::float(*value)).collect();
            format!("    {{{}}},\n", values.join(", "))
        })
        .collect();
    format!(
        "\
/* Inputs to try the model on. */
#ifndef ROWS_H
#define ROWS_H

#include \"model.h\"

#define ROW_COUNT {}U

static const float rows[ROW_COUNT][MODEL_INPUTS] = {{
{}}};

#endif
",
        rows.len(),
        literals.concat()
    )
}
