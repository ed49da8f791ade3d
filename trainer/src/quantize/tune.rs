//! Chooses what the user left open, by trying it on the calibration rows.

use ndarray::{Array1, ArrayView2, Axis};

use super::calibrate::{Calibration, RangeMethod};
use super::chain::Chain;
use super::data_type::DataType;
use super::equalize::equalize;
use super::plan::{Plan, PlanOptions};
use crate::Result;
use crate::activations::Activation;

/// A plan with what it was made from.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// The network, equalized where that helped.
    pub chain: Chain,
    pub calibration: Calibration,
    pub plan: Plan,
    pub options: PlanOptions,
    /// Whether scales were moved between layers.
    pub equalized: bool,
}

/// The plan with the least squared error of the outputs on the calibration rows.
///
/// Choices are tried one after the other, each on top of the best so far: the range method where
/// `range` is none, weight scales by error, ranges per input, equalization, bias correction; then
/// the range methods again, tensor by tensor. A choice that does not lower the error by at least
/// 1 % is not taken.
///
/// # Errors
///
/// As [`Calibration::run`] and [`Plan::new`].
pub fn tune(
    chain: &Chain,
    rows: &ArrayView2<f64>,
    types: &[DataType],
    range: Option<RangeMethod>,
) -> Result<Tuned> {
    let calibration = Calibration::run(chain, rows)?;
    let options = PlanOptions {
        ranges: vec![range.unwrap_or(RangeMethod::MinMax); chain.layers.len() + 1],
        types: types.to_vec(),
        ..PlanOptions::plain(chain.layers.len())
    };
    let plan = Plan::new(chain, &calibration, &options)?;
    let mut best = Tuned {
        chain: chain.clone(),
        calibration,
        plan,
        options,
        equalized: false,
    };
    if range.is_none() {
        for method in RangeMethod::ALL {
            best.improve(|options| options.ranges.fill(method))?;
        }
    }
    best.improve(|options| options.least_error_weights = true)?;
    best.improve(|options| options.range_per_feature = true)?;
    best.equalize(rows)?;
    best.improve(|options| options.bias_correction = true)?;
    if range.is_none() {
        for method in RangeMethod::ALL {
            best.improve(|options| options.ranges.fill(method))?;
        }
        // The last layer's outputs stay floats.
        for tensor in 0..chain.layers.len() {
            for method in RangeMethod::ALL {
                best.improve(|options| options.ranges[tensor] = method)?;
            }
        }
    }
    Ok(best)
}

/// What a choice has to leave of the error to be worth its complexity.
const WORTH: f64 = 0.99;

impl Tuned {
    /// The last one.
    pub fn activation(&self) -> &Activation {
        self.chain.activation()
    }

    /// The best plan with other options, of which what is free to choose is chosen again, but for
    /// ranges and equalization.
    pub fn refined(&self, options: PlanOptions) -> Result<Plan> {
        let mut other = self.clone();
        other.plan = Plan::new(&self.chain, &self.calibration, &options)?;
        other.options = options;
        other.improve(|options| options.least_error_weights ^= true)?;
        other.improve(|options| options.range_per_feature ^= true)?;
        other.improve(|options| options.bias_correction ^= true)?;
        Ok(other.plan)
    }

    fn improve(&mut self, change: impl FnOnce(&mut PlanOptions)) -> Result<()> {
        let mut options = self.options.clone();
        change(&mut options);
        if options == self.options {
            return Ok(());
        }
        let plan = Plan::new(&self.chain, &self.calibration, &options)?;
        if plan.error < self.plan.error * WORTH {
            self.plan = plan;
            self.options = options;
        }
        Ok(())
    }

    fn equalize(&mut self, rows: &ArrayView2<f64>) -> Result<()> {
        let ranges: Vec<Array1<f64>> = self
            .calibration
            .layers
            .iter()
            .map(|layer| {
                layer
                    .outputs
                    .axis_iter(Axis(1))
                    .map(|unit| {
                        unit.iter()
                            .fold(0.0, |largest: f64, v| largest.max(v.abs()))
                    })
                    .collect()
            })
            .collect();
        let mut chain = self.chain.clone();
        equalize(&mut chain, &ranges);
        let calibration = Calibration::run(&chain, rows)?;
        let plan = Plan::new(&chain, &calibration, &self.options)?;
        if plan.error < self.plan.error * WORTH {
            self.chain = chain;
            self.calibration = calibration;
            self.plan = plan;
            self.equalized = true;
        }
        Ok(())
    }
}
