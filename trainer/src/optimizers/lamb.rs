//! LAMB: Adam's step, scaled to the norm of the variable.

use super::adam::Moments;
use super::{Step, flushed};
use crate::sums;

/// Updates one variable; `g` becomes its unscaled step.
pub(super) fn update(
    moments: &Moments,
    step: Step,
    w: &mut [f32],
    g: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
) {
    for ((g, m), v) in g.iter_mut().zip(m).zip(v) {
        *m = flushed(*m + (*g - *m) * moments.one_less_beta_1);
        *v = flushed(*v + (*g * *g - *v) * moments.one_less_beta_2);
        let spread = (*v / moments.correction_2).sqrt() + moments.epsilon;
        *g = *m / moments.correction_1 / spread;
    }
    let (w_norm, g_norm) = (sums::squares(w).sqrt(), sums::squares(g).sqrt());
    let ratio = if w_norm > 0.0 && g_norm > 0.0 {
        w_norm / g_norm
    } else {
        1.0
    };
    let rate = ratio * step.learning_rate;
    for (w, g) in w.iter_mut().zip(g) {
        *w -= rate * *g;
    }
}
