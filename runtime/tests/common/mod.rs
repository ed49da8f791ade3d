//! Random models of every kind, and their blobs.
#![allow(dead_code, reason = "each test has its own use")]

use thumbnet_runtime::{
    Activation, DenseSpec, Error, FloatSpec, FloatTable, LayerSpec, LookupSpec, LookupTable,
    MaxPoolSpec, Model, ModelSpec, NormalizeSpec, OutputSpec, Packing, Piece, Precision, SelfTest,
    WeightsSpec, encode, encoded_len,
};

pub const PACKINGS: [Packing; 4] = [Packing::Plain, Packing::Dsp, Packing::Lane, Packing::Mve];

/// Small and repeatable (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    pub fn between(&mut self, low: i32, high: i32) -> i32 {
        low + (self.next() % (high - low + 1) as u32) as i32
    }

    /// In `[-1, 1)`.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 8) as f32 / 8_388_608.0 - 1.0
    }

    pub fn vec<T>(&mut self, count: usize, mut value: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..count).map(|_| value(self)).collect()
    }

    pub fn of<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.below(options.len())]
    }
}

#[derive(Clone, Debug)]
pub enum Weights {
    Int8(Vec<i8>, Vec<i32>),
    Int4(Vec<i8>, Vec<i32>),
    Int16(Vec<i8>, Vec<i32>),
    Float(Vec<f32>, Vec<f32>),
}

#[derive(Clone, Debug)]
pub enum Output {
    Int8(Vec<i32>, Option<Box<[i8; 256]>>),
    Int16(Vec<i32>, Option<Box<[i16; 257]>>),
    Float(Vec<f32>, Activation, Option<Vec<Piece>>),
}

/// What lies between two layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Signal {
    Int8,
    Int16,
    Float,
}

#[derive(Clone, Debug)]
pub enum Layer {
    /// To int8 or int16: inputs, scales, zero points.
    Quantize(usize, Vec<f64>, Vec<i32>, Precision),
    /// Inputs, scales, offsets.
    Scale(usize, Vec<f32>, Vec<f32>, Then),
    /// Blocks, steps, groups, run; factors of mean and squares, epsilon, least.
    Normalize([usize; 4], [f32; 4], Then),
    Prelu(Vec<f32>, Then),
    /// Blocks, steps, channels, windows, size, stride, before.
    MaxPool([usize; 7], Then),
    /// Inputs, bounds, values of a row, the table, whether what has no row gives zeros.
    Lookup(usize, Vec<f32>, usize, Values, bool, Then),
    Dense(usize, usize, Weights, Output),
    /// So many rows of a dense layer.
    Rows(usize, Box<Layer>),
}

/// Those of a table.
#[derive(Clone, Debug)]
pub enum Values {
    Int8(Vec<i8>, f32),
    Float(Vec<f32>),
}

/// An activation of floats.
#[derive(Clone, Debug, Default)]
pub struct Then {
    pub activation: Activation,
    pub pieces: Option<Vec<Piece>>,
}

impl Then {
    fn random(random: &mut Random) -> Self {
        if !cfg!(feature = "layers") || random.below(2) == 0 {
            return Self::default();
        }
        Self {
            activation: activation(random),
            pieces: (cfg!(feature = "activations") && random.below(4) == 0).then(|| pieces(random)),
        }
    }

    fn spec(&self) -> FloatSpec<'_> {
        FloatSpec {
            activation: self.activation,
            table: self.pieces.as_deref().map(float_table),
        }
    }
}

fn float_table(pieces: &[Piece]) -> FloatTable<'_> {
    FloatTable {
        least: -1.0,
        greatest: f32::INFINITY,
        pieces,
    }
}

/// Of float outputs.
fn activation(random: &mut Random) -> Activation {
    let mut activations = vec![
        Activation::Linear,
        Activation::Relu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softmax,
    ];
    if cfg!(feature = "activations") {
        activations.extend([Activation::Exponential, Activation::LogSoftmax]);
    }
    random.of(&activations)
}

/// A model that owns its numbers.
#[derive(Clone, Debug)]
pub struct Net {
    pub layers: Vec<Layer>,
    pub labels: Vec<String>,
    pub threshold: Option<f32>,
    /// Inputs of the self-tests.
    pub tests: Vec<Vec<f32>>,
}

