//! Layers whose outputs are sums, or the greatest, of some of a sample's values: which values those are.

use super::base::{Backward, Forward, MaxPoolStep};
use crate::{Error, Result};

/// Most terms of a layer: more are a mistake in a file or in a shape, and are refused before memory is taken.
const MOST_TERMS: usize = 1 << 24;

/// Refuses a layer of more terms than that.
pub(crate) fn check_terms(class: &str, terms: Option<usize>) -> Result<()> {
    match terms {
        Some(terms) if terms <= MOST_TERMS => Ok(()),
        _ => Err(Error::shape(format!(
            "{class}: a sample takes more than {MOST_TERMS} values, expected at most that many; give the layer smaller samples or windows"
        ))),
    }
}

/// For each value of an output sample, values of the input sample with a weight each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Windows {
    /// Values of an input sample.
    inputs: usize,
    /// Where the terms of each output end.
    ends: Vec<usize>,
    terms: Vec<Term>,
    /// Of a pooling, the same along one axis after the other.
    pub axes: Vec<MaxPoolStep>,
}

/// One value of the input sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Term {
    pub input: usize,
    pub weight: f32,
}

impl Windows {
    /// No outputs yet.
    pub fn new(inputs: usize) -> Self {
        Self {
            inputs,
            ..Self::default()
        }
    }

    /// Adds an output that is these inputs' mean, or 0 where there are none.
    pub fn push_mean(&mut self, inputs: impl ExactSizeIterator<Item = usize>) {
        let weight = 1.0 / inputs.len() as f32; // a small count
        self.push_weighted(inputs, weight);
    }

    /// Adds an output that is these inputs' sum.
    pub fn push_sum(&mut self, inputs: impl Iterator<Item = usize>) {
        self.push_weighted(inputs, 1.0);
    }

    fn push_weighted(&mut self, inputs: impl Iterator<Item = usize>, weight: f32) {
        self.terms
            .extend(inputs.map(|input| Term { input, weight }));
        self.ends.push(self.terms.len());
    }

    /// Adds an output that is this input.
    pub fn push(&mut self, input: usize) {
        self.push_mean([input].into_iter());
    }

    /// Adds an output that is 0.
    pub fn push_zero(&mut self) {
        self.push_mean([].into_iter());
    }

    /// The terms of each output.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[Term]> {
        self.ends.iter().enumerate().map(|(row, &end)| {
            let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
            &self.terms[start..end]
        })
    }

    /// Samples of inputs and of outputs, side by side.
    fn samples<'a>(
        &self,
        x: &'a [f32],
        y: &'a mut [f32],
    ) -> impl Iterator<Item = (&'a [f32], &'a mut [f32])> {
        x.chunks_exact(self.inputs.max(1))
            .zip(y.chunks_exact_mut(self.ends.len().max(1)))
    }

    /// The weighted sums.
    pub fn sums(&self, pass: Forward) {
        for (x, y) in self.samples(pass.x, pass.y) {
            for (y, terms) in y.iter_mut().zip(self.rows()) {
                *y = terms.iter().map(|term| term.weight * x[term.input]).sum();
            }
        }
    }

    /// Their gradient by the inputs.
    pub fn sums_backward(&self, pass: Backward) {
        let Some(dx) = pass.dx else { return };
        dx.fill(0.0);
        for (dy, dx) in self.pairs(pass.dy, dx) {
            for (dy, terms) in dy.iter().zip(self.rows()) {
                for term in terms {
                    dx[term.input] += term.weight * dy;
                }
            }
        }
    }

    fn pairs<'a>(
        &self,
        dy: &'a [f32],
        dx: &'a mut [f32],
    ) -> impl Iterator<Item = (&'a [f32], &'a mut [f32])> {
        dy.chunks_exact(self.ends.len().max(1))
            .zip(dx.chunks_exact_mut(self.inputs.max(1)))
    }

    /// The greatest of each window.
    pub fn greatest(&self, pass: Forward) {
        for (x, y) in self.samples(pass.x, pass.y) {
            for (y, terms) in y.iter_mut().zip(self.rows()) {
                let values = terms.iter().map(|term| x[term.input]);
                // NaN stays, as in Keras.
                *y = values.fold(f32::NEG_INFINITY, |most, x| {
                    if x > most || x.is_nan() { x } else { most }
                });
            }
        }
    }

    /// The gradient of the greatest goes to the first of them, or to all of them alike.
    pub fn greatest_backward(&self, pass: Backward, ties: Ties) {
        let Some(dx) = pass.dx else { return };
        dx.fill(0.0);
        let outputs = self.ends.len().max(1);
        let samples = pass
            .x
            .chunks_exact(self.inputs.max(1))
            .zip(pass.y.chunks_exact(outputs));
        for ((x, y), (dy, dx)) in samples.zip(self.pairs(pass.dy, dx)) {
            for ((&y, dy), terms) in y.iter().zip(dy).zip(self.rows()) {
                let greatest = || terms.iter().filter(|term| x[term.input] == y);
                match ties {
                    Ties::First => {
                        if let Some(term) = greatest().next() {
                            dx[term.input] += dy;
                        }
                    }
                    Ties::Alike => {
                        let share = dy / greatest().count() as f32; // a small count
                        greatest().for_each(|term| dx[term.input] += share);
                    }
                }
            }
        }
    }
}

/// Which of several greatest values a gradient goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ties {
    /// The first.
    First,
    /// Each gets the same share.
    Alike,
}
