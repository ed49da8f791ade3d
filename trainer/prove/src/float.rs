//! A blob of float32 layers, to be compared with one of integers, and bounds of it.
//!
//! The device's sums are rounded at every product and addition. A sum is within a bound of the real number that it
//! stands for: the usual one of sums in order, `(n + 2) 2^-24` times the sum of magnitudes, with the least normal
//! number for each operation, so that it does not matter what a core does with smaller ones. All else is as in
//! [`crate::bounds`], whose forms these are.

use pulp::Simd;
use thumbnet_runtime::{Activation, Element, Model, Operation, Tensors};

use crate::{
    bounds::{Bounded, Forms, Line, Stage, padded},
    error::{Error, Result},
    goal::ACTIVATION_ERROR,
    network::Head,
};

/// Sums beyond this are not bounded, long before they are infinite.
const GREATEST: f64 = 1e30;

/// A model of float32 layers behind a scaling of the inputs.
#[derive(Clone, Debug)]
pub struct FloatNetwork<'a> {
    /// The blob's own code.
    pub model: Model<'a, 255>,
    pub(crate) scaling: Tensors<'a>,
    layers: Vec<Layer<'a>>,
    pub(crate) head: Head<'a>,
    rounding: f64,
}

#[derive(Clone, Debug)]
struct Layer<'a> {
    tensors: Tensors<'a>,
    activation: Activation,
    units: usize,
    /// `[units, inputs]`.
    weights: Vec<f64>,
    bias: Vec<f64>,
}

