//! Two places for a model: the one that runs, and the next.

use core::ops::Range;

use thumbnet_runtime::{Error as ModelError, Model, What};

use crate::error::{Error, Refused};
use crate::flash::{self, ERASED, Mapped, UNIT};
use crate::header::{HEADER_LEN, Header};
use crate::journal::Journal;
use crate::signature::PublicKey;
use crate::signed::Signed;
use crate::state::{Slot, State};

/// Which models a device takes.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'k> {
    /// Keys of those who may sign.
    pub keys: &'k [PublicKey],
    /// What the device is; models for other products are refused. Defaults to 0, which `thumbnet sign` writes
    /// where it is not told.
    pub product: u32,
    /// Whether models older than the newest that was confirmed are refused. Defaults to true.
    pub forbid_older: bool,
    /// Times that a new model is started without being confirmed, before the one before it runs again. Defaults
    /// to 3; at least 1.
    pub starts: u8,
}

impl<'k> Policy<'k> {
    /// The defaults, with these keys.
    pub const fn new(keys: &'k [PublicKey]) -> Self {
        Self {
            keys,
            product: 0,
            forbid_older: true,
            starts: 3,
        }
    }
}

/// What [`Slots::start`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The version of the model that runs.
    pub version: u32,
    /// Whether it is on trial: [`confirm`](Slots::confirm) it once it has shown what it can.
    pub trial: bool,
    /// Whether it runs since the model after it did not confirm itself, or was damaged.
    pub rolled_back: bool,
}

/// A region of flash with two slots for models, and two sectors that remember which of them runs.
///
/// `LAYERS` is as for [`Model`].
#[derive(Debug)]
pub struct Slots<'k, F, const LAYERS: usize = 16> {
    flash: F,
    policy: Policy<'k>,
    /// Where slot A begins, behind the journal.
    start: u32,
    /// Bytes of a slot.
    slot_len: u32,
    journal: Journal,
    /// The slot of the model that runs.
    started: Option<Slot>,
    receiving: Option<Receiving>,
}

/// How far a signed model is received.
#[derive(Clone, Copy, Debug)]
struct Receiving {
    /// Bytes of all of it.
    total: u32,
    /// Bytes in flash, a multiple of [`UNIT`] up to the end.
    written: u32,
    /// Bytes that wait to be as many as are written at once.
    waiting: [u8; UNIT],
    count: usize,
}

impl Receiving {
    fn position(&self) -> u32 {
        // The last bytes are written with others behind them.
        (self.written + self.count as u32).min(self.total)
    }
}

impl<'k, F: Mapped, const LAYERS: usize> Slots<'k, F, LAYERS> {
    /// Finds out what is in a region of the flash, of which nothing else may write: two sectors, then two slots
    /// of the same size. A sector that is left over stays unused.
    ///
    /// # Errors
    ///
    /// [`Error::Region`].
    pub fn open(flash: F, region: Range<u32>, policy: Policy<'k>) -> Result<Self, Error<F::Error>> {
        const { flash::check::<F>() };
        let sector = F::ERASE_SIZE as u32;
        let sectors = region.end.saturating_sub(region.start) / sector;
        let aligned = region.start.is_multiple_of(sector) && region.end.is_multiple_of(sector);
        let there = region.end as usize <= flash.capacity().min(flash.bytes().len());
        let slot = sectors.saturating_sub(2) / 2;
        if !aligned || !there || slot == 0 || slot > u16::MAX.into() {
            return Err(Error::Region {
                sector: F::ERASE_SIZE,
            });
        }
        let mut flash = flash;
        let journal = Journal::open(&mut flash, region.start);
        Ok(Self {
            flash,
            policy,
            start: region.start + 2 * sector,
            slot_len: slot * sector,
            journal,
            started: None,
            receiving: None,
        })
    }

    /// The flash, for other uses, and at the end.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Bytes of the greatest signed model that there is room for.
    pub fn capacity(&self) -> usize {
        self.slot_len as usize
    }

