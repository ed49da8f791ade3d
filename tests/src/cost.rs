//! Cost of the reference models on every core, for the table of `tests/bench`.

use std::fs;

use serde_json::{Value, json};
use thumbnet_boards::Result;
use thumbnet_boards::{Board, Firmware, Qemu, Run, bench::Cost};
use thumbnet_runtime::{Activation, Element, Model, Packing};

use crate::{
    random_model::{Kind, RandomModel, chain},
    size::flash_bytes,
};

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Name of the board's core.
    pub core: &'static str,
    /// Name of the model: its widths, or those of the layer that alone counts.
    pub model: &'static str,
    /// Weight type, such as `int8`.
    pub dtype: &'static str,
    /// Multiply-accumulates for one row of inputs.
    pub macs: usize,
    /// Instructions for one row of inputs, counted in QEMU.
    pub instructions: f64,
    /// Code and constants that a model of this weight type adds to bare firmware.
    pub text_bytes: u64,
    /// The same of a build without the feature `portable`.
    pub own_text_bytes: u64,
    /// Scratch memory of a prediction.
    pub scratch_bytes: usize,
    /// The most stack that loading or predicting takes.
    pub stack_bytes: usize,
    /// Estimated, for Cortex-M4 only.
    pub cycles: Option<f64>,
}

/// A model that is measured: a name, widths, what is at its end, and whether only the first dense
/// layer counts.
struct Reference {
    name: &'static str,
    widths: &'static [usize],
    last: Activation,
    layer: bool,
}

const fn layer(name: &'static str, widths: &'static [usize; 3]) -> Reference {
    Reference {
        name,
        widths,
        last: Activation::Linear,
        layer: true,
    }
}

const fn whole(name: &'static str, widths: &'static [usize], last: Activation) -> Reference {
    Reference {
        name,
        widths,
        last,
        layer: false,
    }
}

/// The shapes of the published comparisons; a layer is followed by one of a single unit.
const REFERENCES: [Reference; 11] = [
    layer("16x16", &[16, 16, 1]),
    layer("64x32", &[64, 32, 1]),
    layer("100x64", &[100, 64, 1]),
    layer("128x128", &[128, 128, 1]),
    layer("640x128", &[640, 128, 1]),
    layer("784x128", &[784, 128, 1]),
    whole("4-8-3 softmax", &[4, 8, 3], Activation::Softmax),
    whole(
        "100-64-32-1 sigmoid",
        &[100, 64, 32, 1],
        Activation::Sigmoid,
    ),
    whole(
        "64-64-32-10 softmax",
        &[64, 64, 32, 10],
        Activation::Softmax,
    ),
    whole("784-128-10 softmax", &[784, 128, 10], Activation::Softmax),
    whole(
        "640-128x4-8-128x4-640",
        &[640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640],
        Activation::Linear,
    ),
];

pub(crate) const KINDS: [(Kind, &str, &str); 4] = [
    (Kind::Int8, "int8", "portable"),
    (Kind::Int4, "int4", "portable,int4"),
    (Kind::Int16, "int16", "portable,int16"),
    (Kind::Float, "f32", "portable,f32"),
];

/// One build for all columns: `opt-level = "s"`. The kernels are assembly, so that predictions take
/// as many instructions as with 3, but for a half percent.
const PROFILE: &str = "size";

/// The packing that the exporter chooses for a core.
pub fn packing(board: Board) -> Packing {
    board.core().packing
}

/// Measures every reference model of every weight type on the boards, as far as it fits.
///
/// # Errors
///
/// Where QEMU or a target is missing, or a firmware fails.
///
/// `quick` leaves out the larger layers of the weight types beside int8.
pub fn measure(boards: &[Board], quick: bool) -> Result<Vec<Row>> {
    let qemu = Qemu::find()?;
    let mut rows = Vec::new();
    for &board in boards {
        let firmware = Firmware {
            profile: PROFILE,
            ..Firmware::release("bench", board)
        };
        let elf = firmware.build()?;
        for (kind, dtype, features) in KINDS {
            let text_bytes = code_bytes(board, PROFILE, features)?;
            let own = features
                .trim_start_matches("portable")
                .trim_start_matches(',');
            let own_text_bytes = code_bytes(board, PROFILE, own)?;
            let text_bytes = [text_bytes, own_text_bytes];
            for reference in &REFERENCES {
                if quick && kind != Kind::Int8 && reference.name != "128x128" {
                    continue;
                }
                let model = chain(reference.widths, kind, packing(board), reference.last, 1);
                if model.blob.len() + model.x.len() * 4 + 64 > board.spare().1 {
                    continue;
                }
                let cost = cost(&qemu, board, &elf, &model)?;
                let words = words(&model, reference.layer);
                rows.push(row(board, reference, dtype, text_bytes, words, &cost));
            }
        }
    }
    Ok(rows)
}