impl<'a> FloatNetwork<'a> {
    /// Takes a blob apart.
    ///
    /// # Errors
    ///
    /// [`Error::Blob`] where the blob is damaged, [`Error::Layer`] where it has anything but dense layers of
    /// linear, relu, sigmoid or tanh behind a scaling.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let model = Model::<255>::from_bytes(bytes).map_err(Error::Blob)?;
        let infos: Vec<_> = model.layers().collect();
        let mut layers = Vec::new();
        for (index, info) in infos.iter().enumerate() {
            let tensors = model.tensors(index).expect("the model has that layer");
            let is_last = index + 1 == infos.len();
            let is_known = matches!(
                info.activation,
                Activation::Linear | Activation::Relu | Activation::Sigmoid | Activation::Tanh
            );
            let fits = match (index, tensors.operation()) {
                (0, Operation::QuantizeTensor | Operation::QuantizeFeatures) => {
                    info.activation == Activation::Linear
                }
                (1.., Operation::DenseFloat) => info.rows == 1 && (is_last || is_known),
                _ => false,
            };
            if !fits || info.output != Element::Float {
                return Err(Error::Layer {
                    layer: index,
                    what: format!(
                        "is {:?} with {}, among layers of floats",
                        tensors.operation(),
                        info.activation.name()
                    ),
                    fix: "export with --dtype float32, and with dense layers of linear, relu, sigmoid or tanh only",
                });
            }
            if index > 0 {
                let row =
                    |unit| (1..=info.inputs).map(move |i| f64::from(tensors.float_weight(unit, i)));
                layers.push(Layer {
                    tensors,
                    activation: info.activation,
                    units: info.units,
                    weights: (0..info.units).flat_map(row).collect(),
                    bias: (0..info.units)
                        .map(|unit| tensors.float_weight(unit, 0).into())
                        .collect(),
                });
            }
        }
        let (Some(scaling), Some(last)) = (model.tensors(0), layers.last()) else {
            return Err(Error::Layer {
                layer: 0,
                what: "is all there is".into(),
                fix: "export a model with a dense layer",
            });
        };
        let units: usize = layers.iter().map(|layer| layer.units).sum();
        Ok(Self {
            head: Head {
                tensors: last.tensors,
                activation: last.activation,
                threshold: model.threshold().unwrap_or(0.5),
                sizes: vec![GREATEST; last.units],
                roundings: vec![0.0; last.units], // part of the bounds
            },
            rounding: (units + model.inputs() + 64) as f64 * f64::EPSILON,
            model,
            scaling,
            layers,
        })
    }

    /// Whether the device takes a raw value.
    pub(crate) fn takes(&self, input: usize, x: f32) -> bool {
        let [a, b] = self.scaling.factors(input);
        (x * a + b).is_finite()
    }

    /// Bounds forms, each coefficients of the outputs before the activation as the device computes them, within raw
    /// ranges.
    #[inline(always)]
    pub(crate) fn bound<'f, S: Simd>(
        &self,
        simd: S,
        ranges: &[[f32; 2]],
        forms: impl ExactSizeIterator<Item = &'f [f64]>,
    ) -> Bounded {
        let inputs = ranges.len();
        // The scaled inputs rise, or fall, with the raw ones.
        let mut values: Vec<[f64; 2]> = Vec::with_capacity(inputs);
        for (input, range) in ranges.iter().enumerate() {
            let [a, b] = self.scaling.factors(input);
            let [low, high] = range.map(|x| f64::from(x * a + b));
            values.push([low.min(high), low.max(high)]);
        }
        let scaled = values.clone();
        let mut stages: Vec<Stage> = Vec::with_capacity(self.layers.len());
        let mut errors = Vec::new();
        let mut greatest = 0.0f64;
        for (index, layer) in self.layers.iter().enumerate() {
            let before = values.len();
            let mut stage = Stage {
                live: (0..layer.units).collect(),
                before,
                weights: layer.weights.clone(),
                bias: layer.bias.clone(),
                ..Stage::default()
            };
            let mut sums = Vec::with_capacity(layer.units);
            errors.clear();
            for (weights, &bias) in layer.weights.chunks_exact(before).zip(&layer.bias) {
                let (mut low, mut high, mut size) = (bias, bias, bias.abs());
                for (w, [least, most]) in weights.iter().zip(&values) {
                    let ends = [w * least, w * most];
                    low += ends[0].min(ends[1]);
                    high += ends[0].max(ends[1]);
                    size += ends[0].abs().max(ends[1].abs());
                }
                // More than this sum's own roundings.
                let pad = size * (before + 4) as f64 * f64::EPSILON;
                let size = size + pad;
                sums.push([low - pad, high + pad]);
                errors.push(error(before, size));
                stage.size.push(size);
                greatest = greatest.max(size);
            }
            if index + 1 == self.layers.len() {
                stages.push(stage);
                break;
            }
            if index > 0 {
                self.tighten(simd, layer, &stage, &stages, &scaled, &mut sums);
            }
            values = (sums.iter().zip(&errors))
                .map(|(sums, error)| {
                    let (lower, upper, gains, values) = layer.lines(*sums, *error);
                    stage.lower.push(lower);
                    stage.upper.push(upper);
                    stage.gains.push(gains);
                    values
                })
                .collect();
            stages.push(stage);
        }
        let asked = forms.len();
        let mut over = Forms::zero(asked, self.head.outputs());
        for (index, form) in forms.enumerate() {
            for (output, c) in form.iter().enumerate() {
                over.coefficients[output * over.count + index] = *c;
                over.constants[index] -= c.abs() * errors[output];
                over.magnitudes[index] += c.abs() * errors[output];
            }
        }
        over.substitute(simd, &stages);
        // From the scaled inputs to the raw ones.
        let count = over.count;
        for (input, row) in over.coefficients.chunks_exact_mut(count).enumerate() {
            let [a, b] = self.scaling.factors(input).map(f64::from);
            let most = ranges[input].map(|x| f64::from(x).abs());
            let error = error(1, (a * most[0].max(most[1])).abs() + b.abs());
            let sums = over.constants.iter_mut().zip(&mut over.magnitudes);
            for (slope, (constant, magnitude)) in row.iter_mut().zip(sums) {
                *constant += *slope * b - slope.abs() * error;
                *magnitude += slope.abs() * (b.abs() + error);
                *slope *= a;
            }
        }
        let ends = ranges.iter().map(|range| range.map(f64::from));
        let mut linear = over.linear(asked, &ends.collect::<Vec<_>>(), self.rounding);
        if greatest.is_nan() || greatest > GREATEST {
            linear.constants.fill(f64::NEG_INFINITY);
            linear.lower.fill(f64::NEG_INFINITY);
        }
        Bounded {
            sums: Vec::new(),
            inputs: (0..inputs).collect(),
            stages,
            linear,
        }
    }

    /// Narrows the sums that a relu bends by substitution.
    #[inline(always)]
    fn tighten<S: Simd>(
        &self,
        simd: S,
        layer: &Layer,
        stage: &Stage,
        stages: &[Stage],
        scaled: &[[f64; 2]],
        sums: &mut [[f64; 2]],
    ) {
        let bent = |unit: &usize| match layer.activation {
            Activation::Relu => sums[*unit][0] < 0.0 && sums[*unit][1] > 0.0,
            Activation::Linear => false,
            _ => true,
        };
        let open: Vec<usize> = (0..layer.units).filter(bent).collect();
        let Some(before) = stages.last().filter(|_| !open.is_empty()) else {
            return;
        };
        let width = before.live.len();
        let mut forms = Forms::zero(open.len() * 2, width);
        let count = forms.count;
        for (place, &unit) in open.iter().enumerate() {
            for (index, sign) in [(place, 1.0), (open.len() + place, -1.0)] {
                for (j, weight) in stage.weights[unit * width..][..width].iter().enumerate() {
                    forms.coefficients[j * count + index] = weight * sign;
                }
                forms.constants[index] = stage.bias[unit] * sign;
                forms.magnitudes[index] = stage.size[unit];
            }
        }
        forms.relax(before);
        forms.substitute(simd, stages);
        forms.least(scaled, self.rounding);
        for (place, &unit) in open.iter().enumerate() {
            let [low, high] = [forms.constants[place], -forms.constants[open.len() + place]];
            // Both are bounds; NaN is none.
            sums[unit] = [sums[unit][0].max(low), sums[unit][1].min(high)];
        }
    }
}

