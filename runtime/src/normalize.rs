//! Normalizations by a sample's own mean and deviation, in f32 with no operation fused: what Keras'
//! LayerNormalization, GroupNormalization, RMSNormalization and UnitNormalization do.
//!
//! For the values of a group
//!
//! ```text
//! mean = sum(x) * mean_factor
//! z = max(sum((x - mean)^2) * square_factor + epsilon, least)
//! y = (x - mean) * inverse_root(z)
//! ```
//!
//! each sum from the first to the last value, each operation rounded. What a layer multiplies with and
//! adds then is in the layer behind.

use micromath::F32Ext;

use crate::error::What;
use crate::float::{add, greatest, multiply, subtract};
use crate::layer::{Step, words::first_words};

/// What `1 / sqrt(z)` is off, relative, for z from [`LEAST`] on.
#[cfg(test)]
const INVERSE_ROOT_ERROR: f64 = 2.5e-7;

/// The least z that a layer may state: no product in [`inverse_root`] is subnormal from there on. `2^-100`.
const LEAST: u32 = 27 << 23;
/// Factors of squares are within these, so that no infinite sum becomes NaN. `2^-64`, `2^64`.
const FACTORS: [u32; 2] = [63 << 23, 191 << 23];

/// How the groups lie: the values are `blocks` blocks of `steps` rows of `groups` times `run` values; the
/// group of that number in a block has the same `run` values of each of its rows.
#[derive(Clone, Copy)]
struct Numbers {
    blocks: u32,
    steps: u32,
    groups: u32,
    run: u32,
    mean_factor: f32,
    square_factor: f32,
    epsilon: f32,
    least: f32,
}

impl Numbers {
    fn of(step: &Step) -> Self {
        let [blocks, steps, groups, run, floats @ ..] = first_words::<8>(step.blocks);
        let [mean_factor, square_factor, epsilon, least] = floats.map(f32::from_bits);
        Self {
            blocks,
            steps,
            groups,
            run,
            mean_factor,
            square_factor,
            epsilon,
            least,
        }
    }
}

/// What is wrong with a layer whose scales are below their limit: what of it, what would be right, what was
/// found.
#[inline(never)]
pub(crate) fn wrong(step: &Step) -> Option<(What, usize, usize)> {
    let numbers = Numbers::of(step);
    let sizes = [numbers.blocks, numbers.steps, numbers.groups, numbers.run];
    let product = sizes
        .iter()
        .try_fold(1u32, |product, &size| product.checked_mul(size));
    let product = product.unwrap_or(u32::MAX) as usize;
    if product != step.inputs {
        return Some((What::Inputs, step.inputs, product));
    }
    let [factor, epsilon, least] =
        [numbers.square_factor, numbers.epsilon, numbers.least].map(f32::to_bits);
    let [low, high] = FACTORS;
    // Of positive floats the bits are in their order, and negative ones are above.
    for (value, from, until) in [
        (factor, low, high),
        (epsilon, 0, high),
        (least, LEAST, high),
    ] {
        if value < from || value > until {
            return Some((What::Scale, from as usize, value as usize));
        }
    }
    None
}

/// Groups of a layer.
pub(crate) fn groups(step: &Step) -> usize {
    let numbers = Numbers::of(step);
    (numbers.blocks * numbers.groups) as usize // at most the inputs
}

/// Runs a layer.
///
/// # Shapes
///
/// * `x` - `[inputs]`
/// * `y` - `[inputs]`; may be longer
#[inline(never)]
pub(crate) fn normalize(step: &Step, mut x: &[f32], mut y: &mut [f32]) {
    let numbers = Numbers::of(step);
    // The verifier has seen that it is the number of inputs; none of them is 0.
    let row = (numbers.groups * numbers.run).max(1) as usize;
    let block = row * numbers.steps as usize;
    for _ in 0..numbers.blocks {
        let (Some((from, x_rest)), Some((to, y_rest))) =
            (x.split_at_checked(block), y.split_at_mut_checked(block))
        else {
            return;
        };
        let mut start = 0;
        for _ in 0..numbers.groups {
            let end = start + numbers.run as usize;
            let place = Place { row, start, end };
            let mean = multiply(place.sum(from, |x| x), numbers.mean_factor);
            let squares = place.sum(from, |x| {
                let distance = subtract(x, mean);
                multiply(distance, distance)
            });
            let z = add(multiply(squares, numbers.square_factor), numbers.epsilon);
            // No -0 and no NaN: as integers they have the order of floats.
            let [z, least] = [z, numbers.least].map(|value| value.to_bits().cast_signed());
            let inverse = inverse_root(f32::from_bits(greatest(z, least).cast_unsigned()));
            place.each(from, to, |x| multiply(subtract(x, mean), inverse));
            start = end;
        }
        (x, y) = (x_rest, y_rest);
    }
}

/// Where a group's values lie in a block.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    start: usize,
    end: usize,
}

impl Place {
    #[inline(always)]
    fn sum(self, mut block: &[f32], term: impl Fn(f32) -> f32) -> f32 {
        let mut sum = 0.0;
        while let Some((row, rest)) = block.split_at_checked(self.row) {
            for &x in row.get(self.start..self.end).unwrap_or(&[]) {
                sum = add(sum, term(x));
            }
            block = rest;
        }
        sum
    }

    #[inline(always)]
    fn each(self, mut x: &[f32], mut y: &mut [f32], of: impl Fn(f32) -> f32) {
        while let (Some((from, x_rest)), Some((to, y_rest))) = (
            x.split_at_checked(self.row),
            y.split_at_mut_checked(self.row),
        ) {
            let from = from.get(self.start..self.end).unwrap_or(&[]);
            let to = to.get_mut(self.start..self.end).unwrap_or_default();
            for (&x, y) in from.iter().zip(to) {
                *y = of(x);
            }
            (x, y) = (x_rest, y_rest);
        }
    }
}

/// `1 / sqrt(z)` of z from `2^-100` on, with a relative error below 2.5e-7; infinite or NaN of infinity.
///
/// micromath's is off by up to 3.5 %; each of Newton's steps squares that: 1.8e-3, 4.7e-6, and what
/// roundings leave.
#[inline(always)]
fn inverse_root(z: f32) -> f32 {
    let half = multiply(z, 0.5);
    let mut root = F32Ext::invsqrt(z);
    for _ in 0..3 {
        // From the left: neither product is far from 1 but the first, which is about sqrt(z).
        let square = multiply(multiply(half, root), root);
        root = multiply(root, subtract(1.5, square));
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_roots_have_their_digits_from_the_least_to_the_greatest_float() {
        let mut worst: f64 = 0.0;
        let end = f32::INFINITY.to_bits();
        let stride = if cfg!(miri) { 9_999_991 } else { 997 };
        for bits in (LEAST..end).step_by(stride).chain([LEAST, end - 1]) {
            let z = f32::from_bits(bits);
            let exact = 1.0 / f64::from(z).sqrt();
            let error = (f64::from(inverse_root(z)) - exact).abs() / exact;
            worst = worst.max(error);
        }
        assert!(worst < INVERSE_ROOT_ERROR, "{worst}");
        // Three steps are needed.
        assert!(worst > 5e-8, "{worst}");
        assert!(!inverse_root(f32::INFINITY).is_finite());
    }
}
