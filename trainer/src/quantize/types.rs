//! Which arithmetic each layer gets: by hand, or the smallest that stays within a stated loss.

use ndarray::{Array2, ArrayD, ArrayView2};

use super::chain::Chain;
use super::comparison::{Comparison, label_rows};
use super::data_type::DataType;
use super::outputs::Outputs;
use super::score::Score;
use super::tune::{Tuned, tune};
use super::{QuantizeOptions, Quantized, Reference, pack};
use crate::{Error, Result};

/// The arithmetic of the dense layers.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerTypes {
    /// The same for all.
    All(DataType),
    /// By layer name; the others get int8.
    Named(Vec<(String, DataType)>),
    /// The smallest blob within a loss.
    Budget(Box<Budget>),
}

impl Default for LayerTypes {
    fn default() -> Self {
        Self::All(DataType::Int8)
    }
}

/// How much may be lost for a smaller blob, and on which rows that is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// Largest fall of the score against the float model, as a share: 0.005 is half a point of
    /// accuracy.
    pub loss: f64,
    /// Rows to measure on, `[rows, ...]`; better not those that the model was trained on.
    pub rows: ArrayD<f32>,
    /// A class or a value per row, or one per output. Without, the float model's own predictions
    /// are what is right.
    pub labels: Option<ArrayD<f32>>,
}

impl LayerTypes {
    /// The type of each layer.
    pub(super) fn each(&self, names: &[&str]) -> Result<Vec<DataType>> {
        match self {
            Self::All(data_type) => Ok(vec![*data_type; names.len()]),
            Self::Named(named) => {
                if let Some((name, _)) = named.iter().find(|(name, _)| !names.contains(&&**name)) {
                    return Err(Error::value(format!(
                        "there is no dense layer \"{name}\" on the device, expected one of {}",
                        names.join(", ")
                    )));
                }
                let of = |layer: &&str| named.iter().find(|(name, _)| name == layer);
                Ok(names
                    .iter()
                    .map(|layer| of(layer).map_or(DataType::Int8, |(_, data_type)| *data_type))
                    .collect())
            }
            Self::Budget(_) => Ok(vec![DataType::Int8; names.len()]),
        }
    }
}

/// From the smallest: every layer in int4; then, one layer at a time, the step up that wins most
/// of the score for its bytes, until the loss is within the budget. At last each layer is tried
/// again with smaller weights, and the whole in int8.
pub(super) fn within(
    chain: &Chain,
    reference: &dyn Reference,
    rows: &ArrayView2<f64>,
    options: &QuantizeOptions,
    budget: &Budget,
) -> Result<(Tuned, Quantized)> {
    let measure = Measure::new(chain, reference, options, budget)?;
    let attempt = |types: &[DataType]| -> Result<Attempt> {
        let tuned = tune(chain, rows, types, options.range)?;
        let quantized = pack(&tuned, reference, options)?;
        Ok(Attempt {
            lost: measure.loss(&quantized)?,
            tuned,
            quantized,
            types: types.to_vec(),
        })
    };
    let mut best = attempt(&vec![DataType::Int4; chain.layers.len()])?;
    while best.lost > budget.loss {
        let mut next: Option<(f64, Attempt)> = None;
        for layer in 0..best.types.len() {
            let Some(types) = step(&best.types, layer, 1) else {
                continue;
            };
            let tried = attempt(&types)?;
            let bytes = (tried.bytes() as f64 - best.bytes() as f64).max(1.0);
            let worth = (best.lost - tried.lost) / bytes;
            // A step that wins nothing may still be needed for the next one: the cheapest then.
            let worth = if worth > 0.0 { worth } else { -bytes };
            if next.as_ref().is_none_or(|(most, _)| worth > *most) {
                next = Some((worth, tried));
            }
        }
        let Some((_, tried)) = next else {
            return Err(Error::value(format!(
                "even with float32 everywhere {:.4} of the score is lost, more than the budget of \
                 {}; allow more",
                best.lost, budget.loss
            )));
        };
        best = tried;
    }
    for layer in 0..best.types.len() {
        if let Some(types) = step(&best.types, layer, -1) {
            best = best.smaller(attempt(&types)?, budget.loss);
        }
    }
    let int8 = attempt(&vec![DataType::Int8; chain.layers.len()])?;
    let best = best.smaller(int8, budget.loss);
    Ok((best.tuned, best.quantized))
}

/// The types with one layer's a step larger or smaller; none at the end.
fn step(types: &[DataType], layer: usize, by: isize) -> Option<Vec<DataType>> {
    let place = DataType::ALL.iter().position(|t| *t == types[layer])?;
    let mut stepped = types.to_vec();
    stepped[layer] = *DataType::ALL.get(place.checked_add_signed(by)?)?;
    Some(stepped)
}

/// One choice of types, measured.
struct Attempt {
    lost: f64,
    tuned: Tuned,
    quantized: Quantized,
    types: Vec<DataType>,
}

impl Attempt {
    fn bytes(&self) -> usize {
        self.quantized.device.bytes().len()
    }

