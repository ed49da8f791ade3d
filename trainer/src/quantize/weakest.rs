//! Which layer costs the most accuracy, found by trying it in float, and the cheapest cure.

use serde::Serialize;

use super::data_type::DataType;
use super::plan::Plan;
use super::tune::Tuned;
use crate::Result;

/// The layer whose arithmetic causes most of the outputs' error.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weakest {
    /// Name of the layer.
    pub layer: String,
    /// Its arithmetic.
    pub data_type: String,
    /// The part of the outputs' mean squared error on the calibration rows that goes away with
    /// float32 in this layer alone.
    pub share: f64,
    /// The smallest change that takes at least half of that away; none where nothing needs to be
    /// done.
    pub fix: Option<Fix>,
}

/// Another arithmetic for one layer, measured on the calibration rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fix {
    /// What `--dtype` takes, with the types that the other layers have now.
    pub dtype: String,
    /// The part of the outputs' mean squared error that goes away.
    pub share: f64,
    /// Bytes of flash more than now.
    pub flash_bytes: i64,
}

/// Outputs this far above their error, in dB, need no cure: a hundredth in amplitude.
const CLEAN_DB: f64 = 40.0;

/// Tries each layer in float32, and the types between its own and float32 for the worst one;
/// `flash` says how large a plan's blob is. None where float32 in no layer lowers the error.
///
/// # Errors
///
/// As [`Plan::new`].
pub(super) fn weakest(
    tuned: &Tuned,
    flash: impl Fn(&Plan) -> Result<usize>,
) -> Result<Option<Weakest>> {
    let types = &tuned.options.types;
    let error = tuned.plan.error;
    let attempt = |layer: usize, data_type: DataType| -> Result<Plan> {
        let mut options = tuned.options.clone();
        options.types[layer] = data_type;
        tuned.refined(options)
    };
    let mut worst: Option<(usize, f64)> = None;
    for layer in (0..types.len()).filter(|layer| types[*layer] != DataType::Float32) {
        let gain = error - attempt(layer, DataType::Float32)?.error;
        if gain > worst.map_or(0.0, |(_, most)| most) {
            worst = Some((layer, gain));
        }
    }
    let Some((layer, gain)) = worst else {
        return Ok(None);
    };
    let clean = tuned
        .plan
        .layers()
        .last()
        .is_some_and(|last| last.signal_to_noise >= CLEAN_DB);
    let mut fix = None;
    let above = DataType::ALL.iter().filter(|up| **up > types[layer]);
    for &data_type in above.filter(|_| !clean) {
        let plan = attempt(layer, data_type)?;
        if error - plan.error >= gain / 2.0 {
            // Blobs are far below 2^63 bytes.
            let flash_bytes = flash(&plan)? as i64 - flash(&tuned.plan)? as i64;
            fix = Some(Fix {
                dtype: dtype(tuned, layer, data_type),
                share: 1.0 - plan.error / error,
                flash_bytes,
            });
            break;
        }
    }
    Ok(Some(Weakest {
        layer: tuned.chain.layers[layer].name.clone(),
        data_type: types[layer].to_string(),
        share: gain / error,
        fix,
    }))
}

/// `--dtype` for the types as they are, with another one for `changed`.
fn dtype(tuned: &Tuned, changed: usize, data_type: DataType) -> String {
    let types = tuned.options.types.iter().enumerate();
    let names = tuned.chain.layers.iter().map(|layer| &layer.name);
    let pairs: Vec<String> = types
        .zip(names)
        .map(|((index, own), name)| (name, if index == changed { data_type } else { *own }))
        .filter(|(_, data_type)| *data_type != DataType::Int8)
        .map(|(name, data_type)| format!("{name}={data_type}"))
        .collect();
    match pairs.is_empty() {
        true => DataType::Int8.to_string(),
        false => pairs.join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{network, uniform};
    use super::super::tune::tune;
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_one_int4_layer_among_int16_is_found_and_int8_is_the_cheapest_cure() {
        let mut rng = ChaCha8Rng::seed_from_u64(31);
        let mut chain = network(&[8, 16, 12, 4], &["relu", "relu", "linear"], &mut rng);
        for (layer, name) in chain.layers.iter_mut().zip(["a", "b", "c"]) {
            layer.name = name.to_owned();
        }
        let rows = uniform((300, 8), 20.0, &mut rng) + 50.0;
        for guilty in 0..3 {
            let mut types = [DataType::Int16; 3];
            types[guilty] = DataType::Int4;
            let tuned = tune(&chain, &rows.view(), &types, None).expect("a plan");
            let found = weakest(&tuned, |plan| Ok(plan.steps.len()))
                .expect("plans")
                .expect("int4 costs something");
            let name = ["a", "b", "c"][guilty];
            assert_eq!(
                (found.layer.as_str(), found.data_type.as_str()),
                (name, "int4")
            );
            assert!(found.share > 0.9, "{found:?}");
            let fix = found.fix.expect("int4 is far from clean");
            let others: Vec<String> = ["a", "b", "c"]
                .iter()
                .filter(|other| **other != name)
                .map(|other| format!("{other}=int16x8"))
                .collect();
            assert_eq!(fix.dtype, others.join(","));
        }
    }
}
