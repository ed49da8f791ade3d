//! Layers that are random in training and the identity otherwise: `Dropout`, `AlphaDropout`,
//! `GaussianNoise`, `GaussianDropout`.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{Backward, Base, Built, Flow, Forward, OnDevice, Op, Scratch, Weights};
use super::base::{layer_options, op_base};
use crate::{Error, Result};

/// Sets a fraction of its inputs to 0 in training and scales the others by `1 / (1 - rate)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    /// Fraction to drop, `0..=1`.
    pub rate: f64,
    /// Kept for the config; the masks come from the seed of `fit`. Defaults to none.
    pub seed: Option<u64>,
    /// Which values share what is drawn, the batch axis first: 1 along an axis draws once for all of
    /// it, none is the axis' own size. Defaults to each value for itself.
    pub noise_shape: Option<Vec<Option<usize>>>,
    /// Shape of a sample, once built.
    sample: Vec<usize>,
    /// Name, trainable and the like.
    pub base: Base,
}

/// Sets a fraction of its inputs to selu's lower limit in training, and scales and shifts all so
/// that mean 0 and variance 1 stay (Klambauer et al., "Self-Normalizing Neural Networks", 2017).
#[derive(Clone, Debug, PartialEq)]
pub struct AlphaDropout {
    /// Fraction to drop, `0..=1`; training with 1 is refused.
    pub rate: f64,
    /// Kept for the config; the masks come from the seed of `fit`. Defaults to none.
    pub seed: Option<u64>,
    /// Which values share what is drawn, the batch axis first: 1 along an axis draws once for all of
    /// it, none is the axis' own size. Defaults to each value for itself.
    pub noise_shape: Option<Vec<Option<usize>>>,
    /// Shape of a sample, once built.
    sample: Vec<usize>,
    /// Name, trainable and the like.
    pub base: Base,
}

/// Adds normal noise in training.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianNoise {
    /// Standard deviation of the noise, `0..=1`.
    pub stddev: f64,
    /// Kept for the config; the noise comes from the seed of `fit`. Defaults to none.
    pub seed: Option<u64>,
    /// Name, trainable and the like.
    pub base: Base,
}

/// Multiplies by normal noise of mean 1 and deviation `sqrt(rate / (1 - rate))` in training.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianDropout {
    /// As for [`AlphaDropout`], `0..=1`; training with 1 is refused.
    pub rate: f64,
    /// Kept for the config; the noise comes from the seed of `fit`. Defaults to none.
    pub seed: Option<u64>,
    /// Name, trainable and the like.
    pub base: Base,
}

/// Drops whole channels of a sample of shape `[steps, channels]` in training, and scales the others by
/// `1 / (1 - rate)`.
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialDropout1D {
    /// Fraction to drop, `0..=1`.
    pub rate: f64,
    /// Kept for the config; the masks come from the seed of `fit`. Defaults to none.
    pub seed: Option<u64>,
    /// Shape of a sample, once built.
    sample: Vec<usize>,
    /// Name, trainable and the like.
    pub base: Base,
}

/// The same for samples of shape `[height, width, channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SpatialDropout2D {
    /// Fraction to drop, `0..=1`.
    pub rate: f64,
    /// Kept for the config; the masks come from the seed of `fit`. Defaults to none.
    pub seed: Option<u64>,
    /// Shape of a sample, once built.
    sample: Vec<usize>,
    /// Name, trainable and the like.
    pub base: Base,
}

layer_options!(SpatialDropout1D);
layer_options!(SpatialDropout2D);
layer_options!(Dropout);
layer_options!(AlphaDropout);
layer_options!(GaussianNoise);
layer_options!(GaussianDropout);

fn between_0_and_1(class: &str, key: &str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(Error::value(format!(
            "{class}: {key} is {value}, expected a number from 0 to 1"
        )))
    }
}

/// Refuses the rate 1, with which what stays would be divided by 0.
fn below_1(class: &str, base: &Base, rate: f64) -> Result<()> {
    if rate < 1.0 {
        return Ok(());
    }
    Err(Error::value(format!(
        "{class} {:?} has rate {rate}, expected less than 1 to train with; drop less, or remove the layer",
        base.name()
    )))
}

