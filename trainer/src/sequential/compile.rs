//! Compile: the optimizer, the loss and the metrics of a model, and Keras' serialized form of them.

use serde_json::{Value, json};

use super::Sequential;
use super::targets::Targets;
use crate::history::{Logs, metric_name};
use crate::keras::dialect::{metric_list, only};
use crate::losses::{Batch, Loss};
use crate::metrics::Metric;
use crate::optimizers::Optimizer;
use crate::{Error, Result};

/// What `compile` takes.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// How gradients become updates of the weights.
    pub optimizer: Optimizer,
    /// Without it, regularizers alone are trained.
    pub loss: Option<Loss>,
    /// The loss is multiplied by it. Defaults to none, 1.
    pub loss_weights: Option<f64>,
    /// Names (`"accuracy"`) or configs, not weighted by sample or class weights. Defaults to none.
    pub metrics: Vec<Value>,
    /// Names or configs, weighted by sample and class weights. Defaults to none.
    pub weighted_metrics: Vec<Value>,
}

impl CompileOptions {
    /// An optimizer and a loss (or `None`), without metrics.
    pub fn new(optimizer: Optimizer, loss: impl Into<Option<Loss>>) -> Self {
        Self {
            optimizer,
            loss: loss.into(),
            loss_weights: None,
            metrics: Vec::new(),
            weighted_metrics: Vec::new(),
        }
    }

    /// By Keras' names, such as `"adam"`, `"mse"`, `&["mae"]`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for a name that Keras does not know.
    pub fn named(optimizer: &str, loss: &str, metrics: &[&str]) -> Result<Self> {
        Self::of(optimizer, loss, metrics)
    }

    fn of(
        optimizer: impl TryInto<Optimizer, Error: Into<Error>>,
        loss: impl TryInto<Loss, Error: Into<Error>>,
        metrics: impl IntoIterator<Item: AsRef<str>>,
    ) -> Result<Self> {
        let optimizer = optimizer.try_into().map_err(Into::into)?;
        let loss = loss.try_into().map_err(Into::into)?;
        let names = metrics.into_iter().map(|name| name.as_ref().into());
        Ok(Self {
            metrics: names.collect(),
            ..Self::new(optimizer, loss)
        })
    }

    /// From Keras' serialized form: `compile_config` of a `.keras` file, `training_config` of an
    /// `.h5` file, or `{"optimizer", "loss", "metrics"}` with names or configs.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for what Keras does not know or write, [`Error::Unsupported`] for what
    /// thumbnet has not.
    pub fn from_config(config: &Value) -> Result<Self> {
        let optimizer = ["optimizer", "optimizer_config"]
            .iter()
            .find_map(|key| config.get(key).filter(|value| !value.is_null()));
        let optimizer = match optimizer {
            Some(config) => Optimizer::from_config(config)?,
            None => "rmsprop".parse()?,
        };
        let loss = match config.get("loss") {
            None | Some(Value::Null) => None,
            // Keras takes `[null]` and `{}` here, and fails in the first step.
            Some(value) => match only(value) {
                Some(loss) => Some(Loss::from_config(loss)?),
                None => {
                    return Err(Error::value(format!(
                        "\"loss\" is {value}, expected one such as \"mse\", or null to train by regularizers alone"
                    )));
                }
            },
        };
        let loss_weights = config.get("loss_weights").and_then(only);
        let wrong = || {
            Error::value(format!(
                "\"loss_weights\" is {}, expected a number or null",
                loss_weights.unwrap_or(&Value::Null)
            ))
        };
        Ok(Self {
            optimizer,
            loss,
            loss_weights: match loss_weights {
                Some(value) => Some(value.as_f64().ok_or_else(wrong)?),
                None => None,
            },
            metrics: config.get("metrics").map_or(Vec::new(), metric_list),
            weighted_metrics: config
                .get("weighted_metrics")
                .map_or(Vec::new(), metric_list),
        })
    }
}

/// What training needs beside the layers.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub optimizer: Optimizer,
    pub loss: Option<Loss>,
    pub loss_weight: Option<f64>,
    metric_configs: [Vec<Value>; 2],
    metrics: Vec<Tracked>,
    /// What the metrics were made for.
    made_for: Option<(Targets, usize, Sums)>,
    /// Sum of `loss * samples`, and samples.
    loss_sum: f64,
    samples: f64,
}

