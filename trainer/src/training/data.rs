//! Data on its way into the passes: arrays checked once, batches as slices, shuffled rows.

use std::ops::Range;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::Sequential;
use crate::engine::{Gathered, grow};
use crate::layers::Flow;
use crate::samples::Samples;
use crate::sequential::targets::Targets;
use crate::{Error, Result};

/// Inputs, targets and weights of the same rows.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub x: &'a Samples<'a>,
    pub y: &'a Samples<'a>,
    /// One weight per row.
    pub weights: Option<&'a [f32]>,
}

/// One batch, rows first.
#[derive(Clone, Copy)]
pub(crate) struct BatchRows<'a> {
    pub rows: usize,
    pub x: &'a [f32],
    pub y: &'a [f32],
    pub weights: Option<&'a [f32]>,
}

impl<'a> Rows<'a> {
    /// Rows `start..stop` as they lie.
    pub fn slice(&self, start: usize, stop: usize) -> BatchRows<'a> {
        let (x, y) = (self.x.width(), self.y.width());
        BatchRows {
            rows: stop - start,
            x: &self.x.values()[start * x..stop * x],
            y: &self.y.values()[start * y..stop * y],
            weights: self.weights.map(|weights| &weights[start..stop]),
        }
    }

    /// The rows of these indices, copied to `into`.
    pub fn gather<'b>(&self, indices: &[u32], into: &'b mut Gathered) -> BatchRows<'b> {
        fn rows<'b>(
            from: &[f32],
            width: usize,
            indices: &[u32],
            into: &'b mut Vec<f32>,
        ) -> &'b [f32] {
            let into = grow(into, indices.len() * width);
            if width > 0 {
                for (to, &index) in into.chunks_exact_mut(width).zip(indices) {
                    let start = index as usize * width; // 64-bit hosts
                    to.copy_from_slice(&from[start..start + width]);
                }
            }
            into
        }
        let Gathered { x, y, weights } = into;
        BatchRows {
            rows: indices.len(),
            x: rows(self.x.values(), self.x.width(), indices, x),
            y: rows(self.y.values(), self.y.width(), indices, y),
            weights: self.weights.map(|from| rows(from, 1, indices, weights)),
        }
    }
}

/// The order of rows in one pass over the data.
#[derive(Default)]
pub(crate) struct Order {
    /// Empty when rows come as they lie.
    indices: Vec<u32>,
}

impl Order {
    /// A new random order of these rows.
    pub fn shuffle(&mut self, rows: Range<usize>, rng: &mut ChaCha8Rng) -> Result<()> {
        let end = u32::try_from(rows.end).map_err(|_| {
            Error::value(format!(
                "{} rows are too many to shuffle, expected at most {}; train without shuffling",
                rows.end,
                u32::MAX
            ))
        })?;
        // From the same beginning in every epoch, so that an order depends on its epoch alone.
        self.indices.clear();
        self.indices.extend(rows.start as u32..end); // below the end
        self.indices.shuffle(rng);
        Ok(())
    }

    /// The indices of batch rows `start..stop`, or none when rows come as they lie.
    pub fn indices(&self, start: usize, stop: usize) -> Option<&[u32]> {
        self.indices
            .get(start..stop)
            .filter(|_| !self.indices.is_empty())
    }
}

impl Sequential {
    /// Builds the model for `x` if it is not, and checks that it takes such samples. Keras'
    /// latitude holds: a last axis of size 1 may be there or not.
    pub(crate) fn build_for(&mut self, x: &Samples) -> Result<()> {
        if !self.is_built() {
            let shape = match x.sample_shape() {
                [] => vec![1],
                shape => shape.to_vec(),
            };
            let shape = self.input_shape().map_or(shape, <[usize]>::to_vec);
            self.build(&shape)?;
        }
        self.check_x(x)
    }

    pub(crate) fn check_x(&self, x: &Samples) -> Result<()> {
        let Some(expected) = self.input_shape().filter(|_| self.is_built()) else {
            return Err(Error::value(format!(
                "model {:?} is not built, expected its input shape to be known; call build or fit first",
                self.name()
            )));
        };
        let found = x.sample_shape();
        let same = found == expected
            || matches!(expected.split_last(), Some((1, rest)) if rest == found)
            || matches!(found.split_last(), Some((1, rest)) if rest == expected);
        if !same {
            return Err(Error::shape(format!(
                "x has shape {:?}, expected (None, {}) for model {:?}; select or reshape the features",
                x.shape(),
                expected
                    .iter()
                    .map(usize::to_string)
                    .collect::<Vec<_>>()
                    .join(", "),
                self.name()
            )));
        }
        if x.rows() == 0 {
            return Err(Error::shape("x has no rows, expected at least one"));
        }
        if let Some(input) = &self.input {
            input.check_values(x.values())?;
        }
        for leaf in self.leaves() {
            let op = leaf.layer(self.layers()).op();
            op.check_inputs(x.values())?;
            if op.flow(false) != Flow::Same {
                break;
            }
        }
        Ok(())
    }

    /// Checks that targets and weights go with `x` and with the loss.
    pub(crate) fn check_rows(&self, data: Rows) -> Result<()> {
        self.check_x(data.x)?;
        let rows = data.x.rows();
        if data.y.rows() != rows {
            return Err(Error::shape(format!(
                "x has {rows} rows and y has {}, expected as many of each; check that both come from the same file",
                data.y.rows()
            )));
        }
        if let Some(weights) = data.weights
            && weights.len() != rows
        {
            return Err(Error::shape(format!(
                "sample_weight has {} values, expected one for each of the {rows} rows",
                weights.len()
            )));
        }
        let compiled = self.compiled()?;
        let output = self.output_shape().unwrap_or_default();
        let y_pred: Vec<usize> = std::iter::once(rows)
            .chain(output.iter().copied())
            .collect();
        let width = y_pred.last().copied().unwrap_or(1);
        let targets = Targets::of(data.y, output);
        match &compiled.loss {
            Some(loss) => {
                loss.check_targets(data.y.shape(), &y_pred)?;
                loss.check_labels(data.y.values(), targets.width, width)
            }
            None if compiled.has_metrics() => targets.check_rows(data.y, &y_pred),
            None => Ok(()),
        }
    }
}