/// Constructor, config and checks, which the four have alike.
macro_rules! noise_layer {
    ($class:ident, $name:literal, $key:ident $(, $shared:ident)?) => {
        impl $class {
            #[doc = concat!("A layer with this ", stringify!($key), ", checked when it is built.")]
            pub fn new($key: f64) -> Self {
                Self {
                    $key,
                    seed: None,
                    $($shared: None, sample: Vec::new(),)?
                    base: Base::default(),
                }
            }

            pub(crate) fn from_config(config: &Config) -> Result<Self> {
                config
                    .get(stringify!($key))
                    .ok_or_else(|| config.error(stringify!($key), "a number from 0 to 1"))?;
                let layer = Self {
                    $key: config.f64(stringify!($key), 0.0)?,
                    seed: config.seed()?,
                    $($shared: noise_shape(config, stringify!($shared))?, sample: Vec::new(),)?
                    base: Base::from_config(config)?,
                };
                between_0_and_1($name, stringify!($key), layer.$key)?;
                Ok(layer)
            }

            fn active(&self, training: bool) -> Flow {
                if training && self.$key > 0.0 {
                    Flow::InPlace
                } else {
                    Flow::Same
                }
            }
        }
    };
}

noise_layer!(Dropout, "Dropout", rate, noise_shape);
noise_layer!(AlphaDropout, "AlphaDropout", rate, noise_shape);
noise_layer!(GaussianNoise, "GaussianNoise", stddev);
noise_layer!(GaussianDropout, "GaussianDropout", rate);

/// What the four have alike of a layer.
macro_rules! noise_op {
    ($name:literal, $key:ident $(, $shared:ident)?) => {
        op_base!();

        fn extend_config(&self, config: &mut Map<String, Value>) {
            config.insert(stringify!($key).into(), json!(self.$key));
            config.insert("seed".into(), json!(self.seed));
            $(config.insert(stringify!($shared).into(), json!(self.$shared));)?
        }

        $(
            fn build(&mut self, input: &[usize], _weights: &mut Weights) -> Result<()> {
                self.sample = match &self.$shared {
                    Some(_) => input.to_vec(),
                    None => Vec::new(),
                };
                Ok(())
            }
        )?

        fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
            between_0_and_1($name, stringify!($key), self.$key)?;
            $(check_noise_shape($name, self.$shared.as_deref(), input)?;)?
            Ok(input.to_vec())
        }

        fn flow(&self, training: bool) -> Flow {
            self.active(training)
        }

        fn call_arguments(&self) -> Value {
            json!({"training": false})
        }

        fn on_device(&self, _built: &Built) -> OnDevice {
            OnDevice::Nothing
        }

        fn shows_logits(&self) -> bool {
            self.active(true) == Flow::Same
        }
    };
}

/// What those have alike that multiply by noise: it lies in the scratch, for the way back.
macro_rules! factors {
    () => {
        fn scratch_len(&self, pass: &Scratch) -> usize {
            match self.active(pass.training) {
                Flow::Same => 0,
                Flow::InPlace | Flow::Apart => pass.rows * pass.outputs,
            }
        }

        fn backward(&self, pass: Backward) {
            for (dy, &factor) in pass.dy.iter_mut().zip(&*pass.scratch) {
                *dy *= factor;
            }
        }
    };
}

/// Pairs of independent standard normal values (Box and Muller, 1958).
fn fill_normal(rng: &mut ChaCha8Rng, out: &mut [f32]) {
    let mut pair = || {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let angle = std::f64::consts::TAU * rng.random::<f64>();
        [radius * angle.cos(), radius * angle.sin()]
    };
    for chunk in out.chunks_mut(2) {
        for (out, normal) in chunk.iter_mut().zip(pair()) {
            *out = normal as f32; // the noise is f32
        }
    }
}

/// `kept` where a value stays, 0 where it is dropped with probability `rate`. `shared` is the noise
/// shape, batch first, and the shape of a sample.
fn fill_mask(
    rng: &mut ChaCha8Rng,
    rate: f64,
    kept: f32,
    shared: Option<(&[Option<usize>], &[usize])>,
    mask: &mut [f32],
) {
    // P(u32 < threshold) = rate, to 2^-32.
    let threshold = (rate * 4_294_967_296.0) as u64;
    let mut draw = || {
        let stays = u64::from(rng.next_u32()) >= threshold;
        if stays { kept } else { 0.0 }
    };
    let Some((noise, sample)) = shared else {
        mask.fill_with(draw);
        return;
    };
    for place in 0..mask.len() {
        let first = first_of_shared(place, noise, sample);
        mask[place] = if first == place { draw() } else { mask[first] };
    }
}