/// How R² is summed, the one metric whose sums in f32 may have no right digit left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sums {
    /// As Keras does, step by step in f32.
    Keras,
    /// Without its loss.
    Exact,
}

#[derive(Clone, Debug)]
struct Tracked {
    /// Name in the logs.
    name: String,
    metric: Metric,
    weighted: bool,
}

impl Compiled {
    fn new(options: CompileOptions) -> Self {
        Self {
            optimizer: options.optimizer,
            loss: options.loss,
            loss_weight: options.loss_weights,
            metric_configs: [options.metrics, options.weighted_metrics],
            metrics: Vec::new(),
            made_for: None,
            loss_sum: 0.0,
            samples: 0.0,
        }
    }

    /// Makes the metrics for these targets and predictions, with Keras' names.
    pub fn build_metrics(&mut self, targets: Targets, width: usize, sums: Sums) -> Result<()> {
        if self.made_for == Some((targets, width, sums)) {
            return Ok(());
        }
        let mut metrics: Vec<Tracked> = Vec::new();
        for (weighted, configs) in [false, true].into_iter().zip(&self.metric_configs) {
            for config in configs {
                let mut metric = Metric::from_config(config, targets.width, width)?;
                if targets.flat {
                    metric.take_flat_targets();
                }
                match sums {
                    Sums::Keras => {}
                    Sums::Exact => metric.sum_exactly(),
                }
                let name = unique(metric.name(), weighted, &metrics);
                metrics.push(Tracked {
                    name,
                    metric,
                    weighted,
                });
            }
        }
        self.metrics = metrics;
        self.made_for = Some((targets, width, sums));
        Ok(())
    }

    /// Whether there are metrics, which look at the targets.
    pub fn has_metrics(&self) -> bool {
        self.metric_configs
            .iter()
            .any(|configs| !configs.is_empty())
    }

    /// Forgets what loss and metrics have seen.
    pub fn reset(&mut self) {
        (self.loss_sum, self.samples) = (0.0, 0.0);
        for tracked in &mut self.metrics {
            tracked.metric.reset();
        }
    }

    /// Takes one batch into loss and metrics.
    pub fn update(&mut self, loss: f32, samples: usize, batch: &Batch, weights: Option<&[f32]>) {
        self.loss_sum += f64::from(loss) * samples as f64; // exact counts
        self.samples += samples as f64;
        for tracked in &mut self.metrics {
            let weights = weights.filter(|_| tracked.weighted);
            tracked.metric.update(batch, weights);
        }
    }

    /// Writes loss and metrics to `logs`, by name.
    pub fn write(&self, logs: &mut Logs) {
        let loss = (self.loss_sum / self.samples.max(1.0)) as f32; // as Keras reports it
        if logs.is_empty() {
            let mut names: Vec<&str> = self.metrics.iter().map(|m| m.name.as_str()).collect();
            names.push("loss");
            names.sort_unstable();
            names.iter().for_each(|name| logs.set(name, 0.0));
        }
        logs.set("loss", f64::from(loss));
        for tracked in &self.metrics {
            logs.set_value(&tracked.name, tracked.metric.value());
        }
    }

    /// Whether a larger value of the metric of this name is better; none when Keras does not say.
    fn is_upwards(&self, name: &str) -> Option<bool> {
        let tracked = self
            .metrics
            .iter()
            .find(|tracked| tracked.metric.name() == name)?;
        tracked.metric.is_upwards()
    }

    fn config(&self) -> Value {
        let list = |configs: &Vec<Value>| match configs.as_slice() {
            [] => Value::Null,
            configs => json!(configs),
        };
        let [metrics, weighted_metrics] = &self.metric_configs;
        json!({
            "optimizer": self.optimizer.config(),
            "loss": self.loss.as_ref().map(Loss::config),
            "loss_weights": self.loss_weight,
            "metrics": list(metrics),
            "weighted_metrics": list(weighted_metrics),
            "run_eagerly": false,
            "steps_per_execution": 1,
            "jit_compile": false,
        })
    }
}

