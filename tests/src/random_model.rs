//! Random models and rows, for comparing devices.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use thumbnet_runtime::{
    Activation, DenseSpec, FloatSpec, FloatTable, LayerSpec, LookupSpec, LookupTable, MaxPoolSpec,
    Model, ModelSpec, NormalizeSpec, OutputSpec, Packing, Piece, Precision, SelfTest, Verdict,
    WeightsSpec, encode, encode_verdict, encoded_len,
};

/// Limits within which a model is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Inputs and units of a layer are at most this.
    pub width: usize,
    /// Weights of a layer are at most this.
    pub weights: usize,
    /// The packing of every layer; drawn anew for each where it is `None`.
    pub packing: Option<Packing>,
}

/// A model with rows to predict.
#[derive(Clone, Debug)]
pub struct RandomModel {
    /// What was drawn, for messages: `7 int8 -> 12 int8 plain table -> 3 float softmax`.
    pub description: String,
    /// The model.
    pub blob: Vec<u8>,
    /// Width of a row.
    pub inputs: usize,
    /// Rows of `inputs` values.
    pub x: Vec<f32>,
}

/// What lies between two layers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Signal {
    Int8,
    Int16,
    Float,
}

/// The numbers of a first layer, which a [`LayerSpec`] borrows: `x * factor + offset`, where integers are
/// written to the nearest.
struct First {
    inputs: usize,
    output: Signal,
    factors: Vec<f32>,
    /// Whole.
    offsets: Vec<f32>,
    scales: Vec<f64>,
    zero_points: Vec<i32>,
}

impl First {
    fn new(inputs: usize, output: Signal, factors: Vec<f32>, offsets: Vec<f32>) -> Self {
        Self {
            inputs,
            output,
            scales: factors.iter().map(|&a| 1.0 / f64::from(a)).collect(),
            zero_points: offsets.iter().map(|&b| b as i32).collect(),
            factors,
            offsets,
        }
    }

    fn spec(&self) -> LayerSpec<'_> {
        let integers = |output| LayerSpec::Quantize {
            inputs: self.inputs,
            scale: &self.scales,
            zero_point: &self.zero_points,
            output,
        };
        match self.output {
            Signal::Int8 => integers(Precision::Int8),
            Signal::Int16 => integers(Precision::Int16),
            Signal::Float => LayerSpec::Scale {
                inputs: self.inputs,
                scale: &self.factors,
                offset: &self.offsets,
                then: FloatSpec::default(),
            },
        }
    }
}

/// The parts of a layer, which a [`LayerSpec`] borrows.
struct Layer {
    /// Of a row, as all else.
    inputs: usize,
    units: usize,
    /// Rows that it goes over.
    rows: usize,
    /// A layer without weights between floats, then nothing else counts but inputs and activation.
    between: Option<Between>,
    packing: Packing,
    input: Signal,
    int4: bool,
    weights: Vec<i8>,
    floats: Vec<f32>,
    bias: Vec<i32>,
    output: Option<Signal>,
    multipliers: Vec<i32>,
    scales: Vec<f32>,
    activation: Activation,
    table8: Option<[i8; 256]>,
    table16: Option<[i16; 257]>,
    table: Option<Vec<Piece>>,
}

/// A layer without weights between floats.
enum Between {
    Prelu(Vec<f32>),
    /// Blocks, steps, groups, run; factors of mean and squares, epsilon, least.
    Normalize([usize; 4], [f32; 4]),
    /// Blocks, steps and channels; windows of two rows, one after the other.
    MaxPool([usize; 3]),
    /// A row of the bounds' number for each value.
    Lookup(Vec<f32>, Vec<i8>),
}

