//! Small random models, and every input of them.
#![allow(dead_code, reason = "each program uses what it needs")]

use serde_json::{Value, json};
use thumbnet_prove::{Goal, Network, Property, Relation};
use thumbnet_runtime::{
    Activation, DenseSpec, LayerSpec, ModelSpec, OutputSpec, Packing, Precision, WeightsSpec,
    encode,
};

/// Numbers that are the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % count
    }

    /// From `-limit` to `limit`.
    pub fn signed(&mut self, limit: i32) -> i32 {
        self.below(2 * limit as usize + 1) as i32 - limit
    }

    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// A model of layers that fit each other, of any weight type, with tables, and sums that reach the ends.
pub struct Model {
    pub blob: Vec<u8>,
    pub inputs: usize,
    pub outputs: usize,
    /// Of each input, the size of a step.
    pub scales: Vec<f64>,
    pub activation: Activation,
}

pub fn model(random: &mut Random) -> Model {
    let (inputs, outputs) = (2 + random.below(2), 1 + random.below(4));
    model_of(random, inputs, outputs, None)
}

/// What a model has to be like to be compared with another one.
pub type Head = (Vec<f64>, Activation);

/// With so many inputs and outputs; `head` has the sizes of the inputs' steps, and the last activation.
pub fn model_of(random: &mut Random, inputs: usize, outputs: usize, head: Option<Head>) -> Model {
    let depth = random.below(4);
    let packing = random.one_of(&[Packing::Plain, Packing::Dsp, Packing::Lane, Packing::Mve]);
    let wide = |random: &mut Random| random.below(3) == 0;
    let precision = |wide: bool| {
        if wide {
            Precision::Int16
        } else {
            Precision::Int8
        }
    };
    let mut widths = vec![inputs];
    widths.extend((0..depth).map(|_| 1 + random.below(6)));
    widths.push(outputs);
    let is_wide: Vec<bool> = (0..=depth).map(|_| wide(random)).collect();
    let mut scales: Vec<f64> = (0..inputs)
        .map(|_| random.one_of(&[1.0, 0.25, 0.1, -0.5, 3.7]))
        .collect();
    let zero_point: Vec<i32> = (0..inputs).map(|_| random.signed(40)).collect();
    let mut activation = random.one_of(&[
        Activation::Linear,
        Activation::Linear,
        Activation::Softmax,
        Activation::Sigmoid,
        Activation::Relu,
        Activation::Tanh,
        Activation::Exponential,
    ]);
    if let Some((own, last)) = head {
        // Steps of another model, the same or some parts of them, so that a box has about as many.
        scales = own
            .iter()
            .map(|step| step * random.one_of(&[1.0, 1.0, -1.3, 0.7]))
            .collect();
        activation = last;
    }
    struct Layer {
        int4: bool,
        weights: Vec<i8>,
        bias: Vec<i32>,
        multipliers: Vec<i32>,
        scales: Vec<f32>,
        table8: Option<[i8; 256]>,
        table16: Option<[i16; 257]>,
    }
    let layers: Vec<Layer> = (0..=depth)
        .map(|index| {
            let (read, units, reads_wide) = (widths[index], widths[index + 1], is_wide[index]);
            let writes_wide = is_wide.get(index + 1).copied().unwrap_or(false);
            let int4 = !reads_wide && random.below(3) == 0;
            let limit = if int4 { 7 } else { 127 };
            let weights: Vec<i8> = (0..read * units)
                .map(|_| random.signed(limit) as i8)
                .collect();
            let reach = if reads_wide { 1 << 20 } else { 1 << 13 };
            let bias = (0..units).map(|_| random.signed(reach)).collect();
            // From never reaching the ends to reaching them everywhere.
            let full =
                f64::from(limit) * if reads_wide { 32767.0 } else { 127.0 } * read as f64 / 2.0;
            let multipliers = (0..units)
                .map(|_| {
                    let target = if writes_wide { 32767.0 } else { 127.0 };
                    let gain = random.one_of(&[0.05, 0.5, 1.0, 3.0, 20.0]);
                    let shift = if reads_wide { 32.0 } else { 24.0 };
                    let most: f64 = if !reads_wide && !writes_wide {
                        16_000_000.0
                    } else {
                        2e9
                    };
                    // Behind a layer of 8 bits products stay below 2^39.
                    let largest = full * 2.0 + f64::from(reach);
                    let narrow = if !reads_wide && !writes_wide {
                        2f64.powf(38.9) / largest
                    } else {
                        most
                    };
                    (gain * target / full * 2f64.powf(shift))
                        .min(most)
                        .min(narrow) as i32
                })
                .collect();
            let with_table = random.below(3) == 0;
            // Rising, falling, or anything.
            let kind = random.below(3);
            let mut entry = |at: f64, limit: i32| match kind {
                0 => (at.tanh() * f64::from(limit)) as i32,
                1 => (-at * at * f64::from(limit)) as i32,
                _ => random.signed(limit),
            };
            let table8 = with_table.then(|| {
                std::array::from_fn(|q| entry(f64::from(q as u8 as i8) / 128.0, 127) as i8)
            });
            let table16 = with_table.then(|| {
                std::array::from_fn(|index| entry(index as f64 / 128.0 - 1.0, 32767) as i16)
            });
            let scales = (0..units)
                .map(|_| (random.one_of(&[1.0, 0.5, 4.0, 0.01]) / full) as f32)
                .collect();
            Layer {
                int4,
                weights,
                bias,
                multipliers,
                scales,
                table8,
                table16,
            }
        })
        .collect();
    let mut specs = vec![LayerSpec::Quantize {
        inputs,
        scale: &scales,
        zero_point: &zero_point,
        output: precision(is_wide[0]),
    }];
    for (index, layer) in layers.iter().enumerate() {
        let (weights, bias) = (&layer.weights[..], &layer.bias[..]);
        specs.push(LayerSpec::Dense(DenseSpec {
            inputs: widths[index],
            units: widths[index + 1],
            packing,
            weights: match (is_wide[index], layer.int4) {
                (true, _) => WeightsSpec::Int16 { weights, bias },
                (false, true) => WeightsSpec::Int4 { weights, bias },
                (false, false) => WeightsSpec::Int8 { weights, bias },
            },
            output: match is_wide.get(index + 1) {
                None => OutputSpec::Float {
                    scales: &layer.scales,
                    activation,
                    table: None,
                },
                Some(true) => OutputSpec::Int16 {
                    multipliers: &layer.multipliers,
                    table: layer.table16.as_ref(),
                },
                Some(false) => OutputSpec::Int8 {
                    multipliers: &layer.multipliers,
                    table: layer.table8.as_ref(),
                },
            },
        }));
    }
    let spec = ModelSpec {
        layers: &specs,
        ..ModelSpec::default()
    };
    let mut blob = vec![0; 8192];
    let length = encode(&spec, &mut blob).unwrap();
    blob.truncate(length);
    let scales = scales.iter().map(|scale| scale.abs()).collect();
    Model {
        blob,
        inputs,
        outputs,
        scales,
        activation,
    }
}

