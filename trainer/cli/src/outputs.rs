//! Outputs that would overwrite inputs or each other, refused before any work.

use std::{
    fs,
    path::{Path, PathBuf},
};

use thumbnet_trainer::dataset::array_file;

use super::{Failure, Outcome};

/// A file that the command line names, and by which option.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    pub option: &'static str,
    pub path: &'a Path,
}

impl<'a> Named<'a> {
    /// Those of an option that may be left out.
    pub fn of(option: &'static str, path: Option<&'a PathBuf>) -> Option<Self> {
        path.map(|path| Self { option, path })
    }
}

/// Refuses outputs that are the same file as an input or as an output before them, by whatever name.
pub fn check<'a>(
    inputs: impl IntoIterator<Item = Option<Named<'a>>>,
    outputs: impl IntoIterator<Item = Option<Named<'a>>>,
) -> Outcome {
    let mut taken: Vec<(Place, Named)> = inputs
        .into_iter()
        .flatten()
        .filter_map(|input| Some((Place::of(&array_file(input.path))?, input)))
        .collect();
    for output in outputs.into_iter().flatten() {
        let Some(place) = Place::of(output.path) else {
            continue;
        };
        if let Some((_, other)) = taken.iter().find(|(found, _)| *found == place) {
            let shown = output.path.display();
            let same = match other.path == output.path {
                true => shown.to_string(),
                false => format!("{shown}, the same file as {},", other.path.display()),
            };
            return Err(Failure::usage(format!(
                "{} would overwrite {same} of {}; give {0} another name",
                output.option, other.option
            )));
        }
        taken.push((place, output));
    }
    Ok(())
}

/// Which file it is, whatever it is called.
#[derive(Debug, PartialEq)]
enum Place {
    /// One that is there: device and number.
    #[cfg(unix)]
    File(u64, u64),
    /// One that is still to be written, or on systems without such numbers: where it lies.
    At(PathBuf),
}

impl Place {
    /// None for devices and pipes, which may be given twice.
    fn of(path: &Path) -> Option<Self> {
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => None,
            #[cfg(unix)]
            Ok(found) => {
                use std::os::unix::fs::MetadataExt;
                Some(Self::File(found.dev(), found.ino()))
            }
            #[cfg(not(unix))]
            Ok(_) => fs::canonicalize(path).ok().map(Self::At),
            Err(_) => {
                let folder = path.parent().filter(|folder| *folder != Path::new(""));
                let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
                Some(Self::At(folder.join(path.file_name()?)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_is_known_by_other_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), "a").unwrap();
        fs::create_dir(at("f")).unwrap();
        let refused = |input: PathBuf, output: PathBuf| {
            let named = |option, path| Named::of(option, Some(path));
            check([named("--x", &input)], [named("--output", &output)]).is_err()
        };
        assert!(refused(at("a"), at("a")));
        assert!(refused(at("a"), at("f/../a")));
        assert!(!refused(at("a"), at("b")));
        // Neither is there yet.
        assert!(refused(at("b"), at("f/../b")));
        assert!(!refused(at("b"), at("f/b")));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
            fs::hard_link(at("a"), at("hard")).unwrap();
            assert!(refused(at("a"), at("link")));
            assert!(refused(at("hard"), at("a")));
            assert!(!refused("/dev/null".into(), "/dev/null".into()));
        }
    }
}
