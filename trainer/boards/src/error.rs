//! Why firmware could not be built or run, in one line.

use std::path::PathBuf;

/// Result of this crate's functions.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// What went wrong. Its `Display` is one line, lower case, and says how to fix it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written, or a program not be started.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or program.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The emulator, cargo or the firmware's sources are not on this machine.
    #[error("{0}")]
    Missing(String),
    /// A Rust target, the name of which this is, is not installed.
    #[error("the Rust target {0} is not installed; get it with `rustup target add {0}`")]
    MissingTarget(String),
    /// No board has that name.
    #[error("board \"{name}\" is unknown, expected one of {known}")]
    UnknownBoard {
        /// As it was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The firmware did not build.
    #[error("{0}")]
    Build(String),
    /// A model or its rows do not fit the board's memory.
    #[error("{0}")]
    TooLarge(String),
    /// The firmware ended with an error, or not at all.
    #[error("{0}")]
    Run(String),
    /// What the firmware wrote is no answer.
    #[error("{}: {message}", path.display())]
    Reply {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: &'static str,
    },
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}
