//! What the host decides and scores by is what `classify` says on every core, row by row.

use std::path::PathBuf;

use ndarray::{Array2, ArrayD, Axis, s};
use serde_json::{Value, json};
use thumbnet_boards::{
    Board, Firmware, Run,
    parity::{Answer, Job},
};
use thumbnet_tests::{cost::packing, qemu::prepare};
use thumbnet_trainer::layers::{Dense, Input};
use thumbnet_trainer::quantize::{
    DataType, DeviceModel, LayerTypes, Outputs, QuantizeOptions, RangeMethod, evaluate, quantize,
};
use thumbnet_trainer::{Dataset, Sequential};

/// A model with the rows to decide, and what its outputs are.
struct Case {
    name: &'static str,
    model: Sequential,
    options: QuantizeOptions,
    x: ArrayD<f32>,
    y: ArrayD<f32>,
    labels: &'static [&'static str],
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden/decisions")
        .join(name)
}

/// 4 inputs, 6 relu units, then `outputs`; the loss says what they are.
fn model(outputs: usize, activation: &str, loss: &Value) -> Sequential {
    let mut model = Sequential::new().with_seed(3);
    model.add(Input::new([4])).unwrap();
    let relu = "relu";
    model.add(Dense::new(6).with_activation(relu)).unwrap();
    let last = activation;
    model
        .add(Dense::new(outputs).with_activation(last))
        .unwrap();
    model.build(&[4]).unwrap();
    let settings = json!({"optimizer": "adam", "loss": loss});
    model.compile_from_config(&settings).unwrap();
    model
}

fn named(labels: &[&str], threshold: Option<f32>) -> QuantizeOptions {
    QuantizeOptions {
        labels: labels.iter().map(|&label| label.to_string()).collect(),
        threshold,
        range: Some(RangeMethod::MinMax),
        self_tests: Some(0),
        ..QuantizeOptions::default()
    }
}

/// Binary, multi-class and multi-label models by probabilities and by logits.
fn cases() -> Vec<Case> {
    const ROWS: usize = 40;
    let read = |name: &str| {
        let data = Dataset::from_csv(golden(name), &Default::default()).unwrap();
        data.split_at(ROWS).0
    };
    let (two, four) = (read("th.csv"), read("l3.csv"));
    let load = |name: &str| Sequential::load(golden(name)).unwrap();
    let classes = four.y.clone().unwrap();
    // A label for each sign.
    let signs = four
        .x
        .slice(s![.., ..3])
        .mapv(|x| f32::from(u8::from(x > 0.0)));
    let logits = |name: &str| json!({"class_name": name, "config": {"from_logits": true}});
    let case = |name,
                model,
                labels: &'static [&'static str],
                threshold,
                data: &Dataset,
                y: &ArrayD<f32>| Case {
        name,
        model,
        options: named(labels, threshold),
        x: data.x.clone(),
        y: y.clone(),
        labels,
    };
    let answers = two.y.clone().unwrap();
    let digits = |mut case: Case| {
        case.options.labels = Vec::new();
        case
    };
    vec![
        case(
            "binary",
            load("th.h5"),
            &["no", "yes"],
            None,
            &two,
            &answers,
        ),
        case(
            "binary at 0.9",
            load("th.h5"),
            &["no", "yes"],
            Some(0.9),
            &two,
            &answers,
        ),
        case(
            "binary logit",
            load("bl2.h5"),
            &["no", "yes"],
            None,
            &two,
            &answers,
        ),
        case(
            "binary logit at 0.1",
            load("bl2.h5"),
            &["no", "yes"],
            Some(0.1),
            &two,
            &answers,
        ),
        case(
            "three logits",
            load("l3.h5"),
            &["a", "b", "c"],
            None,
            &four,
            &classes,
        ),
        digits(case(
            "softmax, not named",
            model(3, "softmax", &json!("sparse_categorical_crossentropy")),
            &["0", "1", "2"],
            None,
            &four,
            &classes,
        )),
        case(
            "two classes by softmax",
            model(2, "softmax", &json!("categorical_crossentropy")),
            &["no", "yes"],
            None,
            &four,
            &signs.slice(s![.., 0]).to_owned().into_dyn(),
        ),
        case(
            "multi-label",
            model(3, "sigmoid", &json!("binary_crossentropy")),
            &["x", "y", "z"],
            None,
            &four,
            &signs.clone().into_dyn(),
        ),
        digits(case(
            "multi-label logits, not named",
            model(3, "linear", &logits("BinaryCrossentropy")),
            &["0", "1", "2"],
            Some(0.3),
            &four,
            &signs.clone().into_dyn(),
        )),
    ]
}

