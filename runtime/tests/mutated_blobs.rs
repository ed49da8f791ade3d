//! Any bytes give `Ok` or `Err`: damaged blobs, with a sound checksum or not, never panic, nor do
//! the models that come out of them.
//!
//! `cargo test --release -p thumbnet-runtime --all-features --test mutated_blobs` tries a million, a
//! debug build a tenth of that; `THUMBNET_MUTATIONS` says another number.

mod common;

use common::{Net, PACKINGS, Random, crc32};
use thumbnet_runtime::Model;

/// One of the ways in which bytes go wrong.
fn mutate(blob: &mut Vec<u8>, random: &mut Random) {
    // The first bytes are the interesting ones: the layer list.
    let end = if random.below(3) == 0 {
        blob.len()
    } else {
        blob.len().min(64)
    };
    let at = random.below(end);
    match random.below(8) {
        0 => blob[at] ^= 1 << random.below(8),
        1 => blob[at] = random.of(&[0, 1, 2, 3, 5, 6, 127, 128, 255]),
        2 => blob[at] = random.next() as u8,
        3 => blob.truncate(at),
        4 => blob.insert(at, random.next() as u8),
        5 => {
            blob.remove(at);
        }
        6 => {
            // A word of extremes, in the tensors mostly.
            let at = random.below(blob.len());
            let word: u32 = random.of(&[0, u32::MAX, 0x7F80_0000, 0x7FFF_FFFF, 0x8000_0000]);
            for (byte, new) in blob.iter_mut().skip(at & !3).zip(word.to_le_bytes()) {
                *byte = new;
            }
        }
        _ => {
            let from = random.below(blob.len());
            let count = random.below(16).min(blob.len() - from);
            let copied = blob[from..from + count].to_vec();
            for (byte, new) in blob.iter_mut().skip(at).zip(copied) {
                *byte = new;
            }
        }
    }
    if blob.is_empty() {
        blob.push(0);
    }
}

/// Everything that a caller can do with a blob.
fn exercise(blob: &[u8], random: &mut Random) -> bool {
    let Ok(model) = <Model>::from_bytes(blob) else {
        assert!(Model::<16>::from_bytes(blob).is_err());
        return false;
    };
    assert!(model.inputs() > 0 && model.outputs() > 0);
    let inputs = random.vec(model.inputs(), |random| match random.below(20) {
        0 => f32::from_bits(random.next()),
        _ => random.unit() * 100.0,
    });
    let mut scratch = vec![random.next(); model.scratch_len()];
    let mut outputs = vec![0.0; model.outputs()];
    let predicted = model.predict(&inputs, &mut scratch, &mut outputs);
    if inputs.iter().any(|x| !x.is_finite()) {
        assert!(predicted.is_err());
    }
    let _ = model.classify(&inputs, &mut scratch, &mut outputs);
    let _ = model.self_test(&mut scratch, &mut outputs);
    let _ = model.verify_weights();
    let _ = (model.macs(), model.threshold());
    assert!(model.layers().all(|layer| layer.units > 0));
    assert!(model.labels().count() <= model.outputs().max(2));
    assert!(model.input_names().count() <= model.inputs());
    true
}

#[test]
fn mutated_blobs_never_panic() {
    let count: u64 = std::env::var("THUMBNET_MUTATIONS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(if cfg!(miri) {
            20
        } else if cfg!(debug_assertions) {
            100_000
        } else {
            1_000_000
        });
    let mut accepted = 0;
    for seed in 0u64.. {
        let mutations = 500.min(count.saturating_sub(seed * 500));
        if mutations == 0 {
            break;
        }
        let random = &mut Random::new(seed + 1);
        let blob = Net::random(seed, random.of(&[3, 8, 20])).blob(random.of(&PACKINGS));
        for _ in 0..mutations {
            let mut mutated = blob.clone();
            for _ in 0..=random.below(3) {
                mutate(&mut mutated, random);
            }
            if random.below(8) != 0
                && let Some((covered, crc)) = mutated.split_last_chunk_mut::<4>()
            {
                *crc = crc32(covered).to_le_bytes();
            }
            accepted += u64::from(exercise(&mutated, random));
        }
    }
    // Else the test would see refusals only.
    assert!(accepted > count / 20, "{accepted} of {count} accepted");
}

#[test]
fn random_bytes_are_refused() {
    let random = &mut Random::new(7);
    for length in 0..if cfg!(miri) { 20 } else { 200 } {
        let bytes = random.vec(length, |random| random.next() as u8);
        assert!(!exercise(&bytes, random));
    }
}

#[test]
fn every_shorter_blob_is_refused() {
    let blob = Net::random(3, 8).blob(PACKINGS[0]);
    let random = &mut Random::new(8);
    assert!(exercise(&blob, random));
    // Miri is slow.
    for length in (0..blob.len()).step_by(if cfg!(miri) { 97 } else { 1 }) {
        assert!(!exercise(&blob[..length], random));
        let mut with_crc = blob[..length].to_vec();
        with_crc.extend(crc32(&blob[..length]).to_le_bytes());
        // With its last four bytes made anew it is the same blob.
        let whole = with_crc == blob;
        assert_eq!(exercise(&with_crc, random), whole, "{length}");
    }
}

