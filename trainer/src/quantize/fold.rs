//! From a model's layers to a [`Chain`]: what each layer is on the device.

use ndarray::{Array1, Array2, ArrayView2};

use super::chain::{Affine, Chain, FloatKind};
use super::chain_builder::ChainBuilder;
use crate::engine::Leaf;
use crate::layers::{Built, Layer, OnDevice};
use crate::sequential::Sequential;
use crate::{Error, Result};

/// Folds a built model: dense layers and their activations stay, affine layers go into the
/// kernels beside them, what only acts in training or only changes the shape disappears.
///
/// # Errors
///
/// A model that is not built, or a layer without a form on the device, named with what to do.
pub fn fold(model: &Sequential) -> Result<Chain> {
    let leaves = model.leaves();
    let Some(first) = leaves.first() else {
        return Err(Error::value(
            "the model is not built, expected weights; train it or load them first",
        ));
    };
    let mut builder = ChainBuilder::new(first.inputs);
    for leaf in leaves {
        let layer = leaf.layer(model.layers());
        let weights = Weights { model, leaf, layer };
        place(
            &mut builder,
            &weights,
            layer.op().on_device(&weights.built()),
        )?;
        if let Some(activation) = layer.op().activation() {
            let of_all = activation.is_elementwise() || leaf.outputs == leaf.width;
            if !of_all && !builder.ends_with_rows(leaf.width) {
                return Err(weights.unsupported("flatten before the softmax"));
            }
            builder.activation(layer.name(), &activation)?;
        }
    }
    builder.finish()
}

/// Adds what a layer is on the device, but for its activation.
fn place(builder: &mut ChainBuilder, weights: &Weights, form: OnDevice) -> Result<()> {
    match form {
        OnDevice::Nothing => {}
        OnDevice::Dense => {
            let (rows, kernel, bias) = weights.dense()?;
            builder.dense(weights.layer.name(), rows, kernel, bias)?;
        }
        OnDevice::Scale(map) => builder.affine(&Affine {
            scale: weights.repeat(&map.scale)?,
            offset: weights.repeat(&map.offset)?,
        }),
        OnDevice::Sums(windows) => builder.sums(&windows),
        OnDevice::Normalize(normalized) => {
            builder.float(weights.layer.name(), FloatKind::Normalize(normalized.step))?;
            let map = Affine {
                scale: normalized.scale.into(),
                offset: normalized.offset.into(),
            };
            if map != Affine::identity(weights.leaf.outputs) {
                builder.affine(&map);
            }
        }
        OnDevice::Prelu(slopes) => {
            builder.float(weights.layer.name(), FloatKind::Prelu(slopes.into()))?;
        }
        OnDevice::MaxPool(axes) => {
            for axis in axes.into_iter().filter(|axis| axis.steps > 1) {
                builder.float(weights.layer.name(), FloatKind::MaxPool(axis))?;
            }
        }
        OnDevice::Lookup(step) => builder.float(weights.layer.name(), FloatKind::Lookup(step))?,
        OnDevice::Steps(steps) => {
            for step in steps {
                place(builder, weights, step)?;
            }
        }
        OnDevice::Refused(instead) => return Err(weights.unsupported(instead)),
    }
    Ok(())
}

/// One layer's weights, by name.
struct Weights<'a> {
    model: &'a Sequential,
    leaf: &'a Leaf,
    layer: &'a Layer,
}

impl Weights<'_> {
    fn unsupported(&self, instead: &str) -> Error {
        Error::unsupported(format!(
            "layer \"{}\" is a {}, which does not run on the device; {instead}",
            self.layer.name(),
            self.layer.class_name()
        ))
    }

    fn built(&self) -> Built<'_> {
        Built {
            variables: &self.model.variables()[self.leaf.variables.clone()],
            values: self.model.values(),
        }
    }

    /// How many rows of a sample it goes over, `[units, inputs]` and `[units]`.
    fn dense(&self) -> Result<(usize, Array2<f64>, Array1<f64>)> {
        let kernel = self.built().find("kernel").unwrap_or_default();
        let units = self.leaf.width;
        let inputs = kernel.len().checked_div(units).unwrap_or(0);
        let rows = self.leaf.inputs.checked_div(inputs).unwrap_or(1);
        let kernel = ArrayView2::from_shape((inputs, units), &kernel)
            .map_err(|error| Error::shape(format!("layer \"{}\": {error}", self.layer.name())))?;
        let bias = self.built().find("bias");
        let bias = bias.map_or_else(|| Array1::zeros(units), Array1::from);
        Ok((rows, kernel.t().as_standard_layout().into_owned(), bias))
    }

    /// One value for each value of a sample, from one for all or one per element of the last
    /// axis.
    fn repeat(&self, values: &[f64]) -> Result<Array1<f64>> {
        let (sample, width) = (self.leaf.outputs, self.leaf.width);
        let found = values.len();
        if found == 1 || found == width || found == sample {
            return Ok(values.iter().copied().cycle().take(sample).collect());
        }
        Err(self.unsupported("give it one value for all or one per element of the last axis"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{
        BatchNormalization, Dense, Dropout, Flatten, Input, Normalization, Softmax,
    };
    use ndarray::{Array2, Array3};

    #[test]
    fn the_folded_network_predicts_what_the_model_predicts() {
        let mut model = Sequential::new().with_seed(3);
        let mut normalization = Normalization::new();
        let x = Array3::from_shape_fn((50, 2, 3), |(r, i, j)| (r * 7 + i * 3 + j) as f32 % 11.0);
        normalization.adapt(&x).expect("finite rows");
        model.add(Input::new([2, 3])).expect("an input");
        model.add(normalization).expect("a layer");
        model.add(Flatten::new()).expect("a layer");
        let relu = "relu";
        model
            .add(Dense::new(5).with_activation(relu))
            .expect("a layer");
        model.add(BatchNormalization::new()).expect("a layer");
        model.add(Dropout::new(0.5)).expect("a layer");
        model.add(Dense::new(4)).expect("a layer");
        let softmax = "softmax";
        model
            .add(Dense::new(3).with_activation(softmax))
            .expect("a layer");
        let expected = model.predict(&x).expect("a prediction");
        let chain = fold(&model).expect("a chain");
        let rows: Array2<f64> = x.to_shape((50, 6)).expect("contiguous").mapv(f64::from);
        let found = chain.predict(&rows.view());
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - f64::from(*expected)).abs() < 1e-6);
        }
    }

    #[test]
    fn a_layer_without_a_form_on_the_device_is_refused_by_name() {
        let mut model = Sequential::new();
        model.add(Input::new([3, 2])).expect("an input");
        let softmax = Softmax {
            axis: vec![1],
            ..Softmax::new()
        };
        model.add(softmax).expect("a layer");
        model.add(Dense::new(2)).expect("a layer");
        assert_eq!(
            fold(&model).expect_err("a Softmax over rows").to_string(),
            "layer \"softmax\" is a Softmax, which does not run on the \
             device; take the softmax over the last axis"
        );
    }
}
