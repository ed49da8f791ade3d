//! `.tflite` files of real TensorFlow Lite become Keras models that predict what its kernels compute.

use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thumbnet_tests::command::thumbnet;
use thumbnet_tests::golden;
use thumbnet_trainer::dataset::read_array;
use thumbnet_trainer::saving::{Imported, Integers, import_tflite};
use thumbnet_trainer::{ErrorKind, Sequential};

fn folder() -> PathBuf {
    golden::root().join("tflite")
}

fn array(name: &str) -> ArrayD<f32> {
    read_array(&folder().join(name)).unwrap()
}

fn import(name: &str) -> Imported {
    import_tflite(&folder().join(format!("{name}.tflite"))).unwrap()
}

fn predict(imported: &Imported, x: &ArrayD<f32>) -> ArrayD<f32> {
    let y = imported.model.predict(x).unwrap();
    assert!(y.iter().all(|v| v.is_finite()));
    y
}

/// Largest difference and largest value.
fn difference(a: &ArrayD<f32>, b: &ArrayD<f32>) -> (f32, f32) {
    assert_eq!(a.shape(), b.shape());
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    let largest = b.iter().map(|v| v.abs());
    (worst.fold(0.0, f32::max), largest.fold(0.0, f32::max))
}

#[test]
fn files_of_floats_predict_what_tflite_does() {
    for name in ["float", "float16", "activations", "axes", "axes_fixed"] {
        let imported = import(name);
        assert_eq!((imported.inputs, imported.outputs), (None, None));
        let y = predict(&imported, &array(&format!("{name}_x.npy")));
        let (worst, largest) = difference(&y, &array(&format!("{name}_y.npy")));
        println!("{name}: {worst:e} of {largest}");
        assert!(
            worst <= 1e-6 * largest.max(1.0),
            "{name}: {worst:e} of {largest}"
        );
    }
}

#[test]
fn weights_of_integers_are_the_numbers_that_they_stand_for() {
    let imported = import("dynamic");
    let y = predict(&imported, &array("dynamic_x.npy"));
    // By numpy in float64, of the weights dequantized.
    let (worst, largest) = difference(&y, &array("dynamic_float.npy"));
    assert!(worst <= 1e-6 * largest, "{worst:e} of {largest}");
    // TFLite's kernels quantize every row to 8 bits before each layer.
    let (worst, largest) = difference(&y, &array("dynamic_y.npy"));
    assert!(worst <= 0.02 * largest, "{worst:e} of {largest}");
}

#[test]
fn files_of_integers_are_met_within_their_own_steps() {
    // Steps of 8 bits of the output that TFLite's rounding of three to nine layers is off by.
    for (name, steps) in [
        ("int8_channel", 1.5),
        ("int8_tensor", 1.5),
        ("int8_tanh", 4.0),
        ("normalized_int8", 2.0),
        ("uint8", 1.5),
        ("image", 1.5),
        ("int16x8", 0.1),
        ("int8_float_io", 1.5),
        ("uint8_io", 1.5),
    ] {
        let imported = import(name);
        let y = predict(&imported, &array(&format!("{name}_x.npy")));
        let expected = array(&format!("{name}_y.npy"));
        let (worst, _) = difference(&y, &expected);
        let step = imported
            .outputs
            .map_or(1.0 / 256.0, |outputs| outputs.scale);
        println!("{name}: {} steps of {step:e}", worst / step);
        assert!(worst <= steps * step, "{name}: {} steps", worst / step);
    }
}

/// The number that stands for a value.
fn steps(integers: Option<Integers>) -> Integers {
    integers.expect("a file of integers")
}

#[test]
fn converted_cases_are_met_within_steps() {
    for case in golden::folders("cases", "tflite/quant.json") {
        for kind in ["perchannel", "pertensor"] {
            let file = |name: String| case.join("tflite").join(name);
            let imported = import_tflite(&file(format!("model_int8_{kind}.tflite"))).unwrap();
            let floats = |name: &str, integers: Integers| {
                let q = read_array(&file(format!("{name}_int8_{kind}.npy"))).unwrap();
                q.mapv(|q| (q - integers.zero_point as f32) * integers.scale)
            };
            let outputs = steps(imported.outputs);
            let y = predict(&imported, &floats("x", steps(imported.inputs)));
            let (worst, _) = difference(&y, &floats("y", outputs));
            println!(
                "{}: {kind}: {} steps",
                case.display(),
                worst / outputs.scale
            );
            assert!(worst <= 6.0 * outputs.scale, "{}: {kind}", case.display());
        }
    }
}

#[test]
fn the_published_autoencoder_of_mlperf_tiny_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/mlperf");
    let file = folder.join("model_ToyCar_int8.tflite");
    if !file.is_file() {
        println!("mlperf: skipped, there is no {}", file.display());
        return;
    }
    let read = |name: &str| read_array(&folder.join(name)).unwrap();
    let imported = import_tflite(&file).unwrap();
    assert_eq!(imported.model.count_params(), 265_864);
    let y = predict(&imported, &read("x.npy"));
    let mean = |a: &ArrayD<f32>, b: &ArrayD<f32>| (a - b).mapv(|v| v * v).mean().unwrap();
    // The published int8 model is off from float by 0.751: by its weights, which are these.
    let (tflite, float) = (read("y_tflite.npy"), read("y_float.npy"));
    println!(
        "to int8 {}, to float {}",
        mean(&y, &tflite),
        mean(&y, &float)
    );
    assert!(mean(&y, &tflite) < 0.1 && mean(&float, &tflite) > 0.7);
}

