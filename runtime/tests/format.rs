//! `FORMAT.md`, held to what the crate writes and reads.

mod common;

use thumbnet_runtime::{
    Activation, Class, DenseSpec, Error, LayerSpec, Model, ModelSpec, OutputSpec, Packing,
    Precision, SelfTest, Verdict, WeightsSpec, What, blob_len, encode_verdict,
};

/// Two inputs in steps of 0.5, and a layer of them.
fn dense<'a>(weights: &'a [i8], bias: &'a [i32], scales: &'a [f32]) -> [LayerSpec<'a>; 2] {
    [
        LayerSpec::Quantize {
            inputs: 2,
            scale: &[0.5],
            zero_point: &[-1],
            output: Precision::Int8,
        },
        LayerSpec::Dense(DenseSpec {
            inputs: 2,
            units: bias.len(),
            packing: Packing::Plain,
            weights: WeightsSpec::Int8 { weights, bias },
            output: OutputSpec::Float {
                scales,
                activation: Activation::Linear,
                table: None,
            },
        }),
    ]
}

/// The model of the worked example: two inputs, one sigmoid.
fn example() -> Vec<u8> {
    let layers = dense(&[5, -6], &[7], &[0.25]);
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

/// As the worked example, with as many outputs as inputs, and these names.
fn autoencoder(names: &[&str]) -> Vec<u8> {
    let layers = dense(&[5, -6, 1, 1], &[7, 0], &[0.25, 0.5]);
    common::written(&ModelSpec {
        layers: &layers,
        input_names: names,
        ..ModelSpec::default()
    })
}

fn with_verdict(blob: &[u8], verdict: Verdict) -> Vec<u8> {
    let mut to = vec![0xEE; blob.len() + 64];
    let length = encode_verdict(blob, &verdict, &mut to).unwrap();
    assert!(length <= blob.len() + 32 + 16, "{length}");
    to.truncate(length);
    // Not one byte less, and nothing written then.
    let short = encode_verdict(blob, &verdict, &mut vec![0; length - 1]);
    assert!(matches!(
        short,
        Err(Error::Length {
            what: What::Blob,
            ..
        })
    ));
    to
}

#[test]
fn a_verdict_lies_behind_the_names_and_changes_nothing_else() {
    for names in [&[][..], &["a", "petal breadth, µm"]] {
        let blob = autoencoder(names);
        let row = [1.0, 2.0];
        let (scratch, outputs) = (&mut [0; 1], &mut [0.0; 2]);
        let plain: Model = Model::from_bytes(&blob).unwrap();
        assert_eq!((plain.anomaly_above(), plain.unknown_below()), (None, None));
        // q = [1, 3]: outputs -6 / 4 and 4 / 2; (1 + 1.5)^2 = 6.25 and 0.
        let found = plain.detect(&row, scratch, outputs).unwrap();
        assert_eq!((found.score, found.is_anomaly), (3.125, false));

        let (means, factors) = ([3.0, 1.0], [0.5, 4.0]);
        let mut bytes = blob.clone();
        // Of scores, the greatest that is none; the last verdict counts.
        for above in [2.125f32.next_down(), 2.125] {
            let (means, factors) = (&means, &factors);
            bytes = with_verdict(
                &bytes,
                Verdict::Anomaly {
                    above,
                    means,
                    factors,
                },
            );
            let model: Model = Model::from_bytes(&bytes).unwrap();
            assert_eq!(model.anomaly_above(), Some(above));
            assert!(model.input_names().eq(names.iter().copied()));
            // z = (1 - 3) / 2 and (2 - 1) * 4: (-1 + 1.5)^2 = 0.25 and (4 - 2)^2 = 4, of which half.
            let found = model.detect(&row, scratch, outputs).unwrap();
            assert_eq!(*outputs, [-1.5, 2.0]);
            assert_eq!((found.score, found.is_anomaly), (2.125, above < 2.125));
        }
        let raw = with_verdict(
            &bytes,
            Verdict::Anomaly {
                above: 3.0,
                means: &[],
                factors: &[],
            },
        );
        let model: Model = Model::from_bytes(&raw).unwrap();
        let found = model.detect(&row, scratch, outputs).unwrap();
        assert_eq!((found.score, found.is_anomaly), (3.125, true));
        // Far out, but not too far to be scaled.
        let far = model.detect(&[1e38, 1.0], scratch, outputs).unwrap();
        assert_eq!((far.score, far.is_anomaly), (f32::INFINITY, true));
    }
}

#[test]
fn a_class_of_little_probability_is_not_known() {
    let blob = with_verdict(&autoencoder(&[]), Verdict::Unknown { below: 2.0 });
    let model: Model = Model::from_bytes(&blob).unwrap();
    assert_eq!(
        (model.anomaly_above(), model.unknown_below()),
        (None, Some(2.0))
    );
    let (scratch, outputs) = (&mut [0; 1], &mut [0.0; 2]);
    let class = model.classify(&[1.0, 2.0], scratch, outputs).unwrap();
    assert_eq!(
        (class.index, class.score, model.is_known(&class)),
        (1, 2.0, true)
    );
    let class = model.classify(&[1.0, 1.5], scratch, outputs).unwrap();
    assert_eq!((class.score, model.is_known(&class)), (1.5, false));
    // Of one output, what it says: no by 0.3 with 0.7, yes by 0.9.
    let one = with_verdict(&example(), Verdict::Unknown { below: 0.7 });
    let model: Model = Model::from_bytes(&one).unwrap();
    assert_eq!(model.self_test(scratch, &mut outputs[..1]), Ok(()));
    for (index, score, known) in [
        (0, 0.25, true),
        (0, 0.5, false),
        (1, 0.75, true),
        (1, 0.6, false),
    ] {
        let class = Class {
            index,
            score,
            label: "",
        };
        assert_eq!(model.is_known(&class), known, "{class:?}");
    }
}

#[test]
fn a_verdict_that_fits_no_model_is_refused() {
    let (blob, example) = (autoencoder(&[]), example());
    let mut to = [0; 512];
    let mut refused =
        |blob: &[u8], verdict: Verdict| encode_verdict(blob, &verdict, &mut to).unwrap_err();
    let length = |what, found| Error::Length {
        what,
        expected: 2,
        found,
    };
    fn anomaly<'a>(above: f32, means: &'a [f32], factors: &'a [f32]) -> Verdict<'a> {
        Verdict::Anomaly {
            above,
            means,
            factors,
        }
    }
    assert_eq!(
        refused(&example, anomaly(1.0, &[], &[])),
        length(What::Outputs, 1)
    );
    assert_eq!(
        refused(&blob, anomaly(1.0, &[1.0], &[1.0])),
        length(What::Bias, 1)
    );
    assert_eq!(
        refused(&blob, anomaly(1.0, &[1.0; 2], &[1.0])),
        length(What::Scale, 1)
    );
    for bad in [f32::NAN, f32::INFINITY] {
        let expected = Error::Layer {
            layer: 0,
            what: What::Scale,
            expected: 0,
            found: bad.to_bits(),
        };
        assert_eq!(refused(&blob, anomaly(bad, &[], &[])), expected);
        assert_eq!(
            refused(&blob, anomaly(1.0, &[bad, 0.0], &[1.0; 2])),
            expected
        );
        assert_eq!(refused(&example, Verdict::Unknown { below: bad }), expected);
    }
    assert!(matches!(
        refused(&blob, anomaly(1.0, &[0.0; 2], &[0.0, 1.0])),
        Error::Layer { .. }
    ));
    assert!(matches!(
        refused(&blob[1..], Verdict::Unknown { below: 0.5 }),
        Error::Magic { .. }
    ));
}

/// Whatever lies there: none, or one that cannot do harm.
#[test]
fn damaged_verdicts_are_none() {
    let good = with_verdict(
        &autoencoder(&["a", "b"]),
        Verdict::Anomaly {
            above: 1.0,
            means: &[0.0; 2],
            factors: &[1.0; 2],
        },
    );
    let start = good
        .windows(4)
        .position(|bytes| bytes == b"a\nb\0")
        .unwrap()
        + 4;
    for place in start..start + 21 {
        for byte in [0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF] {
            let mut bytes = good.clone();
            bytes[place] = byte;
            let model: Model = Model::from_bytes_without_crc(&bytes).unwrap();
            let found = model
                .detect(&[1.0, 2.0], &mut [0; 1], &mut [0.0; 2])
                .unwrap();
            assert!(!found.score.is_nan());
            assert!(model.anomaly_above().is_none_or(f32::is_finite));
        }
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
