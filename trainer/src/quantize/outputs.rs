//! What the outputs of a model mean: classes, answers of yes or no, or numbers.
//!
//! The exporter settles it once, from the loss, the last activation, the labels and the threshold
//! ([`settle`]), and writes labels and threshold such that the blob alone says it again
//! ([`Outputs::of`]). Whatever decides or scores asks there: `compare`, `evaluate`, the budget.

use ndarray::{ArrayView1, ArrayView2};
use thumbnet_runtime as runtime;

use super::chain::Chain;
use super::score::Score;
use super::{DeviceModel, QuantizeOptions};
use crate::activations::Activation;
use crate::losses::{Answer, LossKind};
use crate::sequential::Sequential;
use crate::signature::{self, Signature};
use crate::{Error, Result};

/// What the outputs of a model are, which decides how they are compared and scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outputs {
    /// A score per class, probabilities or logits: the first of the largest decides.
    Classes,
    /// Yes or no by each output: yes from the threshold on, as on the device. Of one output that is
    /// class 1, of several a label each. (Keras' metrics say yes above the threshold: the two differ
    /// where an output equals it.)
    Binary {
        /// Least output that is a yes.
        threshold: f32,
    },
    /// Numbers: nothing is decided.
    Numbers,
}

/// The last activation, as far as the outputs' meaning depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Softmax,
    Sigmoid,
    Other,
}

impl From<&Activation> for Last {
    fn from(activation: &Activation) -> Self {
        match activation {
            Activation::Softmax => Self::Softmax,
            Activation::Sigmoid => Self::Sigmoid,
            _ => Self::Other,
        }
    }
}

impl From<runtime::Activation> for Last {
    fn from(activation: runtime::Activation) -> Self {
        match activation {
            runtime::Activation::Softmax => Self::Softmax,
            runtime::Activation::Sigmoid => Self::Sigmoid,
            runtime::Activation::Linear
            | runtime::Activation::Relu
            | runtime::Activation::Tanh
            | runtime::Activation::Table
            | runtime::Activation::Exponential
            | runtime::Activation::LogSoftmax
            | runtime::Activation::Lines
            | runtime::Activation::Curve => Self::Other,
        }
    }
}

impl Outputs {
    /// By what a blob says: with a threshold each output decides for itself, with labels alone they
    /// are classes; without either a sigmoid says yes from 0.5 on, a softmax has classes, and all else
    /// are numbers. One output decides from 0.5 on where it has labels.
    pub(super) fn of(last: Last, outputs: usize, labelled: bool, threshold: Option<f32>) -> Self {
        match (threshold, last) {
            (Some(threshold), _) => Self::Binary { threshold },
            (None, Last::Softmax) if outputs > 1 => Self::Classes,
            (None, _) if labelled && outputs > 1 => Self::Classes,
            (None, Last::Softmax | Last::Sigmoid) => Self::Binary { threshold: 0.5 },
            (None, Last::Other) if labelled => Self::Binary { threshold: 0.5 },
            (None, Last::Other) => Self::Numbers,
        }
    }

    /// Of a blob.
    pub fn of_device(device: &DeviceModel) -> Self {
        let model = device.model();
        let labelled = model.labels().next().is_some();
        Self::of(last(device), model.outputs(), labelled, model.threshold())
    }

    /// Of a model, as its blob will say with these options.
    ///
    /// # Errors
    ///
    /// As [`quantize`](super::quantize) for labels and thresholds that do not fit, and for models
    /// without a form on the device.
    pub fn of_model(model: &Sequential, options: &QuantizeOptions) -> Result<Self> {
        let chain = super::fold::fold(model)?;
        let settled = settle(&Knowledge::of(model, &chain), options)?;
        Ok(Self::settled(chain.activation(), chain.outputs(), &settled))
    }

    /// With options that [`settle`] gave.
    pub(super) fn settled(last: &Activation, outputs: usize, options: &QuantizeOptions) -> Self {
        let labelled = !options.labels.is_empty();
        Self::of(Last::from(last), outputs, labelled, options.threshold)
    }

    /// With labels of this width: one label for several outputs is a class.
    pub fn labelled_by(self, outputs: usize, label_width: Option<usize>) -> Self {
        if outputs > 1 && label_width == Some(1) {
            Self::Classes
        } else {
            self
        }
    }

