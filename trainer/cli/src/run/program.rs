//! A program in QEMU.

use std::{fs, io::Read, path::Path, process::Stdio};

use thumbnet_boards::{Hardware, Qemu, log::Log};
use thumbnet_trainer::Error;

use super::super::{Failure, Outcome, console};

/// Runs a program on the machine of a board and prints what it logs, as it comes.
///
/// # Errors
///
/// A board without a machine, a file that is no program, a program that ends with anything but 0.
pub fn run(elf: &Path, board: &Hardware) -> Outcome {
    let bytes = fs::read(elf).map_err(|source| Error::io(elf, source))?;
    if !bytes.starts_with(b"\x7fELF") {
        return Err(Failure::usage(format!(
            "{} is no program, expected an ELF file such as cargo builds",
            elf.display()
        )));
    }
    let mut log = Log::new(&bytes);
    let qemu = Qemu::find_for(board)?;
    let Some(mut command) = qemu.program(board, elf) else {
        return Err(Failure::usage(format!(
            "QEMU has no machine like {}; run it on the board: probe-rs run --chip {} {}",
            board.name,
            board.chip.unwrap_or("CHIP"),
            elf.display()
        )));
    };
    command.stdout(Stdio::piped());
    let started = command.spawn();
    let failed = |source| Error::io(command.get_program(), source);
    let mut child = started.map_err(failed)?;
    let mut output = child.stdout.take().expect("it was just piped");
    let mut buffer = [0; 4096];
    loop {
        let count = output.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        let printed = match &mut log {
            Some(log) => log
                .push(&buffer[..count])
                .iter()
                .try_for_each(|line| console::print(&format!("{line}\n"))),
            None => console::write(&buffer[..count]),
        };
        if printed.is_err() {
            // Nobody reads any more: the program may never end by itself.
            let _ = child.kill();
            let _ = child.wait();
            return printed;
        }
    }
    let status = child.wait().map_err(failed)?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::value(format!(
            "{} ended with {status} on {}; see its log above",
            elf.display(),
            board.name
        ))
        .into()),
    }
}
