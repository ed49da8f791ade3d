//! `bare.rs` with a model that can be replaced, for the size of that.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[path = "../flash.rs"]
mod flash;

#[cfg(target_os = "none")]
mod firmware {
    use core::hint::black_box;

    use cortex_m_rt::entry;
    use panic_halt as _;
    use thumbnet_update::{Error, Policy, Slots, embedded_storage::nor_flash::NorFlashErrorKind};

    use super::flash::{Flash, LEN};

    const INPUTS: usize = 64;
    const SCRATCH_WORDS: usize = 64;
    const OUTPUTS: usize = 10;
    static KEYS: [[u8; 32]; 1] = [[1; 32]];

    #[entry]
    fn main() -> ! {
        let _ = run();
        loop {
            cortex_m::asm::wfi();
        }
    }

    fn run() -> Result<(), Error<NorFlashErrorKind>> {
        // SAFETY: here only.
        let flash = unsafe { Flash::take() };
        let policy = Policy::new(black_box(&KEYS));
        let mut slots: Slots<Flash, 8> = Slots::open(flash, 0..LEN as u32, policy)?;
        let started = slots.start()?;
        let inputs = [0.0; INPUTS];
        let mut scratch = [0; SCRATCH_WORDS];
        let mut outputs = [0.0; OUTPUTS];
        let model = slots.model()?;
        let right = model.predict(black_box(&inputs), black_box(&mut scratch), &mut outputs);
        black_box(&outputs);
        if started.trial && right.is_ok() {
            slots.confirm()?;
        }
        slots.begin(black_box(&[0; 48]))?;
        slots.write(black_box(&[0; 100]))?;
        slots.finish(&mut scratch, &mut outputs)?;
        Ok(())
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("this is a program for Cortex-M: `tests/run update` measures its size");
}
