//! Values of options, checked while the command line is parsed.

use std::{
    env,
    fmt::Display,
    io::{IsTerminal, stderr, stdout},
    str::FromStr,
};

use thumbnet_boards::Hardware;
use thumbnet_runtime::cores::{CORES, Core};
use thumbnet_trainer::{
    callbacks::Direction, losses::Loss, metrics::Metric, optimizers::Optimizer,
    training::ValidationFrequency,
};

/// `--core`: a core by any of its names, or a chip.
pub fn core(text: &str) -> Result<&'static Core, String> {
    thumbnet_boards::core(text).ok_or_else(|| {
        let known: Vec<&str> = CORES.iter().map(|core| core.short).collect();
        format!(
            "expected a core, of {}, or a chip such as rp2040 or stm32f411",
            known.join(", ")
        )
    })
}

/// `--board`.
pub fn board(text: &str) -> Result<&'static Hardware, String> {
    Hardware::named(text).map_err(|error| error.to_string())
}

/// `--batch-size`: rows per step, or `none` for all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchSize(pub Option<usize>);

impl FromStr for BatchSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self(None));
        }
        match text.parse() {
            Ok(size) if size > 0 => Ok(Self(Some(size))),
            _ => Err("expected a number above 0, or none for all rows at once".to_string()),
        }
    }
}

/// `--class-weight`.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeights {
    /// `balanced`: rows / (classes * rows of the class), as scikit-learn's.
    Balanced,
    /// `0:1,walk:2.5`: by number or name.
    Given(Vec<(String, f32)>),
}

impl FromStr for ClassWeights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "balanced" {
            return Ok(Self::Balanced);
        }
        let mut weights: Vec<(String, f32)> = Vec::new();
        for pair in text.split(',') {
            let wrong =
                || format!("{pair:?} is no pair of class and weight such as 1:2.5, nor balanced");
            let (class, weight) = pair.rsplit_once(':').ok_or_else(wrong)?;
            let class = class.trim().to_string();
            let weight: f32 = weight.trim().parse().map_err(|_| wrong())?;
            if !weight.is_finite() || weight < 0.0 {
                return Err(format!(
                    "the weight of class {class} is {weight}, expected a number from 0"
                ));
            }
            if weights.iter().any(|(other, _)| *other == class) {
                return Err(format!("class {class} is given twice"));
            }
            weights.push((class, weight));
        }
        Ok(Self::Given(weights))
    }
}

/// `--validation-freq`: every so many epochs, or a list of epochs counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Epochs(pub ValidationFrequency);

impl FromStr for Epochs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let epochs: Option<Vec<usize>> = text
            .trim_end_matches(',')
            .split(',')
            .map(|epoch| epoch.trim().parse().ok().filter(|&epoch| epoch > 0))
            .collect();
        match epochs.as_deref() {
            Some([every]) if !text.contains(',') => Ok(Self(ValidationFrequency::Every(*every))),
            Some(epochs) => Ok(Self(ValidationFrequency::Epochs(epochs.to_vec()))),
            None => Err("expected a number above 0, or epochs such as 1,2,10".to_string()),
        }
    }
}

/// `--mode`.
pub fn direction(text: &str) -> Result<Direction, String> {
    match text {
        "auto" => Ok(Direction::Auto),
        "min" => Ok(Direction::Min),
        "max" => Ok(Direction::Max),
        _ => Err("expected auto, min or max".to_string()),
    }
}

/// `--verbose`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verbosity {
    /// Nothing.
    Silent,
    /// A progress bar.
    Bar,
    /// A line per epoch.
    Lines,
    /// One line that is renewed on a terminal, lines elsewhere.
    Auto,
}

impl Verbosity {
    /// Keras' number.
    pub fn level(self) -> u8 {
        match self {
            Self::Silent => 0,
            Self::Bar => 1,
            Self::Lines => 2,
            Self::Auto if is_terminal() => 1,
            Self::Auto => 2,
        }
    }

    /// Whether one line is renewed in place of Keras' bars.
    pub fn is_live(self) -> bool {
        self == Self::Auto && is_terminal()
    }
}

/// Whether somebody looks on: output goes to a terminal that can renew a line, and no robot started it.
pub fn is_terminal() -> bool {
    let dumb = env::var_os("TERM").is_some_and(|kind| kind == "dumb");
    let robot = env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    stdout().is_terminal() && stderr().is_terminal() && !dumb && !robot
}

impl FromStr for Verbosity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "0" => Ok(Self::Silent),
            "1" => Ok(Self::Bar),
            "2" => Ok(Self::Lines),
            "auto" => Ok(Self::Auto),
            _ => Err("expected 0, 1, 2 or auto".to_string()),
        }
    }
}

