//! The update rules, with Keras' names and defaults.

/// How gradients become updates. Every field's default is that of Keras.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// Gradient descent; momentum 0, nesterov false.
    Sgd {
        /// Share of the last step that is taken again; 0 by default.
        momentum: f64,
        /// Looks one step ahead; false by default.
        nesterov: bool,
    },
    /// Kingma and Ba 2014; 0.9, 0.999, 1e-7, false.
    Adam {
        /// Decay of the mean of gradients; 0.9 by default.
        beta_1: f64,
        /// Decay of the mean of squared gradients; 0.999 by default.
        beta_2: f64,
        /// Added to the root of the mean square; 1e-7 by default.
        epsilon: f64,
        /// Divides by the largest mean square so far; false by default.
        amsgrad: bool,
    },
    /// Adam whose weight decay defaults to 0.004 (Loshchilov and Hutter 2017).
    AdamW {
        /// Decay of the mean of gradients; 0.9 by default.
        beta_1: f64,
        /// Decay of the mean of squared gradients; 0.999 by default.
        beta_2: f64,
        /// Added to the root of the mean square; 1e-7 by default.
        epsilon: f64,
        /// Divides by the largest mean square so far; false by default.
        amsgrad: bool,
    },
    /// Hinton 2012; rho 0.9, momentum 0, epsilon 1e-7 inside the root, centered false.
    RMSprop {
        /// Decay of the mean of squared gradients; 0.9 by default.
        rho: f64,
        /// Share of the last step that is taken again; 0 by default.
        momentum: f64,
        /// Added to the mean square, inside the root; 1e-7 by default.
        epsilon: f64,
        /// Divides by the deviation, not by the root of the mean square; false by default.
        centered: bool,
    },
    /// Duchi et al. 2011; accumulators start at 0.1, epsilon 1e-7 inside the root.
    Adagrad {
        /// First value of the sums of squared gradients; 0.1 by default.
        initial_accumulator_value: f64,
        /// Added to the sum, inside the root; 1e-7 by default.
        epsilon: f64,
    },
    /// Zeiler 2012; rho 0.95, epsilon 1e-7.
    Adadelta {
        /// Decay of both mean squares, of gradients and of steps; 0.95 by default.
        rho: f64,
        /// Added to the mean squares, inside the roots; 1e-7 by default.
        epsilon: f64,
    },
    /// Adam by the infinity norm; 0.9, 0.999, 1e-7.
    Adamax {
        /// Decay of the mean of gradients; 0.9 by default.
        beta_1: f64,
        /// Decay of the largest absolute gradient; 0.999 by default.
        beta_2: f64,
        /// Added to that largest gradient; 1e-7 by default.
        epsilon: f64,
    },
    /// Adam with Nesterov momentum (Dozat 2016); 0.9, 0.999, 1e-7.
    Nadam {
        /// Decay of the mean of gradients; 0.9 by default.
        beta_1: f64,
        /// Decay of the mean of squared gradients; 0.999 by default.
        beta_2: f64,
        /// Added to the root of the mean square; 1e-7 by default.
        epsilon: f64,
    },
    /// Follow the regularized leader (McMahan et al. 2013); -0.5, 0.1 and zeros.
    Ftrl {
        /// Exponent of the sum of squared gradients in the rate, at most 0; -0.5 by default.
        learning_rate_power: f64,
        /// First value of the sums of squared gradients; 0.1 by default.
        initial_accumulator_value: f64,
        /// Penalty on absolute weights; 0 by default.
        l1_regularization_strength: f64,
        /// Penalty on squared weights; 0 by default.
        l2_regularization_strength: f64,
        /// Penalty on squared weights that acts through the gradient; 0 by default.
        l2_shrinkage_regularization_strength: f64,
        /// Adds `beta / (2 · learning rate)` to the penalty on squared weights; 0 by default.
        beta: f64,
    },
    /// The sign of a momentum (Chen et al. 2023); 0.9, 0.99.
    Lion {
        /// Share of the momentum in the step, the rest is the gradient; 0.9 by default.
        beta_1: f64,
        /// Decay of the momentum; 0.99 by default.
        beta_2: f64,
    },
    /// Adam scaled by the norm of each variable (You et al. 2019); 0.9, 0.999, 1e-7.
    Lamb {
        /// Decay of the mean of gradients; 0.9 by default.
        beta_1: f64,
        /// Decay of the mean of squared gradients; 0.999 by default.
        beta_2: f64,
        /// Added to the root of the mean square; 1e-7 by default.
        epsilon: f64,
    },
    /// Factored second moments (Shazeer and Stern 2018); -0.8, 1e-30, 1e-3, 1, true.
    Adafactor {
        /// Exponent d in `1 - stepᵈ`, the decay of the mean of squared gradients; -0.8 by default.
        beta_2_decay: f64,
        /// Added to squared gradients; 1e-30 by default.
        epsilon_1: f64,
        /// Steps scale with the weights' root mean square, but at least this; 1e-3 by default.
        epsilon_2: f64,
        /// Largest root mean square of a step before scaling; 1 by default.
        clip_threshold: f64,
        /// Bounds the learning rate by `1 / √step`, which changes nothing: it is bounded so in any
        /// case. True by default.
        relative_step: bool,
    },
    /// Adam that averages its weights in place of a schedule (Defazio et al. 2024); 0.9, 0.999,
    /// 1e-8, 0. Its weights are those to train with.
    ScheduleFreeAdamW {
        /// Share of the averaged weights in those to train with; 0.9 by default.
        beta_1: f64,
        /// Decay of the mean of squared gradients; 0.999 by default.
        beta_2: f64,
        /// Added to the root of the mean square; 1e-8 by default.
        epsilon: f64,
        /// Steps over which the learning rate rises in a line; 0 by default.
        warmup_steps: u64,
    },
    /// Orthogonalized momentum for matrices, Adam for the rest; see [`Muon`].
    Muon(Muon),
}

