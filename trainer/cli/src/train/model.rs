//! The model of a training: its layers, compile settings and what it says of itself.

use ndarray::Axis;
use serde_json::{Value, json};
use thumbnet_trainer::{
    Sequential, Signature, Task,
    activations::Activation,
    dataset::list,
    layers::{Dense, Input, Normalization, Rescaling},
    losses::{Loss, LossKind},
    quantize::folded,
    sequential::CompileOptions,
};

use super::{
    super::{
        Outcome,
        compile::{check_labels, task},
        console,
        data::{Labelled, LabelledView},
        head::Head,
        layers::{self, LayerSpec},
        meaning::Meaning,
    },
    Start, Train, output_width,
};

/// Of every target, over the rows to train on: what a last layer scales its numbers by.
///
/// With it and the loss divided by the deviation, or its square, every step is that of a training on
/// standardized targets, while predictions and metrics are in the targets' unit.
struct TargetScale {
    mean: Vec<f64>,
    /// 1 for a target of one value.
    deviation: Vec<f64>,
}

impl TargetScale {
    fn weight(&self, loss: &Loss) -> Option<f64> {
        let powers = self.deviation.iter().map(|value| weight_of(loss, *value));
        let powers: Vec<f64> = powers.collect::<Option<_>>()?;
        Some(powers.len() as f64 / powers.iter().sum::<f64>())
    }
}

/// What a loss grows by where errors grow by `factor`; none where that depends on more.
fn weight_of(loss: &Loss, factor: f64) -> Option<f64> {
    match loss.kind {
        LossKind::MeanSquaredError(_) => Some(factor * factor),
        LossKind::MeanAbsoluteError(_) | LossKind::Huber(_) | LossKind::LogCosh(_) => Some(factor),
        _ => None,
    }
}

/// `152.1, 3.4`, the first few.
fn numbers(values: &[f64]) -> String {
    let texts: Vec<String> = values.iter().map(|value| format!("{value:.4}")).collect();
    list(&texts)
}

impl Train {
    /// The model to train, compiled, for rows of which those in `training` train; silent unless `tells`.
    ///
    /// * `rows` - what is known of all, and some of them
    pub(super) fn model(
        &self,
        start: Start,
        rows: &Labelled,
        training: &LabelledView,
        tells: bool,
    ) -> Outcome<Sequential> {
        let (mut model, targets) = match start.model {
            Some(model) => (model.with_seed(self.seed), None),
            None => self.build(rows, training, start.settings.loss.as_ref())?,
        };
        if let (Some(TargetScale { mean, deviation }), true) = (&targets, tells) {
            console::note(&format!(
                "note: {}: the targets are standardized within the model (mean {}, deviation {}), and the loss counts in deviations; --no-normalize leaves that out",
                rows.y_path.display(),
                numbers(mean),
                numbers(deviation)
            ));
        }
        if self.quantize_aware.is_some() {
            // Folding needs the weights, and leaves no optimizer state that would fit.
            if let Some(path) = &self.weights {
                model.load_weights(path)?;
            }
            model = folded(&model)?.with_seed(self.seed);
        }
        // Compiling anew would forget the optimizer's state, which folding has done.
        if !start.keep || self.quantize_aware.is_some() {
            let mut options = start.settings;
            if let (Some(scale), Some(loss)) = (targets, &options.loss) {
                options.loss_weights = scale.weight(loss);
            }
            model.compile_with(options)?;
        }
        let signature = self.signature(&model, &start.meaning, rows)?;
        model.set_signature(Some(signature))?;
        if let (Some(path), None) = (&self.weights, self.quantize_aware) {
            // With the optimizer that they were saved with.
            model.build_optimizer();
            model.load_weights(path)?;
        }
        if let (Some(rate), Some(optimizer)) = (self.learning_rate, model.optimizer_mut()) {
            optimizer.set_learning_rate(rate)?;
        }
        Ok(model)
    }

    /// The model of `--layers`, with the normalization of inputs in front and that of targets at the end.
    fn build(
        &self,
        rows: &Labelled,
        training: &LabelledView,
        loss: Option<&Loss>,
    ) -> Outcome<(Sequential, Option<TargetScale>)> {
        let normalization = match self.normalizes() {
            false => None,
            true => {
                let mut normalization = Normalization::new();
                normalization.adapt(&training.x)?;
                Some(normalization)
            }
        };
        let mut model = self.architecture(rows.data.row_shape(), normalization)?;
        if self.normalizes() {
            widen_constant_columns(&mut model)?;
        }
        let targets = self.target_scale(&model, rows, training, loss);
        if let Some(scale) = &targets {
            let TargetScale { mean, deviation } = scale;
            model.add(Rescaling::with_values(deviation.clone(), mean.clone()))?;
            model.build(rows.data.row_shape())?;
        }
        Ok((model, targets))
    }

