//! What `Slots` says to what is done in the wrong order, or does not fit.

mod common;

use common::{Fault, Flash};
use thumbnet_update::{Error, HEADER_LEN, Header, Policy, Refused, SIGNATURE_LEN, Signed, Slots};
use thumbnet_update::{public_key, sign};

const SEED: [u8; 32] = [3; 32];
const BLOB: &[u8] = include_bytes!("../../../tests/golden/blobs/int8_plain.tnet");

fn slots(keys: &[[u8; 32]]) -> Slots<'_, Flash<4, 1024>> {
    Slots::open(Flash::new(20, 0xFF, 1), 0..20 * 1024, Policy::new(keys)).unwrap()
}

/// Enough for any golden blob.
fn memory(signed: &[u8]) -> (Vec<u32>, Vec<f32>) {
    let blob = &signed[HEADER_LEN..signed.len() - SIGNATURE_LEN];
    let model = thumbnet_runtime::Model::<16>::from_bytes(blob).unwrap();
    (vec![0; model.scratch_len()], vec![0.0; model.outputs()])
}

#[test]
fn a_model_is_received_and_run() {
    let keys = [public_key(&SEED)];
    let mut slots = slots(&keys);
    let signed = sign(BLOB, 4, 0, &SEED).unwrap();
    let (mut scratch, mut outputs) = memory(&signed);
    assert_eq!(slots.start(), Err(Error::NoModel));
    assert_eq!(slots.model().unwrap_err(), Error::NotStarted);
    assert_eq!(slots.write(&signed), Err(Error::NotBegun));
    assert_eq!(
        slots.finish(&mut scratch, &mut outputs),
        Err(Error::NotBegun)
    );
    assert_eq!(slots.begin(signed.first_chunk().unwrap()), Ok(0));
    slots.write(&signed[..signed.len() - 1]).unwrap();
    let expected = signed.len();
    assert_eq!(
        slots.finish(&mut scratch, &mut outputs),
        Err(Error::Incomplete {
            expected,
            found: expected - 1
        })
    );
    let too_long = Refused::Length {
        expected,
        found: expected + 1,
    };
    assert_eq!(slots.write(&[0; 2]), Err(Error::Refused(too_long)));
    // Whole sectors stay.
    let position = slots.begin(signed.first_chunk().unwrap()).unwrap();
    assert_eq!(position, (signed.len() - 1) / 1024 * 1024);
    slots.write(&signed[position..]).unwrap();
    assert_eq!(slots.finish(&mut scratch, &mut outputs), Ok(4));
    // It does not run yet.
    assert_eq!(slots.confirm(), Err(Error::NotStarted));
    let started = slots.start().unwrap();
    assert_eq!(
        (started.version, started.trial, started.rolled_back),
        (4, true, false)
    );
    assert_eq!(
        slots.begin(signed.first_chunk().unwrap()),
        Err(Error::OnTrial)
    );
    slots.confirm().unwrap();
    assert!(!slots.start().unwrap().trial);
    slots
        .model()
        .unwrap()
        .self_test(&mut scratch, &mut outputs)
        .unwrap();
    let older = sign(BLOB, 3, 0, &SEED).unwrap();
    let refused = Refused::Older {
        expected: 4,
        found: 3,
    };
    assert_eq!(
        slots.begin(older.first_chunk().unwrap()),
        Err(Error::Refused(refused))
    );
}

#[test]
fn a_model_for_other_memory_is_refused() {
    let keys = [public_key(&SEED)];
    let mut slots = slots(&keys);
    let signed = sign(BLOB, 1, 0, &SEED).unwrap();
    let (mut scratch, mut outputs) = memory(&signed);
    scratch.pop();
    let words = scratch.len();
    for (scratch, outputs, message) in [
        (
            &mut scratch[..],
            &mut outputs[..],
            format!("{words} scratch words, expected {}", words + 1),
        ),
        (
            &mut [0; 1000][..],
            &mut [0.0; 99][..],
            format!("99 outputs, expected {}", memory(&signed).1.len()),
        ),
    ] {
        // What was received is given up, so that it begins anew.
        assert_eq!(slots.begin(signed.first_chunk().unwrap()), Ok(0));
        slots.write(&signed).unwrap();
        let error = slots.finish(scratch, outputs).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    assert_eq!(slots.start(), Err(Error::NoModel));
}

#[test]
fn a_region_is_whole_sectors_of_the_flash() {
    let open = |from, to| {
        let slots: Result<Slots<Flash<4, 1024>>, Error<Fault>> =
            Slots::open(Flash::new(20, 0, 1), from..to, Policy::new(&[]));
        slots.map(|slots| slots.capacity())
    };
    assert_eq!(open(0, 20 * 1024), Ok(9 * 1024));
    // One sector stays unused.
    assert_eq!(open(1024, 20 * 1024), Ok(8 * 1024));
    assert_eq!(open(0, 4 * 1024), Ok(1024));
    for (from, to) in [
        (0, 3 * 1024),
        (4, 20 * 1024),
        (0, 21 * 1024),
        (0, 19 * 1024 + 4),
        (9000, 0),
    ] {
        assert_eq!(
            open(from, to),
            Err(Error::Region { sector: 1024 }),
            "{from} {to}"
        );
    }
}

#[test]
fn a_model_that_says_it_is_longer_than_any_memory_is_refused() {
    let keys = [public_key(&SEED)];
    let mut slots = slots(&keys);
    let key = *keys[0].first_chunk().unwrap();
    for length in [9 * 1024 - 111, 1 << 31, u32::MAX] {
        let header = Header {
            version: 1,
            product: 0,
            length,
            checksum: 0,
            key,
        };
        let refused = slots.begin(&header.to_bytes()).unwrap_err();
        let expected = 9 * 1024;
        let found = length as usize + 112;
        assert_eq!(refused, Error::Refused(Refused::Length { expected, found }));
        assert!(Signed::open(&header.to_bytes(), &keys).is_err());
    }
}

#[test]
fn every_changed_bit_is_seen() {
    let keys = [public_key(&[9; 32]), public_key(&SEED)];
    let signed = sign(&BLOB[..64], 1, 0, &SEED).unwrap();
    let opened = Signed::open(&signed, &keys).unwrap();
    assert_eq!((opened.blob, opened.header.version), (&BLOB[..64], 1));
    for bit in 0..signed.len() * 8 {
        let mut altered = signed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(Signed::open(&altered, &keys).is_err(), "{bit}");
    }
    for length in 0..signed.len() {
        assert!(Signed::open(&signed[..length], &keys).is_err(), "{length}");
    }
    let longer = [&signed[..], &[0]].concat();
    assert!(Signed::open(&longer, &keys).is_err());
    assert!(Signed::open(&signed, &keys[..1]).is_err());
}