/// The first of the values that share what is drawn with the one at `place`, which is it or before it.
fn first_of_shared(place: usize, noise: &[Option<usize>], sample: &[usize]) -> usize {
    let (mut rest, mut stride, mut first) = (place, 1, 0);
    for (&size, noise) in sample.iter().zip(&noise[1..]).rev() {
        if *noise != Some(1) {
            first += rest % size * stride;
        }
        rest /= size;
        stride *= size;
    }
    if noise[0] != Some(1) {
        first += rest * stride;
    }
    first
}

/// `[null, 9]`, the batch axis first.
fn noise_shape(config: &Config, key: &str) -> Result<Option<Vec<Option<usize>>>> {
    let expected = "null, or a list of null and numbers above 0 such as [null, 1, 9]";
    let Some(value) = config.get(key) else {
        return Ok(None);
    };
    let axes = value
        .as_array()
        .ok_or_else(|| config.error(key, expected))?;
    let axis = |axis: &Value| match (axis, axis.as_u64()) {
        (Value::Null, _) => Ok(None),
        (_, Some(size @ 1..)) => Ok(usize::try_from(size).ok()),
        _ => Err(config.error(key, expected)),
    };
    axes.iter().map(axis).collect::<Result<_>>().map(Some)
}

/// Refuses a noise shape that samples of this shape cannot share.
fn check_noise_shape(class: &str, noise: Option<&[Option<usize>]>, input: &[usize]) -> Result<()> {
    let Some(noise) = noise else {
        return Ok(());
    };
    let fits = |(noise, size): (&Option<usize>, &usize)| noise.is_none_or(|n| n == 1 || n == *size);
    if noise.len() == input.len() + 1
        && noise[0].is_none_or(|batch| batch == 1)
        && noise[1..].iter().zip(input).all(fits)
    {
        return Ok(());
    }
    Err(Error::value(format!(
        "{class}: noise_shape is {}, expected null or 1 for the batch, then null, 1 or the size for each axis of {input:?}",
        json!(noise)
    )))
}

/// What the two have alike: one draw for all steps of a channel.
macro_rules! spatial_dropout {
    ($class:ident, $name:literal, $axes:literal) => {
        impl $class {
            #[doc = "A layer with this rate, checked when it is built."]
            pub fn new(rate: f64) -> Self {
                Self {
                    rate,
                    seed: None,
                    sample: Vec::new(),
                    base: Base::default(),
                }
            }

            pub(crate) fn from_config(config: &Config) -> Result<Self> {
                super::channels_last(config)?;
                config
                    .get("rate")
                    .ok_or_else(|| config.error("rate", "a number from 0 to 1"))?;
                let layer = Self {
                    seed: config.seed()?,
                    base: Base::from_config(config)?,
                    ..Self::new(config.f64("rate", 0.0)?)
                };
                between_0_and_1($name, "rate", layer.rate)?;
                Ok(layer)
            }

            fn active(&self, training: bool) -> Flow {
                if training && self.rate > 0.0 {
                    Flow::InPlace
                } else {
                    Flow::Same
                }
            }
        }

        impl Op for $class {
            op_base!();

            fn extend_config(&self, config: &mut Map<String, Value>) {
                config.insert("rate".into(), json!(self.rate));
                config.insert("seed".into(), json!(self.seed));
            }

            // Keras writes no more, and the type by its name.
            fn config(&self) -> Value {
                let mut config = json!({"rate": self.rate, "seed": self.seed,
                    "name": self.base.name(), "dtype": "float32"});
                if $axes == 2 {
                    config["data_format"] = json!("channels_last");
                }
                config
            }

            fn other_keys(&self) -> &'static [&'static str] {
                &["noise_shape"]
            }

            fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
                between_0_and_1($name, "rate", self.rate)?;
                if input.len() != $axes + 1 {
                    return Err(Error::shape(format!(
                        "{}: samples have the shape {input:?}, expected {} axes before the channels; reshape them",
                        $name, $axes
                    )));
                }
                Ok(input.to_vec())
            }

            fn build(&mut self, input: &[usize], _weights: &mut Weights) -> Result<()> {
                self.sample = input.to_vec();
                Ok(())
            }

            fn flow(&self, training: bool) -> Flow {
                self.active(training)
            }

            fn call_arguments(&self) -> Value {
                json!({"training": false})
            }

            fn on_device(&self, _built: &Built) -> OnDevice {
                OnDevice::Nothing
            }

            fn shows_logits(&self) -> bool {
                self.active(true) == Flow::Same
            }

            factors!();

            fn forward(&self, pass: Forward) {
                let keep = 1.0 - self.rate;
                let scale = if keep > 0.0 { (1.0 / keep) as f32 } else { 0.0 };
                let mut noise = vec![Some(1); $axes + 2];
                (noise[0], noise[$axes + 1]) = (None, None);
                let shared = Some((&*noise, &*self.sample));
                fill_mask(pass.rng, self.rate, scale, shared, pass.scratch);
                for ((y, &x), &mask) in pass.y.iter_mut().zip(pass.x).zip(&*pass.scratch) {
                    *y = x * mask;
                }
            }
        }
    };
}