    /// The other one where it is within the loss and smaller.
    fn smaller(self, other: Self, loss: f64) -> Self {
        if other.lost <= loss && other.bytes() < self.bytes() {
            other
        } else {
            self
        }
    }
}

/// The float model's outputs on the budget's rows, and what is right there.
struct Measure {
    rows: Array2<f32>,
    float: Array2<f32>,
    labels: Option<Array2<f32>>,
    kind: Outputs,
}

impl Measure {
    fn new(
        chain: &Chain,
        reference: &dyn Reference,
        options: &QuantizeOptions,
        budget: &Budget,
    ) -> Result<Self> {
        let count = budget.rows.shape().first().copied().unwrap_or(0);
        let rows = super::flat(&budget.rows, chain.inputs())?;
        if rows.nrows() == 0 || rows.ncols() != chain.inputs() {
            return Err(Error::shape(format!(
                "the budget's rows have the shape {:?}, expected rows of the model's {} inputs",
                budget.rows.shape(),
                chain.inputs()
            )));
        }
        // They came from f32.
        let rows = rows.mapv(|v| v as f32);
        let float = reference.outputs(&rows)?;
        let labels = budget.labels.as_ref();
        let labels = labels
            .map(|y| label_rows(y, count, float.ncols()))
            .transpose()?;
        let width = labels.as_ref().map(Array2::ncols);
        Ok(Self {
            kind: Outputs::settled(chain.activation(), float.ncols(), options)
                .labelled_by(float.ncols(), width),
            rows,
            float,
            labels,
        })
    }

    /// How much of the score is lost.
    fn loss(&self, quantized: &Quantized) -> Result<f64> {
        let found = quantized.device.predict(&self.rows.clone().into_dyn())?;
        let found = found
            .into_shape_with_order(self.float.dim())
            .expect("predict returns a row of outputs per row");
        let labels = self.labels.as_ref().map(|labels| labels.view());
        let float = self.float.view();
        let compared = Comparison::new(&float, &found.view(), self.kind, labels.as_ref());
        Ok(match (compared.score, compared.agreement) {
            (Some(score), _) => score.float - score.device,
            (None, Some(agreement)) => 1.0 - agreement,
            (None, None) => 1.0 - Score::R2.of(&found.view(), &float),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::quantize_chain;
    use super::super::tests::{network, uniform};
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn a_budget_gives_the_smallest_blob_within_the_loss() {
        let mut rng = ChaCha8Rng::seed_from_u64(21);
        let chain = network(&[8, 16, 12, 4], &["relu", "relu", "softmax"], &mut rng);
        let rows = uniform((400, 8), 20.0, &mut rng) + 50.0;
        let rows = rows.mapv(|v| f64::from(v as f32));
        let within = |loss: f64| {
            let options = QuantizeOptions {
                types: LayerTypes::Budget(Box::new(Budget {
                    loss,
                    rows: rows.mapv(|v| v as f32).into_dyn(),
                    labels: None,
                })),
                ..QuantizeOptions::default()
            };
            quantize_chain(&chain, &chain, &rows.view(), &options).expect("a blob")
        };
        let generous = within(1.0);
        assert!(
            generous
                .report
                .layers
                .iter()
                .all(|layer| layer.data_type == "int4")
        );
        let strict = within(0.01);
        assert!(strict.device.bytes().len() > generous.device.bytes().len());
        let agreement = strict.report.calibration.agreement.expect("a classifier");
        assert!(agreement >= 0.99, "{agreement}");
    }

    #[test]
    fn every_mixture_of_types_runs_and_follows_the_float_network() {
        let mut rng = ChaCha8Rng::seed_from_u64(22);
        let chain = network(
            &[6, 9, 7, 5, 3],
            &["relu", "tanh", "gelu", "linear"],
            &mut rng,
        );
        let rows = uniform((100, 6), 20.0, &mut rng) + 50.0;
        let rows = rows.mapv(|v| f64::from(v as f32));
        for mixture in 0..256usize {
            let types: Vec<DataType> = (0..4)
                .map(|layer| DataType::ALL[mixture >> (2 * layer) & 3])
                .collect();
            let tuned = tune(&chain, &rows.view(), &types, None).expect("a plan");
            let quantized = pack(&tuned, &chain, &QuantizeOptions::default()).expect("a blob");
            let found = &quantized.report.calibration;
            if !types.contains(&DataType::Int4) {
                assert!(
                    found.worst_difference < 0.3,
                    "{types:?}: {}",
                    found.worst_difference
                );
            }
            let bound = quantized
                .report
                .error_bound
                .iter()
                .flatten()
                .fold(0.0f64, |m, b| m.max(*b));
            assert!(
                found.worst_difference <= bound,
                "{types:?}: the bound is {bound}"
            );
        }
    }

    #[test]
    fn a_type_for_a_layer_that_is_not_there_is_refused() {
        let named = LayerTypes::Named(vec![("dense_9".to_owned(), DataType::Int4)]);
        assert_eq!(
            named
                .each(&["dense", "dense_1"])
                .expect_err("no such layer")
                .to_string(),
            "there is no dense layer \"dense_9\" on the device, expected one of dense, dense_1"
        );
    }
}
