//! Optimizers from and to Keras' serialized forms.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::{Algorithm, LearningRate, Muon, Optimizer, OptimizerOptions, Schedule};
use crate::keras::{Object, folded, serialized, unknown};
use crate::{Error, Result};

const NAMES: [&str; 14] = [
    "sgd",
    "adam",
    "adamw",
    "rmsprop",
    "adagrad",
    "adadelta",
    "adamax",
    "nadam",
    "ftrl",
    "lion",
    "lamb",
    "adafactor",
    "schedulefreeadamw",
    "muon",
];

/// Entries that every optimizer has; the last four are of Keras 2 and mean nothing here.
const COMMON: [&str; 16] = [
    "name",
    "learning_rate",
    "lr",
    "decay",
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
    "jit_compile",
    "is_legacy_optimizer",
    "use_locking",
];

impl Optimizer {
    /// A name (any case) with Keras' defaults, or Keras' serialized form, of Keras 2 or 3.
    ///
    /// Keras 2's `decay` becomes the schedule that Keras 2 meant by it.
    ///
    /// # Errors
    ///
    /// An unknown name or entry, an entry of the wrong type or out of range.
    pub fn from_config(value: &Value) -> Result<Self> {
        let object = Object::parse_builtin(value, "optimizer")?
            .ok_or_else(|| Error::value("optimizer is null, expected a name or an object"))?;
        let algorithm = algorithm(&object)?;
        check_keys(&object, &algorithm)?;
        let options = options(&object, &algorithm)?;
        let optimizer = Self::with_options(algorithm, options);
        optimizer.check()?;
        Ok(optimizer)
    }

    /// Keras 3's serialized form.
    pub fn config(&self) -> Value {
        let options = &self.options;
        let mut config = Map::new();
        let mut put = |key: &str, value: Value| {
            config.insert(key.into(), value);
        };
        put("name", json!(options.name));
        put(
            "learning_rate",
            match &options.learning_rate {
                LearningRate::Constant(rate) => json!(f64::from(*rate)),
                LearningRate::Schedule(schedule) => schedule.config(),
            },
        );
        put("weight_decay", json!(options.weight_decay));
        put("clipnorm", json!(options.clipnorm));
        put("global_clipnorm", json!(options.global_clipnorm));
        put("clipvalue", json!(options.clipvalue));
        put("use_ema", json!(options.use_ema));
        put("ema_momentum", json!(options.ema_momentum));
        put(
            "ema_overwrite_frequency",
            json!(options.ema_overwrite_frequency),
        );
        put("loss_scale_factor", json!(options.loss_scale_factor));
        put(
            "gradient_accumulation_steps",
            json!(options.gradient_accumulation_steps),
        );
        for (key, value) in parameters(&self.algorithm) {
            put(key, value);
        }
        serialized(
            "keras.optimizers",
            self.algorithm.class_name(),
            Value::Object(config),
        )
    }

    /// Whether the options have a meaning, together and alone.
    ///
    /// # Errors
    ///
    /// As [`Optimizer::from_config`].
    pub fn check(&self) -> Result<()> {
        check_algorithm(&self.algorithm)?;
        let options = &self.options;
        let clips = [
            ("clipnorm", options.clipnorm),
            ("clipvalue", options.clipvalue),
            ("global_clipnorm", options.global_clipnorm),
        ];
        let set: Vec<&str> = clips
            .iter()
            .filter(|(_, value)| value.is_some())
            .map(|&(key, _)| key)
            .collect();
        if set.len() > 1 {
            return Err(Error::value(format!(
                "optimizer has {}, expected at most one kind of clipping",
                set.join(" and ")
            )));
        }
        if let Some(steps @ ..2) = options.gradient_accumulation_steps {
            return Err(Error::value(format!(
                "gradient_accumulation_steps is {steps}, expected a whole number from 2 or null"
            )));
        }
        if options.use_ema {
            in_range("ema_momentum", options.ema_momentum, 0.0, 1.0)?;
            if options.ema_overwrite_frequency == Some(0) {
                return Err(Error::value(
                    "ema_overwrite_frequency is 0, expected a whole number from 1 or null",
                ));
            }
        }
        if matches!(self.algorithm, Algorithm::AdamW { .. }) && options.weight_decay.is_none() {
            return Err(Error::value(
                "weight_decay of optimizer AdamW is null, expected a number; use Adam to have none",
            ));
        }
        Ok(())
    }
}

impl TryFrom<&str> for Optimizer {
    type Error = Error;

