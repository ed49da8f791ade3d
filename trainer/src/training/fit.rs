//! `fit`: epochs of shuffled batches, validation, callbacks, history.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use ndarray::{ArrayBase, ArrayView1, Data, Dimension};

use super::callback_list::Callbacks;
use super::data::Rows;
use super::epochs::Training;
use crate::Number;
use crate::Sequential;
use crate::callbacks::SharedCallback;
use crate::history::History;
use crate::samples::Samples;
use crate::{Error, Result, threads};

/// How `fit` trains. The defaults are Keras'.
#[derive(Clone, Debug)]
pub struct FitOptions<'a> {
    /// The epoch to end before, counted from 0. Defaults to 1.
    pub epochs: usize,
    /// Samples per gradient step, `None` for all of them at once (where Keras' `None` means 32).
    /// Defaults to 32.
    pub batch_size: Option<usize>,
    /// Rows to evaluate after each epoch. Defaults to none.
    pub validation_data: Option<ValidationData<'a>>,
    /// Part of the rows, from the end, to evaluate and not to train on, `0..1`; not used when
    /// there is `validation_data`. Defaults to 0.
    pub validation_split: f64,
    /// Whether rows come in a new random order in each epoch. Defaults to true.
    pub shuffle: bool,
    /// Rows that are shuffled among each other, for data that does not fit into memory: blocks of so many, rounded
    /// up to whole batches, come in a random order and each of them in one of its own; the last one, with what is
    /// left, comes last. Defaults to none, all rows.
    pub shuffle_block: Option<usize>,
    /// 0 for silence, 1 for a progress bar, 2 for one line per epoch. Defaults to 1.
    pub verbose: u8,
    /// Called in order. Defaults to none.
    pub callbacks: Vec<SharedCallback<'a>>,
    /// Weight of each class in the loss, 1 for classes that are not in it. Defaults to none.
    pub class_weight: Option<BTreeMap<i64, f32>>,
    /// Weight of each row in the loss. Defaults to none.
    pub sample_weight: Option<ArrayView1<'a, f32>>,
    /// The epoch to begin with, counted from 0. Defaults to 0.
    pub initial_epoch: usize,
    /// Batches per epoch; the next epoch goes on where it ended. Defaults to all. It leaves
    /// `batch_size` as it is, where Keras without a batch size divides the rows by the steps.
    pub steps_per_epoch: Option<usize>,
    /// Batches per validation. Defaults to all.
    pub validation_steps: Option<usize>,
    /// Defaults to `batch_size`.
    pub validation_batch_size: Option<usize>,
    /// After which epochs to validate. Defaults to every one.
    pub validation_freq: ValidationFrequency,
    /// Of shuffling and noise. Defaults to the model's own, different in each call of `fit`.
    pub seed: Option<u64>,
    /// When it becomes true, from another thread or from a signal's handler, the training ends after the
    /// running batch; see [`Sequential::was_interrupted`]. Defaults to none.
    pub interrupt: Option<&'a AtomicBool>,
    /// Most threads for work that is large enough to share; results do not depend on them.
    /// Defaults to the environment variable `THUMBNET_THREADS`, else to all cores.
    pub threads: Option<usize>,
}

impl Default for FitOptions<'_> {
    fn default() -> Self {
        Self {
            epochs: 1,
            batch_size: Some(32),
            validation_data: None,
            validation_split: 0.0,
            shuffle: true,
            shuffle_block: None,
            verbose: 1,
            callbacks: Vec::new(),
            class_weight: None,
            sample_weight: None,
            initial_epoch: 0,
            steps_per_epoch: None,
            validation_steps: None,
            validation_batch_size: None,
            validation_freq: ValidationFrequency::Every(1),
            seed: None,
            interrupt: None,
            threads: None,
        }
    }
}

/// Rows to validate on.
#[derive(Clone, Debug)]
pub struct ValidationData<'a> {
    x: Samples<'a>,
    y: Samples<'a>,
    sample_weight: Option<Vec<f32>>,
}

impl<'a> ValidationData<'a> {
    /// Inputs and targets of the same rows.
    pub fn new<S, D, T, E>(x: &'a ArrayBase<S, D>, y: &'a ArrayBase<T, E>) -> Self
    where
        S: Data<Elem: Number>,
        T: Data<Elem: Number>,
        D: Dimension,
        E: Dimension,
    {
        Self {
            x: Samples::new(x),
            y: Samples::new(y),
            sample_weight: None,
        }
    }

    /// The same rows with a weight each.
    pub fn with_sample_weight(self, sample_weight: ArrayView1<f32>) -> Self {
        Self {
            sample_weight: Some(sample_weight.to_vec()),
            ..self
        }
    }
}

/// After which epochs to validate, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValidationFrequency {
    /// After each multiple of it.
    Every(usize),
    /// After these.
    Epochs(Vec<usize>),
}

