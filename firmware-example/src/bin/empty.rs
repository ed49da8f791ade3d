//! `bare.rs` without a model.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod firmware {
    use cortex_m_rt::entry;
    use panic_halt as _;

    #[entry]
    fn main() -> ! {
        loop {
            cortex_m::asm::wfi();
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("this is a program for Cortex-M: `tests/bench` measures its size");
}
