//! What a model says of a row beyond its outputs: that it is an anomaly, or of no class that it knows.
//!
//! The thresholds lie where nothing but these functions looks, behind the names of the inputs: a program
//! that does not ask for them does not have their code.

use crate::error::Error;
use crate::layer::words::{first_words, words};
use crate::model::{Class, Model};
use crate::{float, reader};

/// The first byte of a record.
pub(crate) const ANOMALY: u8 = 1;
pub(crate) const NORMALIZED_ANOMALY: u8 = 2;
pub(crate) const UNKNOWN: u8 = 3;

/// What [`Model::detect`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Detection {
    /// The reconstruction error: the mean squared difference between inputs and outputs.
    pub score: f32,
    /// Whether it is above the model's threshold; never where the blob has none.
    pub is_anomaly: bool,
}

/// What a blob says of rows, to be written by [`encode_verdict`](crate::encode_verdict).
#[cfg(not(target_os = "none"))]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict<'a> {
    /// Of an autoencoder, which gives back its inputs.
    Anomaly {
        /// The greatest score that is none; finite.
        above: f32,
        /// Outputs are compared with `(input - mean) * factor`. One for each input, or none where they are
        /// compared with the inputs themselves; finite.
        means: &'a [f32],
        /// As many as means; finite and not 0.
        factors: &'a [f32],
    },
    /// Of a classifier.
    Unknown {
        /// The least score of a class that is known; finite.
        below: f32,
    },
}

impl<const LAYERS: usize> Model<'_, LAYERS> {
    /// The score above which [`detect`](Self::detect) calls a row an anomaly; none where the blob has none.
    pub fn anomaly_above(&self) -> Option<f32> {
        let (kind, threshold, _) = self.record();
        (kind == ANOMALY || kind == NORMALIZED_ANOMALY).then_some(threshold)
    }

    /// The score below which [`is_known`](Self::is_known) does not know a class; none where the blob has
    /// none.
    pub fn unknown_below(&self) -> Option<f32> {
        let (kind, threshold, _) = self.record();
        (kind == UNKNOWN).then_some(threshold)
    }

    /// The reconstruction error of a row: predicts, and takes the mean squared difference between the outputs
    /// and the inputs, normalized as the blob says.
    ///
    /// `sum = sum + (z - y) * (z - y)` from the first value to the last with `z = (x - mean) * factor`, then
    /// `sum * (1 / inputs)`, each operation rounded to f32: the same bits everywhere. Infinite where that is
    /// beyond the range of floats. Shapes are as for [`predict`](Self::predict).
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict), and [`Error::Length`] for a model with another number of outputs than
    /// inputs.
    pub fn score(
        &self,
        inputs: &[f32],
        scratch: &mut [u32],
        outputs: &mut [f32],
    ) -> Result<f32, Error> {
        crate::model::length(crate::What::Outputs, self.inputs(), self.outputs())?;
        self.predict(inputs, scratch, outputs)?;
        Ok(self.score_of(inputs, outputs))
    }

    /// [`score`](Self::score) of outputs that were predicted before for these inputs, as many as outputs.
    #[inline]
    pub fn score_of(&self, inputs: &[f32], outputs: &[f32]) -> f32 {
        let (_, _, normalization) = self.record();
        let mut numbers = words(normalization).map(f32::from_bits);
        let mut sum = 0.0;
        for (&x, &y) in inputs.iter().zip(outputs) {
            let z = match (numbers.next(), numbers.next()) {
                (Some(mean), Some(factor)) => float::multiply(float::subtract(x, mean), factor),
                _ => x,
            };
            let difference = float::subtract(z, y);
            sum = float::add(sum, float::multiply(difference, difference));
        }
        // At most 65535.
        let count = float::from_u32(self.inputs() as u32);
        let mean = float::multiply(sum, float::divide(1.0, count));
        if mean.is_finite() {
            mean
        } else {
            f32::INFINITY
        }
    }

    /// [`score`](Self::score), and whether it is above the threshold.
    ///
    /// # Errors
    ///
    /// As [`score`](Self::score).
    pub fn detect(
        &self,
        inputs: &[f32],
        scratch: &mut [u32],
        outputs: &mut [f32],
    ) -> Result<Detection, Error> {
        let score = self.score(inputs, scratch, outputs)?;
        Ok(self.detection_of(score))
    }

    /// Whether a [`score`](Self::score) is above the threshold.
    #[inline]
    pub fn detection_of(&self, score: f32) -> Detection {
        let is_anomaly = self
            .anomaly_above()
            .is_some_and(|threshold| float::at_least(threshold, score) == 0);
        Detection { score, is_anomaly }
    }

    /// Whether what [`classify`](Self::classify) found is a class that the model knows: whether its probability,
    /// of the class 0 of a single output `1 - score`, is at least the threshold. Always where the blob has
    /// none.
    pub fn is_known(&self, class: &Class) -> bool {
        let Some(threshold) = self.unknown_below() else {
            return true;
        };
        let of_no = self.outputs() == 1 && class.index == 0;
        let probability = if of_no {
            float::subtract(1.0, class.score)
        } else {
            class.score
        };
        float::at_least(probability, threshold) != 0
    }

    /// Kind, threshold, and mean and factor of each input; zero where there is no sound record.
    fn record(&self) -> (u8, f32, &[u8]) {
        match reader::behind_names(self.blob.behind).split_first() {
            Some((&kind, rest)) => {
                let [threshold] = first_words(rest).map(f32::from_bits);
                let length = self.inputs() * 8;
                let pairs = rest.get(4..4 + length).unwrap_or(&[]);
                let pairs = if kind == NORMALIZED_ANOMALY {
                    pairs
                } else {
                    &[]
                };
                match threshold.is_finite() {
                    true => (kind, threshold, pairs),
                    false => (0, 0.0, &[]),
                }
            }
            None => (0, 0.0, &[]),
        }
    }
}
