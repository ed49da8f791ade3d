//! The one way to print. What cannot be written to the standard output ends the program with an error,
//! but for a reader that went away, such as `head`: it has seen enough.

use std::{
    io::{self, ErrorKind, Write},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use thumbnet_trainer::{
    Sequential,
    error::{one_line, visible},
};

use super::{Failure, Outcome};

/// Prints lines; control characters of names, which a terminal would obey, are made visible.
pub fn print(text: &str) -> Outcome {
    let lines: Vec<String> = text.split('\n').map(visible).collect();
    write(lines.join("\n").as_bytes())
}

/// Prints a line of JSON.
pub fn print_json(value: &Value) -> Outcome {
    let mut text = String::new();
    // JSON escapes only a part of what terminals obey.
    for c in value.to_string().chars() {
        match visible(c.encode_utf8(&mut [0; 4])).len() > c.len_utf8() {
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
    }
    text.push('\n');
    write(text.as_bytes())
}

/// Writes data to the standard output as it is.
pub fn write(bytes: &[u8]) -> Outcome {
    let mut out = io::stdout().lock();
    checked(out.write_all(bytes).and_then(|()| out.flush()))
}

/// What it means for the program that the standard output could, or could not, be written.
pub fn checked(written: io::Result<()>) -> Outcome {
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::ReaderGone),
        Err(error) => Err(Failure::Output(error)),
    }
}

/// Says something on the standard error, in one line. Nobody hears of it where that fails.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", one_line(text));
}

/// The standard output of a training, which goes on where it cannot be written.
struct Progress {
    /// The first error.
    error: Arc<Mutex<Option<io::Error>>>,
}

impl Write for Progress {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        if error.is_none() {
            let mut out = io::stdout().lock();
            *error = out.write_all(bytes).and_then(|()| out.flush()).err();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets a model print its progress; the function that comes back tells, after its work, whether that
/// could be done.
pub fn follow(model: &mut Sequential) -> impl Fn() -> Outcome + use<> {
    let error = Arc::new(Mutex::new(None));
    model.set_output(Arc::new(Mutex::new(Progress {
        error: error.clone(),
    })));
    move || {
        let mut error = error.lock().unwrap_or_else(PoisonError::into_inner);
        checked(error.take().map_or(Ok(()), Err))
    }
}
