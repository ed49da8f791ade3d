//! Learning rates that depend on the step.

use serde_json::{Value, json};

use crate::keras::{Object, check_keys, folded, number, serialized, unknown};
use crate::{Error, Result};

/// A learning-rate schedule, with Keras' names and defaults. Steps are counted from 0: the first
/// update has the rate of step 0.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// `initial · decay_rate^(step / decay_steps)`; whole exponents only if `staircase` (false).
    ExponentialDecay {
        /// Rate of step 0.
        initial_learning_rate: f64,
        /// Steps for one factor of `decay_rate`, above 0.
        decay_steps: f64,
        /// Factor of the rate.
        decay_rate: f64,
        /// Changes only every `decay_steps`; false by default.
        staircase: bool,
    },
    /// `values[i]` up to and including step `boundaries[i]`, the last value after that. As in Keras,
    /// fractions of boundaries do not count.
    PiecewiseConstantDecay {
        /// The last step of each value but the last, in rising order.
        boundaries: Vec<f64>,
        /// Rates, one more than boundaries.
        values: Vec<f64>,
    },
    /// From initial to `end_learning_rate` (1e-4) by `(1 - step / decay_steps)^power` (1); with
    /// `cycle` (false) the decay is stretched whenever its end is reached.
    PolynomialDecay {
        /// Rate of step 0.
        initial_learning_rate: f64,
        /// Steps to the end of the decay, above 0.
        decay_steps: f64,
        /// Rate at the end; 1e-4 by default.
        end_learning_rate: f64,
        /// Exponent; 1 by default, a line.
        power: f64,
        /// Stretches the decay whenever its end is reached; false by default.
        cycle: bool,
    },
    /// `initial / (1 + decay_rate · step / decay_steps)`; whole quotients only if `staircase`.
    InverseTimeDecay {
        /// Rate of step 0.
        initial_learning_rate: f64,
        /// Steps for one `decay_rate` more in the divisor, above 0.
        decay_steps: f64,
        /// What the divisor grows by.
        decay_rate: f64,
        /// Changes only every `decay_steps`; false by default.
        staircase: bool,
    },
    /// Half a cosine from the initial rate, or from `warmup_target` after a linear warm-up of
    /// `warmup_steps`, to `alpha` (0) times it.
    CosineDecay {
        /// Rate of step 0.
        initial_learning_rate: f64,
        /// Steps of the cosine, above 0; those of the warm-up come before.
        decay_steps: f64,
        /// Last rate, as a share of the first of the cosine; 0 by default.
        alpha: f64,
        /// Rate at the end of the warm-up; none by default, no warm-up.
        warmup_target: Option<f64>,
        /// Steps of the warm-up; 0 by default.
        warmup_steps: f64,
    },
    /// Half cosines, each `t_mul` (2) times as long and `m_mul` (1) times as high as the last.
    CosineDecayRestarts {
        /// Rate of step 0.
        initial_learning_rate: f64,
        /// Steps of the first cosine, above 0.
        first_decay_steps: f64,
        /// Length of a cosine as a multiple of the one before; 2 by default.
        t_mul: f64,
        /// Height of a cosine as a multiple of the one before; 1 by default.
        m_mul: f64,
        /// Least rate, as a share of the initial one; 0 by default.
        alpha: f64,
    },
}

impl Schedule {
    /// Keras' serialized form.
    ///
    /// # Errors
    ///
    /// An unknown class, a missing or wrong entry, steps that are not above 0.
    pub fn from_config(value: &Value) -> Result<Self> {
        let schedule = Self::read(value)?;
        if let Some(object) = Object::parse_builtin(value, "schedule")? {
            let own = schedule.config();
            let (class, config) = (object.class_name, object.config);
            check_keys("schedule", class, config, &own["config"], &["name"])?;
        }
        Ok(schedule)
    }

