//! Dense layers that go over each row of a sample by itself, with weights that lie in flash once.

use crate::blob::Element;
use crate::layer::{Step, view::bytes, view::bytes_mut};

/// Whether a row of so many values is whole words, so that all rows begin at one.
#[inline(always)]
fn is_whole(element: Element, count: usize) -> bool {
    element.bytes(count) & 3 == 0
}

/// Words of scratch memory that a layer needs beside inputs and outputs: for rows that begin within a word.
#[inline(always)]
pub(crate) fn spare(step: &Step) -> usize {
    let [x, y] = parts(step);
    x + y
}

/// Of a row that is read, and of one that is written.
#[inline(always)]
fn parts(step: &Step) -> [usize; 2] {
    [
        (step.layer.input(), step.inputs),
        (step.layer.output(), step.layer.units()),
    ]
    .map(|(element, count)| {
        if step.rows == 1 || is_whole(element, count) {
            0
        } else {
            element.words(count)
        }
    })
}

/// Runs the layer `one` of each row. False where one of them is.
///
/// # Shapes
///
/// * `x` - `[rows, inputs]`
/// * `y` - `[rows, units]`; may be longer
/// * `spare` - at least as [`spare`] says
#[inline(never)]
pub(crate) fn each(
    step: &Step,
    x: &[u32],
    y: &mut [u32],
    spare: &mut [u32],
    one: fn(&Step, &[u32], &mut [u32]) -> bool,
) -> bool {
    let [of_x, of_y] = parts(step);
    let Some((to_x, spare)) = spare.split_at_mut_checked(of_x) else {
        return false;
    };
    let Some(to_y) = spare.get_mut(..of_y) else {
        return false;
    };
    let read = step.layer.input().bytes(step.inputs);
    let written = step.layer.output().bytes(step.layer.units());
    let (mut from, mut to) = (0, 0);
    for _ in 0..step.rows {
        let x = if of_x == 0 {
            x.get(from >> 2..(from + read) >> 2)
        } else {
            copy(bytes(x).get(from..from + read), bytes_mut(to_x));
            Some(&*to_x)
        };
        let x = x.unwrap_or(&[]);
        let finite = if of_y == 0 {
            one(
                step,
                x,
                y.get_mut(to >> 2..(to + written) >> 2).unwrap_or_default(),
            )
        } else {
            let finite = one(step, x, to_y);
            let place = bytes_mut(y).get_mut(to..to + written);
            copy(bytes(to_y).get(..written), place.unwrap_or_default());
            finite
        };
        if !finite {
            return false;
        }
        (from, to) = (from + read, to + written);
    }
    true
}

fn copy(from: Option<&[u8]>, to: &mut [u8]) {
    for (from, to) in from.unwrap_or(&[]).iter().zip(to) {
        *to = *from;
    }
}