    /// What the device decides by a row of outputs: one class, by `classify`; of several outputs that
    /// each say yes or no a 1 or a 0 each, by `says_yes`; nothing by numbers.
    pub fn decisions(self, outputs: ArrayView1<f32>) -> Vec<usize> {
        match self {
            Self::Classes => vec![largest(outputs)],
            Self::Binary { threshold } => outputs
                .iter()
                .map(|&output| usize::from(says_yes(output, threshold)))
                .collect(),
            Self::Numbers => Vec::new(),
        }
    }

    /// Whether two rows of outputs decide the same.
    pub(super) fn agree(self, a: ArrayView1<f32>, b: ArrayView1<f32>) -> bool {
        match self {
            Self::Classes => largest(a) == largest(b),
            Self::Binary { threshold } => a
                .iter()
                .zip(&b)
                .all(|(&a, &b)| says_yes(a, threshold) == says_yes(b, threshold)),
            Self::Numbers => a == b,
        }
    }

    /// What scores them against labels, `[rows, 1]` or `[rows, outputs]`. Answers of yes or no are
    /// scored by labels of 0 and 1, or -1 and 1; any others are numbers to meet.
    pub(super) fn score(self, labels: &ArrayView2<f32>) -> Score {
        match self {
            Self::Classes => Score::Accuracy,
            Self::Binary { threshold } if are_answers(labels) => Score::BinaryAccuracy {
                threshold,
                multi_label: labels.ncols() > 1,
            },
            Self::Binary { .. } | Self::Numbers => Score::R2,
        }
    }
}

/// Of a blob.
pub(super) fn last(device: &DeviceModel) -> Last {
    let model = device.model();
    let activation = model.layers().last().map(|layer| layer.activation);
    activation.map_or(Last::Other, Last::from)
}

/// Whether all are 0 or 1, or all -1 or 1.
fn are_answers(labels: &ArrayView2<f32>) -> bool {
    labels.iter().all(|label| [0.0, 1.0].contains(label))
        || labels.iter().all(|label| [-1.0, 1.0].contains(label))
}

/// Whether an output says yes.
pub(crate) fn says_yes(output: f32, threshold: f32) -> bool {
    output >= threshold
}

/// The first of the largest values.
pub(crate) fn largest(row: ArrayView1<f32>) -> usize {
    let mut best = 0;
    for (class, &value) in row.iter().enumerate() {
        if value > row[best] {
            best = class;
        }
    }
    best
}

/// What a model's last layer is made for, before the export.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    Classes,
    Binary(Scale),
    Numbers,
}

/// What a threshold is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    /// The output is a probability.
    Probability,
    /// The output is the logarithm of the odds: a threshold on the probability is moved there.
    Logit,
    /// The output itself, whatever it is.
    Raw {
        /// Where it is cut unless told.
        default: f32,
    },
}

impl Task {
    /// By the signature, else by the loss where that is about classes or answers, else by the
    /// activation; what is neither becomes one by labels or a threshold.
    fn of(model: &Knowledge, options: &QuantizeOptions) -> Result<Self> {
        let several = model.outputs > 1;
        match model.signature.map(|signature| signature.task) {
            Some(signature::Task::MultiClass) if several => return Ok(Self::Classes),
            Some(signature::Task::Binary | signature::Task::MultiLabel) => {
                return Ok(Self::Binary(Scale::of(model, options)?));
            }
            Some(signature::Task::Regression | signature::Task::MultiClass) | None => {}
        }
        if let Some(task) = model.loss.and_then(|loss| model.of_loss(loss)) {
            return Ok(task);
        }
        let decides = options.threshold.is_some() || !options.labels.is_empty();
        Ok(match model.last {
            Activation::Softmax | Activation::LogSoftmax | Activation::Sparsemax if several => {
                Self::Classes
            }
            Activation::Sigmoid | Activation::Softmax => Self::Binary(Scale::Probability),
            _ if options.threshold.is_none() && decides && several => Self::Classes,
            _ if decides => Self::Binary(Scale::of(model, options)?),
            _ => Self::Numbers,
        })
    }
}

