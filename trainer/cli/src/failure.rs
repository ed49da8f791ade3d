//! Why a verb stopped, and the exit code that goes with it.

use std::{fmt, process::ExitCode};

use thumbnet_trainer::{Error, error::one_line};

/// Wrong usage, or an error of the library.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for something that has no meaning. Exit code 2.
    Usage(String),
    /// The data, a file or the model is at fault. Exit code 1.
    Error(Error),
    /// Firmware could not be built or run. Exit code 1.
    Board(thumbnet_boards::Error),
    /// The standard output could not be written. Exit code 1.
    Output(std::io::Error),
    /// A signal ended a training; its exit code, and what was saved.
    Interrupted(u8, String),
    /// What was printed says no. Its exit code.
    Verdict(u8),
    /// Who read the standard output has seen enough. Exit code 0, without a word.
    ReaderGone,
}

impl Failure {
    /// Wrong usage, in the words of `message`.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Error(_) | Self::Board(_) | Self::Output(_) => ExitCode::from(1),
            Self::Interrupted(code, _) | Self::Verdict(code) => ExitCode::from(*code),
            Self::ReaderGone => ExitCode::SUCCESS,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<thumbnet_boards::Error> for Failure {
    fn from(error: thumbnet_boards::Error) -> Self {
        Self::Board(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Usage(message) => message.clone(),
            Self::Error(error) => error.to_string(),
            Self::Board(error) => error.to_string(),
            Self::Output(error) => {
                format!("standard output: {error}; what was printed is not complete")
            }
            Self::Interrupted(_, what) => format!("interrupted: {what}"),
            Self::Verdict(_) => "the verdict is printed".to_string(),
            Self::ReaderGone => "the reader of the standard output is gone".to_string(),
        };
        f.write_str(&one_line(&text))
    }
}
