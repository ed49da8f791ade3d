//! Embeds a model into firmware, from the firmware's `build.rs`: a damaged model does not compile.
//!
//! ```no_run
//! // In `main` of build.rs:
//! thumbnet_build::embed("model.tnet");
//! ```
//!
//! The firmware then takes the model without a number to write down:
//!
//! ```ignore
//! thumbnet_runtime::include_model!(model);
//!
//! let iris = model::load()?;
//! let mut scratch = model::SCRATCH;
//! let mut outputs = [0.0; model::OUTPUTS];
//! let class = iris.classify(&[5.1, 3.5, 1.4, 0.2], &mut scratch, &mut outputs)?;
//! ```
//!
//! The module holds:
//!
//! | item | what |
//! |---|---|
//! | `load()` | the model, verified but for its checksum, which was checked when it was built in |
//! | `Model` | its type |
//! | `BLOB` | its bytes, which start at a multiple of 16 |
//! | `INPUTS`, `OUTPUTS` | values of a row |
//! | `SCRATCH` | words of scratch memory, all zero; `SCRATCH_WORDS` is their number |
//! | `LAYERS` | layers, the input's quantization included |
//! | `LABELS` | the classes' names, an empty array where the model has none |
#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::env;
use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thumbnet_runtime::Model;

/// Why a model was not embedded.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds no sound model.
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: thumbnet_runtime::Error,
    },
    /// The module's name is no Rust identifier.
    Name {
        /// The name.
        name: String,
    },
    /// A variable that cargo sets for build scripts is missing.
    NoBuildScript,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Model { path, source } => write!(
                f,
                "{}: {source}; export it again with `thumbnet export`",
                path.display()
            ),
            Self::Name { name } => write!(
                f,
                "{name:?} names no Rust module, expected letters, digits and underscores; choose a name \
                 with `thumbnet_build::embed_as`"
            ),
            Self::NoBuildScript => {
                write!(f, "OUT_DIR is not set, expected the call from a build.rs")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Model { source, .. } => Some(source),
            Self::Name { .. } | Self::NoBuildScript => None,
        }
    }
}

/// Embeds the model of this file: `model.tnet` for `include_model!(model)`. Relative paths begin at
/// the folder of the package's `Cargo.toml`.
///
/// A model that is not sound ends the build with an error that says why. The script runs again when
/// the file changes.
pub fn embed(path: impl AsRef<Path>) {
    let path = path.as_ref();
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    embed_as(&name, path);
}

/// [`embed`] for `include_model!(name)`, whatever the file is called.
pub fn embed_as(name: &str, path: impl AsRef<Path>) {
    if let Err(error) = try_embed_as(name, path) {
        println!("cargo::error={error}");
    }
}

/// [`embed_as`], with the error handed to the caller.
///
/// # Errors
///
/// Where the file is missing, holds no model that verifies and passes its self-test, the name is no
/// identifier, or the source cannot be written to `OUT_DIR`.
pub fn try_embed_as(name: &str, path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    println!("cargo::rerun-if-changed={}", path.display());
    let mut letters = name.chars();
    let starts = letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !starts || letters.any(|c| !c.is_ascii_alphanumeric() && c != '_') {
        return Err(Error::Name {
            name: name.to_owned(),
        });
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(Error::NoBuildScript)?);
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |source| Error::Io { path, source }
    };
    let bytes = fs::read(path).map_err(io(path))?;
    let blob = out.join(name).with_extension("tnet");
    let source = source(&bytes, &blob).map_err(|source| Error::Model {
        path: path.to_path_buf(),
        source,
    })?;
    fs::write(&blob, &bytes).map_err(io(&blob))?;
    let module = blob.with_extension("rs");
    fs::write(&module, source).map_err(io(&module))
}

