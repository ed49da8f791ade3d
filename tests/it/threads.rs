//! The number of threads changes the time, and not one bit of the results.

use std::{fs, path::Path};

use ndarray::{Array1, Array2};
use thumbnet_tests::command::command;
use thumbnet_trainer::dataset::write_npy;

fn run(folder: &Path, threads: &str, arguments: &str) {
    let output = command(folder, arguments.split_whitespace())
        .env("THUMBNET_THREADS", threads)
        .output()
        .expect("thumbnet starts");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    const ROWS: usize = 700; // the last batch is a partial one
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let x = Array2::from_shape_fn((ROWS, 300), |(i, j)| ((i * 7 + j * 3) % 23) as f32 / 23.0);
    let y = Array1::from_shape_fn(ROWS, |i| (i % 10) as f32);
    write_npy(&folder.join("x.npy"), &x.into_dyn()).expect("a file");
    write_npy(&folder.join("y.npy"), &y.into_dyn()).expect("a file");

    for (optimizer, layers) in [
        ("adam", "512:relu,384:tanh,10:softmax"),
        (
            "sgd",
            "256:relu,batch_normalization,dropout:0.2,256:gelu,10:softmax",
        ),
        ("muon", "200:relu,10:softmax"),
    ] {
        let results = ["1", "2", "3"].map(|threads| {
            let train = format!(
                "train --x x.npy --y y.npy --layers {layers} --optimizer {optimizer} --epochs 2 \
                 --batch-size 256 --validation-split 0.1 --seed 3 --history h.json --output m.h5"
            );
            run(folder, threads, &train);
            run(
                folder,
                threads,
                "predict m.h5 --x x.npy --output scores.npy",
            );
            ["m.h5", "h.json", "scores.npy"].map(|name| fs::read(folder.join(name)).expect(name))
        });
        for (threads, result) in (2..).zip(&results[1..]) {
            for (name, pair) in ["weights", "history", "predictions"]
                .iter()
                .zip(result.iter().zip(&results[0]))
            {
                assert!(
                    pair.0 == pair.1,
                    "{optimizer}: {name} with {threads} threads"
                );
            }
        }
    }
}