impl ValidationFrequency {
    /// Whether there is a validation after this epoch, from 0.
    pub fn includes(&self, epoch: usize) -> bool {
        match self {
            Self::Every(every) => (epoch + 1).is_multiple_of(*every),
            Self::Epochs(epochs) => epochs.contains(&(epoch + 1)),
        }
    }
}

impl Sequential {
    /// Trains on the rows of `x` and `y`.
    ///
    /// # Shapes
    ///
    /// * `x` - `[rows, input sample]`
    /// * `y` - `[rows]` or `[rows, 1]` for one output and for class indices, else
    ///   `[rows, output sample]`
    ///
    /// # Errors
    ///
    /// [`Error::Value`] before `compile`, for an option outside its range or a label that the
    /// model has no output for; [`Error::Shape`] for arrays that do not fit each other or the
    /// model; what a callback returns. The model is then as the last finished step left it.
    pub fn fit<S, D, T, E>(
        &mut self,
        x: &ArrayBase<S, D>,
        y: &ArrayBase<T, E>,
        options: FitOptions,
    ) -> Result<History>
    where
        S: Data<Elem: Number>,
        T: Data<Elem: Number>,
        D: Dimension,
        E: Dimension,
    {
        self.compiled()?;
        let (x, y) = (Samples::new(x), Samples::new(y));
        let weights = row_weights(&y, options.sample_weight, options.class_weight.as_ref())?;
        self.build_for(&x)?;
        self.check_training()?;
        self.check_loss(true)?;
        self.check_rows(Rows {
            x: &x,
            y: &y,
            weights: weights.as_deref(),
        })?;
        let rows = x.rows();
        let split = options.validation_split;
        let validation_rows = match &options.validation_data {
            None if split != 0.0 => rows - split_at(rows, split)?,
            _ => 0,
        };
        let train = rows - validation_rows;
        let split_validation = (validation_rows > 0).then(|| ValidationData {
            x: x.range(train, rows),
            y: y.range(train, rows),
            // Class weights are those of the training alone.
            sample_weight: options
                .sample_weight
                .and(weights.as_ref())
                .map(|weights| weights[train..].to_vec()),
        });
        let validation = options
            .validation_data
            .as_ref()
            .or(split_validation.as_ref());
        let (x, y) = (x.range(0, train), y.range(0, train));
        let data = Rows {
            x: &x,
            y: &y,
            weights: weights.as_ref().map(|weights| &weights[..train]),
        };
        let validation = validation.map(ValidationData::rows);
        if let Some(validation) = validation {
            self.check_rows(validation)?;
        }
        let callbacks = Callbacks::new(options.callbacks.clone());
        let _limit = threads::Limit::new(options.threads);
        Training::begin(self, data, validation, &options)?.run(self, &callbacks)
    }
}

impl ValidationData<'_> {
    pub(super) fn rows(&self) -> Rows<'_> {
        Rows {
            x: &self.x,
            y: &self.y,
            weights: self.sample_weight.as_deref(),
        }
    }
}

/// The first validation row: the last rows, before shuffling, as Keras does.
fn split_at(rows: usize, split: f64) -> Result<usize> {
    if !(0.0..1.0).contains(&split) {
        return Err(Error::value(format!(
            "validation_split is {split}, expected a number from 0 to less than 1"
        )));
    }
    let at = (rows as f64 * (1.0 - split)).floor() as usize; // between 0 and rows
    if at == 0 || at == rows {
        return Err(Error::value(format!(
            "{rows} rows cannot be split with validation_split {split}, expected at least one row on each side; give more rows or another split"
        )));
    }
    Ok(at)
}

pub(super) fn batch_size(options: &FitOptions, rows: usize) -> Result<usize> {
    let counts = [
        ("batch_size", options.batch_size),
        ("validation_batch_size", options.validation_batch_size),
        ("steps_per_epoch", options.steps_per_epoch),
        ("validation_steps", options.validation_steps),
        ("shuffle_block", options.shuffle_block),
        ("threads", options.threads),
    ];
    let every = match options.validation_freq {
        ValidationFrequency::Every(every) => Some(every),
        ValidationFrequency::Epochs(_) => None,
    };
    let mut counts = counts.into_iter().chain([("validation_freq", every)]);
    if let Some((name, _)) = counts.find(|(_, value)| *value == Some(0)) {
        return Err(Error::value(format!("{name} is 0, expected at least 1")));
    }
    Ok(match (options.batch_size, options.steps_per_epoch) {
        (Some(size), _) => size,
        (None, Some(steps)) => rows.div_ceil(steps),
        (None, None) => rows,
    })
}

/// One weight per row from what the user gave, at most one of the two.
pub(super) fn row_weights(
    y: &Samples,
    sample_weight: Option<ArrayView1<f32>>,
    class_weight: Option<&BTreeMap<i64, f32>>,
) -> Result<Option<Vec<f32>>> {
    match (sample_weight, class_weight) {
        (Some(_), Some(_)) => Err(Error::value(
            "class_weight and sample_weight are both given, expected one of them; multiply the class weights into the sample weights",
        )),
        (sample_weight, None) => Ok(sample_weight.map(|weights| weights.to_vec())),
        (None, Some(class_weight)) => Ok(Some(class_weights(y, class_weight))),
    }
}

