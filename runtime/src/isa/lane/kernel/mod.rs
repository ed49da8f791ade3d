//! Integer layers on cores without DSP instructions: Cortex-M0, M0+, M23 ([`armv6m`]) and M3
//! ([`armv7m`]). See `mod.rs` of the folder above for the words and why the sums come apart again.

#[cfg(armv6m)]
mod armv6m;
#[cfg(not(armv6m))]
mod armv7m;

#[cfg(armv6m)]
use armv6m as kernels;
#[cfg(not(armv6m))]
use armv7m as kernels;

use crate::blob::{Element, Operation};
use crate::isa::call::{self, Call, Kernel};
use crate::layer::Step;
use crate::packing::Packing;

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
    unsafe { call::run(step, y, call) }
}
