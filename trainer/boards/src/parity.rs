//! Predictions by the firmware `parity`: any models, any inputs, every output bit and what the device
//! decides by them.
//!
//! One start of QEMU serves a list of jobs. The firmware reads the file `request` and writes the
//! file `reply`, both a stream of little-endian 32-bit words, floats as their bits:
//!
//! ```text
//! request = count job*
//! job     = address length shift rows inputs [blob] float*      rows * inputs floats
//! reply   = answer*
//! answer  = text                                                the blob was refused, and why
//!         | 0 outputs text row*                                 it was loaded; text is the self-test's
//! row     = text | 0 float* class yes* verdict float            refused, or `outputs` floats
//! class   = index float text                                    what `classify` found, with its label
//! verdict = word                                                1 a known class, 2 an anomaly; the score is behind
//! yes     = word                                                a bit for each of 32 outputs, low first
//! text    = length bytes                                        length 0 means: no error
//! ```
//!
//! Bytes are padded to whole words. A blob follows its job when `address` is 0, and is put `shift`
//! bytes behind an aligned address; else it lies in memory at `address`.
//! `firmware-example/src/bin/parity.rs` is the other end: change both together.

use std::{fs, path::PathBuf};

use thumbnet_runtime::Model;

use crate::{Board, Error, Qemu, Result, Run};

/// A model and the rows to predict.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The model. It need not be a sound one.
    pub blob: &'a [u8],
    /// Bytes between an aligned address and the blob, 0 to 3.
    pub shift: u8,
    /// Width of a row.
    pub inputs: usize,
    /// Rows of `inputs` values each.
    pub x: &'a [f32],
}

/// What a device said about a [`Job`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The model was refused with this message.
    Refused(String),
    /// The model was loaded.
    Loaded {
        /// Width of an output row.
        outputs: usize,
        /// What the model's self-test found.
        self_test: Result<(), String>,
        /// What became of each row, or why nothing did.
        rows: Vec<Result<Row, String>>,
    },
}

/// What a device said about a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The bits of its outputs.
    pub outputs: Vec<u32>,
    /// The class, by `classify`.
    pub class: usize,
    /// The bits of its score.
    pub score: u32,
    /// Its name.
    pub label: String,
    /// Whether each output says yes, by `says_yes`.
    pub yes: Vec<bool>,
    /// Whether the class is known, by `is_known`.
    pub known: bool,
    /// Whether it is an anomaly, by `detect`; not so for models with another number of outputs than inputs.
    pub anomaly: bool,
    /// The bits of the anomaly's score, 0 for such models.
    pub anomaly_score: u32,
}

impl Job<'_> {
    /// The answer of this machine.
    pub fn on_host(&self) -> Answer {
        let model: Model = match Model::from_bytes(self.blob) {
            Err(error) => return Answer::Refused(error.to_string()),
            Ok(model) => model,
        };
        let mut scratch = vec![0; model.scratch_len()];
        let mut y = vec![0.0; model.outputs()];
        let text = |error: thumbnet_runtime::Error| error.to_string();
        let self_test = model.self_test(&mut scratch, &mut y).map_err(text);
        let rows = self
            .x
            .chunks_exact(self.inputs.max(1))
            .map(|x| {
                let class = model.classify(x, &mut scratch, &mut y).map_err(text)?;
                let known = model.is_known(&class);
                let anomaly = model.detect(x, &mut scratch, &mut y).ok();
                Ok(Row {
                    known,
                    anomaly: anomaly.is_some_and(|anomaly| anomaly.is_anomaly),
                    anomaly_score: anomaly.map_or(0, |anomaly| anomaly.score.to_bits()),
                    outputs: y.iter().map(|y| y.to_bits()).collect(),
                    class: class.index,
                    score: class.score.to_bits(),
                    label: class.label.to_string(),
                    yes: y.iter().map(|&y| model.says_yes(y)).collect(),
                })
            })
            .collect();
        Answer::Loaded {
            outputs: model.outputs(),
            self_test,
            rows,
        }
    }

    /// Number of rows.
    fn rows(&self) -> usize {
        self.x.len() / self.inputs.max(1)
    }
}

impl Qemu {
    /// The answers of an emulated board, by its `parity` program.
    ///
    /// # Errors
    ///
    /// Where the firmware does not run to its end, or a blob has no place in the board's memory.
    pub fn answer(&self, run: &Run, jobs: &[Job]) -> Result<Vec<Answer>> {
        let mut request = words(&[jobs.len()]);
        let mut memory = Vec::new();
        let mut spare = run.board.spare();
        for (index, job) in jobs.iter().enumerate() {
            let address = place(run.board, job, &mut spare)?;
            if let Some(address) = address {
                let file = PathBuf::from(format!("blob-{index}"));
                let path = run.folder.join(&file);
                fs::write(&path, job.blob).map_err(|error| Error::io(&path, error))?;
                memory.push((file, address));
            }
            request.extend(words(&[
                address.unwrap_or(0) as usize,
                job.blob.len(),
                usize::from(job.shift),
                job.rows(),
                job.inputs,
            ]));
            if address.is_none() {
                request.extend(job.blob);
                request.resize(request.len().next_multiple_of(4), 0);
            }
            let x = &job.x[..job.rows() * job.inputs];
            request.extend(x.iter().flat_map(|x| x.to_le_bytes()));
        }
        let path = run.folder.join("request");
        fs::write(&path, request).map_err(|error| Error::io(&path, error))?;
        let path = run.folder.join("reply");
        self.run(&Run {
            memory: &memory,
            ..run.clone()
        })?;
        let bytes = fs::read(&path).map_err(|error| Error::io(&path, error))?;
        let mut reply = Reply { bytes: &bytes };
        let answers = jobs
            .iter()
            .map(|job| reply.answer(job.rows()))
            .collect::<Option<Vec<_>>>();
        match answers {
            Some(answers) if reply.bytes.is_empty() => Ok(answers),
            _ => Err(Error::Reply {
                path,
                message: "the reply does not fit the request; build parity anew",
            }),
        }
    }
}

