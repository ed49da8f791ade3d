//! `thumbnet boards`: the table of boards.

use clap::Args;
use serde_json::{Value, json};
use thumbnet_boards::{BOARDS, Hardware, Memory, Start};

use super::{Outcome, console};

/// List the boards that --board names: core, memory, clock, probe, emulator
#[derive(Debug, Args)]
#[command(after_help = "Example: thumbnet boards")]
pub struct Boards {
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

impl Boards {
    pub fn run(&self) -> Outcome {
        if self.json {
            return console::print_json(&BOARDS.iter().map(json).collect());
        }
        let mut text = format!(
            "{:<20}{:<12}{:<5}{:>8}{:>8}{:>9}  {:<14}{:<15}{}\n",
            "board", "core", "FPU", "flash", "RAM", "clock", "probe", "QEMU", "firmware"
        );
        for board in &BOARDS {
            let line = format!(
                "{:<20}{:<12}{:<5}{:>8}{:>8}{:>9}  {:<14}{:<15}{}",
                board.name,
                board.core().name,
                if board.has_fpu() { "yes" } else { "no" },
                size(board.flash),
                size(board.ram),
                clock(board),
                board.probe,
                board.machine.unwrap_or("-"),
                match board.start {
                    Start::Other(_) => "-",
                    _ => "new, run",
                },
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.push_str(
            "\nFlash is what is left for a program behind a bootloader, RAM the largest piece, the clock the highest; \
             chips start slower.\nAny other: thumbnet new DIR --chip STM32F407VGTx --flash 1M --ram 128k\n",
        );
        console::print(&text)
    }
}

/// In kilobytes.
pub fn size(memory: Memory) -> String {
    format!("{} kB", memory.length >> 10)
}

fn clock(board: &Hardware) -> String {
    match board.clock {
        0 => "-".to_string(),
        clock => format!("{} MHz", clock / 1_000_000),
    }
}

fn json(board: &Hardware) -> Value {
    let memory = |memory: Memory| json!({"origin": memory.origin, "length": memory.length});
    let firmware = match board.start {
        Start::Other(why) => json!({"new": false, "why": why}),
        _ => json!({"new": true}),
    };
    json!({
        "name": board.name,
        "full_name": board.full_name,
        "chip": board.chip,
        "core": board.core().name,
        "fpu": board.has_fpu(),
        "flash": memory(board.flash),
        "ram": memory(board.ram),
        "clock": Some(board.clock).filter(|&clock| clock > 0),
        "probe": board.probe,
        "machine": board.machine,
        "target": board.target().triple,
        "firmware": firmware,
        "source": board.source,
    })
}
