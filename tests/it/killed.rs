//! Runs of `thumbnet train` that are killed at random moments and started again.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thumbnet_tests::command::{command, thumbnet};
use thumbnet_trainer::Sequential;

/// Kills of each kind of run.
const KILLS: usize = 20;

const TRAIN: &str = "train --data iris.csv --layers 16:relu,dropout:0.3,batch_normalization,3:softmax --optimizer adam --batch-size 16 --validation-split 0.2 --verbose 0 --seed 5";

/// In memory where the system has such a folder: a run mostly waits for the disk.
fn iris_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let folder = match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    };
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/data/iris.csv");
    fs::copy(data, folder.path().join("iris.csv")).unwrap();
    folder
}

/// What the files of a folder hold, by name: models as the bits of their weights and optimizer, as
/// Keras writes the date into some. Each must be whole. Names that begin with a dot are left out.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut contents = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let (path, name) = entry
            .map(|entry| (entry.path(), entry.file_name().into_string().unwrap()))
            .unwrap();
        if path.is_dir() || name.starts_with('.') {
            continue;
        }
        let model = || -> thumbnet_trainer::Result<Sequential> {
            if !name.ends_with(".weights.h5") {
                return Sequential::load(&path);
            }
            let mut model = Sequential::load(folder.join("start.h5"))?;
            model.build_optimizer();
            model.load_weights(&path)?;
            Ok(model)
        };
        let held = if name.ends_with(".h5") || name.ends_with(".keras") {
            let model = model().unwrap_or_else(|error| panic!("{name}: {error}"));
            let optimizer = model.optimizer().unwrap().variables();
            let mut bytes = format!("{optimizer:?}").into_bytes();
            bytes.extend(model.values().iter().flat_map(|v| v.to_le_bytes()));
            bytes
        } else {
            fs::read(&path).unwrap()
        };
        contents.insert(name, held);
    }
    contents
}

/// Names of all files and folders.
fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A folder with the data and `start.h5`, whose architecture all models here have.
fn start_folder() -> tempfile::TempDir {
    let folder = iris_folder();
    let start = format!("{TRAIN} --output start.h5");
    thumbnet(folder.path(), start.split_whitespace()).ok();
    folder
}

/// Runs `line` to its end in one folder; in others kills it again and again, with `next` to say
/// how it goes on, until it ends, and compares what is left.
fn same_as_not_killed(line: &str, next: impl Fn(&Path) -> String) {
    let whole = start_folder();
    let began = Instant::now();
    thumbnet(whole.path(), line.split_whitespace()).ok();
    let duration = began.elapsed();
    let expected = contents(whole.path());
    // Another seed in every run of this test.
    let mut rng = ChaCha8Rng::seed_from_u64(duration.as_nanos() as u64);
    let (mut kills, mut runs) = (0, 0);
    while kills < KILLS {
        let folder = start_folder();
        let path = folder.path();
        let mut here = 0;
        loop {
            let mut child = command(path, next(path).split_whitespace())
                .spawn()
                .unwrap();
            let pause = duration.mul_f64(rng.random_range(0.0..0.4));
            if kills < KILLS && !ends_within(&mut child, pause) {
                // SIGKILL, where there are signals.
                child.kill().unwrap();
                child.wait().unwrap();
                (kills, here) = (kills + 1, here + 1);
                check_killed(path);
            } else {
                assert!(child.wait().unwrap().success(), "after {here} kills");
                break;
            }
        }
        runs += 1;
        let found = contents(path);
        assert_eq!(names(path), names(whole.path()), "after {here} kills");
        for (name, found) in &found {
            assert!(found == &expected[name], "{name} after {here} kills");
        }
    }
    println!("{kills} kills in {runs} runs");
}

/// Whether a process ends in this time.
fn ends_within(child: &mut Child, time: Duration) -> bool {
    let until = Instant::now() + time;
    while Instant::now() < until {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        thread::sleep(Duration::from_millis(1).min(until - Instant::now()));
    }
    child.try_wait().unwrap().is_some()
}

/// All files are whole, and next to none is left over.
fn check_killed(folder: &Path) {
    contents(folder);
    let hidden = names(folder).iter().filter(|n| n.starts_with('.')).count();
    assert!(hidden <= 2, "{:?}", names(folder));
    let backup = folder.join("backup");
    if backup.is_dir() {
        // At most the old and the new of weights and position each.
        assert!(names(&backup).len() <= 5, "{:?}", names(&backup));
    }
}

