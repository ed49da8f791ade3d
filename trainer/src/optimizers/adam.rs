//! The Adam family: moving means of gradients and of their squares.

use super::{Step, flushed};

/// The constants of the two moving means.
#[derive(Clone, Copy)]
pub(super) struct Moments {
    /// `1 - beta_1` and `1 - beta_2`, subtracted in float64 as in Python.
    pub one_less_beta_1: f32,
    pub one_less_beta_2: f32,
    /// `1 - beta^t`.
    pub correction_1: f32,
    pub correction_2: f32,
    pub epsilon: f32,
}

impl Moments {
    pub fn new(beta_1: f64, beta_2: f64, epsilon: f64, step: Step) -> Self {
        Self {
            one_less_beta_1: (1.0 - beta_1) as f32,
            one_less_beta_2: (1.0 - beta_2) as f32,
            correction_1: 1.0 - (beta_1 as f32).powf(step.number),
            correction_2: 1.0 - (beta_2 as f32).powf(step.number),
            epsilon: epsilon as f32,
        }
    }
}

/// `m += (g - m)(1 - b1); v += (g² - v)(1 - b2); w -= α·m / (√v + ε)`, `α = lr·√(1 - b2ᵗ) / (1 - b1ᵗ)`.
pub(super) struct Adam {
    moments: Moments,
    alpha: f32,
}

impl Adam {
    pub fn new(beta_1: f64, beta_2: f64, epsilon: f64, step: Step) -> Self {
        let moments = Moments::new(beta_1, beta_2, epsilon, step);
        Self {
            moments,
            alpha: step.learning_rate * moments.correction_2.sqrt() / moments.correction_1,
        }
    }

    #[inline(always)]
    pub fn apply(&self, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        let Moments {
            one_less_beta_1: c1,
            one_less_beta_2: c2,
            epsilon,
            ..
        } = self.moments;
        let alpha = self.alpha;
        for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            *m = flushed(*m + (g - *m) * c1);
            *v = flushed(*v + (g * g - *v) * c2);
            *w -= *m * alpha / (v.sqrt() + epsilon);
        }
    }

    #[inline(always)]
    pub fn apply_amsgrad(
        &self,
        w: &mut [f32],
        g: &[f32],
        m: &mut [f32],
        v: &mut [f32],
        largest: &mut [f32],
    ) {
        let Moments {
            one_less_beta_1: c1,
            one_less_beta_2: c2,
            epsilon,
            ..
        } = self.moments;
        let elements = w.iter_mut().zip(g).zip(m).zip(v).zip(largest);
        for ((((w, &g), m), v), largest) in elements {
            *m = flushed(*m + (g - *m) * c1);
            *v = flushed(*v + (g * g - *v) * c2);
            *largest = largest.max(*v);
            *w -= *m * self.alpha / (largest.sqrt() + epsilon);
        }
    }
}

/// `u = max(b2·u, |g|); w -= lr·m / ((1 - b1ᵗ)(u + ε))`.
pub(super) struct Adamax {
    moments: Moments,
    beta_2: f32,
    learning_rate: f32,
}

impl Adamax {
    pub fn new(beta_1: f64, beta_2: f64, epsilon: f64, step: Step) -> Self {
        Self {
            moments: Moments::new(beta_1, beta_2, epsilon, step),
            beta_2: beta_2 as f32,
            learning_rate: step.learning_rate,
        }
    }

    #[inline(always)]
    pub fn apply(&self, w: &mut [f32], g: &[f32], m: &mut [f32], u: &mut [f32]) {
        let Moments {
            one_less_beta_1: c1,
            correction_1,
            epsilon,
            ..
        } = self.moments;
        for (((w, &g), m), u) in w.iter_mut().zip(g).zip(m).zip(u) {
            *m = flushed(*m + (g - *m) * c1);
            *u = flushed((self.beta_2 * *u).max(g.abs()));
            *w -= self.learning_rate * *m / (correction_1 * (*u + epsilon));
        }
    }
}