impl Scale {
    /// By the loss, else by the activation.
    fn of(model: &Knowledge, options: &QuantizeOptions) -> Result<Self> {
        match model.loss.and_then(|loss| model.of_loss(loss)) {
            Some(Task::Binary(scale)) => Ok(scale),
            Some(Task::Classes | Task::Numbers) | None => match model.last {
                Activation::Sigmoid => Ok(Self::Probability),
                _ if model.loss.is_some() || options.threshold.is_some() => {
                    Ok(Self::Raw { default: 0.5 })
                }
                _ => Err(Error::value(
                    "the model has labels for an output without a sigmoid, and no compile settings that say whether it is a probability or a logit; give the threshold, 0.5 for a probability or 0 for a logit",
                )),
            },
        }
    }
}

/// What is known of a model's outputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knowledge<'a> {
    signature: Option<&'a Signature>,
    loss: Option<&'a LossKind>,
    last: &'a Activation,
    inputs: usize,
    outputs: usize,
}

impl<'a> Knowledge<'a> {
    pub(super) fn of(model: &'a Sequential, chain: &'a Chain) -> Self {
        Self {
            signature: model.signature(),
            loss: model.loss().map(|loss| &loss.kind),
            last: chain.activation(),
            inputs: chain.inputs(),
            outputs: chain.outputs(),
        }
    }

    /// Whether there are classes to name: not the outputs of an autoencoder, nor a number with an alarm
    /// level.
    fn has_answers(&self) -> bool {
        let by_loss = self.loss.and_then(|loss| self.of_loss(loss));
        let by_loss = matches!(by_loss, Some(Task::Binary(_)));
        match self.signature.map(|signature| signature.task) {
            Some(signature::Task::Binary | signature::Task::MultiLabel) => true,
            Some(signature::Task::Regression | signature::Task::MultiClass) | None => {
                match self.outputs {
                    1 => by_loss || *self.last == Activation::Sigmoid,
                    outputs => by_loss && outputs != self.inputs,
                }
            }
        }
    }

    /// Of a loss that says it.
    fn of_loss(&self, loss: &LossKind) -> Option<Task> {
        match loss.resolved(1, self.outputs).function().answer() {
            // As Keras: a sigmoid's outputs are probabilities, whatever the loss says.
            Answer::Logit if *self.last != Activation::Sigmoid => Some(Task::Binary(Scale::Logit)),
            Answer::Logit | Answer::Probability => Some(Task::Binary(Scale::Probability)),
            Answer::Sign => Some(Task::Binary(Scale::Raw { default: 0.0 })),
            Answer::Class => (self.outputs > 1).then_some(Task::Classes),
            Answer::Numbers | Answer::Overlap | Answer::Distribution => None,
        }
    }
}

/// The options with the labels and the threshold as the blob gets them: the threshold moved to the
/// logit where the outputs are logits, digits for names that are missing.
///
/// # Errors
///
/// Labels whose number does not fit, empty or double ones; a threshold that the output cannot reach
/// or that nothing is compared with.
pub(super) fn settle(model: &Knowledge, options: &QuantizeOptions) -> Result<QuantizeOptions> {
    let outputs = model.outputs;
    let mut settled = options.clone();
    if let Some(signature) = model.signature {
        if settled.labels.is_empty() {
            settled.labels.clone_from(&signature.classes);
        }
        settled.threshold = settled.threshold.or(signature.threshold);
    }
    check_labels(&settled.labels, outputs)?;
    check_input_names(&settled.input_names, model.inputs)?;
    match Task::of(model, &settled)? {
        Task::Numbers => {}
        Task::Classes => {
            if let Some(threshold) = settled.threshold {
                return Err(Error::value(format!(
                    "threshold {threshold} is given for a model that chooses one of {outputs} classes, the greatest; leave it out, or end the model with one sigmoid output to decide at a threshold"
                )));
            }
            name(&mut settled.labels, outputs);
        }
        Task::Binary(scale) => {
            let threshold = settled.threshold;
            let threshold = threshold
                .map(|threshold| moved(threshold, scale, model.last))
                .transpose()?;
            if model.has_answers() {
                name(&mut settled.labels, outputs.max(2));
            }
            let default = match scale {
                Scale::Probability => 0.5,
                Scale::Logit => 0.0,
                Scale::Raw { default } => default,
            };
            // 0.5 goes without saying for one output, and for several without names.
            let silent = default == 0.5 && (outputs == 1 || settled.labels.is_empty());
            settled.threshold = threshold.or((!silent).then_some(default));
        }
    }
    Ok(settled)
}

