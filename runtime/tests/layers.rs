//! Layers beside dense ones, held to what they are in real numbers, and to the layers that they are made of.
#![cfg(feature = "layers")]

mod common;

use common::{Layer, Net, Output, PACKINGS, Random, Then, Values, Weights, predict};
use thumbnet_runtime::{Activation, Error, Model, Packing, Precision, What};

fn net(layers: Vec<Layer>) -> Net {
    Net {
        layers,
        labels: Vec::new(),
        threshold: None,
        tests: Vec::new(),
    }
}

fn outputs(net: &Net, inputs: &[f32]) -> Vec<f64> {
    let found = predict(&net.blob(Packing::Lane), inputs).expect("finite inputs");
    let floats = found.iter().map(|bits| f64::from(f32::from_bits(*bits)));
    floats.collect()
}

/// What passes floats on.
fn scale(inputs: usize) -> Layer {
    Layer::Scale(inputs, vec![1.0], vec![0.0], Then::default())
}

#[test]
fn normalizations_are_those_of_real_numbers() {
    let random = &mut Random::new(5);
    let mut worst: f64 = 0.0;
    for _ in 0..if cfg!(miri) { 5 } else { 2000 } {
        let sizes = [3, 5, 4, 9].map(|most| 1 + random.below(most));
        let [blocks, steps, groups, run] = sizes;
        let len = steps * run;
        let one = 1.0 / len as f32;
        let kinds = [
            [one, one, 1e-3, 1e-28],
            [0.0, one, 1e-6, 1e-28],
            [0.0, 1.0, 0.0, 1e-24],
        ];
        let floats = random.of(&kinds);
        let (size, middle) = (random.of(&[1e-6, 1.0, 1e9]), random.of(&[0.0, 1.0, -7.0]));
        let inputs = random.vec(blocks * groups * len, |random| {
            size * (random.unit() + middle)
        });
        let net = net(vec![
            scale(inputs.len()),
            Layer::Normalize(sizes, floats, Then::default()),
        ]);
        let found = outputs(&net, &inputs);
        let [mean_factor, square_factor, epsilon, least] = floats.map(f64::from);
        for block in 0..blocks {
            for group in 0..groups {
                let place = |step| block * groups * len + step * groups * run + group * run;
                let places = (0..steps).flat_map(|step| (0..run).map(move |i| place(step) + i));
                let places: Vec<usize> = places.collect();
                let x = |i: &usize| f64::from(inputs[*i]);
                let mean = places.iter().map(x).sum::<f64>() * mean_factor;
                let squares = places.iter().map(|i| (x(i) - mean).powi(2)).sum::<f64>();
                let root = (squares * square_factor + epsilon).max(least).sqrt();
                // A mean of eight deviations leaves so much of a float's digits.
                let most = places.iter().map(|i| x(i).abs()).fold(0.0, f64::max);
                for i in &places {
                    let off = (found[*i] - (x(i) - mean) / root).abs();
                    worst = worst.max(off / (most / root));
                }
            }
        }
    }
    assert!(worst < 1e-6, "{worst}");
    assert!(worst > 1e-8, "{worst}");
}

#[test]
fn values_below_zero_get_their_own_slopes_then_the_activation() {
    let slopes = |then| {
        net(vec![
            scale(4),
            Layer::Prelu(vec![0.5, -2.0, 0.25, 3.0], then),
        ])
    };
    let plain = slopes(Then::default());
    assert_eq!(
        outputs(&plain, &[-1.0, -1.0, 8.0, 0.0]),
        [-0.5, 2.0, 8.0, 0.0]
    );
    let relu = slopes(Then {
        activation: Activation::Relu,
        pieces: None,
    });
    assert_eq!(
        outputs(&relu, &[-1.0, -1.0, 8.0, -3.0]),
        [0.0, 2.0, 8.0, 0.0]
    );
}

