//! Means and greatest values of windows of a sample: `AveragePooling1D`, `MaxPooling1D` and theirs of two
//! dimensions, and those over all of a sample.

use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{Backward, Base, Built, Flow, Forward, MaxPoolStep, OnDevice, Op, Weights};
use super::base::{layer_options, op_base, value_count};
use super::windows::{Ties, Windows, check_terms};
use crate::{Error, Result};

/// Whether windows reach beyond a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// No window reaches beyond, and what is left at the end is not seen.
    #[default]
    Valid,
    /// As many windows as strides fit; what lies beyond the sample does not count.
    Same,
}

impl Padding {
    fn from_config(config: &Config) -> Result<Self> {
        match config.string("padding")?.as_deref() {
            None | Some("valid") => Ok(Self::Valid),
            Some("same") => Ok(Self::Same),
            Some(_) => Err(config.error("padding", "\"valid\" or \"same\"")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Same => "same",
        }
    }
}

/// The windows along one axis.
struct Axis {
    steps: usize,
    size: usize,
    stride: usize,
    /// Steps of the first window before the sample.
    before: usize,
    count: usize,
}

impl Axis {
    /// None where there are no windows.
    fn new(steps: usize, size: usize, stride: usize, padding: Padding) -> Option<Self> {
        if size == 0 || stride == 0 || steps == 0 {
            return None;
        }
        let (count, before) = match padding {
            Padding::Valid => (steps.checked_sub(size)? / stride + 1, 0),
            Padding::Same => {
                let count = steps.div_ceil(stride);
                let beyond = ((count - 1) * stride)
                    .checked_add(size)?
                    .saturating_sub(steps);
                (count, beyond / 2)
            }
        };
        Some(Self {
            steps,
            size,
            stride,
            before,
            count,
        })
    }

