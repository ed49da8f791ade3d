//! `unit/initializers.json`: seeded values, the generator's bits, statistics of unseeded ones.

use serde_json::{Map, Value, json};
use thumbnet_trainer::initializers::{Initializer, Philox};

use super::{Near, Tally, flat, near, number, table};

/// Relative tolerance of the tables. Values near 0 come out of a cosine or a factorization of
/// values near 1.
const TOLERANCE: Near = Near {
    relative: 1e-6,
    absolute: 1e-6,
};

/// Checks every entry; `None` where the golden folder has no such table.
pub fn check() -> Option<Tally> {
    let file = table("initializers.json")?;
    let mut tally = Tally::default();
    for entry in file["statistics"].as_array().into_iter().flatten() {
        let class = entry["cls"].as_str().unwrap_or_default();
        let name = format!(
            "initializers.json {class} {} {}",
            entry["kwargs"], entry["shape"]
        );
        tally.entry(&name, &statistics(entry));
    }
    let exact = &file["exact_seeded"];
    for entry in exact["values"].as_array().into_iter().flatten() {
        let class = entry["cls"].as_str().unwrap_or_default();
        let name = format!("initializers.json {class} seed {}", entry["seed"]);
        let config = json!({"class_name": class, "config": {"seed": entry["seed"]}});
        let found = sampled(&config, &entry["shape"], &entry["value"]);
        tally.entry(&name, &found);
    }
    for entry in exact["philox"].as_array().into_iter().flatten() {
        let name = format!("initializers.json philox {}", entry["seed"]);
        tally.entry(&name, &philox(entry));
    }
    let identity = json!({"class_name": "Identity", "config": {"gain": 2.0}});
    let found = sampled(&identity, &json!([3, 5]), &file["facts"]["identity_3x5"]);
    tally.entry("initializers.json identity", &found);
    for name in file["string_identifiers"].as_array().into_iter().flatten() {
        let found = identify(name.as_str().unwrap_or_default());
        tally.entry(&format!("initializers.json name {name}"), &found);
    }
    Some(tally)
}

fn shape(value: &Value) -> Vec<usize> {
    let axes = value.as_array().expect("a shape").iter();
    axes.map(|n| n.as_u64().expect("an axis") as usize)
        .collect() // small
}

fn sampled(config: &Value, axes: &Value, expected: &Value) -> Vec<String> {
    match Initializer::from_config(config) {
        Ok(initializer) => {
            let found = initializer.sample(&shape(axes), 0);
            near("values", &found, &flat(expected), TOLERANCE)
        }
        Err(error) => vec![error.to_string()],
    }
}

fn philox(entry: &Value) -> Vec<String> {
    let seed = entry["seed"][0].as_u64().expect("a seed");
    let mut problems = Vec::new();
    let words = entry["uint32"].as_array().expect("words");
    let mut generator = Philox::new(seed);
    let found: Vec<u64> = (0..words.len().div_ceil(4))
        .flat_map(|_| generator.step())
        .map(u64::from)
        .collect();
    if !words.iter().zip(&found).all(|(word, &found)| word == found) {
        problems.push(format!("words are {:?}..", &found[..4]));
    }
    let len = words.len();
    for (key, found) in [
        ("uniform01", Philox::new(seed).uniform(len)),
        ("random_normal_std1", Philox::new(seed).normal(len)),
        (
            "truncated_normal_std1",
            Philox::new(seed).truncated_normal(len),
        ),
    ] {
        problems.extend(near(key, &found, &flat(&entry[key]), TOLERANCE));
    }
    problems
}

/// Mean, spread and limits of our own values lie as close to theory as chance allows.
fn statistics(entry: &Value) -> Vec<String> {
    let saved = json!({"class_name": entry["cls"], "config": entry["kwargs"]});
    let initializer = match Initializer::from_config(&saved) {
        Ok(initializer) => initializer,
        Err(error) => return vec![error.to_string()],
    };
    let values = initializer.sample(&shape(&entry["shape"]), 20_241);
    let n = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let moment = |power: i32| {
        let powers = values.iter().map(|&v| (f64::from(v) - mean).powi(power));
        powers.sum::<f64>() / n
    };
    let (std, fourth) = (moment(2).sqrt(), moment(4));
    let empty = Map::new();
    let theory = entry["theory"].as_object().unwrap_or(&empty);
    let kwargs = |key: &str, default: f64| entry["kwargs"].get(key).map_or(default, number);
    let (low, high) = (kwargs("minval", -0.05), kwargs("maxval", 0.05));
    let uniform = entry["cls"] == "RandomUniform";
    let centre = if uniform {
        (low + high) / 2.0
    } else {
        kwargs("mean", 0.0)
    };
    let spread = match theory.get("std") {
        Some(std) => number(std),
        None if uniform => (high - low) / 12f64.sqrt(),
        None => kwargs("stddev", 0.05),
    };
    let mut problems = Vec::new();
    // Five standard errors: one in two million samples is further off.
    if (mean - centre).abs() > 5.0 * spread / n.sqrt() {
        problems.push(format!("mean is {mean}, expected {centre}"));
    }
    let error_of_variance = ((fourth - moment(2).powi(2)) / n).sqrt();
    if (std * std - spread * spread).abs() > 5.0 * error_of_variance {
        problems.push(format!("deviation is {std}, expected {spread}"));
    }
    let kurtosis = fourth / moment(2).powi(2);
    let expected = number(&entry["observed"]["kurtosis"]);
    // Kurtosis of the normal has a standard error of √(24/n), of the others less; both sides vary.
    if (kurtosis - expected).abs() > 5.0 * (48.0 / n).sqrt() {
        problems.push(format!("kurtosis is {kurtosis}, observed {expected}"));
    }
    let largest = values
        .iter()
        .fold(0f64, |a, &v| a.max((f64::from(v) - centre).abs()));
    let limit = ["limit", "cut"].iter().find_map(|key| theory.get(*key));
    if let Some(limit) = limit.map(number)
        && largest > limit * (1.0 + 1e-6)
    {
        problems.push(format!("{largest} is beyond the limit {limit}"));
    }
    problems
}

/// Every name that Keras takes is taken, or refused by name.
fn identify(name: &str) -> Vec<String> {
    match (name.to_lowercase().as_str(), name.parse::<Initializer>()) {
        // The base class, and the kernel of a spectrogram.
        ("initializer" | "stft" | "stftinitializer", Err(_)) => vec![],
        // Keras knows the name, and then misses the value (a KeyError).
        ("constant", Err(error)) if error.to_string().contains("value") => vec![],
        ("constant", Ok(_)) => vec!["taken without its value".to_string()],
        (_, Ok(_)) => vec![],
        (_, Err(error)) => vec![error.to_string()],
    }
}
