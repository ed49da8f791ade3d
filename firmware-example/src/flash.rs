//! A driver for the flash behind the program, `_spare` in `memory/`: nRF51's own on the micro:bit. The other boards
//! of QEMU have memory there, which this treats as flash.

use core::{
    ptr::{read_volatile, write_volatile},
    slice,
};

use thumbnet_update::{
    Mapped,
    embedded_storage::nor_flash::{
        ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
    },
};

/// Bytes that the models may take.
pub const LEN: usize = 64 << 10;

/// The flash; there is one.
pub struct Flash {
    start: *mut u32,
}

impl Flash {
    /// Takes it.
    ///
    /// # Safety
    ///
    /// Once only, and nothing else uses `_spare`.
    pub unsafe fn take() -> Self {
        unsafe extern "C" {
            static mut _spare: u32;
        }
        Self {
            start: &raw mut _spare,
        }
    }

    /// nRF51's registers: 0 reads, 1 writes, 2 erases.
    fn mode(mode: u32) {
        const READY: *const u32 = 0x4001_E400 as _;
        const CONFIG: *mut u32 = 0x4001_E504 as _;
        if is_nrf51() {
            // SAFETY: registers of the flash controller, which is this driver's.
            unsafe {
                write_volatile(CONFIG, mode);
                while read_volatile(READY) == 0 {}
            }
        }
    }
}

fn is_nrf51() -> bool {
    option_env!("THUMBNET_BOARD") == Some("microbit")
}

impl ErrorType for Flash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let from = self.bytes().get(offset as usize..).unwrap_or_default();
        for (to, &byte) in bytes.iter_mut().zip(from) {
            *to = byte;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        LEN
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 1024;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        const ERASEPAGE: *mut u32 = 0x4001_E508 as _;
        check_erase(self, from, to)?;
        Self::mode(2);
        for at in (from..to).step_by(if is_nrf51() { Self::ERASE_SIZE } else { 4 }) {
            let word = self.start.wrapping_add(at as usize / 4);
            // SAFETY: the register of the flash controller, or memory within the region.
            unsafe {
                match is_nrf51() {
                    true => write_volatile(ERASEPAGE, word.addr() as u32),
                    false => write_volatile(word, u32::MAX),
                }
            }
        }
        Self::mode(0);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        check_write(self, offset, bytes.len())?;
        Self::mode(1);
        for (&new, index) in bytes.as_chunks().0.iter().zip(offset as usize / 4..) {
            let word = self.start.wrapping_add(index);
            // SAFETY: within the region.
            unsafe { write_volatile(word, read_volatile(word) & u32::from_le_bytes(new)) };
        }
        Self::mode(0);
        Ok(())
    }
}

impl Mapped for Flash {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the region is there, and changes by `&mut self` only.
        unsafe { slice::from_raw_parts(self.start.cast(), LEN) }
    }
}