spatial_dropout!(SpatialDropout1D, "SpatialDropout1D", 1);
spatial_dropout!(SpatialDropout2D, "SpatialDropout2D", 2);

impl Op for Dropout {
    noise_op!("Dropout", rate, noise_shape);
    factors!();

    fn forward(&self, pass: Forward) {
        // The mask holds 0 or the scale, so that both passes are one product.
        let keep = 1.0 - self.rate;
        let scale = if keep > 0.0 { (1.0 / keep) as f32 } else { 0.0 };
        let shared = self
            .noise_shape
            .as_deref()
            .map(|shape| (shape, &*self.sample));
        fill_mask(pass.rng, self.rate, scale, shared, pass.scratch);
        for ((y, &x), &mask) in pass.y.iter_mut().zip(pass.x).zip(&*pass.scratch) {
            *y = x * mask;
        }
    }
}

impl Op for AlphaDropout {
    noise_op!("AlphaDropout", rate, noise_shape);
    factors!();

    fn check_training(&self) -> Result<()> {
        below_1("AlphaDropout", &self.base, self.rate)
    }

    fn forward(&self, pass: Forward) {
        /// Selu's limit at -infinity: -scale · alpha.
        const LIMIT: f64 = -1.758_099_340_847_376_6;
        let scale = ((1.0 - self.rate) * (1.0 + self.rate * LIMIT * LIMIT)).powf(-0.5);
        let shift = -scale * LIMIT * self.rate;
        let dropped = (scale * LIMIT + shift) as f32; // the layer computes in f32
        let (scale, shift) = (scale as f32, shift as f32);
        // The mask holds 0 or the scale, as for Dropout.
        let shared = self
            .noise_shape
            .as_deref()
            .map(|shape| (shape, &*self.sample));
        fill_mask(pass.rng, self.rate, scale, shared, pass.scratch);
        for ((y, &x), &mask) in pass.y.iter_mut().zip(pass.x).zip(&*pass.scratch) {
            *y = if mask == 0.0 {
                dropped
            } else {
                x * mask + shift
            };
        }
    }
}

impl Op for GaussianNoise {
    noise_op!("GaussianNoise", stddev);

    fn forward(&self, pass: Forward) {
        let stddev = self.stddev as f32; // the noise is f32
        fill_normal(pass.rng, pass.y);
        for (y, &x) in pass.y.iter_mut().zip(pass.x) {
            *y = x + stddev * *y;
        }
    }

    fn backward(&self, _pass: Backward) {}
}

impl Op for GaussianDropout {
    noise_op!("GaussianDropout", rate);
    factors!();

    fn check_training(&self) -> Result<()> {
        below_1("GaussianDropout", &self.base, self.rate)
    }

