//! What only a look at every weight can tell: that no input can overflow an accumulator.

use crate::blob::{Element, Operation, ROUNDER};
use crate::error::{Error, What, number};
#[cfg(any(feature = "int4", not(target_os = "none")))]
use crate::isa::dsp;
use crate::isa::portable::{bias, weight};
#[cfg(any(feature = "int4", not(target_os = "none")))]
use crate::layer::ROWS;
use crate::layer::{
    Shape, Step,
    words::{first_words, words},
};
use crate::limits::{Limits, QUANTIZE_LIMIT, Wrong, scale_is_sound, zero_is_sound};
use crate::model::Model;
#[cfg(any(feature = "int4", not(target_os = "none")))]
use crate::packing::Packing;

impl<const LAYERS: usize> Model<'_, LAYERS> {
    /// Proves from the actual weights that no accumulator can overflow, whatever the input, and
    /// that the numbers which [`from_bytes`](Self::from_bytes) takes on trust are sound.
    ///
    /// A blob that was exported passes; this is for exporters, build scripts and tests. Without
    /// it a lying blob gives wrong results, and other ones on each core, but nothing worse.
    ///
    /// * weights are in [-127, 127], those of int4 in [-7, 7]
    /// * int8 inputs: `127 * sum(|w|) + |bias| < 2^23` for each unit
    /// * int8 inputs and outputs: that sum times the multiplier is below 2^39, and the multiplier
    ///   below 2^24
    /// * int16 inputs: `32767 * sum(|w|) + |bias| < 2^31` for each unit; see [`Limits`]
    /// * the head of a block has the biases of its rows and nothing else
    /// * f32 weights and biases are finite
    /// * weights are zero where there is no input or unit; tables of integers hold none below
    ///   -127 or -32767; scales and zero points of quantizations are as
    ///   [`LayerSpec::Quantize`](crate::LayerSpec::Quantize) has them; labels are UTF-8
    ///
    /// # Errors
    ///
    /// [`Error::Layer`] with [`What::Accumulator`] and the first sum that is too large, or the
    /// first other thing that is wrong.
    pub fn verify_weights(&self) -> Result<(), Error> {
        let mut tensors = self.blob.tensors;
        let mut inputs = self.inputs();
        for (&layer, index) in self.blob.layers.iter().zip(0u8..) {
            let step = &Step::take(layer, inputs, tensors).ok_or(Error::Malformed)?;
            tensors = step.behind;
            inputs = step.units();
            check(step).map_err(|wrong| Error::Layer {
                layer: index,
                what: wrong.what,
                expected: number(wrong.expected as usize),
                found: u32::try_from(wrong.found).unwrap_or(u32::MAX),
            })?;
        }
        if let Some(threshold) = self.threshold().filter(|threshold| threshold.is_nan()) {
            return Err(Error::Length {
                what: What::Threshold,
                expected: 0,
                found: threshold.to_bits(),
            });
        }
        match core::str::from_utf8(self.tail().labels) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Length {
                what: What::Labels,
                expected: number(self.tail().labels.len()),
                found: number(error.valid_up_to()),
            }),
        }
    }
}

fn check(step: &Step) -> Result<(), Wrong> {
    let wrong = |what, expected: u32, found: u64| {
        Err(Wrong {
            what,
            expected,
            found,
        })
    };
    match step.layer.operation() {
        Operation::QuantizeTensor | Operation::QuantizeFeatures => {
            let pairs = step.blocks.as_chunks::<8>().0;
            for pair in pairs {
                let [scale, offset] = first_words::<2>(pair);
                let (a, b) = (f32::from_bits(scale), f32::from_bits(offset));
                if step.layer.output() != Element::Float && !scale_is_sound(a) {
                    return wrong(What::Scale, QUANTIZE_LIMIT.to_bits(), scale.into());
                }
                if step.layer.output() != Element::Float && !zero_is_sound(b - ROUNDER) {
                    return wrong(What::Bias, ROUNDER.to_bits(), offset.into());
                }
                if step.layer.operation() == Operation::QuantizeTensor
                    && pairs.first() != Some(pair)
                {
                    return wrong(What::Scale, 0, scale.into());
                }
            }
        }
        Operation::DenseFloat => {
            for word in words(step.blocks) {
                if !f32::from_bits(word).is_finite() {
                    return wrong(What::Weights, 0, word.into());
                }
            }
        }
        // Slopes are below a limit, and of the others all is looked at before.
        Operation::Normalize | Operation::Prelu | Operation::MaxPool | Operation::Lookup => {}
        // A step has the operation of a row.
        operation => {
            if let Some(limits) = Limits::of(operation, step.layer.output()) {
                accumulators(step, limits)?;
            }
        }
    }
    let table = words(step.table);
    let lowest = match step.layer.output() {
        Element::Float => return Ok(()),
        Element::Int16 => table
            .flat_map(|word| [word as i16, (word >> 16) as i16]) // its halves
            .any(|value| value == i16::MIN),
        Element::Int8 | Element::Int8Wide => table
            .flat_map(u32::to_le_bytes)
            .any(|value| value.cast_signed() == i8::MIN),
    };
    if lowest {
        return wrong(What::Table, 127, 128);
    }
    Ok(())
}

