//! Rules that divide by accumulated squares of gradients: RMSprop, Adagrad, Adadelta.

use super::{Step, flushed};

/// `v = ρ·v + (1 - ρ)·g²; w -= lr·g / √(v + ε)`; centered, less the square of the mean gradient.
pub(super) struct RMSprop {
    learning_rate: f32,
    rho: f32,
    one_less_rho: f32,
    momentum: f32,
    epsilon: f32,
    centered: bool,
}

impl RMSprop {
    pub fn new(rho: f64, momentum: f64, epsilon: f64, centered: bool, step: Step) -> Self {
        Self {
            learning_rate: step.learning_rate,
            rho: rho as f32,
            one_less_rho: (1.0 - rho) as f32,
            momentum: momentum as f32,
            epsilon: epsilon as f32,
            centered,
        }
    }

    /// `rest` are the slots after the velocity: the momentum if there is one, then, if centered,
    /// the average gradient.
    #[inline(always)]
    pub fn apply(&self, w: &mut [f32], g: &[f32], v: &mut [f32], rest: &mut [&mut [f32]]) {
        let (rho, one_less_rho, epsilon) = (self.rho, self.one_less_rho, self.epsilon);
        let rate = self.learning_rate;
        for (v, &g) in v.iter_mut().zip(g) {
            *v = flushed(rho * *v + one_less_rho * (g * g));
        }
        let (momentum, average) = match rest {
            [] => (None, None),
            [average] if self.centered => (None, Some(average)),
            [momentum] => (Some(momentum), None),
            [momentum, average, ..] => (Some(momentum), Some(average)),
        };
        // What w moves by, to be divided by the root, for all four combinations.
        let increment = |g: f32, v: f32| rate * g / (v + epsilon).sqrt();
        let centered = |a: &mut f32, g: f32, v: f32| {
            *a = flushed(rho * *a + one_less_rho * g);
            rate * g / (v - *a * *a + epsilon).sqrt()
        };
        let elements = w.iter_mut().zip(g).zip(v);
        match (momentum, average) {
            (None, None) => {
                for ((w, &g), v) in elements {
                    *w -= increment(g, *v);
                }
            }
            (None, Some(average)) => {
                for (((w, &g), v), a) in elements.zip(average.iter_mut()) {
                    *w -= centered(a, g, *v);
                }
            }
            (Some(momentum), None) => {
                for (((w, &g), v), m) in elements.zip(momentum.iter_mut()) {
                    *m = flushed(self.momentum * *m + increment(g, *v));
                    *w -= *m;
                }
            }
            (Some(momentum), Some(average)) => {
                let slots = momentum.iter_mut().zip(average.iter_mut());
                for (((w, &g), v), (m, a)) in elements.zip(slots) {
                    *m = flushed(self.momentum * *m + centered(a, g, *v));
                    *w -= *m;
                }
            }
        }
    }
}

/// `a += g²; w -= lr·g / √(a + ε)`.
pub(super) struct Adagrad {
    learning_rate: f32,
    epsilon: f32,
}

impl Adagrad {
    pub fn new(epsilon: f64, step: Step) -> Self {
        Self {
            learning_rate: step.learning_rate,
            epsilon: epsilon as f32,
        }
    }

    #[inline(always)]
    pub fn apply(&self, w: &mut [f32], g: &[f32], accumulator: &mut [f32]) {
        for ((w, &g), a) in w.iter_mut().zip(g).zip(accumulator) {
            *a += g * g;
            *w -= self.learning_rate * g / (*a + self.epsilon).sqrt();
        }
    }
}

/// Steps in the ratio of the roots of mean squared steps and mean squared gradients.
pub(super) struct Adadelta {
    learning_rate: f32,
    rho: f32,
    one_less_rho: f32,
    epsilon: f32,
}

impl Adadelta {
    pub fn new(rho: f64, epsilon: f64, step: Step) -> Self {
        Self {
            learning_rate: step.learning_rate,
            rho: rho as f32,
            one_less_rho: (1.0 - rho) as f32,
            epsilon: epsilon as f32,
        }
    }

    #[inline(always)]
    pub fn apply(&self, w: &mut [f32], g: &[f32], gradient: &mut [f32], delta: &mut [f32]) {
        let root = |x: f32| (x + self.epsilon).sqrt();
        let mean = |old: f32, x: f32| flushed(self.rho * old + self.one_less_rho * (x * x));
        for (((w, &g), gradient), delta) in w.iter_mut().zip(g).zip(gradient).zip(delta) {
            *gradient = mean(*gradient, g);
            let moved = -(root(*delta) * g / root(*gradient));
            *delta = mean(*delta, moved);
            *w += self.learning_rate * moved;
        }
    }
}