    /// The first step of each window, and one behind the last.
    fn spans(&self) -> impl ExactSizeIterator<Item = (usize, usize)> {
        (0..self.count).map(|i| {
            let start = i * self.stride;
            (
                start.saturating_sub(self.before),
                (start + self.size - self.before).min(self.steps),
            )
        })
    }
}

/// One number for all dimensions, or one for each.
fn sizes<const N: usize>(config: &Config, key: &str) -> Result<Option<[usize; N]>> {
    let expected = || match N {
        1 => config.error(key, "a positive integer"),
        _ => config.error(key, "a positive integer, or two of them"),
    };
    let Some(given) = config.integers(key)? else {
        return Ok(None);
    };
    let positive = |&size: &i64| usize::try_from(size).ok().filter(|&size| size > 0);
    let given: Option<Vec<usize>> = given.iter().map(positive).collect();
    match given.as_deref() {
        Some(&[one]) => Ok(Some([one; N])),
        Some(each) => each.try_into().map(Some).map_err(|_| expected()),
        None => Err(expected()),
    }
}

fn sums_on_device(windows: &Windows) -> OnDevice {
    OnDevice::Sums(windows.clone())
}

fn greatest_on_device(windows: &Windows) -> OnDevice {
    OnDevice::MaxPool(windows.axes.clone())
}

/// The passes of a layer whose `windows` are made when it is built.
macro_rules! over_windows {
    ($device:expr, $forward:ident, $backward:expr) => {
        fn on_device(&self, _built: &Built) -> OnDevice {
            $device(&self.windows)
        }

        fn flow(&self, _training: bool) -> Flow {
            Flow::Apart
        }

        fn forward(&self, pass: Forward) {
            self.windows.$forward(pass);
        }

        fn backward(&self, pass: Backward) {
            $backward(&self.windows, pass);
        }
    };
}

macro_rules! pooling {
    ($class:ident, $name:literal, $dimensions:literal, $what:literal, $device:expr, $forward:ident, $backward:expr) => {
        #[doc = concat!("The ", $what, " of each window of a sample, channel by channel.")]
        #[derive(Clone, Debug, PartialEq)]
        pub struct $class {
            /// Steps of a window along each axis but the last, that of the channels.
            pub pool_size: [usize; $dimensions],
            /// Steps from one window to the next. Defaults to `pool_size`.
            pub strides: [usize; $dimensions],
            /// Defaults to `Valid`.
            pub padding: Padding,
            /// Name, trainable and the like.
            pub base: Base,
            windows: Windows,
        }

        layer_options!($class);

        impl $class {
            /// Windows of this size, side by side.
            pub fn new(pool_size: [usize; $dimensions]) -> Self {
                Self {
                    pool_size,
                    strides: pool_size,
                    padding: Padding::Valid,
                    base: Base::default(),
                    windows: Windows::default(),
                }
            }

            pub(crate) fn from_config(config: &Config) -> Result<Self> {
                super::channels_last(config)?;
                let pool_size = sizes(config, "pool_size")?.unwrap_or([2; $dimensions]);
                Ok(Self {
                    strides: sizes(config, "strides")?.unwrap_or(pool_size),
                    padding: Padding::from_config(config)?,
                    base: Base::from_config(config)?,
                    ..Self::new(pool_size)
                })
            }

            /// The windows along each axis, and the channels.
            fn axes(&self, input: &[usize]) -> Result<(Vec<Axis>, usize)> {
                let wrong = || {
                    Error::shape(format!(
                        "{}: samples have the shape {input:?}, expected {} axes before the channels, each of at least the pool_size {:?}",
                        $name, $dimensions, self.pool_size
                    ))
                };
                let (&channels, axes) = input.split_last().ok_or_else(wrong)?;
                if axes.len() != $dimensions {
                    return Err(wrong());
                }
                let each = axes.iter().zip(self.pool_size).zip(self.strides);
                let each = each.map(|((&steps, size), stride)| Axis::new(steps, size, stride, self.padding));
                Ok((each.collect::<Option<_>>().ok_or_else(wrong)?, channels))
            }
        }

        impl Op for $class {
            op_base!();

            fn extend_config(&self, config: &mut Map<String, Value>) {
                config.insert("pool_size".into(), json!(self.pool_size));
                config.insert("padding".into(), json!(self.padding.name()));
                config.insert("strides".into(), json!(self.strides));
                config.insert("data_format".into(), json!("channels_last"));
            }

            fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
                let (axes, channels) = self.axes(input)?;
                Ok(axes.iter().map(|axis| axis.count).chain([channels]).collect())
            }

            fn build(&mut self, input: &[usize], _weights: &mut Weights) -> Result<()> {
                let (axes, channels) = self.axes(input)?;
                let terms = axes.iter().map(|axis| axis.spans().map(|(from, until)| until - from).sum());
                let terms: Vec<usize> = terms.chain([channels]).collect();
                check_terms($name, value_count(&terms))?;
                self.windows = windows(&axes, input, channels);
                Ok(())
            }

            over_windows!($device, $forward, $backward);
        }
    };
}

/// Every combination of the axes' windows, channel by channel.
fn windows(axes: &[Axis], input: &[usize], channels: usize) -> Windows {
    let mut windows = Windows::new(input.iter().product());
    // From the last axis on, so that those behind have as many steps as windows.
    let mut row = channels;
    for (place, axis) in axes.iter().enumerate().rev() {
        windows.axes.push(MaxPoolStep {
            blocks: input[..place].iter().product(),
            steps: axis.steps,
            channels: row,
            windows: axis.count,
            size: axis.size,
            stride: axis.stride,
            before: axis.before,
        });
        row *= axis.count;
    }
    // The starts of the rows of channels in each window.
    let mut starts = vec![vec![0]];
    for (place, axis) in axes.iter().enumerate() {
        let stride: usize = input[place + 1..].iter().product();
        let mut finer = Vec::with_capacity(starts.len() * axis.count);
        for places in &starts {
            for (from, until) in axis.spans() {
                let each = |&place: &usize| (from..until).map(move |step| place + step * stride);
                finer.push(places.iter().flat_map(each).collect());
            }
        }
        starts = finer;
    }
    for places in &starts {
        for channel in 0..channels {
            windows.push_mean(places.iter().map(|place| place + channel));
        }
    }
    windows
}

pooling!(
    AveragePooling1D,
    "AveragePooling1D",
    1,
    "mean",
    sums_on_device,
    sums,
    Windows::sums_backward
);
pooling!(
    AveragePooling2D,
    "AveragePooling2D",
    2,
    "mean",
    sums_on_device,
    sums,
    Windows::sums_backward
);
pooling!(
    MaxPooling1D,
    "MaxPooling1D",
    1,
    "greatest value",
    greatest_on_device,
    greatest,
    |windows: &Windows, pass| windows.greatest_backward(pass, Ties::First)
);
pooling!(
    MaxPooling2D,
    "MaxPooling2D",
    2,
    "greatest value",
    greatest_on_device,
    greatest,
    |windows: &Windows, pass| windows.greatest_backward(pass, Ties::First)
);

