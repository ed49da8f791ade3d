//! What flash has to offer.

use embedded_storage::nor_flash::NorFlash;

/// What erased bytes read as.
pub(crate) const ERASED: u8 = 0xFF;
/// Bytes that are written at once: a multiple of every size of a word.
pub(crate) const UNIT: usize = 32;

/// Flash that the processor reads as memory, as it does its own.
///
/// The bytes are borrowed with the driver, so that nothing writes while a model is read from them.
pub trait Mapped: NorFlash {
    /// All bytes, from the driver's offset 0 on, at an address that is a multiple of 16.
    fn bytes(&self) -> &[u8];
}

/// Whether a driver's sizes are those that this crate can serve; looked at when compiling.
pub(crate) const fn check<F: NorFlash>() {
    assert!(
        F::WRITE_SIZE > 0 && UNIT.is_multiple_of(F::WRITE_SIZE),
        "WRITE_SIZE must be 1, 2, 4, 8, 16 or 32"
    );
    assert!(
        UNIT.is_multiple_of(F::READ_SIZE) && F::READ_SIZE <= 16,
        "READ_SIZE must be 1, 2, 4, 8 or 16"
    );
    assert!(
        F::ERASE_SIZE.is_multiple_of(UNIT) && F::ERASE_SIZE >= 64,
        "ERASE_SIZE must be a multiple of 32, 64 at least"
    );
}
