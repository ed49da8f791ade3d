//! Losses of one's own.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::kind::LossFunction;
use super::{Answer, Batch, Loss, LossKind, Wanted};
use crate::custom::{AnyLoss, CustomLoss, Own, register_loss};

impl<T: CustomLoss> From<T> for Loss {
    fn from(loss: T) -> Self {
        register_loss::<T>();
        Self::new(LossKind::Custom(Own(Arc::new(loss))))
    }
}

impl LossFunction for Own<dyn AnyLoss> {
    fn options(&self) -> Map<String, Value> {
        self.arguments()
    }

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        batch.by_row(out, |t, p| self.row_value(t, p));
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let rows = out.chunks_exact_mut(batch.width.max(1));
        for ((out, &scale), (t, p)) in rows.zip(scale).zip(batch.pairs()) {
            self.row_gradient(t, p, out);
            out.iter_mut().for_each(|d| *d *= scale);
        }
    }

    fn wanted(&self) -> Wanted {
        match self.classes() {
            true => Wanted::Index,
            false => Wanted::SameWidth,
        }
    }

    fn answer(&self) -> Answer {
        match self.classes() {
            true => Answer::Class,
            false => Answer::Numbers,
        }
    }

    fn is_label(&self, target: f32, classes: usize) -> bool {
        !self.classes() || (target > -1.0 && target < classes as f32)
    }
}
