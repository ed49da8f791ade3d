//! Tables that are larger than memory.

use std::{fmt::Write as _, fs};

use thumbnet_tests::iris::{folder, run};

#[test]
fn a_stream_of_one_block_is_the_training_in_memory() {
    let folder = folder();
    let file = |name: &str| fs::read(folder.path().join(name)).unwrap();
    for (options, layers) in [
        ("--target label", "8:relu,3:softmax"),
        ("--target petal_width --drop label", "8:relu,1"),
    ] {
        let train = format!(
            "train --data iris.csv {options} --layers {layers} --epochs 7 --validation-split 0.2 --seed 5 --history"
        );
        let memory = run(folder.path(), &format!("{train} a.json --output a.h5")).ok();
        let stream = run(
            folder.path(),
            &format!("{train} b.json --stream --output b.h5"),
        )
        .ok();
        assert!(file("a.h5") == file("b.h5"), "{options}");
        assert_eq!(file("a.json"), file("b.json"), "{options}");
        let scores = |text: &str| {
            text.split_once("rows validated on")
                .unwrap()
                .1
                .replace("b.h5", "a.h5")
        };
        assert_eq!(scores(&memory), scores(&stream));
        // Smaller blocks are another order, the same each time.
        let blocks = format!("{train} c.json --stream 33 --output");
        run(folder.path(), &format!("{blocks} c.h5")).ok();
        run(folder.path(), &format!("{blocks} d.h5")).ok();
        assert!(file("c.h5") == file("d.h5") && file("c.h5") != file("a.h5"));
    }
}

#[test]
fn what_needs_all_rows_at_once_is_refused_by_name() {
    let folder = folder();
    for option in [
        "--stratify --validation-split 0.2",
        "--shuffle-split --validation-split 0.2",
        "--cv 3",
        "--test-split 0.2",
        "--missing mean",
        "--class-weight balanced",
        "--report r.html",
        "--q-metrics",
    ] {
        let line = format!(
            "train --data iris.csv --layers 3:softmax --epochs 1 --stream --output m.h5 {option}"
        );
        let refused = run(folder.path(), &line).error(2);
        let name = option.split(' ').next().unwrap();
        assert!(
            refused.contains("--stream") && refused.contains(name),
            "{refused}"
        );
    }
    let line = "train --data iris.csv --layers 3:softmax --stream --output m.h5";
    let refused = run(folder.path(), line).error(2);
    assert!(
        refused.contains("give --epochs 10, or --validation-split 0.2"),
        "{refused}"
    );
}

/// Rows beyond the first block, with a class that comes late.
#[test]
fn a_stream_learns_from_all_of_its_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "a,b,label\n".to_string();
    for row in 0..30_000u32 {
        let a = f64::from(row.wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24);
        let label = match (row > 12_000, a > 0.5) {
            (true, true) => "late",
            (_, false) => "low",
            (false, true) => "high",
        };
        let _ = writeln!(text, "{a},{},{label}", f64::from(row > 12_000));
    }
    fs::write(folder.path().join("d.csv"), text).unwrap();
    let line = "train --data d.csv --target label --layers 8:relu,3:softmax --epochs 6 --learning-rate 0.01 --stream 2000 --json --output m.h5";
    let found = run(folder.path(), line).ok();
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    assert!(found["score"]["value"].as_f64().unwrap() > 0.95, "{found}");
    assert_eq!(found["score"]["rows"], 30_000);
}
