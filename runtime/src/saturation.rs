//! How often values reach the ends of their integers: whether a device sees what its model was calibrated for.
//!
//! Firmware that calls nothing of this pays nothing for it. The predictions are the same bits.

use crate::blob::Element;
use crate::error::{Error, What};
use crate::layer::{Step, view};
use crate::model::{Model, length, run};
use crate::quantize;

/// Values of a layer at the ends of its range, of all predictions that were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Saturation {
    /// Values at the lower end: -127 or -32767. Behind a relu these are its zeros.
    pub low: u32,
    /// Values at the upper end: 127 or 32767.
    pub high: u32,
}

impl Saturation {
    fn add(&mut self, step: &Step, y: &[u32]) {
        let units = step.units();
        let limit = step.layer.output().limit();
        let mut see = |value: i32| {
            self.low = self.low.saturating_add(u32::from(value <= -limit));
            self.high = self.high.saturating_add(u32::from(value >= limit));
        };
        match step.layer.output() {
            Element::Int8 => view::int8(y)
                .iter()
                .take(units)
                .for_each(|&q| see(q.into())),
            Element::Int8Wide | Element::Int16 => {
                view::int16(y)
                    .iter()
                    .take(units)
                    .for_each(|&q| see(q.into()));
            }
            Element::Float => {}
        }
    }
}

impl<const LAYERS: usize> Model<'_, LAYERS> {
    /// [`predict`](Self::predict), which adds to `counts` what was at an end, for each layer; the first is
    /// the input's quantization. Layers that write floats have none.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict), and where `counts` has another length than there are
    /// [`layers`](Self::layers).
    pub fn predict_counted(
        &self,
        inputs: &[f32],
        scratch: &mut [u32],
        outputs: &mut [f32],
        counts: &mut [Saturation],
    ) -> Result<(), Error> {
        length(What::Inputs, self.inputs(), inputs.len())?;
        length(What::Layers, self.blob.layers.len(), counts.len())?;
        let inputs = view::bits(inputs);
        self.run(inputs, scratch, outputs, |index, step, x, y, spare| {
            let finite = run(step, x, y, spare);
            if finite && let Some(counts) = counts.get_mut(index) {
                counts.add(step, y);
            }
            finite
        })
    }

    /// The inputs, by their numbers, that lie beyond what the model's integers can hold, so that
    /// [`predict`](Self::predict) takes the nearest that they can; NaN and infinity too, which it refuses. The
    /// exporter chose that range for rows like those that it was calibrated with.
    pub fn beyond_range<'b>(&'b self, inputs: &'b [f32]) -> impl Iterator<Item = usize> + 'b {
        let first = self.blob.layers.first();
        let step = first.and_then(|&layer| Step::take(layer, self.inputs(), self.blob.tensors));
        let values = inputs.iter().take(self.inputs()).enumerate();
        values
            .filter(move |&(input, &x)| {
                step.is_some_and(|step| quantize::is_beyond(&step, input, x))
            })
            .map(|(input, _)| input)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::blob::Activation;
    use crate::packing::Packing;
    use crate::spec::{DenseSpec, LayerSpec, ModelSpec, OutputSpec, Precision, WeightsSpec};
    use crate::{encode, encoded_len};

    /// Two inputs in steps of 0.5 about 1, then 3 q0 and q1 - q0 in int8, then their sum.
    fn blob(packing: Packing) -> Vec<u8> {
        let spec = ModelSpec {
            layers: &[
                LayerSpec::Quantize {
                    inputs: 2,
                    scale: &[0.5],
                    zero_point: &[-2],
                    output: Precision::Int8,
                },
                LayerSpec::Dense(DenseSpec {
                    inputs: 2,
                    units: 2,
                    packing,
                    weights: WeightsSpec::Int8 {
                        weights: &[3, 0, -1, 1],
                        bias: &[0, 0],
                    },
                    output: OutputSpec::Int8 {
                        // 2^23 / 2^24: halves.
                        multipliers: &[1 << 23, 1 << 23],
                        table: None,
                    },
                }),
                LayerSpec::Dense(DenseSpec {
                    inputs: 2,
                    units: 1,
                    packing,
                    weights: WeightsSpec::Int8 {
                        weights: &[1, 1],
                        bias: &[0],
                    },
                    output: OutputSpec::Float {
                        scales: &[1.0],
                        activation: Activation::Linear,
                        table: None,
                    },
                }),
            ],
            ..ModelSpec::default()
        };
        let mut blob = std::vec![0; encoded_len(&spec).unwrap()];
        encode(&spec, &mut blob).unwrap();
        blob
    }

    #[test]
    fn values_at_the_ends_are_counted() {
        for packing in [Packing::Plain, Packing::Dsp, Packing::Lane, Packing::Mve] {
            let blob = blob(packing);
            let model = Model::<4>::from_bytes(&blob).unwrap();
            let mut scratch = std::vec![0; model.scratch_len()];
            let (mut outputs, mut expected) = ([0.0], [0.0]);
            let mut counts = [Saturation::default(); 3];
            // 100 / 0.5 - 2 = 198, held as 127; 3 * 127 / 2 = 190, held as 127. -1 / 0.5 - 2 = -4.
            // (-4 - 127) / 2 = -65.5. Of the second row nothing is at an end.
            for row in [[100.0, -1.0], [10.0, 3.0]] {
                model
                    .predict_counted(&row, &mut scratch, &mut outputs, &mut counts)
                    .unwrap();
                model.predict(&row, &mut scratch, &mut expected).unwrap();
                assert_eq!(outputs, expected);
            }
            let high = Saturation { low: 0, high: 1 };
            assert_eq!(counts, [high, high, Saturation::default()], "{packing:?}");
            // 3 * -127 / 2 = -190 and (127 + 127) / 2 = 127.
            model
                .predict_counted(&[-1e6, 1e6], &mut scratch, &mut outputs, &mut counts)
                .unwrap();
            let both = Saturation { low: 1, high: 2 };
            assert_eq!(counts, [both, both, Saturation::default()], "{packing:?}");
            assert_eq!(
                model.predict_counted(&[0.0; 2], &mut scratch, &mut outputs, &mut counts[..2]),
                Err(Error::Length {
                    what: What::Layers,
                    expected: 3,
                    found: 2
                })
            );
        }
    }

    #[test]
    fn inputs_beyond_the_range_are_named() {
        let blob = blob(Packing::Plain);
        let model = Model::<4>::from_bytes(&blob).unwrap();
        let beyond = |row: [f32; 2]| model.beyond_range(&row).collect::<Vec<_>>();
        // 127 stands for 64.5, and for all that rounds to it; -127 for -62.5.
        assert_eq!(beyond([64.7, -62.7]), [0; 0]);
        assert_eq!(beyond([64.8, -62.7]), [0]);
        assert_eq!(beyond([64.7, -62.8]), [1]);
        assert_eq!(beyond([1e30, f32::NAN]), [0, 1]);
        assert_eq!(beyond([f32::NEG_INFINITY, 0.0]), [0]);
    }
}