macro_rules! global_pooling {
    ($class:ident, $name:literal, $dimensions:literal, $what:literal, $device:expr, $forward:ident, $backward:expr) => {
        #[doc = concat!("The ", $what, " of each channel over all of a sample.")]
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $class {
            /// Whether the axes stay, of size 1. Defaults to false.
            pub keepdims: bool,
            /// Name, trainable and the like.
            pub base: Base,
            windows: Windows,
        }

        layer_options!($class);

        impl $class {
            /// One value for each channel.
            pub fn new() -> Self {
                Self::default()
            }

            pub(crate) fn from_config(config: &Config) -> Result<Self> {
                super::channels_last(config)?;
                Ok(Self {
                    keepdims: config.bool("keepdims", false)?,
                    base: Base::from_config(config)?,
                    ..Self::new()
                })
            }
        }

        impl Op for $class {
            op_base!();

            fn extend_config(&self, config: &mut Map<String, Value>) {
                config.insert("data_format".into(), json!("channels_last"));
                config.insert("keepdims".into(), json!(self.keepdims));
            }

            fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
                match input {
                    [axes @ .., channels] if axes.len() == $dimensions => {
                        let kept = if self.keepdims { $dimensions } else { 0 };
                        Ok([&vec![1; kept][..], &[*channels]].concat())
                    }
                    _ => Err(Error::shape(format!(
                        "{}: samples have the shape {input:?}, expected {} axes before the channels; reshape them",
                        $name, $dimensions
                    ))),
                }
            }

            fn build(&mut self, input: &[usize], _weights: &mut Weights) -> Result<()> {
                check_terms($name, value_count(input))?;
                let channels = input.last().copied().unwrap_or_default();
                let whole = input.iter().take($dimensions);
                let whole = whole.filter_map(|&steps| Axis::new(steps, steps, 1, Padding::Valid));
                let whole: Vec<Axis> = whole.collect();
                self.windows = windows(&whole, input, channels);
                Ok(())
            }

            over_windows!($device, $forward, $backward);
        }
    };
}

global_pooling!(
    GlobalAveragePooling1D,
    "GlobalAveragePooling1D",
    1,
    "mean",
    sums_on_device,
    sums,
    Windows::sums_backward
);
global_pooling!(
    GlobalAveragePooling2D,
    "GlobalAveragePooling2D",
    2,
    "mean",
    sums_on_device,
    sums,
    Windows::sums_backward
);
global_pooling!(
    GlobalMaxPooling1D,
    "GlobalMaxPooling1D",
    1,
    "greatest value",
    greatest_on_device,
    greatest,
    |windows: &Windows, pass| windows.greatest_backward(pass, Ties::Alike)
);
global_pooling!(
    GlobalMaxPooling2D,
    "GlobalMaxPooling2D",
    2,
    "greatest value",
    greatest_on_device,
    greatest,
    |windows: &Windows, pass| windows.greatest_backward(pass, Ties::Alike)
);

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(
        steps: usize,
        size: usize,
        stride: usize,
        padding: Padding,
    ) -> Option<Vec<(usize, usize)>> {
        Some(Axis::new(steps, size, stride, padding)?.spans().collect())
    }

    #[test]
    fn same_windows_lie_around_the_sample_as_in_keras() {
        // 5 steps, windows of 3 every 2: one step of padding at each end.
        assert_eq!(
            spans(5, 3, 2, Padding::Same),
            Some(vec![(0, 2), (1, 4), (3, 5)])
        );
        assert_eq!(spans(5, 3, 2, Padding::Valid), Some(vec![(0, 3), (2, 5)]));
        // An odd one lies at the end.
        assert_eq!(
            spans(4, 2, 1, Padding::Same),
            Some(vec![(0, 2), (1, 3), (2, 4), (3, 4)])
        );
        assert_eq!(spans(2, 3, 1, Padding::Valid), None);
    }
}
