//! `thumbnet prove`: whether a property of a device model holds for every input.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use clap::{ArgGroup, Args};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use thumbnet_boards::Hardware;
use thumbnet_prove::{
    Certificate, Counterexample, Difference, Goal, Network, Options, Other, Outcome as Proven,
    Property, Range, Verdict, largest_difference, prove, prove_against, reachable,
};
use thumbnet_trainer::{Error, atomic_file, quantize::DeviceModel};

use super::{Failure, Outcome, console, data::ColumnArguments, models::device_rows, run, values};

/// Proofs of a device model: a property holds for every input of a box, or here is one that breaks it
///
/// Decided over the device's own integers and roundings, for all inputs, not samples of them.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("question").required(true).multiple(true).args(["property", "rows", "check", "largest_difference", "ranges"]),
    after_help = "Exit codes: 0 all hold; 1 one fails; 3 one is unknown after the time, and none fails; 2 anything else\n\nExample: thumbnet prove model.tnet --property property.toml"
)]
pub struct Prove {
    /// Device model (.tnet) of integer layers
    model: PathBuf,
    /// Properties, TOML or JSON: boxes of raw values by column, and what holds of every input in them, such as
    /// {"boxes": [{"rho": [1500, 1800]}], "holds_when": {"never_class": "clear"}}; a column left out may be
    /// anything. Of holds_when there are always_class, never_class, always_largest, never_largest,
    /// always_smallest, never_smallest, output with at_least, at_most, margin, rises_with or falls_with, and with
    /// --against same_class = true or within
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rows", "check"])]
    property: Option<PathBuf>,
    /// One of the file's properties [default: all]
    #[arg(long, value_name = "NAME", requires = "property")]
    name: Option<String>,
    /// Device model to compare with, of integers or float32: for same_class and within, and --largest-difference
    #[arg(long, value_name = "OTHER.tnet", conflicts_with_all = ["rows", "check", "certificate"])]
    against: Option<PathBuf>,
    /// The greatest difference of any output from --against, in the boxes of --property [default: any inputs]
    #[arg(long, requires = "against")]
    largest_difference: bool,
    /// The least and greatest value that each unit of each layer reaches, hidden ones as integers, in the boxes of
    /// --property [default: any inputs]; two numbers where the time did not suffice, of which one is reached and the
    /// other never passed
    #[arg(long, conflicts_with_all = ["rows", "check", "certificate", "against", "board"])]
    ranges: bool,
    /// Board whose machine in QEMU gets the inputs that break something, to compare every bit
    #[arg(long, value_name = "NAME", value_parser = values::board)]
    board: Option<&'static Hardware>,
    /// Table or array of rows: whether each keeps its class within --radius
    #[arg(
        long,
        value_name = "FILE",
        requires = "radius",
        conflicts_with = "check"
    )]
    rows: Option<PathBuf>,
    /// How far any input may be from its row, in its own unit
    #[arg(long, value_name = "NUMBER", requires = "rows")]
    radius: Option<f64>,
    #[command(flatten)]
    columns: ColumnArguments,
    /// File to write the reasons of a verdict to, for --check
    #[arg(long, value_name = "FILE", requires = "property")]
    certificate: Option<PathBuf>,
    /// Go through a certificate again, by code that shares no bounds with the search
    #[arg(long, value_name = "CERTIFICATE")]
    check: Option<PathBuf>,
    /// After which a property, or a row, is unknown
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    timeout: f64,
    /// Threads to use [default: THUMBNET_THREADS, else as many as there are cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How much of the inputs is decided, on a terminal.
static BAR: LazyLock<ProgressBar> = LazyLock::new(|| {
    let style =
        ProgressStyle::with_template("{msg}{bar:24} {percent} % of the inputs decided, {elapsed}");
    ProgressBar::new(10_000).with_style(style.expect("a well-formed template"))
});

/// Shows that a share is decided.
fn show(share: f64) {
    BAR.set_position((share * 10_000.0) as u64); // a share of it
}

/// Whatever is wrong here is no verdict: exit code 2, since 1 says that a property fails.
fn usage(error: impl Display) -> Failure {
    Failure::usage(error.to_string())
}

