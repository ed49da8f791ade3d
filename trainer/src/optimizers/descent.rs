//! Rules that follow the gradient itself: SGD, Lion, FTRL.

use super::{Step, flushed};

/// `w -= lr·g`; with momentum `m = μ·m - lr·g; w += m`, nesterov `w += μ·m - lr·g`.
pub(super) struct Sgd {
    learning_rate: f32,
    momentum: f32,
    nesterov: bool,
}

impl Sgd {
    pub fn new(momentum: f64, nesterov: bool, step: Step) -> Self {
        Self {
            learning_rate: step.learning_rate,
            momentum: momentum as f32,
            nesterov,
        }
    }

    #[inline(always)]
    pub fn apply(&self, w: &mut [f32], g: &[f32]) {
        for (w, g) in w.iter_mut().zip(g) {
            *w -= g * self.learning_rate;
        }
    }

    #[inline(always)]
    pub fn apply_momentum(&self, w: &mut [f32], g: &[f32], m: &mut [f32]) {
        let &Self {
            learning_rate,
            momentum,
            nesterov,
        } = self;
        let elements = w.iter_mut().zip(g).zip(m);
        if nesterov {
            for ((w, g), m) in elements {
                *m = flushed(*m * momentum - g * learning_rate);
                *w += *m * momentum - g * learning_rate;
            }
        } else {
            for ((w, g), m) in elements {
                *m = flushed(*m * momentum - g * learning_rate);
                *w += *m;
            }
        }
    }
}

/// `w -= lr·sign(b1·m + (1 - b1)·g); m = b2·m + (1 - b2)·g`.
pub(super) struct Lion {
    learning_rate: f32,
    beta_1: f32,
    beta_2: f32,
}

impl Lion {
    pub fn new(beta_1: f64, beta_2: f64, step: Step) -> Self {
        Self {
            learning_rate: step.learning_rate,
            beta_1: beta_1 as f32,
            beta_2: beta_2 as f32,
        }
    }

    #[inline(always)]
    pub fn apply(&self, w: &mut [f32], g: &[f32], m: &mut [f32]) {
        let &Self {
            learning_rate,
            beta_1,
            beta_2,
        } = self;
        for ((w, &g), m) in w.iter_mut().zip(g).zip(m) {
            let direction = *m * beta_1 + g * (1.0 - beta_1);
            let sign = if direction == 0.0 || direction.is_nan() {
                direction
            } else {
                1f32.copysign(direction)
            };
            *w -= learning_rate * sign;
            *m = flushed(*m * beta_2 + g * (1.0 - beta_2));
        }
    }
}

/// Follow the regularized leader, in Keras' form.
pub(super) struct Ftrl {
    learning_rate: f32,
    power: f32,
    l1: f32,
    quadratic: f32,
    shrinkage: f32,
}

impl Ftrl {
    pub fn new(power: f64, l1: f64, l2: f64, shrinkage: f64, beta: f64, step: Step) -> Self {
        let l2 = l2 as f32 + beta as f32 / (2.0 * step.learning_rate);
        Self {
            learning_rate: step.learning_rate,
            power: -power as f32,
            l1: l1 as f32,
            quadratic: 2.0 * l2,
            shrinkage: (2.0 * shrinkage) as f32,
        }
    }

    #[inline(always)]
    pub fn apply(&self, w: &mut [f32], g: &[f32], accumulator: &mut [f32], linear: &mut [f32]) {
        let (rate, power) = (self.learning_rate, self.power);
        let raised = |x: f32| {
            if power == 0.5 {
                x.sqrt()
            } else {
                x.powf(power)
            }
        };
        let elements = w.iter_mut().zip(g).zip(accumulator).zip(linear);
        for (((w, &g), accumulator), linear) in elements {
            let shrunk = g + self.shrinkage * *w;
            let new = *accumulator + g * g;
            *linear += shrunk - (raised(new) - raised(*accumulator)) / rate * *w;
            let quadratic = raised(new) / rate + self.quadratic;
            let clipped = linear.max(-self.l1).min(self.l1);
            *w = (clipped - *linear) / quadratic;
            *accumulator = new;
        }
    }
}
