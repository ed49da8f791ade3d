//! Training without a loss: what regularizers alone reach.

use std::ops::Range;

use crate::Sequential;
use crate::engine::Leaf;
use crate::{Error, Result};

/// How many leaves, from the first, a penalty on outputs reaches.
pub(super) fn penalized(plan: &[Leaf]) -> usize {
    let last = plan.iter().rposition(|leaf| leaf.penalty.is_some());
    last.map_or(0, |last| last + 1)
}

impl Sequential {
    /// Whether there is a loss to compute and, in `training`, a weight that its gradient reaches, as
    /// Keras asks in the first step.
    pub(super) fn check_loss(&mut self, training: bool) -> Result<()> {
        self.refresh_trainable();
        if self.compiled()?.loss.is_some() {
            return Ok(());
        }
        let learning = || self.variables.iter().filter(|variable| variable.trainable);
        let regularized = learning().any(|variable| variable.regularizer.is_some());
        let reached = penalized(&self.plan);
        if !regularized && reached == 0 {
            return Err(Error::value(
                "there is no loss to compute: the model was compiled without one, and no regularizer counts; compile it with a loss such as \"mse\"",
            ));
        }
        if training && learning().next().is_some() && learning().count() == self.untouched().len() {
            return Err(Error::value(
                "no gradient reaches a weight that is trained: the model was compiled without a loss, and its regularizers look at the inputs alone; compile it with a loss such as \"mse\"",
            ));
        }
        Ok(())
    }

    /// Where the values of the trained variables lie that no gradient reaches; the optimizer leaves
    /// them as they are, as Keras' does.
    pub(super) fn untouched(&self) -> Vec<Range<usize>> {
        let has_loss = self.compiled.as_ref().is_some_and(|c| c.loss.is_some());
        if has_loss {
            return Vec::new();
        }
        let reached = &self.plan[..penalized(&self.plan)];
        let is_reached = |index| reached.iter().any(|leaf| leaf.variables.contains(&index));
        let variables = self.variables.iter().enumerate();
        variables
            .filter(|(_, variable)| variable.trainable && variable.regularizer.is_none())
            .filter(|&(index, _)| !is_reached(index))
            .map(|(_, variable)| variable.range.clone())
            .collect()
    }
}