/// Keras' name of a metric in the logs when another one has its name already.
fn unique(name: &str, weighted: bool, metrics: &[Tracked]) -> String {
    let taken = |name: &str| metrics.iter().any(|tracked| tracked.name == name);
    if !taken(name) {
        return name.to_string();
    }
    let base = match weighted {
        true => format!("weighted_{name}"),
        false => name.to_string(),
    };
    let numbered = (1..).map(|n| format!("{base}_{n}"));
    std::iter::once(base.clone())
        .chain(numbered)
        .find(|name| !taken(name))
        .expect("numbers do not end")
}

impl Sequential {
    /// Sets how the model is trained, by Keras' names or with an [`Optimizer`] and a [`Loss`] of their
    /// own: `model.compile("adam", "mse", ["mae"])`. A model may be compiled again; the optimizer then
    /// starts anew, and nothing of the former settings stays. (Keras keeps the former loss and metrics where
    /// the later call has none, but does not save them.)
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for a name that Keras does not know, with the nearest ones that it does.
    pub fn compile(
        &mut self,
        optimizer: impl TryInto<Optimizer, Error: Into<Error>>,
        loss: impl TryInto<Loss, Error: Into<Error>>,
        metrics: impl IntoIterator<Item: AsRef<str>>,
    ) -> Result<()> {
        self.compile_with(CompileOptions::of(optimizer, loss, metrics)?)
    }

    /// [`Sequential::compile`] with all of Keras' arguments.
    ///
    /// # Errors
    ///
    /// A metric that does not exist.
    pub fn compile_with(&mut self, options: CompileOptions) -> Result<()> {
        for config in options.metrics.iter().chain(&options.weighted_metrics) {
            // Only the name and the options are judged here; widths are known with the data.
            if let Err(error @ (Error::Value(_) | Error::Unsupported(_))) =
                Metric::from_config(config, 1, 1)
            {
                return Err(error);
            }
        }
        self.compiled = Some(Compiled::new(options));
        Ok(())
    }

    /// Compiles by Keras' serialized form; see [`CompileOptions::from_config`].
    ///
    /// # Errors
    ///
    /// As [`CompileOptions::from_config`].
    pub fn compile_from_config(&mut self, config: &Value) -> Result<()> {
        self.compile_with(CompileOptions::from_config(config)?)
    }

    /// Keras 3's `compile_config`, with the learning rate as it is now.
    pub fn compile_config(&self) -> Option<Value> {
        self.compiled.as_ref().map(Compiled::config)
    }

    /// The optimizer, once compiled.
    pub fn optimizer(&self) -> Option<&Optimizer> {
        self.compiled.as_ref().map(|compiled| &compiled.optimizer)
    }

    /// The optimizer, once compiled.
    pub fn optimizer_mut(&mut self) -> Option<&mut Optimizer> {
        self.compiled
            .as_mut()
            .map(|compiled| &mut compiled.optimizer)
    }

    /// The loss, once compiled with one.
    pub fn loss(&self) -> Option<&Loss> {
        self.compiled.as_ref()?.loss.as_ref()
    }

    /// Whether a value of the logs, such as `val_accuracy`, is the better the greater it is: a loss is not,
    /// metrics say it themselves. None for what is no metric of the model.
    pub fn improves_upwards(&self, name: &str) -> Option<bool> {
        match metric_name(name) {
            "loss" => Some(false),
            metric => self.compiled.as_ref()?.is_upwards(metric),
        }
    }

    /// Makes the optimizer's variables, as `optimizer.build(model.trainable_variables)`.
    pub fn build_optimizer(&mut self) {
        self.refresh_trainable();
        if let Some(compiled) = &mut self.compiled {
            compiled.optimizer.build(&self.variables);
        }
    }

    pub(crate) fn compiled(&self) -> Result<&Compiled> {
        self.compiled.as_ref().ok_or_else(not_compiled)
    }

    pub(crate) fn compiled_mut(&mut self) -> Result<&mut Compiled> {
        self.compiled.as_mut().ok_or_else(not_compiled)
    }
}

fn not_compiled() -> Error {
    Error::value("the model is not compiled, expected an optimizer and a loss; call compile first")
}
