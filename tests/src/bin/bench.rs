//! `tests/bench`: what models cost on the emulated cores, as Markdown or JSON.

use std::{env, fs, path::Path, process::ExitCode};

use serde_json::Value;
use thumbnet_boards::Board;
use thumbnet_tests::{
    cost::{HEAD, Row, measure},
    estimate::fit,
};
use thumbnet_trainer::{Error, quantize::instructions::costs};

const USAGE: &str = "tests/bench [--json] [--update] [--quick] [--estimate] [BOARD...]

Measures the reference models on the boards (all of them by default: microbit, mps2-an385, ..., or
m0, m3, m4, m7, m33, m55) and prints a table with the changes since tests/bench.json.
  --json    print an array of objects instead
  --update  write the array to tests/bench.json, the committed baseline
  --quick   of int4, int16 and f32 the layer 128x128 only
  --estimate  measure layers instead, and write what they cost to trainer/data/instructions.json,
              from which `thumbnet export` estimates";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (mut json, mut update, mut quick, mut estimate) = (false, false, false, false);
    let mut boards = Vec::new();
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--json" => json = true,
            "--update" => update = true,
            "--quick" => quick = true,
            "--estimate" => estimate = true,
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            board => boards.push(board.parse()?),
        }
    }
    if boards.is_empty() {
        boards.extend(Board::ALL);
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    if estimate {
        let path = folder.join("../trainer/data/instructions.json");
        let mut costs = costs().clone();
        costs.extend(fit(&boards)?);
        let mut text = serde_json::to_string_pretty(&costs).expect("numbers and names are JSON");
        text.push('\n');
        return Ok(fs::write(&path, text).map_err(|error| Error::io(&path, error))?);
    }
    let path = folder.join("bench.json");
    let baseline = fs::read_to_string(&path).unwrap_or_else(|_| "[]".into());
    let baseline: Vec<Value> =
        serde_json::from_str(&baseline).map_err(|error| Error::format(&path, error.to_string()))?;
    let rows = measure(&boards, quick)?;
    let array = lines(&rows.iter().map(Row::json).collect::<Vec<_>>());
    if json {
        print!("{array}");
    } else {
        println!("{HEAD}");
        for row in &rows {
            let same = |before: &&Value| {
                ["core", "model", "dtype"]
                    .iter()
                    .all(|&key| before[key] == row.json()[key])
            };
            println!("{}", row.markdown(baseline.iter().find(same)));
        }
    }
    if update {
        fs::write(&path, array).map_err(|error| Error::io(&path, error))?;
    }
    Ok(())
}

/// An array with an object per line, so that a difference in review is a line.
fn lines(rows: &[Value]) -> String {
    let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}
