//! What a loss or a metric looks at: targets, predictions, and where they came from.

use crate::activations::Activation;

/// One batch of targets and predictions, rows first.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Targets, `[rows, y_true_width]`.
    pub y_true: &'a [f32],
    /// Last axis of the targets: 1 for class indices, else usually `width`.
    pub y_true_width: usize,
    /// Predictions, `[rows, width]`.
    pub y_pred: &'a [f32],
    /// Last axis of the predictions.
    pub width: usize,
    /// What the model's last sigmoid or softmax was applied to; see [`Logits::of`].
    pub logits: Option<Logits<'a>>,
}

/// Pre-activations of a last sigmoid or softmax, `[rows, width]`.
///
/// Keras on TensorFlow remembers them beside the activation's output, and every crossentropy
/// takes them in place of the output, whichever of the two activations it was.
#[derive(Clone, Copy, Debug)]
pub enum Logits<'a> {
    /// Of a sigmoid.
    Sigmoid(&'a [f32]),
    /// Of a softmax.
    Softmax(&'a [f32]),
}

impl<'a> Logits<'a> {
    /// The logits `x` of the model's last activation; `None` if it is neither sigmoid nor softmax.
    pub fn of(last: &Activation, x: &'a [f32]) -> Option<Self> {
        match last {
            Activation::Sigmoid => Some(Self::Sigmoid(x)),
            Activation::Softmax => Some(Self::Softmax(x)),
            _ => None,
        }
    }

    /// The values themselves.
    pub fn values(&self) -> &'a [f32] {
        match self {
            Self::Sigmoid(x) | Self::Softmax(x) => x,
        }
    }
}

impl<'a> Batch<'a> {
    /// A batch without logits.
    pub fn new(y_true: &'a [f32], y_true_width: usize, y_pred: &'a [f32], width: usize) -> Self {
        Self {
            y_true,
            y_true_width,
            y_pred,
            width,
            logits: None,
        }
    }

    /// The same batch with the pre-activations `x` of the last activation `last`.
    pub fn with_logits(self, last: &Activation, x: &'a [f32]) -> Self {
        Self {
            logits: Logits::of(last, x),
            ..self
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.y_pred.len() / self.width.max(1)
    }

    /// Rows of targets and predictions side by side.
    pub(crate) fn pairs(&self) -> impl ExactSizeIterator<Item = (&'a [f32], &'a [f32])> + use<'a> {
        let targets = self.y_true.chunks_exact(self.y_true_width.max(1));
        targets.zip(self.y_pred.chunks_exact(self.width.max(1)))
    }

    /// `out[i] = f(y_true[i], y_pred[i])`.
    pub(crate) fn by_row(&self, out: &mut [f32], f: impl Fn(&[f32], &[f32]) -> f32) {
        for (out, (t, p)) in out.iter_mut().zip(self.pairs()) {
            *out = f(t, p);
        }
    }
}