impl Prove {
    pub fn run(&self) -> Outcome {
        let device = DeviceModel::load(&self.model).map_err(usage)?;
        let network = Network::new(device.bytes())
            .map_err(|error| usage(format!("{}: {error}", self.model.display())))?;
        let options = self.options()?;
        let against = self.against.as_ref();
        let against = against.map(DeviceModel::load).transpose().map_err(usage)?;
        let other = match (&against, &self.against) {
            (Some(device), Some(path)) => {
                let other = Other::new(device.bytes());
                Some(other.map_err(|error| usage(format!("{}: {error}", path.display())))?)
            }
            _ => None,
        };
        if let Some(path) = &self.check {
            return self.checked(&network, path, &options);
        }
        let properties = match (&self.property, &self.rows) {
            (Some(path), _) => self.properties(&network, path, &options)?,
            (None, Some(path)) => {
                let rows = self.rows(&device, path)?;
                let of_row = |(number, row): (usize, &Vec<f32>)| {
                    let property = Property::robust(&network, row, self.radius.unwrap_or(0.0));
                    let name = format!("row {}", number + 1);
                    property
                        .map(|property| Property { name, ..property })
                        .map_err(usage)
                };
                rows.iter()
                    .enumerate()
                    .map(of_row)
                    .collect::<Outcome<_>>()?
            }
            (None, None) => vec![Property::everything(&network)],
        };
        if self.ranges {
            return self.reachable(&network, &properties, &options);
        }
        match (&other, self.largest_difference) {
            (Some(other), true) => self.differences(&network, other, &properties, &options),
            _ => self.decide(&device, &network, other.as_ref(), &properties, &options),
        }
    }

    fn options(&self) -> Outcome<Options> {
        let timeout = Duration::try_from_secs_f64(self.timeout)
            .map_err(|error| usage(format!("--timeout {}: {error}", self.timeout)))?;
        let mut options = Options {
            timeout,
            parts: self.certificate.is_some(),
            progress: values::is_terminal().then_some(show),
            ..Options::default()
        };
        let variable = std::env::var("THUMBNET_THREADS")
            .ok()
            .and_then(|text| text.parse().ok());
        options.threads = self.threads.or(variable).unwrap_or(options.threads);
        match options.threads {
            0 => Err(usage("--threads is 0, expected 1 or more")),
            _ => Ok(options),
        }
    }

    fn properties(
        &self,
        network: &Network,
        path: &Path,
        options: &Options,
    ) -> Outcome<Vec<Property>> {
        let text = fs::read_to_string(path)
            .map_err(|error| usage(format!("{}: {error}", path.display())))?;
        let mut properties = Property::read(&text, network)
            .map_err(|error| usage(format!("{}: {error}", path.display())))?;
        let names: Vec<String> = properties
            .iter()
            .map(|property| property.name.clone())
            .collect();
        if let Some(name) = &self.name {
            properties.retain(|property| property.name == *name);
            if properties.is_empty() {
                return Err(usage(format!(
                    "{} has no property {name:?}, expected one of {}",
                    path.display(),
                    names.join(", ")
                )));
            }
        }
        let nothing = properties
            .iter()
            .any(|property| property.goal == Goal::Nothing);
        if nothing && !self.largest_difference && !self.ranges {
            return Err(usage(format!(
                "{}: holds_when is missing, expected a table such as {{never_class = \"clear\"}}",
                path.display()
            )));
        }
        if options.parts && properties.len() != 1 {
            return Err(usage(format!(
                "a certificate is of one property, and {} has {}; choose by --name",
                path.display(),
                names.join(", ")
            )));
        }
        Ok(properties)
    }

    fn rows(&self, device: &DeviceModel, path: &Path) -> Outcome<Vec<Vec<f32>>> {
        let data = device_rows(device, &self.model, path, &self.columns).map_err(usage)?;
        let rows = data.x.outer_iter();
        Ok(rows.map(|row| row.iter().copied().collect()).collect())
    }