impl Between {
    fn new(rng: &mut ChaCha8Rng, width: usize) -> Self {
        let slope = |rng: &mut ChaCha8Rng| rng.random_range(-0.5..1.5);
        if rng.random() {
            return Self::Prelu((0..width).map(|_| slope(rng)).collect());
        }
        let blocks = factor(rng, width);
        let steps = factor(rng, width / blocks);
        if rng.random_range(0..6) == 0 {
            let mut bounds: Vec<f32> = (0..7).map(|_| rng.random_range(-3.0..3.0)).collect();
            bounds.sort_by(f32::total_cmp);
            return Self::Lookup(bounds, (0..8).map(|_| rng.random()).collect());
        }
        if rng.random_range(0..3) == 0 {
            return Self::MaxPool([blocks, steps, width / blocks / steps]);
        }
        let groups = factor(rng, width / blocks / steps);
        let run = width / blocks / steps / groups;
        // Of a group of few values a normalization leaves little, of one nothing.
        if steps * run < 4 {
            return Self::Prelu((0..width).map(|_| slope(rng)).collect());
        }
        let one = 1.0 / (steps * run) as f32;
        let floats = [
            [one, one, 1e-3, 1e-28],
            [0.0, one, 1e-6, 1e-28],
            [0.0, 1.0, 0.0, 1e-24],
        ];
        Self::Normalize([blocks, steps, groups, run], floats[rng.random_range(0..3)])
    }

    fn spec(&self, inputs: usize, activation: Activation) -> LayerSpec<'_> {
        let then = FloatSpec {
            activation,
            table: None,
        };
        match self {
            Self::Prelu(slopes) => LayerSpec::Prelu { slopes, then },
            Self::Lookup(bounds, values) => LayerSpec::Lookup(LookupSpec {
                inputs,
                bounds,
                units: 1,
                table: LookupTable::Int8 {
                    values,
                    scale: 0.0625,
                },
                zeros: false,
                then,
            }),
            &Self::MaxPool([blocks, steps, channels]) => LayerSpec::MaxPool(MaxPoolSpec {
                blocks,
                steps,
                channels,
                windows: steps.div_ceil(2),
                size: 2,
                stride: 2,
                before: 0,
                then,
            }),
            &Self::Normalize([blocks, steps, groups, run], floats) => {
                let [mean_factor, square_factor, epsilon, least] = floats;
                LayerSpec::Normalize(NormalizeSpec {
                    blocks,
                    steps,
                    groups,
                    run,
                    mean_factor,
                    square_factor,
                    epsilon,
                    least,
                    then,
                })
            }
        }
    }
}

/// A small factor of a number, 1 half of the times.
fn factor(rng: &mut ChaCha8Rng, number: usize) -> usize {
    let factors: Vec<usize> = (2..=12).filter(|&f| number.is_multiple_of(f)).collect();
    match factors.len() {
        0 => 1,
        _ if rng.random() => 1,
        count => factors[rng.random_range(0..count)],
    }
}

/// The blob with a verdict: on anomalies where there are as many outputs as inputs, on unknown classes of every
/// other model.
fn with_verdict(blob: &[u8], seed: u64) -> Vec<u8> {
    let rng = &mut ChaCha8Rng::seed_from_u64(!seed);
    let model: Model = Model::from_bytes(blob).expect("a sound model");
    let mut numbers = |least: f32, greatest: f32| -> Vec<f32> {
        (0..model.inputs())
            .map(|_| rng.random_range(least..greatest))
            .collect()
    };
    let (means, factors) = (numbers(-3.0, 3.0), numbers(0.01, 20.0));
    let verdict = if model.inputs() == model.outputs() {
        Verdict::Anomaly {
            above: 2.0,
            means: &means,
            factors: &factors,
        }
    } else if seed.is_multiple_of(2) {
        Verdict::Unknown { below: 0.5 }
    } else {
        return blob.to_vec();
    };
    let mut to = vec![0; blob.len() + 64 + 8 * model.inputs()];
    let length = encode_verdict(blob, &verdict, &mut to).expect("a verdict of the model's widths");
    to.truncate(length);
    to
}

