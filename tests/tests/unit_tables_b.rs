//! Losses and metrics give Keras' numbers, entry by entry.

use thumbnet_tests::unit_tables::{Tally, losses, metrics};

fn all_followed(what: &str, tally: Option<Tally>) {
    let Some(tally) = tally else {
        println!("unit tables: {what} skipped, the golden folder has none");
        return;
    };
    println!("unit tables: {what} {} of {}", tally.followed, tally.total);
    assert!(tally.failures.is_empty(), "\n{}", tally.failures.join("\n"));
    assert!(tally.total > 0, "the table of {what} is empty");
}

#[test]
fn every_loss_of_the_table_is_followed() {
    all_followed("losses", losses::check());
}

#[test]
fn every_metric_of_the_table_is_followed() {
    all_followed("metrics", metrics::check());
}
