//! `thumbnet prove`: whether a property of a device model holds for every input.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgGroup, Args};
use serde_json::{Value, json};
use thumbnet_prove::{
    Certificate, Counterexample, Network, Options, Outcome as Proven, Property, Verdict, prove,
};
use thumbnet_trainer::{atomic_file, quantize::DeviceModel};

use super::{Failure, Outcome, console, data::ColumnArguments, models::device_rows};

/// Proofs of a device model: a property holds for every input of a box, or here is one that breaks it
///
/// Decided over the device's own integers and roundings, for all inputs, not samples of them.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("question").required(true).args(["property", "rows", "check"]),
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
    property: Option<PathBuf>,
    /// One of the file's properties [default: all]
    #[arg(long, value_name = "NAME", requires = "property")]
    name: Option<String>,
    /// Table or array of rows: whether each keeps its class within --radius
    #[arg(long, value_name = "FILE", requires = "radius")]
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
        let found = match (&self.property, &self.rows, &self.check) {
            (Some(path), _, _) => self.properties(&network, path, &options)?,
            (_, Some(path), _) => {
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
            (_, _, Some(path)) => return self.checked(&network, path, &options),
            (None, None, None) => Vec::new(),
        };
        self.decide(&network, &found, &options)
    }

    fn options(&self) -> Outcome<Options> {
        let timeout = Duration::try_from_secs_f64(self.timeout)
            .map_err(|error| usage(format!("--timeout {}: {error}", self.timeout)))?;
        let mut options = Options {
            timeout,
            parts: self.certificate.is_some(),
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

    fn decide(&self, network: &Network, properties: &[Property], options: &Options) -> Outcome {
        if let Some(path) = &self.certificate {
            atomic_file::check(path).map_err(usage)?;
        }
        let mut found = Vec::new();
        for property in properties {
            let outcome = prove(network, property, options).map_err(usage)?;
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
        if self.json {
            let mut list: Vec<Value> = found
                .iter()
                .map(|(property, outcome)| json_of(property, outcome))
                .collect();
            console::print_json(&match several {
                false => list.remove(0),
                true => json!({
                    "verdict": all, "holds": holds, "fails": fails, "unknown": unknown, "properties": list,
                }),
            })?;
        } else if several {
            console::print(&format!("{holds} hold, {fails} fail, {unknown} unknown\n"))?;
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
