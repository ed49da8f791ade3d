//! Clipping of gradients.

use super::OptimizerOptions;
use super::state::State;
use crate::sums;

/// Clips by the one kind that is set: per variable, over all, or elementwise.
pub(super) fn clip(options: &OptimizerOptions, state: &State, grads: &mut [f32]) {
    let set = |limit: Option<f64>| limit.map(|l| l as f32).filter(|&l| l > 0.0);
    if let Some(limit) = set(options.clipnorm) {
        for variable in &state.variables {
            let grads = &mut grads[variable.range.clone()];
            let divisor = match sums::squares(grads).sqrt() {
                short if short < limit => limit,
                // NaN, too, which then is in every gradient, as in Keras.
                norm => norm,
            };
            grads.iter_mut().for_each(|g| *g = *g * limit / divisor);
        }
    } else if let Some(limit) = set(options.global_clipnorm) {
        let squares: f32 = state
            .variables
            .iter()
            .map(|variable| sums::squares(&grads[variable.range.clone()]))
            .sum();
        let norm = squares.sqrt();
        // The last term makes the scale NaN if the norm is infinite, as in Keras.
        let scale = limit * (1.0 / norm).min(1.0 / limit) + norm * 0.0;
        for run in &state.runs {
            grads[run.values.clone()]
                .iter_mut()
                .for_each(|g| *g *= scale);
        }
    } else if let Some(limit) = set(options.clipvalue) {
        for run in &state.runs {
            for g in &mut grads[run.values.clone()] {
                // Comparisons that let NaN through.
                let low = if *g < -limit { -limit } else { *g };
                *g = if low > limit { limit } else { low };
            }
        }
    }
}
