//! `unit/activations.json`: values and slopes of every activation.

use serde_json::{Map, Value, json};
use thumbnet_trainer::activations::Activation;

use super::{Near, Tally, flat, near, table, width};

/// Relative tolerance of the tables.
const RELATIVE: f64 = 1e-6;
/// What slopes may differ by absolutely: TensorFlow's float32 tanh and sigmoid are off by up to five
/// units in the last place of results near 1 (6e-8 each), and `1 - y²` inherits that however small
/// it is.
const SLOPE: f64 = 5e-7;
/// Functions whose values are differences of a tanh from something as large, times `x` in slopes;
/// 8 times is enough, tanh is 1 beyond.
const DIFFERENCES: [&str; 3] = ["mish", "gelu(approximate=True)", "tanh_shrink"];

/// Checks every entry; `None` where the golden folder has no such table.
pub fn check() -> Option<Tally> {
    let file = table("activations.json")?;
    let mut tally = Tally::default();
    let x = flat(&file["x"]);
    for (name, entry) in file["elementwise"].as_object().into_iter().flatten() {
        let found = elementwise(name, &x, entry);
        tally.entry(&format!("activations.json {name}"), &found);
    }
    let matrix = &file["matrix"];
    for (name, entry) in matrix["out"].as_object().into_iter().flatten() {
        let found = along_rows(name, matrix, entry);
        tally.entry(&format!("activations.json {name}"), &found);
    }
    for name in file["string_identifiers"].as_array().into_iter().flatten() {
        let found = identify(name.as_str().unwrap_or_default());
        tally.entry(&format!("activations.json name {name}"), &found);
    }
    Some(tally)
}

/// `relu(negative_slope=0.1,max_value=2)`, `ELU layer alpha=0.5`, `LeakyReLU layer default` as
/// Keras serializes them.
fn described(name: &str) -> Value {
    let end = name
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(name.len());
    let (class_name, rest) = name.split_at(end);
    let mut config = Map::new();
    let rest = rest.replace("layer", "").replace(['(', ')'], "");
    for pair in rest.split(',') {
        if let Some((key, value)) = pair.trim().split_once('=') {
            let value = match value {
                "True" => json!(true),
                "False" => json!(false),
                number => json!(number.parse::<f64>().expect("a number")),
            };
            config.insert(key.to_owned(), value);
        }
    }
    if class_name == "threshold" && config.is_empty() {
        // The one function without defaults; the table does not say with what it was called.
        config.insert("threshold".into(), json!(0.5));
        config.insert("default_value".into(), json!(0.1));
    }
    if config.is_empty() && end == name.len() {
        return json!(name);
    }
    json!({"class_name": class_name, "config": config})
}

fn elementwise(name: &str, x: &[f32], entry: &Value) -> Vec<String> {
    let activation = match Activation::from_config(&described(name)) {
        Ok(activation) => activation,
        Err(error) => return vec![error.to_string()],
    };
    let mut y = x.to_vec();
    activation.forward(&mut y, 1);
    let difference = DIFFERENCES.contains(&name);
    // Of other values only those differ that Keras itself flushes to 0.
    let values = tolerance(if difference { SLOPE } else { 1e-30 });
    let slopes = tolerance(if difference { 8.0 * SLOPE } else { SLOPE });
    let mut problems = near("y", &y, &flat(&entry["y"]), values);
    let mut slope = vec![1.0; x.len()];
    activation.backward(x, &y, &mut slope, 1);
    problems.extend(near("dydx", &slope, &flat(&entry["dydx"]), slopes));
    problems
}

fn tolerance(absolute: f64) -> Near {
    Near {
        relative: RELATIVE,
        absolute,
    }
}

fn along_rows(name: &str, matrix: &Value, entry: &Value) -> Vec<String> {
    let activation: Activation = match name.parse() {
        Ok(activation) => activation,
        Err(error) => return vec![format!("{error}")],
    };
    let (x, width) = (flat(&matrix["x"]), width(&matrix["x"]));
    let mut y = x.clone();
    activation.forward(&mut y, width);
    let mut problems = near("y", &y, &flat(&entry["y"]), tolerance(SLOPE));
    let mut gradient = flat(&matrix["upstream"]);
    activation.backward(&x, &y, &mut gradient, width);
    let expected = flat(&entry["grad_for_upstream"]);
    problems.extend(near("gradient", &gradient, &expected, tolerance(SLOPE)));
    problems
}

/// Every name that Keras takes is taken, or refused with what to do instead.
fn identify(name: &str) -> Vec<String> {
    match (name, name.parse::<Activation>()) {
        // Keras takes the name, and raises at the first call: the function has no defaults.
        ("threshold", Err(error)) if error.to_string().contains("has no defaults") => vec![],
        // Changes the width of its layer.
        ("glu", Err(error)) if error.to_string().contains("halves the width") => vec![],
        (_, Ok(activation)) => {
            let canonical = match name {
                "swish" => "silu",
                "hard_swish" => "hard_silu",
                other => other,
            };
            if activation.config() == canonical {
                vec![]
            } else {
                vec![format!("is saved as {}", activation.config())]
            }
        }
        (_, Err(error)) => vec![error.to_string()],
    }
}
