//! Every packing of every weight type gives the bits of a plain matrix product.

use proptest::prelude::*;
use thumbnet_runtime::{
    Activation, DenseSpec, Error, LayerSpec, Model, ModelSpec, OutputSpec, Packing, Precision,
    WeightsSpec, encode, encoded_len,
};

const PACKINGS: [Packing; 4] = [Packing::Plain, Packing::Dsp, Packing::Lane, Packing::Mve];

#[allow(dead_code)] // some features off
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Int8,
    Int4,
    Int16,
}

/// Two dense layers, the first with integer outputs, the second with float ones.
#[derive(Clone, Debug)]
struct Net {
    kind: Kind,
    widths: [usize; 3],
    weights: [Vec<i8>; 2],
    bias: [Vec<i32>; 2],
    multipliers: Vec<i32>,
    scales: Vec<f32>,
    inputs: Vec<f32>,
}

impl Net {
    fn blob(&self, packing: Packing) -> Vec<u8> {
        let weights = |i: usize| match self.kind {
            Kind::Int8 => WeightsSpec::Int8 {
                weights: &self.weights[i],
                bias: &self.bias[i],
            },
            Kind::Int4 => WeightsSpec::Int4 {
                weights: &self.weights[i],
                bias: &self.bias[i],
            },
            Kind::Int16 => WeightsSpec::Int16 {
                weights: &self.weights[i],
                bias: &self.bias[i],
            },
        };
        let [inputs, hidden, outputs] = self.widths;
        let int16 = self.kind == Kind::Int16;
        let layers = [
            LayerSpec::Quantize {
                inputs,
                scale: &[1.0],
                zero: &[0.0],
                output: if int16 {
                    Precision::Int16
                } else {
                    Precision::Int8
                },
            },
            LayerSpec::Dense(DenseSpec {
                inputs,
                units: hidden,
                packing,
                weights: weights(0),
                output: if int16 {
                    OutputSpec::Int16 {
                        multipliers: &self.multipliers,
                        table: None,
                    }
                } else {
                    OutputSpec::Int8 {
                        multipliers: &self.multipliers,
                        table: None,
                    }
                },
            }),
            LayerSpec::Dense(DenseSpec {
                inputs: hidden,
                units: outputs,
                packing,
                weights: weights(1),
                output: OutputSpec::Float {
                    scales: &self.scales,
                    activation: Activation::Linear,
                    table: None,
                },
            }),
        ];
        let spec = ModelSpec {
            layers: &layers,
            ..ModelSpec::default()
        };
        let mut blob = vec![0; encoded_len(&spec).unwrap()];
        assert_eq!(encode(&spec, &mut blob), Ok(blob.len()));
        blob
    }

    /// The contract, without packings.
    fn expected(&self) -> Vec<f32> {
        let (shift, limit) = match self.kind {
            Kind::Int16 => (32, 32767),
            _ => (24, 127),
        };
        let sums = |i: usize, x: &[i64]| -> Vec<i64> {
            let rows = self.weights[i].chunks(self.widths[i]);
            rows.zip(&self.bias[i])
                .map(|(row, &b)| {
                    row.iter()
                        .zip(x)
                        .map(|(&w, x)| i64::from(w) * x)
                        .sum::<i64>()
                        + i64::from(b)
                })
                .collect()
        };
        let x: Vec<i64> = self.inputs.iter().map(|&x| x as i64).collect();
        let hidden: Vec<i64> = sums(0, &x)
            .iter()
            .zip(&self.multipliers)
            .map(|(acc, &m)| {
                ((acc * i64::from(m) + (1 << (shift - 1))) >> shift).clamp(-limit, limit)
            })
            .collect();
        sums(1, &hidden)
            .iter()
            .zip(&self.scales)
            .map(|(&acc, scale)| acc as f32 * scale)
            .collect()
    }
}

fn predict(blob: &[u8]) -> impl Fn(&[f32]) -> Result<Vec<f32>, Error> + '_ {
    |inputs| {
        let model: Model = Model::from_bytes(blob)?;
        // Whatever lay there before must not matter.
        let mut scratch = vec![0xA5C3_E187; model.scratch_len()];
        let mut outputs = vec![0.0; model.outputs()];
        model.predict(inputs, &mut scratch, &mut outputs)?;
        Ok(outputs)
    }
}

fn net(kind: Kind) -> impl Strategy<Value = Net> {
    let widths = [1..70usize, 1..14usize, 1..11usize];
    (widths, any::<bool>()).prop_flat_map(move |([a, b, c], extreme)| {
        let (top, input) = match kind {
            Kind::Int8 => (127i8, 127i32),
            Kind::Int4 => (7, 127),
            Kind::Int16 => (127, 32767),
        };
        let weight = move || {
            if extreme {
                prop_oneof![Just(top), Just(-top)].boxed()
            } else {
                (-top..=top).boxed()
            }
        };
        // Within the exporter's proof: 127 * 127 * 70 + bias < 2^23.
        let bias = || -2_000_000..2_000_000i32;
        let x = if extreme {
            prop_oneof![Just(input), Just(-input)].boxed()
        } else {
            (-input..=input).boxed()
        };
        (
            prop::collection::vec(weight(), a * b),
            prop::collection::vec(weight(), b * c),
            prop::collection::vec(bias(), b),
            prop::collection::vec(bias(), c),
            prop::collection::vec(0..=i32::MAX, b),
            prop::collection::vec(1e-6f32..1.0, c),
            prop::collection::vec(x, a),
        )
            .prop_map(move |(w0, w1, b0, b1, multipliers, scales, x)| Net {
                kind,
                widths: [a, b, c],
                weights: [w0, w1],
                bias: [b0, b1],
                // Most small enough that not everything is clamped.
                multipliers: multipliers.iter().map(|m| m >> (m % 24)).collect(),
                scales,
                inputs: x.iter().map(|&x| x as f32).collect(),
            })
    })
}

fn compare(net: &Net) {
    let expected: Vec<u32> = net.expected().iter().map(|y| y.to_bits()).collect();
    for packing in PACKINGS {
        let blob = net.blob(packing);
        let found = predict(&blob)(&net.inputs).unwrap();
        let found: Vec<u32> = found.iter().map(|y| y.to_bits()).collect();
        assert_eq!(found, expected, "{packing:?}");
        // Wherever the blob lies.
        for offset in 1..4 {
            let mut moved = vec![0; offset];
            moved.extend_from_slice(&blob);
            let again = predict(&moved[offset..])(&net.inputs).unwrap();
            assert!(
                again
                    .iter()
                    .map(|y| y.to_bits())
                    .eq(expected.iter().copied())
            );
        }
    }
}

proptest! {
    #[test]
    fn int8_packings_agree(net in net(Kind::Int8)) {
        compare(&net);
    }

    #[cfg(feature = "int4")]
    #[test]
    fn int4_packings_agree(net in net(Kind::Int4)) {
        compare(&net);
    }

    #[cfg(feature = "int16")]
    #[test]
    fn int16_packings_agree(net in net(Kind::Int16)) {
        compare(&net);
    }
}
