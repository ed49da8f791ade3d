//! The boards that QEMU emulates, one for each core, and how to compile for them.

use std::str::FromStr;

use crate::{Error, Result};

/// An emulated board, named as QEMU and `firmware-example/memory/` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Board {
    /// micro:bit v1, Cortex-M0: 256 kB flash, 16 kB RAM.
    Microbit,
    /// Cortex-M3.
    Mps2An385,
    /// Cortex-M4F. The default wherever one board is meant.
    Mps2An386,
    /// Cortex-M7.
    Mps2An500,
    /// Cortex-M33.
    Mps2An505,
    /// Cortex-M55, with the vector extension (MVE).
    Mps3An547,
}

/// How floats are computed and passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Float {
    /// By library calls, in core registers.
    Soft,
    /// By the FPU, in its registers.
    Hard,
}

impl Board {
    /// Every board, by growing core.
    pub const ALL: [Self; 6] = [
        Self::Microbit,
        Self::Mps2An385,
        Self::Mps2An386,
        Self::Mps2An500,
        Self::Mps2An505,
        Self::Mps3An547,
    ];

    /// Name of the QEMU machine and of the memory layout.
    pub fn name(self) -> &'static str {
        match self {
            Self::Microbit => "microbit",
            Self::Mps2An385 => "mps2-an385",
            Self::Mps2An386 => "mps2-an386",
            Self::Mps2An500 => "mps2-an500",
            Self::Mps2An505 => "mps2-an505",
            Self::Mps3An547 => "mps3-an547",
        }
    }

    /// Name of the core.
    pub fn core(self) -> &'static str {
        match self {
            Self::Microbit => "Cortex-M0",
            Self::Mps2An385 => "Cortex-M3",
            Self::Mps2An386 => "Cortex-M4F",
            Self::Mps2An500 => "Cortex-M7",
            Self::Mps2An505 => "Cortex-M33",
            Self::Mps3An547 => "Cortex-M55",
        }
    }

    /// Short name of the core, as `--core` takes it.
    pub fn short_core(self) -> &'static str {
        match self {
            Self::Microbit => "m0",
            Self::Mps2An385 => "m3",
            Self::Mps2An386 => "m4",
            Self::Mps2An500 => "m7",
            Self::Mps2An505 => "m33",
            Self::Mps3An547 => "m55",
        }
    }

    /// The ways to compute floats that the core has, the best one first.
    pub fn floats(self) -> &'static [Float] {
        match self {
            Self::Microbit | Self::Mps2An385 => &[Float::Soft],
            _ => &[Float::Hard, Float::Soft],
        }
    }

    /// Rust target. `float` is without effect on a core that has no FPU.
    pub fn target(self, float: Float) -> &'static str {
        match (self, float) {
            (Self::Microbit, _) => "thumbv6m-none-eabi",
            (Self::Mps2An385, _) => "thumbv7m-none-eabi",
            (Self::Mps2An386 | Self::Mps2An500, Float::Soft) => "thumbv7em-none-eabi",
            (Self::Mps2An386 | Self::Mps2An500, Float::Hard) => "thumbv7em-none-eabihf",
            (Self::Mps2An505 | Self::Mps3An547, Float::Soft) => "thumbv8m.main-none-eabi",
            (Self::Mps2An505 | Self::Mps3An547, Float::Hard) => "thumbv8m.main-none-eabihf",
        }
    }

    /// Compiler flags beyond the target's own.
    ///
    /// The `thumbv8m.main` targets leave out the DSP and vector instructions, which Armv8-M makes
    /// optional and a core's name brings in, along with its FPU. With [`Float::Soft`] the two
    /// boards stand for cores that have none of these.
    pub fn rustflags(self, float: Float) -> &'static str {
        match (self, float) {
            (Self::Mps2An505, Float::Hard) => "-C target-cpu=cortex-m33",
            (Self::Mps3An547, Float::Hard) => "-C target-cpu=cortex-m55",
            _ => "",
        }
    }

    /// Memory beyond the program and its RAM, `_spare` in the memory layout: address and bytes.
    pub fn spare(self) -> (u32, usize) {
        match self {
            Self::Microbit => (0x0002_0000, 128 << 10),
            Self::Mps2An385 | Self::Mps2An386 | Self::Mps2An500 => (0x0020_0000, 2 << 20),
            Self::Mps2An505 => (0x1020_0000, 2 << 20),
            Self::Mps3An547 => (0x1100_0000, 2 << 20),
        }
    }
}

impl FromStr for Board {
    type Err = Error;

    /// Takes the name of a machine (`mps2-an386`) or of a core (`m4`).
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|board| text == board.name() || text == board.short_core())
            .ok_or_else(|| {
                let names =
                    Self::ALL.map(|board| format!("{} ({})", board.name(), board.short_core()));
                Error::value(format!(
                    "board \"{text}\" is unknown, expected one of {}",
                    names.join(", ")
                ))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_named_by_machine_or_core() {
        assert_eq!("mps2-an505".parse::<Board>().unwrap(), Board::Mps2An505);
        assert_eq!("m0".parse::<Board>().unwrap(), Board::Microbit);
        assert_eq!(
            "m5".parse::<Board>().unwrap_err().to_string(),
            "board \"m5\" is unknown, expected one of microbit (m0), mps2-an385 (m3), \
             mps2-an386 (m4), mps2-an500 (m7), mps2-an505 (m33), mps3-an547 (m55)"
        );
    }
}