/// Code and constants that a model adds to bare firmware, with these weight types beside int8.
///
/// # Errors
///
/// Where the firmware cannot be built.
pub fn code_bytes(board: Board, profile: &'static str, features: &'static str) -> Result<u64> {
    let size = |binary| {
        let firmware = Firmware {
            profile,
            features,
            ..Firmware::release(binary, board)
        };
        let elf = firmware.build()?;
        Ok(flash_bytes(&fs::read(elf).expect("it was just built")))
    };
    Ok(size("bare")? - size("empty")?)
}

/// What predictions of a model cost on a board.
///
/// # Errors
///
/// Where the firmware fails.
pub fn cost(qemu: &Qemu, board: Board, elf: &std::path::Path, model: &RandomModel) -> Result<Cost> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // 400 repetitions of a short prediction make a count exact to a tenth of an instruction; the
    // timer wraps after 500 million.
    let macs = model.blob.len().max(1000);
    let repetitions = (4_000_000 / macs).clamp(10, 400);
    qemu.cost(
        &Run::new(board, elf, folder.path()),
        &model.blob,
        model.inputs,
        &model.x,
        repetitions,
    )
}

/// Words that a kernel loads and stores: the tensors once, the inputs for each four units, the outputs.
fn words(model: &RandomModel, layer: bool) -> usize {
    let model: Model = Model::from_bytes(&model.blob).expect("it was just made");
    let mut reads = 4;
    let words = model.layers().map(|layer| {
        let inputs = (layer.inputs * reads).div_ceil(4);
        reads = match layer.output {
            Element::Int8 => 1,
            Element::Int8Wide | Element::Int16 => 2,
            Element::Float => 4,
        };
        let times = if layer.macs == 0 {
            1
        } else {
            layer.units.div_ceil(4)
        };
        layer.bytes / 4 + inputs * times + (layer.units * reads).div_ceil(4)
    });
    match layer {
        true => words.take(2).last().unwrap_or(0),
        false => words.sum(),
    }
}

fn row(
    board: Board,
    reference: &Reference,
    dtype: &'static str,
    [text_bytes, own_text_bytes]: [u64; 2],
    words: usize,
    cost: &Cost,
) -> Row {
    let [inputs, units, ..] = *reference.widths else {
        unreachable!("every reference has layers")
    };
    let (macs, instructions) = match reference.layer {
        true => (inputs * units, cost.layers[1]),
        false => (cost.macs, cost.instructions[0]),
    };
    Row {
        core: board.core().name,
        model: reference.name,
        dtype,
        macs,
        instructions: instructions.round(),
        text_bytes,
        own_text_bytes,
        scratch_bytes: cost.scratch_words * 4,
        stack_bytes: cost.stack.max(cost.load_stack),
        cycles: (board == Board::Mps2An386).then_some(instructions.round() + words as f64),
    }
}

impl Row {
    /// As an object of `--json`.
    pub fn json(&self) -> Value {
        json!({
            "core": self.core,
            "model": self.model,
            "dtype": self.dtype,
            "macs": self.macs,
            "instructions": self.instructions as u64,
            "text_bytes": self.text_bytes,
            "own_text_bytes": self.own_text_bytes,
            "scratch_bytes": self.scratch_bytes,
            "stack_bytes": self.stack_bytes,
        })
    }

    /// As a line of the table; `before` is the same row of the baseline.
    pub fn markdown(&self, before: Option<&Value>) -> String {
        let change = before
            .and_then(|row| row["instructions"].as_f64())
            .filter(|&before| before != self.instructions)
            .map(|before| format!(" ({:+.1} %)", (self.instructions / before - 1.0) * 100.0));
        format!(
            "| {} | {} | {} | {} | {}{} | {:.2} | {} | {} | {} | {} | {} |",
            self.core,
            self.model,
            self.dtype,
            self.macs,
            self.instructions,
            change.unwrap_or_default(),
            self.instructions / self.macs as f64,
            self.cycles
                .map_or(String::new(), |cycles| cycles.to_string()),
            self.text_bytes,
            self.own_text_bytes,
            self.scratch_bytes,
            self.stack_bytes
        )
    }
}

/// The head of the table.
pub const HEAD: &str = "\
Instructions, counted in QEMU, for one row (batch 1), not cycles: a board's pipeline and flash decide
those. `16x16` and the like are one layer with its requantization; the others are whole predictions,
input quantization and output activation included. Code is what a model adds to bare firmware that is
built for this weight type (with int8), verifier and checksum included, and beside it the same without the
feature `portable`, for models in the core's own packing only. Stack is the most of loading and
predicting. Cycles are an estimate for Cortex-M4 with flash that does not wait: one for each instruction,
and one for each word of weights, inputs and outputs, since a load or store of N words takes 1 + N; taken
branches are not in it. All columns are of one build, with `opt-level = \"s\"` (profile `size`).

| core | model | weights | multiply-accumulates | instructions | per MAC | M4 cycles, estimated | code bytes | without portable | scratch bytes | stack bytes |
|---|---|---|---|---|---|---|---|---|---|---|";
