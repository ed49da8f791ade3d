//! `thumbnet search`: the network with the best score within a device's limits.

mod candidate;
mod relevance;
mod trial;

use std::{
    num::NonZero,
    path::PathBuf,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use thumbnet_runtime::cores::Core;
use thumbnet_trainer::{Dataset, Error, atomic_file, dataset::SplitOptions, quantize::DataType};

use self::{
    candidate::{Candidate, Space},
    trial::{AWARE_EPOCHS, Trial},
};
use super::{
    Failure, Outcome,
    config::ConfigArguments,
    console,
    data::{DataArguments, Labelled},
    meaning::Meaning,
    models::check_keras_name,
    outputs::{self, Named},
    report::{self, Searched, Tried},
    values::{self, positive},
};

/// Candidates between two looks at what is best so far.
const GENERATION: usize = 12;
/// How long is searched where no option says it.
const TIME: Duration = Duration::from_secs(60);

/// Search the network with the best score within limits of flash, RAM and instructions
#[derive(Debug, Args)]
#[command(
    after_help = "Example: thumbnet search --data iris.csv --flash 400 --trials 12 --output best.h5"
)]
pub struct Search {
    #[command(flatten)]
    data: DataArguments,
    /// Column whose values name rows that belong together: those of one value all train or all score
    #[arg(long, value_name = "COLUMN", requires = "data")]
    group: Option<String>,
    /// Whether the targets are classes or numbers [default: classes for text and for few whole numbers
    /// from 0]
    #[arg(long, value_name = "classes|numbers", value_parser = ["classes", "numbers"])]
    task: Option<String>,
    /// Most bytes of the device model in flash, such as 2k
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    flash: Option<usize>,
    /// Most bytes of RAM for a prediction, without the stack, such as 1k
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    ram: Option<usize>,
    /// Most instructions of a prediction, estimated from counts in QEMU
    #[arg(long, value_name = "N", value_parser = positive::<u64>)]
    instructions: Option<u64>,
    /// Core to arrange the weights for and to estimate instructions of, or a chip such as rp2040
    #[arg(long, default_value = "m4", value_name = "CORE", value_parser = values::core)]
    core: &'static Core,
    /// Data types to try, of int8, int4 (trained with the device's rounding), int16x8 and float32
    #[arg(
        long,
        value_name = "TYPE,..",
        value_delimiter = ',',
        default_value = "int8,int4"
    )]
    dtype: Vec<DataType>,
    /// How long to search, such as 90s or 5m; the candidates that were begun are finished [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// How many candidates to try, in place of --time: the same number finds the same network
    #[arg(long, value_name = "N", conflicts_with = "time", value_parser = positive::<usize>)]
    trials: Option<usize>,
    /// Parts of the rows, each scored by a model that is trained on the others
    #[arg(long, default_value_t = 3, value_name = "N")]
    folds: usize,
    /// Candidates that are trained at the same time [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    jobs: Option<usize>,
    /// Seed of candidates, folds, weights and shuffling
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print a line of JSON for each candidate, and one for the best at the end
    #[arg(long)]
    json: bool,
    /// Page with pictures to write: score against flash and instructions, and the networks that none beats
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Keras file to write, .h5 or .keras
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    config: ConfigArguments,
}

/// What is searched for.
pub struct Goal {
    rows: Labelled,
    /// The features, the most telling one first.
    order: Vec<usize>,
    /// The last layer, as `train --layers` has it.
    last: String,
    /// Where a small score is a good one.
    is_error: bool,
    core: &'static Core,
    limits: Limits,
    seed: u64,
    /// The data as `train` takes it.
    data: Vec<String>,
    output: String,
}

/// The most that a model may take.
struct Limits {
    flash: Option<usize>,
    ram: Option<usize>,
    instructions: Option<u64>,
}

impl Limits {
    fn allow(&self, flash: usize, ram: usize, instructions: u64) -> bool {
        self.flash.is_none_or(|most| flash <= most)
            && self.ram.is_none_or(|most| ram <= most)
            && self.instructions.is_none_or(|most| instructions <= most)
    }
}

