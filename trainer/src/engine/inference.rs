//! The forward pass over many rows, on several cores.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Chain, Mode, Workspace, last_activation};
use crate::activations::Activation;
use crate::samples::Samples;
use crate::threads;

/// Rows of a pass, unless a layer is wide.
const ROWS: Range<usize> = 128..1024;
/// Values of a layer's outputs for a pass: they stay in a core's cache. The rows are those of
/// Keras' batch at least.
const VALUES: usize = 1 << 18;
const FEWEST_ROWS: usize = 32;

/// The first leaves of a model in inference.
///
/// No row's outputs depend on the rows beside it, hence not on how rows are cut into passes.
pub(crate) struct Inference<'a> {
    chain: Chain<'a>,
    values: &'a [f32],
    x: &'a Samples<'a>,
    /// Values of one output sample.
    pub outputs: usize,
    /// Rows of a pass.
    rows: usize,
    /// Those that no thread is at.
    workspaces: Mutex<Vec<Workspace>>,
}

impl<'a> Inference<'a> {
    pub fn new(chain: Chain<'a>, values: &'a [f32], x: &'a Samples<'a>) -> Self {
        let widest = chain.plan.iter().map(|leaf| leaf.outputs).max();
        let rows = (threads::PIECE / values.len().max(1)).clamp(ROWS.start, ROWS.end);
        let narrow = (VALUES / widest.unwrap_or(1).max(1)).max(FEWEST_ROWS);
        Self {
            chain,
            values,
            x,
            outputs: chain.plan.last().map_or(x.width(), |last| last.outputs),
            rows: rows.min(narrow),
            workspaces: Mutex::new(Vec::with_capacity(threads::count())),
        }
    }

    /// Batches of so many rows, at least one, that keep every core busy for a while and whose outputs
    /// do not take much memory.
    pub fn batches(&self, size: usize) -> usize {
        let passes = (4 * VALUES / (self.rows * self.outputs.max(1))).clamp(1, 8);
        (self.rows * threads::count() * passes / size.max(1)).max(1)
    }

    /// The sigmoid or softmax that it ends with, if it does.
    pub fn last_activation(&self) -> Option<Activation> {
        last_activation(self.chain)
    }

    /// Writes the outputs for these rows, `[rows, output sample]`, and what their
    /// [`Inference::last_activation`] was applied to, unless that is empty.
    pub fn write(&self, rows: Range<usize>, outputs: &mut [f32], logits: &mut [f32]) {
        let width = self.outputs.max(1);
        let len = self.rows * width;
        threads::chunks([outputs, logits], len, |first, [outputs, logits]| {
            let start = rows.start + first / width;
            self.pass(start..start + outputs.len() / width, outputs, logits);
        });
    }

    fn pass(&self, rows: Range<usize>, outputs: &mut [f32], logits: &mut [f32]) {
        let free = || {
            let workspaces = self.workspaces.lock();
            workspaces.unwrap_or_else(PoisonError::into_inner)
        };
        let taken = free().pop();
        let mut workspace = taken.unwrap_or_default();
        let mode = Mode {
            rows: rows.len(),
            training: false,
            logits: !logits.is_empty(),
        };
        let width = self.x.width();
        let x = &self.x.values()[rows.start * width..rows.end * width];
        let mut rng = ChaCha8Rng::seed_from_u64(0); // nothing is random in inference
        workspace.infer(self.chain, self.values, x, mode, &mut rng);
        let leaves = self.chain.plan.len();
        outputs.copy_from_slice(workspace.values_at(leaves, x, outputs.len()));
        if let Some(found) = workspace.logits(self.chain, x, rows.len()) {
            logits.copy_from_slice(found.values());
        }
        free().push(workspace);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};

    use crate::layers::{ActivityRegularization, BatchNormalization, Dense, Input};
    use crate::sequential::{CompileOptions, Sequential};
    use crate::threads::Limit;
    use crate::training::{EvaluateOptions, PredictOptions};

    fn model(last: Dense, loss: &str) -> Sequential {
        let mut model = Sequential::new().with_seed(3);
        model.add(Input::new([7])).unwrap();
        let relu = "relu";
        model.add(Dense::new(33).with_activation(relu)).unwrap();
        model.add(BatchNormalization::new()).unwrap();
        model.add(last).unwrap();
        let options = CompileOptions::named("sgd", loss, &["accuracy"]).unwrap();
        model.compile_with(options).unwrap();
        model
    }