/// A box of so many steps for each input, about.
pub fn ranges(random: &mut Random, model: &Model, steps: usize) -> Vec<Option<[f64; 2]>> {
    let range = |scale: &f64| {
        let low = f64::from(random.signed(120)) * scale + 0.3 * scale * random.below(3) as f64;
        Some([low, low + scale * random.below(steps) as f64])
    };
    model.scales.iter().map(range).collect()
}

/// Raw values of a range that reach all of its steps: its ends, and four to a step.
fn raw(range: [f64; 2], scale: f64) -> Vec<f32> {
    let count = ((range[1] - range[0]) / scale * 4.0).ceil() as usize;
    let inner = (0..=count).map(|i| (range[0] + i as f64 * scale / 4.0).min(range[1]) as f32);
    inner.collect()
}

/// The outputs for every input of a box, by the model's own code.
pub fn all_outputs(network: &Network, model: &Model, ranges: &[Option<[f64; 2]>]) -> Vec<Vec<f32>> {
    let rows = all_rows(&model.scales, ranges);
    rows.iter()
        .map(|row| network.predict(row).unwrap())
        .collect()
}

/// Raw values that reach every input of a box, four and more for each step of such sizes; the first column moves on
/// fastest.
pub fn all_rows(steps: &[f64], ranges: &[Option<[f64; 2]>]) -> Vec<Vec<f32>> {
    let axes: Vec<Vec<f32>> = ranges
        .iter()
        .zip(steps)
        .map(|(range, &scale)| raw(range.unwrap(), scale))
        .collect();
    let mut found = Vec::new();
    let mut at = vec![0; axes.len()];
    loop {
        found.push(axes.iter().zip(&at).map(|(axis, &i)| axis[i]).collect());
        let Some(next) = (0..at.len()).find(|&i| at[i] + 1 < axes[i].len()) else {
            return found;
        };
        at[..next].fill(0);
        at[next] += 1;
    }
}

