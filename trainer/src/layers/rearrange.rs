//! Layers that take values of a sample in another order, leave some out or repeat them: `Permute`,
//! `RepeatVector`, `ZeroPadding1D`, `Cropping1D`, `UpSampling1D`, and `x[:, 1:3]` in a Functional model.

use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{Backward, Base, Built, Flow, Forward, OnDevice, Op, Weights};
use super::base::{layer_options, op_base, value_count};
use super::windows::{Windows, check_terms};
use crate::{Error, Result};

/// The axes of a sample in another order.
#[derive(Clone, Debug, PartialEq)]
pub struct Permute {
    /// The input's axis that each axis of the output is, counted from 1.
    pub dims: Vec<usize>,
    /// Name, trainable and the like.
    pub base: Base,
    windows: Windows,
}

/// A row of values, so many times: `[features]` to `[n, features]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RepeatVector {
    /// How often.
    pub n: usize,
    /// Name, trainable and the like.
    pub base: Base,
    windows: Windows,
}

/// Zeros before and after the steps of a sample of shape `[steps, features]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ZeroPadding1D {
    /// Steps before and after. Defaults to `[1, 1]`.
    pub padding: [usize; 2],
    /// Name, trainable and the like.
    pub base: Base,
    windows: Windows,
}

/// Without the first and last steps of a sample of shape `[steps, features]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cropping1D {
    /// Steps that are cut off at the start and at the end. Defaults to `[1, 1]`.
    pub cropping: [usize; 2],
    /// Name, trainable and the like.
    pub base: Base,
    windows: Windows,
}

/// Each step of a sample of shape `[steps, features]`, so many times.
#[derive(Clone, Debug, PartialEq)]
pub struct UpSampling1D {
    /// How often. Defaults to 2.
    pub size: usize,
    /// Name, trainable and the like.
    pub base: Base,
    windows: Windows,
}

/// Some values of a sample, as Python's `x[:, 2:5]` takes them in a Functional model.
#[derive(Clone, Debug, PartialEq)]
pub struct GetItem {
    /// What is taken along each axis, the batch axis first, which must be whole. What is not said
    /// is whole.
    pub key: Vec<Key>,
    /// Name, trainable and the like.
    pub base: Base,
    windows: Windows,
}

/// What is taken along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `start:stop:step`
    Slice {
        /// Defaults to the first, or to the last where the step is negative.
        start: Option<i64>,
        /// Not taken any more. Defaults to all that follow.
        stop: Option<i64>,
        /// Defaults to 1.
        step: Option<i64>,
    },
    /// One place, and the axis is gone.
    At(i64),
    /// `...`: all axes that the others do not say.
    Ellipsis,
}

layer_options!(Permute);
layer_options!(RepeatVector);
layer_options!(ZeroPadding1D);
layer_options!(Cropping1D);
layer_options!(UpSampling1D);
layer_options!(GetItem);

impl Permute {
    /// The axes in this order, counted from 1.
    pub fn new(dims: impl Into<Vec<usize>>) -> Self {
        Self {
            dims: dims.into(),
            base: Base::default(),
            windows: Windows::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        let expected = "the axes of a sample in another order, counted from 1";
        let dims = config.integers("dims")?.unwrap_or_default();
        let mut sorted = dims.clone();
        sorted.sort_unstable();
        if dims.is_empty() || !sorted.iter().copied().eq(1..=dims.len() as i64) {
            return Err(config.error("dims", expected));
        }
        Ok(Self {
            base: Base::from_config(config)?,
            ..Self::new(dims.into_iter().map(|dim| dim as usize).collect::<Vec<_>>()) // from 1 on
        })
    }

    fn shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        let mut sorted = self.dims.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(1..=input.len()) {
            return Err(Error::shape(format!(
                "Permute: dims are {:?} for samples of shape {input:?}, expected each number from 1 to {} once",
                self.dims,
                input.len()
            )));
        }
        Ok(self.dims.iter().map(|&dim| input[dim - 1]).collect())
    }

