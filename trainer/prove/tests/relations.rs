//! Two rows at a time against every input of small random models.

mod common;

use std::time::Duration;

use common::{Model, Random, all_rows, model, model_of, property, ranges};
use thumbnet_prove::{
    Goal, Network, Options, Other, Relation, Verdict, largest_difference, prove, prove_against,
    reachable,
};
use thumbnet_runtime::{
    Activation, DenseSpec, FloatSpec, LayerSpec, ModelSpec, OutputSpec, Packing, WeightsSpec,
    encode,
};

/// The classes that differ, and the greatest difference.
fn compared(a: &[f32], b: &[f32]) -> (bool, f64) {
    let class = |row: &[f32]| match row {
        [y] => usize::from(*y >= 0.5),
        _ => (0..row.len())
            .rev()
            .max_by(|&i, &j| row[i].total_cmp(&row[j]))
            .unwrap(),
    };
    let apart = a
        .iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    (class(a) != class(b), apart.fold(0.0, f64::max))
}

fn options(case: usize, enumeration: f64) -> Options {
    Options {
        timeout: Duration::from_secs(600),
        threads: 1 + case % 2,
        enumeration,
        samples: if case.is_multiple_of(3) { 64 } else { 0 },
        ..Options::default()
    }
}

#[test]
fn two_models_are_compared_as_by_trying_every_input() {
    let mut random = Random(0x5DEE_CE66_D1CE_CAFE);
    let mut found = [[0; 2]; 2];
    let cases = 1500;
    for case in 0..cases {
        let one = model(&mut random);
        let head = (one.scales.clone(), one.activation);
        let other: Model = model_of(&mut random, one.inputs, one.outputs, Some(head));
        let same = random.below(8) == 0;
        let network = Network::new(&one.blob).unwrap();
        let second = Network::new(if same { &one.blob } else { &other.blob }).unwrap();
        let steps = if one.inputs == 2 { 12 } else { 4 };
        let ranges = ranges(&mut random, &one, steps);
        // Finer than the steps of both, and next to both sides of each.
        let fine: Vec<f64> = one
            .scales
            .iter()
            .zip(&other.scales)
            .map(|(a, b)| a.min(*b) / 4.0)
            .collect();
        let rows = all_rows(&fine, &ranges);
        let pairs: Vec<_> = rows
            .iter()
            .map(|row| {
                compared(
                    &network.predict(row).unwrap(),
                    &second.predict(row).unwrap(),
                )
            })
            .collect();
        let differ = pairs.iter().any(|pair| pair.0);
        let most = pairs.iter().map(|pair| pair.1).fold(0.0, f64::max);
        let limit = random.one_of(&[
            most,
            most.next_down().max(0.0),
            most * 0.5,
            most * 1.2 + 1e-3,
        ]);
        let second = Other::Integers(second);
        for enumeration in [1.0, 1e6] {
            let options = options(case, enumeration);
            for (kind, relation, expected) in [
                (0, Relation::SameClass, !differ),
                (1, Relation::Within(limit), most <= limit),
            ] {
                let goal = Goal::Relation(relation);
                let property = property(&network, &ranges, &goal);
                let outcome =
                    prove_against(&network, &second, &property.boxes, &goal, &options).unwrap();
                match outcome.verdict {
                    // The rows tried may miss a step of a part of another: nothing that they show is missed.
                    Verdict::Holds => assert!(expected, "case {case}: {relation:?} does not hold"),
                    Verdict::Fails(example) => {
                        let row = example.other.unwrap();
                        assert_eq!(row.inputs, example.inputs);
                        let (differ, most) = compared(&example.outputs, &row.outputs);
                        assert!(if kind == 0 { differ } else { most > limit }, "case {case}");
                        assert_eq!(network.predict(&example.inputs).unwrap(), example.outputs);
                    }
                    Verdict::Unknown => panic!("case {case}: not decided in ten minutes"),
                }
                found[kind][usize::from(expected)] += 1;
            }
            let largest =
                largest_difference(&network, &second, std::slice::from_ref(&ranges), &options)
                    .unwrap();
            assert_eq!(largest.bound, largest.reached, "case {case}");
            assert!(
                largest.reached >= most,
                "case {case}: {} of {most}",
                largest.reached
            );
            if largest.reached > 0.0 {
                let example = largest.example.unwrap();
                let own = compared(&example.outputs, &example.other.unwrap().outputs).1;
                assert_eq!(own, largest.reached);
            }
        }
    }
    assert!(
        found.iter().flatten().all(|&count| count > cases / 3),
        "{found:?}"
    );
}

