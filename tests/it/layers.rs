//! Models of Keras give its outputs layer by layer, its configs and its summaries.

use thumbnet_tests::golden;
use thumbnet_tests::unit_tables::Tally;
use thumbnet_trainer::Sequential;
use thumbnet_trainer::sequential::SummaryOptions;

/// Largest difference of any layer's output to Keras', in proportion to outputs above 1.
fn outputs(folder: &std::path::Path) -> Result<(), String> {
    let say = |e: thumbnet_trainer::Error| e.to_string();
    let metadata = golden::json(&folder.join("metadata.json"));
    let mut model =
        Sequential::from_serialized(&golden::json(&folder.join("config.json"))).map_err(say)?;
    let keys = metadata["weights"].as_array().ok_or("no weights")?;
    let weights = keys.iter().map(|w| {
        golden::npz(
            &folder.join("weights.npz"),
            w["key"].as_str().unwrap_or_default(),
        )
    });
    model
        .set_weights(&weights.collect::<Vec<_>>())
        .map_err(say)?;
    let x = golden::npy(&folder.join("x.npy"));
    let x = x.slice_axis(ndarray::Axis(0), ndarray::Slice::from(..4));
    let found = model.layer_outputs(&x).map_err(say)?;
    let expected = metadata["layer_outputs"].as_array().ok_or("no outputs")?;
    if found.len() != expected.len() {
        return Err(format!(
            "{} layers, expected {}",
            found.len(),
            expected.len()
        ));
    }
    for (found, entry) in found.iter().zip(expected) {
        let wanted = golden::npz(
            &folder.join("layer_outputs.npz"),
            entry["key"].as_str().unwrap_or_default(),
        );
        if found.shape() != wanted.shape() {
            return Err(format!(
                "{}: shape {:?}, expected {:?}",
                entry["layer"],
                found.shape(),
                wanted.shape()
            ));
        }
        for (a, b) in found.iter().zip(&wanted) {
            // NaN must not pass.
            if (a - b).abs() > 1e-5 * b.abs().max(1.0) || (a - b).is_nan() {
                return Err(format!("{}: {a}, expected {b}", entry["layer"]));
            }
        }
    }
    Ok(())
}

#[test]
fn every_model_of_keras_gives_its_outputs_layer_by_layer() {
    let mut tally = Tally::default();
    for folder in golden::folders("cases", "layer_outputs.npz") {
        let problems: Vec<_> = outputs(&folder).err().into_iter().collect();
        tally.entry(&golden::name(&folder), &problems);
    }
    println!("layer outputs: {} of {} cases", tally.followed, tally.total);
    assert!(tally.failures.is_empty(), "\n{}", tally.failures.join("\n"));
}

#[test]
fn every_architecture_is_written_as_keras_writes_it() {
    let mut tally = Tally::default();
    for folder in golden::folders("cases", "config.json") {
        let expected = golden::json(&folder.join("config.json"));
        let found = Sequential::from_json(&expected.to_string());
        let problem = match found {
            Err(error) => Some(error.to_string()),
            Ok(model) => {
                let found: serde_json::Value = serde_json::from_str(&model.to_json()).unwrap();
                difference("", &found, &expected)
            }
        };
        tally.entry(
            &golden::name(&folder),
            &problem.into_iter().collect::<Vec<_>>(),
        );
    }
    println!("architectures: {} of {} cases", tally.followed, tally.total);
    assert!(tally.failures.is_empty(), "\n{}", tally.failures.join("\n"));
}

/// The first place where two values differ.
fn difference(
    path: &str,
    found: &serde_json::Value,
    expected: &serde_json::Value,
) -> Option<String> {
    use serde_json::Value::{Array, Object};
    match (found, expected) {
        (Object(a), Object(b)) => {
            let extra = a.keys().find(|key| !b.contains_key(*key));
            if let Some(key) = extra {
                return Some(format!("{path}.{key} is not Keras'"));
            }
            b.iter().find_map(|(key, b)| {
                let path = format!("{path}.{key}");
                match a.get(key) {
                    Some(a) => difference(&path, a, b),
                    None => Some(format!("{path} is missing")),
                }
            })
        }
        (Array(a), Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(i, (a, b))| difference(&format!("{path}[{i}]"), a, b))
        }
        // A layer adapted before it joined the model has the number of rows there.
        _ if path.ends_with("build_config.input_shape[0]") => None,
        (a, b) if a == b => None,
        (a, b) => Some(format!("{path} is {a}, expected {b}")),
    }
}

#[test]
fn every_summary_reads_as_keras_does() {
    let mut tally = Tally::default();
    for folder in golden::folders("cases", "summary.txt") {
        let expected = std::fs::read_to_string(folder.join("summary.txt")).unwrap();
        let config = golden::json(&folder.join("config.json"));
        let problem = match Sequential::from_json(&config.to_string()) {
            Err(error) => Some(error.to_string()),
            Ok(mut model) => {
                model.build_optimizer();
                let found = model.summary_with(SummaryOptions {
                    line_length: 80,
                    ..SummaryOptions::default()
                });
                (found.trim_end() != expected.trim_end())
                    .then(|| format!("\n{found}\nexpected\n{expected}"))
            }
        };
        tally.entry(
            &golden::name(&folder),
            &problem.into_iter().collect::<Vec<_>>(),
        );
    }
    println!("summaries: {} of {} cases", tally.followed, tally.total);
    assert!(tally.failures.is_empty(), "\n{}", tally.failures.join("\n"));
}
