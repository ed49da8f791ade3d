//! Every packing of every weight type gives the same bits, wherever the blob lies, and those of a
//! plain matrix product.

mod common;

use common::{Layer, Net, Output, PACKINGS, Random, Weights, predict};
use proptest::prelude::*;
use thumbnet_runtime::{Activation, Model, Precision};

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn packings_agree(seed: u64, widest in 1..if cfg!(miri) { 6usize } else { 70 }) {
        let net = Net::random(seed, widest);
        let (Layer::Quantize(inputs, ..) | Layer::Scale(inputs, ..)) = net.layers[0] else {
            unreachable!()
        };
        let random = &mut Random::new(seed ^ 1);
        let inputs = random.vec(inputs, |random| random.unit() * 4.0);
        let mut expected = None;
        for packing in PACKINGS {
            let blob = net.blob(packing);
            let model: Model = Model::from_bytes(&blob).unwrap();
            prop_assert_eq!(model.verify_weights(), Ok(()));
            let mut scratch = vec![0x55AA_55AA; model.scratch_len()];
            let mut outputs = vec![0.0; model.outputs()];
            prop_assert_eq!(model.self_test(&mut scratch, &mut outputs), Ok(()));
            for offset in 0..4 {
                let mut moved = vec![0; offset];
                moved.extend_from_slice(&blob);
                // What overflows is the same error.
                let found = predict(&moved[offset..], &inputs);
                let expected = expected.get_or_insert_with(|| found.clone());
                prop_assert_eq!(&found, expected, "{:?}", packing);
            }
        }
    }

    #[test]
    fn predictions_follow_the_contract(
        seed: u64,
        [a, b, c] in [1..70usize, 1..14usize, 1..11usize],
        kind in 0..3,
    ) {
        let random = &mut Random::new(seed);
        let kind = match kind {
            1 if cfg!(feature = "int4") => Kind::Int4,
            2 if cfg!(feature = "int16") => Kind::Int16,
            _ => Kind::Int8,
        };
        let two = TwoLayers::random(random, kind, [a, b, c]);
        let expected = two.expected();
        for packing in PACKINGS {
            prop_assert_eq!(&predict(&two.net().blob(packing), &two.inputs).unwrap(), &expected);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Int8,
    Int4,
    Int16,
}

/// Two dense layers, the first with integer outputs, the second with float ones.
struct TwoLayers {
    kind: Kind,
    widths: [usize; 3],
    weights: [Vec<i8>; 2],
    bias: [Vec<i32>; 2],
    multipliers: Vec<i32>,
    scales: Vec<f32>,
    inputs: Vec<f32>,
}

impl TwoLayers {
    fn random(random: &mut Random, kind: Kind, widths: [usize; 3]) -> Self {
        let [a, b, c] = widths;
        let top = if kind == Kind::Int4 { 7 } else { 127 };
        let input = if kind == Kind::Int16 { 32767 } else { 127 };
        let extreme = random.below(2) == 0;
        let mut pick = |count, top: i32| {
            random.vec(count, |random| {
                if extreme {
                    random.of(&[-top, top])
                } else {
                    random.between(-top, top)
                }
            })
        };
        let weights = |values: Vec<i32>| values.iter().map(|&w| w as i8).collect();
        let mut two = Self {
            kind,
            widths,
            weights: [weights(pick(a * b, top)), weights(pick(b * c, top))],
            // 127 * 127 * 70 + 2e6 < 2^23.
            bias: [pick(b, 2_000_000), pick(c, 2_000_000)],
            inputs: pick(a, input).iter().map(|&x| x as f32).collect(),
            // Most small enough that not everything is clamped.
            multipliers: random.vec(b, |random| (random.next() >> (1 + random.below(24))) as i32),
            scales: random.vec(c, |random| random.unit()),
        };
        let (weights, bias) = (two.weights[0].clone(), two.bias[0].clone());
        if kind != Kind::Int16 {
            two.multipliers = Weights::Int8(weights, bias).narrow(two.multipliers);
        }
        two
    }

    fn net(&self) -> Net {
        let [inputs, hidden, outputs] = self.widths;
        let weights = |i: usize| {
            let (weights, bias) = (self.weights[i].clone(), self.bias[i].clone());
            match self.kind {
                Kind::Int8 => Weights::Int8(weights, bias),
                Kind::Int4 => Weights::Int4(weights, bias),
                Kind::Int16 => Weights::Int16(weights, bias),
            }
        };
        let (precision, finish) = match self.kind {
            Kind::Int16 => (
                Precision::Int16,
                Output::Int16(self.multipliers.clone(), None),
            ),
            _ => (
                Precision::Int8,
                Output::Int8(self.multipliers.clone(), None),
            ),
        };
        let last = Output::Float(self.scales.clone(), Activation::Linear, None);
        Net {
            layers: vec![
                Layer::Quantize(inputs, vec![1.0], vec![0], precision),
                Layer::Dense(inputs, hidden, weights(0), finish),
                Layer::Dense(hidden, outputs, weights(1), last),
            ],
            labels: vec![],
            threshold: None,
            tests: vec![],
        }
    }

    /// The contract, without packings and with wide integers.
    fn expected(&self) -> Vec<u32> {
        let (shift, limit) = match self.kind {
            Kind::Int16 => (32, 32767),
            _ => (24, 127),
        };
        let sums = |i: usize, x: &[i64]| -> Vec<i64> {
            let rows = self.weights[i].chunks(self.widths[i]);
            let dot =
                |row: &[i8]| -> i64 { row.iter().zip(x).map(|(&w, x)| i64::from(w) * x).sum() };
            rows.zip(&self.bias[i])
                .map(|(row, &b)| dot(row) + i64::from(b))
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
            .map(|(&acc, scale)| (acc as f32 * scale).to_bits())
            .collect()
    }
}
