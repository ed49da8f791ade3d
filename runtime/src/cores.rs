//! The cores that there are kernels for, a row each: what host tools ask about them. Exporter, estimates,
//! boards and tests read this table; a new core is a row here.

use crate::blob::Packing;

/// How floats are computed and passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Float {
    /// By library calls, in core registers.
    Soft,
    /// By the FPU, in its registers.
    Hard,
}

/// One way to compile for a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// How floats are computed.
    pub float: Float,
    /// Rust target.
    pub triple: &'static str,
    /// `-C target-cpu`, where the target's own leaves instructions out. The `thumbv8m.main` targets have
    /// neither the DSP nor the vector instructions, which Armv8-M makes optional and a core's name
    /// brings in, along with its FPU.
    pub cpu: Option<&'static str>,
}

/// A core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    /// Arm's name, such as `Cortex-M4F`.
    pub name: &'static str,
    /// As command lines take it, such as `m4`.
    pub short: &'static str,
    /// The order of weights that its kernels read.
    pub packing: Packing,
    /// The ways to compile for it, the fastest first.
    pub targets: &'static [Target],
    /// The machine of QEMU that has it.
    pub machine: &'static str,
}

impl Core {
    /// By name (`Cortex-M4F`) or short name (`m4`), in either case.
    pub fn named(name: &str) -> Option<&'static Self> {
        CORES.iter().find(|core| {
            core.name.eq_ignore_ascii_case(name) || core.short.eq_ignore_ascii_case(name)
        })
    }
}

const fn soft(triple: &'static str) -> Target {
    Target {
        float: Float::Soft,
        triple,
        cpu: None,
    }
}

const fn hard(triple: &'static str, cpu: Option<&'static str>) -> Target {
    Target {
        float: Float::Hard,
        triple,
        cpu,
    }
}

/// By growing power.
pub const CORES: [Core; 6] = [
    Core {
        name: "Cortex-M0",
        short: "m0",
        packing: Packing::Lane,
        targets: &[soft("thumbv6m-none-eabi")],
        machine: "microbit",
    },
    Core {
        name: "Cortex-M3",
        short: "m3",
        packing: Packing::Lane,
        targets: &[soft("thumbv7m-none-eabi")],
        machine: "mps2-an385",
    },
    Core {
        name: "Cortex-M4F",
        short: "m4",
        packing: Packing::Dsp,
        targets: &[
            hard("thumbv7em-none-eabihf", None),
            soft("thumbv7em-none-eabi"),
        ],
        machine: "mps2-an386",
    },
    Core {
        name: "Cortex-M7",
        short: "m7",
        packing: Packing::Dsp,
        targets: &[
            hard("thumbv7em-none-eabihf", None),
            soft("thumbv7em-none-eabi"),
        ],
        machine: "mps2-an500",
    },
    Core {
        name: "Cortex-M33",
        short: "m33",
        packing: Packing::Dsp,
        targets: &[
            hard("thumbv8m.main-none-eabihf", Some("cortex-m33")),
            // Stands for cores without DSP instructions, too.
            soft("thumbv8m.main-none-eabi"),
        ],
        machine: "mps2-an505",
    },
    Core {
        name: "Cortex-M55",
        short: "m55",
        packing: Packing::Mve,
        targets: &[
            hard("thumbv8m.main-none-eabihf", Some("cortex-m55")),
            soft("thumbv8m.main-none-eabi"),
        ],
        machine: "mps3-an547",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_found_by_either_name() {
        assert_eq!(Core::named("cortex-m4f").map(|core| core.short), Some("m4"));
        assert_eq!(
            Core::named("M33").map(|core| core.packing),
            Some(Packing::Dsp)
        );
        assert_eq!(Core::named("m5"), None);
    }
}