    fn forward(&self, pass: Forward) {
        let stddev = (self.rate / (1.0 - self.rate)).sqrt() as f32; // the noise is f32
        fill_normal(pass.rng, pass.scratch);
        for ((y, &x), noise) in pass.y.iter_mut().zip(pass.x).zip(pass.scratch) {
            *noise = 1.0 + stddev * *noise;
            *y = x * *noise;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Dense, Input, Layer};
    use crate::training::FitOptions;

    #[test]
    fn noise_that_divides_by_0_predicts_and_does_not_train() -> Result<()> {
        // Keras raises a ZeroDivisionError where training first calls the layer.
        let rate = 1.0;
        let layers: [(Layer, &str); 2] = [
            (
                AlphaDropout::new(rate).into(),
                "AlphaDropout \"alpha_dropout\"",
            ),
            (
                GaussianDropout::new(rate).into(),
                "GaussianDropout \"gaussian_dropout\"",
            ),
        ];
        let (x, y) = (ndarray::arr2(&[[1.0, 2.0]]), ndarray::arr2(&[[1.0]]));
        for (layer, name) in layers {
            let layers = [Input::new([2]).into(), layer, Dense::new(1).into()];
            let mut model = crate::Sequential::from_layers(layers)?.with_seed(1);
            model.compile("sgd", "mse", None::<&str>)?;
            assert!(model.predict(&x)?.iter().all(|y| y.is_finite()));
            model.test_on_batch(&x, &y, None)?;
            let expected = format!(
                "{name} has rate 1, expected less than 1 to train with; drop less, or remove the layer"
            );
            let refused = [
                model.fit(&x, &y, FitOptions::default()).map(|_| ()),
                model.train_on_batch(&x, &y, None, None).map(|_| ()),
                model.gradients(&x, &y, None).map(|_| ()),
                model.pass(&x, None).map(|_| ()),
            ];
            for refused in refused {
                assert_eq!(refused.expect_err("refused").to_string(), expected);
            }
        }
        Ok(())
    }

    #[test]
    fn values_that_share_a_mask_are_dropped_together() -> Result<()> {
        for (noise, drawn) in [
            (vec![None, Some(1), None], 40 * 5),
            (vec![None, Some(4), Some(1)], 40 * 4),
            (vec![Some(1), None, Some(5)], 4 * 5),
            (vec![None, None, None], 40 * 4 * 5),
        ] {
            let mut layer = Dropout::new(0.5);
            layer.noise_shape = Some(noise.clone());
            let layers = [Input::new([4, 5]).into(), layer.into()];
            let mut model = crate::Sequential::from_layers(layers)?.with_seed(1);
            let x = ndarray::Array3::from_elem((40, 4, 5), 1.0);
            let y = model.pass(&x, None)?.outputs;
            assert!(y.iter().all(|y| *y == 0.0 || *y == 2.0));
            let first = |row: usize, i: usize, j: usize| {
                let at = |axis: usize, place| if noise[axis] == Some(1) { 0 } else { place };
                (at(0, row), at(1, i), at(2, j))
            };
            let y = ndarray::Array3::from_shape_vec((40, 4, 5), y).expect("as many values");
            let mut kept = 0;
            for ((row, i, j), value) in y.indexed_iter() {
                let shared = first(row, i, j);
                assert_eq!(*value, y[shared], "{noise:?}");
                kept += usize::from(shared == (row, i, j) && *value != 0.0);
            }
            // Half of what is drawn, within five standard deviations.
            let (half, deviation) = (drawn as f64 / 2.0, (drawn as f64 / 4.0).sqrt());
            assert!(
                (kept as f64 - half).abs() < 5.0 * deviation,
                "{noise:?}: {kept} of {drawn}"
            );
        }
        Ok(())
    }

    #[test]
    fn a_noise_shape_that_does_not_fit_is_refused() {
        for noise in [vec![None], vec![None, Some(2)], vec![Some(8), None]] {
            let mut layer = Dropout::new(0.5);
            layer.noise_shape = Some(noise.clone());
            let error = layer.op_shape(&[3]);
            assert_eq!(
                error.expect_err("refused").to_string(),
                format!(
                    "Dropout: noise_shape is {}, expected null or 1 for the batch, then null, 1 or the size for each axis of [3]",
                    json!(noise)
                )
            );
        }
    }

    impl Dropout {
        fn op_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
            Op::output_shape(self, input)
        }
    }

    #[test]
    fn alpha_dropout_keeps_mean_0_and_variance_1() -> Result<()> {
        let mut normal = vec![0.0; 100_000];
        let mut rng = rand::SeedableRng::seed_from_u64(3);
        fill_normal(&mut rng, &mut normal);
        let x = ndarray::Array2::from_shape_vec((1000, 100), normal).expect("100,000 values");
        let layers = [Input::new([100]).into(), AlphaDropout::new(0.3).into()];
        let mut model = crate::Sequential::from_layers(layers)?.with_seed(1);
        let y = model.pass(&x, None)?.outputs;
        let mean = y.iter().sum::<f32>() / 1e5;
        let variance = y.iter().map(|y| (y - mean).powi(2)).sum::<f32>() / 1e5;
        // Five standard errors of 100,000 values.
        assert!(
            mean.abs() < 0.016 && (variance - 1.0).abs() < 0.023,
            "{mean}, {variance}"
        );
        assert_eq!(
            model.predict(&x)?.into_raw_vec_and_offset().0,
            x.into_raw_vec_and_offset().0
        );
        Ok(())
    }
}
