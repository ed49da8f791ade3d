//! Counts the instructions of predictions and measures their stack, under QEMU with `-icount`.
//!
//! Bare, like firmware that must be small: no formatting, no logging, no files. The host puts a
//! request into memory that the program does not use (`_spare` in `memory/`), and reads the file
//! `reply`, words as well.
//! `trainer/src/emulator/bench.rs` is the other end: change both together.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod firmware {
    use core::{
        arch::asm,
        hint::black_box,
        mem::size_of,
        ptr::{read_volatile, write_volatile},
        slice,
    };

    use cortex_m::{
        peripheral::{SYST, syst::SystClkSource},
        register::msp,
    };
    use cortex_m_rt::entry;
    use panic_halt as _;
    use thumbnet_runtime::Model;

    /// What the host wants, at `_spare`. Rows of floats follow, then the blob.
    #[repr(C)]
    struct Request {
        /// Bytes from the start of the request to the blob.
        blob: usize,
        blob_len: usize,
        rows: usize,
        inputs: usize,
        /// Times that each row is predicted, for whole instructions out of coarse ticks.
        repetitions: usize,
    }

    /// Bytes of stack that are watched.
    const WATCHED: usize = 2048;
    const PAINT: u32 = 0xA5A5_5A5A;
    const LAYERS: usize = 16;

    #[entry]
    fn main() -> ! {
        // SAFETY: nothing else in this program uses the timer.
        let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(0x00FF_FFFF);
        timer.clear_current();
        timer.enable_counter();

        let (request, rows, blob) = request();
        let reply = Reply::create();

        // Ticks of a million instructions, which says what a tick is.
        reply.put(ticks(|| {
            // SAFETY: counts a register down to zero, touching nothing else but the flags.
            unsafe {
                asm!("1: subs {n}, #1", "bne 1b", n = inout(reg) 500_000 => _, options(nomem, nostack))
            }
        }));
        reply.put(ticks(|| drop(black_box(load(black_box(blob), true)))));
        reply.put(ticks(|| drop(black_box(load(black_box(blob), false)))));
        reply.put(stack(|| drop(black_box(load(black_box(blob), true)))));
        let Some(model) = load(blob, true) else {
            exit(1);
        };
        let arena = arena();
        let Some((scratch, rest)) = arena.split_at_mut_checked(model.scratch_len()) else {
            exit(2);
        };
        let Some(outputs) = rest.get_mut(..model.outputs()) else {
            exit(2);
        };
        // SAFETY: floats are as large as words, and any bits are one.
        let outputs =
            unsafe { slice::from_raw_parts_mut(outputs.as_mut_ptr().cast::<f32>(), outputs.len()) };
        reply.put(model.macs() as u32);
        reply.put(scratch.len() as u32);
        reply.put(model.layers().len() as u32);
        let Some(first) = rows.get(..request.inputs) else {
            exit(3);
        };
        reply.put(stack(|| {
            predict(black_box(&model), first, scratch, outputs)
        }));

        // The loop and the call, which every repetition below has too.
        reply.put(ticks(|| {
            for _ in 0..request.repetitions {
                nothing(black_box(&model), first, scratch, outputs);
            }
        }));
        for row in rows.chunks_exact(request.inputs.max(1)) {
            reply.put(ticks(|| {
                for _ in 0..request.repetitions {
                    predict(black_box(&model), row, scratch, outputs);
                }
            }));
        }
        // Ticks up to the end of each layer, all repetitions together.
        let mut until = [0u32; LAYERS];
        for _ in 0..request.repetitions {
            let start = SYST::get_current();
            let mut done = |layer: usize| {
                if let Some(until) = until.get_mut(layer) {
                    *until += start.wrapping_sub(SYST::get_current()) & 0x00FF_FFFF;
                }
            };
            if model
                .predict_profiled(first, scratch, outputs, &mut done)
                .is_err()
            {
                exit(4);
            }
        }
        for &ticks in until.iter().take(model.layers().len()) {
            reply.put(ticks);
        }
        exit(0)
    }

    /// What the host has put into memory: its wishes, the rows and the blob.
    fn request() -> (&'static Request, &'static [f32], &'static [u8]) {
        unsafe extern "C" {
            static _spare: u8;
        }
        let start = &raw const _spare;
        // SAFETY: the host has put a request there, followed by as many rows and bytes as it says;
        // nothing changes them.
        unsafe {
            let request = &*start.cast::<Request>();
            let rows = start.add(size_of::<Request>()).cast();
            let rows = slice::from_raw_parts(rows, request.rows * request.inputs);
            let blob = slice::from_raw_parts(start.add(request.blob), request.blob_len);
            (request, rows, blob)
        }
    }

    #[inline(never)]
    fn load(blob: &[u8], check: bool) -> Option<Model<'_, LAYERS>> {
        match check {
            true => Model::from_bytes(blob).ok(),
            false => Model::from_bytes_without_crc(blob).ok(),
        }
    }

    #[inline(never)]
    fn predict(model: &Model<'_, LAYERS>, x: &[f32], scratch: &mut [u32], outputs: &mut [f32]) {
        if model.predict(x, scratch, outputs).is_err() {
            exit(4);
        }
    }

    #[inline(never)]
    fn nothing(model: &Model<'_, LAYERS>, x: &[f32], scratch: &mut [u32], outputs: &mut [f32]) {
        black_box((model, x, scratch, outputs));
    }

    /// Ticks that `work` takes, less than 2^24.
    #[inline(never)]
    fn ticks(work: impl FnOnce()) -> u32 {
        let start = SYST::get_current();
        work();
        start.wrapping_sub(SYST::get_current()) & 0x00FF_FFFF
    }

    /// Bytes of stack that `work` uses, at most [`WATCHED`].
    #[inline(never)]
    fn stack(work: impl FnOnce()) -> u32 {
        let top = msp::read() as usize & !3;
        let words = || (top - WATCHED..top).step_by(4);
        for word in words() {
            // SAFETY: below the stack pointer nothing is alive, and there is no interrupt.
            unsafe { write_volatile(word as *mut u32, PAINT) };
        }
        work();
        // SAFETY: as above; reading is all.
        let untouched = |word: &usize| unsafe { read_volatile(*word as *const u32) } == PAINT;
        (WATCHED - words().take_while(untouched).count() * 4) as u32
    }

    /// The RAM between the program's data and its stack.
    fn arena() -> &'static mut [u32] {
        unsafe extern "C" {
            static _stack_start: u32;
        }
        let start = (cortex_m_rt::heap_start() as usize).next_multiple_of(16);
        let end = (&raw const _stack_start) as usize - 2 * WATCHED;
        // SAFETY: the linker script keeps this range free of data, the stack does not grow down to
        // it, and it is handed out once.
        unsafe { slice::from_raw_parts_mut(start as *mut u32, end.saturating_sub(start) / 4) }
    }

    /// The file `reply`, written as words: the few calls of semihosting that this takes, without
    /// the formatting and the panics of a library.
    struct Reply(usize);

    impl Reply {
        fn create() -> Self {
            let name = c"reply";
            // Mode 5 is "wb".
            let block = [name.as_ptr() as usize, 5, name.count_bytes()];
            Self(semihosting(0x01, block.as_ptr() as usize))
        }

        #[inline(never)]
        fn put(&self, word: u32) {
            let block = [self.0, (&raw const word) as usize, 4];
            semihosting(0x05, block.as_ptr() as usize);
        }
    }

    /// Ends QEMU, with this exit status.
    fn exit(status: u32) -> ! {
        // Stopped by the application's exit, with the status.
        let block = [0x0002_0026, status];
        loop {
            semihosting(0x20, block.as_ptr() as usize);
        }
    }

    fn semihosting(operation: usize, argument: usize) -> usize {
        let result;
        // SAFETY: asks QEMU for an operation that reads this program's memory at most.
        unsafe {
            asm!("bkpt #0xAB", inout("r0") operation => result, in("r1") argument, options(nostack));
        }
        result
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("this is a program for Cortex-M: the tests run it in QEMU");
}
