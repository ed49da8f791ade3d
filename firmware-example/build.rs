//! Chooses the memory layout of the board named by `THUMBNET_BOARD`.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        link();
    }
}

/// Puts the board's `memory.x` where the linker looks for it.
fn link() {
    println!("cargo:rerun-if-env-changed=THUMBNET_BOARD");
    println!("cargo:rerun-if-changed=memory");
    let board = env::var("THUMBNET_BOARD").unwrap_or_else(|_| "mps2-an386".into());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it for build scripts"));
    let layout = PathBuf::from("memory").join(&board).with_extension("x");
    if let Err(error) = fs::copy(&layout, out.join("memory.x")) {
        panic!(
            "THUMBNET_BOARD={board}: {}: {error}; write the board's memory layout there",
            layout.display()
        );
    }
    println!("cargo:rustc-link-search={}", out.display());
    // Without --nmagic a page-aligned segment header would reach below the start of the flash.
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rustc-link-arg-bin=demo=-Tdefmt.x");
}
