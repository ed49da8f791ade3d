//! Files that are either the old one or the new one, never half of one.

use std::io::Write;
use std::path::Path;

use crate::{Error, Result};

/// Writes `bytes` to `path`: into a temporary file of the same folder, to the disk, then renamed.
///
/// A process that is killed at any moment leaves the old file, or the new one.
///
/// # Errors
///
/// [`Error::Io`] with the path when the folder is missing, not writable or full. Nothing is left
/// behind then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let failed = |source| Error::io(path, source);
    if path.is_dir() {
        return Err(Error::format(
            path,
            "is a folder, expected the name of a file to write",
        ));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".thumbnet-").suffix(".part");
    #[cfg(unix)]
    {
        // As any new file has it; the umask still applies. Temporary files are 0600 otherwise.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    // The name itself has to reach the disk too; not every system can open a folder.
    #[cfg(unix)]
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/a.bin");
        let error = write_atomically(&path, b"one").unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
    }

    #[test]
    fn a_folder_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(folder.path(), b"one").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{}: is a folder, expected the name of a file to write",
                folder.path().display()
            )
        );
    }
}
