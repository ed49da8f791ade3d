//! Boards that firmware is written for: what is on them.

use thumbnet_runtime::cores::{Core, Float, Target};

use crate::table::BOARDS;
use crate::{Error, Result, chips};

/// A part of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// First address.
    pub origin: u32,
    /// Bytes.
    pub length: u32,
}

/// How long the core waits for data in flash at the highest clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashReads {
    /// Bytes that come at once, and that the core may then read without waiting again.
    pub line: u32,
    /// Cycles of the core that it waits for them, beyond those of RAM.
    pub waits: u32,
    /// Bytes that a cache before the flash keeps from one prediction to the next; 0 where it keeps none.
    pub cache: u32,
    /// Where this is from.
    pub source: &'static str,
}

/// What a chip wants beside a vector table before it runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing.
    Plain,
    /// RP2040: a second bootloader in the first 256 bytes of flash.
    Boot2,
    /// RP2350: a block of data in the first 4 KiB that says what the program is.
    ImageDef,
    /// Espressif's: the crate esp-hal and its bootloader, which takes the first 64 KiB of flash.
    Esp,
    /// Something that `thumbnet new` does not write, and why.
    Other(&'static str),
}

/// A board: a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// As command lines take it, such as `nucleo-f411re`.
    pub name: &'static str,
    /// The maker's name for it.
    pub full_name: &'static str,
    /// Another name that it is found by, or an empty text.
    pub alias: &'static str,
    /// The chip as probe-rs calls it; none for what only an emulator has.
    pub chip: Option<&'static str>,
    /// Short name of the core in [`thumbnet_runtime::cores`].
    pub core: &'static str,
    /// Flash for a program: what a bootloader takes is left out.
    pub flash: Memory,
    /// The largest RAM in one piece.
    pub ram: Memory,
    /// The highest frequency that the maker allows, in Hz. A chip starts with a lower one.
    pub clock: u32,
    /// How its flash is read; none where the documents do not say what data costs.
    pub reads: Option<FlashReads>,
    /// The debug probe that the board has, or that it takes.
    pub probe: &'static str,
    /// The machine of QEMU that has the same core and memory at the same places.
    pub machine: Option<&'static str>,
    /// What the chip wants before it runs a program.
    pub start: Start,
    /// Where the figures are from: the maker's documents.
    pub source: &'static str,
}

impl Hardware {
    /// The board of this name, in either case.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownBoard`] with all names.
    pub fn named(name: &str) -> Result<&'static Self> {
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        let found = BOARDS
            .iter()
            .find(|board| is(board.name) || (is(board.alias) && !name.is_empty()));
        found.ok_or_else(|| {
            let names: Vec<&str> = BOARDS.iter().map(|board| board.name).collect();
            Error::UnknownBoard {
                name: name.to_string(),
                known: format!(
                    "{}, or a chip by --chip where a command takes one",
                    names.join(", ")
                ),
            }
        })
    }

    /// Its core.
    pub fn core(&self) -> &'static Core {
        Core::named(self.core).expect("each row names a core: a test looks")
    }

    /// How firmware for it is compiled.
    pub fn target(&self) -> &'static Target {
        &self.core().targets[0]
    }

    /// Whether its core computes floats by itself.
    pub fn has_fpu(&self) -> bool {
        self.target().float == Float::Hard
    }

    /// Whether it is RISC-V, else Arm.
    pub fn is_riscv(&self) -> bool {
        self.core.starts_with("rv32")
    }

    /// The board that QEMU runs in its place: itself, or one with the same core.
    pub fn emulated(&self) -> Option<&'static Self> {
        let named = BOARDS.iter().find(|board| board.name == self.name);
        named.filter(|board| board.machine.is_some()).or_else(|| {
            // The machine of RISC-V has the instructions of them all.
            let same = |board: &&Self| {
                board.machine.is_some()
                    && (board.core == self.core || (board.is_riscv() && self.is_riscv()))
            };
            BOARDS.iter().find(same)
        })
    }
}

/// The core of this name: a core (`m4`, `m4f`, `m0+`, `cortex-m33`), a chip (`rp2040`, `stm32f411`) or a
/// board.
pub fn core(name: &str) -> Option<&'static Core> {
    chips::core(name).or_else(|| Hardware::named(name).ok().map(Hardware::core))
}
