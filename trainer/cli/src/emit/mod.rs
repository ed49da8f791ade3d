//! `thumbnet export --emit`: the model as source, for firmware in C or Rust.

mod c;
mod literals;
mod project;
mod rust;
mod wrapper;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Args;
use ndarray::ArrayD;
use thumbnet_runtime::cores::Core;
use thumbnet_trainer::{atomic_file, quantize::DeviceModel};

use super::{Failure, Outcome, outputs::Named, values};
use wrapper::Wrapper;

/// Options of `thumbnet export` for source.
#[derive(Debug, Default, Args)]
pub struct EmitArguments {
    /// Write the model as source beside or in place of --output: c FOLDER (header, libraries, model, example
    /// and Makefile), rust FILE.rs (a module for thumbnet-runtime), or header FILE.h (the bytes alone).
    /// MODEL may be a .tnet file then, without --calibrate
    #[arg(long, num_args = 2, value_names = ["FORM", "PATH"])]
    emit: Option<Vec<OsString>>,
    /// Cores to build the library of --emit c for [default: all whose Rust target is installed]
    #[arg(
        long,
        value_name = "CORE,..",
        value_delimiter = ',',
        requires = "emit",
        value_parser = values::core
    )]
    libraries: Vec<&'static Core>,
    /// Files for other build systems beside the Makefile of --emit c
    #[arg(
        long,
        value_name = "NAME,..",
        value_delimiter = ',',
        requires = "emit",
        value_enum
    )]
    wrappers: Vec<Wrapper>,
}

/// What to write, and where.
#[derive(Debug)]
pub enum Emit<'a> {
    /// A folder for C.
    C {
        folder: PathBuf,
        libraries: &'a [&'static Core],
        wrappers: &'a [Wrapper],
    },
    /// A module of Rust.
    Rust { file: PathBuf },
    /// Bytes for C.
    Header { file: PathBuf },
}

impl EmitArguments {
    /// What the options ask for.
    ///
    /// # Errors
    ///
    /// An unknown form, a place that cannot be written.
    pub fn emit(&self) -> Outcome<Option<Emit<'_>>> {
        let Some([form, path]) = self.emit.as_deref() else {
            return Ok(None);
        };
        let path = PathBuf::from(path);
        let emit = match form.to_string_lossy().as_ref() {
            "c" => {
                if path.exists() && !path.is_dir() {
                    return Err(Failure::usage(format!(
                        "{} is a file, expected a folder for --emit c; give it another name",
                        path.display()
                    )));
                }
                Emit::C {
                    folder: path,
                    libraries: &self.libraries,
                    wrappers: &self.wrappers,
                }
            }
            "rust" => Emit::Rust { file: path },
            "header" => Emit::Header { file: path },
            other => {
                return Err(Failure::usage(format!(
                    "--emit {other:?} is no form, expected c FOLDER, rust FILE.rs or header FILE.h"
                )));
            }
        };
        match &emit {
            Emit::C { .. } => {}
            Emit::Rust { file } | Emit::Header { file } => {
                if !self.libraries.is_empty() || !self.wrappers.is_empty() {
                    return Err(Failure::usage(
                        "--libraries and --wrappers go with --emit c alone; leave them out",
                    ));
                }
                atomic_file::check(file)?;
            }
        }
        Ok(Some(emit))
    }
}

impl Emit<'_> {
    /// The file, to be compared with others on the command line; a folder has none.
    pub fn named(&self) -> Option<Named<'_>> {
        match self {
            Self::C { .. } => None,
            Self::Rust { file } | Self::Header { file } => Named::of("--emit", Some(file)),
        }
    }

    /// Writes it. `rows` are some inputs to try the model on, and `model` is the file that it comes from.
    ///
    /// # Errors
    ///
    /// Files that cannot be written; for C, a model that its library cannot hold, or no library at all.
    pub fn write(&self, device: &DeviceModel, rows: Option<&ArrayD<f32>>, model: &Path) -> Outcome {
        let from = model.file_name().unwrap_or_default().to_string_lossy();
        match self {
            Self::C {
                folder,
                libraries,
                wrappers,
            } => c::write(&c::Folder {
                folder,
                libraries,
                wrappers,
                device,
                rows,
                from: &from,
            }),
            Self::Rust { file } => {
                atomic_file::write_bytes(file, rust::module(device, &from).as_bytes())?;
                Ok(())
            }
            Self::Header { file } => {
                atomic_file::write_bytes(file, c::bytes(device, &from, file).as_bytes())?;
                Ok(())
            }
        }
    }
}
