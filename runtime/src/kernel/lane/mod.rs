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
use super::whole::{self, Blocks};
use crate::blob::{Element, Operation, Packing};

/// Blocks, inputs and their number, finish, outputs and their end, room for the last ones.
type Kernel =
    unsafe extern "C" fn(*const u32, *const u32, usize, u32, *mut u32, *mut u32, *mut u32);

/// Runs a layer, or says that it must be run by other code.
#[inline(always)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    if step.packing != Packing::Lane {
        return false;
    }
    let (kernel, element): (Kernel, _) = match step.operation {
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
    whole::run(step, element, y, |blocks: Blocks| {
        // SAFETY: `Blocks` has the layer's blocks, as the packer made them for step.inputs, and
        // room for the outputs; x has all inputs up to the end of their last word.
        unsafe {
            kernel(
                blocks.start,
                x.as_ptr(),
                step.inputs,
                blocks.finish as u32,
                blocks.y,
                blocks.y_end,
                blocks.rest,
            );
        }
    })
}