impl Net {
    /// Every kind of layer that the features allow, widths up to `widest`, within the bounds that
    /// an exporter proves.
    pub fn random(seed: u64, widest: usize) -> Self {
        let random = &mut Random::new(seed);
        let mut width = 1 + random.below(widest);
        let mut layers = vec![Self::quantize(random, width, None)];
        let mut element = Self::output_of(&layers[0]);
        let dense = 1 + random.below(4);
        for i in 0..dense {
            if element == Signal::Float && cfg!(feature = "layers") {
                // One at most, for a model of 16 layers.
                match random.below(5) {
                    0 => {
                        let (pooling, units) = Self::greatest(random, width);
                        layers.push(pooling);
                        width = units;
                    }
                    1 if width < 60 => {
                        let (table, units) = Self::looked_up(random, width);
                        layers.push(table);
                        width = units;
                    }
                    1..3 => layers.push(Self::of_floats(random, width)),
                    _ => {}
                }
            }
            if element == Signal::Float && (!cfg!(feature = "f32") || random.below(3) == 0) {
                layers.push(Self::quantize(random, width, Some(Signal::Int8)));
                element = Signal::Int8;
            }
            let units = 1 + random.below(widest);
            let last = i + 1 == dense;
            let rows = factor(random, width);
            if cfg!(feature = "layers") && rows > 1 {
                let units = 1 + random.below((widest / rows).max(1));
                let row = Self::dense(random, element, width / rows, units, last);
                layers.push(Layer::Rows(rows, Box::new(row)));
                width = rows * units;
            } else {
                layers.push(Self::dense(random, element, width, units, last));
                width = units;
            }
            element = Self::output_of(&layers[layers.len() - 1]);
        }
        if element == Signal::Float && cfg!(feature = "layers") && random.below(3) == 0 {
            layers.push(Self::of_floats(random, width));
        }
        let labels = if random.below(2) == 0 {
            (0..width).map(|i| format!("class {i} ä")).collect()
        } else if width == 1 {
            vec!["no".into(), "yes".into()]
        } else {
            vec![]
        };
        let inputs = match layers[0] {
            Layer::Quantize(inputs, ..) | Layer::Scale(inputs, ..) => inputs,
            _ => unreachable!("the first layer reads the caller's floats"),
        };
        let tests = random.below(3);
        Self {
            layers,
            labels,
            threshold: (random.below(2) == 0).then(|| random.unit()),
            tests: random.vec(tests, |random| {
                random.vec(inputs, |random| random.unit() * 3.0)
            }),
        }
    }

    fn output_of(layer: &Layer) -> Signal {
        match layer {
            Layer::Quantize(.., Precision::Int8) => Signal::Int8,
            Layer::Quantize(.., Precision::Int16) => Signal::Int16,
            Layer::Scale(..)
            | Layer::Normalize(..)
            | Layer::Prelu(..)
            | Layer::MaxPool(..)
            | Layer::Lookup(..) => Signal::Float,
            Layer::Rows(_, row) => Self::output_of(row),
            Layer::Dense(.., Output::Int8(..)) => Signal::Int8,
            Layer::Dense(.., Output::Int16(..)) => Signal::Int16,
            Layer::Dense(.., Output::Float(..)) => Signal::Float,
        }
    }

    fn quantize(random: &mut Random, inputs: usize, output: Option<Signal>) -> Layer {
        let mut outputs = vec![Signal::Int8, Signal::Int8];
        if cfg!(feature = "int16") {
            outputs.push(Signal::Int16);
        }
        if cfg!(feature = "f32") {
            outputs.push(Signal::Float);
        }
        let output = output.unwrap_or_else(|| random.of(&outputs));
        let scale = match output {
            Signal::Int8 => 50.0,
            Signal::Int16 => 12_000.0,
            Signal::Float => 1.0,
        };
        let count = random.of(&[1, inputs]);
        let scale = random.vec(count, |random| scale * (1.5 + random.unit()));
        let zero = random.vec(count, |random| random.between(-20, 20));
        let integers = |output| {
            let scale = scale.iter().map(|&a| 1.0 / f64::from(a)).collect();
            Layer::Quantize(inputs, scale, zero.clone(), output)
        };
        match output {
            Signal::Int8 => integers(Precision::Int8),
            Signal::Int16 => integers(Precision::Int16),
            Signal::Float => {
                let offset = zero.iter().map(|&b| b as f32).collect();
                Layer::Scale(inputs, scale, offset, Then::random(random))
            }
        }
    }