/// Digits for names, as classes are numbered.
fn name(labels: &mut Vec<String>, count: usize) {
    if labels.is_empty() {
        *labels = (0..count).map(|class| class.to_string()).collect();
    }
}

fn check_input_names(names: &[String], inputs: usize) -> Result<()> {
    if !names.is_empty() && names.len() != inputs {
        return Err(Error::value(format!(
            "there are {} names of inputs ({}), expected {inputs}: one for each input",
            names.len(),
            crate::dataset::list(names)
        )));
    }
    for (index, name) in names.iter().enumerate() {
        let wrong = match name {
            _ if name.trim().is_empty() => "has no name",
            _ if name.contains(['\n', '\r', '\0']) => "has a line break in its name",
            _ if names[..index].contains(name) => "has the name of another one",
            _ => continue,
        };
        return Err(Error::value(format!(
            "input {index}, {name:?}, {wrong}; give every input a name of its own on one line"
        )));
    }
    Ok(())
}

fn check_labels(labels: &[String], outputs: usize) -> Result<()> {
    let expected = outputs.max(2);
    if !labels.is_empty() && labels.len() != expected {
        let which = match outputs {
            1 => "2: of no and of yes".to_string(),
            _ => format!("{outputs}: one for each output"),
        };
        return Err(Error::value(format!(
            "there {} ({}) for {outputs} output{}, expected {which}; name the classes with --classes A,B in the order of the outputs",
            match labels.len() {
                1 => "is 1 label".to_string(),
                count => format!("are {count} labels"),
            },
            crate::dataset::list(labels),
            if outputs == 1 { "" } else { "s" },
        )));
    }
    for (index, label) in labels.iter().enumerate() {
        let wrong = match label {
            _ if label.trim().is_empty() => "has no name",
            _ if label.contains(['\n', '\r']) => "has a line break in its name",
            _ if labels[..index].contains(label) => "has the name of another one",
            _ => continue,
        };
        return Err(Error::value(format!(
            "class {index}, {label:?}, {wrong}; give every class a name of its own on one line"
        )));
    }
    Ok(())
}

/// A threshold as the device compares it with the output.
fn moved(threshold: f32, scale: Scale, last: &Activation) -> Result<f32> {
    if !threshold.is_finite() {
        return Err(Error::value(format!(
            "the threshold is {threshold}, expected a finite number such as 0.5"
        )));
    }
    if scale == Scale::Logit {
        let probability = f64::from(threshold);
        if !(0.0..=1.0).contains(&probability) {
            return Err(Error::value(format!(
                "threshold {threshold} is no probability, expected one from 0 to 1: the model's outputs are logits, and {threshold} is the logit of {}",
                (1.0 / (1.0 + (-probability).exp())) as f32
            )));
        }
        let logit = (probability / (1.0 - probability)).ln();
        // 0 says yes to all rows, 1 to none.
        return Ok((logit as f32).clamp(f32::MIN, f32::MAX));
    }
    let (least, greatest) = reach(last);
    // Beyond this it is a matter of how far the points go.
    let unlimited = |end: f64| {
        if end.abs() > 1e20 {
            end * f64::INFINITY
        } else {
            end
        }
    };
    let (least, greatest) = (unlimited(least), unlimited(greatest));
    if !(least..=greatest).contains(&f64::from(threshold)) {
        return Err(Error::value(format!(
            "threshold {threshold} is beyond what the output can be, {} to {}, and would decide all rows the same; give one between",
            least as f32, greatest as f32
        )));
    }
    Ok(threshold)
}

