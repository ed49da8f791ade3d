//! The float network as the device sees it: an affine map of the inputs, then dense layers with
//! an activation each, in f64. Everything else of the model is folded into these.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::activations::Activation;
use crate::layers::Windows;
use crate::{Error, Result};

/// `y = scale * x + offset`, elementwise over features.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// `[features]`
    pub scale: Array1<f64>,
    /// `[features]`
    pub offset: Array1<f64>,
}

impl Affine {
    /// The map that changes nothing.
    pub fn identity(features: usize) -> Self {
        Self {
            scale: Array1::ones(features),
            offset: Array1::zeros(features),
        }
    }

    /// This map followed by `next`.
    fn then(&mut self, next: &Affine) {
        self.scale *= &next.scale;
        self.offset = &self.offset * &next.scale + &next.offset;
    }
}

/// One dense layer after folding: `activation(kernel · x + bias)`.
#[derive(Clone, Debug)]
pub struct FoldedDense {
    /// Name of the Keras layer that the kernel came from.
    pub name: String,
    /// `[units, inputs]`: transposed against Keras, one row per unit.
    pub kernel: Array2<f64>,
    /// `[units]`
    pub bias: Array1<f64>,
    /// Applied to the sum.
    pub activation: Activation,
}

impl FoldedDense {
    /// Number of units.
    pub fn units(&self) -> usize {
        self.kernel.nrows()
    }

    /// Number of inputs of each unit.
    pub fn inputs(&self) -> usize {
        self.kernel.ncols()
    }

    /// `[rows, inputs]` to the pre-activations `[rows, units]`.
    pub fn sums(&self, x: &ArrayView2<f64>) -> Array2<f64> {
        x.dot(&self.kernel.t()) + &self.bias
    }

    /// Applies the activation in place, `[rows, units]`.
    pub fn activate(&self, sums: &mut Array2<f64>) {
        activate(&self.activation, sums);
    }
}

/// Applies an activation in place, `[rows, units]`.
pub fn activate(activation: &Activation, sums: &mut Array2<f64>) {
    let is_log = match activation {
        Activation::Softmax => false,
        Activation::LogSoftmax => true,
        activation => return sums.mapv_inplace(|v| activation.eval(v)),
    };
    for mut row in sums.axis_iter_mut(Axis(0)) {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row -= largest;
        let sum = row.mapv(f64::exp).sum();
        if is_log {
            row -= sum.ln();
        } else {
            row.mapv_inplace(|v| v.exp() / sum);
        }
    }
}

/// A whole network in this form.
#[derive(Clone, Debug)]
pub struct Chain {
    /// From raw inputs to what the first dense layer sees.
    pub input: Affine,
    /// At least one.
    pub layers: Vec<FoldedDense>,
}

impl Chain {
    /// Number of raw inputs.
    pub fn inputs(&self) -> usize {
        self.input.scale.len()
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, FoldedDense::units)
    }

    /// The last one.
    pub fn activation(&self) -> &Activation {
        let last = self.layers.last();
        last.map_or(&Activation::Linear, |layer| &layer.activation)
    }

    /// `[rows, inputs]` to `[rows, inputs]`: what the first dense layer sees.
    pub fn scaled_inputs(&self, x: &ArrayView2<f64>) -> Array2<f64> {
        x * &self.input.scale + &self.input.offset
    }

    /// The float prediction in f64, `[rows, inputs]` to `[rows, outputs]`. The model's own is what comparisons
    /// take.
    #[cfg(test)]
    pub fn predict(&self, x: &ArrayView2<f64>) -> Array2<f64> {
        self.layers.iter().fold(self.scaled_inputs(x), |x, layer| {
            let mut y = layer.sums(&x.view());
            layer.activate(&mut y);
            y
        })
    }
}

/// What comes after an activation, or after the inputs, and goes into the next kernel: sums of values, then
/// an offset.
#[derive(Clone, Debug)]
struct Pending {
    /// Of each value: what is summed up, `(place, weight)`.
    sums: Vec<Vec<(usize, f64)>>,
    offset: Array1<f64>,
}

impl Pending {
    fn nothing(width: usize) -> Self {
        Self {
            sums: (0..width).map(|place| vec![(place, 1.0)]).collect(),
            offset: Array1::zeros(width),
        }
    }

    fn scaled(&mut self, map: &Affine) {
        for (sum, &scale) in self.sums.iter_mut().zip(&map.scale) {
            sum.iter_mut().for_each(|(_, weight)| *weight *= scale);
        }
        self.offset = &self.offset * &map.scale + &map.offset;
    }

