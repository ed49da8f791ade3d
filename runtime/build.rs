//! Says which kernels the core has instructions for, since rustc does not on its own:
//!
//! * `cfg(kernel = "dsp")` and so on - by the table of cores, from the target and `-C target-cpu`; for
//!   Armv8-M, which makes them optional, by `-C target-feature=+dsp`, `-dsp` and `+mve` as well
//! * `cfg(fpu)` - float operations are instructions
//! * `cfg(fpu_and_dsp)` - such as the kernels in assembly take with them
//! * `cfg(vmla)` - VMLA of floats pays: on Cortex-M7, by `-C target-cpu=cortex-m7`
//! * `cfg(compiled)` - kernels in plain Rust are built: on hosts, and on cores without one in assembly
//! * `cfg(portable)` - code for all packings is built
//! * `cfg(armv6m)`, `cfg(armv8m)` - the instructions of a Cortex-M0; the assembler's name of the core

use std::env;

#[allow(dead_code, reason = "a build asks for one row")]
#[path = "src/cores.rs"]
mod cores;
#[path = "src/packing.rs"]
mod packing;

use packing::Packing;

/// The flags of the compiler.
struct Flags(String);

impl Flags {
    /// The processor that is named last.
    fn cpu(&self) -> Option<&str> {
        let mut named = self.0.split('\x1f').filter_map(|flag| {
            let option = flag.trim_start_matches("-C").trim();
            option.strip_prefix("target-cpu=")
        });
        named.next_back()
    }

    /// Whether a feature is switched on or off; the last word holds.
    fn feature(&self, name: &str) -> Option<bool> {
        let words = self.0.split(['\x1f', '=', ',', ' ']);
        let mut switched = words.filter_map(|word| match word.strip_suffix(name)? {
            "+" => Some(true),
            "-" => Some(false),
            _ => None,
        });
        switched.next_back()
    }
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/cores.rs");
    println!("cargo::rerun-if-changed=src/packing.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    println!("cargo::rustc-check-cfg=cfg(kernel, values(\"lane\", \"dsp\", \"mve\"))");
    for name in [
        "fpu",
        "fpu_and_dsp",
        "vmla",
        "compiled",
        "portable",
        "armv6m",
        "armv8m",
    ] {
        println!("cargo::rustc-check-cfg=cfg({name})");
    }
    let set = |name: &str| println!("cargo::rustc-cfg={name}");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    if variable("CARGO_CFG_TARGET_OS") != "none" {
        for name in ["compiled", "fpu", "portable"] {
            set(name);
        }
        return;
    }
    let target = variable("TARGET");
    let flags = Flags(variable("CARGO_ENCODED_RUSTFLAGS"));
    let kernel = packing(&target, &flags);
    let arm = target.starts_with("thumb");
    let features = variable("CARGO_CFG_TARGET_FEATURE");
    // The only thing that rustc tells of Arm's FPU is the ABI that needs it.
    let fpu = if arm {
        variable("CARGO_CFG_TARGET_ABI") == "eabihf"
    } else {
        features.split(',').any(|feature| feature == "f")
    };
    if fpu {
        set("fpu");
    }
    if let Some(packing) = kernel {
        if arm {
            set(&format!("kernel=\"{}\"", packing.name()));
        } else {
            set("compiled");
        }
        if arm && fpu && packing != Packing::Lane {
            set("fpu_and_dsp");
            if flags.cpu() == Some("cortex-m7") {
                set("vmla");
            }
        }
    }
    // A core without kernels of its own has nothing else.
    if kernel.is_none() || env::var_os("CARGO_FEATURE_PORTABLE").is_some() {
        set("portable");
    }
    if target.starts_with("thumbv6m") || target.starts_with("thumbv8m.base") {
        set("armv6m");
    }
    if target.starts_with("thumbv8m.main") {
        set("armv8m");
    }
}

/// The packing that the build has kernels for.
fn packing(target: &str, flags: &Flags) -> Option<Packing> {
    let of_core = cores::packing(target, flags.cpu());
    if !target.starts_with("thumbv8m.main") {
        return of_core;
    }
    let switch = |name, without| flags.feature(name).unwrap_or(without);
    let mve = switch("mve", of_core == Some(Packing::Mve)) || switch("mve.fp", false);
    let dsp = switch("dsp", of_core != Some(Packing::Lane));
    Some(if mve {
        Packing::Mve
    } else if dsp {
        Packing::Dsp
    } else {
        Packing::Lane
    })
}