/// Draws a model and `rows` rows. The same seed gives the same model.
pub fn random_model(seed: u64, rows: usize, limits: &Limits) -> RandomModel {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let inputs = width(rng, limits.width);
    let depth = rng.random_range(1..=5);
    let per_feature = rng.random();
    let count = if per_feature { inputs } else { 1 };
    let first = signal(rng);
    let steps = if first == Signal::Int16 {
        32767.0
    } else {
        127.0
    };
    let scale: Vec<f32> = (0..count)
        .map(|_| rng.random_range(0.1..0.5) * steps)
        .collect();
    let zero: Vec<f32> = (0..count)
        .map(|_| rng.random_range(-steps / 2.0..steps / 2.0).round())
        .collect();
    let mut description = format!("{inputs} {first:?}");

    let mut layers = Vec::new();
    let (mut n, mut input) = (inputs, first);
    for index in 0..depth {
        // Rows leave few units to each, which saturate often.
        let rows = match rng.random_range(0..4) {
            0 => factor(rng, n),
            _ => 1,
        };
        let most = limits.width.min(limits.weights / n) / rows;
        let units = width(rng, most.max(1));
        let mut layer = layer(rng, n / rows, units, input, index + 1 == depth, limits);
        layer.rows = rows;
        if rows > 1 {
            description += &format!(" -> {rows} times");
        }
        description += &format!(
            " -> {units} {}{:?} {}",
            if layer.int4 { "int4 " } else { "" },
            layer.packing,
            match layer.output {
                Some(output) if layer.table8.is_some() || layer.table16.is_some() =>
                    format!("{output:?} table"),
                Some(output) => format!("{output:?}"),
                None if layer.table.is_some() => "pieces".into(),
                None => format!("{:?}", layer.activation),
            }
        );
        n = rows * units;
        input = layer.output.unwrap_or(Signal::Float);
        layers.push(layer);
        if input == Signal::Float && rng.random_range(0..3) == 0 {
            let between = Layer::between(rng, n);
            description += match &between.between {
                Some(Between::Prelu(_)) => " -> slopes",
                Some(Between::Lookup(..)) => " -> looked up",
                Some(Between::MaxPool([blocks, steps, channels])) => {
                    n = blocks * steps.div_ceil(2) * channels;
                    " -> greatest"
                }
                Some(Between::Normalize(..)) | None => " -> normalized",
            };
            layers.push(between);
        }
        if index + 1 < depth && input == Signal::Float && rng.random() {
            // Back to integers, so that a model mixes them.
            description += " -> quantized";
            input = Signal::Int8;
            layers.push(Layer::requantized(n));
        }
    }
    let outputs = n;

    let first = First::new(inputs, first, scale, zero);
    let specs: Vec<LayerSpec> = [first.spec()]
        .into_iter()
        .chain(layers.iter().map(Layer::spec))
        .collect();
    let names: Vec<String> = (0..outputs).map(|i| format!("class {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut spec = ModelSpec {
        layers: &specs,
        labels: if outputs > 1 && rng.random() {
            &names
        } else {
            &[]
        },
        threshold: (outputs == 1 && rng.random()).then_some(0.25),
        self_tests: &[],
        input_names: &[],
    };

    let x: Vec<f32> = (0..rows * inputs).map(|i| value(rng, i / inputs)).collect();
    let blob = write(&spec, &description);
    let model: Model =
        Model::from_bytes(&blob).unwrap_or_else(|error| panic!("{description}: {error}"));
    let mut scratch = vec![0; model.scratch_len()];
    let mut outputs = vec![0.0; outputs];
    let mut checksums = vec![0; specs.len()];
    let row = &x[..inputs];
    model
        .checksums(row, &mut scratch, &mut outputs, &mut checksums)
        .expect("the first row is finite");
    let test = [SelfTest {
        inputs: row,
        outputs: &outputs,
        checksums: &checksums,
    }];
    spec.self_tests = &test;
    let blob = write(&spec, &description);
    let blob = with_verdict(&blob, seed);
    RandomModel {
        description,
        blob,
        inputs,
        x,
    }
}

/// What the layers of a [`chain`] are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Weights and values of 8 bits.
    Int8,
    /// Weights of 4 bits, values of 8 bits.
    Int4,
    /// Weights of 8 bits, values of 16 bits.
    Int16,
    /// Weights and values in float32.
    Float,
}