    fn summed(&self, windows: &Windows) -> Self {
        let mut next = Self {
            sums: Vec::new(),
            offset: Array1::zeros(windows.rows().len()),
        };
        for (terms, offset) in windows.rows().zip(&mut next.offset) {
            let mut sum: Vec<(usize, f64)> = Vec::new();
            for term in terms {
                let weight = f64::from(term.weight);
                let own = &self.sums[term.input];
                sum.extend(own.iter().map(|&(place, w)| (place, w * weight)));
                *offset += self.offset[term.input] * weight;
            }
            next.sums.push(sum);
        }
        next
    }

    /// Into a kernel that reads it, `[units, values]`, and its bias: then it reads `width` values before.
    fn into_kernel(
        self,
        kernel: &Array2<f64>,
        bias: &mut Array1<f64>,
        width: usize,
    ) -> Array2<f64> {
        *bias += &kernel.dot(&self.offset);
        let mut before = Array2::zeros((kernel.nrows(), width));
        for (column, sum) in kernel.columns().into_iter().zip(&self.sums) {
            for &(place, weight) in sum {
                before.column_mut(place).scaled_add(weight, &column);
            }
        }
        before
    }
}

/// Folds layers, one after the other, into a [`Chain`].
pub struct ChainBuilder {
    input: Affine,
    layers: Vec<FoldedDense>,
    pending: Option<Pending>,
}

impl ChainBuilder {
    /// Starts with `features` raw inputs.
    pub fn new(features: usize) -> Self {
        Self {
            input: Affine::identity(features),
            layers: Vec::new(),
            pending: None,
        }
    }

    /// Values before what is pending.
    fn width(&self) -> usize {
        self.layers
            .last()
            .map_or(self.input.scale.len(), FoldedDense::units)
    }

    /// Sums of values: a pooling by the mean, or values in another order. They go into the next kernel.
    pub fn sums(&mut self, windows: &Windows) {
        let width = self.width();
        let pending = self.pending.take();
        let pending = pending.unwrap_or_else(|| Pending::nothing(width));
        self.pending = Some(pending.summed(windows));
    }

    /// An affine map: a BatchNormalization in inference, a Normalization or a Rescaling.
    ///
    /// It goes into the kernel before it when only a sum stands there, into the inputs when
    /// nothing stands there, else into the next kernel.
    pub fn affine(&mut self, map: &Affine) {
        match (self.layers.last_mut(), &mut self.pending) {
            (_, Some(pending)) => pending.scaled(map),
            (None, None) => self.input.then(map),
            (Some(layer), None) if layer.activation == Activation::Linear => {
                layer.kernel *= &map.scale.view().insert_axis(Axis(1));
                layer.bias = &layer.bias * &map.scale + &map.offset;
            }
            (Some(layer), pending @ None) => {
                let mut nothing = Pending::nothing(layer.units());
                nothing.scaled(map);
                *pending = Some(nothing);
            }
        }
    }

    /// A dense layer without its activation; `kernel` is `[units, inputs]`.
    pub fn dense(&mut self, name: &str, mut kernel: Array2<f64>, mut bias: Array1<f64>) {
        if let Some(pending) = self.pending.take() {
            kernel = pending.into_kernel(&kernel, &mut bias, self.width());
        }
        match self.layers.last_mut() {
            // Two sums in a row are one, when that does not cost more multiply-accumulates.
            Some(last)
                if last.activation == Activation::Linear
                    && kernel.nrows() * last.inputs() <= kernel.len() + last.kernel.len() =>
            {
                bias += &kernel.dot(&last.bias);
                last.kernel = kernel.dot(&last.kernel);
                last.bias = bias;
                last.name = format!("{}+{name}", last.name);
            }
            _ => self.layers.push(FoldedDense {
                name: name.to_owned(),
                kernel,
                bias,
                activation: Activation::Linear,
            }),
        }
    }

    /// An activation after whatever came before.
    pub fn activation(&mut self, name: &str, activation: &Activation) {
        if *activation == Activation::Linear {
            return;
        }
        let follows_sum = self.pending.is_none()
            && self
                .layers
                .last()
                .is_some_and(|layer| layer.activation == Activation::Linear);
        if !follows_sum {
            self.identity(name);
        }
        if let Some(layer) = self.layers.last_mut() {
            layer.activation = activation.clone();
        }
    }

    /// A dense layer that passes its inputs on: a place for a map or activation without one.
    fn identity(&mut self, name: &str) {
        let pending = self.pending.as_ref();
        let width = pending.map_or(self.width(), |pending| pending.sums.len());
        self.dense(name, Array2::eye(width), Array1::zeros(width));
    }

