//! One dense layer in integers: weights, folded biases and multipliers, with the proof that no
//! accumulator can leave its range.

use ndarray::{Array1, Array2, ArrayView1, Axis, s};

use super::data_type::DataType;
use super::range::{TensorQuant, precision};
use crate::engine::rounding::round_weight;
use thumbnet_runtime::{Element, Limits, Precision, WeightType};

/// What a layer reads: integers, `real = scale * columns[input] * (q - zeros[input])`.
#[derive(Clone, Debug)]
pub struct Input {
    /// Size of one step.
    pub scale: f64,
    /// `[inputs]`: what each input's step is in these, 1 but for inputs with ranges of their own.
    pub columns: Array1<f64>,
    /// `[inputs]`: the integer that stands for 0, or where between two it would be.
    pub zeros: Array1<f64>,
    /// Largest integer: 127 for int8, 32767 for int16.
    pub limit: i32,
}

impl Input {
    /// The outputs of a layer before.
    pub fn tensor(tensor: TensorQuant, inputs: usize) -> Self {
        Self {
            scale: tensor.scale,
            columns: Array1::ones(inputs),
            zeros: Array1::from_elem(inputs, f64::from(tensor.zero)),
            limit: tensor.limit,
        }
    }
}

/// Bits of the requantization shift after int8 inputs: `q = (acc * M + 2^23) >> 24`.
const SHIFT_INT8: i32 = 24;
/// The same after int16 inputs, whose sums are larger.
const SHIFT_INT16: i32 = 32;

/// What becomes of a layer's sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Requantized to this tensor.
    Integer(TensorQuant),
    /// Multiplied by a scale per unit: `acc as f32 * scale`.
    Float,
}

/// A dense layer in integers, not packed for any core yet.
#[derive(Clone, Debug)]
pub struct QuantizedDense {
    /// `[units, inputs]`, within `[-weight_limit, weight_limit]`.
    pub weights: Array2<i8>,
    /// `[units]`: the float bias, both zero points folded in.
    pub bias: Array1<i32>,
    /// `[units]`: fixed-point multipliers, for [`Target::Integer`].
    pub multipliers: Vec<i32>,
    /// `[units]`: real value of one step of the sum, `input scale * weight scale`.
    pub scales: Vec<f32>,
    /// `[units]`: the largest absolute sum that any input can reach.
    pub bounds: Array1<i64>,
    /// How much coarser the output's steps must be for the kernels' limits; at most 1 where they are
    /// kept.
    pub excess: f64,
}

/// What the kernels need of a layer; see [`Limits`].
fn limits(input: &Input, target: Target, weight_limit: i8) -> Limits {
    let weights = match precision(input.limit) {
        Precision::Int8 if weight_limit == DataType::Int4.weight_limit() => WeightType::Int4,
        Precision::Int8 => WeightType::Int8,
        Precision::Int16 => WeightType::Int16,
    };
    let operation = weights.descriptor().operation;
    let output = match target {
        Target::Integer(output) => match output.precision() {
            Precision::Int8 => Element::Int8,
            Precision::Int16 => Element::Int16,
        },
        Target::Float => Element::Float,
    };
    Limits::of(operation, output).expect("integer layers have limits")
}

