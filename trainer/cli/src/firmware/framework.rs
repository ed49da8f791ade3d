//! Programs of tasks.

use clap::ValueEnum;

use super::{
    super::{Failure, Outcome},
    Place,
};

/// What runs the tasks of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Framework {
    /// embassy: async tasks, on any Cortex-M
    Embassy,
    /// RTIC: async tasks with priorities, on nucleo-f411re and nrf52840-dk
    Rtic,
}

/// What RTIC asks of a chip.
#[derive(Clone, Copy, Debug)]
pub struct Rtic {
    /// The board that has it.
    board: &'static str,
    /// Crate of the chip's registers, as Cargo.toml says it.
    pub dependency: &'static str,
    /// Path of its interrupts.
    pub device: &'static str,
    /// Interrupts that the program has no other use for, one for each priority.
    pub dispatchers: &'static str,
}

const RTIC: [Rtic; 2] = [
    Rtic {
        board: "nucleo-f411re",
        dependency: "stm32f4 = { version = \"0.16\", features = [\"rt\", \"stm32f411\"] }",
        device: "stm32f4::stm32f411",
        dispatchers: "SPI4, SPI5",
    },
    Rtic {
        board: "nrf52840-dk",
        dependency: "nrf52840-pac = { version = \"0.12\", features = [\"rt\"] }",
        device: "nrf52840_pac",
        dispatchers: "SWI0_EGU0, SWI1_EGU1",
    },
];

impl Framework {
    /// Refuses a place that the framework cannot be written for.
    ///
    /// # Errors
    ///
    /// Such a place, with those that there are.
    pub fn check(self, place: &Place) -> Outcome {
        match self {
            Self::Embassy if place.is_riscv() => Err(Failure::usage(format!(
                "--framework embassy is for Cortex-M, and {} is {}; leave it out",
                place.name, place.core.name
            ))),
            Self::Rtic if self.rtic(place).is_none() => {
                let boards = RTIC.map(|row| row.board).join(" and ");
                Err(Failure::usage(format!(
                    "--framework rtic is for {boards}, not {}; take --framework embassy, or leave it out",
                    place.name
                )))
            }
            Self::Embassy | Self::Rtic => Ok(()),
        }
    }

    /// What RTIC asks of the chip of a board; none where the framework is another, or the board is none of its rows.
    pub fn rtic(self, place: &Place) -> Option<Rtic> {
        let found = RTIC.into_iter().find(|row| row.board == place.name);
        found.filter(|_| self == Self::Rtic)
    }
}
