//! Quantization-aware training: `fit` with the device's rounding, and the device's own metrics
//! during any `fit`.

use ndarray::{ArrayBase, ArrayD, Axis, Data, Dimension, Slice};

use super::calibrate::{Calibration, RangeMethod};
use super::chain::Chain;
use super::data_type::DataType;
use super::fold::fold;
use super::plan::{Output, Plan, PlanOptions, Step};
use super::range::TensorQuant;
use super::{Keras, QuantizeOptions, choose, flat, scores};
use crate::callbacks::Callback;
use crate::engine::rounding::{Grid, KernelGrid, Rounding};
use crate::history::Logs;
use crate::layers::{Dense, Flatten, Input, Rescaling};
use crate::sequential::{CompileOptions, Sequential};
use crate::{Error, Number, Result};

/// Rows that ranges are taken from, anew before each epoch.
const ROWS: usize = 512;

/// At most so many, evenly, as a file may be sorted.
fn some_rows<S: Data<Elem: Number>, D: Dimension>(x: &ArrayBase<S, D>) -> ArrayD<f32> {
    let mut rows = x.view().into_dyn();
    if let Some(&count) = x.shape().first() {
        let stride = count.div_ceil(ROWS).max(1);
        rows.slice_axis_inplace(Axis(0), Slice::from(..).step_by(stride as isize));
    }
    rows.map(|value| value.to_f32())
}

/// The same network as a model that can be trained with the device's rounding: a Flatten
/// for rows of several axes, one Rescaling for the inputs, then Dense layers, everything else
/// folded into them.
///
/// # Errors
///
/// A model that is not built or does not run on the device; activations that are not Keras'.
pub fn folded(model: &Sequential) -> Result<Sequential> {
    let chain = fold(model)?;
    let rows = chain.layers.iter().find(|layer| layer.rows > 1);
    let steps = chain.float_steps().map(|step| &step.name);
    let softmax = chain.layers.iter().rev().skip(1);
    let softmax = softmax.filter(|layer| !layer.activation.is_elementwise());
    let other = rows.into_iter().chain(softmax).map(|layer| &layer.name);
    if let Some(name) = other.chain(steps).next() {
        return Err(Error::unsupported(format!(
            "quantization-aware training is for dense layers with an activation for each value, and layer \"{name}\" is none, or goes over rows of a sample; train without it, and export"
        )));
    }
    let mut folded = Sequential::new().with_name(model.name());
    let shape = model.input_shape().unwrap_or_default().to_vec();
    folded.add(Input::new(shape.clone()))?;
    if shape.len() > 1 {
        folded.add(Flatten::new())?;
    }
    let mut scaling = Rescaling::new(1.0, 0.0);
    scaling.scale = chain.input.scale.to_vec();
    scaling.offset = chain.input.offset.to_vec();
    folded.add(scaling)?;
    let mut weights: Vec<ArrayD<f32>> = Vec::new();
    for layer in &chain.layers {
        let name = layer.name.replace('+', "_");
        folded.add(
            Dense::new(layer.units())
                .with_activation(layer.activation.clone())
                .named(name),
        )?;
        // The folded weights are f32 again.
        weights.push(layer.kernel.t().mapv(|w| w as f32).into_dyn());
        weights.push(layer.bias.mapv(|b| b as f32).into_dyn());
    }
    folded.build(&shape)?;
    folded.set_weights(&weights)?;
    Ok(folded)
}

/// Trains with the device's rounding in the forward pass: a callback for `fit`.
///
/// Weights are rounded to their units' grids in every step, each layer's outputs to int8 with
/// ranges taken from training rows before each epoch; gradients pass straight through. Validation
/// sees the rounding too. At the end the weights stay on their grids, so that the saved model
/// predicts what its int8 or int4 export predicts, up to the rounding of activations.
///
/// The model must come from [`folded`]: what would be folded at export must be folded before.
pub struct QuantizeAware {
    data_type: DataType,
    rows: ArrayD<f32>,
}

impl QuantizeAware {
    /// For weights of `data_type` (int8 or int4); `x` are the training rows.
    ///
    /// # Errors
    ///
    /// Another type.
    pub fn new<S, D>(data_type: DataType, x: &ArrayBase<S, D>) -> Result<Self>
    where
        S: Data<Elem: Number>,
        D: Dimension,
    {
        if !matches!(data_type, DataType::Int8 | DataType::Int4) {
            return Err(Error::value(format!(
                "quantization-aware training is for int8 or int4, not {data_type}, whose rounding \
                 does not need it"
            )));
        }
        Ok(Self {
            data_type,
            rows: some_rows(x),
        })
    }

