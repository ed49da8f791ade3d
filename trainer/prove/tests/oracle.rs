//! The prover against every input of small random models.

mod common;

use std::time::Duration;

use common::{Random, all_outputs, goal, model, property, ranges};
use thumbnet_prove::{Network, Options, Verdict, prove};

/// Models of all weight types, with tables and clamped sums; boxes at the ends of the inputs' range and beyond;
/// every kind of goal.
#[test]
fn the_verdict_is_that_of_trying_every_input() {
    let mut random = Random(0x1234_5678_9ABC_DEF1);
    let mut found = [0; 2];
    let cases = 3000;
    for case in 0..cases {
        let model = model(&mut random);
        let network = Network::new(&model.blob).unwrap();
        let steps = if model.inputs == 2 { 24 } else { 6 };
        let ranges = ranges(&mut random, &model, steps);
        let outputs = all_outputs(&network, &model, &ranges);
        for _ in 0..3 {
            let goal = goal(&mut random, &outputs);
            let expected = outputs.iter().all(|row| goal.holds(&network, row));
            // Boxes are small enough to be enumerated at once; a small budget makes bounds and halving do it.
            for enumeration in [1.0, 1e6] {
                let options = Options {
                    timeout: Duration::from_secs(600),
                    threads: 1 + case % 2,
                    enumeration,
                    samples: if case % 3 == 0 { 64 } else { 0 },
                    ..Options::default()
                };
                let property = property(&network, &ranges, &goal);
                let outcome = prove(&network, &property, &options).unwrap();
                match outcome.verdict {
                    Verdict::Holds => assert!(expected, "case {case}: {goal:?} does not hold"),
                    Verdict::Fails(example) => {
                        assert!(!expected, "case {case}: {goal:?} holds");
                        let own = network.predict(&example.inputs).unwrap();
                        assert_eq!(own, example.outputs);
                        assert!(!goal.holds(&network, &own));
                        for (x, range) in example.inputs.iter().zip(&ranges) {
                            let [low, high] = range.unwrap().map(|end| end as f32);
                            assert!((low..=high).contains(x), "case {case}");
                        }
                    }
                    Verdict::Unknown => panic!("case {case}: not decided in ten minutes"),
                }
            }
            found[usize::from(expected)] += 1;
        }
    }
    // Both are tested.
    assert!(found.iter().all(|&count| count > cases / 2), "{found:?}");
}
