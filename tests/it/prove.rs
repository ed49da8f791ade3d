//! `thumbnet prove`: verdicts over the device's integers.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;
use thumbnet_runtime::{
    Activation, DenseSpec, FloatSpec, LayerSpec, ModelSpec, OutputSpec, Packing, Precision,
    WeightsSpec, encode,
};
use thumbnet_tests::command::{Finished, thumbnet};

/// Two inputs rounded to whole numbers of [-127, 127], and three outputs: `2 a + 1`, `b` and `-a - b`.
fn model() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_model(&folder, "m.tnet", 1);
    folder
}

/// The same with `2 a + plus`.
fn write_model(folder: &TempDir, name: &str, plus: i32) {
    let weights = [2, 0, 0, 1, -1, -1];
    let layers = [
        LayerSpec::Quantize {
            inputs: 2,
            scale: &[1.0],
            zero_point: &[0],
            output: Precision::Int8,
        },
        LayerSpec::Dense(DenseSpec {
            inputs: 2,
            units: 3,
            packing: Packing::Dsp,
            weights: WeightsSpec::Int8 {
                weights: &weights,
                bias: &[plus, 0, 0],
            },
            output: OutputSpec::Float {
                scales: &[1.0; 3],
                activation: Activation::Linear,
                table: None,
            },
        }),
    ];
    write_layers(folder, name, &layers);
}

/// The same without rounding, in floats.
fn write_float_model(folder: &TempDir, name: &str) {
    let layers = [
        LayerSpec::Scale {
            inputs: 2,
            scale: &[1.0],
            offset: &[0.0],
            then: FloatSpec::default(),
        },
        LayerSpec::Dense(DenseSpec {
            inputs: 2,
            units: 3,
            packing: Packing::Plain,
            weights: WeightsSpec::Float {
                weights: &[2.0, 0.0, 0.0, 1.0, -1.0, -1.0],
                bias: &[1.0, 0.0, 0.0],
            },
            output: OutputSpec::Float {
                scales: &[],
                activation: Activation::Linear,
                table: None,
            },
        }),
    ];
    write_layers(folder, name, &layers);
}

fn write_layers(folder: &TempDir, name: &str, layers: &[LayerSpec]) {
    let spec = ModelSpec {
        layers,
        labels: &["left", "right", "none"],
        input_names: &["a", "b"],
        ..ModelSpec::default()
    };
    let mut blob = [0; 512];
    let length = encode(&spec, &mut blob).unwrap();
    fs::write(folder.path().join(name), &blob[..length]).unwrap();
}

fn prove(folder: &TempDir, property: &str, more: &str) -> Finished {
    fs::write(folder.path().join("p.toml"), property).unwrap();
    let line = format!("prove m.tnet --property p.toml {more}");
    thumbnet(folder.path(), line.split_whitespace())
}

/// The exit code and the verdict with its counterexample.
fn verdict(folder: &TempDir, property: &str) -> (i32, String, Vec<f64>) {
    let finished = prove(folder, property, "--json");
    let value: Value = serde_json::from_str(&finished.stdout).unwrap();
    let example = value["counterexample"]
        .as_array()
        .map_or_else(Vec::new, |numbers| {
            numbers
                .iter()
                .map(|number| number.as_f64().unwrap())
                .collect()
        });
    let word = value["verdict"].as_str().unwrap().to_string();
    (finished.code.unwrap(), word, example)
}