/// Quantizes one layer.
///
/// Each unit has a symmetric scale of its own, from its largest weight. Where the sum of a unit
/// could leave the accumulator's range for some input, its scale grows until it cannot.
///
/// # Shapes
///
/// * `kernel` - `[units, inputs]`, finite, its columns multiplied with the input's
/// * `bias` - `[units]`, finite
/// * `weight_scales` - `[units]` to start from, positive
pub fn quantize_dense(
    kernel: &Array2<f64>,
    bias: &Array1<f64>,
    input: &Input,
    target: Target,
    weight_scales: &[f64],
    rounding: &Rounding,
    weight_limit: i8,
) -> QuantizedDense {
    let units = kernel.nrows();
    let mut quantized = QuantizedDense {
        weights: Array2::zeros(kernel.raw_dim()),
        bias: Array1::zeros(units),
        multipliers: Vec::with_capacity(units),
        scales: Vec::with_capacity(units),
        bounds: Array1::zeros(units),
        excess: 0.0,
    };
    let limits = limits(input, target, weight_limit);
    for (unit, (row, &start)) in kernel.rows().into_iter().zip(weight_scales).enumerate() {
        let rounded = |scale: f64| rounding.weights(row, scale, weight_limit);
        let fitted = fit_unit(rounded, bias[unit], input, target, start, limits);
        quantized
            .weights
            .row_mut(unit)
            .assign(&Array1::from(fitted.weights));
        quantized.bias[unit] = fitted.bias;
        quantized.bounds[unit] = fitted.bound;
        quantized.excess = quantized.excess.max(fitted.excess);
        quantized.multipliers.push(fitted.multiplier);
        // The device multiplies in f32: one rounding here, one there.
        quantized.scales.push((input.scale * fitted.scale) as f32);
    }
    quantized
}

/// The scale that maps each unit's largest weight to `weight_limit`.
pub fn largest_weight_scales(kernel: &Array2<f64>, weight_limit: i8) -> Vec<f64> {
    kernel
        .rows()
        .into_iter()
        .map(|row| {
            row.iter().fold(0.0, |largest: f64, w| largest.max(w.abs())) / f64::from(weight_limit)
        })
        .collect()
}

/// The scale of each unit with the least squared error of its sums: errors of weights that meet
/// large inputs count more.
///
/// `power` holds the mean square of each input, `[inputs]`.
pub fn least_error_scales(kernel: &Array2<f64>, power: &Array1<f64>, weight_limit: i8) -> Vec<f64> {
    /// Candidates between half the largest weight's scale and all of it.
    const CANDIDATES: u32 = 40;
    kernel
        .rows()
        .into_iter()
        .zip(largest_weight_scales(kernel, weight_limit))
        .map(|(row, largest)| {
            let error = |scale: f64| -> f64 {
                row.iter()
                    .zip(power)
                    .map(|(w, power)| {
                        let q = f64::from(round_weight(*w, scale, weight_limit));
                        (w - q * scale).powi(2) * power
                    })
                    .sum()
            };
            if largest <= 0.0 {
                return largest;
            }
            (0..CANDIDATES)
                .map(|step| largest * (1.0 - 0.6 * f64::from(step) / f64::from(CANDIDATES)))
                .map(|scale| (error(scale), scale))
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .map_or(largest, |(_, scale)| scale)
        })
        .collect()
}

/// How the weights of a unit become integers.
pub enum Rounding {
    /// Each to the nearest.
    Nearest,
    /// One after the other, what each loses being made up for by those that follow (Frantar et al. 2022,
    /// "GPTQ"): `[inputs, inputs]`, upper triangular, whose transpose times itself is the inverse of the
    /// inputs' covariance.
    Adaptive(Array2<f64>),
}

impl Rounding {
    /// For the integers that a layer reads on the calibration rows, `[rows, inputs]`.
    pub fn adaptive(inputs: &Array2<f64>) -> Self {
        let (rows, width) = inputs.dim();
        let Some(mean) = inputs.mean_axis(Axis(0)) else {
            return Self::Nearest;
        };
        let centered = inputs - &mean;
        // Counts of rows are far below 2^52.
        let mut covariance = centered.t().dot(&centered) / rows as f64;
        // Few rows invent correlations: they count the less, the fewer there are.
        let believed = rows as f64 / (rows + width) as f64;
        let least = 0.01 * covariance.diag().mean().unwrap_or(0.0) + 1e-9;
        for ((i, j), value) in covariance.indexed_iter_mut() {
            *value = if i == j {
                *value + least
            } else {
                *value * believed
            };
        }
        match inverse_factor(&covariance) {
            Some(factor) => Self::Adaptive(factor),
            None => Self::Nearest,
        }
    }