/// The blob, with the threshold at an output of the calibration rows where the case is cut by one: the
/// device says yes there.
fn device(case: &Case, data_type: DataType, board: Board) -> DeviceModel {
    let options = QuantizeOptions {
        types: LayerTypes::All(data_type),
        packing: packing(board),
        ..case.options.clone()
    };
    let device = quantize(&case.model, &case.x, &options).unwrap().device;
    if case.name != "binary at 0.9" {
        return device;
    }
    let outputs = device.predict(&case.x).unwrap();
    let score = outputs.iter().copied().fold(0.0, f32::max);
    let options = QuantizeOptions {
        threshold: Some(score),
        ..options
    };
    quantize(&case.model, &case.x, &options).unwrap().device
}

fn agree(board: Board) {
    let Some((qemu, elf)) = prepare(&Firmware::release("parity", board)) else {
        return;
    };
    let cases = cases();
    let types = [
        DataType::Int8,
        DataType::Int4,
        DataType::Int16,
        DataType::Float32,
    ];
    let models: Vec<(&Case, DeviceModel)> = cases
        .iter()
        .flat_map(|case| types.map(|data_type| (case, device(case, data_type, board))))
        .collect();
    let jobs: Vec<Job> = models
        .iter()
        .map(|(case, device)| Job {
            blob: device.bytes(),
            shift: 0,
            inputs: device.inputs(),
            x: case.x.as_slice().unwrap(),
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let answers = qemu
        .answer(&Run::new(board, &elf, folder.path()), &jobs)
        .unwrap();
    for ((case, device), answer) in models.iter().zip(answers) {
        compare(case, device, answer);
    }
}

/// Host and board, row by row; then the accuracy of the board's decisions, counted here.
fn compare(case: &Case, device: &DeviceModel, answer: Answer) {
    let Answer::Loaded { rows, .. } = answer else {
        panic!("{}: {answer:?}", case.name);
    };
    let count = device.outputs();
    let outputs = device.predict(&case.x).unwrap();
    let outputs: Array2<f32> = outputs.into_shape_with_order((rows.len(), count)).unwrap();
    let kind = Outputs::of_device(device);
    let targets = case
        .y
        .to_shape((rows.len(), case.y.len() / rows.len()))
        .unwrap();
    let (mut right, mut all, mut yes) = (0, 0, 0);
    for ((row, outputs), targets) in rows
        .into_iter()
        .zip(outputs.outer_iter())
        .zip(targets.outer_iter())
    {
        let row = row.unwrap();
        let bits: Vec<u32> = outputs.iter().map(|y| y.to_bits()).collect();
        assert_eq!(row.outputs, bits, "{}", case.name);
        assert_eq!(row.label, case.labels[row.class], "{}", case.name);
        let decided = kind.decisions(outputs);
        let score = match (kind, count) {
            (Outputs::Classes, _) => {
                assert_eq!(decided, [row.class], "{}", case.name);
                outputs[row.class]
            }
            (Outputs::Binary { .. }, 1) => {
                assert_eq!(decided, [row.class], "{}", case.name);
                outputs[0]
            }
            (Outputs::Binary { .. }, _) => {
                let yes: Vec<usize> = row.yes.iter().map(|&yes| usize::from(yes)).collect();
                assert_eq!(decided, yes, "{}", case.name);
                outputs[row.class]
            }
            (Outputs::Numbers, _) => panic!("{} decides nothing", case.name),
        };
        assert_eq!(row.score, score.to_bits(), "{}", case.name);
        for (&decided, &target) in decided.iter().zip(targets) {
            right += usize::from(decided as f32 == target);
            yes += decided;
            all += 1;
        }
    }
    let logs = evaluate(device, &case.x, &case.y).unwrap();
    let name = if case.y.len_of(Axis(0)) == case.y.len() {
        "accuracy"
    } else {
        "binary_accuracy"
    };
    assert_eq!(
        logs.get(name),
        Some(right as f64 / all as f64),
        "{}",
        case.name
    );
    if case.name == "binary at 0.9" {
        // The threshold is the greatest score itself.
        assert!(yes >= 1, "no row reaches its own score");
    }
}

macro_rules! boards {
    ($($name:ident: $board:ident;)*) => { $(#[test] fn $name() { agree(Board::$board); })* };
}

boards! {
    m0: Microbit;
    m3: Mps2An385;
    m4: Mps2An386;
    m7: Mps2An500;
    m33: Mps2An505;
    m55: Mps3An547;
}