#[test]
fn what_is_no_chain_is_refused_by_operator_and_place() {
    let refusal = |name: &str| {
        let path = folder().join(format!("refused_{name}.tflite"));
        let error = import_tflite(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        error
            .to_string()
            .replace(&format!("{}: ", path.display()), "")
    };
    assert_eq!(
        refusal("conv"),
        "operator 0 (CONV_2D) is not of a dense chain, expected FULLY_CONNECTED, activations, RESHAPE, QUANTIZE, DEQUANTIZE, and MUL, ADD, SUB or DIV by constants; give the Keras model that it was converted from, if that is a chain of dense layers"
    );
    assert_eq!(
        refusal("lstm"),
        "operator 2 (TRANSPOSE) is not of a dense chain, expected FULLY_CONNECTED, activations, RESHAPE, QUANTIZE, DEQUANTIZE, and MUL, ADD, SUB or DIV by constants; give the Keras model that it was converted from, if that is a chain of dense layers"
    );
    assert_eq!(
        refusal("two_inputs"),
        "has 2 inputs, expected one: models that branch are not read; give the Keras model that it was converted from, if that is a chain of dense layers"
    );
    assert_eq!(
        refusal("two_outputs"),
        "has 2 outputs, expected one: models that branch are not read; give the Keras model that it was converted from, if that is a chain of dense layers"
    );
    assert_eq!(
        refusal("residual"),
        "operator 2 (ADD) takes tensor 7, which the operator before it does not give: models that branch are not read; give the Keras model that it was converted from, if that is a chain of dense layers"
    );
    assert_eq!(
        refusal("softplus"),
        "operator 3 (LOG) is not of a dense chain, expected FULLY_CONNECTED, activations, RESHAPE, QUANTIZE, DEQUANTIZE, and MUL, ADD, SUB or DIV by constants; give the Keras model that it was converted from, if that is a chain of dense layers"
    );
    assert_eq!(
        refusal("sin"),
        "operator 1 (SIN) is not of a dense chain, expected FULLY_CONNECTED, activations, RESHAPE, QUANTIZE, DEQUANTIZE, and MUL, ADD, SUB or DIV by constants; give the Keras model that it was converted from, if that is a chain of dense layers"
    );
}

/// Reads each of `damaged`: `(read, refused)`; a refusal is one line that begins with the file.
fn outcomes(path: &Path, damaged: impl Iterator<Item = Vec<u8>>) -> (usize, usize) {
    let (mut good, mut refused) = (0, 0);
    for bytes in damaged {
        std::fs::write(path, bytes).unwrap();
        match import_tflite(path) {
            Ok(_) => good += 1,
            Err(error) => {
                let text = error.to_string();
                assert!(text.starts_with(&path.display().to_string()), "{text}");
                assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
                refused += 1;
            }
        }
    }
    (good, refused)
}

#[test]
fn damaged_files_never_panic() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("damaged.tflite");
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for name in ["float", "normalized_int8", "axes", "refused_conv"] {
        let bytes = std::fs::read(folder().join(format!("{name}.tflite"))).unwrap();
        let cut = (0..bytes.len()).step_by(16).map(|n| bytes[..n].to_vec());
        let (_, refused) = outcomes(&path, cut);
        assert!(refused > bytes.len() / 32, "{name}: {refused} refused");
        let flipped = (0..1500).map(|round| {
            let mut bytes = bytes.clone();
            for _ in 0..1 + round % 3 {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = match round % 4 {
                    0 => 0xFF,
                    1 => 0,
                    _ => rng.random(),
                };
            }
            bytes
        });
        let (_, refused) = outcomes(&path, flipped);
        assert!(refused > 100, "{name}: {refused} refused");
    }
}

#[test]
fn the_command_line_imports_and_the_file_is_kerass() {
    let temporary = tempfile::tempdir().unwrap();
    for output in ["m.keras", "m.h5"] {
        let file = folder().join("int8_channel.tflite");
        let arguments = ["import", file.to_str().unwrap(), "--output", output];
        assert_eq!(
            thumbnet(temporary.path(), arguments).ok(),
            format!(
                "saved {output}: 3 layers, 275 parameters\n\
                 inputs are floats: a number q of the .tflite file's inputs stands for (q - 16) * 2.3215313e-2, from -3.343005 to 2.5768998\n\
                 outputs are floats: a number q of the .tflite file's outputs stands for (q + 128) * 3.90625e-3, from 0 to 0.99609375\n\
                 for the device: thumbnet export {output} --calibrate ROWS.csv --output MODEL.tnet, with rows of floats as the model takes them: ranges come from rows, those of the .tflite file are not kept\n"
            )
        );
        let model = Sequential::load(temporary.path().join(output)).unwrap();
        let x = array("int8_channel_x.npy");
        let again = model.predict(&x).unwrap();
        assert_eq!(again, import("int8_channel").model.predict(&x).unwrap());
    }
}
