//! Instructions, stack and scratch memory of a model's predictions, by the firmware `bench`.
//!
//! QEMU executes one instruction per nanosecond of its clock here; a timer of the board counts
//! ticks of a known number of instructions. These are instructions, not cycles: what a board takes
//! depends on its pipeline and its flash.

use std::{fs, path::PathBuf};

use crate::{Error, Qemu, Result, Run};

/// What a prediction costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Instructions of a prediction, for each row.
    pub instructions: Vec<f64>,
    /// Instructions of each layer in the first row, the input's quantization first.
    pub layers: Vec<f64>,
    /// Instructions of `Model::from_bytes`.
    pub load: f64,
    /// Instructions of `Model::from_bytes_without_crc`.
    pub load_without_crc: f64,
    /// Multiply-accumulates of a prediction.
    pub macs: usize,
    /// Words of scratch memory.
    pub scratch_words: usize,
    /// Bytes of stack that loading takes.
    pub load_stack: usize,
    /// Bytes of stack that a prediction takes.
    pub stack: usize,
}

impl Qemu {
    /// Measures a model on a board, by its `bench` program. `x` has rows of `inputs` values.
    ///
    /// A row is predicted `repetitions` times: a count is exact to about 40 instructions divided
    /// by that.
    ///
    /// # Errors
    ///
    /// Where the firmware does not run to its end, or the request is larger than the board's memory.
    pub fn cost(
        &self,
        run: &Run,
        blob: &[u8],
        inputs: usize,
        x: &[f32],
        repetitions: usize,
    ) -> Result<Cost> {
        let (address, free) = run.board.spare();
        let rows = x.len() / inputs.max(1);
        let start = (5 * 4 + x.len() * 4).next_multiple_of(16);
        if start + blob.len() > free {
            return Err(Error::TooLarge(format!(
                "{rows} rows and a blob of {} bytes do not fit into the {free} bytes left on {}",
                blob.len(),
                run.board.machine()
            )));
        }
        let mut request = crate::parity::words(&[start, blob.len(), rows, inputs, repetitions]);
        request.extend(x.iter().flat_map(|x| x.to_le_bytes()));
        request.resize(start, 0);
        request.extend(blob);
        let file = PathBuf::from("request");
        let path = run.folder.join(&file);
        fs::write(&path, request).map_err(|error| Error::io(&path, error))?;
        self.run(&Run {
            memory: &[(file, address)],
            count_instructions: true,
            ..run.clone()
        })?;
        let path = run.folder.join("reply");
        let reply = fs::read(&path).map_err(|error| Error::io(&path, error))?;
        let words = reply
            .as_chunks()
            .0
            .iter()
            .map(|&word| u32::from_le_bytes(word));
        read(&words.collect::<Vec<_>>(), rows, repetitions).ok_or(Error::Reply {
            path,
            message: "the reply does not fit the request; build bench anew",
        })
    }
}

/// Takes the reply apart; `None` if it has more or fewer words.
fn read(words: &[u32], rows: usize, repetitions: usize) -> Option<Cost> {
    let (
        [
            million,
            load,
            short_load,
            load_stack,
            macs,
            scratch,
            layers,
            stack,
            idle,
        ],
        rest,
    ) = words.split_first_chunk()?;
    let (rows, layers) = rest
        .split_at_checked(rows)
        .filter(|(_, rest)| rest.len() == *layers as usize)?;
    let per_tick = 1e6 / f64::from(*million);
    let each = |ticks: u32| f64::from(ticks) * per_tick / repetitions as f64;
    let mut done = 0;
    Some(Cost {
        instructions: rows
            .iter()
            .map(|&ticks| each(ticks) - each(*idle))
            .collect(),
        layers: layers
            .iter()
            .map(|&until| each(until.wrapping_sub(std::mem::replace(&mut done, until))))
            .collect(),
        load: f64::from(*load) * per_tick,
        load_without_crc: f64::from(*short_load) * per_tick,
        macs: *macs as usize,
        scratch_words: *scratch as usize,
        load_stack: *load_stack as usize,
        stack: *stack as usize,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_instructions() {
        // 25,000 ticks a million instructions: 40 each. Two repetitions.
        let words = [25_000, 100, 10, 64, 12, 3, 2, 48, 1, 501, 502, 100, 500];
        let cost = read(&words, 2, 2).unwrap();
        assert_eq!(cost.instructions, [10_000.0, 10_020.0]);
        assert_eq!(cost.layers, [2_000.0, 8_000.0]);
        assert_eq!((cost.load, cost.load_without_crc), (4_000.0, 400.0));
        assert_eq!(
            (cost.macs, cost.scratch_words, cost.load_stack, cost.stack),
            (12, 3, 64, 48)
        );
        assert_eq!(read(&words, 3, 2), None);
    }
}