    fn rounding(&self, model: &Sequential) -> Result<Rounding> {
        let chain: Chain = fold(model)?;
        let leaves: Vec<usize> = dense_leaves(model);
        if leaves.len() != chain.layers.len() {
            return Err(Error::value(
                "quantization-aware training needs a folded model: a Rescaling, then Dense layers \
                 with their activations; make one with quantize::folded",
            ));
        }
        let rows = flat(&self.rows, chain.inputs())?;
        let calibration = Calibration::run(&chain, &rows.view())?;
        let options = PlanOptions {
            types: vec![self.data_type; chain.layers.len()],
            ..PlanOptions::plain(chain.layers.len())
        };
        let plan = Plan::new(&chain, &calibration, &options)?;
        let mut outputs = vec![None; model.leaves().len()];
        let mut kernels = Vec::with_capacity(leaves.len());
        let mut next = leaves.iter();
        for step in &plan.steps {
            match step {
                Step::Quantize { .. } => {
                    let (low, high) = calibration.seen_inputs.range(RangeMethod::Unseen, 127);
                    if let (Some(first), Some(before)) = (leaves.first(), 1usize.checked_sub(1))
                        && *first > before
                    {
                        outputs[*first - 1] = Some(grid(TensorQuant::covering(low, high, 127)?));
                    }
                }
                Step::Dense(layer) => {
                    let Some(&leaf) = next.next() else { continue };
                    if let Output::Clamp(tensor) | Output::Table { tensor, .. } = &layer.output {
                        outputs[leaf] = Some(grid(*tensor));
                    }
                    let leaf = &model.leaves()[leaf];
                    if let Some(kernel) = model.variables()[leaf.variables.clone()]
                        .iter()
                        .find(|variable| variable.name == "kernel")
                    {
                        kernels.push(KernelGrid {
                            range: kernel.range.clone(),
                            units: leaf.width,
                            limit: self.data_type.weight_limit(),
                        });
                    }
                }
                Step::Scale(_) | Step::Float(_) => {}
            }
        }
        Ok(Rounding::new(outputs, kernels))
    }
}

fn grid(tensor: TensorQuant) -> Grid {
    Grid {
        // Training is in f32; integers of 8 bits are exact.
        scale: tensor.scale as f32,
        zero: tensor.zero as f32,
        limit: tensor.limit as f32,
    }
}

/// Where the dense layers of a model are among its leaves.
fn dense_leaves(model: &Sequential) -> Vec<usize> {
    model
        .leaves()
        .iter()
        .enumerate()
        .filter(|(_, leaf)| matches!(leaf.layer(model.layers()), crate::layers::Layer::Dense(_)))
        .map(|(index, _)| index)
        .collect()
}

impl Callback for QuantizeAware {
    fn uses_batches(&self) -> bool {
        false
    }

    fn on_epoch_begin(&mut self, model: &mut Sequential, _epoch: usize) -> Result<()> {
        let rounding = self.rounding(model)?;
        model.set_rounding(Some(rounding));
        Ok(())
    }

    fn on_train_end(&mut self, model: &mut Sequential, _logs: &Logs) -> Result<()> {
        model.set_rounding(None);
        Ok(())
    }
}

/// Adds `val_q_loss`, `val_q_accuracy` and so on to the logs of every epoch: the loss and metrics
/// that the model is compiled with, of the device's own kernels on the validation rows. Put it
/// before callbacks that watch them.
pub struct DeviceMetrics {
    calibration: ArrayD<f32>,
    x: ArrayD<f32>,
    labels: ArrayD<f32>,
    options: QuantizeOptions,
}

impl DeviceMetrics {
    /// Calibrates on `calibration` and scores `x`, `[rows, ...]`, against `y`, a class or a value
    /// per row, or one per output.
    ///
    /// # Errors
    ///
    /// Another number of labels than rows.
    pub fn new<S, T, D, E>(
        calibration: &ArrayBase<S, D>,
        x: &ArrayBase<S, D>,
        y: &ArrayBase<T, E>,
        options: QuantizeOptions,
    ) -> Result<Self>
    where
        S: Data<Elem: Number>,
        T: Data<Elem: Number>,
        D: Dimension,
        E: Dimension,
    {
        let rows = x.shape().first().copied().unwrap_or(0);
        if y.shape().first() != Some(&rows) {
            return Err(Error::shape(format!(
                "labels have the shape {:?} for {rows} rows, expected one per row or one per output",
                y.shape()
            )));
        }
        Ok(Self {
            calibration: some_rows(calibration),
            x: x.map(|value| value.to_f32()).into_dyn(),
            labels: y.map(|value| value.to_f32()).into_dyn(),
            options,
        })
    }
}

