//! int8 layers on cores without DSP instructions: Cortex-M0, M0+, M23 ([`armv6m`]) and M3
//! ([`armv7m`]). See `pack/lane.rs` for the words and why the sums come apart again.

#[cfg(armv6m)]
mod armv6m;
#[cfg(not(armv6m))]
mod armv7m;

#[cfg(armv6m)]
use armv6m::run;
#[cfg(not(armv6m))]
use armv7m::run;

use super::Step;
use super::whole::{self, Blocks};
use crate::blob::{Element, Operation, Packing};

/// Runs a layer, or says that it must be run by other code.
#[inline(always)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    if step.packing != Packing::Lane
        || step.operation != Operation::DenseInt8
        || x.len() < step.inputs.div_ceil(4)
    {
        return false;
    }
    whole::run(step, Element::Int8, y, |blocks: Blocks| {
        // SAFETY: `Blocks` has the layer's blocks, as the packer made them for step.inputs, and
        // room for the outputs; x has a word for each four inputs.
        unsafe {
            run(
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
