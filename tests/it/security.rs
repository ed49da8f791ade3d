//! The tables of SECURITY.md are true: sites of unsafe code by file, and dependencies.

use std::{fs, path::Path};

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Sites of unsafe code of a file, comments left out.
fn sites(text: &str) -> usize {
    let code = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
        .map(|line| line.split(" // ").next().unwrap_or_default());
    let kinds = [
        "unsafe {",
        "unsafe fn",
        "unsafe impl",
        "unsafe extern",
        "unsafe(",
    ];
    code.map(|line| {
        kinds
            .iter()
            .map(|kind| line.matches(kind).count())
            .sum::<usize>()
    })
    .sum()
}

/// `(path from the root, sites)` of all sources below a folder.
fn count(root: &Path, folder: &Path, found: &mut Vec<(String, usize)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let sites = sites(&read(&path));
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.extend((sites > 0).then_some((name.replace('\\', "/"), sites)));
        }
    }
}

#[test]
fn every_site_of_unsafe_code_and_every_dependency_is_in_the_tables() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = read(&root.join(".github/SECURITY.md"));
    let mut found = Vec::new();
    for folder in ["runtime", "trainer"] {
        count(root, &root.join(folder), &mut found);
    }
    let listed = text.lines().filter(|line| line.contains(".rs` | ")).count();
    let mut wrong: Vec<String> = found
        .iter()
        .map(|(name, sites)| format!("| `{name}` | {sites} | "))
        .filter(|row| !text.lines().any(|line| line.starts_with(row)))
        .collect();
    if listed != found.len() {
        wrong.push(format!("{listed} rows for {} files", found.len()));
    }
    for package in [
        "runtime",
        "runtime/build",
        "runtime/c",
        "runtime/update",
        "trainer",
        "trainer/boards",
        "trainer/cli",
        "trainer/prove",
    ] {
        let manifest = read(&root.join(package).join("Cargo.toml"));
        let mut of_programs = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                of_programs = line.ends_with("dependencies]") && !line.contains("dev-");
            }
            let name = line.split([' ', '.', '=']).next().unwrap_or_default();
            if of_programs
                && !name.is_empty()
                && !name.starts_with(['[', '#'])
                && !name.starts_with("thumbnet")
                && !text.contains(&format!("\n| {name} | "))
            {
                wrong.push(format!("| {name} | {package} | why"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "SECURITY.md: these rows are missing: {wrong:#?}"
    );
}
