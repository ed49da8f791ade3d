//! The functions, called as C calls them.

use core::ptr::{null, null_mut};

use thumbnet_runtime::{
    Activation, DenseSpec, LayerSpec, ModelSpec, OutputSpec, Packing, Precision, Verdict,
    WeightsSpec, encode, encode_verdict,
};

use crate::*;

/// A blob at a multiple of four, and its length.
fn blob() -> ([u32; 64], usize) {
    // Outputs 0.5 * round(x) + 1 and 0.25 * round(x), of one input.
    let spec = ModelSpec {
        layers: &[
            LayerSpec::Quantize {
                inputs: 1,
                scale: &[1.0],
                zero_point: &[0],
                output: Precision::Int8,
            },
            LayerSpec::Dense(DenseSpec {
                inputs: 1,
                units: 2,
                packing: Packing::Plain,
                weights: WeightsSpec::Int8 {
                    weights: &[2, 1],
                    bias: &[4, 0],
                },
                output: OutputSpec::Float {
                    scales: &[0.25, 0.25],
                    activation: Activation::Linear,
                    table: None,
                },
            }),
        ],
        labels: &["no", "yes"],
        ..ModelSpec::default()
    };
    let mut bytes = [0; 256];
    let length = encode(&spec, &mut bytes).unwrap();
    let word = |i: usize| u32::from_le_bytes(bytes[4 * i..][..4].try_into().unwrap());
    (core::array::from_fn(word), length)
}

/// Zeros, as C's static memory.
fn closed() -> Handle {
    // SAFETY: C may pass any bytes, and all fields hold them.
    unsafe { core::mem::zeroed() }
}

/// The blob must outlive its model: leaked, it does.
fn opened() -> Handle {
    let (blob, length) = Box::leak(Box::new(blob()));
    let mut handle = closed();
    // SAFETY: a handle and a blob of that length.
    let code = unsafe { thumbnet_open(&mut handle, blob.as_ptr().cast(), *length) };
    assert_eq!(code, Code::Ok);
    handle
}

#[test]
fn a_row_is_predicted_from_floats_and_from_samples() {
    let handle = &opened();
    let (mut scratch, mut y) = ([0; 4], [0.0; 2]);
    let (s, o) = (scratch.as_mut_ptr(), y.as_mut_ptr());
    // SAFETY: each pointer has as many values behind it as said.
    unsafe {
        assert_eq!(thumbnet_inputs(handle), 1);
        assert_eq!(thumbnet_outputs(handle), 2);
        assert!(thumbnet_scratch_words(handle) <= 4);
        assert_eq!(thumbnet_predict(handle, &2.9, 1, s, 4, o, 2), Code::Ok);
        assert_eq!(y, [2.5, 0.75]);
        assert_eq!(thumbnet_predict_int8(handle, &-4, 1, s, 4, o, 2), Code::Ok);
        assert_eq!(y, [-1.0, -1.0]);
        assert_eq!(thumbnet_predict_uint8(handle, &4, 1, s, 4, o, 2), Code::Ok);
        assert_eq!(y, [3.0, 1.0]);
        assert_eq!(thumbnet_predict_int16(handle, &-8, 1, s, 4, o, 2), Code::Ok);
        assert_eq!(y, [-3.0, -2.0]);
        assert_eq!(thumbnet_predict_uint16(handle, &8, 1, s, 4, o, 2), Code::Ok);
        assert_eq!(y, [5.0, 2.0]);
        let mut found = Class {
            index: 9,
            score: 9.0,
        };
        let code = thumbnet_classify(handle, &-8.0, 1, s, 4, o, 2, &mut found);
        assert_eq!(code, Code::Ok);
        assert_eq!(
            found,
            Class {
                index: 1,
                score: -2.0
            }
        );
        assert_eq!(thumbnet_self_test(handle, s, 4, o, 2), Code::Ok);
        assert!(thumbnet_says_yes(handle, 0.5) && !thumbnet_says_yes(handle, 0.25));
    }
}

