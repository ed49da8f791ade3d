//! Classifies whatever the host asks for and writes every output bit and each decision back, so that
//! one program serves any model. The host's side and the format are in `trainer/boards/src/parity.rs`.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[path = "../fault.rs"]
mod fault;

#[cfg(target_os = "none")]
mod firmware {
    use core::{fmt, fmt::Write as _, slice};

    use cortex_m_rt::entry;
    use semihosting::{
        fs,
        io::{Read as _, Write as _},
        process,
    };
    use thumbnet_runtime::Model;

    /// Bytes below the top of the RAM that the arena leaves to the stack.
    const STACK: usize = 4096;

    #[entry]
    fn main() -> ! {
        let mut request = Words(fs::File::open(c"request").expect("a file `request`"));
        let mut reply = Words(fs::File::create(c"reply").expect("a file `reply`"));
        let memory = arena();
        for _ in 0..request.word() {
            answer(&mut request, &mut reply, memory);
        }
        process::exit(0)
    }

    /// Serves one job.
    fn answer(request: &mut Words, reply: &mut Words, memory: &mut [u32]) {
        let [address, length, shift, rows, inputs] = [(); 5].map(|()| request.word());
        let (length, shift, inputs) = (length as usize, shift as usize, inputs as usize);
        let (x, memory) = take(memory, inputs);
        let (blob, memory) = if address == 0 {
            // One word more than it takes, so that it can begin anywhere in the first.
            let (words, memory) = take(memory, (shift + length).div_ceil(4) + 1);
            let bytes = bytemuck::cast_slice_mut::<u32, u8>(words);
            request.bytes(&mut bytes[shift..][..length.next_multiple_of(4)]);
            (&bytes[shift..][..length], memory)
        } else {
            // SAFETY: the host has put a blob of this length there, into flash that the program
            // does not use.
            let blob = unsafe { slice::from_raw_parts(address as *const u8, length) };
            (blob, memory)
        };
        let model = match Model::<16>::from_bytes(blob) {
            Ok(model) => model,
            Err(error) => {
                reply.error(&error);
                for _ in 0..rows {
                    request.bytes(bytemuck::cast_slice_mut(x));
                }
                return;
            }
        };
        let (scratch, memory) = take(memory, model.scratch_len());
        let (y, _) = take(memory, model.outputs());
        let y: &mut [f32] = bytemuck::cast_slice_mut(y);
        reply.put(&[0, model.outputs() as u32]);
        match model.self_test(scratch, y) {
            Ok(()) => reply.put(&[0]),
            Err(error) => reply.error(&error),
        }
        for _ in 0..rows {
            request.bytes(bytemuck::cast_slice_mut(x));
            match model.classify(bytemuck::cast_slice(x), scratch, y) {
                Ok(class) => {
                    reply.put(&[0]);
                    reply.put(bytemuck::cast_slice(y));
                    reply.put(&[class.index as u32, class.score.to_bits()]);
                    reply.text(class.label);
                    for y in y.chunks(32) {
                        let bits = y.iter().rev();
                        let bits =
                            bits.fold(0, |bits, &y| bits << 1 | u32::from(model.says_yes(y)));
                        reply.put(&[bits]);
                    }
                    let known = u32::from(model.is_known(&class));
                    let found = model.detect(bytemuck::cast_slice(x), scratch, y).ok();
                    let anomaly = found.is_some_and(|found| found.is_anomaly);
                    let score = found.map_or(0, |found| found.score.to_bits());
                    reply.put(&[known | u32::from(anomaly) << 1, score]);
                }
                Err(error) => reply.error(&error),
            }
        }
    }

    /// The RAM between the program's data and its stack, 16-byte aligned.
    fn arena() -> &'static mut [u32] {
        unsafe extern "C" {
            static _stack_start: u32;
        }
        let start = (cortex_m_rt::heap_start() as usize).next_multiple_of(16);
        let end = (&raw const _stack_start) as usize - STACK;
        // SAFETY: the linker script keeps this range free of data, the stack does not grow down to
        // it, and it is handed out once.
        unsafe { slice::from_raw_parts_mut(start as *mut u32, (end - start) / 4) }
    }

    /// The first words of the arena, and the rest behind the next 16-byte boundary.
    fn take(memory: &mut [u32], words: usize) -> (&mut [u32], &mut [u32]) {
        let free = memory.len();
        match memory.split_at_mut_checked(words.next_multiple_of(4)) {
            Some((taken, rest)) => (&mut taken[..words], rest),
            None => panic!("{free} words of RAM are free, {words} are needed"),
        }
    }

    /// A file of little-endian words.
    struct Words(fs::File);

    impl Words {
        fn bytes(&mut self, bytes: &mut [u8]) {
            self.0.read_exact(bytes).expect("a whole request");
        }

        fn word(&mut self) -> u32 {
            let mut word = [0];
            self.bytes(bytemuck::cast_slice_mut(&mut word));
            word[0]
        }

        fn put(&mut self, words: &[u32]) {
            self.0
                .write_all(bytemuck::cast_slice(words))
                .expect("space for the reply");
        }

        /// Writes what an error says, as a length and whole words of text.
        fn error(&mut self, error: &impl fmt::Display) {
            let mut text = heapless::String::<256>::new();
            // A text that is too long ends early; so does a comparison with it.
            let _ = write!(text, "{error}");
            self.text(&text);
        }

        /// Writes a text as a length and whole words.
        fn text(&mut self, text: &str) {
            self.put(&[text.len() as u32]);
            for text in text.as_bytes().chunks(256) {
                let mut words = [0; 64];
                bytemuck::cast_slice_mut(&mut words)[..text.len()].copy_from_slice(text);
                self.put(&words[..text.len().div_ceil(4)]);
            }
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("this is a program for Cortex-M: use `cargo run` inside firmware-example");
}
