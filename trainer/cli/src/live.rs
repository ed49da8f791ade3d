//! The line of a running training on a terminal: how far it is, how the loss went, what is best so far.

use indicatif::{ProgressBar, ProgressStyle};
use thumbnet_trainer::{Logs, Result, Sequential, callbacks::Callback};

/// Characters of the curve.
const WIDTH: usize = 24;
/// From low to high.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Shows a line on the standard error, where that is a terminal, and renews it after every epoch.
pub struct LiveLine {
    bar: ProgressBar,
    /// What is shown, and watched for the best.
    monitor: String,
    upwards: bool,
    values: Vec<f64>,
}

impl LiveLine {
    /// * `epochs` - at most
    /// * `monitor` - the value that is shown; the loss, where an epoch has none of that name
    pub fn new(epochs: usize, monitor: &str, upwards: bool) -> Self {
        let bar = ProgressBar::new(epochs as u64);
        let style = ProgressStyle::with_template("epoch {pos}/{len} {msg} {eta} left");
        bar.set_style(style.expect("a well-formed template"));
        Self {
            bar,
            monitor: monitor.to_string(),
            upwards,
            values: Vec::new(),
        }
    }

    fn text(&self, name: &str) -> String {
        let Some(last) = self.values.last() else {
            return String::new();
        };
        let better = |one: f64, other: f64| {
            if self.upwards {
                one > other
            } else {
                one < other
            }
        };
        let best = self
            .values
            .iter()
            .enumerate()
            .reduce(|best, next| if better(*next.1, *best.1) { next } else { best });
        let best = best.map_or(String::new(), |(epoch, value)| {
            format!(", best {value:.4} in epoch {}", epoch + 1)
        });
        format!("{} {name} {last:.4}{best},", sparkline(&self.values))
    }
}

impl Callback for LiveLine {
    fn on_epoch_end(&mut self, _: &mut Sequential, epoch: usize, logs: &mut Logs) -> Result<()> {
        let named = logs
            .get(&self.monitor)
            .map(|value| (self.monitor.as_str(), value));
        if let Some((name, value)) = named.or(logs.get("loss").map(|loss| ("loss", loss))) {
            self.values.push(value);
            self.bar.set_message(self.text(name));
        }
        self.bar.set_position(epoch as u64 + 1);
        Ok(())
    }

    fn on_train_end(&mut self, _: &mut Sequential, _: &Logs) -> Result<()> {
        self.bar.abandon();
        Ok(())
    }

    fn uses_batches(&self) -> bool {
        false
    }
}

/// The course of values in a few characters: the mean of each part of them, between the least and the greatest.
fn sparkline(values: &[f64]) -> String {
    let size = values.len().div_ceil(WIDTH).max(1);
    let means = values.chunks(size).map(|part| {
        let finite: Vec<f64> = part.iter().copied().filter(|v| v.is_finite()).collect();
        finite.iter().sum::<f64>() / finite.len() as f64
    });
    let means: Vec<f64> = means.collect();
    let finite = || means.iter().copied().filter(|mean| mean.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    let block = |mean: &f64| match (mean - low) / (high - low) {
        // All the same.
        place if place.is_nan() && mean.is_finite() => BLOCKS[0],
        place if place.is_nan() => ' ',
        place => BLOCKS[(place * 7.0).round() as usize % 8],
    };
    means.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_of_values_is_drawn_between_its_ends() {
        assert_eq!(sparkline(&[0.0, 1.0, 7.0]), "▁▂█");
        assert_eq!(sparkline(&[3.0, 3.0]), "▁▁");
        assert_eq!(sparkline(&[1.0, f64::NAN, 2.0]), "▁ █");
        assert_eq!(sparkline(&[]), "");
        // 100 values in parts of 5.
        let falling: Vec<f64> = (0..100).rev().map(f64::from).collect();
        let line = sparkline(&falling);
        assert_eq!(line.chars().count(), 20);
        assert!(line.starts_with('█') && line.ends_with('▁'), "{line}");
    }

    #[test]
    fn the_line_says_what_is_best_so_far() {
        let mut line = LiveLine::new(10, "val_loss", false);
        let mut model = Sequential::new();
        for (epoch, loss) in [0.5, 0.25, 0.75].into_iter().enumerate() {
            let mut logs = Logs::new();
            logs.set("loss", 9.0);
            logs.set("val_loss", loss);
            line.on_epoch_end(&mut model, epoch, &mut logs).unwrap();
        }
        assert_eq!(
            line.text("val_loss"),
            "▅▁█ val_loss 0.7500, best 0.2500 in epoch 2,"
        );
        assert_eq!(line.bar.position(), 3);
    }
}
