//! The cores that there are kernels for, a row each. The build script, exporter, estimates, boards and tests
//! read this table; a new core is a row here.

use crate::packing::Packing;

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
    /// The order of weights that such a build has kernels for.
    pub packing: Packing,
}

/// A core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Core {
    /// Arm's name, such as `Cortex-M4F`, or the instructions of RISC-V, such as `RV32IMC`.
    pub name: &'static str,
    /// As command lines take it, such as `m4`.
    pub short: &'static str,
    /// The order of weights that its kernels read.
    pub packing: Packing,
    /// Names for `-C target-cpu` that bring these instructions in.
    pub cpus: &'static [&'static str],
    /// The ways to compile for it, the fastest first.
    pub targets: &'static [Target],
    /// The machine of QEMU that has it, which is a board to test with.
    pub machine: Option<&'static str>,
}

impl Core {
    /// By name (`Cortex-M4F`) or short name (`m4`), in either case.
    pub fn named(name: &str) -> Option<&'static Self> {
        CORES.iter().find(|core| {
            core.name.eq_ignore_ascii_case(name) || core.short.eq_ignore_ascii_case(name)
        })
    }
}

const fn soft(triple: &'static str, packing: Packing) -> Target {
    Target {
        float: Float::Soft,
        triple,
        cpu: None,
        packing,
    }
}

const fn hard(triple: &'static str, cpu: Option<&'static str>, packing: Packing) -> Target {
    Target {
        float: Float::Hard,
        triple,
        cpu,
        packing,
    }
}

/// By growing power, those without kernels in assembly behind the others.
pub const CORES: [Core; 10] = [
    Core {
        name: "Cortex-M0",
        short: "m0",
        packing: Packing::Lane,
        cpus: &["cortex-m0", "cortex-m0plus"],
        targets: &[soft("thumbv6m-none-eabi", Packing::Lane)],
        machine: Some("microbit"),
    },
    Core {
        name: "Cortex-M23",
        short: "m23",
        packing: Packing::Lane,
        cpus: &["cortex-m23"],
        targets: &[soft("thumbv8m.base-none-eabi", Packing::Lane)],
        machine: None,
    },
    Core {
        name: "Cortex-M3",
        short: "m3",
        packing: Packing::Lane,
        cpus: &["cortex-m3"],
        targets: &[soft("thumbv7m-none-eabi", Packing::Lane)],
        machine: Some("mps2-an385"),
    },
    Core {
        name: "Cortex-M4F",
        short: "m4",
        packing: Packing::Dsp,
        cpus: &["cortex-m4"],
        targets: &[
            hard("thumbv7em-none-eabihf", None, Packing::Dsp),
            soft("thumbv7em-none-eabi", Packing::Dsp),
        ],
        machine: Some("mps2-an386"),
    },
    Core {
        name: "Cortex-M7",
        short: "m7",
        packing: Packing::Dsp,
        cpus: &["cortex-m7"],
        targets: &[
            hard("thumbv7em-none-eabihf", None, Packing::Dsp),
            soft("thumbv7em-none-eabi", Packing::Dsp),
        ],
        machine: Some("mps2-an500"),
    },
    Core {
        name: "Cortex-M33",
        short: "m33",
        packing: Packing::Dsp,
        cpus: &["cortex-m33", "cortex-m35p", "star-mc1"],
        targets: &[
            hard(
                "thumbv8m.main-none-eabihf",
                Some("cortex-m33"),
                Packing::Dsp,
            ),
            // Stands for cores without DSP instructions, too.
            soft("thumbv8m.main-none-eabi", Packing::Lane),
        ],
        machine: Some("mps2-an505"),
    },
    Core {
        name: "Cortex-M55",
        short: "m55",
        packing: Packing::Mve,
        cpus: &["cortex-m55", "cortex-m52", "cortex-m85"],
        targets: &[
            hard(
                "thumbv8m.main-none-eabihf",
                Some("cortex-m55"),
                Packing::Mve,
            ),
            soft("thumbv8m.main-none-eabi", Packing::Lane),
        ],
        machine: Some("mps3-an547"),
    },
    Core {
        name: "RV32IMC",
        short: "rv32imc",
        packing: Packing::Lane,
        cpus: &[],
        targets: &[soft("riscv32imc-unknown-none-elf", Packing::Lane)],
        machine: None,
    },
    Core {
        name: "RV32IMAC",
        short: "rv32imac",
        packing: Packing::Lane,
        cpus: &[],
        targets: &[soft("riscv32imac-unknown-none-elf", Packing::Lane)],
        machine: None,
    },
    Core {
        name: "RV32IMAFC",
        short: "rv32imafc",
        packing: Packing::Lane,
        cpus: &[],
        targets: &[hard("riscv32imafc-unknown-none-elf", None, Packing::Lane)],
        machine: None,
    },
];

/// The order of weights that a build for a Rust target has kernels for, by the name that `-C target-cpu`
/// gives if there is one; none where the table has no such target.
///
/// The target alone stands for the least of its cores.
pub fn packing(triple: &str, cpu: Option<&str>) -> Option<Packing> {
    let compiled = |core: &Core| core.targets.iter().find(|target| target.triple == triple);
    let named =
        |core: &&Core| compiled(core).is_some() && cpu.is_some_and(|cpu| core.cpus.contains(&cpu));
    match CORES.iter().find(named) {
        Some(core) => Some(core.packing),
        None => CORES.iter().find_map(compiled).map(|target| target.packing),
    }
}

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

    #[test]
    fn a_build_has_kernels_by_its_target_and_its_processor() {
        for (triple, cpu, expected) in [
            ("thumbv6m-none-eabi", None, Some(Packing::Lane)),
            ("thumbv8m.base-none-eabi", None, Some(Packing::Lane)),
            (
                "thumbv7em-none-eabihf",
                Some("cortex-m7"),
                Some(Packing::Dsp),
            ),
            // A processor that the target's instructions do not reach.
            ("thumbv7m-none-eabi", Some("cortex-m4"), Some(Packing::Lane)),
            ("thumbv8m.main-none-eabihf", None, Some(Packing::Dsp)),
            ("thumbv8m.main-none-eabi", None, Some(Packing::Lane)),
            (
                "thumbv8m.main-none-eabi",
                Some("cortex-m33"),
                Some(Packing::Dsp),
            ),
            (
                "thumbv8m.main-none-eabi",
                Some("cortex-m85"),
                Some(Packing::Mve),
            ),
            ("riscv32imc-unknown-none-elf", None, Some(Packing::Lane)),
            ("aarch64-unknown-none", None, None),
        ] {
            assert_eq!(packing(triple, cpu), expected, "{triple} {cpu:?}");
        }
    }

    #[test]
    fn every_way_to_compile_for_a_core_is_found() {
        for core in &CORES {
            for target in core.targets {
                let found = packing(target.triple, target.cpu);
                assert_eq!(found, Some(target.packing), "{} {target:?}", core.name);
            }
        }
    }
}
