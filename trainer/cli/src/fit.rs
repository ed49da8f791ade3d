//! Whether a model fits a board, and what would make it fit.

use serde_json::{Value, json};
use thumbnet_boards::{BOARDS, FlashReads};
use thumbnet_runtime::Operation;
use thumbnet_trainer::{
    figures::thousands,
    quantize::{DataType, DeviceModel, instructions::estimate},
};

use super::{
    firmware::{Place, features},
    inspect::Sizes,
};

/// Bytes of code of the firmware that `thumbnet new` writes for an int8 model, log and startup included: the
/// most over all cores of Arm, rounded up. A test builds firmware and compares.
const CODE: usize = 15_000;
/// What RISC-V takes more, whose kernels are compiled.
const RISCV: usize = 5_000;
/// What features of the runtime add to it, at most.
const FEATURES: [(&str, usize); 6] = [
    ("int4", 1_200),
    ("int16", 1_800),
    ("f32", 1_400),
    ("activations", 800),
    ("layers", 5_000),
    ("portable", 1_000),
];
/// What the crate esp-hal adds, at most.
const ESP_HAL: usize = 30_000;
/// Bytes of stack that a prediction takes, at most.
const STACK: usize = 512;
/// Bytes of the log's buffer, for a debug probe.
const LOG: usize = 1_088;

/// What a model takes of a board.
pub struct Fit<'a> {
    place: &'a Place,
    /// Bytes of the model.
    model: usize,
    code: usize,
    scratch: usize,
    /// Bytes of a row of inputs and one of outputs.
    rows: usize,
    /// Instructions of a prediction; none where the weights are arranged for another core.
    instructions: Option<u64>,
    /// Bytes of tensors that a prediction reads.
    streamed: usize,
    /// Bytes that the model would take with weights of four bits, about; none where that is no less.
    with_int4: Option<usize>,
}

impl<'a> Fit<'a> {
    pub fn of(device: &DeviceModel, place: &'a Place) -> Self {
        let sizes = Sizes::of(device);
        let wanted = features(device, &place.core.targets[0]);
        let more = |(name, bytes): &(&str, usize)| match wanted.contains(name) {
            true => *bytes,
            false => 0,
        };
        let riscv = match place.is_riscv() {
            true => RISCV,
            false => 0,
        };
        let esp_hal = match place.is_of_espressif() {
            true => ESP_HAL,
            false => 0,
        };
        let estimates = estimate(device);
        let own = |core: &str| estimates.iter().find(|estimate| estimate.core == core);
        Self {
            place,
            model: sizes.flash_bytes,
            code: CODE + riscv + esp_hal + FEATURES.iter().map(more).sum::<usize>(),
            scratch: sizes.scratch_bytes,
            rows: 4 * (device.inputs() + device.outputs()),
            instructions: own(place.core.name).map(|estimate| estimate.instructions),
            streamed: device
                .model()
                .layers()
                .map(|layer| layer.bytes * if layer.macs > 0 { layer.rows } else { 1 })
                .sum(),
            with_int4: with_int4(device),
        }
    }

    fn flash(&self) -> usize {
        self.model + self.code
    }

    fn ram(&self) -> usize {
        self.scratch + self.rows + STACK + LOG
    }

    /// Bytes of flash beside the model and the code.
    pub fn flash_left(&self) -> usize {
        (self.place.flash.length as usize).saturating_sub(self.flash())
    }

    pub fn fits(&self) -> bool {
        self.fits_into(self.place.flash.length, self.place.ram.length)
    }

    fn fits_into(&self, flash: u32, ram: u32) -> bool {
        self.flash() <= flash as usize && self.ram() <= ram as usize
    }

    /// Microseconds of a prediction, if each instruction took a cycle of the highest clock.
    fn microseconds(&self) -> Option<f64> {
        let clock = Some(self.place.clock).filter(|&clock| clock > 0)?;
        Some(self.instructions? as f64 / (f64::from(clock) / 1e6))
    }

    /// Cycles that the core waits for the flash in a prediction, at most: for each line of the tensors, unless a
    /// cache has kept the model.
    fn waits(&self) -> Option<u64> {
        let FlashReads {
            line, waits, cache, ..
        } = self.place.reads?;
        let kept = self.model + self.code <= cache as usize;
        let lines = if kept {
            0
        } else {
            self.streamed.div_ceil(line as usize)
        };
        Some(lines as u64 * u64::from(waits))
    }

    /// What the flash costs, and what helps; a line of a report.
    fn waiting(&self) -> Option<String> {
        let (reads, waits, instructions) = (self.place.reads?, self.waits()?, self.instructions?);
        let share = 100.0 * waits as f64 / (waits + instructions) as f64;
        let binds = if waits > instructions {
            "the flash binds"
        } else {
            "the core binds"
        };
        let room = (self.place.ram.length as usize).saturating_sub(self.ram());
        let mut ways = Vec::new();
        if self.model <= room {
            ways.push("copied to RAM, which has room, the model waits for nothing".to_string());
        }
        if let Some(int4) = self.with_int4 {
            ways.push(format!("in int4 it has about {} bytes", thousands(int4)));
        }
        let ways = match ways.is_empty() || waits == 0 {
            true => String::new(),
            false => format!("; {}", ways.join("; ")),
        };
        Some(format!(
            "  waits       at most {} cycles more for {} bytes of tensors in flash, {share:.0} % of the time: {} bytes at once, {} cycles for them ({}); {binds}{ways}\n",
            thousands(waits as usize),
            thousands(self.streamed),
            reads.line,
            reads.waits,
            reads.source
        ))
    }

