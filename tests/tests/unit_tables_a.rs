//! Activations, initializers, optimizers, regularizers and constraints give Keras' numbers, entry
//! by entry.

use thumbnet_tests::unit_tables::{Tally, activations, initializers, layers_misc, optimizers};

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
fn every_activation_of_the_table_is_followed() {
    all_followed("activations", activations::check());
}

#[test]
fn every_initializer_of_the_table_is_followed() {
    all_followed("initializers", initializers::check());
}

#[test]
fn every_optimizer_and_schedule_of_the_table_is_followed() {
    all_followed("optimizers", optimizers::check());
}

#[test]
fn every_regularizer_and_constraint_of_the_table_is_followed() {
    all_followed("layers_misc", layers_misc::check());
}
