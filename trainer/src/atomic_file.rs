//! Files appear whole or not at all: written beside their place, then renamed.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// Writes a file by way of a temporary one in the same folder.
///
/// When `write` fails, or the process is killed, what was at `path` before is unchanged. Devices
/// and pipes (`/dev/stdout`) are written directly, links keep pointing where they point.
///
/// # Errors
///
/// [`Error::Io`] naming `path`, or what `write` returns.
pub fn write(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let io = |source| Error::io(path, source);
    check(path)?;
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let mut device = OpenOptions::new().write(true).open(path).map_err(io)?;
        return write(&mut device);
    }
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    remove_leftovers(&place);
    let mut file = temporary(&place).map_err(io)?;
    write(file.as_file_mut())?;
    let new = file.as_file();
    if let Ok(old) = fs::metadata(&place) {
        // A file that others may not read stays one.
        new.set_permissions(old.permissions()).map_err(io)?;
    }
    new.sync_all().map_err(io)?;
    file.persist(&place).map_err(|error| io(error.error))?;
    // The name itself has to reach the disk too; not every system can open a folder.
    #[cfg(unix)]
    if let Ok(folder) = File::open(folder(&place)) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Ends the names of temporary files.
const SUFFIX: &str = ".thumbnet";

/// Begins the names of `place`'s temporary files: `.m.h5.` for `m.h5`.
fn prefix(place: &Path) -> String {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    // Room for the rest in the 255 bytes that a name may have.
    let kept: String = name.chars().take(50).collect();
    format!(".{kept}.")
}

/// A new file beside `place` under a name that nobody can guess, made without following what may be
/// there, and locked. It becomes `place`, or disappears when dropped before.
fn temporary(place: &Path) -> std::io::Result<NamedTempFile> {
    let prefix = prefix(place);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(12);
    #[cfg(unix)]
    if !place.exists() {
        // Ordinary permissions (the umask applies), not a temporary file's private ones.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    loop {
        let file = builder.tempfile_in(folder(place))?;
        // Some network folders have no locks: a leftover then stays.
        let _ = file.as_file().lock();
        // Another process may have taken it for a leftover before the lock was ours.
        if file.path().exists() {
            return Ok(file);
        }
    }
}

/// Removes what killed processes left when they wrote `place`: a file that is still being written is
/// locked. Links and pipes are left alone, unopened.
fn remove_leftovers(place: &Path) {
    let prefix = prefix(place);
    for entry in fs::read_dir(folder(place)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ours = name
            .strip_prefix(&prefix)
            .and_then(|rest| rest.strip_suffix(SUFFIX))
            .is_some_and(|random| random.len() == 12);
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        // Locked until it is gone: who has just made it waits, and sees that.
        if let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            // Of no harm where it stays.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// [`write()`] of bytes that are there already.
///
/// # Errors
///
/// [`Error::Io`] naming `path`.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, |file| {
        file.write_all(bytes)
            .map_err(|source| Error::io(path, source))
    })
}

/// Whether a file could be written at `path`, to refuse before hours of work instead of after.
///
/// # Errors
///
/// [`Error::Value`] when the folder is missing or `path` is a folder.
pub fn check(path: &Path) -> Result<()> {
    let folder = folder(path);
    if !folder.is_dir() {
        return Err(Error::value(format!(
            "{}: there is no folder {folder}; create it with mkdir -p {folder}",
            path.display(),
            folder = folder.display()
        )));
    }
    if path.is_dir() {
        return Err(Error::value(format!(
            "{}: this is a folder, expected the name of a file to write",
            path.display()
        )));
    }
    Ok(())
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.h5");
        write(&path, |file| {
            file.write_all(b"good").map_err(|e| Error::io(&path, e))
        })
        .unwrap();
        let failed = write(&path, |file| {
            file.write_all(b"ba").unwrap();
            Err(Error::value("stopped"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "stopped");
        assert_eq!(fs::read(&path).unwrap(), b"good");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.h5");
        let left = dir.path().join(".model.h5.0123456789ab.thumbnet");
        fs::write(&left, b"half a mod").unwrap();
        let written = dir.path().join(".model.h5.ba9876543210.thumbnet");
        let other = File::create(&written).unwrap();
        other.lock().unwrap();
        write_bytes(&path, b"good").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"good");
        assert!(!left.exists() && written.exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    /// Links and pipes under the names that are used, or were: nothing behind them changes.
    #[cfg(unix)]
    #[test]
    fn what_lies_under_the_name_of_a_temporary_file_is_not_followed() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("victim"), b"precious").unwrap();
        for name in [".m.h5.thumbnet", ".m.h5.0123456789ab.thumbnet"] {
            fs::hard_link(at("victim"), at(name)).unwrap();
            write_bytes(&at("m.h5"), b"model").unwrap();
            let _ = fs::remove_file(at(name));
            for target in ["victim", "nowhere"] {
                symlink(at(target), at(name)).unwrap();
                write_bytes(&at("m.h5"), b"model").unwrap();
                fs::remove_file(at(name)).unwrap();
            }
            let made = std::process::Command::new("mkfifo").arg(at(name)).status();
            if made.is_ok_and(|status| status.success()) {
                // A process that opened it would wait for ever.
                write_bytes(&at("m.h5"), b"model").unwrap();
                fs::remove_file(at(name)).unwrap();
            }
        }
        assert_eq!(fs::read(at("victim")).unwrap(), b"precious");
        assert!(!at("nowhere").exists());
        assert_eq!(fs::read(at("m.h5")).unwrap(), b"model");
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_stays_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.h5");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        for bits in [0o600, 0o640, 0o444] {
            write_bytes(&path, b"old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
            write_bytes(&path, b"new").unwrap();
            assert_eq!((mode(), fs::read(&path).unwrap()), (bits, b"new".to_vec()));
        }
    }

    #[test]
    fn two_writers_at_once_do_not_mix() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.h5");
        write(&path, |outer| {
            write_bytes(&path, b"inner")?;
            assert_eq!(fs::read(&path).unwrap(), b"inner");
            outer.write_all(b"outer").map_err(|e| Error::io(&path, e))
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"outer");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

        let text = |writer: u8| vec![b'a' + writer; 10_000];
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope
                    .spawn(move || (0..25).for_each(|_| write_bytes(path, &text(writer)).unwrap()));
            }
        });
        let found = fs::read(&path).unwrap();
        assert!((0..4).any(|writer| found == text(writer)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_and_a_folder_are_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("models");
        let path = folder.join("m.h5");
        assert_eq!(
            check(&path).unwrap_err().to_string(),
            format!(
                "{}: there is no folder {}; create it with mkdir -p {1}",
                path.display(),
                folder.display()
            )
        );
        assert_eq!(
            check(dir.path()).unwrap_err().to_string(),
            format!(
                "{}: this is a folder, expected the name of a file to write",
                dir.path().display()
            )
        );
    }

    #[cfg(unix)]
    #[test]
    fn devices_stay_devices_and_links_stay_links() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        write(Path::new("/dev/null"), |file| {
            file.write_all(b"x").map_err(|e| Error::io("/dev/null", e))
        })
        .unwrap();
        assert!(
            fs::metadata("/dev/null")
                .unwrap()
                .file_type()
                .is_char_device()
        );

        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, b"old").unwrap();
        symlink(&file, &link).unwrap();
        write(&link, |out| {
            out.write_all(b"new").map_err(|e| Error::io(&link, e))
        })
        .unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }
}