    fn rows(rows: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, 7), |(i, j)| ((i * 31 + j * 17) % 101) as f32 / 50.0)
    }

    #[test]
    fn outputs_do_not_depend_on_the_batch_or_on_threads() {
        // More rows than two threads take at a time.
        let (x, model) = (rows(5000), model(Dense::new(1), "mse"));
        let predict = |batch_size, threads| {
            let _limit = Limit::new(Some(threads));
            let options = PredictOptions {
                batch_size,
                verbose: 0,
                ..PredictOptions::default()
            };
            model.predict_with(&x, options).unwrap()
        };
        let one_by_one = predict(Some(1), 1);
        for batch_size in [Some(1), Some(32), Some(3000), None] {
            for threads in [1, 2, 3] {
                assert_eq!(predict(batch_size, threads), one_by_one, "{batch_size:?}");
            }
        }
        let single = model
            .predict(&x.slice(ndarray::s![4321..4322, ..]))
            .unwrap();
        assert_eq!(single[[0, 0]], one_by_one[[4321, 0]]);
    }

    #[test]
    fn an_evaluation_gives_the_outputs_of_predict_and_its_own_logs() {
        let x = rows(1001);
        let y = Array1::from_shape_fn(1001, |i| (i % 2) as f32);
        let softmax = || Dense::new(2).with_activation("softmax");
        let mut together = model(softmax(), "sparse_categorical_crossentropy");
        // A penalty on outputs needs one batch after the other.
        let mut penalized = Sequential::new().with_seed(3);
        penalized.add(Input::new([7])).unwrap();
        penalized
            .add(ActivityRegularization::new(0.1, 0.0))
            .unwrap();
        penalized.add(softmax()).unwrap();
        let loss = "sparse_categorical_crossentropy";
        penalized.compile("sgd", loss, ["accuracy"]).unwrap();
        for model in [&mut together, &mut penalized] {
            for (steps, seen) in [(None, 1001), (Some(3), 96)] {
                let options = EvaluateOptions {
                    verbose: 0,
                    steps,
                    ..EvaluateOptions::default()
                };
                let logs = model.evaluate(&x, &y, options.clone()).unwrap();
                let (same, outputs) = model.evaluate_with_outputs(&x, &y, options).unwrap();
                assert_eq!(same, logs);
                let predicted = model.predict(&x).unwrap();
                assert_eq!(outputs.shape(), [seen, 2]);
                assert_eq!(outputs, predicted.slice(ndarray::s![..seen, ..]).into_dyn());
            }
        }
    }

    #[test]
    fn losses_of_many_batches_are_those_of_one_after_the_other() {
        struct Watching;
        impl crate::callbacks::Callback for Watching {
            fn uses_batches(&self) -> bool {
                true
            }
        }
        let x = rows(3001);
        let y = Array1::from_shape_fn(3001, |i| (i % 2) as f32);
        let weights = Array1::from_shape_fn(3001, |i| 0.5 + (i % 3) as f32);
        let softmax = Dense::new(2).with_activation("softmax");
        let sigmoid = Dense::new(1).with_activation("sigmoid");
        for (last, loss) in [
            (softmax, "sparse_categorical_crossentropy"),
            (sigmoid, "binary_crossentropy"),
            (Dense::new(1), "mae"),
        ] {
            let mut model = model(last, loss);
            for (sample_weight, steps) in [(None, None), (Some(weights.view()), Some(60))] {
                let mut evaluate = |watching: bool| {
                    let options = EvaluateOptions {
                        verbose: 0,
                        sample_weight,
                        steps,
                        callbacks: watching.then(|| Watching.into()).into_iter().collect(),
                        ..EvaluateOptions::default()
                    };
                    model.evaluate(&x, &y, options).unwrap()
                };
                // A callback that looks at batches has them one after the other.
                let together = evaluate(false);
                assert_eq!(evaluate(true), together, "{loss}");
                assert!(together.get("loss").is_some_and(|loss| loss > 0.0));
            }
        }
    }
}
