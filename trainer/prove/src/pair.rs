//! The inputs of two rows at a time, and bounds of forms of both.

use crate::{
    bounds::{Bounded, Linear},
    compare::{Box, Other},
    domain::{Domain, Region},
    error::Result,
    network::Network,
    relation::Relation,
};

/// The inputs of a box in both rows.
pub(crate) struct Pair {
    pub domains: [Domain; 2],
    /// Of each input the other row's value, in terms of this one's: `slope * value`, and between which numbers
    /// added; none where they cannot be said.
    pub links: Vec<Option<(f64, [f64; 2])>>,
}

impl Pair {
    /// None where a column has no two values.
    pub fn new(
        network: &Network,
        other: Option<&Other>,
        relation: Option<Relation>,
        ranges: &Box,
    ) -> Result<Option<Self>> {
        let own = |input, x| network.quantization.quantize(input, x);
        let mut domains = match other {
            Some(Other::Integers(other)) => Domain::pair(ranges, &|input, x| {
                Some([own(input, x)?, other.quantization.quantize(input, x)?])
            })?,
            Some(Other::Floats(other)) => Domain::pair(ranges, &|input, x| {
                let q = own(input, x)?;
                other.takes(input, x).then_some([q, 0])
            })?,
            None => {
                let domain = Domain::new(network, ranges)?;
                [domain.clone(), domain]
            }
        };
        if let Some(Relation::Monotone { column, .. }) = relation {
            let [one, next] = &mut domains;
            let (one, next) = (&mut one.inputs[column], &mut next.inputs[column]);
            if one.values.len() < 2 {
                return Ok(None);
            }
            // Integers may rise where raw values fall.
            let (lower, upper) = match one.witnesses.is_sorted() {
                true => (one, next),
                false => (next, one),
            };
            lower.values.pop();
            lower.witnesses.pop();
            upper.values.remove(0);
            upper.witnesses.remove(0);
        }
        let is_float = matches!(other, Some(Other::Floats(_)));
        let links = domains[0]
            .inputs
            .iter()
            .zip(&domains[1].inputs)
            .map(|(one, next)| {
                let second = |index: usize| match is_float {
                    true => next.ends[index].map(f64::from),
                    false => [f64::from(next.values[index]); 2],
                };
                let end = one.values.len() - 1;
                let middle = |index: usize| second(index)[0] / 2.0 + second(index)[1] / 2.0;
                let width = f64::from(one.values[end] - one.values[0]);
                let slope = (middle(end) - middle(0)) / width;
                let mut added = [f64::INFINITY, f64::NEG_INFINITY];
                for (index, &value) in one.values.iter().enumerate() {
                    let product = slope * f64::from(value);
                    for y in second(index) {
                        // More than the roundings.
                        let pad = 1e-14 * (product.abs() + y.abs());
                        added = [
                            added[0].min(y - product - pad),
                            added[1].max(y - product + pad),
                        ];
                    }
                }
                let is_finite = slope.is_finite() && added.iter().all(|x| x.is_finite());
                is_finite.then_some((slope, added))
            });
        Ok(Some(Self {
            links: links.collect(),
            domains,
        }))
    }

    /// The raw values of a part.
    pub fn raw(&self, region: &Region) -> Vec<[f32; 2]> {
        let ends = region
            .first
            .iter()
            .zip(&region.last)
            .zip(&self.domains[1].inputs);
        ends.map(|((&first, &last), input)| {
            let [a, b] = [input.ends[first], input.ends[last]];
            [a[0].min(b[0]), a[1].max(b[1])]
        })
        .collect()
    }

    /// The least values of sums of forms of both rows.
    pub fn lower(&self, rows: [(&Bounded, &[[f64; 2]]); 2], forms: usize) -> Joint {
        let inputs = self.links.len();
        let mut places = [vec![None; inputs], vec![None; inputs]];
        for ((bounded, _), places) in rows.iter().zip(&mut places) {
            for (place, &input) in bounded.inputs.iter().enumerate() {
                places[input] = Some(place);
            }
        }
        let [a, b] = rows.map(|(bounded, _)| &bounded.linear);
        let slope = |linear: &Linear, place: Option<usize>, form: usize| {
            place.map_or(0.0, |place| linear.slopes[place * linear.count + form])
        };
        let mut joint = Joint {
            lower: Vec::with_capacity(forms),
            slopes: vec![[0.0; 2]; inputs * forms],
        };
        for form in 0..forms {
            let mut sum = a.constants[form] + b.constants[form];
            let mut magnitude = a.constants[form].abs() + b.constants[form].abs();
            for (input, link) in self.links.iter().enumerate() {
                let slopes = [
                    slope(a, places[0][input], form),
                    slope(b, places[1][input], form),
                ];
                joint.slopes[form * inputs + input] = slopes;
                let [one, other] = [rows[0].1[input], rows[1].1[input]];
                let least = |slope: f64, ends: [f64; 2]| (slope * ends[0]).min(slope * ends[1]);
                let most = |ends: [f64; 2]| ends[0].abs().max(ends[1].abs());
                let mut low = 0.0;
                if slopes[0] != 0.0 {
                    low += least(slopes[0], one);
                    magnitude += slopes[0].abs() * most(one);
                }
                if slopes[1] != 0.0 {
                    low += least(slopes[1], other);
                    magnitude += slopes[1].abs() * most(other);
                }
                if let Some((link, added)) = *link
                    && slopes[0] != 0.0
                    && slopes[1] != 0.0
                {
                    let both = slopes[0] + slopes[1] * link;
                    let joined = least(both, one) + least(slopes[1], added);
                    if joined > low {
                        low = joined;
                    }
                    magnitude += (slopes[0].abs() + (slopes[1] * link).abs()) * most(one)
                        + slopes[1].abs() * most(added);
                }
                sum += low;
            }
            let error = a.errors[form] + b.errors[form];
            let rounding = magnitude * (8 * inputs + 64) as f64 * f64::EPSILON;
            let lower = sum - error - rounding;
            joint.lower.push(if lower.is_nan() {
                f64::NEG_INFINITY
            } else {
                lower
            });
        }
        joint
    }
}

/// Bounds of forms of two rows.
pub(crate) struct Joint {
    pub lower: Vec<f64>,
    /// Of each form and input the coefficients in both rows, `[forms, inputs]`.
    pub slopes: Vec<[f64; 2]>,
}