#[test]
fn an_output_rises_or_falls_as_by_trying_every_input() {
    let mut random = Random(0x0BAD_5EED_0BAD_5EED);
    let mut found = [0; 2];
    let cases = 1500;
    for case in 0..cases {
        let model = model(&mut random);
        let network = Network::new(&model.blob).unwrap();
        let steps = if model.inputs == 2 { 12 } else { 4 };
        let ranges = ranges(&mut random, &model, steps);
        let (output, rises) = (random.below(model.outputs), random.below(2) == 0);
        // The first column moves on fastest.
        let column = 0;
        let rows = all_rows(&model.scales, &ranges);
        let outputs: Vec<_> = rows
            .iter()
            .map(|row| network.predict(row).unwrap()[output])
            .collect();
        let expected = rows.windows(2).zip(outputs.windows(2)).all(|(rows, y)| {
            let is_next = rows[0][0] < rows[1][0] && rows[0][1..] == rows[1][1..];
            !is_next || if rises { y[0] <= y[1] } else { y[0] >= y[1] }
        });
        let goal = Goal::Relation(Relation::Monotone {
            output,
            column,
            rises,
        });
        let property = property(&network, &ranges, &goal);
        for enumeration in [1.0, 1e6] {
            let outcome = prove(&network, &property, &options(case, enumeration)).unwrap();
            match outcome.verdict {
                Verdict::Holds => assert!(expected, "case {case} does not hold"),
                Verdict::Fails(example) => {
                    assert!(!expected, "case {case} holds");
                    let next = example.other.unwrap();
                    assert_eq!(next.inputs[1..], example.inputs[1..]);
                    assert!(next.inputs[0] > example.inputs[0], "case {case}");
                    let [from, to] = [example.outputs[output], next.outputs[output]];
                    assert!(if rises { from > to } else { from < to });
                    assert_eq!(network.predict(&next.inputs).unwrap(), next.outputs);
                }
                Verdict::Unknown => panic!("case {case}: not decided in ten minutes"),
            }
        }
        found[usize::from(expected)] += 1;
    }
    assert!(found.iter().all(|&count| count > cases / 5), "{found:?}");
}

/// A model of floats with these steps of the inputs, about, and this activation.
fn float_model(random: &mut Random, steps: &[f64], outputs: usize, last: Activation) -> Vec<u8> {
    let mut number = |size: f64| (f64::from(random.signed(1000)) / 1000.0 * size) as f32;
    let inputs = steps.len();
    let scale: Vec<f32> = steps
        .iter()
        .map(|step| number(0.02) / *step as f32)
        .collect();
    let offset: Vec<f32> = steps.iter().map(|_| number(0.5)).collect();
    let mut numbers =
        |count: usize, size: f64| -> Vec<f32> { (0..count).map(|_| number(size)).collect() };
    let weights = [
        numbers(inputs * 5, 2.0),
        numbers(5 * 4, 1.0),
        numbers(4 * outputs, 1.0),
    ];
    let bias = [numbers(5, 1.0), numbers(4, 1.0), numbers(outputs, 0.5)];
    let hidden = [
        Activation::Relu,
        Activation::Linear,
        Activation::Tanh,
        Activation::Relu,
    ];
    let hidden = [hidden[random.below(4)], hidden[random.below(4)], last];
    let widths = [inputs, 5, 4, outputs];
    let mut layers = vec![LayerSpec::Scale {
        inputs,
        scale: &scale,
        offset: &offset,
        then: FloatSpec::default(),
    }];
    for index in 0..3 {
        layers.push(LayerSpec::Dense(DenseSpec {
            inputs: widths[index],
            units: widths[index + 1],
            packing: Packing::Plain,
            weights: WeightsSpec::Float {
                weights: &weights[index],
                bias: &bias[index],
            },
            output: OutputSpec::Float {
                scales: &[],
                activation: hidden[index],
                table: None,
            },
        }));
    }
    let mut blob = vec![0; 4096];
    let spec = ModelSpec {
        layers: &layers,
        ..ModelSpec::default()
    };
    let length = encode(&spec, &mut blob).unwrap();
    blob.truncate(length);
    blob
}