/// Outputs, or the error, of a blob that begins so many bytes behind a multiple of 16.
fn outcome(
    blob: &[u8],
    beyond: usize,
    inputs: &[f32],
) -> Result<Vec<u32>, thumbnet_runtime::Error> {
    let mut memory = vec![0u128; blob.len() / 16 + 2];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut memory);
    let place = &mut bytes[beyond..beyond + blob.len()];
    place.copy_from_slice(blob);
    let model = Model::<16>::from_bytes(place)?;
    // What was in the memory before must not matter.
    let mut scratch = vec![0x5A5A_5A5A ^ beyond as u32; model.scratch_len()];
    let mut outputs = vec![f32::NAN; model.outputs()];
    model.predict(inputs, &mut scratch, &mut outputs)?;
    Ok(outputs.iter().map(|y| y.to_bits()).collect())
}

/// Aligned blobs run by the twin of their packing's kernel, others by the portable code.
#[test]
fn what_verifies_gives_the_same_bits_wherever_it_lies() {
    let count = if cfg!(miri) {
        100
    } else if cfg!(debug_assertions) {
        40_000
    } else {
        400_000
    };
    let (mut accepted, mut changed) = (0, 0);
    for seed in 0..count / 100 {
        let random = &mut Random::new(seed + 77);
        let blob = Net::random(seed, random.of(&[3, 8, 20])).blob(random.of(&PACKINGS));
        for _ in 0..100 {
            let mut mutated = blob.clone();
            for _ in 0..=random.below(3) {
                mutate(&mut mutated, random);
            }
            if let Some((covered, crc)) = mutated.split_last_chunk_mut::<4>() {
                *crc = crc32(covered).to_le_bytes();
            }
            let Ok(model) = Model::<16>::from_bytes(&mutated) else {
                continue;
            };
            if model.verify_weights().is_err() {
                continue;
            }
            accepted += 1;
            changed += u64::from(mutated != blob);
            let inputs = random.vec(model.inputs(), |random| match random.below(8) {
                0 => random.unit() * 3e38,
                1 => random.of(&[0.0, -0.0, f32::MIN_POSITIVE, 1e-40, -1e-45, f32::MAX]),
                _ => random.unit() * 100.0,
            });
            let aligned = outcome(&mutated, 0, &inputs);
            for beyond in [1, 4] {
                assert_eq!(outcome(&mutated, beyond, &inputs), aligned, "seed {seed}");
            }
            if let Ok(outputs) = aligned {
                assert!(outputs.iter().all(|bits| f32::from_bits(*bits).is_finite()));
            }
        }
    }
    assert!(
        changed > count / 50,
        "{changed} changed blobs of {count} verified, {accepted} in all"
    );
}

/// Blobs that once verified and gave other results by another kernel, or at another address: what is
/// said of each now, and of the others that both agree.
#[cfg(all(feature = "f32", feature = "int4", feature = "int16"))]
#[test]
fn weights_beyond_their_range_do_not_verify() {
    #[rustfmt::skip]
    let refused = [
        ("MIN_verified_minus128", "layer 1: weights is 128, expected 127"),
        ("blob_3_35262_875ebf93c8ab705e", "layer 1: weights is 128, expected 127"),
        ("crafted_bias_extreme_wraps", "layer 1: accumulator is 2147499776, expected 8388607"),
        ("crafted_dsp_int8_A0_B-1_C-128_D0", "layer 1: weights is 128, expected 127"),
        ("crafted_dsp_int8_A0_B1_C-128_D0", "layer 1: weights is 128, expected 127"),
        ("crafted_dsp_int8_A5_B-3_C-128_D7", "layer 1: weights is 128, expected 127"),
        // 0x7FC0_0000, NaN.
        ("crafted_float_weights_nan", "layer 1: weights is 2143289344, expected 0"),
        ("crafted_labels_invalid_utf8", "2143289344 threshold (in bits), expected 0"),
        ("crafted_rounder_huge_zero", "layer 0: scale is 2137108966, expected 0"),
        ("crafted_rounder_wrong", "layer 0: bias is 3769465068, expected 1262485504"),
        ("crafted_subnormal_scale_int8", "layer 0: scale is 71362, expected 1602224128"),
        // A table of integers behind floats.
        ("crafted_table_overflow", "layer 1: activation is 5, expected 0"),
        ("crafted_threshold_nan", "2143289344 threshold (in bits), expected 0"),
        ("int4_head_of_no_biases", "layer 4: bias is 59906304, expected 59906319"),
        // Scales of 2^96 and above.
        ("q_m4hard_softmax_nan_003376", "layer 0: scale is 2103751107, expected 0"),
        ("q_stale_scratch_003561", "layer 0: scale is 2111774745, expected 0"),
    ];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/hostile");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "tnet") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let blob = std::fs::read(&path).unwrap();
        let verified = Model::<16>::from_bytes(&blob).and_then(|model| model.verify_weights());
        if let Some((_, expected)) = refused.iter().find(|(refused, _)| *refused == name) {
            assert_eq!(verified.unwrap_err().to_string(), *expected, "{name}");
            found += 1;
            continue;
        }
        assert_eq!(verified, Ok(()), "{name}");
        let inputs = Model::<16>::from_bytes(&blob).unwrap().inputs();
        let scales = [-1e3, 0.0, 1.0, -1.0, 50.0, 1e30, 3e38];
        let few = match inputs {
            // 65,535 of them take Miri minutes.
            1000.. if cfg!(miri) => 0,
            _ if cfg!(miri) => 1,
            _ => scales.len(),
        };
        for scale in &scales[..few] {
            let row: Vec<f32> = (0..inputs)
                .map(|i| scale * (1.0 + i as f32 % 3.0) / 3.0)
                .collect();
            assert_eq!(outcome(&blob, 0, &row), outcome(&blob, 1, &row), "{name}");
        }
    }
    assert_eq!(found, refused.len());
}
