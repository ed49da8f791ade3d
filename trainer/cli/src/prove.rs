//! `thumbnet prove`: whether a property of a device model holds for every input.

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use serde_json::{Value, json};
use thumbnet_prove::{
    Counterexample, Network, Options, Outcome as Proven, Property, Verdict, prove,
};
use thumbnet_trainer::quantize::DeviceModel;

use super::{Failure, Outcome, console};

/// Proofs of a device model: a property holds for every input of a box, or here is one that breaks it
///
/// Decided over the device's own integers and roundings, for all inputs, not samples of them.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all hold; 1 one fails; 3 one is unknown after the time, and none fails; 2 anything else\n\nExample: thumbnet prove model.tnet --property property.toml"
)]
pub struct Prove {
    /// Device model (.tnet) of integer layers
    model: PathBuf,
    /// Properties, TOML or JSON: boxes of raw values by column, and what holds of every input in them, such as
    /// {"boxes": [{"rho": [1500, 1800]}], "holds_when": {"never_class": "clear"}}; a column left out may be
    /// anything. Of holds_when there are always_class, never_class, always_largest, never_largest,
    /// always_smallest, never_smallest, and output with at_least, at_most or margin
    #[arg(long, value_name = "FILE")]
    property: PathBuf,
    /// One of the file's properties [default: all]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// After which a property is unknown
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    timeout: f64,
    /// Threads to use [default: THUMBNET_THREADS, else as many as there are cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Prove {
    pub fn run(&self) -> Outcome {
        // Whatever is wrong here is no verdict: exit code 2, since 1 says that a property fails.
        let usage = |error: &dyn std::fmt::Display| Failure::usage(error.to_string());
        let device = DeviceModel::load(&self.model).map_err(|error| usage(&error))?;
        let network = Network::new(device.bytes())
            .map_err(|error| Failure::usage(format!("{}: {error}", self.model.display())))?;
        let path = self.property.display();
        let text = fs::read_to_string(&self.property)
            .map_err(|error| Failure::usage(format!("{path}: {error}")))?;
        let mut properties = Property::read(&text, &network)
            .map_err(|error| Failure::usage(format!("{path}: {error}")))?;
        if let Some(name) = &self.name {
            let names: Vec<String> = properties
                .iter()
                .map(|property| property.name.clone())
                .collect();
            properties.retain(|property| property.name == *name);
            if properties.is_empty() {
                return Err(Failure::usage(format!(
                    "{path} has no property {name:?}, expected one of {}",
                    names.join(", ")
                )));
            }
        }
        let timeout = Duration::try_from_secs_f64(self.timeout)
            .map_err(|error| Failure::usage(format!("--timeout {}: {error}", self.timeout)))?;
        let mut options = Options {
            timeout,
            ..Options::default()
        };
        let variable = std::env::var("THUMBNET_THREADS")
            .ok()
            .and_then(|text| text.parse().ok());
        options.threads = self.threads.or(variable).unwrap_or(options.threads);
        if options.threads == 0 {
            return Err(Failure::usage("--threads is 0, expected 1 or more"));
        }
        let mut found = Vec::new();
        for property in &properties {
            let outcome = prove(&network, property, &options).map_err(|error| usage(&error))?;
            if !self.json {
                console::print(&text_of(property, &outcome))?;
            }
            found.push((property, outcome));
        }
        let is = |verdict: &str| {
            found
                .iter()
                .any(|(_, outcome)| word(&outcome.verdict) == verdict)
        };
        let (code, all) = match (is("fails"), is("unknown")) {
            (true, _) => (1, "fails"),
            (false, true) => (3, "unknown"),
            (false, false) => (0, "holds"),
        };
        if self.json {
            let mut list: Vec<Value> = found
                .iter()
                .map(|(property, outcome)| json_of(property, outcome))
                .collect();
            console::print_json(&match list.len() {
                1 => list.remove(0),
                _ => json!({"verdict": all, "properties": list}),
            })?;
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

fn text_of(property: &Property, outcome: &Proven) -> String {
    let mut text = match property.name.as_str() {
        "" => String::new(),
        name => format!("{name}: "),
    };
    let seconds = outcome.elapsed.as_secs_f64();
    text += &match &outcome.verdict {
        Verdict::Holds => format!("holds for all of {:.4e} quantized inputs", outcome.inputs),
        Verdict::Fails(Counterexample { inputs, outputs }) => {
            let pairs = |values: &[f32], name: &dyn Fn(usize) -> String| {
                let pairs = values
                    .iter()
                    .enumerate()
                    .map(|(index, value)| format!("{}={value}", name(index)));
                pairs.collect::<Vec<_>>().join(", ")
            };
            format!(
                "fails for {}: {}",
                pairs(inputs, &|input| property.column(input)),
                pairs(outputs, &|output| property.output(output))
            )
        }
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
    let (inputs, outputs) = match &outcome.verdict {
        Verdict::Fails(example) => (Some(&example.inputs), Some(&example.outputs)),
        Verdict::Holds | Verdict::Unknown => (None, None),
    };
    json!({
        "property": property.name,
        "verdict": word(&outcome.verdict),
        "counterexample": inputs,
        "outputs": outputs,
        "any_value": any(property),
        "quantized_inputs": outcome.inputs,
        "decided": outcome.decided,
        "parts": outcome.bounded,
        "enumerated_parts": outcome.enumerated,
        "computed_inputs": outcome.computed,
        "seconds": outcome.elapsed.as_secs_f64(),
    })
}
