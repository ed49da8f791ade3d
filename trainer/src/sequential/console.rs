//! Where messages to the user go.

use std::io::Write;
use std::sync::{Arc, Mutex};

/// The standard output, or a writer in its place.
#[derive(Clone)]
pub(crate) enum Output {
    Stdout,
    Writer(Arc<Mutex<dyn Write + Send>>),
}

impl Output {
    /// Writes and flushes. A reader that went away does not stop a training.
    pub fn print(&self, text: &str) {
        let print = |writer: &mut dyn Write| {
            let _ = writer
                .write_all(text.as_bytes())
                .and_then(|()| writer.flush());
        };
        match self {
            Self::Stdout => print(&mut std::io::stdout().lock()),
            Self::Writer(writer) => {
                print(
                    &mut *writer
                        .lock()
                        .unwrap_or_else(|poisoned| poisoned.into_inner()),
                );
            }
        }
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stdout => "Stdout",
            Self::Writer(_) => "Writer",
        })
    }
}