    fn read(value: &Value) -> Result<Self> {
        let object = Object::parse_builtin(value, "schedule")?
            .ok_or_else(|| Error::value("schedule is null, expected an object"))?;
        let required = |key: &str| {
            object.number(key)?.ok_or_else(|| {
                Error::value(format!(
                    "schedule {} has no {key}, expected a number",
                    object.class_name
                ))
            })
        };
        let steps = |key: &str| match required(key)? {
            steps if steps > 0.0 => Ok(steps),
            steps => Err(Error::value(format!(
                "{key} of schedule {} is {steps}, expected a number above 0",
                object.class_name
            ))),
        };
        // Keras computes in the type of the rate: with the integer 1, every rate is whole.
        let initial = || {
            object.float_or("initial_learning_rate", 0.0)?;
            required("initial_learning_rate")
        };
        Ok(match folded(object.class_name).as_str() {
            "exponentialdecay" => Self::ExponentialDecay {
                initial_learning_rate: initial()?,
                decay_steps: steps("decay_steps")?,
                decay_rate: required("decay_rate")?,
                staircase: object.flag_or("staircase", false)?,
            },
            "piecewiseconstantdecay" => piecewise(&object)?,
            "polynomialdecay" => Self::PolynomialDecay {
                initial_learning_rate: initial()?,
                decay_steps: steps("decay_steps")?,
                end_learning_rate: object.number_or("end_learning_rate", 1e-4)?,
                power: object.number_or("power", 1.0)?,
                cycle: object.flag_or("cycle", false)?,
            },
            "inversetimedecay" => Self::InverseTimeDecay {
                initial_learning_rate: initial()?,
                decay_steps: steps("decay_steps")?,
                decay_rate: required("decay_rate")?,
                staircase: object.flag_or("staircase", false)?,
            },
            "cosinedecay" => Self::CosineDecay {
                initial_learning_rate: initial()?,
                decay_steps: steps("decay_steps")?,
                alpha: object.number_or("alpha", 0.0)?,
                warmup_target: object.number("warmup_target")?,
                warmup_steps: object.number_or("warmup_steps", 0.0)?,
            },
            "cosinedecayrestarts" => Self::CosineDecayRestarts {
                initial_learning_rate: initial()?,
                first_decay_steps: steps("first_decay_steps")?,
                t_mul: object.number_or("t_mul", 2.0)?,
                m_mul: object.number_or("m_mul", 1.0)?,
                alpha: object.number_or("alpha", 0.0)?,
            },
            _ => {
                return Err(unknown(
                    "schedule",
                    object.class_name,
                    &[
                        "ExponentialDecay",
                        "PiecewiseConstantDecay",
                        "PolynomialDecay",
                        "InverseTimeDecay",
                        "CosineDecay",
                        "CosineDecayRestarts",
                    ],
                ));
            }
        })
    }

    /// Keras 3's serialized form.
    pub fn config(&self) -> Value {
        let (name, config) = match self {
            Self::ExponentialDecay {
                initial_learning_rate,
                decay_steps,
                decay_rate,
                staircase,
            } => (
                "ExponentialDecay",
                json!({
                    "initial_learning_rate": initial_learning_rate,
                    "decay_steps": count(*decay_steps),
                    "decay_rate": decay_rate,
                    "staircase": staircase,
                    "name": "ExponentialDecay",
                }),
            ),
            Self::PiecewiseConstantDecay { boundaries, values } => (
                "PiecewiseConstantDecay",
                json!({
                    "boundaries": boundaries.iter().map(|&b| count(b)).collect::<Vec<_>>(),
                    "values": values,
                    "name": "PiecewiseConstant",
                }),
            ),
            Self::PolynomialDecay {
                initial_learning_rate,
                decay_steps,
                end_learning_rate,
                power,
                cycle,
            } => (
                "PolynomialDecay",
                json!({
                    "initial_learning_rate": initial_learning_rate,
                    "decay_steps": count(*decay_steps),
                    "end_learning_rate": end_learning_rate,
                    "power": power,
                    "cycle": cycle,
                    "name": "PolynomialDecay",
                }),
            ),
            Self::InverseTimeDecay {
                initial_learning_rate,
                decay_steps,
                decay_rate,
                staircase,
            } => (
                "InverseTimeDecay",
                json!({
                    "initial_learning_rate": initial_learning_rate,
                    "decay_steps": count(*decay_steps),
                    "decay_rate": decay_rate,
                    "staircase": staircase,
                    "name": "InverseTimeDecay",
                }),
            ),
            Self::CosineDecay {
                initial_learning_rate,
                decay_steps,
                alpha,
                warmup_target,
                warmup_steps,
            } => (
                "CosineDecay",
                json!({
                    "initial_learning_rate": initial_learning_rate,
                    "decay_steps": count(*decay_steps),
                    "alpha": alpha,
                    "name": "CosineDecay",
                    "warmup_target": warmup_target,
                    "warmup_steps": count(*warmup_steps),
                }),
            ),
            Self::CosineDecayRestarts {
                initial_learning_rate,
                first_decay_steps,
                t_mul,
                m_mul,
                alpha,
            } => (
                "CosineDecayRestarts",
                json!({
                    "initial_learning_rate": initial_learning_rate,
                    "first_decay_steps": count(*first_decay_steps),
                    "t_mul": t_mul,
                    "m_mul": m_mul,
                    "alpha": alpha,
                    "name": "SGDRDecay",
                }),
            ),
        };
        serialized("keras.optimizers.schedules", name, config)
    }