/// Of each kind one that just holds, and one that one step more breaks.
#[test]
fn each_kind_of_property_is_decided_at_its_end() {
    let folder = model();
    let cases = [
        // a = 5.5 rounds to 6: 13; 5.4 to 5: 11. b up to 12.49 is 12.
        (
            "a = [5.5, 9]\nb = [0, 12.49]",
            "always_class = 'left'",
            true,
        ),
        (
            "a = [5.4, 9]\nb = [0, 12.49]",
            "always_class = 'left'",
            false,
        ),
        // Of 2 * 4 + 1 and 9 the first is the class, but it is not the largest alone.
        (
            "a = [4, 4]\nb = [9, 9]",
            "never_class = ['right', 'none']",
            true,
        ),
        ("a = [4, 4]\nb = [9, 9]", "always_largest = 'left'", false),
        ("a = [4, 4]\nb = [0, 8]", "never_largest = 'right'", true),
        ("a = [4, 4]\nb = [0, 9]", "never_largest = 'right'", false),
        (
            "a = [1, 127]\nb = [1, 127]",
            "always_smallest = 'none'",
            true,
        ),
        (
            "a = [-127, 0]\nb = [-127, 0]",
            "never_smallest = ['none']",
            false,
        ),
        (
            "a = [-127, -1]\nb = [-127, 0]",
            "never_smallest = ['none']",
            true,
        ),
        // Clamped at 127: 2 * 127 + 1.
        ("a = [0, 1e9]", "output = 'left'\nat_most = 255", true),
        ("a = [0, 1e9]", "output = 'left'\nat_most = 254.9", false),
        (
            "b = [-3, 5]",
            "output = 1\nat_least = -3\nat_most = 5",
            true,
        ),
        (
            "b = [-3, 5]",
            "output = 1\nat_least = -2.5\nat_most = 5",
            false,
        ),
        (
            "a = [7, 9]\nb = [0, 5]",
            "output = 'left'\nmargin = 10",
            true,
        ),
        (
            "a = [7, 9]\nb = [0, 5]",
            "output = 'left'\nmargin = 10.5",
            false,
        ),
    ];
    for (ranges, holds, expected) in cases {
        let property = format!("[[boxes]]\n{ranges}\n[holds_when]\n{holds}\n");
        let (code, word, example) = verdict(&folder, &property);
        let (expected_code, expected_word) = if expected { (0, "holds") } else { (1, "fails") };
        assert_eq!(
            (code, word.as_str()),
            (expected_code, expected_word),
            "{property}"
        );
        assert_eq!(example.len(), if expected { 0 } else { 2 }, "{property}");
    }
}

#[test]
fn a_counterexample_is_a_raw_input_of_the_box() {
    let folder = model();
    let property = "[[boxes]]\na = [5.4, 9]\nb = [12, 12]\n[holds_when]\nalways_class = 'left'\n";
    let (_, _, example) = verdict(&folder, property);
    // 5 alone is too little, and what rounds to it is up to 5.5.
    assert!(
        (5.4..=5.5).contains(&example[0]) && example[1] == 12.0,
        "{example:?}"
    );
    let printed = prove(&folder, property, "");
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(1), ""));
    assert!(
        printed.stdout.contains("left=11, right=12, none=-17"),
        "{}",
        printed.stdout
    );
}

#[test]
fn a_file_of_several_properties_is_decided_together_or_by_name() {
    let folder = model();
    let file = r#"{"properties": {
        "first": {"boxes": [{"a": [1, 2]}, {"a": [3, 4], "b": 0}], "holds_when": {"output": "left", "at_least": 3}},
        "second": {"boxes": [{"a": [1, 2]}], "holds_when": {"never_class": "right"}, "text": "and why"}}}"#;
    let all = prove(&folder, file, "");
    assert_eq!(all.code, Some(1));
    assert!(
        all.stdout.contains("first: holds for all of"),
        "{}",
        all.stdout
    );
    assert!(
        all.stdout.contains("second: fails for a="),
        "{}",
        all.stdout
    );
    assert!(all.stdout.contains("any value of b"), "{}", all.stdout);
    assert_eq!(prove(&folder, file, "--name first").code, Some(0));
    assert_eq!(
        prove(&folder, file, "--name third").error(2),
        r#"p.toml has no property "third", expected one of first, second"#
    );
    let json: Value = serde_json::from_str(&prove(&folder, file, "--json").stdout).unwrap();
    assert_eq!(json["verdict"], "fails");
    assert_eq!(json["properties"][0]["any_value"][0], "b");
}

#[test]
fn what_is_not_decided_in_time_is_unknown() {
    let folder = model();
    let property =
        "[[boxes]]\na = [7, 9]\nb = [0, 5]\n[holds_when]\noutput = 'left'\nmargin = 10\n";
    let finished = prove(&folder, property, "--timeout 0");
    assert_eq!(finished.code, Some(3));
    assert!(
        finished.stdout.starts_with("unknown, 0.00 % of"),
        "{}",
        finished.stdout
    );
}

#[test]
fn a_property_that_does_not_fit_is_refused_in_a_line() {
    let folder = model();
    let holds = "[holds_when]\nnever_class = 'left'\n";
    for (property, expected) in [
        (
            format!("[[boxes]]\nc = [1, 2]\n{holds}"),
            r#"column "c" is unknown, expected one of a, b"#,
        ),
        (
            format!("[[boxes]]\na = [2, 1]\n{holds}"),
            "column a is from 2 to 1, expected the lesser first",
        ),
        (
            "[[boxes]]\na = [1, 2]\n[holds_when]\nnever_class = 'up'\n".to_string(),
            r#"class "up" is unknown, expected one of left, right, none"#,
        ),
        (
            format!("[[boxes]]\na = [1, 1e39]\n{holds}"),
            "input 0 from 1 to inf holds numbers that the device refuses, expected finite ones that its scale does not make infinite; narrow the box",
        ),
    ] {
        let line = prove(&folder, &property, "").error(2);
        assert!(line.ends_with(expected), "{line}");
    }
}

