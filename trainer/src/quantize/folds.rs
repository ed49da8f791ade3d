//! Calibration rows that are left out in turn: what quantization does to rows that it has not seen.

use ndarray::{Array2, Axis};

use super::calibrate::Calibration;
use super::chain::Chain;
use super::output_error::OutputError;
use super::plan::{Plan, PlanOptions};
use crate::Result;

/// Fewer rows are too few to leave some out.
const FEWEST: usize = 20;

/// The calibration rows in parts, each left out of a calibration with the others.
pub struct Folds {
    parts: Vec<Part>,
    /// All rows, for where they are too few for parts.
    whole: Calibration,
}

struct Part {
    /// Places among all rows.
    places: Vec<usize>,
    /// `[left out rows, inputs]`
    rows: Array2<f64>,
    /// The float network's, `[left out rows, outputs]`.
    float: Array2<f64>,
    /// With all other rows.
    calibration: Calibration,
}

/// What the device makes of rows that were left out of its calibration.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// `[rows, outputs]`, in the order of the calibration rows.
    pub outputs: Array2<f64>,
    /// Rows of which an input lies beyond its range.
    pub clipped: usize,
}

impl Folds {
    /// Of the rows that a calibration keeps.
    ///
    /// # Errors
    ///
    /// As [`Calibration::run`].
    pub fn new(chain: &Chain, calibration: &Calibration) -> Result<Self> {
        let count = calibration.rows.nrows();
        let folds = match count {
            0..FEWEST => 0,
            FEWEST..500 => 5,
            _ => 3,
        };
        let parts = (0..folds).map(|fold| {
            let (places, others): (Vec<usize>, Vec<usize>) =
                (0..count).partition(|place| place % folds == fold);
            let others = calibration.rows.select(Axis(0), &others);
            let float = calibration
                .layers
                .last()
                .map(|last| last.outputs.select(Axis(0), &places));
            Ok(Part {
                rows: calibration.rows.select(Axis(0), &places),
                float: float.unwrap_or_default(),
                calibration: Calibration::run(chain, &others.view())?,
                places,
            })
        });
        Ok(Self {
            parts: parts.collect::<Result<_>>()?,
            whole: calibration.clone(),
        })
    }

    /// The same parts for another form of the same network.
    ///
    /// # Errors
    ///
    /// As [`Calibration::run`].
    pub fn of(&self, chain: &Chain) -> Result<Self> {
        let whole = Calibration::run(chain, &self.whole.rows.view())?;
        Self::new(chain, &whole)
    }

    /// What a choice has to leave of the error on the rows left out: less of few, on which it differs by chance.
    pub fn worth(&self) -> f64 {
        // Counts of rows are far below 2^52.
        1.0 - 1.0 / (self.whole.rows.nrows() as f64 + 1.0).sqrt()
    }

    /// Squared error of the outputs on the rows left out, or on all where these are too few.
    ///
    /// # Errors
    ///
    /// As [`Plan::new`].
    pub fn error(&self, chain: &Chain, options: &PlanOptions) -> Result<f64> {
        if self.parts.is_empty() {
            return Ok(Plan::new(chain, &self.whole, options)?.error);
        }
        let mut error = 0.0;
        for part in &self.parts {
            let found = Plan::new(chain, &part.calibration, options)?.predict(&part.rows);
            // Counts of rows are far below 2^52.
            let share = part.places.len() as f64 / self.whole.rows.nrows() as f64;
            error += share * OutputError::of(&found, &part.float, chain.activation()).error;
        }
        Ok(error)
    }

    /// The rows left out through the plans of the others; none where there are too few.
    ///
    /// # Errors
    ///
    /// As [`Plan::new`].
    pub fn left_out(&self, chain: &Chain, options: &PlanOptions) -> Result<Option<LeftOut>> {
        if self.parts.is_empty() {
            return Ok(None);
        }
        let mut left_out = LeftOut {
            outputs: Array2::zeros((self.whole.rows.nrows(), chain.outputs())),
            clipped: 0,
        };
        for part in &self.parts {
            let plan = Plan::new(chain, &part.calibration, options)?;
            left_out.clipped += plan.clipped(&part.rows);
            let found = plan.predict(&part.rows);
            for (&place, row) in part.places.iter().zip(found.rows()) {
                left_out.outputs.row_mut(place).assign(&row);
            }
        }
        Ok(Some(left_out))
    }
}