    fn windows(&self, input: &[usize]) -> Windows {
        let mut windows = Windows::new(input.iter().product());
        let strides = strides(input);
        let mut places = vec![0];
        for &dim in &self.dims {
            places = along(&places, 0..input[dim - 1], strides[dim - 1]);
        }
        places.into_iter().for_each(|place| windows.push(place));
        windows
    }
}

/// How far two neighbours of each axis lie apart.
fn strides(shape: &[usize]) -> Vec<usize> {
    let after = |axis: usize| shape[axis + 1..].iter().product();
    (0..shape.len()).map(after).collect()
}

/// Each place with every step along one more axis.
fn along(
    places: &[usize],
    steps: impl Iterator<Item = usize> + Clone,
    stride: usize,
) -> Vec<usize> {
    let each = |&place: &usize| steps.clone().map(move |step| place + step * stride);
    places.iter().flat_map(each).collect()
}

impl RepeatVector {
    /// A row of values, so many times.
    pub fn new(n: usize) -> Self {
        Self {
            n,
            base: Base::default(),
            windows: Windows::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        Ok(Self {
            base: Base::from_config(config)?,
            ..Self::new(config.positive("n")?)
        })
    }

    fn shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        match input {
            &[features] if self.n > 0 => Ok(vec![self.n, features]),
            _ => Err(Error::shape(format!(
                "RepeatVector: samples have the shape {input:?} and n is {}, expected one axis and a positive n; flatten the samples first",
                self.n
            ))),
        }
    }

    fn windows(&self, input: &[usize]) -> Windows {
        let count = input.iter().product();
        let mut windows = Windows::new(count);
        (0..self.n).for_each(|_| (0..count).for_each(|place| windows.push(place)));
        windows
    }
}

/// Steps and features of a sample, or why there are none.
fn steps(class: &str, input: &[usize]) -> Result<(usize, usize)> {
    match input {
        &[steps, features] => Ok((steps, features)),
        _ => Err(Error::shape(format!(
            "{class}: samples have the shape {input:?}, expected [steps, features]; reshape them"
        ))),
    }
}

/// One number for both ends, or two.
fn ends(config: &Config, key: &str) -> Result<[usize; 2]> {
    let expected = "a whole number from 0, or two of them";
    let size = |&size: &i64| usize::try_from(size).map_err(|_| config.error(key, expected));
    match config.integers(key)?.as_deref() {
        None => Ok([1, 1]),
        Some([both]) => Ok([size(both)?; 2]),
        Some([first, last]) => Ok([size(first)?, size(last)?]),
        Some(_) => Err(config.error(key, expected)),
    }
}

impl ZeroPadding1D {
    /// So many steps of zeros before and after.
    pub fn new(before: usize, after: usize) -> Self {
        Self {
            padding: [before, after],
            base: Base::default(),
            windows: Windows::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        super::channels_last(config)?;
        let [before, after] = ends(config, "padding")?;
        Ok(Self {
            base: Base::from_config(config)?,
            ..Self::new(before, after)
        })
    }

    fn shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        let (steps, features) = steps("ZeroPadding1D", input)?;
        let [before, after] = self.padding;
        let all = before
            .checked_add(steps)
            .and_then(|all| all.checked_add(after));
        match all {
            Some(all) => Ok(vec![all, features]),
            None => Err(Error::shape(format!(
                "ZeroPadding1D: padding is {:?}, expected less",
                self.padding
            ))),
        }
    }

    fn windows(&self, input: &[usize]) -> Windows {
        let (count, features) = (input.iter().product(), input[1]);
        let mut windows = Windows::new(count);
        let zeros = |windows: &mut Windows, steps: usize| {
            (0..steps * features).for_each(|_| windows.push_zero());
        };
        zeros(&mut windows, self.padding[0]);
        (0..count).for_each(|place| windows.push(place));
        zeros(&mut windows, self.padding[1]);
        windows
    }
}