impl Search {
    pub fn run(&self) -> Outcome {
        check_keras_name(&self.output)?;
        atomic_file::check(&self.output)?;
        let inputs = [
            Named::of("--data", self.data.data.as_ref()),
            Named::of("--x", self.data.x.as_ref()),
            Named::of("--y", self.data.y.as_ref()),
            self.config.input(),
        ];
        report::check_page(self.report.as_ref())?;
        let report = Named::of("--report", self.report.as_ref());
        outputs::check(inputs, [Named::of("--output", Some(&self.output)), report])?;
        let goal = self.goal()?;
        let options = SplitOptions {
            seed: self.seed,
            stratify: true,
        };
        let folds = goal.rows.data.folds(self.folds, options)?;
        let trials = self.search(&goal, &folds)?;
        let Some(best) = goal.best(&trials) else {
            return Err(Error::value(
                "no candidate is within the limits; allow more --flash, --ram or --instructions, or more --time",
            )
            .into());
        };
        let rows = goal
            .rows
            .with_data(goal.chosen(&goal.rows.data, &best.candidate));
        let (model, device) = goal.models(&best.candidate, rows)?;
        model.save(&self.output)?;
        if let Some(path) = &self.report {
            let page = goal.page(&trials, best) + "\n";
            atomic_file::write_bytes(path, page.as_bytes())?;
        }
        if self.json {
            return console::print_json(&json!({
                "best": best,
                "trials": trials.len(),
                "flash_bytes": device.bytes().len(),
                "commands": goal.commands(&best.candidate),
            }));
        }
        console::print(&goal.text(&trials, best))?;
        console::print(&format!("\nsaved {}\n", self.output.display()))
    }

    fn goal(&self) -> Outcome<Goal> {
        let rows = self.data.grouped(&Meaning::none(), self.group.clone())?;
        if rows.data.row_shape().len() != 1 {
            return Err(Failure::usage(
                "search takes rows of one axis; flatten the array first",
            ));
        }
        let y = rows.y();
        let classes = rows.class_count(self.task.as_deref());
        let width = y.len() / rows.data.rows().max(1);
        let last = match classes {
            Some(2) => "1:sigmoid".to_string(),
            Some(classes) => format!("{classes}:softmax"),
            None => width.to_string(),
        };
        Ok(Goal {
            order: relevance::order(&rows.data, classes.is_some()),
            last,
            is_error: classes.is_none(),
            core: self.core,
            limits: Limits {
                flash: self.flash,
                ram: self.ram,
                instructions: self.instructions,
            },
            seed: self.seed,
            data: self.data_arguments(&rows.data),
            output: self.output.display().to_string(),
            rows,
        })
    }

    /// The data as a `train` command takes it, without its features.
    fn data_arguments(&self, data: &Dataset) -> Vec<String> {
        let path = |path: &PathBuf| path.display().to_string();
        match (&self.data.data, &self.data.x, &self.data.y) {
            (Some(table), ..) => {
                let target = data.target_names.join(",");
                vec![
                    "--data".to_string(),
                    path(table),
                    "--target".to_string(),
                    target,
                ]
            }
            (None, Some(x), Some(y)) => {
                let (x, y) = (path(x), path(y));
                vec![
                    "--x".to_string(),
                    x,
                    "--y".to_string(),
                    y,
                    "--normalize".to_string(),
                ]
            }
            (None, ..) => Vec::new(),
        }
    }

