//! Ed25519 over header and blob as they stand in the file.

use ed25519_compact::{PublicKey as Key, Signature};

use crate::header::SIGNATURE_LEN;

/// An Ed25519 public key, as `thumbnet keygen` prints it.
pub type PublicKey = [u8; 32];

pub(crate) fn verify(key: &PublicKey, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
    let signature = Signature::new(*signature);
    Key::new(*key).verify(message, &signature).is_ok()
}

/// Signs a blob; not for devices. `None` where it is no blob, or longer than a `u32` can tell.
///
/// * `seed` - the private key, 32 random bytes
#[cfg(not(target_os = "none"))]
pub fn sign(
    blob: &[u8],
    version: u32,
    product: u32,
    seed: &[u8; 32],
) -> Option<alloc::vec::Vec<u8>> {
    let keys = ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new(*seed));
    let header = crate::Header::of(blob, version, product, &keys.pk)?;
    let mut signed = alloc::vec::Vec::with_capacity(header.signed_len());
    signed.extend(header.to_bytes());
    signed.extend(blob);
    let signature = keys.sk.sign(&signed, None);
    signed.extend(*signature);
    Some(signed)
}

/// The public key that belongs to a private one; not for devices.
#[cfg(not(target_os = "none"))]
pub fn public_key(seed: &[u8; 32]) -> PublicKey {
    *ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new(*seed)).pk
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        core::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..][..2], 16).unwrap())
    }

    /// RFC 8032, 7.1, test 2.
    #[test]
    fn a_signature_of_the_standard_is_right() {
        let seed = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let key = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = bytes(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        assert_eq!(public_key(&seed), key);
        assert!(verify(&key, &[0x72], &signature));
        assert!(!verify(&key, &[0x73], &signature));
        for bit in 0..SIGNATURE_LEN * 8 {
            let mut wrong = signature;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(&key, &[0x72], &wrong), "{bit}");
        }
        // A key that signs everything.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert!(!verify(
            &neutral,
            &[0x72],
            &bytes(&alloc::format!("01{}", "00".repeat(63)))
        ));
    }
}