impl Cropping1D {
    /// Without so many steps at the start and at the end.
    pub fn new(start: usize, end: usize) -> Self {
        Self {
            cropping: [start, end],
            base: Base::default(),
            windows: Windows::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        let [start, end] = ends(config, "cropping")?;
        Ok(Self {
            base: Base::from_config(config)?,
            ..Self::new(start, end)
        })
    }

    fn shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        let (steps, features) = steps("Cropping1D", input)?;
        let [start, end] = self.cropping;
        let left = steps
            .checked_sub(start)
            .and_then(|left| left.checked_sub(end));
        match left.filter(|&left| left > 0) {
            Some(left) => Ok(vec![left, features]),
            None => Err(Error::shape(format!(
                "Cropping1D: cropping {:?} leaves nothing of {steps} steps, expected less",
                self.cropping
            ))),
        }
    }

    fn windows(&self, input: &[usize]) -> Windows {
        let features = input[1];
        let mut windows = Windows::new(input.iter().product());
        let kept = self.cropping[0] * features..(input[0] - self.cropping[1]) * features;
        kept.for_each(|place| windows.push(place));
        windows
    }
}

impl UpSampling1D {
    /// Each step so many times.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            base: Base::default(),
            windows: Windows::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        let size = match config.get("size") {
            None => 2,
            Some(_) => config.positive("size")?,
        };
        Ok(Self {
            base: Base::from_config(config)?,
            ..Self::new(size)
        })
    }

    fn shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        let (steps, features) = steps("UpSampling1D", input)?;
        match steps.checked_mul(self.size).filter(|&all| all > 0) {
            Some(all) => Ok(vec![all, features]),
            None => Err(Error::shape(format!(
                "UpSampling1D: size is {}, expected a positive integer that the steps can be multiplied by",
                self.size
            ))),
        }
    }

    fn windows(&self, input: &[usize]) -> Windows {
        let features = input[1];
        let mut windows = Windows::new(input.iter().product());
        for step in 0..input[0] {
            for _ in 0..self.size {
                (0..features).for_each(|i| windows.push(step * features + i));
            }
        }
        windows
    }
}

impl GetItem {
    /// What is taken along each axis, the batch axis first.
    pub fn new(key: impl Into<Vec<Key>>) -> Self {
        Self {
            key: key.into(),
            base: Base::default(),
            windows: Windows::default(),
        }
    }

    /// `key` is what Keras calls the operation with, put into its config by
    /// [`operations`](super::operations).
    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        let expected = "slices such as [:, 1:3], whole numbers and \"...\"";
        let key = config
            .get("key")
            .ok_or_else(|| config.error("key", expected))?;
        let key = match key {
            Value::Array(list) => list.iter().map(Key::from_json).collect(),
            one => Key::from_json(one).map(|one| vec![one]),
        };
        Ok(Self {
            base: Base::from_config(config)?,
            ..Self::new(key.ok_or_else(|| config.error("key", expected))?)
        })
    }

    /// The places that are taken along each axis of a sample; the size is none where the axis is gone.
    fn taken(&self, input: &[usize]) -> Result<Vec<(Vec<usize>, bool)>> {
        let wrong = |what: String| {
            Error::shape(format!(
                "{:?} takes {} of samples of shape {input:?}, {what}",
                self.base.name(),
                self.text()
            ))
        };
        let said = self.key.iter().filter(|key| **key != Key::Ellipsis).count();
        if said > input.len() + 1 {
            return Err(wrong(format!("expected at most {} axes", input.len() + 1)));
        }
        let missing = input.len() + 1 - said;
        let whole = Key::Slice {
            start: None,
            stop: None,
            step: None,
        };
        let mut keys = Vec::new();
        for &key in &self.key {
            match key {
                Key::Ellipsis => keys.extend(std::iter::repeat_n(whole, missing)),
                key => keys.push(key),
            }
        }
        keys.resize(input.len() + 1, whole);
        match keys[0] {
            Key::Slice {
                start: None | Some(0),
                stop: None,
                step: None | Some(1),
            } => {}
            _ => {
                return Err(wrong(
                    "which are rows of a batch, expected all of them: begin with \":\"".into(),
                ));
            }
        }
        let mut taken = Vec::new();
        for (&key, &size) in keys[1..].iter().zip(input) {
            let places = key
                .places(size)
                .ok_or_else(|| wrong("expected places within them".into()))?;
            taken.push((places, matches!(key, Key::At(_))));
        }
        Ok(taken)
    }

    fn text(&self) -> String {
        let keys: Vec<String> = self.key.iter().map(|key| key.text()).collect();
        format!("[{}]", keys.join(", "))
    }

    fn shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        let taken = self.taken(input)?;
        let kept = taken.iter().filter(|(_, gone)| !gone);
        Ok(kept.map(|(places, _)| places.len()).collect())
    }

    fn windows(&self, input: &[usize]) -> Windows {
        let mut windows = Windows::new(input.iter().product());
        let mut places = vec![0];
        let taken = self.taken(input).unwrap_or_default();
        for ((steps, _), stride) in taken.iter().zip(strides(input)) {
            places = along(&places, steps.iter().copied(), stride);
        }
        places.into_iter().for_each(|place| windows.push(place));
        windows
    }
}