    /// Lines of a report.
    pub fn text(&self) -> String {
        let place = self.place;
        let verdict = |needed: usize, there: u32| match needed <= there as usize {
            true => "fits",
            false => "does not fit",
        };
        let time = match (self.microseconds(), self.instructions) {
            (Some(time), Some(instructions)) => format!(
                "about {time:.1} µs at {} MHz: an estimate, of {} instructions counted in QEMU, a cycle each",
                place.clock / 1_000_000,
                thousands(instructions as usize)
            ),
            (None, Some(instructions)) => format!(
                "about {} instructions, an estimate from counts in QEMU",
                thousands(instructions as usize)
            ),
            _ => format!(
                "no estimate for a model that is arranged for another core, or for {}",
                place.core.name
            ),
        };
        format!(
            "
  on {}, {} ({})
  flash       {} bytes of model, at most {} of code, of {}: {}
  RAM         {} bytes of scratch, {} of a row in and out, at most {STACK} of stack, {} of log, of {}: {}
  time        {time}
{}",
            place.name,
            place.full_name,
            place.core.name,
            thousands(self.model),
            thousands(self.code),
            thousands(place.flash.length as usize),
            verdict(self.flash(), place.flash.length),
            thousands(self.scratch),
            thousands(self.rows),
            thousands(LOG),
            thousands(place.ram.length as usize),
            verdict(self.ram(), place.ram.length),
            self.waiting().unwrap_or_default(),
        )
    }

    pub fn json(&self) -> Value {
        json!({
            "name": self.place.name,
            "core": self.place.core.name,
            "flash": {"model": self.model, "code": self.code, "there": self.place.flash.length},
            "ram": {
                "scratch": self.scratch,
                "rows": self.rows,
                "stack": STACK,
                "log": LOG,
                "there": self.place.ram.length,
            },
            "fits": self.fits(),
            "clock": Some(self.place.clock).filter(|&clock| clock > 0),
            "instructions_estimated": self.instructions,
            "microseconds_estimated": self.microseconds(),
            "flash_bytes_read": self.streamed,
            "flash_waits_estimated": self.waits(),
            "advice": (!self.fits()).then(|| self.advice(None)),
        })
    }

    /// What would make the model fit. `quantized` are the data types that were tried, with what came out.
    pub fn advice(&self, quantized: Option<&[(DataType, Fit)]>) -> String {
        let mut ways = Vec::new();
        match quantized {
            Some(tried) => {
                if let Some((data_type, fit)) = tried.iter().find(|(_, fit)| fit.fits()) {
                    let bytes = thousands(fit.model);
                    ways.push(format!("--dtype {data_type} makes {bytes} bytes of it"));
                }
            }
            None => {
                let flash = self.place.flash.length as usize;
                let more = FEATURES[0].1;
                let is_enough = |bytes: &usize| {
                    bytes + self.code + more <= flash
                        && self.ram() <= self.place.ram.length as usize
                };
                if let Some(bytes) = self.with_int4.filter(is_enough) {
                    let bytes = thousands(bytes);
                    ways.push(format!(
                        "exported with --dtype int4 it takes about {bytes} bytes"
                    ));
                }
            }
        }
        let real = BOARDS.iter().filter(|board| board.chip.is_some());
        let larger = real
            .filter(|board| self.fits_into(board.flash.length, board.ram.length))
            .min_by_key(|board| {
                (
                    board.core != self.place.core.short,
                    board.flash.length,
                    board.ram.length,
                )
            });
        if let Some(board) = larger {
            ways.push(format!("{} has room", board.name));
        }
        let free = |there: u32, taken: usize| (there as usize).saturating_sub(taken);
        ways.push(format!(
            "`thumbnet search --flash {} --ram {} --core {}` looks for a network within",
            free(self.place.flash.length, self.code),
            free(self.place.ram.length, STACK + LOG),
            self.place.core.short
        ));
        ways.join("; ")
    }

    /// Why it does not fit, and what to do.
    pub fn refusal(&self, quantized: Option<&[(DataType, Fit)]>) -> String {
        let (what, needed, there) = match self.flash() > self.place.flash.length as usize {
            true => ("flash", self.flash(), self.place.flash.length),
            false => ("RAM", self.ram(), self.place.ram.length),
        };
        format!(
            "the model does not fit {}: it takes {} bytes of {what} with the code, of {}; {}",
            self.place.name,
            thousands(needed),
            thousands(there as usize),
            self.advice(quantized)
        )
    }
}

/// Bytes of the model with all integer and float weights in four bits: halves or eighths of what they take, and
/// a twentieth more for the rest.
fn with_int4(device: &DeviceModel) -> Option<usize> {
    let saved: usize = device
        .model()
        .layers()
        .map(|layer| {
            let weights = layer.macs / layer.rows.max(1);
            match layer.operation.of_a_row() {
                Operation::DenseInt8 | Operation::DenseInt16 => weights / 2,
                Operation::DenseFloat => weights * 7 / 2,
                _ => 0,
            }
        })
        .sum();
    let all = device.bytes().len();
    let left = all.saturating_sub(saved) * 21 / 20;
    Some(left).filter(|&left| left < all)
}