/// The parameters of [`Algorithm::Muon`].
#[derive(Clone, Debug, PartialEq)]
pub struct Muon {
    /// Adam's, for variables that are no matrices. Default to 0.9, 0.999, 1e-7.
    pub adam_beta_1: f64,
    /// Adam's decay of the mean of squared gradients; 0.999 by default.
    pub adam_beta_2: f64,
    /// Added to the root that Adam divides by; 1e-7 by default.
    pub epsilon: f64,
    /// Weight decay where Adam updates. Defaults to 0.004, as the optimizer's own.
    pub adam_weight_decay: Option<f64>,
    /// Adam's learning rate as a share of Muon's. Defaults to 1.
    pub adam_lr_ratio: f64,
    /// Matrices whose path contains one of these are Adam's too. Defaults to none.
    pub exclude_layers: Vec<String>,
    /// And embeddings. Defaults to true.
    pub exclude_embeddings: bool,
    /// Coefficients of the Newton-Schulz iteration. Default to 3.4445, -4.775, 2.0315.
    pub muon_a: f64,
    /// That of the third power; -4.775 by default.
    pub muon_b: f64,
    /// That of the fifth power; 2.0315 by default.
    pub muon_c: f64,
    /// Defaults to 0.95.
    pub momentum: f64,
    /// Iterations. Defaults to 5.
    pub ns_steps: u64,
    /// Defaults to true.
    pub nesterov: bool,
    /// Root mean square of an update per learning rate, or none. Defaults to 0.2.
    pub rms_rate: Option<f64>,
}

impl Default for Muon {
    fn default() -> Self {
        Self {
            adam_beta_1: 0.9,
            adam_beta_2: 0.999,
            epsilon: 1e-7,
            adam_weight_decay: Some(0.004),
            adam_lr_ratio: 1.0,
            exclude_layers: Vec::new(),
            exclude_embeddings: true,
            muon_a: 3.4445,
            muon_b: -4.775,
            muon_c: 2.0315,
            momentum: 0.95,
            ns_steps: 5,
            nesterov: true,
            rms_rate: Some(0.2),
        }
    }
}

/// A slot that every trainable variable has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slot {
    /// What its name ends in.
    pub name: &'static str,
    /// Its first value.
    pub start: f32,
}

const fn zero(name: &'static str) -> Slot {
    Slot { name, start: 0.0 }
}

/// Slots that Keras lists variable by variable; between groups it starts over at the first variable.
pub(super) type Group = Vec<Slot>;

impl Algorithm {
    /// Stochastic gradient descent without momentum.
    pub const SGD: Self = Self::Sgd {
        momentum: 0.0,
        nesterov: false,
    };
    /// Adam with Keras' defaults.
    pub const ADAM: Self = Self::Adam {
        beta_1: 0.9,
        beta_2: 0.999,
        epsilon: 1e-7,
        amsgrad: false,
    };

