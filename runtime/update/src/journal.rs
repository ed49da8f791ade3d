//! The device's memory of its state: records one behind the other in two sectors, the newest whole one counts.
//!
//! A write that the power cut short leaves a record that its checksum gives away, so that a step from one state
//! to the next is done by its last word or not at all. Each record is written twice: a word that was cut short may
//! read as whole now and as torn at the next start, so that a state counts once there are two records of it. No
//! word is written twice between two erases. A sector is erased only while the other one holds the newest record.

use embedded_storage::nor_flash::NorFlash;

use crate::flash::{ERASED, UNIT};
use crate::state::{RECORD_LEN, State};

/// Records are numbered by their places: torn ones count too, so that one which later reads as whole is older
/// than what was written after it.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Where the first of the two sectors begins.
    start: u32,
    /// What the newest record holds.
    pub state: State,
    /// Whether an older record holds the same.
    settled: bool,
    /// Its number.
    sequence: u32,
    /// The sector that it is in.
    second: bool,
    /// Its place there, and that of the next one.
    place: u32,
    next: u32,
}

impl Journal {
    /// Finds the newest record in the two sectors from `start` on.
    pub fn open<F: NorFlash>(flash: &mut F, start: u32) -> Self {
        let mut journal = Self {
            start,
            state: State::default(),
            settled: true,
            sequence: 0,
            // Nothing is there: the next record goes into the first sector, once that is erased.
            second: true,
            place: Self::places::<F>(),
            next: Self::places::<F>(),
        };
        for second in [false, true] {
            let mut newest_here = false;
            for place in 0..Self::places::<F>() {
                let mut bytes = [0; UNIT];
                let at = Self::address::<F>(start, second, place);
                let record = bytes.get_mut(..Self::record_len::<F>());
                // Some flash refuses to read a torn word.
                let read = record.is_some_and(|record| flash.read(at, record).is_ok());
                if read && bytes.iter().take(RECORD_LEN).all(|&byte| byte == ERASED) {
                    continue;
                }
                let record = bytes.first_chunk().filter(|_| read);
                if let Some((sequence, state)) = record.and_then(State::read) {
                    if sequence > journal.sequence {
                        newest_here = true;
                        journal = Self {
                            settled: journal.sequence > 0 && state == journal.state,
                            start,
                            state,
                            sequence,
                            second,
                            place,
                            next: place,
                        };
                    } else {
                        journal.settled |=
                            state == journal.state && sequence + 1 == journal.sequence;
                    }
                }
                if newest_here {
                    // Behind the last place that is not erased.
                    journal.next = place + 1;
                }
            }
        }
        journal
    }

    /// Writes the state that holds from now on.
    pub fn append<F: NorFlash>(&mut self, flash: &mut F, state: State) -> Result<(), F::Error> {
        self.write(flash, state)?;
        self.settle(flash)
    }

    /// Writes the newest record once more where it is there once.
    pub fn settle<F: NorFlash>(&mut self, flash: &mut F) -> Result<(), F::Error> {
        if !self.settled {
            self.write(flash, self.state)?;
            self.settled = true;
        }
        Ok(())
    }

    fn write<F: NorFlash>(&mut self, flash: &mut F, state: State) -> Result<(), F::Error> {
        let sequence = self.sequence + (self.next - self.place).max(1);
        let mut second = self.second;
        let mut place = self.next;
        if place >= Self::places::<F>() {
            second = !second;
            place = 0;
            let at = Self::address::<F>(self.start, second, 0);
            flash.erase(at, at + F::ERASE_SIZE as u32)?;
        }
        let mut bytes = [ERASED; UNIT];
        for (to, byte) in bytes.iter_mut().zip(state.to_bytes(sequence)) {
            *to = byte;
        }
        let at = Self::address::<F>(self.start, second, place);
        let record = bytes.get(..Self::record_len::<F>()).unwrap_or(&bytes);
        if second == self.second {
            // Not to be written again, whatever becomes of it.
            self.next = place + 1;
        }
        flash.write(at, record)?;
        *self = Self {
            start: self.start,
            state,
            settled: false,
            sequence,
            second,
            place,
            next: place + 1,
        };
        Ok(())
    }

    /// Bytes from one record to the next.
    const fn record_len<F: NorFlash>() -> usize {
        if F::WRITE_SIZE > RECORD_LEN {
            F::WRITE_SIZE
        } else {
            RECORD_LEN
        }
    }

    /// Records in a sector.
    const fn places<F: NorFlash>() -> u32 {
        (F::ERASE_SIZE / Self::record_len::<F>()) as u32
    }

    const fn address<F: NorFlash>(start: u32, second: bool, place: u32) -> u32 {
        let sector = if second { F::ERASE_SIZE as u32 } else { 0 };
        start + sector + place * Self::record_len::<F>() as u32
    }
}