    fn try_from(name: &str) -> Result<Self> {
        name.parse()
    }
}

impl FromStr for Optimizer {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::from_config(&Value::from(name))
    }
}

fn algorithm(object: &Object) -> Result<Algorithm> {
    let number = |key: &str, default: f64| object.number_or(key, default);
    let beta_1 = || number("beta_1", 0.9);
    let epsilon = || number("epsilon", 1e-7);
    Ok(match folded(object.class_name).as_str() {
        "sgd" => Algorithm::Sgd {
            momentum: number("momentum", 0.0)?,
            nesterov: object.flag_or("nesterov", false)?,
        },
        "adam" => Algorithm::Adam {
            beta_1: beta_1()?,
            beta_2: number("beta_2", 0.999)?,
            epsilon: epsilon()?,
            amsgrad: object.flag_or("amsgrad", false)?,
        },
        "adamw" => Algorithm::AdamW {
            beta_1: beta_1()?,
            beta_2: number("beta_2", 0.999)?,
            epsilon: epsilon()?,
            amsgrad: object.flag_or("amsgrad", false)?,
        },
        "rmsprop" => Algorithm::RMSprop {
            rho: number("rho", 0.9)?,
            momentum: number("momentum", 0.0)?,
            epsilon: epsilon()?,
            centered: object.flag_or("centered", false)?,
        },
        "adagrad" => Algorithm::Adagrad {
            initial_accumulator_value: number("initial_accumulator_value", 0.1)?,
            epsilon: epsilon()?,
        },
        "adadelta" => Algorithm::Adadelta {
            rho: number("rho", 0.95)?,
            epsilon: epsilon()?,
        },
        "adamax" => Algorithm::Adamax {
            beta_1: beta_1()?,
            beta_2: number("beta_2", 0.999)?,
            epsilon: epsilon()?,
        },
        "nadam" => Algorithm::Nadam {
            beta_1: beta_1()?,
            beta_2: number("beta_2", 0.999)?,
            epsilon: epsilon()?,
        },
        "ftrl" => Algorithm::Ftrl {
            learning_rate_power: number("learning_rate_power", -0.5)?,
            initial_accumulator_value: number("initial_accumulator_value", 0.1)?,
            l1_regularization_strength: number("l1_regularization_strength", 0.0)?,
            l2_regularization_strength: number("l2_regularization_strength", 0.0)?,
            l2_shrinkage_regularization_strength: number(
                "l2_shrinkage_regularization_strength",
                0.0,
            )?,
            beta: number("beta", 0.0)?,
        },
        "lion" => Algorithm::Lion {
            beta_1: beta_1()?,
            beta_2: number("beta_2", 0.99)?,
        },
        "lamb" => Algorithm::Lamb {
            beta_1: beta_1()?,
            beta_2: number("beta_2", 0.999)?,
            epsilon: epsilon()?,
        },
        "adafactor" => Algorithm::Adafactor {
            beta_2_decay: number("beta_2_decay", -0.8)?,
            epsilon_1: number("epsilon_1", 1e-30)?,
            epsilon_2: number("epsilon_2", 1e-3)?,
            clip_threshold: number("clip_threshold", 1.0)?,
            relative_step: object.flag_or("relative_step", true)?,
        },
        "lossscaleoptimizer" | "lossscaleoptimizerv3" => {
            return Err(Error::unsupported(
                "optimizer LossScaleOptimizer is for half precision, which thumbnet does not train in; use its inner_optimizer",
            ));
        }
        "schedulefreeadamw" => Algorithm::ScheduleFreeAdamW {
            beta_1: beta_1()?,
            beta_2: number("beta_2", 0.999)?,
            epsilon: number("epsilon", 1e-8)?,
            warmup_steps: object.whole_or("warmup_steps", 0)?,
        },
        "muon" => Algorithm::Muon(muon(object)?),
        "multioptimizer" | "optimizermap" => {
            return Err(Error::unsupported(format!(
                "thumbnet has no optimizer {}, expected one of {}",
                object.class_name,
                NAMES.join(", ")
            )));
        }
        _ => return Err(unknown("optimizer", object.class_name, &NAMES)),
    })
}