    /// What a last layer of numbers is scaled by, where the loss is one that does not depend on units.
    fn target_scale(
        &self,
        model: &Sequential,
        rows: &Labelled,
        training: &LabelledView,
        loss: Option<&Loss>,
    ) -> Option<TargetScale> {
        let linear = matches!(
            self.layers.last(),
            Some(LayerSpec::Dense {
                activation: Activation::Linear,
                ..
            })
        );
        let suits = self.compile.compile.is_none()
            && loss.is_some_and(|loss| weight_of(loss, 1.0).is_some());
        let y = rows.y();
        let width = y.len() / rows.data.rows().max(1);
        let fits = output_width(model) == Some(width) && y.ndim() <= 2;
        let numbers = rows.data.class_names.is_none();
        // Folding for the device's rounding would take the layer away again.
        let stays = self.quantize_aware.is_none();
        if !(linear && suits && fits && numbers && stays && self.normalizes()) {
            return None;
        }
        let y = &training.y;
        let shape = (y.len_of(Axis(0)), width);
        let columns = y.to_shape(shape).ok()?.mapv(f64::from);
        let mean = columns.mean_axis(Axis(0))?.to_vec();
        let deviation = columns.std_axis(Axis(0), 0.0);
        let deviation = deviation.mapv(|value| if value == 0.0 { 1.0 } else { value });
        Some(TargetScale {
            mean,
            deviation: deviation.to_vec(),
        })
    }

    /// The model of `--layers` for rows of this shape.
    pub(super) fn architecture(
        &self,
        row_shape: &[usize],
        normalization: Option<Normalization>,
    ) -> Outcome<Sequential> {
        let mut model = Sequential::new().with_seed(self.seed);
        model.add(Input::new(row_shape))?;
        if let Some(normalization) = normalization {
            model.add(normalization)?;
        }
        layers::add(&mut model, &self.layers)?;
        if !self.autoencoder.is_empty() {
            layers::add(&mut model, &self.autoencoder)?;
            model.add(Dense::new(row_shape.iter().product()))?;
        }
        model.build(row_shape)?;
        Ok(model)
    }

    pub(super) fn normalizes(&self) -> bool {
        self.normalize || (self.data.data.is_some() && !self.no_normalize)
    }

    /// Compile settings: `own` ones, those of the model's file, where no options ask for others. Refuses
    /// labels that the model cannot take.
    pub(super) fn settings(
        &self,
        model: &Sequential,
        mut own: Option<Value>,
        rows: &Labelled,
    ) -> Outcome<CompileOptions> {
        let outputs = output_width(model).unwrap_or(1);
        if let (Some(own), Some(optimizer)) = (&mut own, &self.optimizer) {
            own["optimizer"] = json!(optimizer);
        }
        let mut options = self
            .compile
            .options(own, Head::of(model), outputs, rows.y().shape())?;
        if let Some(optimizer) = &self.optimizer {
            options.optimizer = optimizer.parse()?;
        }
        check_labels(options.loss.as_ref(), Head::of(model), outputs, rows)?;
        Ok(options)
    }

    /// What the trained model's inputs and outputs are: as before where it has said so, else as in
    /// the rows.
    fn signature(
        &self,
        model: &Sequential,
        meaning: &Meaning,
        rows: &Labelled,
    ) -> Outcome<Signature> {
        let outputs = output_width(model).unwrap_or(1);
        let names = rows.data.class_names.as_deref();
        let task = match model.loss() {
            Some(loss) => task(loss, Head::of(model), outputs, names),
            None => Task::Regression,
        };
        let given = meaning.class_names(self.data.classes.as_deref())?;
        let numbers = || {
            let count = task.class_count(outputs).unwrap_or(0);
            (0..count).map(|number| number.to_string()).collect()
        };
        let classes = given
            .filter(|names| task.class_count(outputs) == Some(names.len()))
            .or(names.map(<[String]>::to_vec))
            .unwrap_or_else(numbers);
        let features = match meaning.features() {
            [] => rows.data.feature_names.clone(),
            own => own.to_vec(),
        };
        let targets = match rows.data.target_names.as_slice() {
            [] => meaning.targets(),
            names => names.to_vec(),
        };
        let mut signature = Signature::new(task)
            .with_features(features)
            .with_targets(targets)
            .with_classes(classes);
        signature.threshold = meaning.threshold();
        signature.fill = rows.data.fill.clone();
        Ok(signature)
    }
}

/// Gives columns of one value the deviation 1: Keras would divide a later, other value by 1e-7.
pub(super) fn widen_constant_columns(model: &mut Sequential) -> Outcome {
    let mut weights = model.get_weights();
    // Mean, variance, count: the normalization's come first.
    if let Some(variance) = weights.get_mut(1) {
        variance.mapv_inplace(|value| if value == 0.0 { 1.0 } else { value });
    }
    model.set_weights(&weights)?;
    Ok(())
}