#[test]
fn a_backup_of_every_epoch_brings_callbacks_back_too() {
    let folder = tempfile::tempdir().unwrap();
    let callbacks = folder.path().join("callbacks.json");
    fs::write(
        &callbacks,
        r#"[{"class_name": "ReduceLROnPlateau", "config":
            {"monitor": "loss", "factor": 0.5, "patience": 1, "min_delta": 0.1, "cooldown": 2}}]"#,
    )
    .unwrap();
    let line = format!(
        "{TRAIN} --epochs 40 --learning-rate 0.02 --early-stopping 25 --restore-best-weights --callbacks {} --checkpoint best.keras --save-best-only --csv-log log.csv --backup-dir backup --output out.h5",
        callbacks.display()
    );
    same_as_not_killed(&line, |_| line.clone());
}

#[test]
fn a_backup_within_epochs_goes_on_there() {
    let line = format!(
        "{TRAIN} --epochs 20 --checkpoint {{epoch:02d}}-{{val_loss:.2f}}.weights.h5 --backup-dir backup --backup-freq 3 --output out.h5"
    );
    same_as_not_killed(&line, |_| line.clone());
}

#[test]
fn a_checkpoint_goes_on_from_its_epoch() {
    let line = format!("{TRAIN} --epochs 30 --checkpoint at-{{epoch:02d}}.h5 --output out.h5");
    let onwards = "train --data iris.csv --batch-size 16 --validation-split 0.2 --verbose 0 --seed 5 --epochs 30 --checkpoint at-{epoch:02d}.h5 --output out.h5";
    same_as_not_killed(&line, |folder| {
        let last = names(folder)
            .into_iter()
            .rfind(|name| name.starts_with("at-"));
        match last {
            None => line.clone(),
            Some(name) => format!("{onwards} --model {name} --initial-epoch {}", &name[3..5]),
        }
    });
}

/// Starts a training without an end in sight, and sends it a signal after some epochs.
#[cfg(unix)]
fn signalled(folder: &Path, line: &str, signals: &[&str]) -> thumbnet_tests::command::Finished {
    let _ = fs::remove_file(folder.join("log.csv"));
    let mut started = command(folder, line.split_whitespace());
    started
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = started.spawn().unwrap();
    let begun = Instant::now();
    let lines = || fs::read_to_string(folder.join("log.csv")).map_or(0, |log| log.lines().count());
    while lines() < 20 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "nothing is logged"
        );
        thread::sleep(Duration::from_millis(2));
    }
    for signal in signals {
        let sent = std::process::Command::new("kill")
            .args([signal, child.id().to_string().as_str()])
            .status();
        assert!(sent.unwrap().success());
    }
    child.wait_with_output().unwrap().into()
}

#[cfg(unix)]
#[test]
fn a_signal_lets_the_batch_end_and_saves_the_model() {
    let folder = start_folder();
    let folder = folder.path();
    let endless = format!("{TRAIN} --epochs 100000000 --csv-log log.csv --output m.h5");
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let found = signalled(folder, &endless, &[signal]);
        let whole = fs::read_to_string(folder.join("log.csv"))
            .unwrap()
            .lines()
            .count()
            - 1;
        assert_eq!(
            found.error(code),
            format!("interrupted: m.h5 has the last weights, after {whole} whole epochs")
        );
        let model = Sequential::load(folder.join("m.h5")).unwrap();
        assert!(model.optimizer().unwrap().iterations() > 20 * 8);
        fs::remove_file(folder.join("m.h5")).unwrap();
        assert_eq!(names(folder), ["iris.csv", "log.csv", "start.h5"]);
    }
    let best = format!("{endless} --early-stopping 100000000 --restore-best-weights");
    let message = signalled(folder, &best, &["-INT"]).error(130);
    assert!(
        message.starts_with("interrupted: m.h5 has the best weights, after "),
        "{message}"
    );
    fs::remove_file(folder.join("m.h5")).unwrap();
    // At once: what is there is whole.
    let found = signalled(folder, &endless, &["-INT", "-INT"]);
    assert_eq!(found.code, Some(130), "{}", found.stderr);
    if folder.join("m.h5").exists() {
        Sequential::load(folder.join("m.h5")).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_goes_on_from_its_backup() {
    let folder = start_folder();
    let folder = folder.path();
    let line = format!("{TRAIN} --epochs 3000 --backup-dir backup --csv-log log.csv --output m.h5");
    let whole = format!("{TRAIN} --epochs 3000 --output whole.h5");
    thumbnet(folder, whole.split_whitespace()).ok();
    let found = signalled(folder, &line, &["-TERM"]);
    let message = found.error(143);
    assert!(
        message.ends_with("; the same command goes on from the backup in backup"),
        "{message}"
    );
    thumbnet(folder, line.split_whitespace()).ok();
    let contents = contents(folder);
    assert!(contents["m.h5"] == contents["whole.h5"]);
    assert!(!folder.join("backup").exists());
}