#[test]
fn nothing_is_said_of_a_model_of_floats_that_some_input_belies() {
    let mut random = Random(0x1357_9BDF_0246_8ACE);
    let mut found = [[0; 3]; 2];
    let mut tight = 0;
    let cases = 600;
    for case in 0..cases {
        let one = model(&mut random);
        let network = Network::new(&one.blob).unwrap();
        let blob = float_model(&mut random, &one.scales, one.outputs, one.activation);
        let other = Other::new(&blob).unwrap();
        let Other::Floats(floats) = &other else {
            panic!()
        };
        let ranges = ranges(&mut random, &one, 4);
        let fine: Vec<f64> = one.scales.iter().map(|step| step / 3.0).collect();
        let mut scratch = vec![0; floats.model.scratch_len()];
        let mut second = vec![0.0; one.outputs];
        let pairs: Vec<_> = all_rows(&fine, &ranges)
            .iter()
            .map(|row| {
                floats
                    .model
                    .predict(row, &mut scratch, &mut second)
                    .unwrap();
                compared(&network.predict(row).unwrap(), &second)
            })
            .collect();
        let differ = pairs.iter().any(|pair| pair.0);
        let most = pairs.iter().map(|pair| pair.1).fold(0.0, f64::max);
        let limit = random.one_of(&[most * 0.9, most * 1.1 + 1e-3, most * 2.0 + 0.1]);
        let options = options(case, 1e6);
        for (kind, relation, seen) in [
            (0, Relation::SameClass, !differ),
            (1, Relation::Within(limit), most <= limit),
        ] {
            let goal = Goal::Relation(relation);
            let outcome = prove_against(
                &network,
                &other,
                std::slice::from_ref(&ranges),
                &goal,
                &options,
            )
            .unwrap();
            match outcome.verdict {
                Verdict::Holds => {
                    assert!(seen, "case {case}: {relation:?} does not hold");
                    found[kind][0] += 1;
                }
                Verdict::Fails(example) => {
                    let row = example.other.unwrap();
                    floats
                        .model
                        .predict(&row.inputs, &mut scratch, &mut second)
                        .unwrap();
                    assert_eq!(second, row.outputs);
                    let (differ, most) = compared(&example.outputs, &row.outputs);
                    assert!(if kind == 0 { differ } else { most > limit }, "case {case}");
                    found[kind][1] += 1;
                }
                Verdict::Unknown => found[kind][2] += 1,
            }
        }
        let largest =
            largest_difference(&network, &other, std::slice::from_ref(&ranges), &options).unwrap();
        assert!(
            largest.bound >= most,
            "case {case}: {} of {most}",
            largest.bound
        );
        tight += usize::from(largest.bound - largest.reached < 0.02 * largest.reached + 1e-4);
    }
    println!("{found:?}, {tight} tight");
    assert!(
        found
            .iter()
            .all(|[holds, fails, _]| holds.min(fails) > &(cases / 10)),
        "{found:?}"
    );
    assert!(tight > cases / 2, "{tight}");
}

/// Exact where the values are, since there is time; of a sigmoid or a softmax as near as its own errors.
#[test]
fn the_reachable_values_are_those_that_some_inputs_give() {
    let mut random = Random(0x2468_ACE0_1357_9BDF);
    let mut exact = 0;
    let cases = 600;
    for case in 0..cases {
        let model = model(&mut random);
        let network = Network::new(&model.blob).unwrap();
        let ranges = ranges(&mut random, &model, 8);
        let rows = all_rows(&model.scales, &ranges);
        let outputs: Vec<_> = rows
            .iter()
            .map(|row| network.predict(row).unwrap())
            .collect();
        let options = options(case, if case % 2 == 0 { 1.0 } else { 1e6 });
        let found = reachable(&network, std::slice::from_ref(&ranges), &options).unwrap();
        for (unit, range) in found.last().unwrap().iter().enumerate() {
            let values = outputs.iter().map(|row| f64::from(row[unit]));
            let [least, most] = [
                values.clone().fold(f64::INFINITY, f64::min),
                values.fold(f64::NEG_INFINITY, f64::max),
            ];
            let [low, high] = range.bound;
            assert!(
                low <= least && most <= high,
                "case {case}: {range:?} of {least} to {most}"
            );
            let [low, high] = range.reached;
            assert!(
                least <= low && high <= most,
                "case {case}: {range:?} of {least} to {most}"
            );
            exact += usize::from(range.reached == range.bound);
        }
        for range in &found[..found.len() - 1].concat() {
            assert_eq!(range.reached, range.bound, "case {case}");
        }
    }
    assert!(exact > cases, "{exact} of {cases} models' outputs");
}