/// Adam whose mean looks one step ahead, with a momentum that warms up.
pub(super) struct Nadam {
    learning_rate: f32,
    one_less_beta_1: f32,
    one_less_beta_2: f32,
    correction_2: f32,
    epsilon: f32,
    /// Momentum of the next step, and 1 less that of this one.
    next: f32,
    one_less_now: f32,
    /// 1 less the products of momenta up to the next step and up to this one.
    correction_next: f32,
    correction_now: f32,
}

/// Nadam's product of momenta after so many steps.
pub(super) fn momentum_product(beta_1: f64, steps: u64) -> f32 {
    let mut product = 1.0;
    for number in 1..=steps {
        product *= beta_1 as f32 * (1.0 - 0.5 * 0.96f32.powf(number as f32));
        if product == 0.0 {
            break;
        }
    }
    product
}

impl Nadam {
    /// Takes `product`, of the momenta so far, one step on.
    pub fn new(beta_1: f64, beta_2: f64, epsilon: f64, step: Step, product: &mut f32) -> Self {
        let (beta_1, beta_2) = (beta_1 as f32, beta_2 as f32);
        let warm = |number: f32| 1.0 - 0.5 * 0.96f32.powf(number);
        *product = *product * beta_1 * warm(step.number);
        let now = beta_1 * warm(step.number);
        let next = beta_1 * warm(step.number + 1.0);
        Self {
            learning_rate: step.learning_rate,
            one_less_beta_1: 1.0 - beta_1,
            one_less_beta_2: 1.0 - beta_2,
            correction_2: 1.0 - beta_2.powf(step.number),
            epsilon: epsilon as f32,
            next,
            one_less_now: 1.0 - now,
            correction_next: 1.0 - *product * next,
            correction_now: 1.0 - *product,
        }
    }

    #[inline(always)]
    pub fn apply(&self, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            *m = flushed(*m + (g - *m) * self.one_less_beta_1);
            *v = flushed(*v + (g * g - *v) * self.one_less_beta_2);
            let ahead =
                self.next * *m / self.correction_next + self.one_less_now * g / self.correction_now;
            let spread = (*v / self.correction_2).sqrt() + self.epsilon;
            *w -= ahead * self.learning_rate / spread;
        }
    }
}

/// Steps of a point `z` beside the weights `y`, which lie between it and the mean of all `z`.
pub(super) struct ScheduleFree {
    learning_rate: f32,
    beta_1: f32,
    one_less_beta_2: f32,
    correction_2: f32,
    epsilon: f32,
    /// Share of the new point in the mean.
    share: f32,
}

impl ScheduleFree {
    pub fn new(beta_1: f64, beta_2: f64, epsilon: f64, warmup_steps: u64, step: Step) -> Self {
        let beta_2 = beta_2 as f32;
        let warmup = if warmup_steps > 0 {
            (step.number / warmup_steps as f32).min(1.0)
        } else {
            1.0
        };
        Self {
            learning_rate: step.learning_rate * warmup,
            beta_1: beta_1 as f32,
            one_less_beta_2: 1.0 - beta_2,
            correction_2: 1.0 - beta_2.powf(step.number),
            epsilon: epsilon as f32,
            share: 1.0 / step.number,
        }
    }

    /// Keras keeps `z` as the momentum; on TensorFlow it reads it after its update in both places.
    #[inline(always)]
    pub fn apply(&self, y: &mut [f32], g: &[f32], z: &mut [f32], v: &mut [f32]) {
        let (b, rest) = (self.beta_1, 1.0 - self.beta_1);
        for (((y, &g), z), v) in y.iter_mut().zip(g).zip(z).zip(v) {
            *v = flushed(*v + (g * g - *v) * self.one_less_beta_2);
            let spread = (*v / self.correction_2).sqrt() + self.epsilon;
            *z -= self.learning_rate * g / spread;
            let mean = (*y - rest * *z) / b;
            let mean = (1.0 - self.share) * mean + self.share * *z;
            *y = rest * *z + b * mean;
        }
    }
}