/// A model of given widths, its weights and `rows` rows drawn: relu between the layers, `last` at
/// the end.
pub fn chain(
    widths: &[usize],
    kind: Kind,
    packing: Packing,
    last: Activation,
    rows: usize,
) -> RandomModel {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let limits = Limits {
        width: usize::MAX,
        weights: usize::MAX,
        packing: Some(packing),
    };
    let (precision, steps) = match kind {
        Kind::Int8 | Kind::Int4 => (Signal::Int8, 63.0),
        Kind::Int16 => (Signal::Int16, 16_000.0),
        Kind::Float => (Signal::Float, 1.0),
    };
    let dense = widths.len() - 1;
    let layers: Vec<Layer> = (0..dense)
        .map(|i| {
            let mut layer = layer(rng, widths[i], widths[i + 1], precision, true, &limits);
            layer.set_int4(kind == Kind::Int4);
            layer.table = match last {
                Activation::Lines => Some(pieces(rng, 4, 2)),
                Activation::Curve => Some(pieces(rng, 32, 6)),
                _ => None,
            };
            layer.activation = last;
            if i + 1 < dense {
                layer.output = (kind != Kind::Float).then_some(precision);
                layer.activation = Activation::Relu;
                layer.table = None;
            }
            layer
        })
        .collect();
    let first = First::new(widths[0], precision, vec![steps], vec![0.0]);
    // Floats need no quantization, but the first layer is one.
    let specs: Vec<LayerSpec> = [first.spec()]
        .into_iter()
        .chain(layers.iter().map(Layer::spec))
        .collect();
    let spec = ModelSpec {
        layers: &specs,
        ..ModelSpec::default()
    };
    let names: Vec<String> = widths.iter().map(usize::to_string).collect();
    let description = names.join("-");
    RandomModel {
        blob: write(&spec, &description),
        description,
        inputs: widths[0],
        x: (0..rows * widths[0])
            .map(|_| rng.random_range(-2.0..2.0))
            .collect(),
    }
}

/// A layer without weights alone, behind a scaling of the inputs.
pub fn alone(layer: LayerSpec, inputs: usize) -> RandomModel {
    let scale = LayerSpec::Scale {
        inputs,
        scale: &[1.0],
        offset: &[0.0],
        then: FloatSpec::default(),
    };
    let layers = [scale, layer];
    let spec = ModelSpec {
        layers: &layers,
        ..ModelSpec::default()
    };
    let description = format!("{inputs} alone");
    RandomModel {
        blob: write(&spec, &description),
        description,
        inputs,
        x: (0..inputs).map(|i| (i as f32 * 0.7).sin()).collect(),
    }
}

fn write(spec: &ModelSpec, description: &str) -> Vec<u8> {
    let written = encoded_len(spec).and_then(|length| {
        let mut blob = vec![0; length];
        encode(spec, &mut blob).map(|_| blob)
    });
    written.unwrap_or_else(|error| panic!("{description}: {error}"))
}

/// Pieces with jumps between them, of so many coefficients, but for the first and the last, which are
/// lines.
fn pieces(rng: &mut ChaCha8Rng, count: usize, coefficients: usize) -> Vec<Piece> {
    (0..count)
        .map(|i| {
            let start = i as f32 / 8.0 - 2.0;
            let mut piece = Piece {
                start,
                origin: start + rng.random_range(-0.5..0.5),
                ..Piece::default()
            };
            let far = i == 0 || i + 1 == count;
            let powers = if far { 2 } else { coefficients };
            for coefficient in &mut piece.coefficients[..powers] {
                *coefficient = rng.random_range(-1.0..1.0);
            }
            piece
        })
        .collect()
}

/// Small widths are as likely as large ones: there the kernels' remainders are.
fn width(rng: &mut ChaCha8Rng, most: usize) -> usize {
    let bits = rng.random_range(0.0..=(most as f32).log2());
    (bits.exp2() as usize).clamp(1, most)
}

fn signal(rng: &mut ChaCha8Rng) -> Signal {
    match rng.random_range(0..10) {
        0..6 => Signal::Int8,
        6..8 => Signal::Int16,
        _ => Signal::Float,
    }
}

