//! The least that firmware with a model needs, for its size: verify, predict, stop.
//! `empty.rs` is the same without a model.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod firmware {
    use core::{hint::black_box, slice};

    use cortex_m_rt::entry;
    use panic_halt as _;
    use thumbnet_runtime::Model;

    /// Sizes are known before flashing; these are some.
    const INPUTS: usize = 64;
    const SCRATCH_WORDS: usize = 64;
    const OUTPUTS: usize = 10;

    #[entry]
    fn main() -> ! {
        unsafe extern "C" {
            static _spare: u8;
        }
        // SAFETY: in the flash that the board has there, if it is never run in earnest.
        let blob = black_box(unsafe { slice::from_raw_parts(&raw const _spare, 4096) });
        let inputs = [0.0; INPUTS];
        let mut scratch = [0; SCRATCH_WORDS];
        let mut outputs = [0.0; OUTPUTS];
        if let Ok(model) = &Model::<8>::from_bytes(blob)
            && model
                .predict(black_box(&inputs), black_box(&mut scratch), &mut outputs)
                .is_ok()
        {
            black_box(&outputs);
        }
        loop {
            cortex_m::asm::wfi();
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("this is a program for Cortex-M: `tests/bench` measures its size");
}