    /// The greatest of windows, and how many values that are.
    fn greatest(random: &mut Random, width: usize) -> (Layer, usize) {
        let blocks = factor(random, width);
        let steps = factor(random, width / blocks);
        let channels = width / blocks / steps;
        let size = 1 + random.below(steps + 2);
        let stride = 1 + random.below(3);
        let before = random.below(size.min(3));
        // The last one begins within the block.
        let windows = 1 + random.below((steps + before).div_ceil(stride));
        let numbers = [blocks, steps, channels, windows, size, stride, before];
        let pooling = Layer::MaxPool(numbers, Then::random(random));
        (pooling, blocks * windows * channels)
    }

    /// Rows of a table, and how many values that are.
    fn looked_up(random: &mut Random, width: usize) -> (Layer, usize) {
        let bounds = random.below(4);
        let mut bounds = random.vec(bounds, Random::unit);
        bounds.sort_by(f32::total_cmp);
        bounds.dedup();
        let rows = match bounds.len() {
            0 => 1 + random.below(9),
            bounds => bounds + 1,
        };
        let units = 1 + random.below(3);
        let values = match random.below(2) {
            0 => Values::Int8(
                random.vec(rows * units, |r| r.between(-128, 127) as i8),
                0.01,
            ),
            _ => Values::Float(random.vec(rows * units, Random::unit)),
        };
        let then = Then::random(random);
        (
            Layer::Lookup(width, bounds, units, values, true, then),
            width * units,
        )
    }

    /// A layer between floats.
    fn of_floats(random: &mut Random, width: usize) -> Layer {
        let then = Then::random(random);
        match random.below(3) {
            0 => Layer::Scale(
                width,
                random.vec(width, Random::unit),
                random.vec(width, Random::unit),
                then,
            ),
            1 => Layer::Prelu(random.vec(width, Random::unit), then),
            _ => {
                let blocks = factor(random, width);
                let steps = factor(random, width / blocks);
                let groups = factor(random, width / blocks / steps);
                let run = width / blocks / steps / groups;
                let one = 1.0 / (steps * run) as f32;
                let floats = random.of(&[
                    [one, one, 1e-3, 1e-30],
                    [0.0, one, 1e-6, 1e-30],
                    [0.0, 1.0, 0.0, 1e-24],
                ]);
                Layer::Normalize([blocks, steps, groups, run], floats, then)
            }
        }
    }