    /// The learning rate of a step, in Keras' float32 arithmetic.
    pub fn at(&self, step: u64) -> f32 {
        let now = step as f32; // as Keras casts its counter
        match *self {
            Self::ExponentialDecay {
                initial_learning_rate,
                decay_steps,
                decay_rate,
                staircase,
            } => {
                let p = quotient(now, decay_steps as f32, staircase);
                initial_learning_rate as f32 * (decay_rate as f32).powf(p)
            }
            Self::PiecewiseConstantDecay {
                ref boundaries,
                ref values,
            } => {
                // Keras casts boundaries to the integer type of the step.
                let step = i64::try_from(step).unwrap_or(i64::MAX);
                let passed = boundaries.iter().take_while(|&&b| step > b as i64).count();
                values.get(passed).map_or(0.0, |&value| value as f32)
            }
            Self::PolynomialDecay {
                initial_learning_rate,
                decay_steps,
                end_learning_rate,
                power,
                cycle,
            } => {
                let (mut now, mut steps) = (now, decay_steps as f32);
                if cycle {
                    steps *= if now == 0.0 {
                        1.0
                    } else {
                        (now / steps).ceil()
                    };
                } else {
                    now = now.min(steps);
                }
                let end = end_learning_rate as f32;
                (initial_learning_rate as f32 - end) * (1.0 - now / steps).powf(power as f32) + end
            }
            Self::InverseTimeDecay {
                initial_learning_rate,
                decay_steps,
                decay_rate,
                staircase,
            } => {
                let p = quotient(now, decay_steps as f32, staircase);
                initial_learning_rate as f32 / (1.0 + decay_rate as f32 * p)
            }
            Self::CosineDecay {
                initial_learning_rate,
                decay_steps,
                alpha,
                warmup_target,
                warmup_steps,
            } => {
                let (initial, steps) = (initial_learning_rate as f32, decay_steps as f32);
                let Some(target) = warmup_target.map(|target| target as f32) else {
                    return cosine(now.min(steps) / steps, alpha) * initial;
                };
                let warmup = warmup_steps as f32;
                let now = now.min(steps + warmup);
                if now < warmup {
                    (target - initial) * (now / warmup) + initial
                } else {
                    target * cosine((now - warmup) / steps, alpha)
                }
            }
            Self::CosineDecayRestarts {
                initial_learning_rate,
                first_decay_steps,
                t_mul,
                m_mul,
                alpha,
            } => {
                let (alpha, t_mul) = (alpha as f32, t_mul as f32);
                let mut completed = now / first_decay_steps as f32;
                let restart;
                if t_mul == 1.0 {
                    restart = completed.floor();
                    completed -= restart;
                } else {
                    restart = ((1.0 - completed * (1.0 - t_mul)).ln() / t_mul.ln()).floor();
                    let longer = t_mul.powf(restart);
                    let before = (1.0 - longer) / (1.0 - t_mul);
                    completed = (completed - before) / longer;
                }
                let height = (m_mul as f32).powf(restart);
                let cosine = 0.5 * height * (1.0 + (std::f32::consts::PI * completed).cos());
                initial_learning_rate as f32 * ((1.0 - alpha) * cosine + alpha)
            }
        }
    }
}