#[test]
fn a_certificate_is_checked_again_and_refused_for_another_model() {
    let folder = model();
    for (bound, code, word) in [(255, 0, "holds"), (254, 1, "fails")] {
        let property =
            format!("[[boxes]]\na = [0, 1e9]\n[holds_when]\noutput = 'left'\nat_most = {bound}\n");
        assert_eq!(
            prove(&folder, &property, "--certificate c.json").code,
            Some(code)
        );
        let checked = thumbnet(folder.path(), ["prove", "m.tnet", "--check", "c.json"]);
        assert_eq!(checked.code, Some(code), "{}", checked.stderr);
        assert!(
            checked
                .stdout
                .starts_with(&format!("{word}, as the certificate says")),
            "{}",
            checked.stdout
        );
    }
    let text = fs::read_to_string(folder.path().join("c.json")).unwrap();
    // No longer what the counterexample breaks.
    fs::write(folder.path().join("c.json"), text.replace("254", "256")).unwrap();
    let line = thumbnet(folder.path(), ["prove", "m.tnet", "--check", "c.json"]).error(2);
    assert!(line.contains("breaks nothing"), "{line}");
    let mut blob = fs::read(folder.path().join("m.tnet")).unwrap();
    let at = blob.windows(4).position(|bytes| bytes == b"left").unwrap();
    blob[at] = b'L';
    let end = blob.len() - 4;
    let crc = thumbnet_runtime::crc32(&blob[..end]).to_le_bytes();
    blob[end..].copy_from_slice(&crc);
    fs::write(folder.path().join("m.tnet"), blob).unwrap();
    let line = thumbnet(folder.path(), ["prove", "m.tnet", "--check", "c.json"]).error(2);
    assert!(
        line.contains("the certificate is refused: it is of the model with CRC"),
        "{line}"
    );
}

/// 2 a + 1 against b: of (3, 5) 7 is greater by 2, and with a one less and b one more 5 is less than 6.
#[test]
fn rows_keep_their_class_within_a_radius_or_lose_it_to_an_example() {
    let folder = model();
    fs::write(folder.path().join("rows.csv"), "b,a\n5,3\n0,9\n").unwrap();
    let run = |radius: &str| {
        let line = format!("prove m.tnet --rows rows.csv --radius {radius}");
        thumbnet(folder.path(), line.split_whitespace())
    };
    // Nothing within less than a half rounds to another number.
    assert_eq!(run("0.49").code, Some(0));
    let broken = run("1");
    assert_eq!(broken.code, Some(1), "{}", broken.stderr);
    assert!(
        broken.stdout.contains("row 1: fails for a=2"),
        "{}",
        broken.stdout
    );
    assert!(broken.stdout.contains("row 2: holds"), "{}", broken.stdout);
    assert!(
        broken.stdout.ends_with("1 hold, 1 fail, 0 unknown\n"),
        "{}",
        broken.stdout
    );
}

#[test]
fn an_output_rises_or_falls_with_a_column() {
    let folder = model();
    let both = "a = [0, 1e9]\nb = [-9, 9]";
    for (output, way, holds) in [
        ("left", "rises_with = 'a'", true),
        ("left", "falls_with = 'b'", true), // it stays
        ("none", "falls_with = 'a'", true),
        ("right", "falls_with = 'b'", false),
    ] {
        let property = format!("[[boxes]]\n{both}\n[holds_when]\noutput = '{output}'\n{way}\n");
        let (code, word, example) = verdict(&folder, &property);
        assert_eq!((code == 0, word == "holds"), (holds, holds), "{property}");
        if !holds {
            let json = prove(&folder, &property, "--json").stdout;
            let json: Value = serde_json::from_str(&json).unwrap();
            let next = &json["other_inputs"];
            assert_eq!(next[0], example[0]);
            assert_eq!(next[1].as_f64().unwrap().round(), example[1].round() + 1.0);
            let y = |key: &str| json[key][1].as_f64().unwrap();
            assert_eq!(y("other_outputs"), y("outputs") + 1.0);
        }
    }
    let line = prove(
        &folder,
        &format!("[[boxes]]\n{both}\n[holds_when]\noutput = 'left'\nrises_with = 'a'"),
        "--certificate c.json",
    )
    .error(2);
    assert!(
        line.starts_with("certificates are of what one row's outputs are"),
        "{line}"
    );
}

