//! Device models of every type and packing.

use std::fs;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thumbnet_runtime::{Model, crc32};

use crate::{golden, random_model};

/// Random models, those of `tests/golden/blobs`, and such as once went wrong.
pub fn seeds() -> Vec<Vec<u8>> {
    let limits = random_model::Limits {
        width: 40,
        weights: 800,
        packing: None,
    };
    let mut seeds: Vec<Vec<u8>> = (0..200)
        .map(|seed| random_model::random_model(seed, 1, &limits).blob)
        .collect();
    for folder in ["blobs", "hostile"] {
        let entries = fs::read_dir(golden::root().join(folder)).expect("golden blobs");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
        paths.sort();
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "tnet")
        });
        seeds.extend(paths.iter().map(|path| fs::read(path).expect("a blob")));
    }
    seeds
}

/// Mostly with the checksum made right again.
pub fn mutate(blob: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    super::mutate::bytes(blob, rng);
    if rng.random_range(0..8) != 0
        && let Some((covered, crc)) = blob.split_last_chunk_mut::<4>()
    {
        *crc = crc32(covered).to_le_bytes();
    }
}

/// Everything that a caller can do with a blob, in memory that ends where it must.
pub fn run(bytes: &[u8]) -> bool {
    // From any address, and nothing behind it.
    let exact = bytes.to_vec().into_boxed_slice();
    let _ = Model::<4>::from_prefix(&exact);
    let Ok(model) = Model::<16>::from_bytes(&exact) else {
        assert!(Model::<16>::from_bytes_with_crc(&exact, crc32).is_err());
        return false;
    };
    let rng = &mut ChaCha8Rng::seed_from_u64(bytes.len() as u64);
    let inputs: Vec<f32> = (0..model.inputs())
        .map(|_| match rng.random_range(0..20) {
            0 => f32::from_bits(rng.random()),
            1 => rng.random_range(-1.0..1.0) * 3e38,
            _ => rng.random_range(-100.0..100.0),
        })
        .collect();
    let mut scratch = vec![rng.random(); model.scratch_len()];
    let mut outputs = vec![0.0; model.outputs()];
    let predicted = model.predict(&inputs, &mut scratch, &mut outputs);
    let sound = model.verify_weights().is_ok();
    if inputs.iter().any(|x| !x.is_finite()) {
        assert!(predicted.is_err());
    } else if sound && predicted.is_ok() {
        assert!(outputs.iter().all(|y| y.is_finite()));
        // Whatever the scratch memory held, and wherever the blob lies.
        let mut again = vec![0.0; outputs.len()];
        let mut shifted = vec![0; exact.len() + 1];
        shifted[1..].copy_from_slice(&exact);
        let moved = Model::<16>::from_bytes(&shifted[1..]).expect("the same bytes");
        scratch.fill(rng.random());
        moved
            .predict(&inputs, &mut scratch, &mut again)
            .expect("the same row");
        let bits = |values: &[f32]| values.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&outputs), bits(&again));
    }
    let _ = model.classify(&inputs, &mut scratch, &mut outputs);
    let _ = model.self_test(&mut scratch, &mut outputs);
    let mut checksums = vec![0; model.layers().len()];
    let _ = model.checksums(&inputs, &mut scratch, &mut outputs, &mut checksums);
    assert!(model.labels().count() <= model.outputs().max(2));
    assert!(model.input_names().count() <= model.inputs());
    true
}
