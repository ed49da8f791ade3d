//! Ctrl-C and its like: the first one lets a training end well, the second one ends the program at once.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// What was asked for.
struct Asked {
    any: Arc<AtomicBool>,
    /// 0 for none.
    signal: Arc<AtomicUsize>,
}

static ASKED: OnceLock<Asked> = OnceLock::new();

/// Listens from now on; the flag becomes true with the first signal.
pub fn listen() -> io::Result<&'static AtomicBool> {
    if let Some(asked) = ASKED.get() {
        return Ok(&asked.any);
    }
    let any = Arc::new(AtomicBool::new(false));
    let signal = Arc::new(AtomicUsize::new(0));
    for number in [SIGINT, SIGTERM] {
        // In this order: it looks at the flag before it is set.
        flag::register_conditional_shutdown(number, code(number as usize), any.clone())?;
        flag::register(number, any.clone())?;
        flag::register_usize(number, signal.clone(), number as usize)?;
    }
    Ok(&ASKED.get_or_init(|| Asked { any, signal }).any)
}

/// The exit code of a program that the first signal ended; none without one.
pub fn exit_code() -> Option<u8> {
    let number = ASKED.get()?.signal.load(Ordering::Relaxed);
    (number != 0).then(|| code(number) as u8)
}

/// As shells have it.
fn code(signal: usize) -> i32 {
    128 + signal as i32
}