#[test]
fn inputs_choose_rows_of_a_table() {
    let table = |bounds: &[f32], values, zeros| {
        let layer = Layer::Lookup(3, bounds.to_vec(), 2, values, zeros, Then::default());
        net(vec![scale(3), layer])
    };
    let floats = Values::Float(vec![0.5, 1.0, -2.0, 3.5, 4.0, -7.25]);
    // By the inputs themselves, rounded towards zero.
    let found = outputs(&table(&[], floats.clone(), false), &[2.0, -0.5, 1.75]);
    assert_eq!(found, [4.0, -7.25, 0.5, 1.0, -2.0, 3.5]);
    // By the bounds that they reach.
    let by_bounds = table(&[0.0, 10.0], floats.clone(), false);
    let found = outputs(&by_bounds, &[-1e30, -0.0, 1e30]);
    assert_eq!(found, [0.5, 1.0, -2.0, 3.5, 4.0, -7.25]);
    let integers = Values::Int8(vec![127, -128, 3, 0, -1, 100], 0.5);
    let found = outputs(&table(&[], integers, true), &[0.0, 3.0, 2.0]);
    assert_eq!(found, [63.5, -64.0, 0.0, 0.0, -0.5, 50.0]);
    for row in [[0.0, 0.0, 3.0], [-1.0, 0.0, 0.0], [0.0, 1e20, 0.0]] {
        let refused = predict(&table(&[], floats.clone(), false).blob(Packing::Lane), &row);
        assert_eq!(refused, Err(Error::NotFinite { layer: 1 }));
    }
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    let good = Layer::Lookup(
        2,
        vec![-1.0, 0.5],
        2,
        Values::Float(vec![1.0; 6]),
        false,
        Then::default(),
    );
    let blob = net(vec![scale(2), good]).blob(Packing::Lane);
    assert!(Model::<16>::from_bytes(&blob).is_ok());
    // The words behind the scale's four pairs: bounds, rows, units, scale, zeros, ...
    let start = blob.len() - 4 - 64;
    let word = |index: usize, value: u32| {
        let mut blob = blob.clone();
        let at = start + 4 * index;
        blob[at..at + 4].copy_from_slice(&value.to_le_bytes());
        Model::<16>::from_bytes_without_crc(&blob).map(|_| ())
    };
    assert_eq!(word(0, 2), Ok(()));
    for (index, value) in [
        (0, 1),
        (0, 3),
        (1, 2),
        (1, 0x1_0000),
        (2, 3),
        (2, 0),
        (3, 1.0f32.to_bits()),
        (3, (-1.0f32).to_bits()),
        (4, 2),
        (5, 1),
        (8, 2.0f32.to_bits()),
        (9, f32::NAN.to_bits()),
        (10, f32::INFINITY.to_bits()),
    ] {
        assert!(word(index, value).is_err(), "word {index}: {value}");
    }
}

#[test]
fn the_greatest_of_windows_are_those_of_the_values() {
    let random = &mut Random::new(7);
    for _ in 0..if cfg!(miri) { 5 } else { 1000 } {
        let [blocks, steps, channels] = [3, 9, 4].map(|most| 1 + random.below(most));
        let [size, stride] = [steps + 3, 4].map(|most| 1 + random.below(most));
        let before = random.below(size);
        let windows = 1 + random.below((steps + before).div_ceil(stride));
        let numbers = [blocks, steps, channels, windows, size, stride, before];
        let inputs = random.vec(blocks * steps * channels, |r| r.between(-99, 99) as f32);
        let net = net(vec![
            scale(inputs.len()),
            Layer::MaxPool(numbers, Then::default()),
        ]);
        let mut expected = Vec::new();
        for block in inputs.chunks(steps * channels) {
            for window in 0..windows {
                for channel in 0..channels {
                    let rows = (0..size).map(|i| (window * stride + i).checked_sub(before));
                    let rows = rows.flatten().filter(|row| *row < steps);
                    let values = rows.map(|row| f64::from(block[row * channels + channel]));
                    expected.push(values.fold(f64::NEG_INFINITY, f64::max));
                }
            }
        }
        assert_eq!(outputs(&net, &inputs), expected, "{numbers:?}");
    }
}

/// A layer over rows gives what the same layer gives for each of them, whatever lies at a word's start.
#[test]
fn rows_are_those_of_the_layer_alone() {
    let random = &mut Random::new(6);
    for _ in 0..if cfg!(miri) { 1 } else { 300 } {
        let [rows, inputs, units] = [5, 9, 9].map(|most| 1 + random.below(most));
        let mut weights = |count| random.vec(count, |r| r.between(-127, 127) as i8);
        let hidden = Weights::Int8(weights(inputs * units), vec![300; units]);
        let last = Weights::Int8(weights(units * 2), vec![-5000; 2]);
        let multipliers = hidden.narrow(vec![1 << 14; units]);
        let hidden = Layer::Dense(inputs, units, hidden, Output::Int8(multipliers, None));
        let softmax = Output::Float(vec![1e-4; 2], Activation::Softmax, None);
        let last = Layer::Dense(units, 2, last, softmax);
        let quantize = |inputs| Layer::Quantize(inputs, vec![0.01], vec![3], Precision::Int8);
        let alone = net(vec![quantize(inputs), hidden.clone(), last.clone()]);
        let all = net(vec![
            quantize(rows * inputs),
            Layer::Rows(rows, Box::new(hidden)),
            Layer::Rows(rows, Box::new(last)),
        ]);
        let x = random.vec(rows * inputs, Random::unit);
        for packing in PACKINGS {
            let each = x
                .chunks(inputs)
                .map(|x| predict(&alone.blob(packing), x).unwrap());
            let each: Vec<u32> = each.flatten().collect();
            assert_eq!(
                predict(&all.blob(packing), &x).unwrap(),
                each,
                "{packing:?}"
            );
        }
        let blob = all.blob(Packing::Dsp);
        let model: Model = Model::from_bytes(&blob).unwrap();
        assert_eq!(model.macs(), rows * (inputs * units + units * 2));
        assert!(model.layers().skip(1).all(|layer| layer.rows == rows));
    }
}