#[test]
fn two_models_are_compared_over_a_box() {
    let folder = model();
    write_model(&folder, "other.tnet", 2);
    write_float_model(&folder, "float.tnet");
    // The class differs where b is 2 a + 2: 9 and 10 against 10.
    for (other, range, holds_when, holds) in [
        ("other", "b = [0, 9.4]", "same_class = true", true),
        ("other", "b = [0, 9.5]", "same_class = true", false),
        ("other", "b = [0, 9]", "within = 1.0", true),
        ("other", "b = [0, 9]", "within = 0.9", false),
        // 2 a is rounded by up to a half of a.
        ("float", "b = [0, 3]", "same_class = true", true),
        ("float", "b = [0, 3]", "within = 1.01", true),
        ("float", "b = [0, 3]", "within = 0.99", false),
    ] {
        let a = if other == "other" {
            "a = 4"
        } else {
            "a = [4, 7]"
        };
        let property = format!("[[boxes]]\n{a}\n{range}\n[holds_when]\n{holds_when}\n");
        let finished = prove(
            &folder,
            &property,
            &format!("--against {other}.tnet --json"),
        );
        let json: Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(finished.code, Some(i32::from(!holds)), "{property} {json}");
        if !holds {
            let class = |key: &str| {
                let y: Vec<f64> = serde_json::from_value(json[key].clone()).unwrap();
                (usize::from(y[1] > y[0]), y[0])
            };
            let [one, other] = ["outputs", "other_outputs"].map(class);
            match holds_when {
                "same_class = true" => assert_ne!(one.0, other.0),
                _ => assert!((one.1 - other.1).abs() > 0.9),
            }
        }
    }
    let text = prove(
        &folder,
        "[[boxes]]\na = 4\nb = [0, 9.5]\n[holds_when]\nsame_class = true\n",
        "--against other.tnet",
    );
    assert!(
        text.stdout
            .contains("a=4, b=9.5: left=9, right=10, none=-14; the other model: left=10, right=10"),
        "{}",
        text.stdout
    );
}

#[test]
fn the_largest_difference_of_two_models_is_exact_or_between_two_numbers() {
    let folder = model();
    write_model(&folder, "other.tnet", 3);
    write_float_model(&folder, "float.tnet");
    let largest = |line: &str| -> Value {
        fs::write(
            folder.path().join("p.toml"),
            "[[boxes]]\na = [4, 7]\nb = [0, 3]\n",
        )
        .unwrap();
        let line = format!("prove m.tnet --largest-difference --json {line}");
        serde_json::from_str(&thumbnet(folder.path(), line.split_whitespace()).ok()).unwrap()
    };
    // Of all inputs.
    let value = largest("--against other.tnet");
    assert_eq!(
        (value["reached"].as_f64(), value["bound"].as_f64()),
        (Some(2.0), Some(2.0))
    );
    let value = largest("--against float.tnet --property p.toml --timeout 10");
    let number = |key: &str| value[key].as_f64().unwrap();
    assert!(number("reached") <= number("bound"), "{value}");
    // Two halves of a, or a half of each of a and b.
    assert!(
        number("reached") > 0.99 && number("bound") < 1.01,
        "{value}"
    );
    let line = "prove m.tnet --against other.tnet --largest-difference";
    let text = thumbnet(folder.path(), line.split_whitespace()).ok();
    assert!(
        text.starts_with("the outputs differ by at most 2; 2 for a="),
        "{text}"
    );
    let line = "prove m.tnet --property p.toml --against other.tnet";
    let refused = thumbnet(folder.path(), line.split_whitespace()).error(2);
    assert!(
        refused.starts_with("p.toml: holds_when is missing"),
        "{refused}"
    );
}

#[test]
fn the_reachable_values_of_each_output_are_printed() {
    let folder = model();
    fs::write(
        folder.path().join("p.toml"),
        "[[boxes]]\na = [4, 7]\nb = [0, 3]\n",
    )
    .unwrap();
    let line = "prove m.tnet --property p.toml --ranges";
    let text = thumbnet(folder.path(), line.split_whitespace()).ok();
    assert_eq!(text, "left: 9 to 15\nright: 0 to 3\nnone: -10 to -4\n");
    // Of all inputs.
    let json = thumbnet(folder.path(), ["prove", "m.tnet", "--ranges", "--json"]).ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json["layers"][0][0]["bound"],
        serde_json::json!([-253.0, 255.0])
    );
}
