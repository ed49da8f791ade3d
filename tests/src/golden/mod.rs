//! The golden folder: what real Keras produced, in the layout of `tests/golden/README.md`.
//!
//! The variable `THUMBNET_GOLDEN` names another folder of that layout.

pub mod cases;
pub mod command_line;
pub mod resume;
mod rule;
pub mod trajectory;

use std::fs::File;
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use ndarray_npy::{NpzReader, ReadNpyExt};
use serde_json::Value;

/// The golden folder: `THUMBNET_GOLDEN`, or the one committed in `tests/`.
pub fn root() -> PathBuf {
    match std::env::var_os("THUMBNET_GOLDEN") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("golden"),
    }
}

/// The folders inside `kind` (such as `cases`) that hold a file `marker`, by name. Says so when
/// there is no such kind.
pub fn folders(kind: &str, marker: &str) -> Vec<PathBuf> {
    let folder = root().join(kind);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        report(&format!(
            "{kind}: skipped, there is no folder {}",
            folder.display()
        ));
        return Vec::new();
    };
    let mut folders: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| folder.join(marker).is_file())
        .collect();
    folders.sort();
    folders
}

/// Prints a closing line where `cargo test` does not keep it for tests that fail.
pub fn report(line: &str) {
    use std::io::Write as _;
    // On a line of its own, whatever the test's name has begun.
    let _ = writeln!(std::io::stdout().lock(), "\n{line}");
}

/// What `test` found; where it panicked, that is what it found.
pub fn guarded<T>(test: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)).map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(panic.downcast_ref::<&str>().copied());
        format!("panicked: {}", text.unwrap_or("without a text"))
    })
}

/// The last component of a path.
pub fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// A JSON file.
pub fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A `.npy` file of float32 or int64 as floats.
pub fn npy(path: &Path) -> ArrayD<f32> {
    let open = || File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    match ArrayD::<f32>::read_npy(open()) {
        Ok(array) => array,
        Err(_) => {
            let integers = ArrayD::<i64>::read_npy(open());
            let integers = integers.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            integers.mapv(|v| v as f32) // labels and counts: far below 2^24, so exact
        }
    }
}

/// An array of a `.npz` file, float32 or int64, as floats.
pub fn npz(path: &Path, name: &str) -> ArrayD<f32> {
    let fail = |e: &dyn std::fmt::Display| -> ! { panic!("{}: {name}: {e}", path.display()) };
    let file = File::open(path).unwrap_or_else(|e| fail(&e));
    let mut npz = NpzReader::new(file).unwrap_or_else(|e| fail(&e));
    match npz.by_name::<ndarray::OwnedRepr<f32>, ndarray::IxDyn>(name) {
        Ok(array) => array,
        Err(_) => {
            let integers = npz.by_name::<ndarray::OwnedRepr<i64>, ndarray::IxDyn>(name);
            integers.unwrap_or_else(|e| fail(&e)).mapv(|v| v as f32) // exact, as in `npy`
        }
    }
}
