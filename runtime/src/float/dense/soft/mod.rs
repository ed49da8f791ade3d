//! f32 layers on cores without an FPU: Cortex-M0, M0+, M23 ([`armv6m`]), M3 and the others
//! ([`armv7m`]). The same number of instructions whatever the inputs.
//!
//! A sum is kept taken apart between its steps, in three words:
//!
//! * a mantissa in two's complement, its top bit at 2^29 unless the exponent ends before;
//! * the exponent, as the bits of a float have it less one, but at least 0: the sum is
//!   `mantissa * 2^(exponent - 155)`. Infinity has 254, NaN 1000;
//! * in the top bit, whether all that was added was negative: the sign of a zero.
//!
//! In two's complement, adding and rounding to even need not know the signs.

#[cfg(armv6m)]
mod armv6m;
#[cfg(not(armv6m))]
mod armv7m;

#[cfg(armv6m)]
use armv6m as kernels;
#[cfg(not(armv6m))]
use armv7m as kernels;

use crate::blob::Operation;
use crate::layer::{ROWS, Step};

/// Computes `y[j] = bias[j] + w[0][j] * x[0] + w[1][j] * x[1] ...` from left to right. Gives back
/// the end of the weights.
///
/// * `weights` - `rows` biases, then as many weights for each input
/// * `x`, `x_end` - the inputs, at least one
/// * `y` - `rows` words, one to four
///
/// # Safety
///
/// All pointers are multiples of four and valid for that.
type Block = unsafe extern "C" fn(
    weights: *const u32,
    x: *const u32,
    x_end: *const u32,
    y: *mut u32,
    rows: usize,
) -> *const u32;

const BLOCK: Block = kernels::block;

/// Runs a layer, or says that it must be run by other code.
#[inline(never)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    let (Some(x), Some(y)) = (x.get(..step.inputs), y.get_mut(..step.layer.units())) else {
        return false;
    };
    let start = step.blocks.as_ptr().cast::<u32>();
    let needed = (x.len() + 1) * y.len() * 4;
    if step.layer.operation() != Operation::DenseFloat
        || !start.is_aligned()
        || x.is_empty()
        || step.blocks.len() < needed
    {
        return false;
    }
    let mut weights = start;
    let inputs = x.as_ptr_range();
    for y in y.chunks_mut(ROWS) {
        // SAFETY: the blocks have `rows` words for the biases and for each input, one block after
        // the other; x is not empty, y has `rows` words, at most four.
        weights = unsafe { BLOCK(weights, inputs.start, inputs.end, y.as_mut_ptr(), y.len()) };
    }
    true
}
