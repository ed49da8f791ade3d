//! `CategoryEncoding` and `Discretization`: numbers as categories, categories as zeros and ones.

use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{Backward, Base, Built, Flow, Forward, MaxPoolStep, OnDevice, Op, Weights};
use super::base::{layer_options, op_base, value_count};
use super::lookup::{LookupStep, category};
use super::windows::Windows;
use crate::{Error, Result};

/// What becomes of categories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputMode {
    /// Their numbers.
    Int,
    /// A 1 at the category's place for each value; an axis of size 1 becomes that of the categories.
    OneHot,
    /// For all values of a sample together, a 1 at the place of each category that is there.
    #[default]
    MultiHot,
    /// For all values of a sample together, how often each category is there.
    Count,
}

/// Whose zeros and ones are in the flash of a device: their square in bytes.
const MOST_TOKENS: usize = 256;

/// Keras' names.
const MODES: [(&str, OutputMode); 4] = [
    ("int", OutputMode::Int),
    ("one_hot", OutputMode::OneHot),
    ("multi_hot", OutputMode::MultiHot),
    ("count", OutputMode::Count),
];

impl OutputMode {
    fn from_config(config: &Config, class: &str, default: Self) -> Result<Self> {
        let Some(name) = config.string("output_mode")? else {
            return Ok(default);
        };
        let known = MODES
            .iter()
            .filter(|(_, mode)| class != "CategoryEncoding" || *mode != Self::Int);
        let names: Vec<&str> = known.clone().map(|(name, _)| *name).collect();
        let found = known.clone().find(|(known, _)| *known == name);
        let error = || config.error("output_mode", &format!("one of {}", names.join(", ")));
        found.map(|(_, mode)| *mode).ok_or_else(error)
    }

    fn name(self) -> &'static str {
        MODES
            .iter()
            .find(|(_, mode)| *mode == self)
            .map_or("", |(name, _)| name)
    }

    /// The shape of samples of so many categories.
    fn shape(self, class: &str, input: &[usize], tokens: usize) -> Result<Vec<usize>> {
        match (self, input) {
            (Self::Int, input) => Ok(input.to_vec()),
            (Self::OneHot, [rest @ .., 1]) => Ok([rest, &[tokens]].concat()),
            (Self::OneHot, input) => Ok([input, &[tokens]].concat()),
            (Self::MultiHot | Self::Count, &[_]) => Ok(vec![tokens]),
            (Self::MultiHot | Self::Count, input) => Err(Error::shape(format!(
                "{class}: output_mode is {:?} and samples have the shape {input:?}, expected one axis; flatten them first",
                self.name()
            ))),
        }
    }

    /// The outputs of categories, row by row; none gives zeros.
    fn encode(
        self,
        found: impl Iterator<Item = Option<usize>>,
        inputs: usize,
        tokens: usize,
        y: &mut [f32],
    ) {
        if self == Self::Int {
            for (y, found) in y.iter_mut().zip(found) {
                *y = found.unwrap_or_default() as f32; // a small number
            }
            return;
        }
        y.fill(0.0);
        for (at, found) in found.enumerate() {
            let Some(found) = found else { continue };
            let group = if self == Self::OneHot {
                at
            } else {
                at / inputs
            };
            let y = &mut y[group * tokens + found];
            *y = if self == Self::Count { *y + 1.0 } else { 1.0 };
        }
    }

    fn on_device(self, inputs: usize, bounds: Vec<f64>, tokens: usize) -> OnDevice {
        if self == Self::Int {
            return OnDevice::Lookup(LookupStep {
                inputs,
                bounds,
                units: 1,
                table: (0..tokens).map(|token| token as f64).collect(), // small numbers
                zeros: false,
                scale: (tokens <= 128).then_some(1.0),
                rounds: false,
            });
        }
        if tokens > MOST_TOKENS {
            return OnDevice::Refused("take at most 256 categories, or an Embedding in its place");
        }
        let one_hot = OnDevice::Lookup(LookupStep::one_hot(inputs, bounds, tokens));
        let together = match self {
            _ if inputs == 1 => return one_hot,
            Self::Int | Self::OneHot => return one_hot,
            Self::MultiHot => OnDevice::MaxPool(vec![MaxPoolStep {
                blocks: 1,
                steps: inputs,
                channels: tokens,
                windows: 1,
                size: inputs,
                stride: 1,
                before: 0,
            }]),
            Self::Count => {
                let mut windows = Windows::new(inputs * tokens);
                for token in 0..tokens {
                    windows.push_sum((0..inputs).map(|input| input * tokens + token));
                }
                OnDevice::Sums(windows)
            }
        };
        OnDevice::Steps(vec![one_hot, together])
    }
}

/// The numbers of categories, from 0 to `num_tokens` - 1, as zeros and ones. Others give zeros, as in Keras.
#[derive(Clone, Debug, PartialEq)]
pub struct CategoryEncoding {
    /// How many categories there are.
    pub num_tokens: usize,
    /// Defaults to [`OutputMode::MultiHot`]; not [`OutputMode::Int`].
    pub output_mode: OutputMode,
    /// Name, trainable and the like.
    pub base: Base,
    inputs: usize,
}

