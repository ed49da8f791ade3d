//! The one error of the trainer: what happened, what was expected, how to fix it, in one line.

use std::{fmt, path::PathBuf};

/// Result of the trainer's own functions.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// What went wrong. Its `Display` is one line, lower case, and says how to fix it;
/// [`Error::kind`] is for code.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file was read, but what it holds is wrong; `message` begins after `path:` or `path:line:`.
    Format {
        /// The file.
        path: PathBuf,
        /// Line of the file, from 1, where it is known.
        line: Option<u64>,
        /// Which kind of wrong.
        kind: FormatKind,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// Arrays whose shapes do not fit each other or the model.
    Shape(String),
    /// An argument outside its range, an unknown name, or a combination that has no meaning.
    Value(String),
    /// Something that Keras has and thumbnet has not.
    Unsupported(String),
}

/// What is wrong with a file that could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FormatKind {
    /// It is a file of another kind, such as a spreadsheet where CSV is wanted.
    Unknown,
    /// It is damaged, truncated, or claims more than it can hold.
    Corrupt,
    /// It is well formed, but of a kind that thumbnet does not read, such as weights of float16.
    Unsupported,
    /// It is well formed, but what it says does not fit: a cell that is no number, a missing column.
    Content,
}

/// What went wrong, for code that has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such file or folder.
    NotFound,
    /// The operating system could not read or write it for another reason.
    Io,
    /// A file of another kind than was asked for.
    UnknownFormat,
    /// A damaged or truncated file.
    Corrupt,
    /// A well-formed file whose contents do not fit: a cell that is no number, a missing column.
    Content,
    /// Arrays whose shapes do not fit each other or the model.
    Shape,
    /// An argument outside its range, an unknown name, or a combination that has no meaning.
    Value,
    /// Something that Keras has and thumbnet has not.
    Unsupported,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Io { path, source } => format!("{}: {source}", path.display()),
            Self::Format {
                path,
                line: Some(line),
                message,
                ..
            } => format!("{}:{line}: {message}", path.display()),
            Self::Format { path, message, .. } => format!("{}: {message}", path.display()),
            Self::Shape(message) | Self::Value(message) | Self::Unsupported(message) => {
                message.clone()
            }
        };
        f.write_str(&one_line(&text))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Format { .. } | Self::Shape(_) | Self::Value(_) | Self::Unsupported(_) => None,
        }
    }
}

/// The text without line breaks, with what a terminal would obey made visible, and without the middle of
/// what is too long to be read: names and values come from files, and messages from libraries below. Nothing is done
/// to text that has none of these.
pub fn one_line(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return shortened(text);
    }
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    shortened(&visible(&lines.join(" ")))
}

/// Without its middle where that is long.
fn shortened(text: &str) -> String {
    const START: usize = 1500;
    const END: usize = 300;
    let length = text.chars().count();
    if length < START + END + 50 {
        return text.to_string();
    }
    let start: String = text.chars().take(START).collect();
    let end: String = text.chars().skip(length - END).collect();
    let left_out = length - START - END;
    format!("{start} ... {left_out} characters ... {end}")
}

/// The text with control characters, such as a terminal's escapes, written as `\u{1b}`.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// For what is an [`Optimizer`](crate::optimizers::Optimizer) and the like already.
impl From<core::convert::Infallible> for Error {
    fn from(never: core::convert::Infallible) -> Self {
        match never {}
    }
}

impl Error {
    /// What went wrong, for code that has to tell.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                ErrorKind::NotFound
            }
            Self::Io { .. } => ErrorKind::Io,
            Self::Format { kind, .. } => match kind {
                FormatKind::Unknown => ErrorKind::UnknownFormat,
                FormatKind::Corrupt => ErrorKind::Corrupt,
                FormatKind::Unsupported => ErrorKind::Unsupported,
                FormatKind::Content => ErrorKind::Content,
            },
            Self::Shape(_) => ErrorKind::Shape,
            Self::Value(_) => ErrorKind::Value,
            Self::Unsupported(_) => ErrorKind::Unsupported,
        }
    }

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

    /// An [`Error::Format`] without a line, of a well-formed file whose contents do not fit.
    pub fn format(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        FormatKind::Content.error(path, message)
    }

    /// An [`Error::Format`] of a damaged file.
    pub fn corrupt(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        FormatKind::Corrupt.error(path, message)
    }
}

impl FormatKind {
    /// An [`Error::Format`] of this kind, without a line.
    pub fn error(self, path: impl Into<PathBuf>, message: impl Into<String>) -> Error {
        Error::Format {
            path: path.into(),
            line: None,
            kind: self,
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_holds() {
        let error = Error::format("m.h5", "attribute \"a\nb\": bad\u{1b}[31m\r\n\n  red");
        assert_eq!(
            error.to_string(),
            "m.h5: attribute \"a b\": bad\\u{1b}[31m red"
        );
        assert_eq!(visible("tab\there, größe"), "tab\\there, größe");
    }

    #[test]
    fn a_message_leaves_out_the_middle_of_a_long_value() {
        let error = Error::value(format!("a is {}, expected b", "é".repeat(5000)));
        let text = error.to_string();
        assert!(text.starts_with("a is éé") && text.ends_with("é, expected b"));
        assert!(text.contains("é ... 3217 characters ... é"), "{text}");
        assert_eq!(text.chars().count(), 1500 + 300 + 25);
    }

    #[test]
    fn code_can_tell_kinds_apart() {
        let io = |kind: std::io::ErrorKind| Error::io("a", kind.into()).kind();
        assert_eq!(io(std::io::ErrorKind::NotFound), ErrorKind::NotFound);
        assert_eq!(io(std::io::ErrorKind::PermissionDenied), ErrorKind::Io);
        assert_eq!(Error::corrupt("a", "b").kind(), ErrorKind::Corrupt);
        assert_eq!(Error::format("a", "b").kind(), ErrorKind::Content);
        assert_eq!(Error::shape("a").kind(), ErrorKind::Shape);
    }
}
