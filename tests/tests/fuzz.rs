//! A bounded run of every target of `thumbnet_tests::fuzz`, the same inputs each time. `THUMBNET_FUZZ=100` takes a
//! hundred times as many, `THUMBNET_FUZZ_SEED=1` others, `THUMBNET_FUZZ_TARGET=csv` one target.

use thumbnet_tests::{
    allocations::Counting,
    fuzz::{TARGETS, seeded},
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn hostile_inputs_are_refused_or_predict() {
    let only = std::env::var("THUMBNET_FUZZ_TARGET").ok();
    // A panic that is caught prints its place all the same.
    for target in TARGETS {
        if only.as_ref().is_some_and(|only| only != target.name) {
            continue;
        }
        let seen = seeded(&target);
        println!("{}: {seen:?}", target.name);
        assert!(
            seen.accepted > seen.inputs / 100,
            "{}: {seen:?}",
            target.name
        );
        // On a computer that does other things besides.
        assert!(seen.slowest.as_secs() < 60, "{}: {seen:?}", target.name);
    }
}
