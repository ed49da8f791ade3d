//! How far a device model can be from float32, proven within a few seconds.

use std::time::Duration;

use ndarray::ArrayD;
use thumbnet_prove::{Network, Options, Other, largest_difference};
use thumbnet_trainer::{
    Sequential,
    quantize::{
        DataType, DeviceModel, LargestDifference, LayerTypes, QuantizeOptions, Report, quantize,
    },
};

/// After which the bound is what it is by then.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Of any input within the ranges of the report. None for models that nothing is proven of: with layers of floats
/// before their outputs.
///
/// * `x` - calibration rows
pub fn of(
    model: &Sequential,
    x: &ArrayD<f32>,
    device: &DeviceModel,
    report: &Report,
) -> Option<LargestDifference> {
    let network = Network::new(device.bytes()).ok()?;
    let options = QuantizeOptions {
        types: LayerTypes::All(DataType::Float32),
        self_tests: Some(0),
        ..QuantizeOptions::default()
    };
    let float = quantize(model, x, &options).ok()?.device;
    let other = Other::new(float.bytes()).ok()?;
    let ends = report.input_low.iter().zip(&report.input_high);
    let ranges = ends.map(|(&low, &high)| Some([low, high])).collect();
    let search = Options {
        timeout: TIMEOUT,
        ..Options::default()
    };
    let found = largest_difference(&network, &other, &[ranges], &search).ok()?;
    found.bound.is_finite().then_some(LargestDifference {
        reached: found.reached,
        bound: found.bound,
    })
}
