//! Trainings of real Keras, followed by `thumbnet train`, one process each.

use std::{path::PathBuf, thread};

use thumbnet_tests::command::thumbnet;
use thumbnet_tests::golden::{
    self,
    command_line::replay,
    resume::{EPOCHS, Interrupted},
};
use thumbnet_tests::unit_tables::Tally;
use thumbnet_trainer::{Sequential, dataset::write_npy};

/// Runs `test` on all items, several at once: a process mostly waits for the disk. Prints what
/// failed and `<what>: N of M followed`.
fn every<T: Sync>(
    what: &str,
    items: &[T],
    name: impl Fn(&T) -> String + Sync,
    test: impl Fn(&T) -> Vec<String> + Sync,
) {
    let mut tally = Tally::default();
    thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(items.len().div_ceil(8).max(1))
            .map(|items| {
                let (name, test) = (&name, &test);
                scope.spawn(move || {
                    let mut tally = Tally::default();
                    for item in items {
                        let problems =
                            golden::guarded(|| test(item)).unwrap_or_else(|panic| vec![panic]);
                        tally.entry(&name(item), &problems);
                    }
                    tally
                })
            })
            .collect();
        for worker in workers {
            tally.add(worker.join().unwrap());
        }
    });
    for failure in &tally.failures {
        println!("{failure}");
    }
    if tally.total > 0 {
        golden::report(&format!(
            "{what}: {} of {} followed",
            tally.followed, tally.total
        ));
    }
    assert!(
        tally.failures.is_empty(),
        "{} were not followed",
        tally.failures.len()
    );
}

#[test]
fn every_training_of_keras_is_followed_from_the_command_line() {
    let folders = golden::folders("trajectories", "recipe.json");
    let name = |folder: &PathBuf| golden::name(folder);
    every("command line", &folders, name, |folder| replay(folder));
}

#[test]
fn without_compile_the_file_says_how_to_go_on() {
    let all = Interrupted::all();
    let name = |training: &Interrupted| training.name.clone();
    every("command line, gone on", &all, name, |training| {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path();
        write_npy(&path.join("x.npy"), &training.x).unwrap();
        write_npy(&path.join("y.npy"), &training.y).unwrap();
        std::fs::copy(training.file(), path.join("final.h5")).unwrap();
        let line = format!(
            "train --model final.h5 --x x.npy --y y.npy --no-shuffle --epochs {EPOCHS} --batch-size {} --verbose 0 --output out.h5",
            training.batch_size
        );
        assert_eq!(thumbnet(path, line.split_whitespace()).ok(), "");
        let found = Sequential::load(path.join("out.h5")).unwrap();
        let here = training.go_on(Sequential::load(training.file()).unwrap());
        let mut problems = Vec::new();
        if found.values() != here.unwrap() {
            problems.push("other weights than without the command line".to_string());
        }
        if let Some(keras) = training.resumed() {
            problems.extend(training.check(found.values(), &keras).err());
        }
        problems
    });
}
