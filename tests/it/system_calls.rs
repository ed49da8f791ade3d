//! A full disk and a kill at every system call that writes, synchronizes or renames, by strace, and kills at random:
//! afterwards every file is the old one or the new one, whole.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thumbnet_tests::{
    command::{Finished, binary, command},
    iris::{files, folder as iris_folder, run},
};
use thumbnet_trainer::{Sequential, quantize::DeviceModel};

/// Commands, and the files that each writes.
const COMMANDS: [(&str, &[&str]); 4] = [
    (
        "train --data iris.csv --layers 8:relu,3:softmax --epochs 2 --verbose 0 --seed 2 --checkpoint c.keras --report r.html --output m.h5",
        &["c.keras", "r.html", "m.h5"],
    ),
    (
        "export start.h5 --calibrate iris.csv --dtype int4 --output m.tnet",
        &["m.tnet"],
    ),
    (
        "predict start.h5 --data iris.csv --output p.csv",
        &["p.csv"],
    ),
    (
        "sign start.tnet --key key --version 2 --output m.signed",
        &["m.signed"],
    ),
];

/// A folder with what the commands read, and an old version of all that they write.
fn start_folder() -> tempfile::TempDir {
    let folder = iris_folder();
    let path = folder.path();
    let train = "train --data iris.csv --layers 4:relu,3:softmax --epochs 1 --verbose 0 --seed 1";
    for line in [
        &format!("{train} --output start.h5"),
        "export start.h5 --calibrate iris.csv --output start.tnet",
        "keygen --output key",
        "sign start.tnet --key key --version 1 --output m.signed",
        &format!("{train} --output m.h5"),
        &format!("{train} --output c.keras"),
    ] {
        run(path, line).ok();
    }
    fs::copy(path.join("start.tnet"), path.join("m.tnet")).unwrap();
    fs::write(path.join("p.csv"), "old").unwrap();
    fs::write(path.join("r.html"), "old").unwrap();
    folder
}

type Files = BTreeMap<&'static str, Vec<u8>>;

fn contents(folder: &Path, names: &[&'static str]) -> Files {
    let read = |name: &&'static str| (*name, fs::read(folder.join(name)).unwrap());
    names.iter().map(read).collect()
}

/// Puts the old files back.
fn restore(folder: &Path, old: &Files) {
    for (name, bytes) in old {
        fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Each is the old one, or whole; whether all are the old ones.
fn check(folder: &Path, old: &Files, what: &str) -> bool {
    let mut all_old = true;
    for (name, bytes) in old {
        let path = folder.join(name);
        let found = fs::read(&path).unwrap_or_else(|error| panic!("{what}: {name}: {error}"));
        if found == *bytes {
            continue;
        }
        all_old = false;
        let text = String::from_utf8_lossy(&found);
        let whole = match *name {
            "m.tnet" => DeviceModel::load(&path).is_ok(),
            "p.csv" => text.lines().count() == 151 && text.ends_with('\n'),
            "r.html" => text.trim_end().ends_with("</html>"),
            "m.signed" => run(folder, "verify m.signed --public-key key.pub").code == Some(0),
            _ => Sequential::load(&path).is_ok(),
        };
        assert!(
            whole,
            "{what}: {name} is neither the old file nor a whole one"
        );
    }
    all_old
}

fn hidden(folder: &Path) -> Vec<String> {
    let mut names = files(folder);
    names.retain(|name| name.starts_with('.'));
    names
}

/// Runs a command under strace; `inject` as strace has it.
fn traced(folder: &Path, line: &str, calls: &str, inject: Option<&str>) -> (Finished, String) {
    let log = folder.join("trace");
    let mut strace = Command::new("strace");
    strace
        .current_dir(folder)
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(&log)
        .args(["-e", &format!("trace={calls}")]);
    if let Some(inject) = inject {
        strace.args(["-e", &format!("inject={inject}")]);
    }
    let done = strace.arg(binary()).args(line.split_whitespace()).output();
    let finished = done.expect("strace starts").into();
    let trace = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_file(&log);
    (finished, trace)
}

const CALLS: [&str; 5] = ["write", "fsync", "renameat", "fchmod", "flock"];

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_or_a_kill_at_any_system_call_leaves_whole_files() {
    let folder = start_folder();
    let path = folder.path();
    let works = Command::new("strace")
        .args(["-e", "trace=none", "true"])
        .stderr(Stdio::null())
        .status();
    if !works.is_ok_and(|status| status.success()) {
        eprintln!("skipped: strace is missing, or may not trace");
        return;
    }
    let (mut failures, mut kills) = (0, 0);
    for (line, names) in COMMANDS {
        let old = contents(path, names);
        for call in CALLS {
            let (finished, trace) = traced(path, line, call, None);
            finished.ok();
            let count = trace.lines().filter(|line| line.contains(call)).count();
            for place in 1..=count {
                let what = format!("{line}: {call} {place}");
                restore(path, &old);
                let inject = format!("{call}:error=ENOSPC:when={place}");
                let (finished, _) = traced(path, line, call, Some(&inject));
                let all_old = check(path, &old, &what);
                // Of some calls nothing depends: then all is done.
                if finished.code == Some(0) {
                    assert!(!all_old, "{what}: nothing was done, and nothing said");
                    assert!(call != "write" && call != "renameat", "{what}: not said");
                } else {
                    let message = finished.error(1);
                    assert!(
                        message.contains("No space left on device"),
                        "{what}: {message}"
                    );
                }
                assert!(hidden(path).is_empty(), "{what}: {:?}", hidden(path));
                failures += 1;

                restore(path, &old);
                let inject = format!("{call}:signal=SIGKILL:when={place}");
                let (finished, _) = traced(path, line, call, Some(&inject));
                assert_ne!(finished.code, Some(0), "{what}: it was not killed");
                check(path, &old, &what);
                assert!(hidden(path).len() <= 1, "{what}: {:?}", hidden(path));
                // The next run tidies up.
                run(path, line).ok();
                assert!(hidden(path).is_empty(), "{what}: {:?}", hidden(path));
                kills += 1;
            }
        }
    }
    println!("{failures} full disks, {kills} kills");
    assert!(failures > 40, "{failures}");
}

#[test]
fn a_kill_at_a_random_time_leaves_whole_files() {
    let folder = start_folder();
    let path = folder.path();
    let mut rng = ChaCha8Rng::seed_from_u64(16);
    let mut killed = 0;
    for (line, names) in COMMANDS {
        let old = contents(path, names);
        let began = Instant::now();
        run(path, line).ok();
        let duration = began.elapsed();
        for number in 0..50 {
            restore(path, &old);
            let mut child = command(path, line.split_whitespace())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            thread::sleep(
                duration
                    .mul_f64(rng.random_range(0.0..1.0))
                    .min(Duration::from_secs(5)),
            );
            let _ = child.kill();
            killed += u32::from(!child.wait().unwrap().success());
            check(path, &old, &format!("{line}: kill {number}"));
            // One of each file, of several kills.
            assert!(hidden(path).len() <= names.len(), "{:?}", hidden(path));
        }
        run(path, line).ok();
        assert!(hidden(path).is_empty(), "{:?}", hidden(path));
    }
    println!("{killed} of 200 runs were killed before their end");
    assert!(killed > 20, "{killed}");
}
