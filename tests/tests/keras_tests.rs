//! What Keras' own unit tests of metrics, optimizers and learning-rate schedules compute comes out
//! here, too; `golden/keras_tests/record.py` says how it was written down.

use thumbnet_tests::{golden, keras_tests};

#[test]
fn keras_own_tests_give_the_same_numbers() {
    let files = keras_tests::check();
    assert!(!files.is_empty(), "golden/keras_tests has no tables");
    let (mut equal, mut different, mut others) = (0, 0, 0);
    for (file, tally) in &files {
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
        "Keras' own tests: {equal} equal, {different} different, {others} not applicable"
    ));
    assert!(equal > 300, "{equal}");
    assert_eq!(different, 0);
}