/// How far a sum of so many products, whose magnitudes are so much together, is from the real one.
fn error(products: usize, size: f64) -> f64 {
    let n = products as f64;
    // Of up to 65535 products the next power of the error is below a hundredth of it.
    size * (n + 2.0) * 2f64.powi(-24) * 1.01 + (2.0 * n + 2.0) * f64::from(f32::MIN_POSITIVE)
}

impl Layer<'_> {
    /// Two lines in the real sum that the output lies between, between which slopes it follows it, and its values.
    fn lines(&self, sums: [f64; 2], error: f64) -> (Line, Line, [f64; 2], [f64; 2]) {
        // What the device's sum may be.
        let [l, u] = [sums[0] - error, sums[1] + error];
        let line = |slope: f64, offset: f64| Line { slope, offset };
        let pad = error + padded(l.abs().max(u.abs()));
        match self.activation {
            Activation::Relu if u <= 0.0 => (line(0.0, 0.0), line(0.0, 0.0), [0.0; 2], [0.0; 2]),
            Activation::Relu if l < 0.0 => {
                let chord = u / (u - l);
                let lower = if u > -l {
                    line(1.0, -pad)
                } else {
                    line(0.0, 0.0)
                };
                (lower, line(chord, pad - chord * l), [0.0, 1.0], [0.0, u])
            }
            Activation::Linear | Activation::Relu => {
                (line(1.0, -pad), line(1.0, pad), [1.0; 2], [l, u])
            }
            _ => {
                let mut ends = [(l as f32).next_down(), (u as f32).next_up()];
                self.tensors.activate(&mut ends);
                let [least, most] = ends.map(f64::from);
                let (least, most) = (least - ACTIVATION_ERROR, most + ACTIVATION_ERROR);
                (line(0.0, least), line(0.0, most), [0.0, 1.0], [least, most])
            }
        }
    }
}
