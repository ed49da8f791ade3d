//! The float network as the device sees it: an affine map of the inputs, then dense layers with
//! an activation each, in f64. Everything else of the model is folded into these, but for steps in floats
//! between them.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use crate::activations::Activation;
use crate::layers::{LookupStep, MaxPoolStep, NormalizeStep};

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

    /// Whether it is the same for each of so many rows.
    pub fn repeats(&self, rows: usize) -> bool {
        repeats(&self.scale, rows) && repeats(&self.offset, rows)
    }

    /// This map followed by `next`.
    pub(super) fn then(&mut self, next: &Affine) {
        self.scale *= &next.scale;
        self.offset = &self.offset * &next.scale + &next.offset;
    }
}

/// Whether so many parts of equal length are the same.
pub(super) fn repeats(values: &Array1<f64>, rows: usize) -> bool {
    let len = values.len() / rows;
    values.iter().skip(len).zip(values).all(|(a, b)| a == b)
}

/// A step in floats behind a dense layer, or behind the inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatStep {
    /// Name of the Keras layer.
    pub name: String,
    pub kind: FloatKind,
    /// Applied then.
    pub activation: Activation,
}

/// What a [`FloatStep`] does.
#[derive(Clone, Debug, PartialEq)]
pub enum FloatKind {
    Scale(Affine),
    Normalize(NormalizeStep),
    /// `x`, or where it is below zero `x` times the slope.
    Prelu(Array1<f64>),
    MaxPool(MaxPoolStep),
    Lookup(LookupStep),
}

impl FloatStep {
    /// Values that it writes, where they are not as many as it reads.
    fn outputs(&self) -> Option<usize> {
        match &self.kind {
            FloatKind::MaxPool(step) => Some(step.blocks * step.windows * step.channels),
            FloatKind::Lookup(step) => Some(step.outputs()),
            FloatKind::Scale(_) | FloatKind::Normalize(_) | FloatKind::Prelu(_) => None,
        }
    }

    /// On samples, `[samples, values]`.
    pub fn apply(&self, x: &mut Array2<f64>) {
        match &self.kind {
            FloatKind::Scale(map) => {
                *x *= &map.scale;
                *x += &map.offset;
            }
            FloatKind::Normalize(step) => {
                for mut row in x.rows_mut() {
                    let mut sample = row.to_vec();
                    step.apply(&mut sample);
                    row.assign(&Array1::from(sample));
                }
            }
            FloatKind::Prelu(slopes) => {
                for mut row in x.rows_mut() {
                    for (x, slope) in row.iter_mut().zip(slopes) {
                        *x *= if *x < 0.0 { *slope } else { 1.0 };
                    }
                }
            }
            FloatKind::MaxPool(step) => {
                let outputs = step.blocks * step.windows * step.channels;
                let mut y = Array2::zeros((x.nrows(), outputs));
                for (x, mut y) in x.rows().into_iter().zip(y.rows_mut()) {
                    for (y, terms) in y.iter_mut().zip(step.terms()) {
                        *y = terms.map(|i| x[i]).fold(f64::NEG_INFINITY, f64::max);
                    }
                }
                *x = y;
            }
            FloatKind::Lookup(step) => {
                let mut y = Array2::zeros((x.nrows(), step.outputs()));
                for (x, mut y) in x.rows().into_iter().zip(y.rows_mut()) {
                    y.assign(&Array1::from(step.apply(x.iter().copied())));
                }
                *x = y;
            }
        }
        activate(&self.activation, x);
    }

    /// As the device has it: the tables of integer models in int8.
    pub fn on_device(mut self, integers: bool) -> Self {
        if let FloatKind::Lookup(step) = &mut self.kind
            && integers
        {
            step.round();
        }
        self
    }
}

/// Values behind steps, of so many before them.
pub(super) fn width_behind(steps: &[FloatStep], width: usize) -> usize {
    let outputs = steps.iter().rev().find_map(FloatStep::outputs);
    outputs.unwrap_or(width)
}

/// One dense layer after folding: `activation(kernel · x + bias)`.
#[derive(Clone, Debug)]
pub struct FoldedDense {
    /// Name of the Keras layer that the kernel came from.
    pub name: String,
    /// Rows of a sample that the kernel is applied to, each by itself; 1 for most.
    pub rows: usize,
    /// `[units, inputs]`: transposed against Keras, one row per unit.
    pub kernel: Array2<f64>,
    /// `[units]`
    pub bias: Array1<f64>,
    /// Applied to the sum.
    pub activation: Activation,
    /// Steps in floats behind it.
    pub then: Vec<FloatStep>,
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

