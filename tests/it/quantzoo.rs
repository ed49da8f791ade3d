//! int8 against TensorFlow Lite's, on rows that neither was calibrated with. `tests/quantzoo.py` does the same for
//! a whole folder of models.

use std::path::Path;

use ndarray::{Axis, Slice};
use thumbnet_trainer::Sequential;
use thumbnet_trainer::dataset::read_array;
use thumbnet_trainer::quantize::{QuantizeOptions, quantize};

/// Models by real Keras with what TensorFlow Lite's full-int8 conversion makes of 1,000 rows, calibrated with
/// the first 100 or 500 of 500 others.
#[test]
fn int8_is_closer_to_float_than_tflite_on_rows_not_seen() {
    for name in ["sine", "softmax_small", "regression_relu"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("golden/quantzoo")
            .join(name);
        let array = |file: &str| read_array(&folder.join(file)).expect(file);
        let model = Sequential::load(folder.join("model.h5")).expect("a Keras file");
        let (calibration, test, float) = (
            array("calibrate.npy"),
            array("test.npy"),
            array("float.npy"),
        );
        for rows in [100usize, 500] {
            let calibration = calibration.slice_axis(Axis(0), Slice::from(..rows));
            let quantized =
                quantize(&model, &calibration, &QuantizeOptions::default()).expect("a blob");
            let ours = quantized.device.predict(&test).expect("finite rows");
            let theirs = array(&format!("tflite_{rows}.npy"));
            let error = |outputs: &ndarray::ArrayD<f32>| -> f64 {
                assert_eq!(outputs.len(), float.len());
                let pairs = outputs.iter().zip(&float);
                let squares = pairs.map(|(y, f)| (f64::from(*y) - f64::from(*f)).powi(2));
                (squares.sum::<f64>() / float.len() as f64).sqrt()
            };
            let (ours, theirs) = (error(&ours), error(&theirs));
            println!("{name} {rows}: {ours:.5} {theirs:.5} {:.2}", ours / theirs);
            assert!(ours < theirs, "{name} {rows}: {ours} is not below {theirs}");
            // Few rows clip less than a tenth of those to come, and the report's estimate says so.
            let left_out = quantized.report.left_out.expect("rows enough");
            assert_eq!(left_out.comparison.rows, rows);
            assert!(left_out.clipped * 10 < rows, "{}", left_out.clipped);
        }
    }
}