    fn weights(&self, row: ArrayView1<f64>, scale: f64, limit: i8) -> Vec<i8> {
        let Self::Adaptive(factor) = self else {
            return row.iter().map(|&w| round_weight(w, scale, limit)).collect();
        };
        let mut left = row.to_owned();
        let mut weights = Vec::with_capacity(row.len());
        for (i, factors) in factor.rows().into_iter().enumerate() {
            let q = round_weight(left[i], scale, limit);
            let lost = (left[i] - f64::from(q) * scale) / factors[i];
            left.scaled_add(-lost, &factors);
            weights.push(q);
        }
        weights
    }
}

/// The upper triangular matrix whose transpose times itself is the inverse of a symmetric one; none where
/// that is not positive definite.
fn inverse_factor(matrix: &Array2<f64>) -> Option<Array2<f64>> {
    let n = matrix.nrows();
    // matrix = root * transpose of root, from the last row upwards so that the root is upper triangular.
    let mut root = Array2::<f64>::zeros((n, n));
    for i in (0..n).rev() {
        for j in (i..n).rev() {
            let known = root.slice(s![i, j + 1..]).dot(&root.slice(s![j, j + 1..]));
            let left = matrix[[i, j]] - known;
            root[[i, j]] = if i == j {
                if left <= 0.0 {
                    return None;
                }
                left.sqrt()
            } else {
                left / root[[j, j]]
            };
        }
    }
    let mut inverse = Array2::<f64>::zeros((n, n));
    for i in (0..n).rev() {
        inverse[[i, i]] = 1.0 / root[[i, i]];
        let below = inverse.slice(s![i + 1.., i + 1..]);
        let row = root.slice(s![i, i + 1..]).dot(&below) / -root[[i, i]];
        inverse.slice_mut(s![i, i + 1..]).assign(&row);
    }
    Some(inverse)
}

struct Unit {
    weights: Vec<i8>,
    bias: i32,
    multiplier: i32,
    bound: i64,
    scale: f64,
    /// What the multiplier would have to be, in what it may be.
    excess: f64,
}