/// A goal that some inputs may break, with numbers near what the outputs are.
pub fn goal(random: &mut Random, outputs: &[Vec<f32>]) -> Goal {
    let count = outputs[0].len();
    let mut set = |count: usize| {
        let mut set: Vec<bool> = (0..count).map(|_| random.below(2) == 0).collect();
        if count > 1 {
            let first = random.below(count);
            set[first] = true;
            set[(first + 1) % count] = false;
        }
        set
    };
    let (class, order) = (set(count.max(2)), set(count));
    let index = random.below(count);
    let some = outputs[random.below(outputs.len())][index];
    let most = outputs
        .iter()
        .map(|row| row[index])
        .fold(f32::MIN, f32::max);
    let least = outputs
        .iter()
        .map(|row| row[index])
        .fold(f32::MAX, f32::min);
    // On the spot, a bit beyond, or well beyond.
    let bound = random.one_of(&[
        some,
        most,
        most.next_down(),
        most + (most - least) * 0.1 + 1e-3,
    ]);
    match random.below(if count > 1 { 7 } else { 3 }) {
        0 => Goal::Class(class),
        1 => Goal::Output {
            index,
            at_least: f64::NEG_INFINITY,
            at_most: bound.into(),
        },
        2 => {
            let at_least =
                random.one_of(&[least, least.next_up(), some, least - (most - least) * 0.1]);
            Goal::Output {
                index,
                at_least: at_least.into(),
                at_most: f64::INFINITY,
            }
        }
        3 => Goal::Margin {
            index,
            by: f64::from(random.signed(10)) / 100.0,
        },
        4 => Goal::Output {
            index,
            at_least: least.into(),
            at_most: bound.into(),
        },
        5 => Goal::Largest(order),
        _ => Goal::Smallest(order),
    }
}

/// The goal as files have it.
pub fn holds_when(goal: &Goal) -> Value {
    let members =
        |set: &[bool]| -> Vec<usize> { (0..set.len()).filter(|&index| set[index]).collect() };
    match goal {
        Goal::Class(set) => json!({"always_class": members(set)}),
        Goal::Largest(set) => json!({"always_largest": members(set)}),
        Goal::Smallest(set) => json!({"always_smallest": members(set)}),
        Goal::Margin { index, by } => json!({"output": index, "margin": by}),
        Goal::Nothing => Value::Null,
        Goal::Relation(Relation::SameClass) => json!({"same_class": true}),
        Goal::Relation(Relation::Within(most)) => json!({"within": most}),
        Goal::Relation(Relation::Monotone {
            output,
            column,
            rises,
        }) => {
            let key = if *rises { "rises_with" } else { "falls_with" };
            json!({"output": output, key: column})
        }
        Goal::Output {
            index,
            at_least,
            at_most,
        } => {
            let mut value = json!({"output": index});
            for (key, bound) in [("at_least", at_least), ("at_most", at_most)] {
                if bound.is_finite() {
                    value[key] = json!(bound);
                }
            }
            value
        }
    }
}

/// A property of one box, as it is read from a file.
pub fn property(network: &Network, ranges: &[Option<[f64; 2]>], goal: &Goal) -> Property {
    let columns = ranges
        .iter()
        .enumerate()
        .filter_map(|(index, range)| Some((index.to_string(), json!((*range)?))));
    let columns: serde_json::Map<String, Value> = columns.collect();
    let file = json!({"boxes": [columns], "holds_when": holds_when(goal)});
    let property = Property::of("", file.as_object().unwrap(), network).unwrap();
    assert_eq!((&property.goal, &property.boxes[0][..]), (goal, ranges));
    property
}
