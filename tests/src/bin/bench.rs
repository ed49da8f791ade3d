//! `tests/bench`: what models cost on the emulated cores, as Markdown or JSON.

use std::{env, fs, path::Path, process::ExitCode};

use serde_json::Value;
use thumbnet_tests::cost::{HEAD, Row, measure};
use thumbnet_trainer::{Error, Result, emulator::Board};

const USAGE: &str = "tests/bench [--json] [--update] [--quick] [BOARD...]

Measures the reference models on the boards (all of them by default: microbit, mps2-an385, ..., or
m0, m3, m4, m7, m33, m55) and prints a table with the changes since tests/bench.json.
  --json    print an array of objects instead
  --update  write the array to tests/bench.json, the committed baseline
  --quick   of int4, int16 and f32 the layer 128x128 only";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (mut json, mut update, mut quick, mut boards) = (false, false, false, Vec::new());
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--json" => json = true,
            "--update" => update = true,
            "--quick" => quick = true,
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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench.json");
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