    /// The folded network.
    ///
    /// # Errors
    ///
    /// A model without a dense layer, a softmax before the end, an activation that the device does not
    /// have, weights that are not finite.
    pub fn finish(mut self) -> Result<Chain> {
        if self.pending.is_some() {
            self.identity("output");
        }
        if self.layers.is_empty() {
            return Err(Error::value(
                "the model has no Dense layer; a device model needs at least one",
            ));
        }
        let hidden = self.layers.len() - 1;
        for layer in self.layers.iter().take(hidden) {
            if !layer.activation.is_elementwise() {
                return Err(Error::unsupported(format!(
                    "layer \"{}\": {} before the last layer cannot run on the device; use an \
                     elementwise activation there",
                    layer.name,
                    layer.activation.name()
                )));
            }
        }
        for layer in &self.layers {
            if let Some(instead) = refused(&layer.activation) {
                return Err(Error::unsupported(format!(
                    "layer \"{}\": {} cannot run on the device; {instead}",
                    layer.name,
                    layer.activation.name()
                )));
            }
            if !layer
                .kernel
                .iter()
                .chain(&layer.bias)
                .all(|w| w.is_finite())
            {
                return Err(Error::value(format!(
                    "layer \"{}\" has weights that are not finite; train it again with a lower \
                     learning rate",
                    layer.name
                )));
            }
        }
        if !self
            .input
            .scale
            .iter()
            .chain(&self.input.offset)
            .all(|v| v.is_finite())
        {
            return Err(Error::value(
                "the input normalization is not finite; adapt it on finite rows",
            ));
        }
        Ok(Chain {
            input: self.input,
            layers: self.layers,
        })
    }
}

/// What to do in place of an activation that the device does not have.
fn refused(activation: &Activation) -> Option<String> {
    match *activation {
        Activation::Sparsemax => Some("use softmax".to_owned()),
        Activation::Custom(_) => Some("use one of Keras' own".to_owned()),
        Activation::Celu { alpha } if !(alpha > 0.0 && alpha.is_finite()) => {
            Some(format!("give it an alpha above 0, not {alpha}"))
        }
        Activation::Squareplus { b } if !(b >= 0.0 && b.is_finite()) => {
            Some(format!("give it a b of at least 0, not {b}"))
        }
        Activation::Relu {
            max_value: Some(max),
            ..
        } if max < 0.0 => Some(format!("give it a max_value of at least 0, not {max}")),
        Activation::SoftShrink { threshold } | Activation::HardShrink { threshold }
            if threshold < 0.0 =>
        {
            Some(format!(
                "give it a threshold of at least 0, not {threshold}"
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, arr2};

    fn predict(builder: ChainBuilder, x: &[f64]) -> Vec<f64> {
        let x = Array2::from_shape_vec((1, x.len()), x.to_vec()).expect("one row");
        let chain = builder.finish().expect("a chain");
        chain.predict(&x.view()).into_raw_vec_and_offset().0
    }

    #[test]
    fn normalization_goes_into_the_inputs_and_batch_normalization_into_the_kernel() {
        let mut builder = ChainBuilder::new(2);
        // (x - 1) / 2
        builder.affine(&Affine {
            scale: arr1(&[0.5, 0.5]),
            offset: arr1(&[-0.5, -0.5]),
        });
        builder.dense("dense", arr2(&[[1.0, 2.0]]), arr1(&[3.0]));
        builder.affine(&Affine {
            scale: arr1(&[10.0]),
            offset: arr1(&[-1.0]),
        });
        // x = [3, 5] -> [1, 2] -> 1*1 + 2*2 + 3 = 8 -> 79
        assert_eq!(predict(builder, &[3.0, 5.0]), [79.0]);
    }

    #[test]
    fn a_map_after_an_activation_goes_into_the_next_kernel() {
        let mut builder = ChainBuilder::new(1);
        builder.dense("a", arr2(&[[1.0], [-1.0]]), arr1(&[0.0, 0.0]));
        let relu: Activation = "relu".parse().expect("relu");
        builder.activation("a", &relu);
        builder.affine(&Affine {
            scale: arr1(&[2.0, 3.0]),
            offset: arr1(&[1.0, -1.0]),
        });
        builder.dense("b", arr2(&[[1.0, 1.0]]), arr1(&[0.5]));
        // x = 2 -> [2, 0] -> [5, -1] -> 4.5
        assert_eq!(predict(builder, &[2.0]), [4.5]);
    }

    #[test]
    fn two_sums_in_a_row_become_one_when_that_is_no_dearer() {
        let mut builder = ChainBuilder::new(1);
        builder.dense("a", arr2(&[[2.0], [1.0]]), arr1(&[1.0, 0.0]));
        builder.dense("b", arr2(&[[3.0, 1.0]]), arr1(&[0.5]));
        let chain = builder.finish().expect("a chain");
        assert_eq!(chain.layers.len(), 1);
        assert_eq!(chain.layers[0].kernel, arr2(&[[7.0]]));
        assert_eq!(chain.layers[0].bias, arr1(&[3.5]));
    }
}