    /// Chooses the model to run, once after each reset: the newest one that may. A model on trial has this start
    /// counted in flash before it runs; after as many as the policy grants it is given up for good.
    ///
    /// The blob's checksum and structure are checked, at 10 to 15 instructions a byte. A confirmed model that is
    /// damaged is replaced by the one before it, where that is still there, rightly signed, and not forbidden.
    ///
    /// # Errors
    ///
    /// [`Error::NoModel`], [`Error::Flash`].
    pub fn start(&mut self) -> Result<Started, Error<F::Error>> {
        self.started = None;
        let mut rolled_back = false;
        self.settle()?;
        let mut state = self.journal.state;
        if state.trial {
            if state.starts < self.policy.starts.max(1) {
                state.starts += 1;
                self.remember(state)?;
                if let Some(started) = self.run(state, false) {
                    return Ok(started);
                }
            }
            state = state.back();
            self.remember(state)?;
            rolled_back = true;
        }
        if let Some(started) = self.run(state, rolled_back) {
            return Ok(started);
        }
        let back = State {
            received: state.received,
            ..state.back()
        };
        if let Some(slot) = back.active
            && self.verify(slot).is_ok()
        {
            self.remember(back)?;
            if let Some(started) = self.run(back, true) {
                return Ok(started);
            }
        }
        Err(Error::NoModel)
    }

    /// The active model, where it is whole.
    fn run(&mut self, state: State, rolled_back: bool) -> Option<Started> {
        let slot = state.active?;
        let signed = self.signed(slot).ok()?;
        Model::<LAYERS>::from_bytes(signed.blob).ok()?;
        let version = signed.header.version;
        self.started = Some(slot);
        Some(Started {
            version,
            trial: state.trial,
            rolled_back,
        })
    }