impl Callback for DeviceMetrics {
    fn uses_batches(&self) -> bool {
        false
    }

    fn on_epoch_end(
        &mut self,
        model: &mut Sequential,
        _epoch: usize,
        logs: &mut Logs,
    ) -> Result<()> {
        let chain = fold(model)?;
        let rows = flat(&self.calibration, chain.inputs())?;
        let (_, quantized) = choose(&chain, &Keras(model), &rows.view(), &self.options)?;
        let outputs = quantized.device.predict(&self.x)?;
        let settings = model.compile_config().unwrap_or_default();
        let settings = CompileOptions::from_config(&settings)?;
        for (name, value) in scores(&outputs, &self.labels, &settings)?.iter() {
            logs.set_value(&format!("val_q_{name}"), value.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::quantize;
    use super::*;
    use crate::dataset;
    use crate::training::FitOptions;
    use ndarray::Array1;

    /// Iris, standardized by hand; every fifth row for validation.
    fn iris() -> (ArrayD<f32>, ArrayD<f32>, ArrayD<f32>, ArrayD<f32>) {
        let data = dataset::Dataset::iris();
        let y = data.y.expect("labels");
        let rows: Vec<usize> = (0..150).collect();
        let (held, used): (Vec<usize>, Vec<usize>) = rows.iter().partition(|row| *row % 5 == 0);
        (
            data.x.select(Axis(0), &used),
            y.select(Axis(0), &used),
            data.x.select(Axis(0), &held),
            y.select(Axis(0), &held),
        )
    }

    #[test]
    fn training_with_int4_in_mind_beats_int4_as_an_afterthought() {
        let (x, y, x_val, y_val) = iris();
        let mut model = Sequential::new().with_seed(4);
        let mut normalization = crate::layers::Normalization::new();
        normalization.adapt(&x).expect("finite rows");
        model.add(normalization).expect("a layer");
        let relu = "relu";
        model
            .add(Dense::new(8).with_activation(relu))
            .expect("a layer");
        let softmax = "softmax";
        model
            .add(Dense::new(3).with_activation(softmax))
            .expect("a layer");
        let compile = || {
            CompileOptions::named("adam", "sparse_categorical_crossentropy", &["accuracy"])
                .expect("Keras names")
        };
        model.compile_with(compile()).expect("settings");
        let quiet = || FitOptions {
            verbose: 0,
            epochs: 40,
            batch_size: Some(8),
            ..FitOptions::default()
        };
        model.fit(&x, &y, quiet()).expect("a training");

        let int4 = QuantizeOptions {
            types: super::super::LayerTypes::All(DataType::Int4),
            ..QuantizeOptions::default()
        };
        let loss = |model: &Sequential| {
            let device = quantize(model, &x, &int4).expect("a blob").device;
            let p = device.predict(&x).expect("finite rows");
            let p = p.into_dimensionality::<ndarray::Ix2>().expect("rows");
            let y: Array1<f32> = y.iter().copied().collect();
            -p.outer_iter()
                .zip(&y)
                .map(|(p, &y)| f64::from(p[y as usize].max(1e-7)).ln())
                .sum::<f64>()
                / p.nrows() as f64
        };
        let before = loss(&model);
        let mut aware = folded(&model).expect("a folded model");
        aware.compile_with(compile()).expect("settings");
        let mut options = quiet();
        options.callbacks = vec![
            QuantizeAware::new(DataType::Int4, &x).expect("int4").into(),
            DeviceMetrics::new(&x, &x_val, &y_val, int4.clone())
                .expect("labels")
                .into(),
        ];
        let history = aware.fit(&x, &y, options).expect("a training");
        let after = loss(&aware);
        assert!(after < before, "{after} is not less than {before}");
        let losses = history.get("val_q_loss").expect("reported");
        assert!(losses[39] < losses[0], "{losses:?}");
        let scores = history.get("val_q_accuracy").expect("reported");
        assert_eq!(scores.len(), 40);
        // Of three classes a third would be chance.
        assert!(scores[39] > 0.8, "{scores:?}");
        // The weights are on the grid: int4 changes nothing but the activations.
        let kernel = aware.get_weights()[0].clone();
        for unit in kernel.axis_iter(Axis(1)) {
            let step = unit.iter().fold(0.0f32, |m, w| m.max(w.abs())) / 7.0;
            assert!(
                unit.iter()
                    .all(|w| (w / step - (w / step).round()).abs() < 1e-3)
            );
        }
    }
}
