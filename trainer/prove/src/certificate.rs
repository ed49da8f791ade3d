//! What a proof leaves behind: enough to be checked by other code.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    check,
    domain::Domain,
    error::{Error, Result},
    goal::Goal,
    network::Network,
    parts::Node,
    property::Property,
    search::{Outcome, Verdict},
};

/// The version of the format.
const VERSION: u64 = 1;
const NONE_OF_RELATIONS: &str = "certificates are of what one row's outputs are, not of two models, and not of rising or falling";

/// A verdict with its reasons: JSON with the model's CRC and SHA-256, the property, and how each box was cut.
///
/// `parts` has a word for each part, first the whole box: `2<-17` cuts it in those inputs whose quantized input 2 is
/// at most -17, whose words come next, and the others, whose words follow; `b` was decided by bounds, `e` by
/// computing every input.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// What it says, in words as JSON has them.
    pub value: Value,
}

fn hash(network: &Network) -> (String, String) {
    let digest = Sha256::digest(network.bytes);
    let digest: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let crc = network
        .bytes
        .last_chunk::<4>()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes));
    (format!("{crc:08x}"), digest.concat())
}

impl Certificate {
    /// Of a verdict that was looked for with [`Options::parts`](crate::Options::parts); none of an unknown one.
    ///
    /// # Errors
    ///
    /// As [`prove`](crate::prove).
    pub fn new(network: &Network, property: &Property, outcome: &Outcome) -> Result<Option<Self>> {
        if matches!(property.goal, Goal::Relation(_)) {
            return Error::property(NONE_OF_RELATIONS);
        }
        let (crc, sha256) = hash(network);
        let mut value = json!({
            "thumbnet_certificate": VERSION,
            "model": {"crc32": crc, "sha256": sha256},
            "property": property.source,
        });
        match &outcome.verdict {
            Verdict::Unknown => return Ok(None),
            Verdict::Fails(example) => {
                value["verdict"] = "fails".into();
                value["counterexample"] = json!(example.inputs);
                value["outputs"] = json!(example.outputs);
            }
            Verdict::Holds => {
                value["verdict"] = "holds".into();
                let parts = property
                    .boxes
                    .iter()
                    .zip(&outcome.parts)
                    .map(|(ranges, tree)| {
                        Ok(Value::from(words(&Domain::new(network, ranges)?, tree)))
                    });
                value["parts"] = Value::Array(parts.collect::<Result<_>>()?);
                value["bounded"] = (outcome.bounded - outcome.enumerated).into();
                value["enumerated"] = outcome.enumerated.into();
            }
        }
        Ok(Some(Self { value }))
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// [`Error::Certificate`] for what is none.
    pub fn read(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Error::Certificate(format!("no JSON: {error}")))?;
        if value["thumbnet_certificate"] != VERSION {
            return Error::certificate(format!(
                "its version is {}, expected {VERSION}",
                value["thumbnet_certificate"]
            ));
        }
        Ok(Self { value })
    }

    /// Its property.
    ///
    /// # Errors
    ///
    /// [`Error::Property`] where it does not fit the model.
    pub fn property(&self, network: &Network) -> Result<Property> {
        let empty = Map::new();
        Property::of(
            "",
            self.value["property"].as_object().unwrap_or(&empty),
            network,
        )
    }

    /// Goes through it again, by code that shares nothing with the search but the model's numbers and the property:
    /// a counterexample is computed by the model, parts are bounded by interval arithmetic or computed input by
    /// input. Returns whether the property holds.
    ///
    /// # Errors
    ///
    /// [`Error::Certificate`] where it is of another model, or does not prove what it says.
    pub fn check(&self, network: &Network, threads: usize) -> Result<bool> {
        let (crc, sha256) = hash(network);
        let model = &self.value["model"];
        if model["crc32"] != crc || model["sha256"] != sha256 {
            return Error::certificate(format!(
                "it is of the model with CRC {} and SHA-256 {}, and this one has {crc} and {sha256}",
                model["crc32"], model["sha256"]
            ));
        }
        let property = self.property(network)?;
        if matches!(property.goal, Goal::Relation(_)) {
            return Error::certificate(NONE_OF_RELATIONS);
        }
        match self.value["verdict"].as_str() {
            Some("fails") => {
                self.counterexample(network, &property)?;
                Ok(false)
            }
            Some("holds") => {
                let parts = self.value["parts"]
                    .as_array()
                    .map_or(&[][..], Vec::as_slice);
                if parts.len() != property.boxes.len() {
                    return Error::certificate(format!(
                        "it has the parts of {} boxes, and the property has {}",
                        parts.len(),
                        property.boxes.len()
                    ));
                }
                for (ranges, parts) in property.boxes.iter().zip(parts) {
                    let parts = parts.as_str().unwrap_or("");
                    check::holds(network, ranges, parts, &property.goal, threads)?;
                }
                Ok(true)
            }
            _ => Error::certificate(format!("its verdict is {}", self.value["verdict"])),
        }
    }

    fn counterexample(&self, network: &Network, property: &Property) -> Result<()> {
        let numbers = |key: &str| -> Vec<f32> {
            let numbers = self.value[key].as_array().into_iter().flatten();
            numbers
                .map(|number| number.as_f64().map_or(f32::NAN, |number| number as f32))
                .collect()
        };
        let (inputs, outputs) = (numbers("counterexample"), numbers("outputs"));
        let inside = property.boxes.iter().any(|ranges| {
            ranges.len() == inputs.len()
                && ranges.iter().zip(&inputs).all(|(range, x)| {
                    range.is_none_or(|[low, high]| (low as f32..=high as f32).contains(x))
                })
        });
        if !inside {
            return Error::certificate(format!("its counterexample {inputs:?} is in no box"));
        }
        let found = network.predict(&inputs)?;
        if found != outputs {
            return Error::certificate(format!(
                "its counterexample gives {outputs:?} there, and {found:?} by the model"
            ));
        }
        if property.goal.holds(network, &found) {
            return Error::certificate(format!("its counterexample {inputs:?} breaks nothing"));
        }
        Ok(())
    }
}

/// The words of a tree.
fn words(domain: &Domain, tree: &[Node]) -> String {
    let mut words = Vec::with_capacity(tree.len());
    let mut open = vec![0];
    while let Some(node) = open.pop() {
        words.push(match tree[node] {
            Node::Open => "?".to_string(),
            Node::Bounded => "b".to_string(),
            Node::Enumerated => "e".to_string(),
            Node::Split {
                input,
                at,
                children,
            } => {
                open.extend([children + 1, children]);
                format!("{input}<{}", domain.inputs[input].values[at])
            }
        });
    }
    words.join(" ")
}
