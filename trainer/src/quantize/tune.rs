//! Chooses what the user left open, by trying it on calibration rows that are left out.

use ndarray::{Array1, ArrayView2, Axis};

use super::calibrate::{Calibration, LayerTrace, RangeMethod};
use super::chain::Chain;
use super::data_type::DataType;
use super::equalize::equalize;
use super::folds::{Folds, LeftOut};
use super::output_error::OutputError;
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
    /// The choices on rows that were left out of the calibration; none of too few rows.
    pub left_out: Option<LeftOut>,
}

/// The plan with the least squared error of the outputs on calibration rows that were left out.
///
/// Choices are tried one after the other, each on top of the best so far: weight scales by error, ranges per
/// input, equalization, bias correction, adaptive rounding. A choice that does not lower the error by at least
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
        ranges: vec![range.unwrap_or(RangeMethod::Unseen); chain.layers.len() + 1],
        types: types.to_vec(),
        bias_correction: true,
        ..PlanOptions::plain(chain.layers.len())
    };
    let folds = Folds::new(chain, &calibration)?;
    let mut best = Choice {
        error: folds.error(chain, &options)?,
        chain: chain.clone(),
        folds,
        options,
        equalized: false,
    };
    best.improve(|options| options.least_error_weights = true)?;
    // Narrower ranges clip more of what is not seen yet: they have to win.
    for own_range in [0.25, 0.5, 0.75, 1.0] {
        best.improve(|options| {
            options.range_per_feature = true;
            options.own_range = own_range;
        })?;
    }
    best.equalize(&calibration)?;
    best.improve(|options| options.adaptive_rounding = true)?;
    best.improve(|options| options.least_error_weights ^= true)?;
    best.improve(|options| options.bias_correction = false)?;
    let calibration = if best.equalized {
        Calibration::run(&best.chain, rows)?
    } else {
        calibration
    };
    Ok(Tuned {
        plan: Plan::new(&best.chain, &calibration, &best.options)?,
        left_out: best.folds.left_out(&best.chain, &best.options)?,
        calibration,
        chain: best.chain,
        options: best.options,
        equalized: best.equalized,
    })
}

/// What a choice has to leave of the error to be worth its complexity.
const WORTH: f64 = 0.99;

/// The best so far.
struct Choice {
    error: f64,
    chain: Chain,
    folds: Folds,
    options: PlanOptions,
    equalized: bool,
}

impl Choice {
    fn improve(&mut self, change: impl FnOnce(&mut PlanOptions)) -> Result<()> {
        let mut options = self.options.clone();
        change(&mut options);
        if options == self.options {
            return Ok(());
        }
        let error = self.folds.error(&self.chain, &options)?;
        if error < self.error * self.folds.worth() {
            self.error = error;
            self.options = options;
        }
        Ok(())
    }

    fn equalize(&mut self, calibration: &Calibration) -> Result<()> {
        let largest = |layer: &LayerTrace| -> Array1<f64> {
            let units = layer.outputs.axis_iter(Axis(1));
            units
                .map(|unit| unit.iter().fold(0.0, |most: f64, v| most.max(v.abs())))
                .collect()
        };
        let ranges: Vec<Array1<f64>> = calibration.layers.iter().map(largest).collect();
        let mut chain = self.chain.clone();
        equalize(&mut chain, &ranges);
        let folds = self.folds.of(&chain)?;
        let error = folds.error(&chain, &self.options)?;
        if error < self.error * self.folds.worth() {
            self.error = error;
            self.chain = chain;
            self.folds = folds;
            self.equalized = true;
        }
        Ok(())
    }
}

impl Tuned {
    /// The outputs' squared error over their variance, on rows left out where they are enough; none where
    /// the outputs do not vary.
    pub fn relative_error(&self) -> Option<f64> {
        match (&self.left_out, self.calibration.layers.last()) {
            (Some(left_out), Some(last)) => {
                OutputError::of(&left_out.outputs, &last.outputs, self.activation()).relative()
            }
            (None, _) | (_, None) => self.plan.relative_error,
        }
    }

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
        let plan = Plan::new(&self.chain, &self.calibration, &options)?;
        if plan.error < self.plan.error * WORTH {
            self.plan = plan;
            self.options = options;
        }
        Ok(())
    }
}
