//! Where firmware takes thumbnet's crates from.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use thumbnet_boards::library;

use super::super::{Failure, Outcome};

/// Where firmware takes thumbnet's crates from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The published ones, of this version.
    Published,
    /// A clone of the repository, by its absolute path.
    Path(PathBuf),
    /// A repository.
    Git(String),
}

impl Source {
    /// What options say; without one, what was published, unless this program comes from a clone.
    ///
    /// # Errors
    ///
    /// A folder that is no clone; no option, where this program was built from a clone.
    pub fn of(path: Option<&Path>, git: Option<&str>, published: bool) -> Outcome<Self> {
        if let Some(path) = path {
            let clone = fs::canonicalize(path).ok();
            let clone = clone.filter(|clone| clone.join("runtime/build/Cargo.toml").is_file());
            return clone.map(Self::Path).ok_or_else(|| {
                Failure::usage(format!(
                    "{} is no clone of thumbnet's repository, expected a folder with runtime/build in it",
                    path.display()
                ))
            });
        }
        if let Some(url) = git {
            return Ok(Self::Git(url.to_string()));
        }
        match library::clone().filter(|_| !published) {
            None => Ok(Self::Published),
            Some(clone) => Err(Failure::usage(format!(
                "this thumbnet was built from a clone, whose crates may not be published; say where the firmware takes them from: --path {}, --git URL, or --published",
                clone.display()
            ))),
        }
    }

    /// For firmware that is built at once and not kept: the clone that this program was built from, where it is
    /// still there, or the published crates.
    pub fn own() -> Self {
        library::clone().map_or(Self::Published, Self::Path)
    }

    /// What Cargo.toml, in `folder`, says of the crate in a folder of the repository.
    pub fn dependency(&self, krate: &str, folder: &Path) -> String {
        match self {
            Self::Published => format!("version = {:?}", env!("CARGO_PKG_VERSION")),
            Self::Git(url) => format!("git = {url:?}"),
            Self::Path(clone) => {
                let path = relative(folder, &clone.join(krate));
                // Cargo reads slashes everywhere.
                format!("path = {:?}", path.display().to_string().replace('\\', "/"))
            }
        }
    }
}

/// The way from one absolute folder to another; absolute where they have no common root.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let from: Vec<Component> = from.components().collect();
    let target: Vec<Component> = to.components().collect();
    let same = from.iter().zip(&target).take_while(|(a, b)| a == b).count();
    if same == 0 {
        return to.to_path_buf();
    }
    let up = from[same..].iter().map(|_| Component::ParentDir);
    up.chain(target[same..].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_named_from_the_folder_of_the_firmware() {
        let source = Source::Path("/a/clone".into());
        for (folder, expected) in [
            ("/a/fw", "path = \"../clone/runtime\""),
            ("/a/clone/fw", "path = \"../runtime\""),
            ("/b/c/fw", "path = \"../../../a/clone/runtime\""),
        ] {
            assert_eq!(source.dependency("runtime", Path::new(folder)), expected);
        }
        let git = Source::Git("https://example.org/t.git".into());
        assert_eq!(
            git.dependency("runtime", Path::new("/fw")),
            "git = \"https://example.org/t.git\""
        );
    }

    #[test]
    fn a_folder_that_is_no_clone_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = Source::of(Some(folder.path()), None, false).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("is no clone of thumbnet's repository")
        );
        assert_eq!(Source::of(None, None, true).unwrap(), Source::Published);
    }
}