    fn checked(&self, network: &Network, path: &Path, options: &Options) -> Outcome {
        let wrong = |error: thumbnet_prove::Error| usage(format!("{}: {error}", path.display()));
        let text = fs::read_to_string(path)
            .map_err(|error| usage(format!("{}: {error}", path.display())))?;
        let certificate = Certificate::read(&text).map_err(wrong)?;
        let holds = certificate.check(network, options.threads).map_err(wrong)?;
        let verdict = if holds { "holds" } else { "fails" };
        let property = &certificate.value["property"];
        match self.json {
            true => console::print_json(&json!({"verdict": verdict, "property": property}))?,
            false => console::print(&format!("{verdict}, as the certificate says: {property}\n"))?,
        }
        if holds {
            Ok(())
        } else {
            Err(Failure::Verdict(1))
        }
    }

    /// Calls the bar by what it is about.
    fn name_bar(&self, property: &Property, options: &Options) {
        if options.progress.is_some() {
            BAR.reset();
            BAR.set_message(match property.name.as_str() {
                "" => String::new(),
                name => format!("{} ", thumbnet_trainer::error::visible(name)),
            });
        }
    }

    fn differences(
        &self,
        network: &Network,
        other: &Other,
        properties: &[Property],
        options: &Options,
    ) -> Outcome {
        let mut list = Vec::new();
        for property in properties {
            self.name_bar(property, options);
            let found = largest_difference(network, other, &property.boxes, options);
            BAR.finish_and_clear();
            let found = found.map_err(|error| self.with_paths(error))?;
            match self.json {
                true => list.push(difference_json(property, &found)),
                false => console::print(&difference_text(property, &found))?,
            }
        }
        self.print_list(list)
    }

    fn reachable(&self, network: &Network, properties: &[Property], options: &Options) -> Outcome {
        let mut list = Vec::new();
        for property in properties {
            self.name_bar(property, options);
            let found = reachable(network, &property.boxes, options);
            BAR.finish_and_clear();
            let found = found.map_err(usage)?;
            match self.json {
                true => list.push(ranges_json(property, &found)),
                false => console::print(&ranges_text(property, &found))?,
            }
        }
        self.print_list(list)
    }

    /// With `--json` the only one, or all; else they are printed already.
    fn print_list(&self, mut list: Vec<Value>) -> Outcome {
        match self.json {
            true if list.len() == 1 => console::print_json(&list.remove(0)),
            true => console::print_json(&json!({"properties": list})),
            false => Ok(()),
        }
    }

    /// What is wrong, with the models that it is about.
    fn with_paths(&self, error: thumbnet_prove::Error) -> Failure {
        usage(match &self.against {
            Some(other) => format!(
                "{} against {}: {error}",
                self.model.display(),
                other.display()
            ),
            None => error.to_string(),
        })
    }

