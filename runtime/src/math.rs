//! Activations of float outputs, from IEEE basic operations only.
//!
//! micromath's `exp` is off by up to 2.4e-3 and branches on its argument; with the range reduced
//! first, a polynomial of the same length gives 1e-7 in a number of instructions that does not
//! depend on the value. micromath's operations that are exact are used as they are.

use micromath::F32Ext;

use crate::blob::{Activation, ROUNDER};
use crate::pack;

/// `2^t` for `t <= 127`; what lies below `-126` counts as that. Relative error below 2e-7.
#[inline(never)]
#[expect(clippy::approx_constant, reason = "the best coefficient is not ln 2")]
fn exp2(t: f32) -> f32 {
    let t = if t > -126.0 { t } else { -126.0 };
    let rounded = t + ROUNDER;
    // The nearest integer, in the low bits of the sum.
    let n = rounded.to_bits();
    let f = t - (rounded - ROUNDER);
    // Minimax on [-1/2, 1/2], relative: near ln 2 ^ k / k!, but not that.
    let p = 1.326_472_7e-3 * f + 9.671_513e-3;
    let p = p * f + 5.550_733_6e-2;
    let p = p * f + 2.402_224_2e-1;
    let p = p * f + 6.931_47e-1;
    let p = p * f + 1.0;
    f32::from_bits(p.to_bits().wrapping_add(n << 23))
}

/// `exp(x) / sum(exp(x))` in place, within 1e-6 of the exact value.
pub(crate) fn softmax(values: &mut [f32]) {
    let mut largest = f32::NEG_INFINITY;
    for &value in values.iter() {
        largest = if value > largest { value } else { largest };
    }
    let mut sum = 0.0;
    for value in values.iter_mut() {
        *value = exp2((*value - largest) * core::f32::consts::LOG2_E);
        sum += *value;
    }
    let scale = 1.0 / sum;
    for value in values.iter_mut() {
        *value *= scale;
    }
}

/// `1 / (1 + exp(-x))`, within 1e-6 of the exact value.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let e = exp2(F32Ext::abs(x) * -core::f32::consts::LOG2_E);
    // From the side where nothing cancels: 1 / (1 + e) above zero, e / (1 + e) below.
    let numerator = if x < 0.0 { e } else { 1.0 };
    numerator / (1.0 + e)
}

/// `stretch * sigmoid(stretch * x) + offset` in place: sigmoid itself with 1 and 0, tanh with
/// 2 and -1.
#[inline(never)]
fn sigmoids(values: &mut [f32], stretch: f32, offset: f32) {
    for y in values {
        *y = stretch * sigmoid(stretch * *y) + offset;
    }
}

/// The activation of a whole float output, in place.
#[inline(never)]
pub(crate) fn activate(activation: Activation, table: &[u8], values: &mut [f32]) {
    match activation {
        Activation::Linear => {}
        Activation::Relu => values
            .iter_mut()
            .for_each(|y| *y = if *y > 0.0 { *y } else { 0.0 }),
        Activation::Sigmoid => sigmoids(values, 1.0, 0.0),
        Activation::Tanh => sigmoids(values, 2.0, -1.0),
        Activation::Softmax => softmax(values),
        Activation::Table => values.iter_mut().for_each(|y| *y = interpolate(*y, table)),
    }
}

/// The table's 257 values stand at equal distances from its start on; between two of them, and
/// beyond the first and the last pair, the value is on the straight line.
fn interpolate(x: f32, table: &[u8]) -> f32 {
    let [start, density] = pack::first_words::<2>(table).map(f32::from_bits);
    let position = (x - start) * density;
    // Saturates; NaN counts as zero.
    let index = (position as i32).clamp(0, 255).cast_unsigned() as usize;
    let entry = |index: usize| {
        table
            .as_chunks::<4>()
            .0
            .get(2 + index)
            .map_or(0.0, |&bytes| f32::from_bits(u32::from_le_bytes(bytes)))
    };
    let (low, high) = (entry(index), entry(index + 1));
    // Exact: at most 255.
    low + (position - index as f32) * (high - low)
}
