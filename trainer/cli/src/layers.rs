//! `--layers 32:relu,dropout:0.2,10:softmax`.

use std::str::FromStr;

use thumbnet_trainer::{
    Result, Sequential,
    activations::Activation,
    layers::{BatchNormalization, Dense, Dropout, Flatten},
};

/// One element of `--layers`.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerSpec {
    /// `32:relu`, or `32` without activation.
    Dense {
        units: usize,
        activation: Activation,
    },
    /// `dropout:0.2`.
    Dropout { rate: f64 },
    /// `batch_normalization`.
    BatchNormalization,
    /// `flatten`, for rows that are arrays.
    Flatten,
}

impl FromStr for LayerSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (head, tail) = match text.trim().split_once(':') {
            Some((head, tail)) => (head.trim(), Some(tail.trim())),
            None => (text.trim(), None),
        };
        match (head, tail) {
            ("flatten", None) => Ok(Self::Flatten),
            ("batch_normalization", None) => Ok(Self::BatchNormalization),
            ("dropout", Some(rate)) => match rate.parse() {
                Ok(rate) if (0.0..1.0).contains(&rate) => Ok(Self::Dropout { rate }),
                _ => Err(format!(
                    "dropout rate {rate:?} is not a number from 0 to below 1, such as dropout:0.2"
                )),
            },
            _ => {
                let units = head.parse().ok().filter(|&units| units > 0).ok_or_else(|| {
                    format!(
                        "{text:?} is no layer, expected units:activation such as 32:relu, dropout:0.2, batch_normalization or flatten"
                    )
                })?;
                let activation = match tail {
                    None => Activation::Linear,
                    Some(name) => name
                        .parse()
                        .map_err(|error: thumbnet_trainer::Error| error.to_string())?,
                };
                Ok(Self::Dense { units, activation })
            }
        }
    }
}

/// Adds the layers to a model.
pub fn add(model: &mut Sequential, layers: &[LayerSpec]) -> Result<()> {
    for layer in layers {
        match layer {
            LayerSpec::Dense { units, activation } => {
                model.add(Dense::new(*units).with_activation(activation.clone()))?;
            }
            LayerSpec::Dropout { rate } => model.add(Dropout::new(*rate))?,
            LayerSpec::BatchNormalization => model.add(BatchNormalization::new())?,
            LayerSpec::Flatten => model.add(Flatten::new())?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        text.parse::<LayerSpec>().unwrap_err()
    }

    #[test]
    fn a_dense_layer_is_units_and_activation() {
        assert_eq!(
            "10:softmax".parse(),
            Ok(LayerSpec::Dense {
                units: 10,
                activation: Activation::Softmax
            })
        );
        assert_eq!(
            " 3 ".parse(),
            Ok(LayerSpec::Dense {
                units: 3,
                activation: Activation::Linear
            })
        );
        assert_eq!("dropout:0.5".parse(), Ok(LayerSpec::Dropout { rate: 0.5 }));
        assert_eq!("flatten".parse(), Ok(LayerSpec::Flatten));
    }

    #[test]
    fn what_is_no_layer_says_what_one_looks_like() {
        let expected = "is no layer, expected units:activation such as 32:relu, dropout:0.2, batch_normalization or flatten";
        for text in ["relu", "0:relu", "-3:relu", "1.5", "", "32;relu"] {
            assert_eq!(error(text), format!("{text:?} {expected}"));
        }
        assert_eq!(
            error("dropout:1"),
            "dropout rate \"1\" is not a number from 0 to below 1, such as dropout:0.2"
        );
        assert!(error("32:rellu").contains("rellu"));
    }
}
