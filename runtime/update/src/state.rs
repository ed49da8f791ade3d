//! What the device remembers, in one record of 16 bytes.

use thumbnet_runtime::crc32;

/// Bytes of a record.
pub(crate) const RECORD_LEN: usize = 16;

/// Which model runs, whether it must still prove itself, and how far the next one is received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// The slot of the model to run.
    pub active: Option<Slot>,
    /// Whether the other slot holds a model that was confirmed.
    pub previous: bool,
    /// Whether the active model has yet to be confirmed.
    pub trial: bool,
    /// Starts of the model on trial.
    pub starts: u8,
    /// Sectors of the other slot that hold the beginning of a signed model.
    pub received: u16,
    /// The greatest version that was confirmed.
    pub newest: u32,
}

/// One of two places for a signed model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    A,
    B,
}

impl Slot {
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl State {
    /// The slot that the next model is received into.
    pub fn free(&self) -> Slot {
        self.active.map_or(Slot::A, Slot::other)
    }

    /// Without the active model: what was confirmed before it, if that is still there.
    pub fn back(self) -> Self {
        Self {
            active: match (self.active, self.previous) {
                (Some(slot), true) => Some(slot.other()),
                _ => None,
            },
            previous: false,
            trial: false,
            starts: 0,
            received: 0,
            newest: self.newest,
        }
    }

    /// As it is written; `sequence` numbers the records.
    pub fn to_bytes(self, sequence: u32) -> [u8; RECORD_LEN] {
        let active = match self.active {
            None => 0,
            Some(Slot::A) => 1,
            Some(Slot::B) => 2,
        };
        let flags = active | u8::from(self.previous) << 2 | u8::from(self.trial) << 3;
        let [a, b, c, d] = sequence.to_le_bytes();
        let [e, f, g, h] = self.newest.to_le_bytes();
        let [i, j] = self.received.to_le_bytes();
        let body = [a, b, c, d, e, f, g, h, i, j, flags, self.starts];
        let [k, l, m, n] = crc32(&body).to_le_bytes();
        [a, b, c, d, e, f, g, h, i, j, flags, self.starts, k, l, m, n]
    }

    /// Reads a record and its number; `None` for one that is erased, torn, or none.
    pub fn read(record: &[u8; RECORD_LEN]) -> Option<(u32, Self)> {
        let [a, b, c, d, e, f, g, h, i, j, flags, starts, crc @ ..] = *record;
        let (body, _) = record.split_first_chunk::<12>()?;
        if crc32(body) != u32::from_le_bytes(crc) {
            return None;
        }
        let active = match flags & 3 {
            0 => None,
            1 => Some(Slot::A),
            2 => Some(Slot::B),
            _ => return None,
        };
        let state = Self {
            active,
            previous: flags & 4 != 0,
            trial: flags & 8 != 0,
            starts,
            received: u16::from_le_bytes([i, j]),
            newest: u32::from_le_bytes([e, f, g, h]),
        };
        (flags < 16).then_some((u32::from_le_bytes([a, b, c, d]), state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: State = State {
        active: Some(Slot::B),
        previous: true,
        trial: true,
        starts: 2,
        received: 0x0102,
        newest: 9,
    };

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = STATE.to_bytes(0x0403_0201);
        assert_eq!(record[..12], [1, 2, 3, 4, 9, 0, 0, 0, 2, 1, 0b1110, 2]);
        assert_eq!(State::read(&record), Some((0x0403_0201, STATE)));
        assert_eq!(State::read(&[0xFF; RECORD_LEN]), None);
        assert_eq!(State::read(&[0; RECORD_LEN]), None);
    }

    #[test]
    fn a_record_with_any_bit_missing_is_none() {
        let whole = STATE.to_bytes(5);
        for bit in 0..RECORD_LEN * 8 {
            let mut torn = whole;
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(State::read(&torn), None, "{bit}");
        }
    }
}