/// Where in the board's flash a blob goes; `None` for one that is sent through the request.
fn place(board: Board, job: &Job, spare: &mut (u32, usize)) -> Result<Option<u32>> {
    // The other boards have more RAM than it takes.
    if board != Board::Microbit {
        return Ok(None);
    }
    let (address, free) = spare;
    let taken = (job.blob.len() + usize::from(job.shift)).next_multiple_of(16);
    if taken > *free {
        return Err(Error::TooLarge(format!(
            "a blob of {} bytes does not fit into the {free} bytes left on {}; send fewer at once",
            job.blob.len(),
            board.machine()
        )));
    }
    let place = *address + u32::from(job.shift);
    *address += taken as u32; // at most `free`, which came from a u32 range
    *free -= taken;
    Ok(Some(place))
}

/// Numbers as words of the request.
pub(super) fn words(numbers: &[usize]) -> Vec<u8> {
    let word = |number: &usize| {
        u32::try_from(*number)
            .expect("lengths of a 32-bit device")
            .to_le_bytes()
    };
    numbers.iter().flat_map(word).collect()
}

/// What is left of the reply.
struct Reply<'a> {
    bytes: &'a [u8],
}

impl Reply<'_> {
    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(u32::from_le_bytes(*word))
    }

    fn text(&mut self) -> Option<Result<(), String>> {
        let length = self.word()? as usize;
        let text = String::from_utf8_lossy(self.bytes.get(..length)?).into_owned();
        self.bytes = self.bytes.get(length.next_multiple_of(4)..)?;
        Some(if length == 0 { Ok(()) } else { Err(text) })
    }

    fn row(&mut self, outputs: usize) -> Option<Result<Row, String>> {
        if let Err(text) = self.text()? {
            return Some(Err(text));
        }
        let mut row = Row {
            outputs: (0..outputs).map(|_| self.word()).collect::<Option<_>>()?,
            class: self.word()? as usize,
            score: self.word()?,
            label: self.text()?.err().unwrap_or_default(),
            yes: Vec::new(),
            known: false,
            anomaly: false,
            anomaly_score: 0,
        };
        for first in (0..outputs).step_by(32) {
            let bits = self.word()?;
            let bit = |output: usize| bits >> (output - first) & 1 == 1;
            row.yes.extend((first..outputs.min(first + 32)).map(bit));
        }
        let verdict = self.word()?;
        (row.known, row.anomaly) = (verdict & 1 == 1, verdict & 2 == 2);
        row.anomaly_score = self.word()?;
        Some(Ok(row))
    }

    fn answer(&mut self, rows: usize) -> Option<Answer> {
        if let Err(text) = self.text()? {
            return Some(Answer::Refused(text));
        }
        let outputs = self.word()? as usize;
        let self_test = self.text()?;
        let rows = (0..rows)
            .map(|_| self.row(outputs))
            .collect::<Option<_>>()?;
        Some(Answer::Loaded {
            outputs,
            self_test,
            rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_word_by_word() {
        let mut bytes = words(&[2]);
        bytes.extend(b"no\0\0");
        // Two outputs; of a row the bits 7 and 8, class 1 by 8, "yes", only the second one; an anomaly by 9.
        bytes.extend(words(&[0, 2, 0, 0, 7, 8, 1, 8, 3]));
        bytes.extend(b"yes\0");
        bytes.extend(words(&[2, 2, 9, 3]));
        bytes.extend(b"nan\0");
        let mut reply = Reply { bytes: &bytes };
        assert_eq!(reply.answer(9), Some(Answer::Refused("no".into())));
        let row = Row {
            outputs: vec![7, 8],
            class: 1,
            score: 8,
            label: "yes".into(),
            yes: vec![false, true],
            known: false,
            anomaly: true,
            anomaly_score: 9,
        };
        let loaded = Answer::Loaded {
            outputs: 2,
            self_test: Ok(()),
            rows: vec![Ok(row), Err("nan".into())],
        };
        assert_eq!(reply.answer(2), Some(loaded));
        assert_eq!(reply.answer(0), None);
    }

    #[test]
    fn blobs_of_a_small_board_lie_behind_each_other_in_flash() {
        let blob = [0; 17];
        let job = Job {
            blob: &blob,
            shift: 1,
            inputs: 1,
            x: &[],
        };
        let mut spare = (0x2_0000, 100);
        assert_eq!(
            place(Board::Microbit, &job, &mut spare).unwrap(),
            Some(0x2_0001)
        );
        assert_eq!(spare, (0x2_0020, 68));
        assert_eq!(
            place(Board::Microbit, &job, &mut spare).unwrap(),
            Some(0x2_0021)
        );
        assert_eq!(
            place(Board::Microbit, &job, &mut spare).unwrap(),
            Some(0x2_0041)
        );
        assert_eq!(
            place(Board::Microbit, &job, &mut spare)
                .unwrap_err()
                .to_string(),
            "a blob of 17 bytes does not fit into the 4 bytes left on microbit; send fewer at once"
        );
    }
}