/// The least and the greatest value of an activation, as far as floats go.
fn reach(activation: &Activation) -> (f64, f64) {
    if matches!(activation, Activation::Softmax | Activation::Sparsemax) {
        return (0.0, 1.0);
    }
    if *activation == Activation::LogSoftmax {
        return (f64::NEG_INFINITY, 0.0);
    }
    // Dense near 0, where they bend, and up to 1e26.
    let points = (-6000..=6000).map(|step| (f64::from(step) / 100.0).sinh());
    points.map(|x| activation.eval(x)).fold(
        (f64::INFINITY, f64::NEG_INFINITY),
        |(least, greatest), y| (least.min(y), greatest.max(y)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::Loss;
    use ndarray::arr1;
    use serde_json::{Value, json};

    /// Labels and threshold of the blob of a model with 4 inputs.
    fn settled(
        loss: Option<&Value>,
        last: &Activation,
        outputs: usize,
        labels: &[&str],
        threshold: Option<f32>,
    ) -> Result<(Vec<String>, Option<f32>, Outputs)> {
        let loss = loss.map(|loss| Loss::from_config(loss).expect("a loss of Keras"));
        let model = Knowledge {
            signature: None,
            loss: loss.as_ref().map(|loss| &loss.kind),
            last,
            inputs: 4,
            outputs,
        };
        let options = QuantizeOptions {
            labels: labels.iter().map(|&label| label.to_string()).collect(),
            threshold,
            ..QuantizeOptions::default()
        };
        let options = settle(&model, &options)?;
        let outputs = Outputs::settled(last, outputs, &options);
        Ok((options.labels, options.threshold, outputs))
    }

    #[test]
    fn loss_activation_labels_and_threshold_say_what_outputs_are() {
        let logits = |name: &str| json!({"class_name": name, "config": {"from_logits": true}});
        let (binary, classes) = (json!("binary_crossentropy"), json!("categorical_hinge"));
        let (binary_logits, class_logits) = (
            logits("BinaryFocalCrossentropy"),
            logits("CategoricalCrossentropy"),
        );
        let (mse, hinge) = (json!("mse"), json!("hinge"));
        let cut = |threshold| Outputs::Binary { threshold };
        let (linear, sigmoid, softmax) =
            (Activation::Linear, Activation::Sigmoid, Activation::Softmax);
        for (loss, last, outputs, labels, threshold, expected) in [
            (
                Some(&binary),
                &sigmoid,
                1,
                &[][..],
                None,
                (2, None, cut(0.5)),
            ),
            (
                Some(&binary),
                &sigmoid,
                1,
                &[],
                Some(0.0),
                (2, Some(0.0), cut(0.0)),
            ),
            (
                Some(&binary),
                &sigmoid,
                3,
                &[],
                None,
                (3, Some(0.5), cut(0.5)),
            ),
            // An autoencoder.
            (Some(&binary), &sigmoid, 4, &[], None, (0, None, cut(0.5))),
            (
                Some(&binary_logits),
                &linear,
                1,
                &[],
                None,
                (2, Some(0.0), cut(0.0)),
            ),
            (
                Some(&binary_logits),
                &linear,
                3,
                &[],
                None,
                (3, Some(0.0), cut(0.0)),
            ),
            // As Keras: a sigmoid's outputs are no logits.
            (
                Some(&binary_logits),
                &sigmoid,
                1,
                &[],
                None,
                (2, None, cut(0.5)),
            ),
            (
                Some(&class_logits),
                &linear,
                3,
                &[],
                None,
                (3, None, Outputs::Classes),
            ),
            (
                Some(&classes),
                &sigmoid,
                3,
                &[],
                None,
                (3, None, Outputs::Classes),
            ),
            (
                Some(&hinge),
                &Activation::Tanh,
                1,
                &[],
                None,
                (2, Some(0.0), cut(0.0)),
            ),
            (
                Some(&mse),
                &linear,
                1,
                &[],
                None,
                (0, None, Outputs::Numbers),
            ),
            (
                Some(&mse),
                &linear,
                1,
                &[],
                Some(-1.0),
                (0, Some(-1.0), cut(-1.0)),
            ),
            (
                Some(&mse),
                &linear,
                1,
                &["n", "y"],
                None,
                (2, None, cut(0.5)),
            ),
            (
                Some(&mse),
                &linear,
                3,
                &["a", "b", "c"],
                None,
                (3, None, Outputs::Classes),
            ),
            (None, &softmax, 3, &[], None, (3, None, Outputs::Classes)),
            (None, &sigmoid, 3, &[], None, (0, None, cut(0.5))),
            (
                None,
                &sigmoid,
                3,
                &["a", "b", "c"],
                None,
                (3, Some(0.5), cut(0.5)),
            ),
            (None, &linear, 3, &[], None, (0, None, Outputs::Numbers)),
        ] {
            let what = format!("{loss:?} {last:?} {outputs} {labels:?} {threshold:?}");
            let (labels, threshold, kind) =
                settled(loss, last, outputs, labels, threshold).expect(&what);
            assert_eq!((labels.len(), threshold, kind), expected, "{what}");
        }
    }

    #[test]
    fn thresholds_of_logits_are_moved_and_never_infinite() {
        let loss = json!({"class_name": "BinaryCrossentropy", "config": {"from_logits": true}});
        let moved = |probability| {
            let settled = settled(Some(&loss), &Activation::Linear, 1, &[], Some(probability));
            settled.expect("a probability").1
        };
        assert_eq!(moved(0.5), Some(0.0));
        // ln(0.9 / 0.1) and ln(0.25 / 0.75)
        assert!((moved(0.9).unwrap() - 2.197_224_6).abs() < 1e-6);
        assert!((moved(0.25).unwrap() + 1.098_612_3).abs() < 1e-6);
        // All rows, and none.
        assert_eq!(moved(0.0), Some(f32::MIN));
        assert_eq!(moved(1.0), Some(f32::MAX));
    }

    #[test]
    fn what_fits_no_output_is_refused() {
        let error = |last: &Activation, outputs, labels: &[&str], threshold| {
            settled(Some(&json!("mse")), last, outputs, labels, threshold)
                .expect_err("it does not fit")
                .to_string()
        };
        assert_eq!(
            error(&Activation::Sigmoid, 1, &["yes"], None),
            "there is 1 label (yes) for 1 output, expected 2: of no and of yes; name the classes with --classes A,B in the order of the outputs"
        );
        assert_eq!(
            error(&Activation::Softmax, 3, &["a", "b"], None),
            "there are 2 labels (a, b) for 3 outputs, expected 3: one for each output; name the classes with --classes A,B in the order of the outputs"
        );
        assert_eq!(
            error(&Activation::Sigmoid, 1, &["a", "a"], None),
            "class 1, \"a\", has the name of another one; give every class a name of its own on one line"
        );
        assert_eq!(
            error(&Activation::Sigmoid, 1, &["a", " "], None),
            "class 1, \" \", has no name; give every class a name of its own on one line"
        );
        for (activation, threshold, expected) in [
            (Activation::RELU, -0.1, "0 to inf"),
            (Activation::Tanh, -1.5, "-1 to 1"),
            (Activation::Relu6, 6.5, "0 to 6"),
        ] {
            let found = error(&activation, 1, &[], Some(threshold));
            let starts = format!("threshold {threshold} is beyond what the output can be, ");
            assert!(found.starts_with(&starts), "{found}");
            assert!(found.contains(expected), "{found}");
        }
        assert_eq!(
            error(&Activation::Linear, 1, &[], Some(f32::NAN)),
            "the threshold is NaN, expected a finite number such as 0.5"
        );
        assert_eq!(
            settled(None, &Activation::Linear, 1, &["no", "yes"], None)
                .expect_err("nobody knows")
                .to_string(),
            "the model has labels for an output without a sigmoid, and no compile settings that say whether it is a probability or a logit; give the threshold, 0.5 for a probability or 0 for a logit"
        );
    }

    #[test]
    fn a_row_decides_as_classify_does() {
        let row = arr1(&[0.25, 0.5, 0.5, 0.125]);
        assert_eq!(Outputs::Classes.decisions(row.view()), [1]);
        let cut = Outputs::Binary { threshold: 0.5 };
        assert_eq!(cut.decisions(row.view()), [0, 1, 1, 0]);
        assert!(Outputs::Numbers.decisions(row.view()).is_empty());
        // Labels of -1 and 1 are answers, those between 0 and 1 numbers to meet.
        let labels = ndarray::arr2(&[[-1.0], [1.0]]);
        assert_eq!(cut.score(&labels.view()).name(), "accuracy");
        let labels = ndarray::arr2(&[[0.0, 0.25], [1.0, 1.0]]);
        assert_eq!(cut.score(&labels.view()), Score::R2);
        let labels = ndarray::arr2(&[[0.0, 1.0], [1.0, 1.0]]);
        assert_eq!(cut.score(&labels.view()).name(), "binary_accuracy");
    }
}