impl Key {
    fn from_json(value: &Value) -> Option<Self> {
        match value.get("class_name").and_then(Value::as_str) {
            None => value.as_i64().map(Self::At),
            Some("__ellipsis__") => Some(Self::Ellipsis),
            Some("__slice__") => {
                let end = |key: &str| match &value["config"][key] {
                    Value::Null => Some(None),
                    end => end.as_i64().map(Some),
                };
                Some(Self::Slice {
                    start: end("start")?,
                    stop: end("stop")?,
                    step: end("step")?,
                })
            }
            Some(_) => None,
        }
    }

    fn json(self) -> Value {
        match self {
            Self::At(place) => json!(place),
            Self::Ellipsis => json!({"class_name": "__ellipsis__", "config": {}}),
            Self::Slice { start, stop, step } => json!({"class_name": "__slice__",
                "config": {"start": start, "stop": stop, "step": step}}),
        }
    }

    fn text(self) -> String {
        let end = |end: Option<i64>| end.map_or(String::new(), |end| end.to_string());
        match self {
            Self::At(place) => place.to_string(),
            Self::Ellipsis => "...".into(),
            Self::Slice {
                start,
                stop,
                step: None | Some(1),
            } => format!("{}:{}", end(start), end(stop)),
            Self::Slice { start, stop, step } => {
                format!("{}:{}:{}", end(start), end(stop), end(step))
            }
        }
    }

    /// The places along an axis of this size; none where they lie beyond it, or are none at all.
    fn places(self, size: usize) -> Option<Vec<usize>> {
        let len = i64::try_from(size).ok()?;
        let from_start = |place: i64| {
            if place < 0 {
                place.saturating_add(len)
            } else {
                place
            }
        };
        let places: Vec<usize> = match self {
            Self::Ellipsis => return None,
            Self::At(place) => vec![
                usize::try_from(from_start(place))
                    .ok()
                    .filter(|&p| p < size)?,
            ],
            Self::Slice { start, stop, step } => {
                let step = step.unwrap_or(1);
                if step == 0 {
                    return None;
                }
                // As Python has it: what lies beyond is cut off.
                let (least, most) = if step > 0 { (0, len) } else { (-1, len - 1) };
                let (first, last) = if step > 0 { (0, len) } else { (len - 1, -1) };
                let start = start.map_or(first, |place| from_start(place).clamp(least, most));
                let stop = stop.map_or(last, |place| from_start(place).clamp(least, most));
                let mut places = Vec::new();
                let mut place = start;
                while (step > 0 && place < stop) || (step < 0 && place > stop) {
                    places.push(usize::try_from(place).ok()?);
                    place = place.saturating_add(step);
                }
                places
            }
        };
        (!places.is_empty()).then_some(places)
    }
}