    /// All that were tried within the limits.
    fn search(&self, goal: &Goal, folds: &[(Dataset, Dataset)]) -> Outcome<Vec<Trial>> {
        let space = Space {
            features: goal.order.len(),
            types: self.dtype.clone(),
        };
        let jobs = self
            .jobs
            .unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get));
        let begun = Instant::now();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut seen: Vec<Candidate> = Vec::new();
        let mut trials: Vec<Trial> = Vec::new();
        let mut tried = 0;
        loop {
            let left = self
                .trials
                .map_or(GENERATION, |trials| (trials - tried).min(GENERATION));
            let next = generation(&space, goal, &trials, &mut seen, &mut rng, left);
            if next.is_empty() {
                return Ok(trials);
            }
            tried += next.len();
            let before = trials.len();
            trials.extend(goal.try_all(&next, folds, &trials, jobs)?);
            self.say(goal, &trials, before, tried)?;
            let over = match self.trials {
                Some(trials) => tried >= trials,
                None => begun.elapsed() >= self.time.unwrap_or(TIME),
            };
            if over {
                return Ok(trials);
            }
        }
    }

    /// Says what came of the trials behind those `before`.
    fn say(&self, goal: &Goal, trials: &[Trial], before: usize, tried: usize) -> Outcome {
        if self.json {
            for trial in &trials[before..] {
                console::print_json(&json!(trial))?;
            }
            return Ok(());
        }
        if let Some(best) = goal.best(trials) {
            console::note(&format!(
                "note: {tried} tried, best: {} {:.4}, {} bytes of flash, {}",
                goal.measure(),
                best.mean,
                best.flash_bytes,
                best.candidate.layers(&goal.last)
            ));
        }
        Ok(())
    }
}

/// The next candidates, none of them tried before: at first a ladder of sizes, then half of them any and half
/// near those on the front.
fn generation(
    space: &Space,
    goal: &Goal,
    trials: &[Trial],
    seen: &mut Vec<Candidate>,
    rng: &mut ChaCha8Rng,
    count: usize,
) -> Vec<Candidate> {
    let mut next = Vec::new();
    let mut ladder = match seen.is_empty() {
        true => space.first(),
        false => Vec::new(),
    }
    .into_iter();
    let front = goal.front(trials);
    // So many draws without a new one are the end of a small space.
    for draw in 0..50 * count {
        if next.len() == count {
            break;
        }
        let candidate = match ladder.next() {
            Some(candidate) => candidate,
            None if draw % 2 == 0 || front.is_empty() => space.random(rng),
            None => {
                let place = rng.random_range(0..front.len());
                space.neighbour(&front[place].candidate, rng)
            }
        };
        if !seen.contains(&candidate) {
            seen.push(candidate.clone());
            next.push(candidate);
        }
    }
    next
}

impl Goal {
    /// Tries candidates, several at a time: those within the limits, in their order, whatever ends first.
    fn try_all(
        &self,
        candidates: &[Candidate],
        folds: &[(Dataset, Dataset)],
        before: &[Trial],
        jobs: usize,
    ) -> Outcome<Vec<Trial>> {
        // What the best one's folds differ by, twice: a first fold below is given up.
        let bar = self.best(before).map(|best| {
            let spread = best
                .folds
                .iter()
                .map(|fold| (fold - best.mean).abs())
                .fold(0.0, f64::max);
            let slack = 2.0 * spread + 0.1 * best.mean.abs();
            best.mean + if self.is_error { slack } else { -slack }
        });
        // Small models are wanted too: only what is far from all of them is given up.
        let hopeless = |score: f64| {
            bar.is_some_and(|bar| self.is_better(bar, score) && before.len() > 4 * GENERATION)
        };
        let queue = Mutex::new(candidates.iter().enumerate());
        let done = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..jobs.min(candidates.len()) {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().ok().and_then(|mut queue| queue.next());
                        let Some((place, candidate)) = next else {
                            break;
                        };
                        let trial = self.trial(candidate, folds, hopeless);
                        if let Ok(mut done) = done.lock() {
                            done.push((place, trial));
                        }
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_default();
        done.sort_by_key(|(place, _)| *place);
        let trials = done.into_iter().filter_map(|(_, trial)| trial.transpose());
        trials.collect()
    }

    /// The rows with the candidate's features only.
    fn chosen(&self, data: &Dataset, candidate: &Candidate) -> Dataset {
        data.with_features(&self.features(candidate))
    }

    /// The candidate's features, in the order of the table.
    fn features(&self, candidate: &Candidate) -> Vec<usize> {
        let mut features = self.order[..candidate.features].to_vec();
        features.sort_unstable();
        features
    }

    fn is_better(&self, one: f64, other: f64) -> bool {
        if self.is_error {
            one < other
        } else {
            one > other
        }
    }

    fn measure(&self) -> &'static str {
        if self.is_error { "mae" } else { "accuracy" }
    }

