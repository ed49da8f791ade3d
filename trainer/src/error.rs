//! The one error of the trainer: what happened, what was expected, how to fix it, in one line.

use std::path::PathBuf;

/// Result of the trainer's own functions.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// What went wrong. Its `Display` is one line, lower case, and says how to fix it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file was read, but what it holds is wrong; `message` begins after `path:` or `path:line:`.
    #[error("{}{}: {message}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Format {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1, where it is known.
        line: Option<u64>,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// Arrays whose shapes do not fit each other or the model.
    #[error("{0}")]
    Shape(String),
    /// An argument outside its range, an unknown name, or a combination that has no meaning.
    #[error("{0}")]
    Value(String),
    /// Something that Keras has and thumbnet has not.
    #[error("{0}")]
    Unsupported(String),
}

/// For what is an [`Optimizer`](crate::optimizers::Optimizer) and the like already.
impl From<core::convert::Infallible> for Error {
    fn from(never: core::convert::Infallible) -> Self {
        match never {}
    }
}

impl Error {
    /// An [`Error::Value`] from anything printable.
    pub fn value(message: impl Into<String>) -> Self {
        Self::Value(message.into())
    }

    /// An [`Error::Shape`] from anything printable.
    pub fn shape(message: impl Into<String>) -> Self {
        Self::Shape(message.into())
    }

    /// An [`Error::Unsupported`] from anything printable.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::Unsupported(message.into())
    }

    /// An [`Error::Io`] that names the file.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }

    /// An [`Error::Format`] without a line.
    pub fn format(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self::Format {
            path: path.into(),
            line: None,
            message: message.into(),
        }
    }
}
