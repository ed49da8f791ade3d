//! What a signed model says of itself: the 48 bytes before the blob.

use crate::error::Refused;
use crate::signature::PublicKey;

/// The first bytes of every signed model. They are signed as well, so that no signature that the same key made
/// over something else is one of a model.
pub const MAGIC: [u8; 16] = *b"thumbnet signed\n";
/// The format version that this crate writes and reads.
pub const FORMAT: u32 = 1;
/// Bytes of a [`Header`].
pub const HEADER_LEN: usize = 48;
/// Bytes of the signature behind the blob.
pub const SIGNATURE_LEN: usize = 64;

/// What stands before the blob of a signed model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The model's version. A device that forbids older ones takes none below that of the newest model that it
    /// has confirmed.
    pub version: u32,
    /// What the model is for: a device refuses those of other products under the same key.
    pub product: u32,
    /// Bytes of the blob.
    pub length: u32,
    /// The blob's own checksum, its last four bytes.
    pub checksum: u32,
    /// The first bytes of the public key.
    pub key: [u8; 8],
}

impl Header {
    /// Of a blob. `None` where it is shorter than its checksum, or longer than a `u32` can tell.
    pub fn of(blob: &[u8], version: u32, product: u32, key: &PublicKey) -> Option<Self> {
        Some(Self {
            version,
            product,
            length: u32::try_from(blob.len()).ok()?,
            checksum: u32::from_le_bytes(*blob.last_chunk()?),
            key: *key.first_chunk()?,
        })
    }

    /// Bytes of the whole signed model.
    pub fn signed_len(&self) -> usize {
        (self.length as usize).saturating_add(HEADER_LEN + SIGNATURE_LEN)
    }

    /// As it stands in a signed model.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let words = [
            FORMAT,
            self.version,
            self.product,
            self.length,
            self.checksum,
            0,
        ];
        let words = words.iter().flat_map(|word| word.to_le_bytes());
        let all = MAGIC.into_iter().chain(words).chain(self.key);
        for (to, byte) in bytes.iter_mut().zip(all) {
            *to = byte;
        }
        bytes
    }

    /// Reads the first bytes of a signed model.
    ///
    /// # Errors
    ///
    /// [`Refused::NotSigned`] and [`Refused::Format`].
    pub fn read(bytes: &[u8]) -> Result<Self, Refused> {
        let (magic, rest) = bytes.split_first_chunk().ok_or(Refused::NotSigned)?;
        if *magic != MAGIC {
            return Err(Refused::NotSigned);
        }
        let words = rest.as_chunks().0.first_chunk::<6>();
        let key = rest.get(24..).and_then(|rest| rest.first_chunk());
        let (Some(words), Some(key)) = (words, key) else {
            return Err(Refused::NotSigned);
        };
        let [format, version, product, length, checksum, spare] =
            words.map(|word: [u8; 4]| u32::from_le_bytes(word));
        if format != FORMAT || spare != 0 {
            return Err(Refused::Format {
                expected: FORMAT,
                found: format,
            });
        }
        Ok(Self {
            version,
            product,
            length,
            checksum,
            key: *key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let header = Header {
            version: 3,
            product: 7,
            length: 0x1234,
            checksum: 0xA1B2_C3D4,
            key: *b"12345678",
        };
        let bytes = header.to_bytes();
        let expected = b"thumbnet signed\n\x01\0\0\0\x03\0\0\0\x07\0\0\0\x34\x12\0\0\xD4\xC3\xB2\xA1\0\0\0\x0012345678";
        assert_eq!(&bytes, expected);
        assert_eq!(Header::read(&bytes), Ok(header));
        for length in 0..HEADER_LEN {
            assert_eq!(Header::read(&bytes[..length]), Err(Refused::NotSigned));
        }
        let mut other = bytes;
        other[16] = 2;
        let refused = Refused::Format {
            expected: 1,
            found: 2,
        };
        assert_eq!(Header::read(&other), Err(refused));
        other = bytes;
        other[38] = 1;
        assert!(Header::read(&other).is_err());
    }
}