    /// The best score, and of equal ones the smallest.
    fn best<'a>(&self, trials: &'a [Trial]) -> Option<&'a Trial> {
        trials.iter().reduce(|best, trial| {
            let smaller = trial.mean == best.mean && trial.flash_bytes < best.flash_bytes;
            match self.is_better(trial.mean, best.mean) || smaller {
                true => trial,
                false => best,
            }
        })
    }

    /// Those that no other one beats in score, flash and instructions at once, by growing flash.
    fn front<'a>(&self, trials: &'a [Trial]) -> Vec<&'a Trial> {
        let beats = |one: &Trial, other: &Trial| {
            !self.is_better(other.mean, one.mean)
                && one.flash_bytes <= other.flash_bytes
                && one.instructions <= other.instructions
                && (self.is_better(one.mean, other.mean)
                    || one.flash_bytes < other.flash_bytes
                    || one.instructions < other.instructions)
        };
        let mut front: Vec<&Trial> = trials
            .iter()
            .filter(|trial| !trials.iter().any(|other| beats(other, trial)))
            .collect();
        front.sort_by_key(|trial| trial.flash_bytes);
        front.dedup_by_key(|trial| (trial.flash_bytes, trial.instructions, trial.mean.to_bits()));
        front
    }

    fn train_arguments(&self, candidate: &Candidate) -> Vec<String> {
        let mut arguments = vec!["train".to_string()];
        arguments.extend(self.data.iter().cloned());
        for (name, value) in [
            ("--layers", candidate.layers(&self.last)),
            ("--learning-rate", candidate.learning_rate.to_string()),
            ("--seed", self.seed.to_string()),
            ("--output", self.output.clone()),
        ] {
            arguments.extend([name.to_string(), value]);
        }
        arguments
    }

    /// `--features`, where not all are taken.
    fn feature_arguments(&self, candidate: &Candidate) -> Vec<String> {
        let names = &self.rows.data.feature_names;
        if candidate.features == self.order.len() || names.is_empty() {
            return Vec::new();
        }
        let features = self.features(candidate).into_iter();
        let features: Vec<String> = features.map(|at| names[at].clone()).collect();
        vec!["--features".to_string(), features.join(",")]
    }

    /// What makes the same network, and the device model of it.
    fn commands(&self, candidate: &Candidate) -> Vec<String> {
        let words = |text: String| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        let mut train = self.train_arguments(candidate);
        train.extend(self.feature_arguments(candidate));
        let mut commands = Vec::new();
        if candidate.data_type == DataType::Int4 {
            // Before the device's rounding.
            let float = "float.h5".to_string();
            let output = train.iter_mut().find(|word| **word == self.output);
            output.into_iter().for_each(|word| word.clone_from(&float));
            commands.push(train);
            let mut aware = words(format!("train --model {float}"));
            aware.extend(
                self.data
                    .iter()
                    .filter(|word| *word != "--normalize")
                    .cloned(),
            );
            aware.extend(words(format!(
                "--epochs {AWARE_EPOCHS} --seed {} --quantize-aware int4 --output",
                self.seed
            )));
            aware.push(self.output.clone());
            commands.push(aware);
        } else {
            commands.push(train);
        }
        let mut export = vec!["export".to_string(), self.output.clone()];
        export.push("--calibrate".to_string());
        export.extend(self.data.get(1).cloned());
        export.extend(words(format!(
            "--dtype {} --core {} --self-tests 0 --output best.tnet",
            candidate.data_type, self.core.short
        )));
        commands.push(export);
        commands.into_iter().map(line).collect()
    }

    /// The report.
    fn page(&self, trials: &[Trial], best: &Trial) -> String {
        let tried = |trial: &Trial| Tried {
            flash: trial.flash_bytes,
            ram: trial.ram_bytes,
            instructions: trial.instructions,
            score: trial.mean,
            data_type: trial.candidate.data_type.name().to_string(),
            layers: trial.candidate.layers(&self.last) + &self.features_text(trial),
        };
        let path = &self.rows.x_path;
        let name = path.file_name().unwrap_or(path.as_os_str());
        Searched {
            title: format!("Networks for {}", name.to_string_lossy()),
            measure: self.measure(),
            all: trials.iter().map(tried).collect(),
            front: self.front(trials).into_iter().map(tried).collect(),
            best: tried(best),
            commands: &self.commands(&best.candidate),
            note: self.how(best),
        }
        .to_html()
    }

    /// `, 3 of 4 features`, where not all are taken.
    fn features_text(&self, trial: &Trial) -> String {
        match trial.candidate.features < self.order.len() {
            true => format!(
                ", {} of {} features",
                trial.candidate.features,
                self.order.len()
            ),
            false => String::new(),
        }
    }

    /// How the scores were found.
    fn how(&self, best: &Trial) -> String {
        format!(
            "{} on {} from {} folds, each scored by a model that has not seen it; instructions are estimated for {} from counts in QEMU",
            self.measure(),
            best.candidate.data_type,
            best.folds.len(),
            self.core.name
        )
    }

    /// The front as a table, and how to get the best one again.
    fn text(&self, trials: &[Trial], best: &Trial) -> String {
        let mut text = format!(
            "{:>8}  {:>6}  {:>12}  {:>9}  {:>8}  layers\n",
            "flash",
            "ram",
            "instructions",
            self.measure(),
            "type"
        );
        for trial in self.front(trials) {
            let of = self.features_text(trial);
            text += &format!(
                "{:>8}  {:>6}  {:>12}  {:>9.4}  {:>8}  {}{of}\n",
                trial.flash_bytes,
                trial.ram_bytes,
                trial.instructions,
                trial.mean,
                trial.candidate.data_type.name(),
                trial.candidate.layers(&self.last),
            );
        }
        text += &format!("\n{}\n", self.how(best));
        for command in self.commands(&best.candidate) {
            text += &format!("{command}\n");
        }
        text
    }
}