/// Mostly what a trained model sees; in some rows values far outside of it.
fn value(rng: &mut ChaCha8Rng, row: usize) -> f32 {
    let x: f32 = rng.random_range(-2.0..2.0);
    match row % 16 {
        12 => x * 1e4,
        13 => x.signum() * 1e6,
        14 => 0.0,
        // The only error that an input can cause.
        15 => [x, x, x, f32::NAN, f32::INFINITY][rng.random_range(0..5)],
        _ => x,
    }
}

fn layer(
    rng: &mut ChaCha8Rng,
    n: usize,
    units: usize,
    input: Signal,
    last: bool,
    limits: &Limits,
) -> Layer {
    let int4 = input == Signal::Int8 && rng.random_range(0..4) == 0;
    let packings = [Packing::Plain, Packing::Dsp, Packing::Lane, Packing::Mve];
    // The greatest weight that keeps every sum within the accumulator.
    let most = if int4 { 7 } else { (60_000 / n).min(127) as i8 };
    let extreme = rng.random_range(0..8) == 0;
    let weight = |rng: &mut ChaCha8Rng| match extreme {
        true if rng.random() => most,
        true => -most,
        false => rng.random_range(-most..=most),
    };
    let weights: Vec<i8> = (0..n * units).map(|_| weight(rng)).collect();
    let floats = (0..n * units)
        .map(|_| rng.random_range(-1.0..1.0) / (n as f32).sqrt())
        .collect();
    let typical = (n as f64).sqrt() * 0.58 * f64::from(most);
    let (steps, shift, bias) = match input {
        Signal::Int16 => (32767.0, 32.0, 1 << 24),
        _ => (127.0, 24.0, 1 << 14),
    };
    let typical = typical * steps * 0.5;
    let output = match input {
        Signal::Float => None,
        _ if last => None,
        _ => match signal(rng) {
            Signal::Float => None,
            integer => Some(integer),
        },
    };
    let reach = if output == Some(Signal::Int16) {
        32767.0
    } else {
        127.0
    };
    let bias: Vec<i32> = (0..units).map(|_| rng.random_range(-bias..bias)).collect();
    let multipliers = weights
        .chunks(n)
        .zip(&bias)
        .map(|(row, bias)| {
            let m = rng.random_range(0.2..1.5) * reach / typical * f64::exp2(shift);
            // What a sum becomes fits sixteen bits before the clamp to eight.
            let sum: f64 = row.iter().map(|&w| f64::from(w).abs()).sum();
            let largest = sum * 127.0 + f64::from(*bias).abs();
            let most = match (input, output) {
                (Signal::Int8, Some(Signal::Int8)) => {
                    (f64::exp2(39.0) / (largest + 1.0)).min(f64::exp2(24.0)) - 1.0
                }
                _ => 2_147_483_647.0,
            };
            m.clamp(0.0, most) as i32
        })
        .collect();
    let scales = match input {
        Signal::Float => Vec::new(),
        _ => (0..units)
            .map(|_| rng.random_range(0.5..2.0) / typical as f32)
            .collect(),
    };
    let table = rng.random_range(0..3) == 0;
    let activations = [
        Activation::Linear,
        Activation::Relu,
        Activation::Sigmoid,
        Activation::Tanh,
    ];
    Layer {
        inputs: n,
        units,
        rows: 1,
        between: None,
        packing: limits
            .packing
            .unwrap_or_else(|| packings[rng.random_range(0..4)]),
        input,
        int4,
        weights,
        floats,
        bias,
        output,
        multipliers,
        scales,
        activation: match rng.random_range(0..12) {
            8 | 9 if last => Activation::Softmax,
            10 if last => Activation::LogSoftmax,
            11 if last => Activation::Exponential,
            i => activations[i % 4],
        },
        table8: (table && output == Some(Signal::Int8))
            .then(|| std::array::from_fn(|_| rng.random_range(-127..=127))),
        table16: (table && output == Some(Signal::Int16))
            .then(|| std::array::from_fn(|_| rng.random_range(-32767..=32767))),
        table: (table && output.is_none()).then(|| {
            let lines = rng.random();
            let (most, coefficients) = if lines { (4, 2) } else { (32, 6) };
            let count = rng.random_range(1..=most);
            pieces(rng, count, coefficients)
        }),
    }
}