/// [`Op`] of a layer that takes values of a sample by its windows.
macro_rules! rearranging_op {
    ($layer:ident, $self:ident, $config:ident => $extend:expr, build_config: $build_config:literal, $($method:tt)*) => {
        impl Op for $layer {
            op_base!();

            fn extend_config(&$self, $config: &mut Map<String, Value>) {
                $extend
            }

            fn has_build_config(&self) -> bool {
                $build_config
            }

            fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
                self.shape(input)
            }

            fn build(&mut self, input: &[usize], _weights: &mut Weights) -> Result<()> {
                check_terms(stringify!($layer), value_count(&self.shape(input)?))?;
                self.windows = self.windows(input);
                Ok(())
            }

            fn on_device(&self, _built: &Built) -> OnDevice {
                OnDevice::Sums(self.windows.clone())
            }

            fn flow(&self, _training: bool) -> Flow {
                Flow::Apart
            }

            fn forward(&self, pass: Forward) {
                self.windows.sums(pass);
            }

            fn backward(&self, pass: Backward) {
                self.windows.sums_backward(pass);
            }

            $($method)*
        }
    };
}

rearranging_op!(Permute, self, config => { config.insert("dims".into(), json!(self.dims)); },
    build_config: true,);
rearranging_op!(RepeatVector, self, config => { config.insert("n".into(), json!(self.n)); },
    build_config: true,);
rearranging_op!(ZeroPadding1D, self, config => {
    config.insert("padding".into(), json!(self.padding));
    config.insert("data_format".into(), json!("channels_last"));
}, build_config: true,);
rearranging_op!(Cropping1D, self, config => { config.insert("cropping".into(), json!(self.cropping)); },
    build_config: true,);
rearranging_op!(UpSampling1D, self, config => { config.insert("size".into(), json!(self.size)); },
    build_config: true,);
rearranging_op!(GetItem, self, _config => (), build_config: false,
fn config(&self) -> Value {
    json!({"name": self.base.name()})
}

fn other_keys(&self) -> &'static [&'static str] {
    &["key"]
}

fn more_arguments(&self) -> Vec<Value> {
    vec![self.key.iter().map(|key| key.json()).collect()]
});

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(key: &[Key], input: &[usize]) -> Result<(Vec<usize>, Vec<usize>)> {
        let layer = GetItem::new(key);
        let shape = layer.shape(input)?;
        let places = layer.windows(input);
        let places = places.rows().map(|terms| terms[0].input).collect();
        Ok((shape, places))
    }

    fn slice(start: Option<i64>, stop: Option<i64>, step: Option<i64>) -> Key {
        Key::Slice { start, stop, step }
    }

    #[test]
    fn keys_are_those_of_python() {
        let all = slice(None, None, None);
        // np.arange(6)[1:-1:2] is [1, 3]; [::-2] is [5, 3, 1]; [4:99] is [4, 5].
        for (key, places) in [
            (slice(Some(1), Some(-1), Some(2)), vec![1, 3]),
            (slice(None, None, Some(-2)), vec![5, 3, 1]),
            (slice(Some(4), Some(99), None), vec![4, 5]),
        ] {
            assert_eq!(
                taken(&[all, key], &[6]).unwrap(),
                (vec![places.len()], places)
            );
        }
        // np.arange(6).reshape(2, 3)[..., -1] is [2, 5].
        assert_eq!(
            taken(&[Key::Ellipsis, Key::At(-1)], &[2, 3]).unwrap(),
            (vec![2], vec![2, 5])
        );
        for wrong in [
            vec![Key::At(0)],
            vec![all, Key::At(6)],
            vec![all, slice(Some(3), Some(3), None)],
        ] {
            assert!(taken(&wrong, &[6]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn permuted_axes_lie_as_in_keras() {
        let layer = Permute::new([2, 1]);
        assert_eq!(layer.shape(&[2, 3]).unwrap(), [3, 2]);
        let windows = layer.windows(&[2, 3]);
        let places: Vec<usize> = windows.rows().map(|terms| terms[0].input).collect();
        // [[0, 1, 2], [3, 4, 5]] transposed.
        assert_eq!(places, [0, 3, 1, 4, 2, 5]);
    }
}