fn quotient(now: f32, steps: f32, staircase: bool) -> f32 {
    let p = now / steps;
    if staircase { p.floor() } else { p }
}

fn cosine(completed: f32, alpha: f64) -> f32 {
    let cosine = 0.5 * (1.0 + (std::f32::consts::PI * completed).cos());
    (1.0 - alpha) as f32 * cosine + alpha as f32
}

/// Steps as a whole number where they are one, as Keras was given them.
fn count(steps: f64) -> Value {
    if steps.fract() == 0.0 && steps.abs() < 9e15 {
        json!(steps as i64) // exact: whole and below 2^53
    } else {
        json!(steps)
    }
}

fn piecewise(object: &Object) -> Result<Schedule> {
    let list = |key: &str| -> Result<Vec<f64>> {
        object
            .get(key)
            .and_then(Value::as_array)
            .and_then(|list| list.iter().map(number).collect())
            .ok_or_else(|| {
                Error::value(format!(
                    "schedule PiecewiseConstantDecay has no {key}, expected a list of numbers"
                ))
            })
    };
    let (boundaries, values) = (list("boundaries")?, list("values")?);
    if boundaries.len() + 1 != values.len() {
        return Err(Error::value(format!(
            "schedule PiecewiseConstantDecay has {} boundaries and {} values, expected one value more than boundaries",
            boundaries.len(),
            values.len()
        )));
    }
    // Keras adds up what every two boundaries hold between them.
    if boundaries.windows(2).any(|pair| pair[0] > pair[1]) {
        return Err(Error::value(format!(
            "boundaries of schedule PiecewiseConstantDecay are {boundaries:?}, expected numbers that rise"
        )));
    }
    let given = object.get("values").and_then(Value::as_array);
    let mut given = given.into_iter().flatten();
    if given.next().is_some_and(|first| !first.is_f64()) && given.any(Value::is_f64) {
        return Err(Error::value(
            "values of schedule PiecewiseConstantDecay begin with a whole number and have others after it, expected all of one kind; write the first one with a point, such as 1.0",
        ));
    }
    Ok(Schedule::PiecewiseConstantDecay { boundaries, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_belongs_to_the_value_before_it() {
        let schedule = Schedule::PiecewiseConstantDecay {
            boundaries: vec![2.5, 5.0],
            values: vec![1.0, 0.5, 0.25],
        };
        let rates: Vec<f32> = (0..7).map(|step| schedule.at(step)).collect();
        assert_eq!(rates, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]);
        assert_eq!(schedule.config()["config"]["boundaries"], json!([2.5, 5]));
        assert_eq!(
            Schedule::from_config(&schedule.config()).expect("its own config"),
            schedule
        );
    }

    #[test]
    fn warm_up_ends_at_the_target() {
        let schedule = Schedule::CosineDecay {
            initial_learning_rate: 0.0,
            decay_steps: 4.0,
            alpha: 0.0,
            warmup_target: Some(1.0),
            warmup_steps: 2.0,
        };
        // Linear to 1 in two steps, then half a cosine over four, then its end.
        for (step, expected) in [(0, 0.0), (1, 0.5), (2, 1.0), (4, 0.5), (6, 0.0), (99, 0.0)] {
            assert!((schedule.at(step) - expected).abs() < 1e-7, "{step}");
        }
    }

    #[test]
    fn steps_must_be_above_zero() {
        let config = json!({"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.1, "decay_steps": 0}});
        assert_eq!(
            Schedule::from_config(&config)
                .expect_err("no steps")
                .to_string(),
            "decay_steps of schedule CosineDecay is 0, expected a number above 0"
        );
    }
}