/// A number above 0.
pub fn positive<T: FromStr + PartialOrd + Default + Display>(text: &str) -> Result<T, String> {
    match text.parse::<T>() {
        // NaN compares with nothing.
        Ok(value) if value > T::default() && value.to_string() != "inf" => Ok(value),
        _ => Err("expected a number above 0".to_string()),
    }
}

/// A number from 0 on.
pub fn not_negative(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err("expected a number from 0".to_string()),
    }
}

/// A number from 0 to below 1.
pub fn fraction(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (0.0..1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to below 1, such as 0.2".to_string()),
    }
}

/// `0.5%` or `0.005`.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(percent) => (percent, 0.01),
        None => (text, 1.0),
    };
    match number.trim().parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&(value * unit)) => Ok(value * unit),
        _ => Err("expected a share from 0 to 1, such as 0.005 or 0.5%".to_string()),
    }
}

/// A [`share`], but neither nothing nor all.
pub fn some_share(text: &str) -> Result<f64, String> {
    match share(text) {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("expected a share between 0 and 1, such as 0.01 or 1%".to_string()),
    }
}

/// A name that is an optimizer.
pub fn optimizer_name(text: &str) -> Result<String, String> {
    known(text, text.parse::<Optimizer>())
}

/// A name that is a loss.
pub fn loss_name(text: &str) -> Result<String, String> {
    known(text, text.parse::<Loss>())
}

/// A name that is a metric, by itself or by the shapes that it meets.
pub fn metric_name(text: &str) -> Result<String, String> {
    match text {
        "accuracy" | "acc" | "crossentropy" | "ce" => Ok(text.to_string()),
        _ => known(text, text.parse::<Metric>()),
    }
}

fn known<T>(text: &str, parsed: thumbnet_trainer::Result<T>) -> Result<String, String> {
    match parsed {
        Ok(_) => Ok(text.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_size_is_a_number_or_none() {
        assert_eq!("32".parse(), Ok(BatchSize(Some(32))));
        assert_eq!("none".parse(), Ok(BatchSize(None)));
        for text in ["0", "-1", "1.5", "all", ""] {
            assert_eq!(
                text.parse::<BatchSize>(),
                Err("expected a number above 0, or none for all rows at once".to_string())
            );
        }
    }

    #[test]
    fn class_weights_are_pairs() {
        let given = ClassWeights::Given(vec![("0".into(), 1.0), ("a:b".into(), 2.5)]);
        assert_eq!("0:1, a:b:2.5".parse(), Ok(given));
        assert_eq!("balanced".parse(), Ok(ClassWeights::Balanced));
        let error = |text: &str| text.parse::<ClassWeights>().unwrap_err();
        assert_eq!(
            error("0=1"),
            "\"0=1\" is no pair of class and weight such as 1:2.5, nor balanced"
        );
        assert_eq!(error("0:1,0:2"), "class 0 is given twice");
        assert_eq!(
            error("1:-2"),
            "the weight of class 1 is -2, expected a number from 0"
        );
        assert_eq!(
            error("1:NaN"),
            "the weight of class 1 is NaN, expected a number from 0"
        );
    }

    #[test]
    fn a_validation_frequency_is_a_number_or_a_list() {
        let every = |n| Ok(Epochs(ValidationFrequency::Every(n)));
        let list = |epochs: &[usize]| Ok(Epochs(ValidationFrequency::Epochs(epochs.to_vec())));
        assert_eq!("2".parse(), every(2));
        assert_eq!("1,2, 10".parse(), list(&[1, 2, 10]));
        assert_eq!("3,".parse(), list(&[3]));
        for text in ["0", "", "1,x", "1,,2", "-1"] {
            assert_eq!(
                text.parse::<Epochs>(),
                Err("expected a number above 0, or epochs such as 1,2,10".to_string())
            );
        }
    }

    #[test]
    fn not_negative_has_zero() {
        assert_eq!(not_negative("0"), Ok(0.0));
        for text in ["-1", "nan", "inf", "x"] {
            assert_eq!(
                not_negative(text),
                Err("expected a number from 0".to_string())
            );
        }
    }

    #[test]
    fn positive_leaves_out_zero_nan_and_infinity() {
        assert_eq!(positive::<f32>("0.5"), Ok(0.5));
        assert_eq!(positive::<usize>("3"), Ok(3));
        for text in ["0", "-1", "nan", "inf", "x"] {
            assert_eq!(
                positive::<f32>(text),
                Err("expected a number above 0".to_string())
            );
        }
    }
}
