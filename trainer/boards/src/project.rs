//! Builds a firmware crate that stands in a folder, with the flags of its own `.cargo/config.toml`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Error, Result, cargo, check_target, failure, library, lock};

/// Builds the package `name` in `folder` for a Rust target by `cargo build` with further arguments, and returns
/// the program, a copy in `folder` that stays as it is.
///
/// In a clone of the repository, its versions of dependencies and its `target` are used; `CARGO_TARGET_DIR` is
/// respected.
///
/// # Errors
///
/// [`Error::MissingTarget`] where the target is not installed; where cargo is missing or the build fails.
pub fn build(folder: &Path, name: &str, triple: &str, arguments: &[&str]) -> Result<PathBuf> {
    check_target(triple)?;
    let clone = library::clone();
    if let Some(clone) = &clone {
        let lock = clone.join("Cargo.lock");
        fs::copy(&lock, folder.join("Cargo.lock")).map_err(|error| Error::io(&lock, error))?;
    }
    let own = match &clone {
        Some(clone) => clone.join("target").join("run"),
        None => folder.join("target"),
    };
    let target_dir = match env::var_os("CARGO_TARGET_DIR") {
        Some(given) => env::current_dir()
            .map_err(|error| Error::io(".", error))?
            .join(given),
        None => own,
    };
    fs::create_dir_all(&target_dir).map_err(|error| Error::io(&target_dir, error))?;
    // Every program of one name is the same file to cargo.
    let _lock = lock(&target_dir.join("run.lock"))?;
    let mut build = Command::new(cargo());
    build
        .current_dir(folder)
        .args(["build", "--quiet", "--release"])
        .args(arguments)
        .arg("--target-dir")
        .arg(&target_dir)
        // Those of a surrounding build would replace the crate's own.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .stdin(Stdio::null());
    if let Some(reason) = failure(&mut build)? {
        return Err(Error::Build(format!(
            "the firmware did not build for {triple}: {reason}; see whether firmware of `thumbnet new` builds, and \
             whether the Rust installed is as new as thumbnet needs"
        )));
    }
    let built = target_dir.join(triple).join("release").join(name);
    let elf = folder.join(format!("{name}.elf"));
    fs::copy(&built, &elf).map_err(|error| Error::io(&built, error))?;
    Ok(elf)
}