    /// The model that [`start`](Self::start) chose. This takes few instructions: what was checked there is not
    /// checked again.
    ///
    /// It is borrowed from the flash, so that it ends before the next call that may write: make it anew where
    /// models are received between predictions.
    ///
    /// # Errors
    ///
    /// [`Error::NotStarted`].
    pub fn model(&self) -> Result<Model<'_, LAYERS>, Error<F::Error>> {
        let slot = self.started.ok_or(Error::NotStarted)?;
        let signed = self.signed(slot)?;
        Model::from_bytes_without_crc(signed.blob).map_err(|error| Refused::from(error).into())
    }

    /// Lets the model on trial stay. Does nothing for one that may stay already.
    ///
    /// # Errors
    ///
    /// [`Error::NotStarted`] where the active model does not run yet: it is the next start that runs it.
    pub fn confirm(&mut self) -> Result<(), Error<F::Error>> {
        let state = self.journal.state;
        let slot = state.active.ok_or(Error::NotStarted)?;
        if self.started != Some(slot) {
            return Err(Error::NotStarted);
        }
        if !state.trial {
            return Ok(());
        }
        let version = self.signed(slot)?.header.version;
        self.remember(State {
            trial: false,
            starts: 0,
            newest: state.newest.max(version),
            ..state
        })
    }

    /// Gives up the model on trial: the next start runs the one before it. Does nothing for a confirmed one.
    ///
    /// # Errors
    ///
    /// [`Error::Flash`].
    pub fn reject(&mut self) -> Result<(), Error<F::Error>> {
        match self.journal.state.trial {
            true => self.remember(self.journal.state.back()),
            false => Ok(()),
        }
    }

    /// Begins to receive a signed model, or goes on where a reset or another `begin` interrupted it. Returns the
    /// bytes of it that are there: [`write`](Self::write) is to be given those from there on.
    ///
    /// * `header` - the first bytes of the signed model. Another model than the one that was being received begins at 0.
    ///
    /// # Errors
    ///
    /// [`Error::OnTrial`], and [`Error::Refused`] where the header alone tells that the model will not do. Nothing was
    /// written then.
    pub fn begin(&mut self, header: &[u8; HEADER_LEN]) -> Result<usize, Error<F::Error>> {
        self.receiving = None;
        self.settle()?;
        let state = self.journal.state;
        if state.trial {
            return Err(Error::OnTrial);
        }
        let total = self.allow(&Header::read(header)?)?;
        let done = u32::from(state.received) * F::ERASE_SIZE as u32;
        let same = done > 0 && self.slot(state.free()).starts_with(header);
        let written = if same { done } else { 0 };
        // Before anything is erased, and always: a torn record that says otherwise would be believed when it later
        // reads as whole.
        self.remember(State {
            previous: false,
            received: if same { state.received } else { 0 },
            ..state
        })?;
        let receiving = Receiving {
            total,
            written,
            waiting: [ERASED; UNIT],
            count: 0,
        };
        self.receiving = Some(receiving);
        Ok(receiving.position() as usize)
    }

    /// Whether a header is that of a model which will do; its bytes.
    fn allow(&self, header: &Header) -> Result<u32, Refused> {
        let policy = &self.policy;
        if header.product != policy.product {
            return Err(Refused::Product {
                expected: policy.product,
                found: header.product,
            });
        }
        let newest = self.journal.state.newest;
        if policy.forbid_older && header.version < newest {
            return Err(Refused::Older {
                expected: newest,
                found: header.version,
            });
        }
        if !policy.keys.iter().any(|key| key.starts_with(&header.key)) {
            return Err(Refused::Key { found: header.key });
        }
        let found = header.signed_len();
        match u32::try_from(found) {
            Ok(total) if total <= self.slot_len => Ok(total),
            _ => Err(Refused::Length {
                expected: self.capacity(),
                found,
            }),
        }
    }

    /// Takes the next bytes of the signed model, any number of them. After an error nothing more is taken until the
    /// next [`begin`](Self::begin), which tells what is there.
    ///
    /// # Errors
    ///
    /// [`Error::NotBegun`]; [`Refused::Length`] for more bytes than the header said; [`Error::Flash`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error<F::Error>> {
        let mut receiving = self.receiving.take().ok_or(Error::NotBegun)?;
        let left = (receiving.total - receiving.position()) as usize;
        if bytes.len() > left {
            let total = receiving.total as usize;
            return Err(Error::Refused(Refused::Length {
                expected: total,
                found: total - left + bytes.len(),
            }));
        }
        for &byte in bytes {
            if let Some(to) = receiving.waiting.get_mut(receiving.count) {
                *to = byte;
            }
            receiving.count += 1;
            if receiving.count == UNIT || receiving.position() == receiving.total {
                self.store(&mut receiving)?;
            }
        }
        self.receiving = Some(receiving);
        Ok(())
    }

    /// Writes the bytes that wait, which are all that a sector has room for, at most.
    fn store(&mut self, receiving: &mut Receiving) -> Result<(), Error<F::Error>> {
        let sector = F::ERASE_SIZE as u32;
        let at = self.address(self.journal.state.free()) + receiving.written;
        if receiving.written.is_multiple_of(sector) {
            self.flash.erase(at, at + sector).map_err(Error::Flash)?;
        }
        let waiting = &receiving.waiting;
        self.flash.write(at, waiting).map_err(Error::Flash)?;
        receiving.written += UNIT as u32;
        receiving.waiting = [ERASED; UNIT];
        receiving.count = 0;
        if receiving.written.is_multiple_of(sector) || receiving.written >= receiving.total {
            self.remember(State {
                received: receiving.written.div_ceil(sector) as u16, // at most those of a slot
                ..self.journal.state
            })?;
        }
        Ok(())
    }

    /// Checks the signed model that was received: signature, version, checksum and structure, self-test. If all of
    /// that is right, it is the one that the next [`start`](Self::start) runs, on trial. Returns its version.
    ///
    /// * `scratch`, `outputs` - as for [`Model::predict`]: a model of more or other outputs is refused
    ///
    /// # Errors
    ///
    /// [`Error::NotBegun`], [`Error::Incomplete`]; [`Error::Refused`], and what was received is given up;
    /// [`Error::Flash`].
    pub fn finish(
        &mut self,
        scratch: &mut [u32],
        outputs: &mut [f32],
    ) -> Result<u32, Error<F::Error>> {
        let receiving = self.receiving.ok_or(Error::NotBegun)?;
        if receiving.written < receiving.total {
            return Err(Error::Incomplete {
                expected: receiving.total as usize,
                found: receiving.position() as usize,
            });
        }
        self.receiving = None;
        let state = self.journal.state;
        let slot = state.free();
        let checked = self
            .verify(slot)
            .and_then(|signed| try_out::<LAYERS>(&signed, scratch, outputs));
        match checked {
            Ok(version) => {
                self.remember(State {
                    active: Some(slot),
                    previous: state.active.is_some(),
                    trial: true,
                    starts: 0,
                    received: 0,
                    newest: state.newest,
                })?;
                Ok(version)
            }
            Err(refused) => {
                self.remember(State {
                    received: 0,
                    ..state
                })?;
                Err(refused.into())
            }
        }
    }

    /// What lies in a slot, if it is rightly signed and allowed.
    fn verify(&self, slot: Slot) -> Result<Signed<'_>, Refused> {
        let unchecked = self.signed(slot)?;
        self.allow(&unchecked.header)?;
        let total = unchecked.header.signed_len();
        let bytes = self.slot(slot).get(..total).unwrap_or_default();
        Signed::open(bytes, self.policy.keys)
    }

    /// What lies in a slot.
    fn signed(&self, slot: Slot) -> Result<Signed<'_>, Refused> {
        let bytes = self.slot(slot);
        let total = Header::read(bytes)?.signed_len();
        let bytes = bytes.get(..total).ok_or(Refused::Length {
            expected: bytes.len(),
            found: total,
        })?;
        Signed::unchecked(bytes)
    }

    fn address(&self, slot: Slot) -> u32 {
        match slot {
            Slot::A => self.start,
            Slot::B => self.start + self.slot_len,
        }
    }

    fn slot(&self, slot: Slot) -> &[u8] {
        let at = self.address(slot) as usize;
        let bytes = self.flash.bytes();
        bytes
            .get(at..at + self.slot_len as usize)
            .unwrap_or_default()
    }

    /// Before anything is decided by what the power may have cut short.
    fn settle(&mut self) -> Result<(), Error<F::Error>> {
        self.journal.settle(&mut self.flash).map_err(Error::Flash)
    }

    fn remember(&mut self, state: State) -> Result<(), Error<F::Error>> {
        self.journal
            .append(&mut self.flash, state)
            .map_err(Error::Flash)
    }
}

/// Runs the model's own test in a device's memory; its version.
fn try_out<const LAYERS: usize>(
    signed: &Signed,
    scratch: &mut [u32],
    outputs: &mut [f32],
) -> Result<u32, Refused> {
    let model = Model::<LAYERS>::from_bytes(signed.blob)?;
    if model.scratch_len() > scratch.len() {
        return Err(Refused::Model(ModelError::Length {
            what: What::Scratch,
            expected: model.scratch_len() as u32, // lengths of a blob fit
            found: scratch.len() as u32,
        }));
    }
    if model.outputs() != outputs.len() {
        return Err(Refused::Model(ModelError::Length {
            what: What::Outputs,
            expected: model.outputs() as u32,
            found: outputs.len() as u32,
        }));
    }
    model.self_test(scratch, outputs)?;
    Ok(signed.header.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_careful() {
        let policy = Policy::new(&[]);
        assert!(policy.forbid_older);
        assert_eq!((policy.product, policy.starts), (0, 3));
    }
}
