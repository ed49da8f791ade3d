//! Builds the static library for C, `thumbnet-c`, for one core.
//!
//! It is built by a crate of a few lines that depends on `thumbnet-c`: the one of the repository that this
//! program was built from, or else the published one.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use thumbnet_runtime::cores::{CORES, Target};

use crate::{Error, Result, archive, cargo_build, check_target, failure, lock};

/// One way to compile the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The core.
    pub target: &'static Target,
    /// Cargo features of `thumbnet-c`: the weight types beside int8, `activations`, `layers`, `portable`.
    pub features: Vec<&'static str>,
}

/// Whole-program optimization leaves nothing of Rust's `core` that is not called, no panic among it.
const MANIFEST: &str = "\
[package]
name = \"thumbnet\"
version = \"0.0.0\"
edition = \"2024\"

[lib]
path = \"lib.rs\"
crate-type = [\"staticlib\"]

[profile.release]
opt-level = \"s\"
codegen-units = 1
lto = \"fat\"
panic = \"abort\"

[workspace]

[dependencies.thumbnet-c]
default-features = false
";

/// Its only content: the functions of the dependency are the library's.
const SOURCE: &str = "#![no_std]\npub use thumbnet_c::*;\n";

impl Library {
    /// Every way to compile for a core, each once: several cores share some.
    pub fn targets() -> Vec<&'static Target> {
        let mut found: Vec<&Target> = Vec::new();
        for target in CORES.iter().flat_map(|core| core.targets) {
            let same = |other: &&Target| other.triple == target.triple && other.cpu == target.cpu;
            if !found.iter().any(same) {
                found.push(target);
            }
        }
        found
    }

    /// Its name among all: the Rust target, with the processor where that makes a difference.
    pub fn name(target: &Target) -> String {
        match target.cpu {
            Some(cpu) => format!("{}-{cpu}", target.triple),
            None => target.triple.to_string(),
        }
    }

    /// What GCC and Clang take for the same core and the same way to pass floats; none for targets that
    /// the table of cores has not got.
    pub fn c_flags(target: &Target) -> Option<&'static str> {
        Some(match (target.triple, target.cpu) {
            ("thumbv6m-none-eabi", _) => "-mcpu=cortex-m0 -mthumb",
            ("thumbv8m.base-none-eabi", _) => "-mcpu=cortex-m23 -mthumb",
            ("thumbv7m-none-eabi", _) => "-mcpu=cortex-m3 -mthumb",
            ("thumbv7em-none-eabi", _) => "-mcpu=cortex-m4 -mthumb -mfloat-abi=soft",
            ("thumbv7em-none-eabihf", _) => {
                "-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16"
            }
            ("thumbv8m.main-none-eabi", _) => "-mcpu=cortex-m33 -mthumb -mfloat-abi=soft",
            ("thumbv8m.main-none-eabihf", Some("cortex-m55")) => {
                "-mcpu=cortex-m55 -mthumb -mfloat-abi=hard"
            }
            ("thumbv8m.main-none-eabihf", _) => {
                "-mcpu=cortex-m33 -mthumb -mfloat-abi=hard -mfpu=fpv5-sp-d16"
            }
            ("riscv32imc-unknown-none-elf", _) => "-march=rv32imc -mabi=ilp32",
            ("riscv32imac-unknown-none-elf", _) => "-march=rv32imac -mabi=ilp32",
            ("riscv32imafc-unknown-none-elf", _) => "-march=rv32imafc -mabi=ilp32f",
            _ => return None,
        })
    }

    /// Compiles the library into `folder`, and returns its archive there: what its functions need of it.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] where cargo or the Rust target is not installed; where the build fails.
    pub fn build(&self, folder: &Path) -> Result<PathBuf> {
        check_target(self.target.triple)?;
        let (dependency, target_dir) = match clone() {
            Some(workspace) => {
                copy(&workspace.join("Cargo.lock"), &folder.join("Cargo.lock"))?;
                let path = workspace.join("runtime").join("c");
                // One of its own: the profile differs.
                (format!("path = {path:?}"), target_dir(&workspace).join("c"))
            }
            None => (
                format!("version = {:?}", env!("CARGO_PKG_VERSION")),
                folder.join("target"),
            ),
        };
        let manifest = format!("{MANIFEST}features = {:?}\n{dependency}\n", self.features);
        write(&folder.join("Cargo.toml"), &manifest)?;
        write(&folder.join("lib.rs"), SOURCE)?;
        fs::create_dir_all(&target_dir).map_err(|error| Error::io(&target_dir, error))?;
        // The archives of all features are the same file to cargo.
        let _lock = lock(&target_dir.join("library.lock"))?;
        self.compile(folder, &target_dir)?;
        let built = target_dir
            .join(self.target.triple)
            .join("release")
            .join("libthumbnet.a");
        let bytes = fs::read(&built).map_err(|error| Error::io(&built, error))?;
        let needed = archive::needed(&bytes, "thumbnet-")
            .map_err(|error| Error::Build(format!("{} is no archive: {error}", built.display())))?;
        let archive = folder.join(format!("{}.a", Self::name(self.target)));
        fs::write(&archive, needed).map_err(|error| Error::io(&archive, error))?;
        Ok(archive)
    }

    fn compile(&self, folder: &Path, target_dir: &Path) -> Result<()> {
        let mut build = cargo_build(folder, self.target, target_dir);
        match failure(build.arg("--release"))? {
            None => Ok(()),
            Some(reason) => Err(Error::Build(format!(
                "thumbnet-c did not build for {}: {reason}; see whether `cargo build` works elsewhere, and whether \
                 the Rust installed is as new as thumbnet needs",
                Self::name(self.target),
            ))),
        }
    }
}

/// The clone of the repository that this library was built from, where it is still there.
pub fn clone() -> Option<PathBuf> {
    let workspace = crate::workspace()?;
    let whole =
        workspace.join("runtime/c/Cargo.toml").is_file() && workspace.join("Cargo.lock").is_file();
    whole.then(|| workspace.to_path_buf())
}

/// Where cargo builds in a workspace.
fn target_dir(workspace: &Path) -> PathBuf {
    let named = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace.join(named)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map_err(|error| Error::io(from, error))?;
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| Error::io(path, error))
}

#[cfg(test)]
mod tests {
    use thumbnet_runtime::cores::Float;

    use super::*;

    #[test]
    fn every_target_has_a_name_of_its_own_and_flags_for_c() {
        let targets = Library::targets();
        let mut names: Vec<String> = targets.iter().map(|target| Library::name(target)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), targets.len());
        for target in targets {
            assert!(Library::c_flags(target).is_some(), "{target:?}");
            let hard = target.float == Float::Hard;
            let flags = Library::c_flags(target).unwrap_or_default();
            assert_eq!(
                flags.contains("=hard") || flags.contains("ilp32f"),
                hard,
                "{target:?}"
            );
        }
    }
}
