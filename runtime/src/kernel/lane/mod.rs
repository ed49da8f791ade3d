//! Integer layers on cores without DSP instructions: Cortex-M0, M0+, M23 ([`armv6m`]) and M3
//! ([`armv7m`]). See `pack/lane.rs` for the words and why the sums come apart again.

#[cfg(armv6m)]
mod armv6m;
#[cfg(not(armv6m))]
mod armv7m;

#[cfg(armv6m)]
use armv6m as kernels;
#[cfg(not(armv6m))]
use armv7m as kernels;

use super::Step;
use super::whole::{self, Call, Kernel};
use crate::blob::{Element, Operation, Packing};

/// Runs a layer, or says that it must be run by other code.
#[inline(always)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    if step.layer.packing() != Packing::Lane {
        return false;
    }
    let (kernel, element): (Kernel, _) = match step.layer.operation() {
        Operation::DenseInt8 => (kernels::int8, Element::Int8),
        #[cfg(feature = "int4")]
        Operation::DenseInt4 => (kernels::int4, Element::Int8),
        #[cfg(feature = "int16")]
        Operation::DenseInt16 => (kernels::int16, Element::Int16),
        _ => return false,
    };
    if x.len() < element.words(step.inputs) {
        return false;
    }
    let call = Call {
        kernel,
        integer: element,
        x,
        count: step.inputs,
    };
    // SAFETY: the blocks are of this packing, and x has all inputs up to the end of their last word.
    unsafe { whole::run(step, y, call) }
}

/// Quantizes values to int8: says how many it did. None where one might not be finite, or a scale
/// is too small: that is for other code.
#[inline(always)]
pub(crate) fn quantize(step: &Step, x: &[f32], y: &mut [u32]) -> usize {
    // Both may be longer than the layer.
    let count = step.inputs.min(x.len()).min(y.len() * 4);
    let pairs = step.blocks.as_ptr().cast::<u32>();
    let own = step.layer.operation() == Operation::QuantizeFeatures;
    let needed = if own { count * 8 } else { 8 };
    if step.layer.output() != Element::Int8
        || count == 0
        || step.blocks.len() < needed
        || !pairs.is_aligned()
    {
        return 0;
    }
    // SAFETY: x has `count` values, y room for as many bytes; `pairs` is aligned and has `needed`
    // bytes.
    let check = unsafe { kernels::quantize(x.as_ptr(), pairs, y.as_mut_ptr(), count, own.into()) };
    if check.cast_signed() < 0 { 0 } else { count }
}