    /// Its sums: the units of all rows.
    pub fn outputs(&self) -> usize {
        self.rows * self.units()
    }

    /// Values behind it and its steps.
    pub(super) fn width_behind(&self) -> usize {
        width_behind(&self.then, self.outputs())
    }

    /// `[samples, inputs]` to the pre-activations `[samples, outputs]`.
    pub fn sums(&self, x: &ArrayView2<f64>) -> Array2<f64> {
        by_rows(self.rows, x, |x| x.dot(&self.kernel.t()) + &self.bias)
    }

    /// Applies the activation in place, `[samples, outputs]`.
    pub fn activate(&self, sums: &mut Array2<f64>) {
        activate_rows(&self.activation, self.rows, sums);
    }

    /// Everything, `[samples, inputs]` to `[samples, outputs]`.
    #[cfg(test)]
    fn predict(&self, x: &ArrayView2<f64>) -> Array2<f64> {
        let mut y = self.sums(x);
        self.activate(&mut y);
        self.then.iter().for_each(|step| step.apply(&mut y));
        y
    }
}

/// What `of` makes of each of so many rows of the samples, `[samples, values]`.
pub fn by_rows(
    rows: usize,
    samples: &ArrayView2<f64>,
    of: impl FnOnce(&ArrayView2<f64>) -> Array2<f64>,
) -> Array2<f64> {
    if rows == 1 {
        return of(samples);
    }
    let found = of(&split(samples, rows).view());
    let outputs = found.ncols() * rows;
    let found = found.into_shape_with_order((samples.nrows(), outputs));
    found.expect("as many values")
}

/// `[samples, rows * values]` as `[samples * rows, values]`.
pub fn split(samples: &ArrayView2<f64>, rows: usize) -> Array2<f64> {
    let (count, width) = samples.dim();
    let values = samples.iter().copied().collect();
    Array2::from_shape_vec((count * rows, width / rows), values).expect("as many values")
}

/// Applies an activation in place to each row of samples, `[samples, rows * units]`.
pub fn activate_rows(activation: &Activation, rows: usize, sums: &mut Array2<f64>) {
    if rows == 1 || activation.is_elementwise() {
        return activate(activation, sums);
    }
    *sums = by_rows(rows, &sums.view(), |rows| {
        let mut rows = rows.to_owned();
        activate(activation, &mut rows);
        rows
    });
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
    /// From raw inputs to what the first dense layer sees, or the first step in floats.
    pub input: Affine,
    /// Steps in floats before the first dense layer.
    pub first: Vec<FloatStep>,
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
        self.layers.last().map_or(0, FoldedDense::width_behind)
    }

    /// The last one.
    pub fn activation(&self) -> &Activation {
        let last = self.layers.last();
        last.map_or(&Activation::Linear, |layer| match layer.then.last() {
            Some(step) => &step.activation,
            None => &layer.activation,
        })
    }

    /// The steps in floats.
    pub fn float_steps(&self) -> impl Iterator<Item = &FloatStep> {
        let layers = self.layers.iter();
        self.first
            .iter()
            .chain(layers.flat_map(|layer| &layer.then))
    }

    /// `[rows, inputs]` to `[rows, inputs]`: what the first dense layer sees, or the first step in floats.
    pub fn scaled_inputs(&self, x: &ArrayView2<f64>) -> Array2<f64> {
        x * &self.input.scale + &self.input.offset
    }

    /// What the first dense layer sees.
    pub fn first_inputs(&self, x: &ArrayView2<f64>) -> Array2<f64> {
        let mut x = self.scaled_inputs(x);
        self.first.iter().for_each(|step| step.apply(&mut x));
        x
    }

    /// Whether the inputs of the first dense layer can be integers right away: nothing stands before it, and
    /// each of its rows is scaled alike.
    pub fn quantizes_inputs(&self) -> bool {
        let rows = self.layers.first().map_or(1, |layer| layer.rows);
        self.first.is_empty() && self.input.repeats(rows)
    }

    /// The float prediction in f64, `[rows, inputs]` to `[rows, outputs]`. The model's own is what comparisons
    /// take.
    #[cfg(test)]
    pub fn predict(&self, x: &ArrayView2<f64>) -> Array2<f64> {
        let inputs = self.first_inputs(x);
        let layers = self.layers.iter();
        layers.fold(inputs, |x, layer| layer.predict(&x.view()))
    }
}
