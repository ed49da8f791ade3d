//! A box of raw inputs as the device sees it: for each input the integers that it can become.
//!
//! A raw number is rounded to `f32`, multiplied, rounded, added to, rounded and clamped. Each of these steps
//! keeps the order (or turns it round, where the factor is negative), so that the numbers of an interval that
//! become one integer lie side by side, and bisection finds where the next one starts. Integers that no number
//! becomes, where the steps of `f32` are coarser than the quantization's, are left out.

use crate::{
    error::{Error, Result},
    network::Network,
};

/// The integers that one input can become, and for each the raw values that become it.
///
/// The integers ascend, and each is there once. Of the other model of two, for which a value stands for the raw
/// values with the same integer in either, they may descend, and be repeated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Input {
    pub values: Vec<i32>,
    /// One of those that become it.
    pub witnesses: Vec<f32>,
    /// The least and the greatest that become it.
    pub ends: Vec<[f32; 2]>,
}

/// All inputs of a box.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Domain {
    pub inputs: Vec<Input>,
}

/// A part of a domain: of each input the first and the last index of its values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Region {
    pub first: Vec<usize>,
    pub last: Vec<usize>,
}

/// Floats in the order of integers; 0 is above -0.
fn key(x: f32) -> i64 {
    let bits = x.to_bits().cast_signed();
    i64::from(bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed())
}

fn float(key: i64) -> f32 {
    let key = key as i32; // made of one
    f32::from_bits((key ^ ((key >> 31).cast_unsigned() >> 1).cast_signed()).cast_unsigned())
}

/// The greatest number of `[from, to]` for which `holds`, which holds for `from` and no longer from some number on.
fn greatest(from: i64, to: i64, holds: impl Fn(i64) -> bool) -> i64 {
    let (mut good, mut bad) = (from, to + 1);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if holds(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    good
}

/// What two models make of a raw value.
type Quantized<'a> = &'a dyn Fn(f32) -> Option<[i32; 2]>;

impl Input {
    /// Of two models.
    fn pair(quantize: Quantized, input: usize, range: Option<[f64; 2]>) -> Result<[Self; 2]> {
        let quantize = |key| quantize(float(key));
        let (from, to) = match range {
            // A raw number reaches the device as the nearest f32.
            Some([low, high]) => (key(low as f32), key(high as f32)),
            None => {
                let zero = key(0.0);
                let most = key(f32::MAX);
                let least = -greatest(-zero, -key(-f32::MAX), |key| quantize(-key).is_some());
                (least, greatest(zero, most, |key| quantize(key).is_some()))
            }
        };
        let (Some(_), Some(_)) = (quantize(from), quantize(to)) else {
            return Error::property(format!(
                "input {input} from {} to {} holds numbers that the device refuses, expected finite ones that its scale does not make infinite; narrow the box",
                float(from),
                float(to)
            ));
        };
        let (mut values, mut others) = (Vec::new(), Vec::new());
        let mut witnesses = Vec::new();
        let mut ends = Vec::new();
        let mut start = from;
        while start <= to {
            let value = quantize(start);
            let end = greatest(start, to, |key| quantize(key) == value);
            // In the middle, away from the ends of the step; of the whole number line next to its end.
            let middle = match (
                range.is_none() && start == from,
                range.is_none() && end == to,
            ) {
                (true, false) => f64::from(float(end)),
                (false, true) => f64::from(float(start)),
                (true, true) => 0.0,
                (false, false) => f64::midpoint(float(start).into(), float(end).into()),
            };
            let [value, other] = value.expect("the ends are finite, and so is what lies between");
            values.push(value);
            others.push(other);
            witnesses.push((middle as f32).clamp(float(start), float(end)));
            ends.push([float(start), float(end)]);
            start = end + 1;
        }
        if values.first() > values.last() {
            values.reverse();
            others.reverse();
            witnesses.reverse();
            ends.reverse();
        }
        let other = Self {
            values: others,
            witnesses: witnesses.clone(),
            ends: ends.clone(),
        };
        Ok([
            Self {
                values,
                witnesses,
                ends,
            },
            other,
        ])
    }
}

impl Domain {
    /// Of each input a range of raw values, both ends within, or all that the device takes.
    ///
    /// # Errors
    ///
    /// [`Error::Property`] where the device refuses some of them.
    pub fn new(network: &Network, ranges: &[Option<[f64; 2]>]) -> Result<Self> {
        let own = |input, x| network.quantization.quantize(input, x);
        let [domain, _] = Self::pair(ranges, &|input, x| own(input, x).map(|q| [q, q]))?;
        Ok(domain)
    }

    /// Of two models, for whose inputs `quantize` has both integers: values at one index are those of the same
    /// raw values.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn pair(
        ranges: &[Option<[f64; 2]>],
        quantize: &dyn Fn(usize, f32) -> Option<[i32; 2]>,
    ) -> Result<[Self; 2]> {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for (input, range) in ranges.iter().enumerate() {
            let [a, b] = Input::pair(&|x| quantize(input, x), input, *range)?;
            one.push(a);
            other.push(b);
        }
        Ok([one, other].map(|inputs| Self { inputs }))
    }

    /// All of it.
    pub fn whole(&self) -> Region {
        Region {
            first: vec![0; self.inputs.len()],
            last: self
                .inputs
                .iter()
                .map(|input| input.values.len() - 1)
                .collect(),
        }
    }

    /// The least and greatest integer of each input.
    pub fn ranges(&self, region: &Region) -> Vec<[i32; 2]> {
        let ends = region.first.iter().zip(&region.last).zip(&self.inputs);
        ends.map(|((&first, &last), input)| {
            let [a, b] = [input.values[first], input.values[last]];
            [a.min(b), a.max(b)]
        })
        .collect()
    }

    /// Raw values that become the integers at these indices.
    pub fn raw(&self, indices: &[usize]) -> Vec<f32> {
        let witnesses = self.inputs.iter().zip(indices);
        witnesses
            .map(|(input, &index)| input.witnesses[index])
            .collect()
    }

    /// The integers at these indices.
    pub fn quantized(&self, indices: &[usize]) -> Vec<i32> {
        let values = self.inputs.iter().zip(indices);
        values.map(|(input, &index)| input.values[index]).collect()
    }
}

impl Region {
    /// How many inputs there are; infinite where they are more than f64 counts, and rounded above 2^53.
    pub fn count(&self) -> f64 {
        let sizes = self.first.iter().zip(&self.last);
        sizes
            .map(|(first, last)| (last - first + 1) as f64)
            .product()
    }

    /// The two parts before and behind an index of an input, which the first of them ends with.
    pub fn split(&self, input: usize, at: usize) -> [Self; 2] {
        let (mut low, mut high) = (self.clone(), self.clone());
        low.last[input] = at;
        high.first[input] = at + 1;
        [low, high]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_keep_their_order_as_numbers() {
        let floats = [f32::MIN, -1.5, -1e-40, -0.0, 0.0, 1e-40, 1.5, f32::MAX];
        assert!(floats.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
        assert!(
            floats
                .iter()
                .all(|&x| float(key(x)).to_bits() == x.to_bits())
        );
    }
}
