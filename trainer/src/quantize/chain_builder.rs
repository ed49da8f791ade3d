//! Folds the layers of a model, one after the other, into a [`Chain`].

use ndarray::{Array1, Array2, Axis, concatenate, s};

use super::chain::{Affine, Chain, FloatKind, FloatStep, FoldedDense, repeats, width_behind};
use crate::activations::Activation;
use crate::layers::Windows;
use crate::{Error, Result};

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

    /// Its scale and offset, where each value is one of those before, in their order.
    fn as_map(&self) -> Option<Affine> {
        let scale = self
            .sums
            .iter()
            .enumerate()
            .map(|(own, sum)| match sum[..] {
                [(place, weight)] if place == own => Some(weight),
                _ => None,
            });
        Some(Affine {
            scale: scale.collect::<Option<_>>()?,
            offset: self.offset.clone(),
        })
    }

    /// That of one of so many rows, where all of them are alike and look at nothing but the same row of
    /// `width` values before.
    fn of_a_row(&self, rows: usize, width: usize) -> Option<Self> {
        let (len, before) = (self.sums.len() / rows, width / rows);
        if !width.is_multiple_of(rows) || !repeats(&self.offset, rows) {
            return None;
        }
        let in_row = |(own, sum): (usize, &Vec<(usize, f64)>)| -> Option<Vec<(usize, f64)>> {
            let start = own / len * before;
            let term = |&(place, weight): &(usize, f64)| {
                let place = place.checked_sub(start).filter(|place| *place < before)?;
                Some((place, weight))
            };
            sum.iter().map(term).collect()
        };
        let sums: Vec<_> = self
            .sums
            .iter()
            .enumerate()
            .map(in_row)
            .collect::<Option<_>>()?;
        let alike = sums.iter().skip(len).zip(&sums).all(|(a, b)| a == b);
        alike.then(|| Self {
            sums: sums.into_iter().take(len).collect(),
            offset: self.offset.iter().take(len).copied().collect(),
        })
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

/// A kernel, `[units, inputs]`, and its bias for all rows of a sample at once.
fn of_all_rows(
    rows: usize,
    kernel: &Array2<f64>,
    bias: &Array1<f64>,
) -> (Array2<f64>, Array1<f64>) {
    let (units, inputs) = kernel.dim();
    let mut all = Array2::zeros((rows * units, rows * inputs));
    for row in 0..rows {
        let (from, to) = (row * inputs, row * units);
        let mut part = all.slice_mut(s![to..to + units, from..from + inputs]);
        part.assign(kernel);
    }
    let bias = bias.iter().cycle().take(rows * units);
    (all, bias.copied().collect())
}

/// Folds layers, one after the other, into a [`Chain`].
pub struct ChainBuilder {
    input: Affine,
    first: Vec<FloatStep>,
    layers: Vec<FoldedDense>,
    pending: Option<Pending>,
}

/// Weights that a kernel may get where one row of a sample is mixed with others: 128 MiB of them.
const MOST_WEIGHTS: usize = 1 << 24;

impl ChainBuilder {
    /// Starts with `features` raw inputs.
    pub fn new(features: usize) -> Self {
        Self {
            input: Affine::identity(features),
            first: Vec::new(),
            layers: Vec::new(),
            pending: None,
        }
    }

    /// Values before what is pending.
    fn width(&self) -> usize {
        match self.layers.last() {
            Some(layer) => layer.width_behind(),
            None => width_behind(&self.first, self.input.scale.len()),
        }
    }

    /// The steps in floats behind the last dense layer, or behind the inputs.
    fn steps(&mut self) -> &mut Vec<FloatStep> {
        match self.layers.last_mut() {
            Some(layer) => &mut layer.then,
            None => &mut self.first,
        }
    }

    /// The last dense layer, where nothing but a sum stands there.
    fn last_sum(&mut self) -> Option<&mut FoldedDense> {
        self.layers
            .last_mut()
            .filter(|layer| layer.activation == Activation::Linear && layer.then.is_empty())
            .filter(|_| self.pending.is_none())
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
        if self.layers.is_empty() && self.first.is_empty() && self.pending.is_none() {
            return self.input.then(map);
        }
        if let Some(layer) = self.last_sum().filter(|layer| map.repeats(layer.rows)) {
            let units = layer.units();
            let of_a_row = |values: &Array1<f64>| values.slice(s![..units]).to_owned();
            let (scale, offset) = (of_a_row(&map.scale), of_a_row(&map.offset));
            layer.kernel *= &scale.view().insert_axis(Axis(1));
            layer.bias = &layer.bias * &scale + offset;
            return;
        }
        let width = self.width();
        let pending = self.pending.get_or_insert_with(|| Pending::nothing(width));
        pending.scaled(map);
    }

    /// A step in floats.
    ///
    /// # Errors
    ///
    /// As [`dense`](Self::dense), where values are summed or rearranged before it.
    pub fn float(&mut self, name: &str, kind: FloatKind) -> Result<()> {
        if let Some(pending) = self.pending.take() {
            match pending.as_map() {
                Some(map) => self.push(name, FloatKind::Scale(map)),
                None => {
                    self.pending = Some(pending);
                    self.identity(name)?;
                }
            }
        }
        self.push(name, kind);
        Ok(())
    }

    fn push(&mut self, name: &str, kind: FloatKind) {
        let step = FloatStep {
            name: name.to_owned(),
            kind,
            activation: Activation::Linear,
        };
        self.steps().push(step);
    }

    /// A dense layer without its activation, applied to so many rows of a sample; `kernel` is
    /// `[units, inputs]`.
    ///
    /// # Errors
    ///
    /// Rows that are mixed with each other before it, when that takes too large a kernel.
    pub fn dense(
        &mut self,
        name: &str,
        mut rows: usize,
        mut kernel: Array2<f64>,
        mut bias: Array1<f64>,
    ) -> Result<()> {
        if let Some(pending) = self.pending.take() {
            let width = self.width();
            if let Some(pending) = pending.of_a_row(rows, width) {
                kernel = pending.into_kernel(&kernel, &mut bias, width / rows);
            } else {
                if rows > 1 {
                    let weights = kernel.len().saturating_mul(rows).saturating_mul(rows);
                    if weights.max(kernel.nrows() * rows * width) > MOST_WEIGHTS {
                        return Err(Error::unsupported(format!(
                            "layer \"{name}\" goes over {rows} rows of a sample that are rearranged before it, which takes too many weights on the device; put what rearranges them behind it"
                        )));
                    }
                    (kernel, bias) = of_all_rows(rows, &kernel, &bias);
                    rows = 1;
                }
                kernel = pending.into_kernel(&kernel, &mut bias, width);
            }
        }
        // Two sums in a row are one, when that does not cost more multiply-accumulates.
        if let Some(last) = self.last_sum()
            && (rows == last.rows || rows == 1)
            && kernel.nrows() * last.inputs() * (last.rows / rows)
                <= kernel.len() + last.kernel.len()
        {
            let parts = last.rows / rows;
            let of_part = |part: usize| {
                let from = part * last.units();
                kernel.slice(s![.., from..from + last.units()])
            };
            let parts: Vec<_> = (0..parts).map(of_part).collect();
            for part in &parts {
                bias += &part.dot(&last.bias);
            }
            let columns: Vec<_> = parts.iter().map(|part| part.dot(&last.kernel)).collect();
            let views: Vec<_> = columns.iter().map(|part| part.view()).collect();
            last.kernel = concatenate(Axis(1), &views).expect("as many rows");
            last.rows = rows;
            last.bias = bias;
            last.name = format!("{}+{name}", last.name);
            return Ok(());
        }
        self.layers.push(FoldedDense {
            name: name.to_owned(),
            rows,
            kernel,
            bias,
            activation: Activation::Linear,
            then: Vec::new(),
        });
        Ok(())
    }

    /// Whether a softmax over so many values, the last axis of a sample, is one over each row of what stands last.
    pub fn ends_with_rows(&mut self, width: usize) -> bool {
        self.last_sum().is_some_and(|layer| layer.units() == width)
    }

    /// An activation after whatever came before.
    ///
    /// # Errors
    ///
    /// As [`dense`](Self::dense).
    pub fn activation(&mut self, name: &str, activation: &Activation) -> Result<()> {
        if *activation == Activation::Linear {
            return Ok(());
        }
        if let Some(layer) = self.last_sum() {
            layer.activation = activation.clone();
            return Ok(());
        }
        if !self.steps().is_empty() {
            if let Some(map) = self.pending.as_ref().and_then(Pending::as_map) {
                self.pending = None;
                self.push(name, FloatKind::Scale(map));
            }
            let is_settled = self.pending.is_none();
            let step = self.steps().last_mut().filter(|_| is_settled);
            if let Some(step) = step.filter(|step| step.activation == Activation::Linear) {
                step.activation = activation.clone();
                return Ok(());
            }
        }
        self.identity(name)?;
        if let Some(layer) = self.layers.last_mut() {
            layer.activation = activation.clone();
        }
        Ok(())
    }

    /// A dense layer that passes its inputs on: a place for a map or activation without one.
    fn identity(&mut self, name: &str) -> Result<()> {
        let pending = self.pending.as_ref();
        let width = pending.map_or(self.width(), |pending| pending.sums.len());
        self.dense(name, 1, Array2::eye(width), Array1::zeros(width))
    }

    /// The folded network.
    ///
    /// # Errors
    ///
    /// A model without a dense layer, an activation that the device does not have, weights that are not
    /// finite.
    pub fn finish(mut self) -> Result<Chain> {
        if let Some(map) = self.pending.as_ref().and_then(Pending::as_map)
            && !self.layers.is_empty()
            && !self.steps().is_empty()
        {
            self.pending = None;
            self.push("output", FloatKind::Scale(map));
        }
        if self.pending.is_some() {
            self.identity("output")?;
        }
        if self.layers.is_empty() {
            return Err(Error::value(
                "the model has no Dense layer; a device model needs at least one",
            ));
        }
        let layers = self.layers.iter();
        let steps = layers.clone().flat_map(|layer| &layer.then);
        let steps = self.first.iter().chain(steps);
        let steps = steps.map(|step| (&step.name, &step.activation));
        let activations = layers.map(|layer| (&layer.name, &layer.activation));
        for (name, activation) in activations.chain(steps) {
            if let Some(instead) = refused(activation) {
                return Err(Error::unsupported(format!(
                    "layer \"{name}\": {} cannot run on the device; {instead}",
                    activation.name()
                )));
            }
        }
        for layer in &self.layers {
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
            first: self.first,
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
        builder
            .dense("dense", 1, arr2(&[[1.0, 2.0]]), arr1(&[3.0]))
            .expect("a layer");
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
        builder
            .dense("a", 1, arr2(&[[1.0], [-1.0]]), arr1(&[0.0, 0.0]))
            .expect("a layer");
        let relu: Activation = "relu".parse().expect("relu");
        builder.activation("a", &relu).expect("a place");
        builder.affine(&Affine {
            scale: arr1(&[2.0, 3.0]),
            offset: arr1(&[1.0, -1.0]),
        });
        builder
            .dense("b", 1, arr2(&[[1.0, 1.0]]), arr1(&[0.5]))
            .expect("a layer");
        // x = 2 -> [2, 0] -> [5, -1] -> 4.5
        assert_eq!(predict(builder, &[2.0]), [4.5]);
    }

    #[test]
    fn two_sums_in_a_row_become_one_when_that_is_no_dearer() {
        let mut builder = ChainBuilder::new(1);
        builder
            .dense("a", 1, arr2(&[[2.0], [1.0]]), arr1(&[1.0, 0.0]))
            .expect("a layer");
        builder
            .dense("b", 1, arr2(&[[3.0, 1.0]]), arr1(&[0.5]))
            .expect("a layer");
        let chain = builder.finish().expect("a chain");
        assert_eq!(chain.layers.len(), 1);
        assert_eq!(chain.layers[0].kernel, arr2(&[[7.0]]));
        assert_eq!(chain.layers[0].bias, arr1(&[3.5]));
    }
}
