//! Slopes of their own for values below zero: Keras' PReLU.

use crate::float::{choose_by_sign, multiply};
use crate::layer::{Step, words::words};

/// `x`, or `x` times the value's own slope where its sign is minus.
///
/// # Shapes
///
/// * `x` - `[inputs]`
/// * `y` - `[inputs]`; may be longer
#[inline(never)]
pub(crate) fn prelu(step: &Step, x: &[f32], y: &mut [f32]) {
    for ((&x, y), slope) in x.iter().zip(y).zip(words(step.blocks)) {
        *y = choose_by_sign(x, x, multiply(x, f32::from_bits(slope)));
    }
}
