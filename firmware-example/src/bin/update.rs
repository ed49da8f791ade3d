//! Runs the newest model of two slots, and receives the next one from the host's file `model`, if there is one. The
//! file `request` says at which step the power goes: then half a word is written, or a sector is left as it was.
//! `tests/it/update.rs` is the other end: change both together.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[path = "../fault.rs"]
mod fault;
#[cfg(target_os = "none")]
#[path = "../flash.rs"]
mod flash;

#[cfg(target_os = "none")]
mod firmware {
    use core::arch::asm;

    use cortex_m::peripheral::{SYST, syst::SystClkSource};
    use cortex_m_rt::entry;
    use semihosting::{
        fs,
        io::{Read as _, Seek as _, SeekFrom, Write as _},
        println, process,
    };
    use thumbnet_update::{
        Error, HEADER_LEN, Mapped, Policy, Slots,
        embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash},
    };

    use super::flash::{Flash, LEN};

    /// The public key of the private key of 32 times 7, for tests. Yours is by `thumbnet keygen`.
    const KEYS: &[[u8; 32]] = &[[
        0xea, 0x4a, 0x6c, 0x63, 0xe2, 0x9c, 0x52, 0x0a, 0xbe, 0xf5, 0x50, 0x7b, 0x13, 0x2e, 0xc5,
        0xf9, 0x95, 0x47, 0x76, 0xae, 0xbe, 0xbe, 0x7b, 0x92, 0x42, 0x1e, 0xea, 0x69, 0x14, 0x46,
        0xd2, 0x2c,
    ]];

    /// Of the models that it runs.
    const INPUTS: usize = 8;
    const OUTPUTS: usize = 4;
    const SCRATCH_WORDS: usize = 128;

    #[entry]
    fn main() -> ! {
        // SAFETY: nothing else in this program uses the timer.
        let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(0x00FF_FFFF);
        timer.clear_current();
        timer.enable_counter();
        let million = ticks(|| {
            // SAFETY: counts a register down to zero, touching nothing else but the flags.
            unsafe {
                asm!("1: subs {n}, #1", "bne 1b", n = inout(reg) 500_000 => _, options(nomem, nostack))
            }
        });
        println!("million {}", million.1);

        let mut cut = [0; 4];
        let mut request = fs::File::open(c"request").expect("a file `request`");
        request.read_exact(&mut cut).expect("a whole request");
        let flash = Power {
            // SAFETY: here only.
            flash: unsafe { Flash::take() },
            steps: 0,
            cut: u32::from_le_bytes(cut),
        };
        let slots = Slots::open(flash, 0..LEN as u32, Policy::new(KEYS));
        let mut slots: Slots<Power> = slots.expect("a region of sectors");

        let (started, count) = ticks(|| slots.start());
        println!("start {count}");
        let (mut scratch, mut outputs) = ([0; SCRATCH_WORDS], [0.0; OUTPUTS]);
        match started {
            Ok(started) => {
                let model = slots.model().expect("it was started");
                let predicted = model.predict(&[0.5; INPUTS], &mut scratch, &mut outputs);
                println!("runs {} {}", started.version, started.trial);
                println!("outputs {:?}", outputs.map(f32::to_bits));
                if started.trial && predicted.is_ok() {
                    slots.confirm().expect("flash");
                    println!("confirmed");
                }
            }
            Err(Error::NoModel) => println!("runs nothing"),
            Err(error) => panic!("{error}"),
        }

        if let Ok(mut file) = fs::File::open(c"model") {
            match receive(&mut slots, &mut file, &mut scratch, &mut outputs) {
                Ok(version) => println!("received {version}"),
                Err(error) => println!("refused: {error}"),
            }
        }
        let power = slots.into_flash();
        println!("steps {}", power.steps);
        power.stop()
    }

    fn receive(
        slots: &mut Slots<Power>,
        file: &mut fs::File,
        scratch: &mut [u32],
        outputs: &mut [f32],
    ) -> Result<u32, Error<NorFlashErrorKind>> {
        let mut header = [0; HEADER_LEN];
        file.read_exact(&mut header).expect("a header");
        let position = slots.begin(&header)?;
        println!("from {position}");
        file.seek(SeekFrom::Start(position as u64)).expect("a seek");
        // As many bytes as some radio has in a packet.
        let mut packet = [0; 100];
        let mut sum = 0;
        loop {
            let count = file.read(&mut packet).expect("the model");
            if count == 0 {
                break;
            }
            let (written, count) = ticks(|| slots.write(&packet[..count]));
            written?;
            sum += count;
        }
        println!("write {sum}");
        let (finished, count) = ticks(|| slots.finish(scratch, outputs));
        println!("finish {count}");
        finished
    }

    fn ticks<T>(run: impl FnOnce() -> T) -> (T, u32) {
        let start = SYST::get_current();
        let result = run();
        (
            result,
            start.wrapping_sub(SYST::get_current()) & 0x00FF_FFFF,
        )
    }

    /// Flash whose power goes at a step.
    struct Power {
        flash: Flash,
        /// Words written and sectors erased.
        steps: u32,
        cut: u32,
    }

    impl Power {
        /// Keeps what the flash holds in the file `flash`, as flash does, and ends the program.
        fn stop(&self) -> ! {
            let mut file = fs::File::create(c"flash").expect("a file `flash`");
            file.write_all(self.flash.bytes()).expect("space for it");
            process::exit(0)
        }

        /// Counts a step; whether it is the last one.
        fn step(&mut self) -> bool {
            self.steps += 1;
            self.steps > self.cut
        }

        fn off(&self) -> ! {
            println!("the power went");
            self.stop()
        }
    }

    impl ErrorType for Power {
        type Error = NorFlashErrorKind;
    }

    impl ReadNorFlash for Power {
        const READ_SIZE: usize = Flash::READ_SIZE;

        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
            self.flash.read(offset, bytes)
        }

        fn capacity(&self) -> usize {
            self.flash.capacity()
        }
    }

    impl NorFlash for Power {
        const WRITE_SIZE: usize = Flash::WRITE_SIZE;
        const ERASE_SIZE: usize = Flash::ERASE_SIZE;

        fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
            if self.step() {
                self.off();
            }
            self.flash.erase(from, to)
        }

        fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
            for (&word, at) in bytes.as_chunks::<4>().0.iter().zip((offset..).step_by(4)) {
                let last = self.step();
                let [a, b, c, d] = word;
                let word = if last {
                    [a, b, 0xFF, 0xFF]
                } else {
                    [a, b, c, d]
                };
                self.flash.write(at, &word)?;
                if last {
                    self.off();
                }
            }
            Ok(())
        }
    }

    impl Mapped for Power {
        fn bytes(&self) -> &[u8] {
            self.flash.bytes()
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("this is a program for Cortex-M: `tests/run update` runs it");
}
