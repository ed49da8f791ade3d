//! One target, its inputs changed by libFuzzer and by the target's own mutations in turn.

pub use libfuzzer_sys;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use thumbnet_tests::fuzz;

/// The program of a target, by its name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        use $crate::libfuzzer_sys;

        libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            (thumbnet_tests::fuzz::target($name).run)(data);
        });

        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
            $crate::mutated($name, data, size, most, seed)
        });
    };
}

/// Changes `data`, of which `size` bytes are the input and `most` may be; how many there are now.
pub fn mutated(name: &str, data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    if seed % 3 == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, most);
    }
    let mut bytes = data[..size].to_vec();
    let rng = &mut ChaCha8Rng::seed_from_u64(seed.into());
    (fuzz::target(name).mutate)(&mut bytes, rng);
    bytes.truncate(most.min(data.len()));
    data[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
}
