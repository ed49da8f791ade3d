//! `bare.rs` without a model, with the same rows and memory.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod firmware {
    use core::hint::black_box;

    use cortex_m_rt::entry;
    use panic_halt as _;

    const INPUTS: usize = 64;
    const SCRATCH_WORDS: usize = 64;
    const OUTPUTS: usize = 10;

    #[entry]
    fn main() -> ! {
        let inputs = [0.0f32; INPUTS];
        let mut scratch = [0u32; SCRATCH_WORDS];
        let mut outputs = [0.0f32; OUTPUTS];
        black_box(&inputs);
        black_box(&mut scratch);
        black_box(&mut outputs);
        loop {
            cortex_m::asm::wfi();
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("this is a program for Cortex-M: `tests/bench` measures its size");
}
