//! `thumbnet run`: rows of a model on emulated boards, and by a program that stands for probe-rs.

use std::{env, fs, path::Path};

use serde_json::Value;
use thumbnet_boards::{Hardware, Qemu};
use thumbnet_tests::{
    command::{self, Finished},
    iris::{TRAIN, folder},
};

/// Runs a line of words; firmware is built where other tests build it.
fn run(folder: &Path, line: &str) -> Finished {
    let programs = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    let programs = [folder.join("programs")].into_iter().chain(programs);
    let mut command = command::command(folder, line.split_whitespace());
    command.env("PATH", env::join_paths(programs).unwrap()).env(
        "CARGO_TARGET_DIR",
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("firmware"),
    );
    command.output().unwrap().into()
}

/// A folder with `m.tnet`, for the Cortex-M4F.
fn exported() -> tempfile::TempDir {
    let folder = folder();
    run(folder.path(), &format!("{TRAIN} --output m.h5")).ok();
    run(
        folder.path(),
        "export m.h5 --calibrate iris.csv --output m.tnet",
    )
    .ok();
    folder
}

/// The bits of what `m.tnet` predicts for each row.
fn predicted_bits(folder: &Path) -> Vec<Vec<u32>> {
    let predicted = run(folder, "predict m.tnet --data iris.csv").ok();
    let bits = |y: &str| y.parse::<f32>().unwrap().to_bits();
    let rows = predicted.lines().skip(1);
    rows.map(|row| row.split(',').map(bits).collect()).collect()
}

/// Whether something that firmware takes is not on this machine, which `THUMBNET_REQUIRE_QEMU` forbids.
fn is_missing(finished: &Finished) -> bool {
    let missing = [
        "is not installed",
        "was not found; get it",
        "failed to download",
        "failed to get",
    ];
    let missing = missing
        .iter()
        .any(|reason| finished.stderr.contains(reason));
    let skipped = missing && env::var_os("THUMBNET_REQUIRE_QEMU").is_none();
    if skipped {
        eprintln!("skipped: {}", finished.stderr);
    }
    skipped
}

#[test]
fn rows_give_the_same_bits_on_emulated_boards() {
    let folder = exported();
    let path = folder.path();
    for (name, machine) in [
        ("nucleo-f411re", "nucleo-f411re"),
        ("esp32-c3", "riscv32-virt"),
    ] {
        if let Err(error) = Qemu::find_for(Hardware::named(name).unwrap()) {
            assert!(env::var_os("THUMBNET_REQUIRE_QEMU").is_none(), "{error}");
            continue;
        }
        let finished = run(path, &format!("run m.tnet --board {name} --data iris.csv"));
        if is_missing(&finished) {
            continue;
        }
        assert_eq!(
            finished.stderr.contains("note: QEMU has no machine like"),
            name != machine
        );
        let said = finished.ok();
        assert_eq!(
            said,
            format!("{machine} in QEMU: 150 of 150 rows gave the same bits as on this computer\n")
        );
        let json = run(
            path,
            &format!("run m.tnet --board {name} --data iris.csv --json"),
        )
        .ok();
        let json: Value = serde_json::from_str(&json).unwrap();
        let predicted = predicted_bits(path);
        assert_eq!(json["bits"], serde_json::to_value(predicted).unwrap());
        assert_eq!(
            (&json["same"], &json["cycles"]),
            (&150.into(), &Value::Null)
        );
    }
}

#[test]
fn wrong_calls_of_run_say_what_to_do() {
    let folder = exported();
    let path = folder.path();
    for (line, expected) in [
        (
            "run m.tnet --board pico",
            "a model runs rows; give them: --data rows.csv or --x rows.npy",
        ),
        (
            "run m.h5 --board pico --data iris.csv",
            "m.h5 is no device model, expected a .tnet file for --data, --x, --probe and --json",
        ),
        (
            "run m.h5 --board pico",
            "m.h5 is no program, expected an ELF file such as cargo builds",
        ),
        (
            "run m.tnet --board mps2-an386 --data iris.csv --probe",
            "mps2-an386 is there in QEMU only; leave --probe out",
        ),
        (
            "run m.tnet --board pico --data iris.csv --probe --cycles",
            "the Cortex-M0 of pico has no counter of cycles; leave --cycles out",
        ),
    ] {
        assert_eq!(run(path, line).error(2), expected, "{line}");
    }
    assert!(
        run(
            path,
            "run m.tnet --board teensy-4.0 --data iris.csv --probe"
        )
        .error(2)
        .starts_with("no firmware is written for teensy-4.0: its chip boots by ")
    );
}