    fn dense(
        random: &mut Random,
        element: Signal,
        inputs: usize,
        units: usize,
        last: bool,
    ) -> Layer {
        let count = inputs * units;
        let extreme = random.below(4) == 0;
        let mut integers = |top: i32| {
            random.vec(count, |random| {
                let w = if extreme {
                    random.of(&[-top, top])
                } else {
                    random.between(-top, top)
                };
                w as i8
            })
        };
        // 127 * 127 * inputs + 2e6 < 2^23 for up to 390 inputs.
        let weights = match element {
            Signal::Int8 if cfg!(feature = "int4") && count.is_multiple_of(3) => {
                let weights = integers(7);
                Weights::Int4(weights, random.vec(units, |r| r.between(-20_000, 20_000)))
            }
            Signal::Int8 => {
                let weights = integers(127);
                Weights::Int8(weights, random.vec(units, |r| r.between(-500_000, 500_000)))
            }
            Signal::Int16 => {
                let weights = integers(127);
                let bias = |r: &mut Random| r.between(-100_000_000, 100_000_000);
                Weights::Int16(weights, random.vec(units, bias))
            }
            Signal::Float => Weights::Float(
                random.vec(count, |r| r.unit()),
                random.vec(units, |r| r.unit()),
            ),
        };
        let float = element == Signal::Float;
        if last || float || random.below(4) == 0 {
            let scales = if float { 0 } else { units };
            let size = match element {
                Signal::Int16 => 1e-7,
                _ => 1e-4,
            };
            let activation = activation(random);
            let table =
                (cfg!(feature = "activations") && random.below(4) == 0).then(|| pieces(random));
            let scales = random.vec(scales, |r| size * (1.5 + r.unit()));
            return Layer::Dense(
                inputs,
                units,
                weights,
                Output::Float(scales, activation, table),
            );
        }
        let shift = match (element, random.below(4)) {
            (Signal::Int16, 0) => 12,
            (Signal::Int16, _) => 6,
            _ => 17,
        };
        let multipliers = random.vec(units, |r| (r.next() >> (shift - r.below(5))) as i32);
        let output = if cfg!(feature = "int16") && random.below(3) == 0 {
            let multipliers = multipliers.iter().map(|m| (m << 7) & i32::MAX).collect();
            let table = (random.below(3) == 0).then(|| {
                let values: Vec<i16> = random.vec(257, |r| r.between(-32767, 32767) as i16);
                values.try_into().unwrap()
            });
            Output::Int16(multipliers, table)
        } else {
            let table = (random.below(3) == 0).then(|| {
                let values: Vec<i8> = random.vec(256, |r| r.between(-127, 127) as i8);
                values.try_into().unwrap()
            });
            Output::Int8(weights.narrow(multipliers), table)
        };
        Layer::Dense(inputs, units, weights, output)
    }

