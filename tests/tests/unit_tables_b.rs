//! Losses and metrics give Keras' numbers, entry by entry.

use thumbnet_tests::unit_tables::{Tally, fused, losses, metrics, serialized};

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

#[test]
fn crossentropies_behind_an_activation_come_from_its_logits() {
    all_followed("fused crossentropies", fused::check());
}

#[test]
fn losses_and_metrics_are_serialized_as_keras_does() {
    all_followed("serialized losses and metrics", serialized::check());
}