/// Puts a program in the place of probe-rs, which keeps its arguments and then does as `script` says.
#[cfg(unix)]
fn stands_for_probe_rs(folder: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let programs = folder.join("programs");
    fs::create_dir_all(&programs).unwrap();
    let program = programs.join("probe-rs");
    let text = format!(
        "#!/bin/sh\necho \"$@\" >'{0}/arguments'\ncd '{0}'\n{script}\n",
        folder.display()
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(unix)]
#[test]
fn rows_on_a_board_are_read_from_the_log_of_probe_rs() {
    let folder = exported();
    let path = folder.path();
    let rows = predicted_bits(path);
    // As probe-rs prints it, with what may stand around it; like a board, it does not end.
    let log: Vec<String> = (rows.iter().enumerate())
        .map(|(i, bits)| {
            format!(
                "12:00:00.000 [INFO ] thumbnet row {i} cycles {} bits {bits:?} (main.rs:40)\n",
                900 + i
            )
        })
        .collect();
    let whole = format!("      Erasing\n{}thumbnet end\n", log.concat());
    fs::write(path.join("log"), &whole).unwrap();
    stands_for_probe_rs(path, "cat log\nexec sleep 600");
    let line = "run m.tnet --board nucleo-f411re --data iris.csv --probe";
    let finished = run(path, &format!("{line} --cycles"));
    if is_missing(&finished) {
        return;
    }
    assert_eq!(
        finished.ok(),
        "ST Nucleo-64 NUCLEO-F411RE: 150 of 150 rows gave the same bits as on this computer\n\
         cycles of a prediction: 900 to 1,049, at the clock that the chip starts with\n"
    );
    let arguments = fs::read_to_string(path.join("arguments")).unwrap();
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    assert_eq!(arguments[..3], ["run", "--chip", "STM32F411RETx"]);
    assert!(
        arguments[3].ends_with(".elf") && arguments.len() == 4,
        "{arguments:?}"
    );

    // A bit that differs, in the second row.
    let wrong = whole.replacen(&format!("{:?}", rows[1]), &format!("{:?}", [1, 2, 3]), 1);
    fs::write(path.join("log"), wrong).unwrap();
    let finished = run(path, line);
    assert!(
        finished.stdout.contains("149 of 150 rows"),
        "{}",
        finished.stdout
    );
    let error = finished.error(1);
    assert!(
        error.starts_with("row 2 differs: [00000001, 00000002, 00000003] on the board, "),
        "{error}"
    );

    // One that ends too early, as when the board is not there.
    stands_for_probe_rs(
        path,
        "head -3 log\necho 'Error: No connected probes were found.'\nexit 1",
    );
    let error = run(path, line).error(1);
    assert_eq!(
        error,
        "probe-rs ended with exit status: 1 after 2 of 150 rows; its last words: Error: No connected probes were found"
    );
}

#[test]
fn what_breaks_a_property_gives_the_same_bits_on_an_emulated_board() {
    if let Err(error) = Qemu::find() {
        assert!(env::var_os("THUMBNET_REQUIRE_QEMU").is_none(), "{error}");
        return;
    }
    let folder = exported();
    let property = r#"{"properties": {
        "class": {"boxes": [{}], "holds_when": {"always_class": "setosa"}},
        "rising": {"boxes": [{}], "holds_when": {"output": "setosa", "rises_with": "2"}}}}"#;
    fs::write(folder.path().join("p.json"), property).unwrap();
    let line = "prove m.tnet --property p.json --board nucleo-f411re";
    let finished = run(folder.path(), line);
    if is_missing(&finished) {
        return;
    }
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    // One row of the first, two of the second.
    let expected = "nucleo-f411re in QEMU: 3 of 3 rows that break something gave the same bits as on this computer";
    assert!(finished.stdout.contains(expected), "{}", finished.stdout);
}