    /// The blob, self-tests and all.
    pub fn blob(&self, packing: Packing) -> Vec<u8> {
        let specs: Vec<LayerSpec> = self
            .layers
            .iter()
            .map(|layer| layer.spec(packing))
            .collect();
        let labels: Vec<&str> = self.labels.iter().map(String::as_str).collect();
        let mut spec = ModelSpec {
            layers: &specs,
            labels: &labels,
            threshold: self.threshold,
            self_tests: &[],
            input_names: &[],
        };
        let bare = written(&spec);
        let model: Model = Model::from_bytes(&bare).unwrap();
        let mut results = vec![];
        for inputs in &self.tests {
            let mut scratch = vec![0; model.scratch_len()];
            let mut outputs = vec![0.0; model.outputs()];
            let mut checksums = vec![0; model.layers().len()];
            match model.checksums(inputs, &mut scratch, &mut outputs, &mut checksums) {
                Ok(()) => results.push((inputs, outputs, checksums)),
                // An exponential of a large sum.
                Err(Error::NotFinite { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let tests: Vec<SelfTest> = results
            .iter()
            .map(|(inputs, outputs, checksums)| SelfTest {
                inputs,
                outputs,
                checksums,
            })
            .collect();
        spec.self_tests = &tests;
        written(&spec)
    }
}

/// A factor of a number, 1 often.
fn factor(random: &mut Random, number: usize) -> usize {
    let factor = 1 + random.below(number);
    if number.is_multiple_of(factor) {
        factor
    } else {
        1
    }
}

/// Some lines, or polynomials that stay small, with jumps between them.
fn pieces(random: &mut Random) -> Vec<Piece> {
    let curved = random.below(2) == 0;
    let count = 1 + random.below(if curved { 32 } else { 4 });
    let piece = |i: usize, random: &mut Random| {
        let mut coefficients = [random.unit(), random.unit(), 0.0, 0.0, 0.0, 0.0];
        // Far out only lines.
        if curved && i > 0 && i + 1 < count {
            for coefficient in &mut coefficients[2..] {
                *coefficient = random.unit() / 8.0;
            }
        }
        let start = i as f32 / 4.0 - 2.0;
        Piece {
            start,
            origin: start + random.unit(),
            coefficients,
        }
    };
    (0..count).map(|i| piece(i, random)).collect()
}

impl Weights {
    /// Smaller multipliers where a sum could get more than sixteen bits before the clamp to eight.
    pub fn narrow(&self, mut multipliers: Vec<i32>) -> Vec<i32> {
        if let Self::Int8(weights, bias) | Self::Int4(weights, bias) = self {
            let rows = weights.chunks(weights.len() / bias.len());
            for ((m, row), bias) in multipliers.iter_mut().zip(rows).zip(bias) {
                let sum: i64 = row.iter().map(|w| i64::from(w.unsigned_abs())).sum();
                let largest = 127 * sum + i64::from(bias.unsigned_abs());
                let greatest = (((1 << 39) - 1) / largest.max(1)).min((1 << 24) - 1);
                *m = (*m).min(greatest as i32); // below 2^24
            }
        }
        multipliers
    }
}

impl Layer {
    fn spec(&self, packing: Packing) -> LayerSpec<'_> {
        match self {
            Self::Quantize(inputs, scale, zero_point, output) => LayerSpec::Quantize {
                inputs: *inputs,
                scale,
                zero_point,
                output: *output,
            },
            Self::Scale(inputs, scale, offset, then) => LayerSpec::Scale {
                inputs: *inputs,
                scale,
                offset,
                then: then.spec(),
            },
            Self::Normalize(sizes, floats, then) => {
                let [blocks, steps, groups, run] = *sizes;
                let [mean_factor, square_factor, epsilon, least] = *floats;
                LayerSpec::Normalize(NormalizeSpec {
                    blocks,
                    steps,
                    groups,
                    run,
                    mean_factor,
                    square_factor,
                    epsilon,
                    least,
                    then: then.spec(),
                })
            }
            Self::MaxPool(numbers, then) => {
                let [blocks, steps, channels, windows, size, stride, before] = *numbers;
                LayerSpec::MaxPool(MaxPoolSpec {
                    blocks,
                    steps,
                    channels,
                    windows,
                    size,
                    stride,
                    before,
                    then: then.spec(),
                })
            }
            Self::Lookup(inputs, bounds, units, values, zeros, then) => {
                LayerSpec::Lookup(LookupSpec {
                    inputs: *inputs,
                    bounds,
                    units: *units,
                    table: match values {
                        Values::Int8(values, scale) => LookupTable::Int8 {
                            values,
                            scale: *scale,
                        },
                        Values::Float(values) => LookupTable::Float(values),
                    },
                    zeros: *zeros,
                    then: then.spec(),
                })
            }
            Self::Prelu(slopes, then) => LayerSpec::Prelu {
                slopes,
                then: then.spec(),
            },
            Self::Rows(rows, row) => match row.spec(packing) {
                LayerSpec::Dense(dense) => LayerSpec::Rows { rows: *rows, dense },
                other => other,
            },
            Self::Dense(inputs, units, weights, output) => LayerSpec::Dense(DenseSpec {
                inputs: *inputs,
                units: *units,
                packing,
                weights: match weights {
                    Weights::Int8(weights, bias) => WeightsSpec::Int8 { weights, bias },
                    Weights::Int4(weights, bias) => WeightsSpec::Int4 { weights, bias },
                    Weights::Int16(weights, bias) => WeightsSpec::Int16 { weights, bias },
                    Weights::Float(weights, bias) => WeightsSpec::Float { weights, bias },
                },
                output: match output {
                    Output::Int8(multipliers, table) => OutputSpec::Int8 {
                        multipliers,
                        table: table.as_deref(),
                    },
                    Output::Int16(multipliers, table) => OutputSpec::Int16 {
                        multipliers,
                        table: table.as_deref(),
                    },
                    Output::Float(scales, activation, table) => OutputSpec::Float {
                        scales,
                        activation: *activation,
                        table: table.as_deref().map(float_table),
                    },
                },
            }),
        }
    }
}

pub fn written(spec: &ModelSpec) -> Vec<u8> {
    let mut blob = vec![0xEE; encoded_len(spec).unwrap()];
    assert_eq!(encode(spec, &mut blob), Ok(blob.len()));
    blob
}

/// The bits of the outputs.
pub fn predict(blob: &[u8], inputs: &[f32]) -> Result<Vec<u32>, Error> {
    let model: Model = Model::from_bytes(blob)?;
    // Whatever lay there before must not matter.
    let mut scratch = vec![0xA5C3_E187; model.scratch_len()];
    let mut outputs = vec![0.0; model.outputs()];
    model.predict(inputs, &mut scratch, &mut outputs)?;
    Ok(outputs.iter().map(|y| y.to_bits()).collect())
}

/// CRC-32/ISO-HDLC, bit by bit.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
