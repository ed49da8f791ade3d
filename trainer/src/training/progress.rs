//! The progress bar, byte for byte Keras' `Progbar` (times aside).

use crate::figures::number;
use crate::history::Logs;
use crate::sequential::console::Output;

/// Characters of the bar.
const WIDTH: usize = 20;
/// Seconds between two updates on the screen.
const INTERVAL: f64 = 0.05;

/// Keras' levels of `verbose`: nothing, a bar, or one line at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verbosity {
    Silent,
    Bar,
    Line,
}

impl Verbosity {
    pub fn new(verbose: u8) -> crate::Result<Self> {
        match verbose {
            0 => Ok(Self::Silent),
            1 => Ok(Self::Bar),
            2 => Ok(Self::Line),
            other => Err(crate::Error::value(format!(
                "verbose is {other}, expected 0 (silent), 1 (progress bar) or 2 (one line per epoch)"
            ))),
        }
    }
}

/// The bar of one epoch. Times are seconds on any clock.
#[derive(Debug)]
pub(crate) struct Progress {
    verbosity: Verbosity,
    steps: usize,
    start: f64,
    last_update: Option<f64>,
    after_first_step: Option<f64>,
    previous_width: usize,
}

impl Progress {
    pub fn new(verbosity: Verbosity, steps: usize, now: f64) -> Self {
        Self {
            verbosity,
            steps,
            start: now,
            last_update: None,
            after_first_step: None,
            previous_width: 0,
        }
    }

    /// Notes a finished step, counted from 1, and says whether it will be shown.
    pub fn is_due(&mut self, step: usize, now: f64) -> bool {
        if step == 1 {
            self.after_first_step = Some(now);
        }
        let waited = self.last_update.is_none_or(|last| now - last >= INTERVAL);
        self.verbosity == Verbosity::Bar && waited
    }

    /// Shows a finished step.
    pub fn update(&mut self, step: usize, logs: &Logs, now: f64, output: &Output) {
        self.last_update = Some(now);
        let text = self.bar(step, logs, now, false);
        output.print(&text);
    }

    /// Shows the end of the epoch.
    pub fn finish(&mut self, logs: &Logs, now: f64, output: &Output) {
        match self.verbosity {
            Verbosity::Silent => {}
            Verbosity::Bar => output.print(&self.bar(self.steps, logs, now, true)),
            Verbosity::Line => output.print(&self.line(logs, now)),
        }
    }

    fn bar(&mut self, step: usize, logs: &Logs, now: f64, last: bool) -> String {
        let mut text = "\u{8}".repeat(self.previous_width);
        text.push('\r');
        let digits = digits(self.steps);
        let count = format!("{step:digits$}/{}", self.steps);
        let done = WIDTH * step.min(self.steps) / self.steps.max(1);
        text += &format!("\x1b[1m{count}\x1b[0m ");
        if done > 0 {
            text += &format!("\x1b[32m{}\x1b[0m", "━".repeat(done));
        }
        text += &format!("\x1b[37m{}\x1b[0m", "━".repeat(WIDTH - done));
        let per_step = self.step_duration(step, now);
        let time = match last {
            true => format!("{:.0}s", now - self.start),
            false => eta(per_step * (self.steps - step.min(self.steps)) as f64), // a small count
        };
        text += &format!(" \x1b[1m{time}\x1b[0m");
        let mut info = duration(per_step);
        for (name, value) in logs.iter() {
            let value = value.number();
            info += &format!(" - {name}: {}", number(value, value.abs() > 1e-3));
        }
        text += &info;
        // What is seen, without the escape codes.
        let width = count.chars().count() + 1 + WIDTH + 1 + time.len() + info.chars().count();
        text += &" ".repeat(self.previous_width.saturating_sub(width));
        if last {
            text.push('\n');
        }
        self.previous_width = width;
        text
    }

    fn line(&self, logs: &Logs, now: f64) -> String {
        let (steps, seconds) = (self.steps, now - self.start);
        let per_step = self.step_duration(steps, now);
        let mut text = format!("{steps}/{steps} - {seconds:.0}s -{}", duration(per_step));
        for (name, value) in logs.iter() {
            let value = value.number();
            // Keras does not take the absolute value here.
            text += &format!(" - {name}: {}", number(value, value > 1e-3));
        }
        text.push('\n');
        text
    }

    /// Mean duration of a step, without the first one when there are more.
    fn step_duration(&self, step: usize, now: f64) -> f64 {
        match (self.after_first_step, step) {
            (_, 0) => 0.0,
            (Some(after), 2..) => (now - after) / (step - 1) as f64, // a small count
            _ => (now - self.start) / step as f64,
        }
    }
}

fn digits(steps: usize) -> usize {
    steps.max(1).ilog10() as usize + 1 // at most 20
}

/// Remaining time; whole seconds, rounded down.
fn eta(seconds: f64) -> String {
    let whole = seconds as u64; // a duration is not negative
    if seconds > 3600.0 {
        format!(
            "{}:{:02}:{:02}",
            whole / 3600,
            whole % 3600 / 60,
            whole % 60
        )
    } else if seconds > 60.0 {
        format!("{}:{:02}", whole / 60, whole % 60)
    } else {
        format!("{whole}s")
    }
}

fn duration(seconds: f64) -> String {
    if seconds >= 1.0 || seconds == 0.0 {
        format!(" {seconds:.0}s/step")
    } else if seconds >= 1e-3 {
        format!(" {:.0}ms/step", seconds * 1e3)
    } else {
        format!(" {:.0}us/step", seconds * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_time_grows_units() {
        assert_eq!(eta(59.9), "59s");
        assert_eq!(eta(61.0), "1:01");
        assert_eq!(eta(3661.0), "1:01:01");
        assert_eq!(duration(0.0254), " 25ms/step");
        assert_eq!(duration(0.00042), " 420us/step");
        assert_eq!(duration(0.0), " 0s/step");
    }

    #[test]
    fn the_bar_is_keras_own() {
        let written = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let output = Output::Writer(written.clone());
        let mut logs = Logs::new();
        let mut progress = Progress::new(Verbosity::Bar, 16, 0.0);
        logs.set("accuracy", 0.5625);
        logs.set("loss", 0.69);
        assert!(progress.is_due(1, 0.61));
        progress.update(1, &logs, 0.61, &output);
        // Too soon for the screen.
        assert!(!progress.is_due(2, 0.62));
        logs.set("accuracy", 0.662);
        logs.set("loss", 0.5946);
        // 15 steps of 4 ms after the first.
        progress.finish(&logs, 0.67, &output);
        let expected = format!(
            "\r\x1b[1m 1/16\x1b[0m \x1b[32m━\x1b[0m\x1b[37m━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[1m9s\x1b[0m 610ms/step - accuracy: 0.5625 - loss: 0.6900{}\r\x1b[1m16/16\x1b[0m \x1b[32m━━━━━━━━━━━━━━━━━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m1s\x1b[0m 4ms/step - accuracy: 0.6620 - loss: 0.5946  \n",
            "\u{8}".repeat(74)
        );
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(written, expected);
    }
}
