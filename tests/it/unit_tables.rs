//! Losses, metrics, activations, initializers, optimizers, regularizers, constraints and layers give
//! Keras' numbers, entry by entry.

use thumbnet_tests::golden;
use thumbnet_tests::unit_tables::{
    Tally, activations, fused, initializers, layers, layers_misc, losses, metrics, optimizers,
    serialized,
};

/// Checks a table; `None` where the golden folder has none.
type Check = fn() -> Option<Tally>;

const TABLES: [(&str, Check); 9] = [
    ("activations", activations::check),
    ("initializers", initializers::check),
    ("optimizers", optimizers::check),
    ("regularizers and constraints", layers_misc::check),
    ("layers", layers::check),
    ("losses", losses::check),
    ("metrics", metrics::check),
    ("crossentropies behind an activation", fused::check),
    ("serialized losses and metrics", serialized::check),
];

#[test]
fn every_entry_of_every_table_is_followed() {
    let mut all = Tally::default();
    for (what, check) in TABLES {
        let tally = golden::guarded(check).unwrap_or_else(|panic| {
            let mut tally = Tally::default();
            tally.entry(what, &[panic]);
            Some(tally)
        });
        let Some(tally) = tally else {
            golden::report(&format!(
                "unit tables: {what} skipped, the golden folder has none"
            ));
            continue;
        };
        assert!(tally.total > 0, "the table of {what} is empty");
        println!("{what}: {} of {}", tally.followed, tally.total);
        all.add(tally);
    }
    for failure in &all.failures {
        println!("{failure}");
    }
    if all.total > 0 {
        golden::report(&format!("unit tables: {} of {}", all.followed, all.total));
    }
    assert!(
        all.failures.is_empty(),
        "{} entries were not followed",
        all.failures.len()
    );
}