    /// Gives the board what breaks something: says how many rows there were, and where.
    fn replay(
        &self,
        device: &DeviceModel,
        found: &[(&Property, Proven)],
    ) -> Outcome<Option<(usize, &'static str)>> {
        let Some(board) = self.board else {
            return Ok(None);
        };
        let mut rows = Vec::new();
        for (property, outcome) in found {
            if let Verdict::Fails(example) = &outcome.verdict {
                rows.push((&example.inputs, &example.outputs));
                // The other row of one model.
                if let (Some(row), Goal::Relation(_), None) =
                    (&example.other, &property.goal, &self.against)
                {
                    rows.push((&row.inputs, &row.outputs));
                }
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let values: Vec<f32> = rows
            .iter()
            .flat_map(|(inputs, _)| inputs.iter().copied())
            .collect();
        let (name, answers) = run::emulated(device, board, &values)?;
        for ((inputs, outputs), answer) in rows.iter().zip(&answers) {
            let bits: Vec<u32> = outputs.iter().map(|y| y.to_bits()).collect();
            if bits != *answer {
                return Err(Error::value(format!(
                    "inputs {inputs:?} differ: {answer:08x?} on {name}, {bits:08x?} on this computer; please report this"
                ))
                .into());
            }
        }
        Ok(Some((rows.len(), name)))
    }

    fn decide(
        &self,
        device: &DeviceModel,
        network: &Network,
        other: Option<&Other>,
        properties: &[Property],
        options: &Options,
    ) -> Outcome {
        if let Some(path) = &self.certificate {
            atomic_file::check(path).map_err(usage)?;
        }
        let mut found = Vec::new();
        for property in properties {
            self.name_bar(property, options);
            let outcome = match other {
                None => prove(network, property, options),
                Some(other) => {
                    prove_against(network, other, &property.boxes, &property.goal, options)
                }
            };
            BAR.finish_and_clear();
            let outcome = outcome.map_err(|error| self.with_paths(error))?;
            if !self.json {
                console::print(&text_of(property, &outcome))?;
            }
            if let Some(path) = &self.certificate
                && let Some(certificate) =
                    Certificate::new(network, property, &outcome).map_err(usage)?
            {
                atomic_file::write_bytes(path, certificate.value.to_string().as_bytes())
                    .map_err(usage)?;
            }
            found.push((property, outcome));
        }
        let count = |verdict: &str| {
            found
                .iter()
                .filter(|(_, outcome)| word(&outcome.verdict) == verdict)
                .count()
        };
        let [holds, fails, unknown] = ["holds", "fails", "unknown"].map(count);
        let (code, all) = match (fails, unknown) {
            (0, 0) => (0, "holds"),
            (0, _) => (3, "unknown"),
            _ => (1, "fails"),
        };
        let several = found.len() != 1;
        let replayed = self.replay(device, &found)?;
        let board = replayed
            .map(|(rows, name)| json!({"board": name, "on": "QEMU", "rows": rows, "same": rows}));
        if self.json {
            let mut list: Vec<Value> = found
                .iter()
                .map(|(property, outcome)| json_of(property, outcome))
                .collect();
            let mut value = match several {
                false => list.remove(0),
                true => json!({
                    "verdict": all, "holds": holds, "fails": fails, "unknown": unknown, "properties": list,
                }),
            };
            value["replayed"] = json!(board);
            console::print_json(&value)?;
        } else {
            if let Some((rows, name)) = replayed {
                console::print(&format!(
                    "{name} in QEMU: {rows} of {rows} rows that break something gave the same bits as on this computer\n"
                ))?;
            }
            if several {
                console::print(&format!("{holds} hold, {fails} fail, {unknown} unknown\n"))?;
            }
        }
        match code {
            0 => Ok(()),
            code => Err(Failure::Verdict(code)),
        }
    }
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Fails(_) => "fails",
        Verdict::Unknown => "unknown",
    }
}

/// Columns of which a box says nothing, by name or number.
fn any(property: &Property) -> Vec<String> {
    let free = |&input: &usize| property.boxes.iter().any(|ranges| ranges[input].is_none());
    (0..property.boxes[0].len())
        .filter(free)
        .map(|input| property.column(input))
        .collect()
}

/// The inputs, and what they give.
fn example_text(property: &Property, example: &Counterexample) -> String {
    let pairs = |values: &[f32], name: &dyn Fn(usize) -> String| {
        let pairs = values
            .iter()
            .enumerate()
            .map(|(index, value)| format!("{}={value}", name(index)));
        pairs.collect::<Vec<_>>().join(", ")
    };
    let inputs = |values: &[f32]| pairs(values, &|input| property.column(input));
    let outputs = |values: &[f32]| pairs(values, &|output| property.output(output));
    let mut text = format!("{}: {}", inputs(&example.inputs), outputs(&example.outputs));
    if let Some(row) = &example.other {
        text += &match row.inputs == example.inputs {
            true => format!("; the other model: {}", outputs(&row.outputs)),
            false => format!("; for {}: {}", inputs(&row.inputs), outputs(&row.outputs)),
        };
    }
    text
}

fn difference_text(property: &Property, found: &Difference) -> String {
    let name = match property.name.as_str() {
        "" => String::new(),
        name => format!("{name}: "),
    };
    let extent = match found.bound <= found.reached {
        true => format!("the outputs differ by at most {}", found.reached),
        false => format!(
            "the greatest difference of an output is from {} to {}",
            found.reached, found.bound
        ),
    };
    let example = found.example.as_ref();
    let example = example.map_or(String::new(), |example| {
        format!(
            "; {} for {}",
            found.reached,
            example_text(property, example)
        )
    });
    format!(
        "{name}{extent}{example}\n  {:.2} s, {:.4e} quantized inputs\n",
        found.outcome.elapsed.as_secs_f64(),
        found.outcome.inputs
    )
}

fn difference_json(property: &Property, found: &Difference) -> Value {
    let example = found.example.as_ref();
    json!({
        "property": property.name,
        "reached": found.reached,
        "bound": found.bound.is_finite().then_some(found.bound),
        "inputs": example.map(|example| &example.inputs),
        "outputs": example.map(|example| &example.outputs),
        "other_outputs": example.and_then(|example| Some(&example.other.as_ref()?.outputs)),
        "quantized_inputs": found.outcome.inputs,
        "seconds": found.outcome.elapsed.as_secs_f64(),
    })
}

/// A line for each unit.
fn ranges_text(property: &Property, found: &[Vec<Range>]) -> String {
    let end = |range: &Range, end: usize| match (range.reached[end], range.bound[end]) {
        (reached, bound) if reached == bound => format!("{reached}"),
        (reached, bound) => format!("{reached} (no further than {bound})"),
    };
    let mut text = match property.name.as_str() {
        "" => String::new(),
        name => format!("{name}:\n"),
    };
    for (layer, ranges) in found.iter().enumerate() {
        for (unit, range) in ranges.iter().enumerate() {
            let name = match layer + 1 == found.len() {
                true => property.output(unit),
                false => format!("layer {}, unit {unit}", layer + 1),
            };
            text += &format!("{name}: {} to {}\n", end(range, 0), end(range, 1));
        }
    }
    text
}

fn ranges_json(property: &Property, found: &[Vec<Range>]) -> Value {
    let number = |x: f64| x.is_finite().then_some(x);
    let layers = found.iter().map(|ranges| {
        let ranges = ranges.iter().map(
            |range| json!({"reached": range.reached.map(number), "bound": range.bound.map(number)}),
        );
        ranges.collect::<Value>()
    });
    json!({"property": property.name, "layers": layers.collect::<Value>()})
}

fn text_of(property: &Property, outcome: &Proven) -> String {
    let mut text = match property.name.as_str() {
        "" => String::new(),
        name => format!("{name}: "),
    };
    let seconds = outcome.elapsed.as_secs_f64();
    text += &match &outcome.verdict {
        Verdict::Holds => format!("holds for all of {:.4e} quantized inputs", outcome.inputs),
        Verdict::Fails(example) => format!("fails for {}", example_text(property, example)),
        Verdict::Unknown => format!(
            "unknown, {:.2} % of {:.4e} quantized inputs decided; give it more --timeout",
            outcome.decided * 100.0,
            outcome.inputs
        ),
    };
    text += &format!(
        "\n  {seconds:.2} s, {} parts by bounds or halved, {} parts input by input ({:.4e} inputs)\n",
        outcome.bounded - outcome.enumerated,
        outcome.enumerated,
        outcome.computed
    );
    let free = any(property);
    if !free.is_empty() {
        text += &format!("  any value of {}\n", free.join(", "));
    }
    text
}

fn json_of(property: &Property, outcome: &Proven) -> Value {
    let example = match &outcome.verdict {
        Verdict::Fails(example) => Some(example),
        Verdict::Holds | Verdict::Unknown => None,
    };
    let other = example.and_then(|example| example.other.as_ref());
    json!({
        "property": property.name,
        "verdict": word(&outcome.verdict),
        "counterexample": example.map(|example| &example.inputs),
        "outputs": example.map(|example| &example.outputs),
        "other_inputs": other.map(|row| &row.inputs),
        "other_outputs": other.map(|row| &row.outputs),
        "any_value": any(property),
        "quantized_inputs": outcome.inputs,
        "decided": outcome.decided,
        "parts": outcome.bounded,
        "enumerated_parts": outcome.enumerated,
        "computed_inputs": outcome.computed,
        "seconds": outcome.elapsed.as_secs_f64(),
    })
}
