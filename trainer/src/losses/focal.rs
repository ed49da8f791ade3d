//! Focal crossentropies: easy examples count less by the factor `(1 - p_t)^gamma`.

use serde_json::{Map, Value, json};

use super::batch::{Batch, Logits};
use super::crossentropy::{
    Smoothing, binary_from_logit, binary_from_logit_d, binary_from_probability,
    binary_from_probability_d, maximum, softmax,
};
use super::kind::{Answer, LossFunction};
use super::math::{sum_map, sum_pairs};
use super::targets::Wanted;
use super::{EPSILON, ONE_MINUS_EPSILON, clip_d};
use crate::Result;
use crate::activations::math::{exp, sigmoid};
use crate::keras::{Object, entries};

/// Binary crossentropy in which easy examples count less, by `(1 - p)^gamma` where p is the
/// probability of the right answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BinaryFocalCrossentropy {
    /// Weights class 1 by `alpha`, class 0 by `1 - alpha`. Defaults to false.
    pub apply_class_balancing: bool,
    /// Defaults to 0.25.
    pub alpha: f64,
    /// Exponent of the focal factor. Defaults to 2.
    pub gamma: f64,
    /// Defaults to false.
    pub from_logits: bool,
    /// Defaults to 0.
    pub label_smoothing: f64,
}

/// Categorical crossentropy in which easy examples count less, each class by `(1 - p)^gamma`.
#[derive(Clone, Debug, PartialEq)]
pub struct CategoricalFocalCrossentropy {
    /// Defaults to 0.25 for every class.
    pub alpha: Alpha,
    /// Exponent of the focal factor. Defaults to 2.
    pub gamma: f64,
    /// Defaults to false.
    pub from_logits: bool,
    /// Defaults to 0.
    pub label_smoothing: f64,
}

/// Weight of the classes in a categorical focal crossentropy.
#[derive(Clone, Debug, PartialEq)]
pub enum Alpha {
    /// The same for every class.
    One(f64),
    /// One for each class, in their order.
    PerClass(Vec<f64>),
}

impl Default for BinaryFocalCrossentropy {
    fn default() -> Self {
        Self {
            apply_class_balancing: false,
            alpha: 0.25,
            gamma: 2.0,
            from_logits: false,
            label_smoothing: 0.0,
        }
    }
}

impl Default for CategoricalFocalCrossentropy {
    fn default() -> Self {
        Self {
            alpha: Alpha::One(0.25),
            gamma: 2.0,
            from_logits: false,
            label_smoothing: 0.0,
        }
    }
}

impl LossFunction for BinaryFocalCrossentropy {
    fn read(options: &Object) -> Result<Self> {
        Ok(Self {
            apply_class_balancing: options.flag_or("apply_class_balancing", false)?,
            alpha: options.number_or("alpha", 0.25)?,
            gamma: options.number_or("gamma", 2.0)?,
            from_logits: options.flag_or("from_logits", false)?,
            label_smoothing: options.fraction_or("label_smoothing", 0.0)?,
        })
    }

    fn options(&self) -> Map<String, Value> {
        entries([
            ("from_logits", json!(self.from_logits)),
            ("label_smoothing", json!(self.label_smoothing)),
            ("axis", json!(-1)),
            ("apply_class_balancing", json!(self.apply_class_balancing)),
            ("alpha", json!(self.alpha)),
            ("gamma", json!(self.gamma)),
        ])
    }

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        Binary::new(self).value(batch, out);
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        Binary::new(self).gradient(batch, scale, out);
    }

    fn wanted(&self) -> Wanted {
        Wanted::SameWidth
    }

    fn answer(&self) -> Answer {
        match self.from_logits {
            true => Answer::Logit,
            false => Answer::Probability,
        }
    }

    fn takes_logits(&self) -> bool {
        !self.from_logits
    }
}

impl LossFunction for CategoricalFocalCrossentropy {
    fn read(options: &Object) -> Result<Self> {
        let alpha = match options.get("alpha") {
            Some(Value::Array(list)) => {
                let alpha: Option<Vec<_>> = list.iter().map(Value::as_f64).collect();
                let wrong = || options.bad("alpha", &json!(list), "a number or one per class");
                Alpha::PerClass(alpha.ok_or_else(wrong)?)
            }
            _ => Alpha::One(options.number_or("alpha", 0.25)?),
        };
        Ok(Self {
            alpha,
            gamma: options.number_or("gamma", 2.0)?,
            from_logits: options.flag_or("from_logits", false)?,
            label_smoothing: options.fraction_or("label_smoothing", 0.0)?,
        })
    }

