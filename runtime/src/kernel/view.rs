//! Scratch memory as the values that a layer keeps in it.
//!
//! The only `unsafe` outside the instruction sets' kernels: the caller's words are read as bytes,
//! halfwords and floats. A copy would cost instructions for every value.

use super::{Source, Target};
use crate::blob::Element;

/// `count` values from the start of `words`; fewer where they do not fit.
#[inline(always)]
pub(crate) fn source(element: Element, words: &[u32], count: usize) -> Source<'_> {
    match element {
        Element::Int8 => {
            // SAFETY: every four bytes are four valid i8, of a smaller alignment.
            let values = unsafe { words.align_to::<i8>() }.1;
            Source::Int8(values.get(..count).unwrap_or(values))
        }
        Element::Int8Wide | Element::Int16 => {
            // SAFETY: every four bytes are two valid i16, of a smaller alignment.
            let values = unsafe { words.align_to::<i16>() }.1;
            Source::Int16(values.get(..count).unwrap_or(values))
        }
        Element::Float => {
            // SAFETY: every word is a valid f32, of the same size and alignment.
            let values = unsafe { words.align_to::<f32>() }.1;
            Source::Float(values.get(..count).unwrap_or(values))
        }
    }
}

/// `count` values from the start of `words`; fewer where they do not fit.
#[inline(always)]
pub(crate) fn target(element: Element, words: &mut [u32], count: usize) -> Target<'_> {
    match element {
        Element::Int8 => {
            // SAFETY: as above, and every i8 written leaves valid words.
            let values = unsafe { words.align_to_mut::<i8>() }.1;
            let count = count.min(values.len());
            Target::Int8(
                values
                    .split_at_mut_checked(count)
                    .map_or(&mut [], |(v, _)| v),
            )
        }
        Element::Int8Wide | Element::Int16 => {
            // SAFETY: as above, and every i16 written leaves valid words.
            let values = unsafe { words.align_to_mut::<i16>() }.1;
            let count = count.min(values.len());
            Target::Int16(
                values
                    .split_at_mut_checked(count)
                    .map_or(&mut [], |(v, _)| v),
            )
        }
        Element::Float => {
            // SAFETY: as above, and every f32 written leaves valid words.
            let values = unsafe { words.align_to_mut::<f32>() }.1;
            let count = count.min(values.len());
            Target::Float(
                values
                    .split_at_mut_checked(count)
                    .map_or(&mut [], |(v, _)| v),
            )
        }
    }
}
