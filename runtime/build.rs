//! Says which kernels the core has instructions for, since rustc does not on its own:
//! `cfg(kernel = "dsp")` and so on, and `cfg(fpu_and_dsp)`; `cfg(portable)` where code for all
//! packings is built.
//!
//! The target decides, and for Armv8-M also `-C target-cpu` and `-C target-feature`:
//!
//! | target | kernel |
//! |---|---|
//! | thumbv6m-none-eabi, thumbv8m.base-none-eabi | lane |
//! | thumbv7m-none-eabi | lane |
//! | thumbv7em-none-eabi, thumbv7em-none-eabihf | dsp |
//! | thumbv8m.main-none-eabihf | dsp, unless `target-feature=-dsp` |
//! | thumbv8m.main-none-eabi | lane, or dsp with `target-cpu=cortex-m33` or `target-feature=+dsp` |
//! | thumbv8m.main-none-eabi, thumbv8m.main-none-eabihf with `target-cpu=cortex-m55` or `target-feature=+mve` | mve |

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    println!("cargo::rustc-check-cfg=cfg(kernel, values(\"lane\", \"dsp\", \"mve\"))");
    println!("cargo::rustc-check-cfg=cfg(fpu)");
    println!("cargo::rustc-check-cfg=cfg(fpu_and_dsp)");
    println!("cargo::rustc-check-cfg=cfg(portable)");
    println!("cargo::rustc-check-cfg=cfg(armv6m)");
    println!("cargo::rustc-check-cfg=cfg(armv8m)");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    if variable("CARGO_CFG_TARGET_OS") != "none" {
        println!("cargo::rustc-cfg=portable");
        println!("cargo::rustc-cfg=fpu");
        return;
    }
    let target = variable("TARGET");
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    // The last word on a feature holds.
    let feature = |name: &str, implied: bool| {
        let switched = flags
            .split(['\x1f', '=', ',', ' '])
            .filter_map(|word| match word.strip_suffix(name)? {
                "+" => Some(true),
                "-" => Some(false),
                _ => None,
            })
            .next_back();
        switched.unwrap_or(implied)
    };
    let cpu = |names: &[&str]| {
        let mut cpu = flags.split('\x1f').filter_map(|flag| {
            flag.trim_start_matches("-C")
                .trim()
                .strip_prefix("target-cpu=")
        });
        cpu.next_back().is_some_and(|cpu| names.contains(&cpu))
    };
    let with_mve = cpu(&["cortex-m52", "cortex-m55", "cortex-m85"]);
    let with_dsp = with_mve || cpu(&["cortex-m33", "cortex-m35p", "star-mc1"]);
    let hard_floats = target.ends_with("eabihf");
    if hard_floats {
        println!("cargo::rustc-cfg=fpu");
    }
    let kernel = if target.starts_with("thumbv7em") {
        Some("dsp")
    } else if target.starts_with("thumbv8m.main") {
        if feature("mve", with_mve) || feature("mve.fp", false) {
            Some("mve")
        } else if feature("dsp", with_dsp || hard_floats) {
            Some("dsp")
        } else {
            Some("lane")
        }
    } else if target.starts_with("thumb") {
        Some("lane")
    } else {
        None
    };
    if let Some(kernel) = kernel {
        println!("cargo::rustc-cfg=kernel=\"{kernel}\"");
        if hard_floats && kernel != "lane" {
            println!("cargo::rustc-cfg=fpu_and_dsp");
        }
    }
    // A core without kernels of its own has nothing else.
    if kernel.is_none() || env::var_os("CARGO_FEATURE_PORTABLE").is_some() {
        println!("cargo::rustc-cfg=portable");
    }
    if target.starts_with("thumbv6m") || target.starts_with("thumbv8m.base") {
        println!("cargo::rustc-cfg=armv6m");
    }
    if target.starts_with("thumbv8m.main") {
        println!("cargo::rustc-cfg=armv8m");
    }
}