/// As a shell takes it.
fn line(arguments: Vec<String>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,+".contains(c);
    let words = arguments
        .into_iter()
        .map(|word| match word.chars().all(plain) {
            true => word,
            false => format!("'{}'", word.replace('\'', "'\\''")),
        });
    format!("thumbnet {}", words.collect::<Vec<_>>().join(" "))
}

/// `2k`, `1.5M`, or a number of bytes.
fn bytes(text: &str) -> Result<usize, String> {
    let lower = text.trim().to_lowercase();
    let lower = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, factor) = match lower.strip_suffix(['k', 'm']) {
        Some(digits) if lower.ends_with('k') => (digits, 1024.0),
        Some(digits) => (digits, 1024.0 * 1024.0),
        None => (lower, 1.0),
    };
    match digits.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok((number * factor) as usize),
        _ => Err("expected a number of bytes such as 2048 or 2k".to_string()),
    }
}

/// `90s`, `5m`, `1h`, or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1.0),
        Some((at, 'm')) => (&text[..at], 60.0),
        Some((at, 'h')) => (&text[..at], 3600.0),
        _ => (text, 1.0),
    };
    match digits.parse::<f64>() {
        Ok(number) if number > 0.0 && number < 1e9 => Ok(Duration::from_secs_f64(number * factor)),
        _ => Err("expected a time such as 90s, 5m or 1h".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(bytes("2k"), Ok(2048));
        assert_eq!(bytes("1.5 KiB"), Ok(1536));
        assert_eq!(bytes("400"), Ok(400));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        for wrong in ["", "-1k", "k", "x"] {
            assert!(bytes(wrong).is_err() && duration(wrong).is_err(), "{wrong}");
        }
    }
}