const TENSOR_SCALE: [f64; 1] = [1.0 / 63.5];
const TENSOR_ZERO: [i32; 1] = [-3];

impl Layer {
    /// Makes int8 weights fit for int4, or leaves them.
    fn set_int4(&mut self, int4: bool) {
        self.int4 = int4;
        if int4 {
            // At most 7.
            self.weights
                .iter_mut()
                .for_each(|w| *w = (i16::from(*w) * 7 / 127) as i8);
        }
    }

    /// Stands for a quantization of floats in the middle of a model.
    fn requantized(width: usize) -> Self {
        Self {
            inputs: width,
            units: 0,
            rows: 1,
            between: None,
            packing: Packing::Plain,
            input: Signal::Float,
            int4: false,
            weights: Vec::new(),
            floats: Vec::new(),
            bias: Vec::new(),
            output: Some(Signal::Int8),
            multipliers: Vec::new(),
            scales: Vec::new(),
            activation: Activation::Linear,
            table8: None,
            table16: None,
            table: None,
        }
    }

    /// A layer without weights.
    fn between(rng: &mut ChaCha8Rng, width: usize) -> Self {
        let activations = [
            Activation::Linear,
            Activation::Relu,
            Activation::Tanh,
            Activation::Softmax,
        ];
        Self {
            between: Some(Between::new(rng, width)),
            activation: activations[rng.random_range(0..4)],
            ..Self::requantized(width)
        }
    }

    fn spec(&self) -> LayerSpec<'_> {
        if let Some(between) = &self.between {
            return between.spec(self.inputs, self.activation);
        }
        if self.units == 0 {
            return LayerSpec::Quantize {
                inputs: self.inputs,
                scale: &TENSOR_SCALE,
                zero_point: &TENSOR_ZERO,
                output: Precision::Int8,
            };
        }
        let (weights, bias) = (&self.weights[..], &self.bias[..]);
        let dense = DenseSpec {
            inputs: self.inputs,
            units: self.units,
            packing: self.packing,
            weights: match self.input {
                Signal::Int8 if self.int4 => WeightsSpec::Int4 { weights, bias },
                Signal::Int8 => WeightsSpec::Int8 { weights, bias },
                Signal::Int16 => WeightsSpec::Int16 { weights, bias },
                Signal::Float => WeightsSpec::Float {
                    weights: &self.floats,
                    bias: &self.floats[..self.units],
                },
            },
            output: match self.output {
                Some(Signal::Int8) => OutputSpec::Int8 {
                    multipliers: &self.multipliers,
                    table: self.table8.as_ref(),
                },
                Some(Signal::Int16) => OutputSpec::Int16 {
                    multipliers: &self.multipliers,
                    table: self.table16.as_ref(),
                },
                _ => OutputSpec::Float {
                    scales: &self.scales,
                    activation: self.activation,
                    table: self.table.as_ref().map(|pieces| FloatTable {
                        least: -1.0,
                        greatest: f32::INFINITY,
                        pieces,
                    }),
                },
            },
        };
        match self.rows {
            1 => LayerSpec::Dense(dense),
            rows => LayerSpec::Rows { rows, dense },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_models_tell_rows_apart() {
        let limits = Limits {
            width: 100,
            weights: 5_000,
            packing: None,
        };
        let telling = (0..100)
            .filter(|&seed| {
                let model = random_model(seed, 12, &limits);
                let loaded: Model = Model::from_bytes(&model.blob).unwrap();
                let mut scratch = vec![0; loaded.scratch_len()];
                let mut y = vec![0.0; loaded.outputs()];
                let rows = model.x.chunks(model.inputs).map(|x| {
                    loaded.predict(x, &mut scratch, &mut y).unwrap();
                    y.clone()
                });
                let rows: Vec<_> = rows.collect();
                rows.iter().any(|y| *y != rows[0])
            })
            .count();
        // A single unit between two layers, one in seven of all, often saturates.
        assert!(telling >= 75, "only {telling} of 100 models");
    }
}
