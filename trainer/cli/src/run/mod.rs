//! `thumbnet run`: a program in QEMU, with its log.

mod program;

use std::path::PathBuf;

use clap::Args;
use thumbnet_boards::Hardware;

use super::{Outcome, values};

/// Run a firmware's program in QEMU and print its log
#[derive(Debug, Args)]
#[command(
    after_help = "Example: thumbnet run target/thumbv7em-none-eabihf/debug/fw --board nucleo-f411re"
)]
pub struct Run {
    /// ELF file of a firmware, such as cargo hands to its runner
    file: PathBuf,
    /// Board, see thumbnet boards
    #[arg(long, value_name = "NAME", value_parser = values::board)]
    board: &'static Hardware,
}

impl Run {
    pub fn run(&self) -> Outcome {
        program::run(&self.file, self.board)
    }
}
