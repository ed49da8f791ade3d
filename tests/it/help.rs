//! What the command line says of itself: help, manual pages, completions.

use std::fs;

use thumbnet_tests::iris::{files, folder, run};

#[test]
fn the_examples_of_every_help_run_as_written() {
    let folder = folder();
    for verb in [
        "train", "evaluate", "summary", "export", "inspect", "predict", "boards", "new",
    ] {
        let help = run(folder.path(), &format!("{verb} --help")).ok();
        let (_, example) = help.split_once("Example: thumbnet ").unwrap();
        let example: Vec<&str> = example.split_whitespace().collect();
        assert_eq!(example.first(), Some(&verb));
        run(folder.path(), &example.join(" ")).ok();
    }
    assert!(
        run(folder.path(), "--help")
            .ok()
            .contains("Exit codes: 0 done;")
    );
}

#[test]
fn shells_get_completions_and_readers_manual_pages() {
    let folder = folder();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(folder.path(), &format!("completions {shell}")).ok();
        assert!(script.contains("restore-best-weights"), "{shell}");
    }
    run(folder.path(), "man man1").ok();
    let pages = files(&folder.path().join("man1"));
    assert!(pages.contains(&"thumbnet.1".to_string()), "{pages:?}");
    let page = fs::read_to_string(folder.path().join("man1/thumbnet-train.1")).unwrap();
    assert!(page.contains(".TH thumbnet-train 1"), "{}", &page[..200]);
    assert!(page.contains("test\\-split"), "{page}");
}