fn muon(object: &Object) -> Result<Muon> {
    let defaults = Muon::default();
    let number = |key: &str, default: f64| object.number_or(key, default);
    let or_null = |key: &str, default: Option<f64>| match object.config.and_then(|c| c.get(key)) {
        None => Ok(default),
        Some(_) => object.number(key),
    };
    let exclude_layers = match object.get("exclude_layers") {
        None => Vec::new(),
        Some(list) => list
            .as_array()
            .and_then(|list| list.iter().map(|l| Some(l.as_str()?.to_owned())).collect())
            .ok_or_else(|| {
                Error::value(format!(
                    "exclude_layers of optimizer Muon is {list}, expected a list of texts"
                ))
            })?,
    };
    Ok(Muon {
        adam_beta_1: number("adam_beta_1", defaults.adam_beta_1)?,
        adam_beta_2: number("adam_beta_2", defaults.adam_beta_2)?,
        epsilon: number("epsilon", defaults.epsilon)?,
        adam_weight_decay: or_null("adam_weight_decay", defaults.adam_weight_decay)?,
        adam_lr_ratio: number("adam_lr_ratio", defaults.adam_lr_ratio)?,
        exclude_layers,
        exclude_embeddings: object.flag_or("exclude_embeddings", true)?,
        muon_a: number("muon_a", defaults.muon_a)?,
        muon_b: number("muon_b", defaults.muon_b)?,
        muon_c: number("muon_c", defaults.muon_c)?,
        momentum: number("momentum", defaults.momentum)?,
        ns_steps: object.whole_or("ns_steps", defaults.ns_steps)?,
        nesterov: object.flag_or("nesterov", true)?,
        rms_rate: or_null("rms_rate", defaults.rms_rate)?,
    })
}

/// The algorithm's own entries, in Keras' order.
fn parameters(algorithm: &Algorithm) -> Vec<(&'static str, Value)> {
    match *algorithm {
        Algorithm::ScheduleFreeAdamW {
            beta_1,
            beta_2,
            epsilon,
            warmup_steps,
        } => vec![
            ("beta_1", json!(beta_1)),
            ("beta_2", json!(beta_2)),
            ("epsilon", json!(epsilon)),
            ("warmup_steps", json!(warmup_steps)),
        ],
        Algorithm::Muon(ref muon) => vec![
            ("adam_beta_1", json!(muon.adam_beta_1)),
            ("adam_beta_2", json!(muon.adam_beta_2)),
            ("epsilon", json!(muon.epsilon)),
            ("exclude_layers", json!(muon.exclude_layers)),
            ("muon_a", json!(muon.muon_a)),
            ("muon_b", json!(muon.muon_b)),
            ("muon_c", json!(muon.muon_c)),
            (
                "adam_lr_ratio",
                // Keras' default is the integer.
                if muon.adam_lr_ratio == 1.0 {
                    json!(1)
                } else {
                    json!(muon.adam_lr_ratio)
                },
            ),
            ("momentum", json!(muon.momentum)),
            ("ns_steps", json!(muon.ns_steps)),
            ("nesterov", json!(muon.nesterov)),
            ("exclude_embeddings", json!(muon.exclude_embeddings)),
            ("adam_weight_decay", json!(muon.adam_weight_decay)),
            ("rms_rate", json!(muon.rms_rate)),
        ],
        Algorithm::Sgd { momentum, nesterov } => {
            vec![("momentum", json!(momentum)), ("nesterov", json!(nesterov))]
        }
        Algorithm::Adam {
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
        }
        | Algorithm::AdamW {
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
        } => vec![
            ("beta_1", json!(beta_1)),
            ("beta_2", json!(beta_2)),
            ("epsilon", json!(epsilon)),
            ("amsgrad", json!(amsgrad)),
        ],
        Algorithm::RMSprop {
            rho,
            momentum,
            epsilon,
            centered,
        } => vec![
            ("rho", json!(rho)),
            ("momentum", json!(momentum)),
            ("epsilon", json!(epsilon)),
            ("centered", json!(centered)),
        ],
        Algorithm::Adagrad {
            initial_accumulator_value,
            epsilon,
        } => vec![
            (
                "initial_accumulator_value",
                json!(initial_accumulator_value),
            ),
            ("epsilon", json!(epsilon)),
        ],
        Algorithm::Adadelta { rho, epsilon } => {
            vec![("rho", json!(rho)), ("epsilon", json!(epsilon))]
        }
        Algorithm::Adamax {
            beta_1,
            beta_2,
            epsilon,
        }
        | Algorithm::Nadam {
            beta_1,
            beta_2,
            epsilon,
        }
        | Algorithm::Lamb {
            beta_1,
            beta_2,
            epsilon,
        } => vec![
            ("beta_1", json!(beta_1)),
            ("beta_2", json!(beta_2)),
            ("epsilon", json!(epsilon)),
        ],
        Algorithm::Ftrl {
            learning_rate_power,
            initial_accumulator_value,
            l1_regularization_strength,
            l2_regularization_strength,
            l2_shrinkage_regularization_strength,
            beta,
        } => vec![
            ("learning_rate_power", json!(learning_rate_power)),
            (
                "initial_accumulator_value",
                json!(initial_accumulator_value),
            ),
            (
                "l1_regularization_strength",
                json!(l1_regularization_strength),
            ),
            (
                "l2_regularization_strength",
                json!(l2_regularization_strength),
            ),
            (
                "l2_shrinkage_regularization_strength",
                json!(l2_shrinkage_regularization_strength),
            ),
            ("beta", json!(beta)),
        ],
        Algorithm::Lion { beta_1, beta_2 } => {
            vec![("beta_1", json!(beta_1)), ("beta_2", json!(beta_2))]
        }
        Algorithm::Adafactor {
            beta_2_decay,
            epsilon_1,
            epsilon_2,
            clip_threshold,
            relative_step,
        } => vec![
            ("beta_2_decay", json!(beta_2_decay)),
            ("epsilon_1", json!(epsilon_1)),
            ("epsilon_2", json!(epsilon_2)),
            ("clip_threshold", json!(clip_threshold)),
            ("relative_step", json!(relative_step)),
        ],
    }
}

