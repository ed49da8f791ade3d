//! `FORMAT.md`, held to what the crate writes and reads.

mod common;

use thumbnet_runtime::{
    Activation, DenseSpec, Error, LayerSpec, Model, ModelSpec, OutputSpec, Packing, Precision,
    SelfTest, WeightsSpec, What, blob_len,
};

/// The model of the worked example: two inputs, one sigmoid.
fn example() -> Vec<u8> {
    let layers = [
        LayerSpec::Quantize {
            inputs: 2,
            scale: &[0.5],
            zero_point: &[-1],
            output: Precision::Int8,
        },
        LayerSpec::Dense(DenseSpec {
            inputs: 2,
            units: 1,
            packing: Packing::Plain,
            weights: WeightsSpec::Int8 {
                weights: &[5, -6],
                bias: &[7],
            },
            output: OutputSpec::Float {
                scales: &[0.25],
                activation: Activation::Linear,
                table: None,
            },
        }),
    ];
    let spec = ModelSpec {
        layers: &layers,
        labels: &["no", "yes"],
        threshold: Some(0.5),
        self_tests: &[],
        input_names: &[],
    };
    let model = common::written(&spec);
    let model: Model = Model::from_bytes(&model).unwrap();
    let (mut outputs, mut checksums) = ([0.0], [0; 2]);
    model
        .checksums(&[1.0, 2.0], &mut [0; 1], &mut outputs, &mut checksums)
        .unwrap();
    // q = [1, 3]; 5 * 1 - 6 * 3 + 7 = -6; -6 * 0.25.
    assert_eq!(outputs, [-1.5]);
    let test = SelfTest {
        inputs: &[1.0, 2.0],
        outputs: &outputs,
        checksums: &checksums,
    };
    common::written(&ModelSpec {
        self_tests: &[test],
        ..spec
    })
}

/// The bytes in the table of the worked example: those between two `|` that are hexadecimal.
fn documented() -> Vec<u8> {
    let text = include_str!("../FORMAT.md");
    let example = text.split("## Worked example").nth(1).unwrap();
    example
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(1))
        .filter_map(|bytes| bytes.strip_prefix('`')?.strip_suffix('`'))
        .flat_map(|bytes| {
            bytes
                .split(' ')
                .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        })
        .collect()
}

#[test]
fn the_worked_example_is_what_the_crate_writes() {
    let blob = example();
    if std::env::var_os("UPDATE").is_some() {
        for line in blob.chunks(16) {
            let line: Vec<String> = line.iter().map(|byte| format!("{byte:02X}")).collect();
            println!("{}", line.join(" "));
        }
    }
    assert_eq!(documented(), blob);
}

#[test]
fn the_worked_example_runs() {
    let blob = documented();
    let model: Model = Model::from_bytes(&blob).unwrap();
    let (mut scratch, mut outputs) = ([0; 1], [0.0]);
    assert_eq!(model.self_test(&mut scratch, &mut outputs), Ok(()));
    assert_eq!(model.verify_weights(), Ok(()));
    let class = model.classify(&[1.0, 2.0], &mut scratch, &mut outputs);
    assert_eq!(class.unwrap().label, "no");
}

#[test]
fn names_of_inputs_and_answers_are_there_for_those_who_ask() {
    let blob = example();
    let model: Model = Model::from_bytes(&blob).unwrap();
    assert_eq!(model.input_names().count(), 0);
    // From the threshold 0.5 on.
    let below = 0.5f32.next_down();
    let said = [-1.0, below, 0.5, 1.0].map(|output| model.says_yes(output));
    assert_eq!(said, [false, false, true, true]);

    let layers = [
        LayerSpec::Quantize {
            inputs: 2,
            scale: &[0.5],
            zero_point: &[-1],
            output: Precision::Int8,
        },
        LayerSpec::Dense(DenseSpec {
            inputs: 2,
            units: 1,
            packing: Packing::Plain,
            weights: WeightsSpec::Int8 {
                weights: &[5, -6],
                bias: &[7],
            },
            output: OutputSpec::Float {
                scales: &[0.25],
                activation: Activation::Linear,
                table: None,
            },
        }),
    ];
    for names in [["a", "b"], ["petal length, cm", "petal breadth, µm"]] {
        let blob = common::written(&ModelSpec {
            layers: &layers,
            input_names: &names,
            ..ModelSpec::default()
        });
        let model: Model = Model::from_bytes(&blob).unwrap();
        let found: Vec<&str> = model.input_names().collect();
        assert_eq!(found, names);
        let mut outputs = [0.0];
        model
            .predict(&[1.0, 2.0], &mut [0; 1], &mut outputs)
            .unwrap();
        assert_eq!(outputs, [-1.5]);
    }
}

