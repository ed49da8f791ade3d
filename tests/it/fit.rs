//! `--board` of `export` and `inspect`: what a model takes of a board, and advice that works.

use std::fs;

use serde_json::Value;
use thumbnet_tests::iris::{TRAIN, folder, run};

/// A number of a JSON object.
fn number(value: &Value, path: &str) -> f64 {
    value
        .pointer(path)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("{path} of {value}"))
}

#[test]
fn inspect_says_what_a_model_takes_of_a_board() {
    let folder = folder();
    let path = folder.path();
    run(path, &format!("{TRAIN} --output m.h5")).ok();
    let export = "export m.h5 --calibrate iris.csv --board nucleo-f411re --output m.tnet";
    let said = run(path, export).ok();
    let inspected = run(path, "inspect m.tnet --board nucleo-f411re").ok();
    let (_, told) = inspected.split_once("\n  on nucleo-f411re, ").unwrap();
    assert!(said.contains(told), "{said}");
    for part in [
        "of 524,288: fits",
        "of 131,072: fits",
        "µs at 100 MHz: an estimate, of ",
    ] {
        assert!(told.contains(part), "{part} of {told}");
    }
    let json = run(path, "inspect m.tnet --board nucleo-f411re --json").ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    let bytes = fs::read(path.join("m.tnet")).unwrap();
    assert_eq!(number(&json, "/board/flash/model"), bytes.len() as f64);
    assert_eq!(
        number(&json, "/board/ram/scratch"),
        number(&json, "/scratch_bytes")
    );
    // 4 inputs and 3 outputs of 4 bytes.
    assert_eq!(number(&json, "/board/ram/rows"), 28.0);
    // A hundred cycles take a microsecond.
    let instructions = number(&json, "/board/instructions_estimated");
    assert_eq!(
        number(&json, "/board/microseconds_estimated"),
        instructions / 100.0
    );
    // The chip reads 16 bytes at once, and waits three cycles for them.
    let read = number(&json, "/board/flash_bytes_read");
    let tensors = json["layers"].as_array().unwrap().iter();
    let tensors: f64 = tensors.map(|layer| layer["bytes"].as_f64().unwrap()).sum();
    assert_eq!(read, tensors);
    let waits = number(&json, "/board/flash_waits_estimated");
    assert_eq!(waits, (read / 16.0).ceil() * 3.0);
    for part in [
        format!("waits       at most {waits} cycles more for {read} bytes"),
        "the core binds; copied to RAM, which has room".to_string(),
    ] {
        assert!(told.contains(&part), "{part} of {told}");
    }
    // Arranged for the Cortex-M4F.
    let foreign = run(path, "inspect m.tnet --board pico").ok();
    assert!(
        foreign.contains("no estimate for a model that is arranged for another core"),
        "{foreign}"
    );
    run(
        path,
        "export m.h5 --calibrate iris.csv --board pico --output pico.tnet",
    )
    .ok();
    let own = run(path, "inspect pico.tnet --board pico").ok();
    assert!(own.contains(" at 133 MHz: an estimate"), "{own}");
}

#[test]
fn advice_for_a_model_that_does_not_fit_works() {
    let folder = folder();
    let path = folder.path();
    // 150 * 400 weights, of 64 kB of flash.
    run(
        path,
        "train --data iris.csv --layers 150:relu,400:relu,3:softmax --epochs 1 --verbose 0 --output m.h5",
    )
    .ok();
    let line = "export m.h5 --calibrate iris.csv --board bluepill --output m.tnet";
    let error = run(path, line).error(1);
    assert!(
        error.starts_with("the model does not fit bluepill: it takes "),
        "{error}"
    );
    assert!(
        error.contains(" bytes of flash with the code, of 65,536; --dtype int4 makes "),
        "{error}"
    );
    assert!(!path.join("m.tnet").exists());
    let (_, after) = error.split_once("--dtype int4 makes ").unwrap();
    let bytes = after.split(' ').next().unwrap().replace(',', "");
    run(path, &format!("{line} --dtype int4")).ok();
    assert_eq!(
        fs::read(path.join("m.tnet")).unwrap().len().to_string(),
        bytes
    );
    let said = run(path, "inspect m.tnet --board bluepill").ok();
    assert!(
        said.contains("of 65,536: fits") && !said.contains("advice"),
        "{said}"
    );
    let error = run(
        path,
        "new fw --model m.h5 --calibrate iris.csv --board bluepill --published",
    )
    .error(1);
    assert!(error.contains("--dtype int4 makes "), "{error}");
    assert!(!path.join("fw").exists());

    // The same by the device model alone.
    run(
        path,
        "export m.h5 --calibrate iris.csv --core m3 --output int8.tnet",
    )
    .ok();
    let said = run(path, "inspect int8.tnet --board bluepill").ok();
    assert!(said.contains("of 65,536: does not fit\n"), "{said}");
    assert!(
        said.contains("  advice      exported with --dtype int4 it takes about "),
        "{said}"
    );
    let (_, after) = said.split_once("takes about ").unwrap();
    let about: usize = after
        .split(' ')
        .next()
        .unwrap()
        .replace(',', "")
        .parse()
        .unwrap();
    let exact: usize = bytes.parse().unwrap();
    assert!((exact..exact * 11 / 10).contains(&about), "{about} {exact}");
    let (_, after) = said.split_once("bytes; ").unwrap();
    let board = after.split(' ').next().unwrap();
    let said = run(path, &format!("inspect int8.tnet --board {board}")).ok();
    assert!(!said.contains("does not fit"), "{said}");
    let error = run(
        path,
        "new fw --model int8.tnet --board bluepill --published",
    )
    .error(1);
    assert!(
        error.starts_with("the model does not fit bluepill: "),
        "{error}"
    );
    assert!(!path.join("fw").exists());
}