fn fit_unit(
    rounded: impl Fn(f64) -> Vec<i8>,
    bias: f64,
    input: &Input,
    target: Target,
    start: f64,
    limits: Limits,
) -> Unit {
    let limit = f64::from(limits.sum);
    let one = 2f64.powi(match precision(input.limit) {
        Precision::Int8 => SHIFT_INT8,
        Precision::Int16 => SHIFT_INT16,
    });
    // A unit without weights is a constant: any step that holds its bias will do.
    let mut scale = if start > 0.0 {
        start
    } else {
        (bias.abs() / input.scale / (limit / 4.0)).max(1e-30)
    };
    loop {
        let weights = rounded(scale);
        let zeros: f64 = weights
            .iter()
            .zip(&input.zeros)
            .map(|(&w, zero)| f64::from(w) * zero)
            .sum();
        let magnitude: i64 = weights.iter().map(|&w| i64::from(w).abs()).sum();
        let step = input.scale * scale;
        let (wanted, multiplier, zero) = match target {
            Target::Integer(output) => {
                let wanted = (step / output.scale * one).round();
                let multiplier = wanted.clamp(1.0, f64::from(i32::MAX));
                // What the output's zero point is worth in steps of the sum.
                let zero = f64::from(output.zero) * one / multiplier;
                (wanted, multiplier as i32, zero)
            }
            Target::Float => (0.0, 0, 0.0),
        };
        let folded = (bias / step - zeros + zero).round();
        let bound = f64::from(input.limit) * magnitude as f64 + folded.abs();
        if bound <= limit {
            // Both at most the accumulator's limit, which is below 2^31.
            let greatest = limits.multiplier(bound as u32);
            return Unit {
                excess: wanted / f64::from(greatest),
                weights,
                // Both within the accumulator's range, checked above.
                bias: folded as i32,
                multiplier,
                bound: bound as i64,
                scale,
            };
        }
        // At least 1 % a round, so that this ends.
        scale *= (bound / limit).clamp(1.01, 1e6);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, arr2};

    fn input(inputs: usize) -> Input {
        let tensor = TensorQuant {
            scale: 0.5,
            zero: 1,
            limit: 127,
        };
        Input::tensor(tensor, inputs)
    }

    #[test]
    fn zero_points_and_the_float_bias_are_folded_into_the_integer_bias() {
        let kernel = arr2(&[[127.0, -63.0]]);
        let output = TensorQuant {
            scale: 1.0,
            zero: -127,
            limit: 127,
        };
        let scales = largest_weight_scales(&kernel, 127);
        let dense = quantize_dense(
            &kernel,
            &arr1(&[10.0]),
            &input(2),
            Target::Integer(output),
            &scales,
            &Rounding::Nearest,
            127,
        );
        assert_eq!(dense.weights, arr2(&[[127, -63]]));
        // step 0.5: 10 / 0.5 - 1 * (127 - 63) - 127 / 0.5 = 20 - 64 - 254
        assert_eq!(dense.bias, arr1(&[-298]));
        assert_eq!(dense.multipliers, [1 << 23]);
        // 127 * (127 + 63) + 298
        assert_eq!(dense.bounds, arr1(&[24_428]));
    }

    #[test]
    fn a_row_that_could_overflow_gets_a_larger_scale() {
        let kernel = Array2::from_elem((1, 4096), 1.0);
        let scales = largest_weight_scales(&kernel, 127);
        let dense = quantize_dense(
            &kernel,
            &arr1(&[0.0]),
            &input(4096),
            Target::Float,
            &scales,
            &Rounding::Nearest,
            127,
        );
        let largest = dense.weights.iter().map(|&w| i64::from(w)).max();
        // 127 * 4096 * 16 + 4096 * 16 = 8 388 608 is one too many; 15 fits.
        assert_eq!(largest, Some(15));
        assert!(dense.bounds[0] <= 8_388_607);
        let real = f64::from(dense.scales[0]) * 15.0 / 0.5;
        assert!((real - 1.0).abs() < 0.04, "{real}");
    }

    #[test]
    fn inverse_factors_multiply_to_the_inverse() {
        let matrix = arr2(&[[4.0, 1.0, 0.5], [1.0, 3.0, -0.25], [0.5, -0.25, 2.0]]);
        let factor = inverse_factor(&matrix).expect("positive definite");
        assert_eq!(factor[[2, 0]], 0.0);
        let identity = factor.t().dot(&factor).dot(&matrix);
        for ((i, j), value) in identity.indexed_iter() {
            let right = if i == j { 1.0 } else { 0.0 };
            assert!((value - right).abs() < 1e-12, "{identity}");
        }
        assert!(inverse_factor(&arr2(&[[1.0, 2.0], [2.0, 1.0]])).is_none());
    }

    #[test]
    fn what_a_weight_loses_the_next_one_makes_up_for() {
        // Two inputs that are nearly the same, and weights of 0.4 each: 0 and 1 lose 0.2, 0 and 0 lose 0.8.
        let inputs = Array2::from_shape_fn((1000, 2), |(row, _)| f64::from(row as u32 % 100));
        let row = arr1(&[0.4, 0.4]);
        let weights = |rounding: Rounding| rounding.weights(row.view(), 1.0, 127);
        assert_eq!(weights(Rounding::Nearest), [0, 0]);
        assert_eq!(weights(Rounding::adaptive(&inputs)), [0, 1]);
    }

    #[test]
    fn a_unit_without_weights_keeps_its_bias() {
        let kernel = arr2(&[[0.0, 0.0]]);
        let dense = quantize_dense(
            &kernel,
            &arr1(&[-7.5]),
            &input(2),
            Target::Float,
            &[0.0],
            &Rounding::Nearest,
            127,
        );
        let value = f64::from(dense.scales[0]) * f64::from(dense.bias[0]);
        assert!((value + 7.5).abs() < 1e-5, "{value}");
    }
}
