//! A signed model in memory: header, blob, signature.

use crate::error::Refused;
use crate::header::{HEADER_LEN, Header, SIGNATURE_LEN};
use crate::signature::{self, PublicKey};

/// A signed model whose signature is right.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// What it says of itself.
    pub header: Header,
    /// The model, for [`Model::from_bytes`](thumbnet_runtime::Model::from_bytes).
    pub blob: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Checks that `bytes` are a signed model and nothing else, and that one of the keys signed all of it.
    ///
    /// The blob itself is not looked at.
    ///
    /// # Errors
    ///
    /// [`Refused`], but for [`Refused::Model`], [`Refused::Older`] and [`Refused::Product`].
    pub fn open(bytes: &'a [u8], keys: &[PublicKey]) -> Result<Self, Refused> {
        let unchecked = Self::unchecked(bytes)?;
        let Some((message, signature)) = bytes.split_last_chunk::<SIGNATURE_LEN>() else {
            return Err(Refused::NotSigned);
        };
        let found = unchecked.header.key;
        let mut keys = keys.iter().filter(|key| key.starts_with(&found)).peekable();
        if keys.peek().is_none() {
            return Err(Refused::Key { found });
        }
        match keys.any(|key| signature::verify(key, message, signature)) {
            true => Ok(unchecked),
            false => Err(Refused::Signature),
        }
    }

    /// Header and blob of bytes whose signature was checked before.
    pub(crate) fn unchecked(bytes: &'a [u8]) -> Result<Self, Refused> {
        let header = Header::read(bytes)?;
        let expected = header.signed_len();
        let blob = bytes.get(HEADER_LEN..expected.saturating_sub(SIGNATURE_LEN));
        match blob {
            Some(blob) if bytes.len() == expected => Ok(Self { header, blob }),
            _ => Err(Refused::Length {
                expected,
                found: bytes.len(),
            }),
        }
    }
}
