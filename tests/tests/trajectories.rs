//! Trainings of real Keras, followed: history, weights, gradients, optimizer, predictions.

use thumbnet_tests::golden;
use thumbnet_tests::golden::trajectory::replay;
use thumbnet_tests::unit_tables::Tally;

#[test]
fn every_training_of_keras_is_followed() {
    let mut tally = Tally::default();
    for folder in golden::folders("trajectories", "recipe.json") {
        tally.entry(&golden::name(&folder), &replay(&folder));
    }
    for failure in &tally.failures {
        println!("{failure}");
    }
    println!(
        "trajectories: {} of {} followed",
        tally.followed, tally.total
    );
    assert!(
        tally.failures.is_empty(),
        "{} were not followed",
        tally.failures.len()
    );
}
