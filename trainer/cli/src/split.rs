//! Which rows train, which validate, and which are kept for the test.

use clap::Args;
use ndarray::Axis;
use thumbnet_trainer::dataset::{SplitOptions, one_sided};

use super::{Failure, Outcome, console, data::Labelled, values::fraction};

/// Rows that are kept from training.
#[derive(Clone, Debug, Args)]
pub struct SplitArguments {
    /// Part of the rows that is neither trained nor validated on, drawn at random with its share of every
    /// class; the score at the end is of them
    #[arg(long, default_value_t = 0.0, value_name = "PART", value_parser = fraction)]
    pub test_split: f64,
    /// Part of the rows, taken from the end before shuffling, that validates and does not train
    #[arg(long, default_value_t = 0.0, value_name = "PART", value_parser = fraction)]
    pub validation_split: f64,
    /// Draw the rows of --validation-split at random, and not from the end
    #[arg(long, requires = "validation_split")]
    pub shuffle_split: bool,
    /// Draw the rows of --validation-split at random, with their share of every class
    #[arg(long, requires = "validation_split")]
    pub stratify: bool,
    /// Column whose values name rows that belong together, such as a person or a day: those of one value
    /// all train, validate or test
    #[arg(long, value_name = "COLUMN", requires = "data")]
    pub group: Option<String>,
    /// Cross-validation: train and score so many models, each on all rows but one part; the model that is
    /// saved is trained on all of them
    #[arg(long, value_name = "FOLDS", conflicts_with_all = ["model", "callbacks"])]
    pub cv: Option<usize>,
}

/// The rows of one training.
pub struct Parts {
    pub training: Labelled,
    /// Apart from `--validation-data`: rows of the same file.
    pub validation: Option<Labelled>,
    pub test: Option<Labelled>,
    /// The label of normal rows, of an autoencoder.
    pub normal: Option<String>,
}

impl SplitArguments {
    /// Deals the rows out. Without `shuffle_split`, `stratify` or groups the rows to validate on stay where
    /// they are, at the end of those to train on, for Keras' own split.
    pub fn deal(&self, rows: Labelled, seed: u64) -> Outcome<Parts> {
        if self.group.is_some()
            && self.test_split == 0.0
            && self.at_random().is_none()
            && self.cv.is_none()
        {
            return Err(Failure::usage(
                "--group is given, but no rows are kept from training; add --test-split 0.2, --validation-split 0.2 or --cv 5",
            ));
        }
        let (rest, test) = match self.test_split {
            0.0 => (rows, None),
            part => {
                let stratify = rows.data.has_classes();
                let (rest, test) = rows.split(part, SplitOptions { seed, stratify })?;
                (rest, Some(test))
            }
        };
        let (training, validation) = match self.at_random() {
            None => (rest, None),
            Some(stratify) => {
                let options = SplitOptions { seed, stratify };
                let (training, validation) = rest.split(self.validation_split, options)?;
                (training, Some(validation))
            }
        };
        Ok(Parts {
            training,
            validation,
            test,
            normal: None,
        })
    }

    /// Whether the rows to validate on are drawn at random, and then whether by class.
    fn at_random(&self) -> Option<bool> {
        let drawn = self.shuffle_split || self.stratify || self.group.is_some();
        (self.validation_split > 0.0 && drawn).then_some(self.stratify)
    }
}

impl Parts {
    /// Part of the training rows, from the end, that Keras' own split validates on.
    pub fn tail(&self, split: &SplitArguments) -> f64 {
        match self.validation {
            Some(_) => 0.0,
            None => split.validation_split,
        }
    }

    /// Rows that train are those before it: Keras' `floor(rows * (1 - split))`.
    pub fn end(&self, split: &SplitArguments) -> usize {
        (self.training.data.rows() as f64 * (1.0 - self.tail(split))) as usize
    }

    /// Says which classes have rows to train on or to validate on only; of the training rows those from
    /// `end` on validate.
    pub fn warn_of_classes(&self, end: usize) {
        let data = &self.training.data;
        let (train, tail) = self.training.y().view().split_at(Axis(0), end);
        let held = self
            .validation
            .as_ref()
            .map_or(tail, |rows| rows.y().view());
        if held.is_empty() {
            return;
        }
        if let Some(classes) = one_sided(&train, &held, data.class_names.as_deref()) {
            console::note(&format!(
                "note: {}: {classes}; --stratify gives each side its share of every class",
                self.training.y_path.display()
            ));
        }
    }
}