fn check_keys(object: &Object, algorithm: &Algorithm) -> Result<()> {
    let own = parameters(algorithm);
    let known = |key: &str| COMMON.contains(&key) || own.iter().any(|&(own, _)| own == key);
    let unknown = object
        .config
        .and_then(|config| config.keys().find(|key| !known(key)));
    match unknown {
        None => Ok(()),
        Some(key) => {
            let own: Vec<&str> = own.iter().map(|&(key, _)| key).collect();
            Err(Error::value(format!(
                "optimizer {} has no option {key}, expected one of {}, {}",
                object.class_name,
                own.join(", "),
                COMMON[4..13].join(", ")
            )))
        }
    }
}

fn check_algorithm(algorithm: &Algorithm) -> Result<()> {
    match *algorithm {
        Algorithm::Sgd { momentum, .. } | Algorithm::RMSprop { momentum, .. } => {
            in_range("momentum", momentum, 0.0, 1.0)
        }
        Algorithm::Lion { beta_1, .. } if beta_1 <= 0.0 || beta_1 > 1.0 => Err(Error::value(
            format!("beta_1 of optimizer Lion is {beta_1}, expected a number above 0 and up to 1"),
        )),
        Algorithm::Ftrl {
            learning_rate_power,
            initial_accumulator_value,
            l1_regularization_strength,
            l2_regularization_strength,
            l2_shrinkage_regularization_strength,
            ..
        } => {
            let inf = f64::INFINITY;
            in_range("learning_rate_power", learning_rate_power, -inf, 0.0)?;
            for (key, value) in [
                ("initial_accumulator_value", initial_accumulator_value),
                ("l1_regularization_strength", l1_regularization_strength),
                ("l2_regularization_strength", l2_regularization_strength),
                (
                    "l2_shrinkage_regularization_strength",
                    l2_shrinkage_regularization_strength,
                ),
            ] {
                in_range(key, value, 0.0, inf)?;
            }
            Ok(())
        }
        Algorithm::Lion { .. }
        | Algorithm::Adam { .. }
        | Algorithm::AdamW { .. }
        | Algorithm::Adagrad { .. }
        | Algorithm::Adadelta { .. }
        | Algorithm::Adamax { .. }
        | Algorithm::Nadam { .. }
        | Algorithm::Lamb { .. }
        | Algorithm::Adafactor { .. }
        | Algorithm::ScheduleFreeAdamW { .. }
        | Algorithm::Muon(_) => Ok(()),
    }
}

fn in_range(key: &str, value: f64, low: f64, high: f64) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let expected = match (low.is_finite(), high.is_finite()) {
        (true, true) => format!("a number from {low} to {high}"),
        (true, false) => format!("a number from {low}"),
        _ => format!("a number up to {high}"),
    };
    Err(Error::value(format!(
        "{key} is {value}, expected {expected}"
    )))
}

