//! `thumbnet completions` and `thumbnet man`: what shells and readers of manuals want.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use thumbnet_trainer::{Error, atomic_file};

use super::{Cli, Outcome, console};

/// Print a script that completes commands and options in a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example: thumbnet completions bash > ~/.local/share/bash-completion/completions/thumbnet"
)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub fn run(&self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "thumbnet", &mut script);
        console::write(&script)
    }
}

/// Write manual pages into a folder, one for each command
#[derive(Debug, Args)]
#[command(after_help = "Example: thumbnet man ~/.local/share/man/man1")]
pub struct Man {
    /// Folder, made where it is not there
    folder: PathBuf,
}

impl Man {
    pub fn run(&self) -> Outcome {
        let io = |source| Error::io(&self.folder, source);
        std::fs::create_dir_all(&self.folder).map_err(io)?;
        let mut cli = Cli::command();
        cli.build();
        let verbs: Vec<_> = cli.get_subcommands().cloned().collect();
        for command in std::iter::once(cli).chain(verbs) {
            let name = command.get_display_name().unwrap_or("thumbnet").to_string();
            let mut page = Vec::new();
            clap_mangen::Man::new(command)
                .render(&mut page)
                .map_err(io)?;
            atomic_file::write_bytes(&self.folder.join(format!("{name}.1")), &page)?;
        }
        Ok(())
    }
}
