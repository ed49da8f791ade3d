//! Predicts compiled-in rows with a compiled-in model and logs what it found.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod firmware {
    use core::panic::PanicInfo;

    use cortex_m as _; // the critical section that defmt logs in
    use cortex_m_rt::{ExceptionFrame, entry, exception};
    #[cfg(feature = "rtt")]
    use defmt_rtt as _;
    #[cfg(not(feature = "rtt"))]
    use defmt_semihosting as _;
    use thumbnet_runtime::Error;

    thumbnet_runtime::include_model!(model);
    mod rows {
        include!(concat!(env!("OUT_DIR"), "/rows.rs"));
    }

    #[entry]
    fn main() -> ! {
        if let Err(error) = run() {
            defmt::error!("{}", error);
            end(false);
        }
        end(true)
    }

    fn run() -> Result<(), Error> {
        let model = model::load()?;
        let mut scratch = model::SCRATCH;
        let mut outputs = [0.0; model::OUTPUTS];
        defmt::info!(
            "a model of {=usize} bytes: {=usize} inputs, {=usize} outputs, {=usize} multiply-accumulates, {=usize} bytes of scratch memory",
            model::BLOB.len(),
            model.inputs(),
            model.outputs(),
            model.macs(),
            scratch.len() * 4
        );
        model.self_test(&mut scratch, &mut outputs)?;
        defmt::info!("self-test passed");

        let (mut right, mut same) = (0, 0);
        for ((row, label), expected) in rows::FEATURES.iter().zip(rows::LABELS).zip(rows::EXPECTED)
        {
            let class = model.classify(row, &mut scratch, &mut outputs)?;
            let verdict = if class.label == label {
                "right"
            } else {
                "wrong"
            };
            right += usize::from(class.label == label);
            same += usize::from(
                outputs
                    .iter()
                    .zip(expected)
                    .all(|(y, bits)| y.to_bits() == bits),
            );
            defmt::info!(
                "{=str}: {=str}, score {=f32}, {=str}",
                label,
                class.label,
                class.score,
                verdict
            );
        }
        let rows = rows::FEATURES.len();
        defmt::info!("{=usize} of {=usize} rows classified right", right, rows);
        defmt::info!(
            "{=usize} of {=usize} rows with the same bits as on the host",
            same,
            rows
        );
        Ok(())
    }

    /// Leaves QEMU; on a board, sleeps.
    fn end(success: bool) -> ! {
        #[cfg(not(feature = "rtt"))]
        semihosting::process::exit(i32::from(!success));
        #[cfg(feature = "rtt")]
        loop {
            let _ = success;
            cortex_m::asm::wfi();
        }
    }

    #[panic_handler]
    fn panic(info: &PanicInfo) -> ! {
        defmt::error!("{}", defmt::Display2Format(info));
        end(false)
    }

    #[exception]
    unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
        defmt::error!("hard fault at {=u32:#010x}", frame.pc());
        end(false)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("this is a program for Cortex-M: use `cargo run` inside firmware-example");
}