fn accumulators(step: &Step, limits: Limits) -> Result<(), Wrong> {
    let shape = Shape::of(step.layer.operation(), step.layer.packing());
    let group = 1 << shape.group;
    let mut units = 0..step.layer.units();
    for block in step.blocks.chunks_exact(step.block_len) {
        #[cfg(any(feature = "int4", not(target_os = "none")))]
        if step.layer.operation() == Operation::DenseInt4 && step.layer.packing() == Packing::Dsp {
            let biases = core::array::from_fn(|row| bias(step, block, row));
            let words = dsp::combine_int4(biases).into_iter();
            for (expected, found) in words.zip(first_words::<ROWS>(block)) {
                if found != expected {
                    return Err(Wrong {
                        what: What::Bias,
                        expected,
                        found: found.into(),
                    });
                }
            }
        }
        for (row, multiplier) in words(step.scales(block)).enumerate() {
            let size = |i| weight(step, block, row, i).unsigned_abs();
            let sizes = |range: core::ops::Range<usize>| -> (u64, u32) {
                range.map(size).fold((0, 0), |(sum, most), size| {
                    (sum + u64::from(size), most.max(size))
                })
            };
            let (of_inputs, most) = sizes(0..step.inputs);
            let (padding, _) = sizes(step.inputs..step.inputs.next_multiple_of(group));
            let bias = bias(step, block, row).unsigned_abs();
            let unit = units.next();
            let beyond = if unit.is_none() {
                of_inputs + u64::from(bias)
            } else {
                0
            };
            let wrong = |what, expected: u32, found: u64| {
                Err(Wrong {
                    what,
                    expected,
                    found,
                })
            };
            if padding + beyond != 0 {
                return wrong(What::Weights, 0, padding + beyond);
            }
            if most > limits.weight {
                return wrong(What::Weights, limits.weight, most.into());
            }
            let multiplier = (step.layer.output() != Element::Float).then_some(multiplier);
            limits.check(of_inputs, bias, multiplier)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Activation, DenseSpec, LayerSpec, ModelSpec, OutputSpec, Packing, Precision, WeightsSpec,
        encode,
    };

    /// One hidden unit of weights 100 and -20 and a bias of 1000, as `encode` takes it and as a blob
    /// verifies that has another multiplier than was encoded.
    fn encoded_and_verified(multiplier: i32) -> [Result<(), Error>; 2] {
        const SOUND: i32 = 0x00AB_CDEF;
        let mut blob = [0; 512];
        let encoded = write(multiplier, &mut blob).map(|_| ());
        let length = write(SOUND, &mut blob).unwrap();
        let blob = &mut blob[..length];
        let place = blob.windows(4).position(|word| word == SOUND.to_le_bytes());
        blob[place.unwrap()..][..4].copy_from_slice(&multiplier.to_le_bytes());
        let (covered, crc) = blob.split_last_chunk_mut::<4>().unwrap();
        *crc = crate::checksum::crc32(covered).to_le_bytes();
        let verified = Model::<8>::from_bytes(blob).and_then(|model| model.verify_weights());
        [encoded, verified]
    }

    fn write(multiplier: i32, blob: &mut [u8]) -> Result<usize, Error> {
        let dense = |inputs, weights, bias, output| {
            LayerSpec::Dense(DenseSpec {
                inputs,
                units: 1,
                packing: Packing::Lane,
                weights: WeightsSpec::Int8 { weights, bias },
                output,
            })
        };
        let multipliers = [multiplier];
        let layers = [
            LayerSpec::Quantize {
                inputs: 2,
                scale: &[1.0],
                zero_point: &[0],
                output: Precision::Int8,
            },
            dense(
                2,
                &[100, -20],
                &[1000],
                OutputSpec::Int8 {
                    multipliers: &multipliers,
                    table: None,
                },
            ),
            dense(
                1,
                &[1],
                &[0],
                OutputSpec::Float {
                    scales: &[1.0],
                    activation: Activation::Linear,
                    table: None,
                },
            ),
        ];
        let spec = ModelSpec {
            layers: &layers,
            ..ModelSpec::default()
        };
        encode(&spec, blob)
    }

    #[test]
    fn a_requantized_sum_fits_sixteen_bits() {
        // 127 * 120 + 1000 = 16240, and 2^39 / 16240 = 33851530.6, so that 2^24 comes first.
        assert_eq!(encoded_and_verified((1 << 24) - 1), [Ok(()), Ok(())]);
        let wrong = Error::Layer {
            layer: 1,
            what: What::Scale,
            expected: (1 << 24) - 1,
            found: 1 << 24,
        };
        assert_eq!(encoded_and_verified(1 << 24), [Err(wrong), Err(wrong)]);
    }

    #[test]
    fn the_greatest_sum_has_the_least_multiplier() {
        // 127 * 120 + 8373367 = 8388607 = 2^23 - 1, and 2^39 / (2^23 - 1) = 65536.008.
        let largest = (1 << 23) - 1;
        let limits = Limits::of(Operation::DenseInt8, Element::Int8).unwrap();
        let check = |bias, multiplier| limits.check(120, bias, Some(multiplier));
        assert!(check(largest - 127 * 120, 65536).is_ok());
        let broken = check(largest - 127 * 120, 65537).unwrap_err();
        assert_eq!(
            (broken.what, broken.expected, broken.found),
            (What::Scale, 65536, 65537)
        );
        let broken = check(largest - 127 * 120 + 1, 1).unwrap_err();
        assert_eq!(
            (broken.what, broken.expected, broken.found),
            (What::Accumulator, largest, 1 << 23)
        );
    }
}