/// One weight per row, by its class: the largest of several targets, or the rounded one.
fn class_weights(y: &Samples, class_weight: &BTreeMap<i64, f32>) -> Vec<f32> {
    let class = |row: &[f32]| match row {
        [label] => label.round_ties_even() as i64, // numpy's rounding; labels are small
        row => {
            let mut best = 0;
            for (i, value) in row.iter().enumerate() {
                if *value > row[best] {
                    best = i;
                }
            }
            best as i64 // an index
        }
    };
    let rows = y.values().chunks_exact(y.width().max(1));
    rows.map(|row| class_weight.get(&class(row)).copied().unwrap_or(1.0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_is_floored() {
        // 101 * 0.85 = 85.85
        assert_eq!(split_at(101, 0.15).unwrap(), 85);
        assert_eq!(split_at(10, 0.33).unwrap(), 6);
        assert_eq!(
            split_at(2, 0.9).unwrap_err().to_string(),
            "2 rows cannot be split with validation_split 0.9, expected at least one row on each side; give more rows or another split"
        );
    }

    #[test]
    fn classes_without_a_weight_weigh_1() {
        let y = ndarray::arr2(&[[0., 1., 0.], [1., 0., 0.], [0., 0., 1.]]);
        let weights = BTreeMap::from([(1, 2.5), (2, 0.5)]);
        assert_eq!(class_weights(&Samples::new(&y), &weights), [2.5, 1.0, 0.5]);
        let y = ndarray::arr1(&[2., 0., 1.]);
        assert_eq!(class_weights(&Samples::new(&y), &weights), [0.5, 1.0, 2.5]);
    }

    /// The row of each batch, as a layer sees it.
    #[test]
    fn blocks_hold_every_row_once_and_one_block_is_the_whole() {
        use crate::layers::{Dense, Input};

        let x = ndarray::Array2::from_shape_fn((23, 1), |(row, _)| row as f32 / 23.0);
        let y = x.mapv(|x| x * 3.0);
        let train = |shuffle_block, shuffle| {
            let mut model = Sequential::new().with_seed(5);
            model.add(Input::new([1])).unwrap();
            model.add(Dense::new(1)).unwrap();
            model.compile("sgd", "mse", [] as [&str; 0]).unwrap();
            let options = FitOptions {
                epochs: 3,
                batch_size: Some(2),
                shuffle,
                shuffle_block,
                verbose: 0,
                seed: Some(1),
                ..FitOptions::default()
            };
            let history = model.fit(&x, &y, options).unwrap();
            (model.values().to_vec(), history)
        };
        let whole = train(None, true);
        for one in [23, 24, 1000] {
            assert!(train(Some(one), true) == whole, "{one}");
        }
        // Blocks of 6 rows, of 5 in whole batches, are another order, and the same each time.
        let blocks = train(Some(5), true);
        assert!(blocks == train(Some(6), true) && blocks != whole);
        assert!(train(Some(5), false) == train(None, false));
    }

    #[test]
    fn a_count_of_0_is_refused_by_name() {
        let options = FitOptions {
            validation_freq: ValidationFrequency::Every(0),
            ..FitOptions::default()
        };
        assert_eq!(
            batch_size(&options, 10).unwrap_err().to_string(),
            "validation_freq is 0, expected at least 1"
        );
    }

    #[test]
    fn training_and_predicting_have_the_same_bits_with_any_number_of_threads() {
        use crate::layers::{BatchNormalization, Dense, Input};

        // Large enough for every kind of work to be shared: products by rows and by columns, the
        // update, batches of a prediction.
        let x = ndarray::Array2::from_shape_fn((2100, 300), |(row, column)| {
            ((row * 31 + column * 17) % 97) as f32 / 97.0
        });
        let y = ndarray::Array1::from_shape_fn(2100, |row| (row % 10) as f32);
        let train = |threads: usize| {
            let mut model = Sequential::new().with_seed(5);
            model.add(Input::new([300])).unwrap();
            let relu = "relu";
            model.add(Dense::new(160).with_activation(relu)).unwrap();
            model.add(BatchNormalization::new()).unwrap();
            let softmax = "softmax";
            model.add(Dense::new(10).with_activation(softmax)).unwrap();
            let loss = "sparse_categorical_crossentropy";
            model.compile("adam", loss, ["accuracy"]).unwrap();
            let options = FitOptions {
                batch_size: Some(100),
                verbose: 0,
                threads: Some(threads),
                ..FitOptions::default()
            };
            let history = model.fit(&x, &y, options).unwrap();
            let _limit = threads::Limit::new(Some(threads));
            let predictions = model.predict(&x).unwrap();
            (model.values().to_vec(), predictions, history)
        };
        let one = train(1);
        assert!(one.0.iter().all(|value| value.is_finite()));
        assert!(one == train(2));
        assert!(one == train(3));
    }
}