#[test]
fn wrong_calls_give_their_code() {
    let handle = &opened();
    let mut scratch = [0_u32; 8];
    let (mut y, nan) = ([0.0_f32; 4], f32::NAN);
    let (s, o, x) = (scratch.as_mut_ptr(), y.as_mut_ptr(), &1.0_f32);
    let never = &closed();
    // Byte 1 of four words.
    let odd = s.cast::<u8>().wrapping_add(1);
    // SAFETY: where a pointer is an address, as many values are behind it as said.
    unsafe {
        for (code, expected) in [
            (thumbnet_predict(null(), x, 1, s, 4, o, 2), Code::Null),
            (thumbnet_predict(never, x, 1, s, 4, o, 2), Code::NotOpen),
            (thumbnet_predict(handle, null(), 1, s, 4, o, 2), Code::Null),
            (
                thumbnet_predict(handle, x, 1, null_mut(), 4, o, 2),
                Code::Null,
            ),
            (
                thumbnet_predict(handle, x, 1, s, 4, null_mut(), 2),
                Code::Null,
            ),
            (thumbnet_predict(handle, x, 0, s, 4, o, 2), Code::Inputs),
            (thumbnet_predict(handle, x, 1, s, 0, o, 2), Code::Scratch),
            (thumbnet_predict(handle, x, 1, s, 4, o, 1), Code::Outputs),
            (thumbnet_predict(handle, x, 1, s, 4, o, 3), Code::Outputs),
            (
                thumbnet_predict(handle, x, 1, s, usize::MAX, o, 2),
                Code::Overlap,
            ),
            (
                thumbnet_predict(handle, x, 1, s, usize::MAX / 8, o, 2),
                Code::Overlap,
            ),
            (
                thumbnet_predict(handle, &nan, 1, s, 4, o, 2),
                Code::NotFinite,
            ),
            (
                thumbnet_predict(handle, odd.cast(), 1, s.add(2), 4, o, 2),
                Code::Alignment,
            ),
            (
                thumbnet_predict(handle, x, 1, odd.cast(), 4, o, 2),
                Code::Alignment,
            ),
            (thumbnet_predict(handle, o, 1, s, 4, o, 2), Code::Overlap),
            (
                thumbnet_predict(handle, s.cast(), 1, s, 4, o, 2),
                Code::Overlap,
            ),
            (
                thumbnet_predict(handle, x, 1, s, 4, s.add(3).cast(), 2),
                Code::Overlap,
            ),
            (
                thumbnet_classify(handle, x, 1, s, 4, o, 2, null_mut()),
                Code::Null,
            ),
            (thumbnet_self_test(never, s, 4, o, 2), Code::NotOpen),
            (thumbnet_self_test(handle, s, 4, s.cast(), 2), Code::Overlap),
        ] {
            assert_eq!(code, expected);
        }
        for number in [
            thumbnet_inputs,
            thumbnet_outputs,
            thumbnet_scratch_words,
            thumbnet_label_count,
        ] {
            assert_eq!((number(null()), number(never)), (0, 0));
        }
        assert!(!thumbnet_says_yes(null(), 1.0));
    }
    // Next to each other is apart.
    // SAFETY: six words, of which four are scratch memory and two outputs.
    let code = unsafe { thumbnet_predict(handle, x, 1, s, 4, s.add(4).cast(), 2) };
    assert_eq!(code, Code::Ok);
}

#[test]
fn a_blob_that_is_refused_closes_the_model() {
    let (words, length) = blob();
    let at = |words: &[u32]| words.as_ptr().cast();
    let mut damaged = words;
    damaged[length / 4 - 2] ^= 1;
    let mut handle = opened();
    let h = &raw mut handle;
    // SAFETY: the blobs outlive the calls, after which no model is used that is open.
    unsafe {
        assert_eq!(thumbnet_open(null_mut(), at(&words), length), Code::Null);
        assert_eq!(thumbnet_open(h, null(), length), Code::Null);
        assert_eq!(thumbnet_inputs(h), 0);
        assert_eq!(thumbnet_open(h, at(&words), length - 1), Code::Crc);
        assert_eq!(thumbnet_open(h, at(&words), 0), Code::Magic);
        assert_eq!(thumbnet_open(h, at(&damaged), length), Code::Crc);
        assert_eq!(thumbnet_inputs(h), 0);
        assert_eq!(thumbnet_open_slot(h, at(&words), 256), Code::Ok);
        assert_eq!(thumbnet_inputs(h), 1);
        assert_eq!(
            thumbnet_open_slot(h, at(&words), length - 1),
            Code::BlobLength
        );
        assert_eq!(thumbnet_inputs(h), 0);
        assert_eq!(thumbnet_open_without_crc(h, at(&words), length), Code::Ok);
        assert_eq!(thumbnet_outputs(h), 2);
        assert_eq!(thumbnet_open(h, at(&[0; 4]), 16), Code::Magic);
    }
}

#[test]
fn labels_are_found_and_copied() {
    let handle = &opened();
    let (mut text, mut length) = (null(), 0);
    let mut buffer = [7_u8; 5];
    let b = buffer.as_mut_ptr().cast();
    // SAFETY: each pointer has as many values behind it as said.
    unsafe {
        assert_eq!(thumbnet_label_count(handle), 2);
        assert_eq!(thumbnet_label(handle, 1, &mut text, &mut length), Code::Ok);
        assert_eq!(
            core::slice::from_raw_parts(text.cast::<u8>(), length),
            b"yes"
        );
        assert_eq!(
            thumbnet_label(handle, 2, &mut text, &mut length),
            Code::Class
        );
        assert_eq!(
            thumbnet_label(handle, 1, null_mut(), &mut length),
            Code::Null
        );
        assert_eq!(thumbnet_label_copy(handle, 1, b, 3), Code::Buffer);
        assert_eq!(thumbnet_label_copy(handle, u32::MAX, b, 5), Code::Class);
        assert_eq!(thumbnet_label_copy(handle, 1, null_mut(), 5), Code::Null);
        assert_eq!(buffer, [7; 5]);
        assert_eq!(
            thumbnet_label_copy(handle, 1, buffer.as_mut_ptr().cast(), 4),
            Code::Ok
        );
        assert_eq!(&buffer, b"yes\0\x07");
    }
}

