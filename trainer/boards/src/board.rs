//! The boards that QEMU emulates, one for each core, and how to compile for them.

use std::str::FromStr;

use thumbnet_runtime::cores::{CORES, Core, Float, Target};

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

    /// Its core.
    pub fn core(self) -> &'static Core {
        let machine = Some(self.machine());
        let core = CORES.iter().find(|core| core.machine == machine);
        core.expect("each board has a row: a test looks")
    }

    /// Name of the QEMU machine and of the memory layout.
    pub fn machine(self) -> &'static str {
        match self {
            Self::Microbit => "microbit",
            Self::Mps2An385 => "mps2-an385",
            Self::Mps2An386 => "mps2-an386",
            Self::Mps2An500 => "mps2-an500",
            Self::Mps2An505 => "mps2-an505",
            Self::Mps3An547 => "mps3-an547",
        }
    }

    /// The ways to compute floats that the core has, the best one first.
    pub fn floats(self) -> impl Iterator<Item = Float> {
        self.core().targets.iter().map(|target| target.float)
    }

    /// The way to compile for the core with such floats, its only one where it has no FPU.
    pub fn target(self, float: Float) -> &'static Target {
        let targets = self.core().targets;
        let target = targets.iter().find(|target| target.float == float);
        target.unwrap_or(&targets[0])
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
            .find(|board| text == board.machine() || text == board.core().short)
            .ok_or_else(|| {
                let names =
                    Self::ALL.map(|board| format!("{} ({})", board.machine(), board.core().short));
                Error::UnknownBoard {
                    name: text.to_string(),
                    known: names.join(", "),
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_of_a_core_is_a_board() {
        let machines: Vec<&str> = CORES.iter().filter_map(|core| core.machine).collect();
        assert_eq!(Board::ALL.map(Board::machine)[..], machines);
        assert_eq!(Board::Mps2An386.core().name, "Cortex-M4F");
    }

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
