//! The table of the ACAS Xu properties: `acasxu FOLDER PROPERTIES.json SUFFIX SECONDS [PROPERTY...]` decides each
//! property of the file on `FOLDER/NETWORK` + suffix, a device model for each of its `networks`.

use std::time::Duration;

use thumbnet_prove::{Network, Options, Property, Verdict, prove};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, properties, suffix, seconds, wanted @ ..] = &arguments[..] else {
        return Err("expected FOLDER PROPERTIES.json SUFFIX SECONDS [PROPERTY...]".into());
    };
    let mut file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(properties)?)?;
    file["columns"] = serde_json::json!(["rho", "theta", "psi", "v_own", "v_int"]);
    let text = file.to_string();
    let options = Options {
        timeout: Duration::from_secs(seconds.parse()?),
        ..Options::default()
    };
    let mut counts = [0; 3];
    let mut total = 0.0;
    for (name, property) in file["properties"].as_object().ok_or("no properties")? {
        if !wanted.is_empty()
            && !wanted
                .iter()
                .any(|other| other.split(':').next() == Some(name))
        {
            continue;
        }
        for network in property["networks"].as_array().ok_or("no networks")? {
            let network = network.as_str().ok_or("no name")?;
            let this = format!("{name}:{network}");
            if wanted
                .iter()
                .any(|other| other.starts_with(&format!("{name}:")))
                && !wanted.contains(&this)
            {
                continue;
            }
            let bytes = std::fs::read(format!("{folder}/{network}{suffix}"))?;
            let model = Network::new(&bytes)?;
            let all = Property::read(&text, &model)?;
            let property = all
                .iter()
                .find(|property| property.name == *name)
                .ok_or("no property")?;
            let outcome = prove(&model, property, &options)?;
            let (which, word) = match outcome.verdict {
                Verdict::Holds => (0, "holds"),
                Verdict::Fails(_) => (1, "fails"),
                Verdict::Unknown => (2, "unknown"),
            };
            counts[which] += 1;
            total += outcome.elapsed.as_secs_f64();
            println!(
                "{name:>2} {network} {word:<7} {:8.2} s  {:.1e} inputs, {:.4} decided, {} bounded, {} enumerated, {:.1e} computed",
                outcome.elapsed.as_secs_f64(),
                outcome.inputs,
                outcome.decided,
                outcome.bounded,
                outcome.enumerated,
                outcome.computed
            );
            if let Verdict::Fails(found) = outcome.verdict {
                println!("     {:?} gives {:?}", found.inputs, found.outputs);
            }
        }
    }
    let [holds, fails, unknown] = counts;
    println!("{holds} hold, {fails} fail, {unknown} unknown, {total:.0} s");
    Ok(())
}