#[test]
fn texts_end_with_a_zero() {
    let text = |start| {
        // SAFETY: both are constants that end with a zero.
        let text = unsafe { core::ffi::CStr::from_ptr(start) };
        text.to_str().unwrap()
    };
    assert_eq!(text(thumbnet_version()), env!("CARGO_PKG_VERSION"));
    assert_eq!(text(thumbnet_error_text(0)), "no error");
}

#[test]
fn a_model_is_opened_in_the_place_of_another() {
    let (words, length) = blob();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut damaged = bytes[..length].to_vec();
    damaged[length - 9] ^= 1;
    let mut model = thumbnet_runtime::Model::<4>::empty();
    assert_eq!(
        (model.inputs(), model.outputs(), model.layers().len()),
        (0, 0, 0)
    );
    model.open(&bytes[..length]).unwrap();
    assert_eq!(
        (model.inputs(), model.outputs(), model.layers().len()),
        (1, 2, 2)
    );
    model.open(&bytes[..length]).unwrap();
    assert_eq!(model.layers().len(), 2);
    assert!(model.open(&damaged).is_err());
    assert_eq!(
        (model.inputs(), model.outputs(), model.layers().len()),
        (0, 0, 0)
    );
    assert_eq!(model.open_without_crc(&damaged), Ok(()));
    assert_eq!(model.outputs(), 2);
}

/// An autoencoder of one input, whose output is `0.5 * round(x)`, with anomalies above 1, or a classifier.
fn with_verdict(verdict: &Verdict) -> Handle {
    let units = match verdict {
        Verdict::Anomaly { .. } => 1,
        Verdict::Unknown { .. } => 2,
    };
    let spec = ModelSpec {
        layers: &[
            LayerSpec::Quantize {
                inputs: 1,
                scale: &[1.0],
                zero_point: &[0],
                output: Precision::Int8,
            },
            LayerSpec::Dense(DenseSpec {
                inputs: 1,
                units,
                packing: Packing::Plain,
                weights: WeightsSpec::Int8 {
                    weights: &[2, 1][..units],
                    bias: &[0, 0][..units],
                },
                output: OutputSpec::Float {
                    scales: &[0.25, 0.25][..units],
                    activation: Activation::Linear,
                    table: None,
                },
            }),
        ],
        ..ModelSpec::default()
    };
    let (mut plain, mut bytes) = ([0; 256], [0; 256]);
    let length = encode(&spec, &mut plain).unwrap();
    let length = encode_verdict(&plain[..length], verdict, &mut bytes).unwrap();
    let words: Vec<u32> = bytes
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect();
    let mut handle = closed();
    // SAFETY: a handle, and a blob that is never freed.
    let code = unsafe { thumbnet_open(&mut handle, words.leak().as_ptr().cast(), length) };
    assert_eq!(code, Code::Ok);
    handle
}

#[test]
fn anomalies_and_unknown_classes_are_found() {
    let (mut scratch, mut y) = ([0; 4], [0.0; 2]);
    let (s, o) = (scratch.as_mut_ptr(), y.as_mut_ptr());
    let mut found = Detection {
        score: 0.0,
        is_anomaly: false,
    };
    let coder = &with_verdict(&Verdict::Anomaly {
        above: 1.0,
        means: &[],
        factors: &[],
    });
    let classifier = &with_verdict(&Verdict::Unknown { below: 0.75 });
    let class = |score| Class { index: 0, score };
    // SAFETY: each pointer has as many values behind it as said.
    unsafe {
        // (2 - 1)^2 is not above 1, (4 - 2)^2 is.
        for (x, score, is_anomaly) in [(2.0, 1.0, false), (4.0, 4.0, true)] {
            let code = thumbnet_detect(coder, &x, 1, s, 4, o, 1, &mut found);
            assert_eq!((code, found), (Code::Ok, Detection { score, is_anomaly }));
        }
        assert_eq!(
            thumbnet_detect(coder, &1.0, 1, s, 4, o, 1, null_mut()),
            Code::Null
        );
        assert_eq!(
            thumbnet_detect(classifier, &1.0, 1, s, 4, o, 2, &mut found),
            Code::Outputs
        );
        assert!(thumbnet_is_known(classifier, &class(0.75)));
        assert!(!thumbnet_is_known(classifier, &class(0.74)));
        assert!(thumbnet_is_known(coder, &class(0.0)));
        assert!(!thumbnet_is_known(null(), &class(1.0)));
        assert!(!thumbnet_is_known(classifier, null()));
    }
}