fn options(object: &Object, algorithm: &Algorithm) -> Result<OptimizerOptions> {
    let defaults = OptimizerOptions::for_algorithm(algorithm);
    // A decay that is written as null counts (and is refused), a missing one is the default.
    let weight_decay = match object.config.and_then(|config| config.get("weight_decay")) {
        None => defaults.weight_decay,
        Some(_) => object.number("weight_decay")?,
    };
    let use_ema = object.flag_or("use_ema", false)?;
    if use_ema {
        object.not_null("ema_momentum", "a number from 0 to 1")?;
    }
    Ok(OptimizerOptions {
        learning_rate: learning_rate(object, defaults.learning_rate)?,
        weight_decay,
        clipnorm: object.number("clipnorm")?,
        clipvalue: object.number("clipvalue")?,
        global_clipnorm: object.number("global_clipnorm")?,
        use_ema,
        ema_momentum: object
            .number("ema_momentum")?
            .unwrap_or(defaults.ema_momentum),
        ema_overwrite_frequency: object.integer("ema_overwrite_frequency")?,
        loss_scale_factor: object.number("loss_scale_factor")?,
        gradient_accumulation_steps: object.integer("gradient_accumulation_steps")?,
        name: object.text("name")?.unwrap_or(&defaults.name).to_owned(),
        exclude_from_weight_decay: Vec::new(),
    })
}

fn learning_rate(object: &Object, default: LearningRate) -> Result<LearningRate> {
    object.not_null("learning_rate", "a number or a schedule")?;
    let value = object.get("learning_rate").or_else(|| object.get("lr"));
    let rate = match value {
        None => default,
        Some(schedule @ Value::Object(_)) => {
            return Schedule::from_config(schedule).map(LearningRate::Schedule);
        }
        Some(value) => LearningRate::Constant(crate::keras::number(value).ok_or_else(|| {
            Error::value(format!(
                "learning_rate of optimizer {} is {value}, expected a number or a schedule",
                object.class_name
            ))
        })? as f32),
    };
    match (rate, object.number_or("decay", 0.0)?) {
        (LearningRate::Constant(rate), decay) if decay != 0.0 => {
            Ok(LearningRate::Schedule(Schedule::InverseTimeDecay {
                initial_learning_rate: f64::from(rate),
                decay_steps: 1.0,
                decay_rate: decay,
                staircase: false,
            }))
        }
        (rate, _) => Ok(rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keras_2_forms_are_read() {
        let optimizer = Optimizer::from_config(&json!({
            "class_name": "Custom>SGD",
            "config": {"name": "SGD", "jit_compile": false, "is_legacy_optimizer": false,
                       "lr": 0.5, "momentum": 0.9, "nesterov": true},
        }))
        .expect("Keras 2");
        assert_eq!(optimizer.learning_rate(), 0.5);
        assert_eq!(optimizer.options.name, "SGD");
        assert_eq!(
            optimizer.algorithm,
            Algorithm::Sgd {
                momentum: 0.9,
                nesterov: true
            }
        );
    }

    #[test]
    fn keras_2_decay_is_inverse_time_decay() {
        let config = json!({"class_name": "Adam", "config": {"learning_rate": 1.0, "decay": 0.5}});
        let mut optimizer = Optimizer::from_config(&config).expect("legacy");
        assert_eq!(optimizer.learning_rate(), 1.0);
        assert_eq!(
            optimizer
                .set_learning_rate(0.1)
                .expect_err("a schedule")
                .to_string(),
            "the learning rate follows a schedule, which cannot be set; compile with a number to set it later"
        );
    }

    #[test]
    fn contradictions_and_unknown_options_are_refused() {
        for (config, message) in [
            (
                json!({"class_name": "SGD", "config": {"clipnorm": 1.0, "clipvalue": 1.0}}),
                "optimizer has clipnorm and clipvalue, expected at most one kind of clipping",
            ),
            (
                json!({"class_name": "SGD", "config": {"momentum": 1.5}}),
                "momentum is 1.5, expected a number from 0 to 1",
            ),
            (
                json!({"class_name": "AdamW", "config": {"weight_decay": null}}),
                "weight_decay of optimizer AdamW is null, expected a number; use Adam to have none",
            ),
            (
                json!({"class_name": "SGD", "config": {"gradient_accumulation_steps": 1}}),
                "gradient_accumulation_steps is 1, expected a whole number from 2 or null",
            ),
        ] {
            let error = Optimizer::from_config(&config).expect_err(message);
            assert_eq!(error.to_string(), message);
        }
        let config = json!({"class_name": "SGD", "config": {"beta_1": 0.9}});
        let error = Optimizer::from_config(&config).expect_err("no beta_1");
        assert!(
            error.to_string().starts_with(
                "optimizer SGD has no option beta_1, expected one of momentum, nesterov, "
            ),
            "{error}"
        );
    }
}
