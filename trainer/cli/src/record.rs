//! `train --record run.json`: what a run was, and `thumbnet reproduce run.json`: whether it gives the same bytes
//! again.

use std::{
    ffi::OsString,
    fs::File,
    path::{Path, PathBuf},
};

use clap::{Args, Parser};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thumbnet_trainer::{Error, atomic_file, dataset::array_file};

use super::{Cli, Failure, Outcome, Verb, console, json::read_json, outputs::Named};

/// Options that a run made again does without: where it came from, where it could go on, what it shows.
const LEFT_OUT: [&str; 4] = ["--config", "--record", "--backup-dir", "--verbose"];

/// What a run was.
#[derive(Debug, Deserialize, Serialize)]
pub struct Record {
    /// Version of thumbnet.
    thumbnet: String,
    /// Command line behind the program's name.
    arguments: Vec<String>,
    read: Vec<Content>,
    written: Vec<Content>,
}

/// A file and what is in it.
#[derive(Debug, Deserialize, Serialize)]
struct Content {
    option: String,
    path: PathBuf,
    bytes: u64,
    sha256: String,
}

impl Content {
    fn of(option: &str, path: &Path) -> Outcome<Self> {
        let io = |source| Error::io(path, source);
        let mut file = File::open(path).map_err(io)?;
        let mut hash = Sha256::new();
        let bytes = std::io::copy(&mut file, &mut HashWriter(&mut hash)).map_err(io)?;
        let digest = hash.finalize();
        Ok(Self {
            option: option.to_string(),
            path: path.to_path_buf(),
            bytes,
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

/// Bytes on their way into a hash.
struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Record {
    /// Of a run that begins: its command line, and the files that it reads.
    pub fn of(line: &[OsString], inputs: &[Named]) -> Outcome<Self> {
        let texts = line.iter().skip(1).map(|argument| {
            argument.to_str().map(String::from).ok_or_else(|| {
                Failure::usage(format!(
                    "--record keeps the command line as text, but {} is none; rename the file",
                    argument.to_string_lossy()
                ))
            })
        });
        let read = inputs
            .iter()
            .filter(|input| input.option != "--config")
            .map(|input| Content::of(input.option, &array_file(input.path)));
        Ok(Self {
            thumbnet: env!("CARGO_PKG_VERSION").to_string(),
            arguments: texts.collect::<Outcome<_>>()?,
            read: read.collect::<Outcome<_>>()?,
            written: Vec::new(),
        })
    }

    /// Adds what the run has written, and saves.
    pub fn write(&mut self, path: &Path, outputs: &[Named]) -> Outcome {
        // The name of a checkpoint may hold the epoch.
        let there = outputs.iter().filter(|output| output.path.is_file());
        let written = there.map(|output| Content::of(output.option, output.path));
        self.written = written.collect::<Outcome<_>>()?;
        let mut text =
            serde_json::to_string_pretty(self).map_err(|error| Error::value(error.to_string()))?;
        text.push('\n');
        Ok(atomic_file::write_bytes(path, text.as_bytes())?)
    }

    fn load(path: &Path) -> Outcome<Self> {
        serde_json::from_value(read_json(path)?).map_err(|error| {
            let message = format!(
                "{error}, expected a record that train --record has written; give that file"
            );
            Error::format(path, message).into()
        })
    }

    /// The command line with its outputs in another folder.
    fn arguments_into(&self, folder: &Path) -> Vec<OsString> {
        let outputs: Vec<&str> = self
            .written
            .iter()
            .map(|content| content.option.as_str())
            .collect();
        let mut arguments: Vec<OsString> = vec!["thumbnet".into()];
        let mut typed = self.arguments.iter();
        while let Some(argument) = typed.next() {
            let (option, value) = match argument.split_once('=') {
                Some((option, value)) => (option, Some(value)),
                None => (argument.as_str(), None),
            };
            let is_output = outputs.contains(&option);
            if !is_output && !LEFT_OUT.contains(&option) {
                arguments.push(argument.into());
                continue;
            }
            let Some(value) = value.or_else(|| typed.next().map(String::as_str)) else {
                continue;
            };
            if is_output {
                arguments.extend([
                    option.into(),
                    place(folder, Path::new(value)).into_os_string(),
                ]);
            }
        }
        arguments.push("--verbose=0".into());
        arguments
    }
}

/// Where a file is written again.
fn place(folder: &Path, path: &Path) -> PathBuf {
    folder.join(path.file_name().unwrap_or_default())
}

/// Run a recorded training again, and see whether it writes the same bytes
#[derive(Debug, Args)]
#[command(after_help = "Example: thumbnet reproduce run.json")]
pub struct Reproduce {
    /// Record that train --record has written
    #[arg(value_name = "FILE.json")]
    record: PathBuf,
}

impl Reproduce {
    pub fn run(&self) -> Outcome {
        let record = Record::load(&self.record)?;
        let own = env!("CARGO_PKG_VERSION");
        if record.thumbnet != own {
            console::note(&format!(
                "note: the run was thumbnet {}'s, this is {own}: the bytes may differ",
                record.thumbnet
            ));
        }
        for expected in &record.read {
            let found = Content::of(&expected.option, &expected.path)?;
            if found.sha256 != expected.sha256 {
                return Err(Error::format(
                    &expected.path,
                    format!(
                        "the file has {} bytes with SHA-256 {}, expected {} with {} as the run read them; give it the file that it had",
                        found.bytes, found.sha256, expected.bytes, expected.sha256
                    ),
                )
                .into());
            }
        }
        let folder =
            tempfile::tempdir().map_err(|source| Error::io(std::env::temp_dir(), source))?;
        let line = Cli::try_parse_from(record.arguments_into(folder.path()));
        let Verb::Train(train) = line
            .map_err(|error| Failure::usage(error.to_string()))?
            .verb
        else {
            return Err(Error::format(
                &self.record,
                "the record is of no training; give one of train --record",
            )
            .into());
        };
        train.run()?;
        let mut different = Vec::new();
        for expected in &record.written {
            let found = Content::of(&expected.option, &place(folder.path(), &expected.path))?;
            let same = found.sha256 == expected.sha256;
            if !same {
                different.push(expected.path.display().to_string());
            }
            console::print(&format!(
                "{}: {} bytes, SHA-256 {}, {}\n",
                expected.path.display(),
                found.bytes,
                found.sha256,
                if same { "the same" } else { "not the same" }
            ))?;
        }
        match different.is_empty() {
            true => Ok(()),
            false => Err(Error::value(format!(
                "{} came out differently, expected the bytes of the record; a run made by another version or ended by Ctrl-C is not made again",
                different.join(", ")
            ))
            .into()),
        }
    }
}