    fn options(&self) -> Map<String, Value> {
        let alpha = match &self.alpha {
            Alpha::One(alpha) => json!(alpha),
            Alpha::PerClass(alpha) => json!(alpha),
        };
        entries([
            ("from_logits", json!(self.from_logits)),
            ("label_smoothing", json!(self.label_smoothing)),
            ("axis", json!(-1)),
            ("alpha", alpha),
            ("gamma", json!(self.gamma)),
        ])
    }

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        Categorical::new(self, batch.y_true_width).value(batch, out);
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        Categorical::new(self, batch.y_true_width).gradient(batch, scale, out);
    }

    fn wanted(&self) -> Wanted {
        Wanted::SameWidth
    }

    fn answer(&self) -> Answer {
        Answer::Class
    }

    fn flaw(&self, width: usize) -> Option<String> {
        match &self.alpha {
            Alpha::PerClass(alpha) if alpha.len() != width => Some(format!(
                "has alpha for {} classes, expected {width}, the model's output width",
                alpha.len()
            )),
            Alpha::PerClass(_) | Alpha::One(_) => None,
        }
    }
}

/// Options of the binary form, as it computes.
#[derive(Clone, Copy)]
struct Binary {
    apply_class_balancing: bool,
    alpha: f32,
    gamma: f32,
    from_logits: bool,
    smooth: Smoothing,
}

/// One element: smoothed target, probability, and the logit where the crossentropy takes it.
#[derive(Clone, Copy)]
struct Element {
    t: f32,
    p: f32,
    x: Option<f32>,
}

impl Binary {
    fn new(options: &BinaryFocalCrossentropy) -> Self {
        Self {
            apply_class_balancing: options.apply_class_balancing,
            alpha: options.alpha as f32, // Keras computes in f32
            gamma: options.gamma as f32,
            from_logits: options.from_logits,
            smooth: Smoothing::new(options.label_smoothing, 2),
        }
    }

    fn element(self, batch: &Batch, index: usize, t: f32, p: f32) -> Element {
        let t = self.smooth.apply(t);
        if self.from_logits {
            let x = Some(p);
            return Element {
                t,
                p: sigmoid(p),
                x,
            };
        }
        let x = batch.logits.and_then(|l| l.values().get(index).copied());
        Element { t, p, x }
    }

    /// `weight · (1 - p_t)^gamma`, and its derivative to `p`.
    fn factor(self, Element { t, p, .. }: Element) -> (f32, f32) {
        let weight = if self.apply_class_balancing {
            t * self.alpha + (1.0 - t) * (1.0 - self.alpha)
        } else {
            1.0
        };
        let easy = 1.0 - (t * p + (1.0 - t) * (1.0 - p));
        let d = -self.gamma * easy.powf(self.gamma - 1.0) * (2.0 * t - 1.0);
        (weight * easy.powf(self.gamma), weight * d)
    }

    fn crossentropy(Element { t, p, x }: Element) -> f32 {
        x.map_or_else(
            || binary_from_probability(t, p),
            |x| binary_from_logit(t, x),
        )
    }

    fn value(self, batch: &Batch, out: &mut [f32]) {
        let width = batch.width;
        for (i, (out, (t, p))) in out.iter_mut().zip(batch.pairs()).enumerate() {
            let terms = t.iter().zip(p).enumerate().map(|(j, (&t, &p))| {
                let element = self.element(batch, i * width + j, t, p);
                self.factor(element).0 * Self::crossentropy(element)
            });
            *out = terms.sum::<f32>() / width as f32;
        }
    }

