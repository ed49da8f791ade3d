//! Runs a firmware ELF under QEMU and prints its log: the runner of `cargo run` in
//! `firmware-example`.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    path::Path,
    process::{ExitCode, Stdio},
};

use thumbnet_boards::{Qemu, Run};
use thumbnet_tests::log::Log;
use thumbnet_trainer::Error;

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the program named by the first argument on the board named by `THUMBNET_BOARD`.
fn run() -> Result<u8, Box<dyn std::error::Error>> {
    let elf = env::args_os()
        .nth(1)
        .ok_or_else(|| Error::value("no ELF file given; use: firmware ELF"))?;
    let elf = Path::new(&elf);
    let board = env::var("THUMBNET_BOARD").unwrap_or_else(|_| "mps2-an386".into());
    let board = board.parse().map_err(|error| {
        Error::value(format!(
            "{error}; a real board needs `runner = \"probe-rs run --chip ...\"`"
        ))
    })?;
    let mut log = Log::new(&fs::read(elf).map_err(|error| Error::io(elf, error))?);
    let mut child = Qemu::find()?
        .command(&Run::new(board, elf, Path::new(".")))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Error::io("qemu-system-arm", error))?;
    let mut output = child.stdout.take().expect("it was just piped");
    let mut buffer = [0; 4096];
    let mut screen = std::io::stdout();
    loop {
        let count = output
            .read(&mut buffer)
            .map_err(|error| Error::io(elf, error))?;
        if count == 0 {
            break;
        }
        let text = match &mut log {
            Some(log) => log
                .push(&buffer[..count])
                .iter()
                .flat_map(|line| [line, "\n"].concat().into_bytes())
                .collect(),
            None => buffer[..count].to_vec(),
        };
        let shown = screen.write_all(&text).and_then(|()| screen.flush());
        shown.map_err(|error| Error::io("the standard output", error))?;
    }
    let status = child.wait().map_err(|error| Error::io(elf, error))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1))
}
