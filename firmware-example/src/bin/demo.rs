#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod firmware {
    use cortex_m as _; // its critical section
    use cortex_m_rt::entry;
    #[cfg(feature = "rtt")]
    use defmt_rtt as _;
    #[cfg(not(feature = "rtt"))]
    use defmt_semihosting as _;
    use panic_halt as _;

    #[entry]
    fn main() -> ! {
        defmt::info!("hello {=u32} {=f32} {=str}", 3, 1.5, "abc");
        defmt::warn!("hello {=[u8]:a} {=bool}", *b"abc", true);
        #[cfg(not(feature = "rtt"))]
        semihosting::process::exit(0);
        #[cfg(feature = "rtt")]
        loop {
            cortex_m::asm::wfi();
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {}