    fn gradient(self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let width = batch.width;
        let rows = out.chunks_exact_mut(width.max(1)).zip(scale);
        for (i, ((out, &scale), (t, p))) in rows.zip(batch.pairs()).enumerate() {
            let scale = scale / width as f32;
            let element = |j: usize| self.element(batch, i * width + j, t[j], p[j]);
            // First what flows through the probability.
            for (j, out) in out.iter_mut().enumerate() {
                let element = element(j);
                let (factor, factor_d) = self.factor(element);
                *out = factor_d * Self::crossentropy(element);
                if element.x.is_none() {
                    *out += factor * binary_from_probability_d(element.t, element.p);
                }
            }
            let through_softmax =
                !self.from_logits && matches!(batch.logits, Some(Logits::Softmax(_)));
            let dot = sum_pairs(out, p, |d, p| d * p);
            for (j, out) in out.iter_mut().enumerate() {
                let element = element(j);
                if let Some(x) = element.x {
                    let p = element.p;
                    *out = if through_softmax {
                        p * (*out - dot)
                    } else {
                        *out * p * (1.0 - p)
                    };
                    *out += self.factor(element).0 * binary_from_logit_d(element.t, x);
                }
                *out *= scale;
            }
        }
    }
}

/// Options of the categorical form, as it computes.
#[derive(Clone, Copy)]
struct Categorical<'a> {
    alpha: &'a Alpha,
    gamma: f32,
    from_logits: bool,
    smooth: Smoothing,
}

impl<'a> Categorical<'a> {
    /// For targets of so many classes.
    fn new(options: &'a CategoricalFocalCrossentropy, classes: usize) -> Self {
        Self {
            alpha: &options.alpha,
            gamma: options.gamma as f32,
            from_logits: options.from_logits,
            smooth: Smoothing::new(options.label_smoothing, classes),
        }
    }

    fn alpha(&self, class: usize) -> f32 {
        match self.alpha {
            Alpha::One(alpha) => *alpha as f32,
            Alpha::PerClass(alpha) => alpha.get(class).map_or(f32::NAN, |&alpha| alpha as f32),
        }
    }

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        for (out, (t, p)) in out.iter_mut().zip(batch.pairs()) {
            let largest = maximum(p);
            let inverse = if self.from_logits {
                1.0 / sum_map(p, |p| exp(p - largest))
            } else {
                1.0
            };
            let e = |p: f32| {
                if self.from_logits {
                    exp(p - largest) * inverse
                } else {
                    p
                }
            };
            // Divided by its sum once more, as Keras does.
            let total = sum_map(p, e);
            let terms = t.iter().zip(p).enumerate().map(|(class, (&t, &p))| {
                let q = (e(p) / total).clamp(EPSILON, ONE_MINUS_EPSILON);
                let weight = self.alpha(class) * (1.0 - q).powf(self.gamma);
                weight * -(self.smooth.apply(t) * q.ln())
            });
            *out = terms.sum();
        }
    }

    /// Derivative of one class' term to its normalized probability.
    fn d(&self, class: usize, t: f32, q: f32) -> f32 {
        let (unclipped, q) = (q, q.clamp(EPSILON, ONE_MINUS_EPSILON));
        let t = self.smooth.apply(t);
        let easy = 1.0 - q;
        let term = self.gamma * easy.powf(self.gamma - 1.0) * q.ln() - easy.powf(self.gamma) / q;
        let d = self.alpha(class) * t * term;
        clip_d(unclipped, EPSILON, ONE_MINUS_EPSILON, d)
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let rows = out.chunks_exact_mut(batch.width.max(1)).zip(scale);
        for ((out, &scale), (t, p)) in rows.zip(batch.pairs()) {
            if self.from_logits {
                softmax(p, out);
            } else {
                out.copy_from_slice(p);
            }
            let total = sum_map(out, |p| p);
            let terms = out.iter().zip(t).enumerate();
            let terms = terms.map(|(class, (p, &t))| self.d(class, t, p / total) * (p / total));
            let dot = terms.sum::<f32>();
            let to_probability =
                |class: usize, t: f32, p: f32| (self.d(class, t, p / total) - dot) / total;
            let outer = if self.from_logits {
                let terms = out.iter().zip(t).enumerate();
                let terms = terms.map(|(class, (&p, &t))| p * to_probability(class, t, p));
                terms.sum::<f32>()
            } else {
                0.0
            };
            for (class, (out, &t)) in out.iter_mut().zip(t).enumerate() {
                let d = to_probability(class, t, *out);
                *out = scale
                    * if self.from_logits {
                        *out * (d - outer)
                    } else {
                        d
                    };
            }
        }
    }
}