/// The source of a module for the model in `bytes`, which the compiler will find at `blob`.
fn source(bytes: &[u8], blob: &Path) -> Result<String, thumbnet_runtime::Error> {
    let model = Model::<255>::from_bytes(bytes)?;
    model.verify_weights()?;
    let mut scratch = vec![0; model.scratch_len()];
    let mut outputs = vec![0.0; model.outputs()];
    model.self_test(&mut scratch, &mut outputs)?;

    let labels: Vec<&str> = model.labels().collect();
    let mut source = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        source,
        "\
/// Values of an input row.
pub const INPUTS: usize = {inputs};
/// Values of an output row.
pub const OUTPUTS: usize = {outputs};
/// Words of scratch memory.
pub const SCRATCH_WORDS: usize = {scratch};
/// Scratch memory for a prediction, to begin with.
pub const SCRATCH: [u32; SCRATCH_WORDS] = [0; SCRATCH_WORDS];
/// Layers, the input's quantization included.
pub const LAYERS: usize = {layers};
/// The classes' names in order.
pub const LABELS: [&str; {label_count}] = {labels:?};
/// The model's type.
pub type Model = ::thumbnet_runtime::Model<'static, LAYERS>;

#[repr(C, align(16))]
struct Aligned([u8; {len}]);
static ALIGNED: Aligned = Aligned(*include_bytes!({blob:?}));
/// The model's bytes. They start where a tensor may: tensors are aligned within them.
pub static BLOB: &[u8] = &ALIGNED.0;

/// The model. Its checksum, weights and self-test were checked when it was built in; the rest is
/// verified again.
///
/// # Errors
///
/// Where this build of `thumbnet-runtime` lacks a feature that the model needs.
pub fn load() -> Result<Model, ::thumbnet_runtime::Error> {{
    Model::from_bytes_without_crc(BLOB)
}}
",
        inputs = model.inputs(),
        outputs = model.outputs(),
        scratch = model.scratch_len(),
        layers = model.layers().len(),
        label_count = labels.len(),
        len = bytes.len(),
    );
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use thumbnet_runtime::{
        Activation, DenseSpec, LayerSpec, ModelSpec, OutputSpec, Packing, Precision, WeightsSpec,
        encode,
    };

    /// y = 0.5 * round(x) + 1 on one input.
    fn blob() -> Vec<u8> {
        let spec = ModelSpec {
            layers: &[
                LayerSpec::Quantize {
                    inputs: 1,
                    scale: &[1.0],
                    zero_point: &[0],
                    output: Precision::Int8,
                },
                LayerSpec::Dense(DenseSpec {
                    inputs: 1,
                    units: 1,
                    packing: Packing::Plain,
                    weights: WeightsSpec::Int8 {
                        weights: &[2],
                        bias: &[4],
                    },
                    output: OutputSpec::Float {
                        scales: &[0.25],
                        activation: Activation::Linear,
                        table: None,
                    },
                }),
            ],
            labels: &["no", "\"yes\""],
            ..ModelSpec::default()
        };
        let mut blob = vec![0; 256];
        let length = encode(&spec, &mut blob).expect("a sound model");
        blob.truncate(length);
        blob
    }

    #[test]
    fn the_source_has_the_models_numbers_and_names() {
        let bytes = blob();
        let source = source(&bytes, Path::new("model.tnet")).expect("a sound model");
        for line in [
            "pub const INPUTS: usize = 1;",
            "pub const OUTPUTS: usize = 1;",
            "pub const LAYERS: usize = 2;",
            r#"pub const LABELS: [&str; 2] = ["no", "\"yes\""];"#,
            &format!("struct Aligned([u8; {}]);", bytes.len()),
            r#"include_bytes!("model.tnet")"#,
        ] {
            assert!(source.contains(line), "{line} is not in\n{source}");
        }
    }

    #[test]
    fn a_damaged_model_is_an_error_that_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.tnet");
        let mut bytes = blob();
        bytes[20] ^= 1;
        fs::write(&path, bytes).expect("a writable folder");
        let error = source(&fs::read(&path).expect("it is there"), &path)
            .map_err(|source| Error::Model { path, source })
            .expect_err("damaged")
            .to_string();
        assert!(error.contains("model.tnet: "), "{error}");
        assert!(
            error.ends_with("; export it again with `thumbnet export`"),
            "{error}"
        );
    }

    #[test]
    fn a_name_that_no_module_can_have_is_refused() {
        assert_eq!(
            try_embed_as("my-model", "my-model.tnet")
                .expect_err("a hyphen")
                .to_string(),
            "\"my-model\" names no Rust module, expected letters, digits and underscores; choose a name \
             with `thumbnet_build::embed_as`"
        );
    }
}
