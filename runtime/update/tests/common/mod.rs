//! Flash in memory that loses its power at any step, and panics where a driver would have to refuse.
#![allow(dead_code, reason = "each test has its own use")]

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thumbnet_update::{
    Mapped,
    embedded_storage::nor_flash::{
        ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
    },
};

/// Why an operation did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power went.
    Cut,
    /// A word that was cut short cannot be read.
    Torn,
}

impl NorFlashError for Fault {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// What a cut leaves of a word that was being written, or of a sector that was being erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// As it was before.
    Nothing,
    /// All that was to be done, though nobody was told.
    All,
    /// Any of the bits.
    Some,
    /// All but one bit.
    Most,
}

impl Left {
    pub const ALL: [Self; 4] = [Self::Nothing, Self::All, Self::Some, Self::Most];
}

/// Flash whose words have `WRITE` bytes and are written once between two erases of their sector of `ERASE` bytes.
#[derive(Clone, Debug)]
pub struct Flash<const WRITE: usize, const ERASE: usize> {
    memory: Vec<u128>,
    /// Words that were written since their sector was erased.
    written: Vec<bool>,
    /// Words that were cut short, and what they were to be: they read in another way after each start.
    torn: Vec<Option<Vec<u8>>>,
    /// Sectors whose erase was cut short: nothing may be written there.
    uncertain: Vec<bool>,
    /// Whether torn words cannot be read, as those of flash with error correction.
    pub corrects: bool,
    /// Erases of each sector.
    pub erases: Vec<u32>,
    /// Writes of words and erases of sectors so far.
    pub steps: u64,
    /// The step at which the power goes.
    pub cut: Option<u64>,
    pub left: Left,
    /// Cuts that are still to come behind that one, and the steps between them, at most.
    pub more: (u32, u64),
    /// Cuts so far.
    pub cuts: u32,
    /// Without power nothing works.
    off: bool,
    random: ChaCha8Rng,
}

impl<const WRITE: usize, const ERASE: usize> Flash<WRITE, ERASE> {
    /// Filled with `byte`, in sectors that were never erased.
    pub fn new(sectors: usize, byte: u8, seed: u64) -> Self {
        let words = sectors * ERASE / WRITE;
        Self {
            memory: vec![u128::from_ne_bytes([byte; 16]); sectors * ERASE / 16],
            written: vec![true; words],
            torn: vec![None; words],
            uncertain: vec![false; sectors],
            corrects: false,
            erases: vec![0; sectors],
            steps: 0,
            cut: None,
            left: Left::Some,
            more: (0, 0),
            cuts: 0,
            off: false,
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Gives the power back, where it went. Words that were cut short read in another way than before.
    pub fn on(&mut self) {
        let left = self.left;
        if self.off {
            self.off = false;
            self.cuts += 1;
            self.cut =
                (self.more.0 > 0).then(|| self.steps + self.random.random_range(0..self.more.1));
            self.more.0 = self.more.0.saturating_sub(1);
        }
        for word in 0..self.torn.len() {
            if let Some(new) = self.torn[word].clone() {
                let at = word * WRITE;
                self.memory_mut()[at..][..WRITE].fill(0xFF);
                self.left = Left::ALL[self.random.random_range(0..4)];
                self.change(at, &new, true);
                // Where it has left a trace, one stays.
                let blank = self.memory()[at..][..WRITE] == [0xFF; WRITE];
                if let Some(byte) = new.iter().position(|&byte| blank && byte != 0xFF) {
                    self.memory_mut()[at + byte] = new[byte];
                }
            }
        }
        self.left = left;
    }

    /// Changes bytes, as no program does.
    pub fn damage(&mut self, at: usize) {
        self.memory_mut()[at] ^= 0x10;
    }

    fn memory(&self) -> &[u8] {
        bytemuck::cast_slice(&self.memory)
    }

    fn memory_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.memory)
    }