#[test]
fn a_damaged_example_is_refused_by_its_checksum() {
    let mut blob = documented();
    for i in 6..blob.len() {
        blob[i] ^= 0x10;
        let found = <Model>::from_bytes(&blob);
        assert!(matches!(found, Err(Error::Crc { .. })), "{i}");
        blob[i] ^= 0x10;
    }
}

#[test]
fn another_version_is_refused_by_its_number() {
    let mut blob = documented();
    for version in [1, 3] {
        blob[4] = version;
        let expected = Error::Version {
            expected: 2,
            found: version.into(),
        };
        assert_eq!(<Model>::from_bytes(&blob).unwrap_err(), expected);
    }
}

#[test]
fn a_self_test_names_the_first_layer_that_differs() {
    let mut blob = documented();
    // The first weight, 5, behind the bias in the 16 bytes of layer 1.
    let weight = blob.len() - 4 - 16 + 4;
    assert_eq!(blob[weight], 5);
    blob[weight] = 4;
    let model: Model = Model::from_bytes_without_crc(&blob).unwrap();
    let error = model.self_test(&mut [0; 1], &mut [0.0]).unwrap_err();
    assert!(
        matches!(
            error,
            Error::SelfTest {
                test: 0,
                layer: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_blob_says_its_length_and_may_lie_in_a_larger_slot() {
    let blob = example();
    assert_eq!(blob_len(&blob), Ok(blob.len()));
    // Before the last tensors and the checksum are there, and with anything behind.
    assert_eq!(blob_len(&blob[..blob.len() - 8]), Ok(blob.len()));
    let mut slot = blob.clone();
    slot.resize(4096, 0xFF);
    assert_eq!(blob_len(&slot), Ok(blob.len()));
    let model: Model = Model::from_prefix(&slot).unwrap();
    assert_eq!(model.inputs(), 2);
    assert!(matches!(Model::new(&slot), Err(Error::Crc { .. })));

    let short = Model::<16>::from_prefix(&blob[..blob.len() - 8]).map(|_| ());
    let expected = Error::Length {
        what: What::Blob,
        expected: blob.len() as u32,
        found: blob.len() as u32 - 8,
    };
    assert_eq!(short, Err(expected));
    for cut in 0..30 {
        let error = blob_len(&blob[..cut]).unwrap_err();
        assert!(matches!(
            error,
            Error::Malformed | Error::Magic { .. } | Error::Version { .. }
        ));
    }
    let mut damaged = slot;
    damaged[blob.len() - 1] ^= 1;
    let damaged = Model::<16>::from_prefix(&damaged).map(|_| ());
    assert!(matches!(damaged, Err(Error::Crc { .. })));
}

#[test]
fn a_checksum_of_the_chips_own_is_asked_for_the_bytes_before_it() {
    let blob = example();
    let mut asked = 0;
    let model: Result<Model, Error> = Model::from_bytes_with_crc(&blob, |covered| {
        asked = covered.len();
        u32::from_le_bytes(*blob.last_chunk().unwrap())
    });
    assert!(model.is_ok());
    assert_eq!(asked, blob.len() - 4);
    let wrong: Result<Model, Error> = Model::from_bytes_with_crc(&blob, |_| 0);
    assert!(matches!(wrong, Err(Error::Crc { found: 0, .. })));
    let none: Result<Model, Error> =
        Model::from_bytes_with_crc(&[1, 2], |covered| covered.len() as u32);
    assert!(none.is_err());
}

#[test]
fn samples_give_the_bits_of_their_floats() {
    let blob = example();
    let model = Model::new(&blob).unwrap();
    let mut scratch = vec![0; model.scratch_len()];
    let (mut expected, mut found) = ([0.0], [0.0]);
    for a in (-128..=127i16).step_by(if cfg!(miri) { 51 } else { 1 }) {
        for b in [-128, -7, 0, 1, 127i16] {
            let floats = [f32::from(a), f32::from(b)];
            model.predict(&floats, &mut scratch, &mut expected).unwrap();
            let samples = [a, b];
            model
                .predict_samples(&samples, &mut scratch, &mut found)
                .unwrap();
            assert_eq!(found[0].to_bits(), expected[0].to_bits());
            let bytes = [a as i8, b as i8];
            model
                .predict_samples(&bytes, &mut scratch, &mut found)
                .unwrap();
            assert_eq!(found[0].to_bits(), expected[0].to_bits());
        }
    }
    let wrong = model.predict_samples(&[1u16; 3], &mut scratch, &mut found);
    assert!(matches!(
        wrong,
        Err(Error::Length {
            what: What::Inputs,
            expected: 2,
            found: 3
        })
    ));
}
