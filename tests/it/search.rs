//! The search of a network within limits.

use std::fs;

use serde_json::Value;
use thumbnet_tests::iris::{folder, run};

const SEARCH: &str = "search --data iris.csv --target label --trials 14 --seed 1";

#[test]
fn the_same_number_of_trials_finds_the_same_network_on_any_number_of_cores() {
    let folder = folder();
    let table = run(folder.path(), &format!("{SEARCH} --output a.h5")).ok();
    let alone = run(folder.path(), &format!("{SEARCH} --jobs 1 --output b.h5")).ok();
    assert_eq!(table.replace("a.h5", "b.h5"), alone);
    let file = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(file("a.h5"), file("b.h5"));
    let lines = |options: &str| {
        run(
            folder.path(),
            &format!("{SEARCH} --json {options} --output c.h5"),
        )
        .ok()
    };
    assert_ne!(lines(""), lines("--dtype int4"));
}

/// What is said is within the limits, is; the commands that are printed make the same files.
fn reproduce(options: &str, limit: usize) {
    let folder = folder();
    let found = run(
        folder.path(),
        &format!("{SEARCH} {options} --json --output best.h5"),
    )
    .ok();
    let lines: Vec<Value> = found
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (last, trials) = lines.split_last().unwrap();
    let mut once: Vec<String> = trials.iter().map(Value::to_string).collect();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), trials.len(), "a trial is told twice");
    assert_eq!(last["trials"].as_u64(), Some(trials.len() as u64));
    for trial in trials {
        assert!(
            trial["flash_bytes"].as_u64().unwrap() as usize <= limit,
            "{trial}"
        );
        assert_eq!(trial["folds"].as_array().unwrap().len(), 3);
    }
    let best = &last["best"];
    let score = best["mean"].as_f64().unwrap();
    assert!(score > 0.9, "{last}");
    assert!(
        trials
            .iter()
            .all(|trial| trial["mean"].as_f64().unwrap() <= score)
    );
    let file = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let saved = file("best.h5");
    fs::remove_file(folder.path().join("best.h5")).unwrap();
    for command in last["commands"].as_array().unwrap() {
        let command = command.as_str().unwrap().strip_prefix("thumbnet ").unwrap();
        run(folder.path(), command).ok();
    }
    assert!(file("best.h5") == saved, "{last}");
    let device = file("best.tnet").len();
    assert!(device <= limit, "{device}");
    assert_eq!(last["flash_bytes"].as_u64().unwrap() as usize, device);
}

#[test]
fn the_commands_make_the_network_that_was_found() {
    reproduce("--dtype int8 --flash 300", 300);
    reproduce("--dtype int4 --flash 0.25k", 256);
}

#[test]
fn limits_that_nothing_meets_are_said() {
    let folder = folder();
    assert_eq!(
        run(folder.path(), &format!("{SEARCH} --flash 20 --output a.h5")).error(1),
        "no candidate is within the limits; allow more --flash, --ram or --instructions, or more --time"
    );
    assert!(!folder.path().join("a.h5").exists());
    let found = run(
        folder.path(),
        &format!("{SEARCH} --flash lots --output a.h5"),
    );
    assert_eq!(
        found.error(2),
        "invalid value 'lots' for '--flash <BYTES>': expected a number of bytes such as 2048 or 2k; see thumbnet search --help"
    );
}

#[test]
fn a_report_draws_the_networks_that_were_tried() {
    let folder = folder();
    run(
        folder.path(),
        &format!("{SEARCH} --report r.html --output best.h5"),
    )
    .ok();
    let text = fs::read_to_string(folder.path().join("r.html")).unwrap();
    assert_eq!(text.matches("<svg").count(), 2, "{text}");
    assert!(text.contains("thumbnet train --data iris.csv"), "{text}");
    let refused = run(
        folder.path(),
        &format!("{SEARCH} --report r.png --output best.h5"),
    )
    .error(2);
    assert!(refused.contains("ends in .html"), "{refused}");
}
