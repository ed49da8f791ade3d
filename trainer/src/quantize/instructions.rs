//! About how many instructions a prediction takes on a core, from counts in the emulator.
//!
//! `tests/bench --estimate` measures layers of many shapes in QEMU, fits what follows to them and
//! writes `data/instructions.json`; a test compares the estimates with fresh counts. These are
//! instructions, not cycles: what a board takes depends on its pipeline and its flash.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use thumbnet_runtime::cores::CORES;
use thumbnet_runtime::{Activation, Element, LayerInfo, Operation};

use super::DeviceModel;

/// What a prediction takes on one core.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Instructions {
    /// Such as `Cortex-M4F`.
    pub core: String,
    /// An estimate, rounded to whole instructions.
    pub instructions: u64,
}

/// What layers cost on one core: sums of fitted terms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CoreCost {
    /// The input's quantization by what it writes, such as `int8`: for the layer, for each input.
    pub quantize: BTreeMap<String, [f64; 2]>,
    /// Dense layers by the type of their weights and inputs, such as `int8`.
    pub dense: BTreeMap<String, DenseCost>,
    /// Layers without weights between floats, such as `normalize`: for the layer, for each group of a
    /// normalization or output of a pooling, for each input.
    pub between: BTreeMap<String, [f64; 3]>,
}

/// What dense layers of one type cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DenseCost {
    /// A layer with relu: for the layer, for each unit, for each input, for each
    /// multiply-accumulate.
    pub relu: [f64; 4],
    /// What float outputs cost more than a relu to integers (a table costs about as much as that),
    /// by activation: for the layer, for each unit.
    pub last: BTreeMap<String, [f64; 2]>,
}

impl CoreCost {
    /// The estimate for one layer.
    pub fn layer(&self, layer: &LayerInfo) -> f64 {
        if let Some(name) = between(layer.operation) {
            let [each, part, input] = self.between.get(name).copied().unwrap_or_default();
            let parts = match layer.operation {
                Operation::MaxPool | Operation::Lookup => layer.units,
                _ => layer.rows,
            };
            let own = each + part * parts as f64 + input * layer.inputs as f64;
            return own + self.activation(layer);
        }
        let dense = match data_type(layer.operation) {
            None => {
                let written = match layer.output {
                    Element::Int16 => "int16",
                    Element::Float => "float32",
                    Element::Int8 | Element::Int8Wide => "int8",
                };
                let [each, input] = self.quantize.get(written).copied().unwrap_or_default();
                return each + input * layer.inputs as f64 + self.activation(layer);
            }
            Some(name) => self.dense.get(name),
        };
        let Some(dense) = dense else { return 0.0 };
        let [each, unit, input, mac] = dense.relu;
        let [more, more_unit] = match layer.output {
            Element::Float => dense.last.get(activation(layer.activation)),
            Element::Int8 | Element::Int8Wide | Element::Int16 => None,
        }
        .copied()
        .unwrap_or_default();
        (each + more) * layer.rows as f64
            + (unit + more_unit) * layer.units as f64
            + input * layer.inputs as f64
            + mac * layer.macs as f64
    }
}

impl CoreCost {
    /// What the activation of a layer without weights takes: that of a float layer, beyond linear's.
    fn activation(&self, layer: &LayerInfo) -> f64 {
        let last = self.dense.get("float32").map(|dense| &dense.last);
        let cost = |activation| {
            let [each, unit] = last?.get(activation)?;
            Some(each + unit * layer.units as f64)
        };
        match activation(layer.activation) {
            "linear" => 0.0,
            activation => cost(activation).unwrap_or(0.0) - cost("linear").unwrap_or(0.0),
        }
    }
}

/// The key in [`CoreCost::dense`]; none for the input's quantization.
pub fn data_type(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::DenseInt8 | Operation::RowsInt8 => Some("int8"),
        Operation::DenseInt4 | Operation::RowsInt4 => Some("int4"),
        Operation::DenseInt16 | Operation::RowsInt16 => Some("int16"),
        Operation::DenseFloat | Operation::RowsFloat => Some("float32"),
        Operation::QuantizeTensor
        | Operation::QuantizeFeatures
        | Operation::Normalize
        | Operation::Prelu
        | Operation::MaxPool
        | Operation::Lookup => None,
    }
}

/// The key in [`CoreCost::between`]; none for other layers.
fn between(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Normalize => Some("normalize"),
        Operation::Prelu => Some("prelu"),
        Operation::MaxPool => Some("max_pool"),
        Operation::Lookup => Some("lookup"),
        _ => None,
    }
}

/// The key in [`DenseCost::last`].
fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::Sigmoid => "sigmoid",
        // Polynomials and the exponential alone take about as much.
        Activation::Tanh | Activation::Exponential | Activation::Curve => "tanh",
        Activation::Softmax | Activation::LogSoftmax => "softmax",
        // Two comparisons and two operations more.
        Activation::Linear | Activation::Relu | Activation::Table | Activation::Lines => "linear",
    }
}

/// Every core's costs, by name.
pub fn costs() -> &'static BTreeMap<String, CoreCost> {
    static COSTS: LazyLock<BTreeMap<String, CoreCost>> = LazyLock::new(|| {
        serde_json::from_str(include_str!("../../data/instructions.json"))
            .expect("the file is read by the tests")
    });
    &COSTS
}

/// Estimates for the cores that the model's weights are arranged for.
pub fn estimate(device: &DeviceModel) -> Vec<Instructions> {
    let model = device.model();
    // f32 weights have one arrangement for all cores.
    let packed = model
        .layers()
        .find(|layer| layer.macs > 0 && layer.operation != Operation::DenseFloat);
    CORES
        .iter()
        .filter(|core| packed.is_none_or(|layer| layer.packing == core.packing))
        .filter_map(|core| Some((core.name, costs().get(core.name)?)))
        .map(|(core, cost)| Instructions {
            core: core.to_string(),
            // Far below 2^53, and not negative for sound fits.
            instructions: model.layers().map(|layer| cost.layer(&layer)).sum::<f64>() as u64,
        })
        .collect()
}