/// Numbers of a normalization, and of a layer over rows, that lie about the layer.
#[test]
fn lying_numbers_are_refused() {
    let normalize = net(vec![
        scale(6),
        Layer::Normalize([1, 2, 1, 3], [0.5, 0.25, 0.125, 1e-20], Then::default()),
    ]);
    let blob = normalize.blob(Packing::Plain);
    let words = [1u32, 2, 1, 3].into_iter();
    let floats = [0.5f32, 0.25, 0.125, 1e-20].map(f32::to_bits);
    let bytes: Vec<u8> = words.chain(floats).flat_map(u32::to_le_bytes).collect();
    let start = blob.windows(32).position(|part| part == bytes).unwrap();
    let changed = |place: usize, word: u32| {
        let mut blob = blob.clone();
        blob[start + 4 * place..][..4].copy_from_slice(&word.to_le_bytes());
        Model::<8>::from_bytes_without_crc(&blob).map(|_| ())
    };
    let refused = |what, expected, found| {
        Err(Error::Layer {
            layer: 1,
            what,
            expected,
            found,
        })
    };
    assert_eq!(changed(1, 2), Ok(()));
    // Another number of values, none, and more than there are numbers.
    assert_eq!(changed(0, 2), refused(What::Inputs, 6, 12));
    assert_eq!(changed(3, 0), refused(What::Inputs, 6, 0));
    assert_eq!(changed(2, u32::MAX), refused(What::Inputs, 6, u32::MAX));
    // By its bits: Miri's powi is off at random.
    let power = |exponent: i32| f32::from_bits(((127 + exponent) as u32) << 23);
    for (place, least) in [(5, power(-64)), (6, 0.0), (7, power(-100))] {
        let below = if least > 0.0 { least.next_down() } else { -0.0 };
        for bad in [below, power(64).next_up(), -1.0] {
            assert_eq!(
                changed(place, bad.to_bits()),
                refused(What::Scale, least.to_bits(), bad.to_bits()),
                "{place} {bad}"
            );
        }
        assert_eq!(changed(place, least.to_bits()), Ok(()));
    }
    for bad in [f32::NAN, f32::INFINITY] {
        let refusal = changed(4, bad.to_bits()).unwrap_err();
        assert!(matches!(
            refusal,
            Error::Layer {
                layer: 1,
                what: What::Scale,
                ..
            }
        ));
    }

    // Two windows of two of five rows, every third, the first from one before.
    let numbers = [1, 5, 2, 2, 2, 3, 1];
    let blob = net(vec![scale(10), Layer::MaxPool(numbers, Then::default())]).blob(Packing::Plain);
    let words = numbers.map(|number| number as u32);
    let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let start = blob.windows(28).position(|part| part == bytes).unwrap();
    for (place, word, what) in [
        (0, 2, What::Inputs),
        (1, 4, What::Inputs),
        (2, 0, What::Inputs),
        (3, 3, What::Units),
        (3, 0, What::Units),
        // No row of the first window, or of the last.
        (4, 1, What::Weights),
        (4, 0, What::Weights),
        (5, 6, What::Weights),
        (5, u32::MAX, What::Weights),
        (6, 2, What::Weights),
    ] {
        let mut blob = blob.clone();
        blob[start + 4 * place..][..4].copy_from_slice(&word.to_le_bytes());
        let refusal = Model::<8>::from_bytes_without_crc(&blob).map(|_| ());
        assert!(
            matches!(refusal, Err(Error::Layer { layer: 1, what: found, .. }) if found == what),
            "{place} {word}: {refusal:?}"
        );
    }

    let weights = Weights::Int8(vec![1, 2, 3, 4], vec![0, 0]);
    let row = Layer::Dense(
        2,
        2,
        weights,
        Output::Float(vec![1.0; 2], Activation::Linear, None),
    );
    let quantize = Layer::Quantize(6, vec![1.0], vec![0], Precision::Int8);
    let blob = net(vec![quantize, Layer::Rows(3, Box::new(row))]).blob(Packing::Plain);
    let bytes: Vec<u8> = [3u32, 2, 2, 0]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
    let start = blob.windows(16).position(|part| part == bytes).unwrap();
    for numbers in [
        [2, 3, 3, 0],
        [3, 2, 1, 0],
        [0, 2, 2, 0],
        [1, 6, 5, 0],
        [3, 2, 2, 1],
        // Products that wrap to 6.
        [0x8000_0003, 2, 2, 0],
        [3, 0x8000_0002, 2, 0],
    ] {
        let mut blob = blob.clone();
        let bytes: Vec<u8> = numbers
            .iter()
            .flat_map(|word: &u32| word.to_le_bytes())
            .collect();
        blob[start..][..16].copy_from_slice(&bytes);
        let refusal = Model::<8>::from_bytes_without_crc(&blob)
            .map(|_| ())
            .unwrap_err();
        assert!(
            matches!(
                refusal,
                Error::Layer {
                    layer: 1,
                    what: What::Tensors,
                    ..
                }
            ),
            "{numbers:?}: {refusal}"
        );
    }
}