    /// Keras' class.
    pub fn class_name(&self) -> &'static str {
        match self {
            Self::Sgd { .. } => "SGD",
            Self::Adam { .. } => "Adam",
            Self::AdamW { .. } => "AdamW",
            Self::RMSprop { .. } => "RMSprop",
            Self::Adagrad { .. } => "Adagrad",
            Self::Adadelta { .. } => "Adadelta",
            Self::Adamax { .. } => "Adamax",
            Self::Nadam { .. } => "Nadam",
            Self::Ftrl { .. } => "Ftrl",
            Self::Lion { .. } => "Lion",
            Self::Lamb { .. } => "Lamb",
            Self::Adafactor { .. } => "Adafactor",
            Self::ScheduleFreeAdamW { .. } => "ScheduleFreeAdamW",
            Self::Muon(_) => "Muon",
        }
    }

    /// The name that Keras gives an optimizer of this class, and thereby its variables.
    pub fn default_name(&self) -> &'static str {
        match self {
            Self::Sgd { .. } => "sgd",
            Self::Adam { .. } => "adam",
            Self::AdamW { .. } => "adam_w",
            Self::RMSprop { .. } => "rm_sprop",
            Self::Adagrad { .. } => "adagrad",
            Self::Adadelta { .. } => "adadelta",
            Self::Adamax { .. } => "adamax",
            Self::Nadam { .. } => "nadam",
            Self::Ftrl { .. } => "ftrl",
            Self::Lion { .. } => "lion",
            Self::Lamb { .. } => "lamb",
            Self::Adafactor { .. } => "adafactor",
            Self::ScheduleFreeAdamW { .. } => "schedule_free_adam_w",
            Self::Muon(_) => "muon",
        }
    }

    /// Keras' default learning rate.
    pub fn default_learning_rate(&self) -> f32 {
        match self {
            Self::Sgd { .. } => 0.01,
            Self::ScheduleFreeAdamW { .. } => 0.0025,
            Self::Adam { .. }
            | Self::AdamW { .. }
            | Self::RMSprop { .. }
            | Self::Adagrad { .. }
            | Self::Adadelta { .. }
            | Self::Adamax { .. }
            | Self::Nadam { .. }
            | Self::Ftrl { .. }
            | Self::Lion { .. }
            | Self::Lamb { .. }
            | Self::Adafactor { .. }
            | Self::Muon(_) => 0.001,
        }
    }

    /// Keras' default weight decay.
    pub(super) fn default_weight_decay(&self) -> Option<f64> {
        match self {
            Self::AdamW { .. } | Self::Muon(_) => Some(0.004),
            Self::Sgd { .. }
            | Self::Adam { .. }
            | Self::RMSprop { .. }
            | Self::Adagrad { .. }
            | Self::Adadelta { .. }
            | Self::Adamax { .. }
            | Self::Nadam { .. }
            | Self::Ftrl { .. }
            | Self::Lion { .. }
            | Self::Lamb { .. }
            | Self::Adafactor { .. }
            | Self::ScheduleFreeAdamW { .. } => None,
        }
    }

    /// Whether an update looks at a whole variable, and not at each element alike.
    pub(super) fn sees_variables(&self) -> bool {
        match self {
            Self::Lamb { .. } | Self::Adafactor { .. } | Self::Muon(_) => true,
            Self::Sgd { .. }
            | Self::Adam { .. }
            | Self::AdamW { .. }
            | Self::RMSprop { .. }
            | Self::Adagrad { .. }
            | Self::Adadelta { .. }
            | Self::Adamax { .. }
            | Self::Nadam { .. }
            | Self::Ftrl { .. }
            | Self::Lion { .. }
            | Self::ScheduleFreeAdamW { .. } => false,
        }
    }

    /// The slots in Keras' order.
    pub(super) fn groups(&self) -> Vec<Group> {
        let moments = || vec![zero("momentum"), zero("velocity")];
        match *self {
            Self::Sgd { momentum: 0.0, .. } => vec![],
            Self::Sgd { .. } | Self::Lion { .. } => vec![vec![zero("momentum")]],
            Self::Adam { amsgrad, .. } | Self::AdamW { amsgrad, .. } => {
                let mut groups = vec![moments()];
                if amsgrad {
                    groups.push(vec![zero("velocity_hat")]);
                }
                groups
            }
            Self::Nadam { .. }
            | Self::Lamb { .. }
            | Self::ScheduleFreeAdamW { .. }
            | Self::Muon(_) => vec![moments()],
            Self::RMSprop {
                momentum, centered, ..
            } => {
                let mut groups = vec![vec![zero("velocity")]];
                if momentum > 0.0 {
                    groups.push(vec![zero("momentum")]);
                }
                if centered {
                    groups.push(vec![zero("average_gradient")]);
                }
                groups
            }
            Self::Adagrad {
                initial_accumulator_value,
                ..
            } => vec![vec![Slot {
                name: "accumulator",
                start: initial_accumulator_value as f32,
            }]],
            Self::Adadelta { .. } => vec![vec![
                zero("accumulated_grad"),
                zero("accumulated_delta_var"),
            ]],
            Self::Adamax { .. } => vec![vec![zero("momentum"), zero("norm")]],
            Self::Ftrl {
                initial_accumulator_value,
                ..
            } => vec![vec![
                Slot {
                    name: "accumulator",
                    start: initial_accumulator_value as f32,
                },
                zero("linear"),
            ]],
            Self::Adafactor { .. } => vec![vec![zero("velocity")]],
        }
    }
}
