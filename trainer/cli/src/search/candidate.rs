//! A network that may be worth training: its layers, how it is trained, what it is on the device.

use rand::{RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use thumbnet_trainer::quantize::DataType;

/// Units of hidden layers that are tried.
const UNITS: [usize; 8] = [2, 4, 6, 8, 12, 16, 24, 32];
const ACTIVATIONS: [&str; 2] = ["relu", "tanh"];
const RATES: [f32; 4] = [0.001, 0.003, 0.01, 0.03];
const DROPOUTS: [f64; 3] = [0.0, 0.0, 0.1];
/// Parts of the features, the most telling ones first.
const PARTS: [f64; 4] = [1.0, 1.0, 0.5, 0.25];

/// One choice of everything that is searched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Units of the hidden layers.
    pub hidden: Vec<usize>,
    pub activation: &'static str,
    /// Behind each hidden layer.
    pub dropout: f64,
    pub learning_rate: f32,
    #[serde(serialize_with = "by_name")]
    pub data_type: DataType,
    /// How many features, the most telling ones.
    pub features: usize,
}

fn by_name<S: serde::Serializer>(data_type: &DataType, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(data_type.name())
}

/// What may be chosen.
#[derive(Clone, Debug)]
pub struct Space {
    pub features: usize,
    pub types: Vec<DataType>,
}

impl Space {
    /// Networks from none to a few hidden layers, to begin with.
    pub fn first(&self) -> Vec<Candidate> {
        let ladder: [&[usize]; 8] = [&[], &[4], &[8], &[16], &[32], &[8, 8], &[16, 8], &[32, 16]];
        let of = |hidden: &[usize]| Candidate {
            hidden: hidden.to_vec(),
            activation: ACTIVATIONS[0],
            dropout: 0.0,
            learning_rate: 0.003,
            data_type: self.types[0],
            features: self.features,
        };
        ladder.into_iter().map(of).collect()
    }

    /// Any one.
    pub fn random(&self, rng: &mut ChaCha8Rng) -> Candidate {
        let depth = rng.random_range(0..=2);
        let mut candidate = Candidate {
            hidden: (0..depth).map(|_| of(&UNITS, rng)).collect(),
            activation: of(&ACTIVATIONS, rng),
            dropout: of(&DROPOUTS, rng),
            learning_rate: of(&RATES, rng),
            data_type: of(&self.types, rng),
            features: self.part(rng),
        };
        candidate.tidy();
        candidate
    }

    /// One that differs from another in one respect.
    pub fn neighbour(&self, other: &Candidate, rng: &mut ChaCha8Rng) -> Candidate {
        let mut near = other.clone();
        match rng.random_range(0..6) {
            0 if near.hidden.len() < 3 => {
                let place = rng.random_range(0..=near.hidden.len());
                near.hidden.insert(place, of(&UNITS, rng));
            }
            0 | 1 if !near.hidden.is_empty() => {
                let place = rng.random_range(0..near.hidden.len());
                match rng.random_range(0..4) {
                    0 => {
                        near.hidden.remove(place);
                    }
                    // A little more or less.
                    1 => near.hidden[place] = (near.hidden[place] * 3 / 4).max(1),
                    2 => near.hidden[place] = (near.hidden[place] * 4).div_ceil(3).min(128),
                    _ => near.hidden[place] = of(&UNITS, rng),
                }
            }
            2 => near.activation = of(&ACTIVATIONS, rng),
            3 => near.learning_rate = of(&RATES, rng),
            4 => near.data_type = of(&self.types, rng),
            5 => near.features = self.part(rng),
            _ => near.dropout = of(&DROPOUTS, rng),
        }
        near.tidy();
        near
    }

    fn part(&self, rng: &mut ChaCha8Rng) -> usize {
        let part = self.features as f64 * of(&PARTS, rng);
        (part.round() as usize).clamp(1, self.features)
    }
}

/// One of them, all as likely.
fn of<T: Copy>(choices: &[T], rng: &mut ChaCha8Rng) -> T {
    *choices.choose(rng).expect("there are choices")
}

impl Candidate {
    /// Without a hidden layer nothing is activated or dropped: two that are the same look the same.
    fn tidy(&mut self) {
        if self.hidden.is_empty() {
            self.activation = ACTIVATIONS[0];
            self.dropout = 0.0;
        }
    }

    /// As `train --layers` has them; `last` is the last one.
    pub fn layers(&self, last: &str) -> String {
        let mut layers = Vec::new();
        for units in &self.hidden {
            layers.push(format!("{units}:{}", self.activation));
            if self.dropout > 0.0 {
                layers.push(format!("dropout:{}", self.dropout));
            }
        }
        layers.push(last.to_string());
        layers.join(",")
    }
}