    /// Counts a step; whether the power goes in it.
    fn step(&mut self) -> Result<bool, Fault> {
        if self.off {
            return Err(Fault::Cut);
        }
        self.off = self.cut == Some(self.steps);
        self.steps += 1;
        Ok(self.off)
    }

    /// Changes bits to those of `new`, as far as the power reaches.
    fn change(&mut self, at: usize, new: &[u8], cut: bool) {
        let left = if cut { self.left } else { Left::All };
        let old = self.memory()[at..][..new.len()].to_vec();
        let mut differing: Vec<usize> = (0..new.len() * 8)
            .filter(|bit| (old[bit / 8] ^ new[bit / 8]) >> (bit % 8) & 1 == 1)
            .collect();
        match left {
            Left::Nothing => differing.clear(),
            Left::All => {}
            Left::Some => differing.retain(|_| self.random.random_bool(0.5)),
            Left::Most => {
                if !differing.is_empty() {
                    let spared = self.random.random_range(0..differing.len());
                    differing.remove(spared);
                }
            }
        }
        for bit in differing {
            self.memory_mut()[at + bit / 8] ^= 1 << (bit % 8);
        }
    }
}

impl<const WRITE: usize, const ERASE: usize> ErrorType for Flash<WRITE, ERASE> {
    type Error = Fault;
}

impl<const WRITE: usize, const ERASE: usize> ReadNorFlash for Flash<WRITE, ERASE> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Fault> {
        if self.off {
            return Err(Fault::Cut);
        }
        let at = offset as usize;
        bytes.copy_from_slice(&self.memory()[at..][..bytes.len()]);
        let words = at / WRITE..(at + bytes.len()).div_ceil(WRITE);
        match self.corrects && self.torn[words].iter().any(Option::is_some) {
            true => Err(Fault::Torn),
            false => Ok(()),
        }
    }

    fn capacity(&self) -> usize {
        self.memory().len()
    }
}

impl<const WRITE: usize, const ERASE: usize> NorFlash for Flash<WRITE, ERASE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Fault> {
        let (from, to) = (from as usize, to as usize);
        assert!(
            from < to && from.is_multiple_of(ERASE) && to.is_multiple_of(ERASE),
            "{from} to {to}"
        );
        for sector in from / ERASE..to / ERASE {
            let cut = self.step()?;
            self.erases[sector] += 1;
            self.change(sector * ERASE, &[0xFF; ERASE], cut);
            self.uncertain[sector] = cut;
            let words = sector * ERASE / WRITE..(sector + 1) * ERASE / WRITE;
            self.written[words.clone()].fill(cut);
            self.torn[words].fill(None);
            if cut {
                return Err(Fault::Cut);
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        let offset = offset as usize;
        assert!(
            offset.is_multiple_of(WRITE) && bytes.len().is_multiple_of(WRITE),
            "{offset}"
        );
        for (word, at) in bytes.chunks(WRITE).zip((offset..).step_by(WRITE)) {
            let cut = self.step()?;
            assert!(!self.uncertain[at / ERASE], "sector of {at} is half erased");
            assert!(!self.written[at / WRITE], "{at} is written twice");
            let old = &self.memory()[at..][..WRITE];
            assert!(old.iter().all(|&byte| byte == 0xFF), "{at} is not erased");
            self.change(at, word, cut);
            let seen = self.memory()[at..][..WRITE]
                .iter()
                .any(|&byte| byte != 0xFF);
            // Of a write that left no trace nobody can know.
            self.written[at / WRITE] = !cut || seen || self.corrects;
            self.torn[at / WRITE] = (cut && self.written[at / WRITE]).then(|| word.to_vec());
            if cut {
                return Err(Fault::Cut);
            }
        }
        Ok(())
    }
}

impl<const WRITE: usize, const ERASE: usize> Mapped for Flash<WRITE, ERASE> {
    fn bytes(&self) -> &[u8] {
        self.memory()
    }
}
