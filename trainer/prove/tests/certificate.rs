//! Certificates are checked by code of their own, and refused where they say what is not so.

mod common;

use std::time::Duration;

use common::{Random, all_outputs, goal, model, property, ranges};
use serde_json::{Value, json};
use thumbnet_prove::{Certificate, Error, Network, Options, Verdict, prove};

fn options() -> Options {
    Options {
        timeout: Duration::from_secs(600),
        threads: 1,
        parts: true,
        // Bounds and cuts rather than one enumeration.
        enumeration: 300.0,
        samples: 0,
        progress: None,
    }
}

fn refused(certificate: &Value, network: &Network) -> String {
    let read = Certificate::read(&certificate.to_string());
    match read.and_then(|certificate| certificate.check(network, 2)) {
        Err(Error::Certificate(why)) => why,
        other => panic!("{other:?}: {certificate}"),
    }
}

#[test]
fn a_certificate_is_accepted_and_one_that_was_tampered_with_is_not() {
    let mut random = Random(0xABCD_EF01_2345_6789);
    let mut cut = 0;
    for _ in 0..400 {
        let model = model(&mut random);
        let network = Network::new(&model.blob).unwrap();
        let steps = if model.inputs == 2 { 20 } else { 6 };
        let ranges = ranges(&mut random, &model, steps);
        let outputs = all_outputs(&network, &model, &ranges);
        let goal = goal(&mut random, &outputs);
        let property = property(&network, &ranges, &goal);
        let outcome = prove(&network, &property, &options()).unwrap();
        let certificate = Certificate::new(&network, &property, &outcome)
            .unwrap()
            .unwrap();
        let text = certificate.value.to_string();
        let holds = Certificate::read(&text)
            .unwrap()
            .check(&network, 2)
            .unwrap();
        assert_eq!(holds, outcome.verdict == Verdict::Holds);

        let good = certificate.value;
        let with = |key: &str, value: Value| {
            let mut bad = good.clone();
            bad[key] = value;
            bad
        };
        refused(&with("thumbnet_certificate", json!(2)), &network);
        refused(&with("verdict", json!("perhaps")), &network);
        refused(
            &with("model", json!({"crc32": "00000000", "sha256": ""})),
            &network,
        );
        if let Verdict::Fails(example) = &outcome.verdict {
            // The whole box at once, and by bounds.
            for parts in ["e", "b"] {
                let mut bad = with("verdict", json!("holds"));
                bad["parts"] = json!([parts]);
                assert!(refused(&bad, &network).contains("breaks the property"));
            }
            let mut outputs = example.outputs.clone();
            outputs[0] = outputs[0].next_up();
            assert!(refused(&with("outputs", json!(outputs)), &network).contains("by the model"));
            let mut inputs = example.inputs.clone();
            inputs[0] = 1e6;
            assert!(
                refused(&with("counterexample", json!(inputs)), &network).contains("in no box")
            );
        } else {
            let parts = good["parts"][0].as_str().unwrap();
            assert!(
                refused(&with("parts", json!([format!("{parts} b")])), &network)
                    .contains("too many")
            );
            assert!(refused(&with("parts", json!([])), &network).contains("of 0 boxes"));
            assert!(
                refused(&with("parts", json!([format!("9<3 {parts} b")])), &network)
                    .contains("cuts no part")
            );
            if let Some((first, _)) = parts.rsplit_once(' ') {
                cut += 1;
                assert!(refused(&with("parts", json!([first])), &network).contains("missing"));
            }
            assert!(refused(&with("verdict", json!("fails")), &network).contains("in no box"));
        }
    }
    assert!(cut > 50, "{cut} were cut");
}

/// The checker alone, whose only hint is that bounds suffice for the whole box.
#[test]
fn the_checker_believes_nothing_that_some_input_breaks() {
    let mut random = Random(0x0F1E_2D3C_4B5A_6978);
    let mut found = [0; 2];
    for case in 0..1500 {
        let model = model(&mut random);
        let network = Network::new(&model.blob).unwrap();
        let steps = if model.inputs == 2 { 24 } else { 7 };
        let ranges = ranges(&mut random, &model, steps);
        let outputs = all_outputs(&network, &model, &ranges);
        for _ in 0..3 {
            let goal = goal(&mut random, &outputs);
            let expected = outputs.iter().all(|row| goal.holds(&network, row));
            let mut certificate = Certificate {
                value: json!({"verdict": "holds", "parts": ["b"], "property": property(&network, &ranges, &goal).source}),
            };
            // The model's own numbers, as the refusal says them.
            let Err(Error::Certificate(why)) = certificate.check(&network, 1) else {
                panic!()
            };
            let words: Vec<&str> = why.split_whitespace().collect();
            certificate.value["model"] =
                json!({"crc32": words[words.len() - 3], "sha256": words[words.len() - 1]});
            match certificate.check(&network, 1) {
                Ok(holds) => assert!(holds && expected, "case {case}: {goal:?}"),
                Err(error) => assert!(!expected, "case {case}: {error}"),
            }
            found[usize::from(expected)] += 1;
        }
    }
    assert!(found.iter().all(|&count| count > 500), "{found:?}");
}
