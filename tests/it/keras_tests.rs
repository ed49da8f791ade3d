//! What Keras' own unit tests of metrics, optimizers, learning-rate schedules and whole models compute
//! comes out here, too; the scripts in `golden/keras_tests` say how it was written down.

use std::collections::BTreeMap;

use thumbnet_tests::keras_tests::FileTally;
use thumbnet_tests::{golden, keras_tests};

#[test]
fn keras_own_tests_give_the_same_numbers() {
    let (equal, different) = count("Keras' own tests", &keras_tests::check());
    assert!(equal > 300, "{equal}");
    assert_eq!(different, 0);
}

#[test]
fn models_of_keras_own_tests_compute_the_same() {
    let (equal, different) = count("models in Keras' own tests", &keras_tests::check_models());
    assert!(equal > 100, "{equal}");
    assert_eq!(different, 0);
    let calls = keras_tests::model_calls();
    for call in [
        "evaluate",
        "fit",
        "predict",
        "predict_on_batch",
        "save",
        "test_on_batch",
        "train_on_batch",
    ] {
        assert!(calls.contains_key(call), "{call}: {calls:?}");
    }
}

/// Prints how each file went; the number of equal and of different cases.
fn count(what: &str, files: &BTreeMap<String, FileTally>) -> (usize, usize) {
    assert!(!files.is_empty(), "golden/keras_tests has no tables");
    let (mut equal, mut different, mut others) = (0, 0, 0);
    for (file, tally) in files {
        let not_applicable: usize = tally.not_applicable.values().sum();
        golden::report(&format!(
            "{file}: {} equal, {} different, {not_applicable} not applicable",
            tally.equal,
            tally.different.len()
        ));
        for (reason, count) in &tally.not_applicable {
            println!("    not applicable: {count} {reason}");
        }
        for line in &tally.different {
            println!("    different: {line}");
        }
        equal += tally.equal;
        different += tally.different.len();
        others += not_applicable;
    }
    golden::report(&format!(
        "{what}: {equal} equal, {different} different, {others} not applicable"
    ));
    (equal, different)
}
