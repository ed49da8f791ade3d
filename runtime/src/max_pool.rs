//! The maximum of each window of a sample: Keras' MaxPooling and GlobalMaxPooling along one axis.

use crate::error::What;
use crate::float;
use crate::layer::{Step, words::first_words};

/// How the windows lie: the values are `blocks` blocks of `steps` rows of `channels` values. Window w of a block
/// has `size` of its rows from `w * stride - before` on, but for those beyond its ends.
#[derive(Clone, Copy)]
struct Numbers {
    blocks: u32,
    steps: u32,
    channels: u32,
    windows: u32,
    size: u32,
    stride: u32,
    before: u32,
}

impl Numbers {
    fn of(step: &Step) -> Self {
        let [blocks, steps, channels, windows, size, stride, before] =
            first_words::<7>(step.blocks);
        Self {
            blocks,
            steps,
            channels,
            windows,
            size,
            stride,
            before,
        }
    }
}

/// What is wrong with a layer: what of it, what would be right, what was found.
#[inline(never)]
pub(crate) fn wrong(step: &Step) -> Option<(What, usize, usize)> {
    let numbers = Numbers::of(step);
    // Numbers below 2^16: two of them, and one more, are below 2^32.
    let most = u32::from(u16::MAX);
    let product = |count: u32| {
        let channels = numbers.blocks.min(most) * numbers.channels.min(most);
        channels.saturating_mul(count) as usize
    };
    let [inputs, units] = [numbers.steps, numbers.windows].map(product);
    if inputs != step.inputs {
        return Some((What::Inputs, step.inputs, inputs));
    }
    if units != step.layer.units() {
        return Some((What::Units, units, step.layer.units()));
    }
    // No window may be empty: not the first, nor the last.
    let (size, stride, before) = (numbers.size, numbers.stride, numbers.before);
    let greatest = size.max(stride);
    if greatest > most || before >= size {
        return Some((What::Weights, most as usize, greatest as usize));
    }
    let last = (numbers.windows - 1) * stride;
    if last >= numbers.steps + before {
        let found = last as usize;
        return Some((What::Weights, (numbers.steps + before) as usize, found));
    }
    None
}

/// Runs a layer.
///
/// # Shapes
///
/// * `x` - `[inputs]`
/// * `y` - `[units]`; may be longer
#[inline(never)]
pub(crate) fn max_pool(step: &Step, mut x: &[f32], y: &mut [f32]) {
    let numbers = Numbers::of(step);
    let channels = numbers.channels as usize;
    let mut y = y.iter_mut();
    for _ in 0..numbers.blocks {
        let block = numbers.steps as usize * channels;
        let Some((of_block, rest)) = x.split_at_checked(block) else {
            return;
        };
        x = rest;
        for window in 0..numbers.windows {
            let from = window * numbers.stride;
            let until = (from + numbers.size - numbers.before).min(numbers.steps);
            let from = from.saturating_sub(numbers.before);
            for channel in 0..channels {
                let mut most = f32::NEG_INFINITY;
                let mut place = from as usize * channels + channel;
                for _ in from..until {
                    most = float::larger(most, of_block.get(place).copied().unwrap_or(most));
                    place += channels;
                }
                if let Some(y) = y.next() {
                    *y = most;
                }
            }
        }
    }
}