/// Numbers as categories: the first below the first boundary, each next one from a boundary on.
#[derive(Clone, Debug, PartialEq)]
pub struct Discretization {
    /// Ascending.
    pub bin_boundaries: Vec<f64>,
    /// Defaults to [`OutputMode::Int`].
    pub output_mode: OutputMode,
    /// Name, trainable and the like.
    pub base: Base,
    inputs: usize,
}

layer_options!(CategoryEncoding);
layer_options!(Discretization);

impl CategoryEncoding {
    /// So many categories.
    pub fn new(num_tokens: usize, output_mode: OutputMode) -> Self {
        Self {
            num_tokens,
            output_mode,
            base: Base::default(),
            inputs: 0,
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        not_sparse(config)?;
        let mode = OutputMode::from_config(config, "CategoryEncoding", OutputMode::MultiHot)?;
        Ok(Self {
            base: Base::from_config(config)?,
            ..Self::new(config.positive("num_tokens")?, mode)
        })
    }
}

impl Discretization {
    /// Numbers by these boundaries.
    pub fn new(bin_boundaries: impl Into<Vec<f64>>) -> Self {
        Self {
            bin_boundaries: bin_boundaries.into(),
            output_mode: OutputMode::Int,
            base: Base::default(),
            inputs: 0,
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        not_sparse(config)?;
        let expected = "ascending numbers; call adapt in Keras before saving";
        let bounds = config.numbers("bin_boundaries")?.unwrap_or_default();
        if bounds.is_empty() || !bounds.is_sorted_by(|a, b| a < b) {
            return Err(config.error("bin_boundaries", expected));
        }
        Ok(Self {
            output_mode: OutputMode::from_config(config, "Discretization", OutputMode::Int)?,
            base: Base::from_config(config)?,
            ..Self::new(bounds)
        })
    }

    fn bins(&self) -> usize {
        self.bin_boundaries.len() + 1
    }

    /// The boundaries as Keras compares with them, in f32.
    fn bounds(&self) -> Vec<f64> {
        self.bin_boundaries
            .iter()
            .map(|&b| f64::from(b as f32))
            .collect()
    }
}

fn not_sparse(config: &Config) -> Result<()> {
    match config.bool("sparse", false)? {
        true => Err(config.error("sparse", "false")),
        false => Ok(()),
    }
}

/// What both do in training: nothing is learnt, and a category has no slope.
macro_rules! encoding {
    () => {
        fn has_build_config(&self) -> bool {
            true
        }

        fn build(&mut self, input: &[usize], _weights: &mut Weights) -> Result<()> {
            self.inputs = value_count(input).unwrap_or_default();
            Ok(())
        }

        fn flow(&self, _training: bool) -> Flow {
            Flow::Apart
        }

        fn backward(&self, pass: Backward) {
            if let Some(dx) = pass.dx {
                dx.fill(0.0);
            }
        }
    };
}

impl Op for CategoryEncoding {
    op_base!();
    encoding!();

    fn on_device(&self, _built: &Built) -> OnDevice {
        self.output_mode
            .on_device(self.inputs, Vec::new(), self.num_tokens)
    }

    fn extend_config(&self, config: &mut Map<String, Value>) {
        config.insert("num_tokens".into(), json!(self.num_tokens));
        config.insert("output_mode".into(), json!(self.output_mode.name()));
    }

    fn other_keys(&self) -> &'static [&'static str] {
        &["sparse"]
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        if self.num_tokens == 0 || self.output_mode == OutputMode::Int {
            return Err(Error::shape(format!(
                "CategoryEncoding: num_tokens is {} and output_mode {:?}, expected a positive integer and one_hot, multi_hot or count",
                self.num_tokens,
                self.output_mode.name()
            )));
        }
        self.output_mode
            .shape("CategoryEncoding", input, self.num_tokens)
    }

    fn forward(&self, pass: Forward) {
        let tokens = self.num_tokens;
        let found = pass.x.iter().map(|&x| category(x.into(), tokens));
        self.output_mode.encode(found, self.inputs, tokens, pass.y);
    }
}

impl Op for Discretization {
    op_base!();
    encoding!();

    fn on_device(&self, _built: &Built) -> OnDevice {
        self.output_mode
            .on_device(self.inputs, self.bounds(), self.bins())
    }

    fn extend_config(&self, config: &mut Map<String, Value>) {
        let entries = [
            ("bin_boundaries", json!(self.bin_boundaries)),
            ("num_bins", Value::Null),
            ("epsilon", json!(0.01)),
            ("output_mode", json!(self.output_mode.name())),
            ("sparse", json!(false)),
        ];
        config.extend(entries.map(|(key, value)| (key.to_string(), value)));
        // Keras' class takes no `trainable`, and the type by its name.
        config.remove("trainable");
        config.insert("dtype".into(), json!("float32"));
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        let bounds = &self.bin_boundaries;
        if bounds.is_empty() || !bounds.is_sorted_by(|a, b| a < b) {
            return Err(Error::shape(format!(
                "Discretization: bin_boundaries are {bounds:?}, expected at least one, in ascending order"
            )));
        }
        self.output_mode.shape("Discretization", input, self.bins())
    }

    fn forward(&self, pass: Forward) {
        let bounds = &self.bin_boundaries;
        let found = |&x: &f32| Some(bounds.partition_point(|&bound| bound as f32 <= x));
        let found = pass.x.iter().map(found);
        self.output_mode
            .encode(found, self.inputs, self.bins(), pass.y);
    }
}
