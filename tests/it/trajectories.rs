//! Trainings of real Keras, followed: history, weights, gradients, optimizer, predictions.

use thumbnet_tests::golden;
use thumbnet_tests::golden::trajectory::replay;
use thumbnet_tests::unit_tables::Tally;

#[test]
fn every_training_of_keras_is_followed() {
    let mut tally = Tally::default();
    for folder in golden::folders("trajectories", "recipe.json") {
        let problems = golden::guarded(|| replay(&folder)).unwrap_or_else(|panic| vec![panic]);
        tally.entry(&golden::name(&folder), &problems);
    }
    for failure in &tally.failures {
        println!("{failure}");
    }
    if tally.total > 0 {
        golden::report(&format!(
            "trajectories: {} of {} followed",
            tally.followed, tally.total
        ));
    }
    assert!(
        tally.failures.is_empty(),
        "{} were not followed",
        tally.failures.len()
    );
}
