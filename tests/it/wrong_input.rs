//! What the command line says to input that is wrong, and that it leaves everything as it was.

use std::fs;

use ndarray::{Array1, Array2, ArrayD, Axis};
use thumbnet_tests::iris::{files, models, run};
use thumbnet_trainer::dataset;

/// Commands that must fail in a folder with iris.csv and a trained model.h5, and how.
#[test]
fn wrong_input_is_one_line_that_says_what_to_do() {
    let folder = models();
    let path = folder.path();
    for (name, text) in [
        ("empty.csv", ""),
        ("header.csv", "a,b,label\n"),
        (
            "nan.csv",
            "sepal_length,petal_width,label\n1,2,0\n1,n/a,1\n",
        ),
        ("hole.csv", "a,label\n,0\n"),
        ("ragged.csv", "a,b,label\n1,2,0\n1,2\n"),
        ("narrow.csv", "a,b,label\n1,2,0\n1,2,1\n"),
        ("five.csv", "a,b,c,d,species\n1,2,3,4,0\n"),
        ("high.csv", "a,label\n1,0\n2,1\n\n3,3\n"),
        ("plain.json", "[1]"),
        ("object.json", "{}"),
        (
            "stopping.json",
            r#"["TerminateOnNaN", {"class_name": "EarlyStopping", "config": {"patients": 1}}]"#,
        ),
        ("broken.json", "{\"loss\":\n \"mse\",,}"),
    ] {
        fs::write(path.join(name), text).unwrap();
    }
    let x: ArrayD<f32> = Array2::from_elem((5, 4), 1.0).into_dyn();
    dataset::write_npy(&path.join("x.npy"), &x).unwrap();
    let mut bad = x.clone();
    bad[[2, 1]] = f32::NAN;
    dataset::write_npy(&path.join("bad.npy"), &bad).unwrap();
    let y: ArrayD<f32> = Array1::zeros(5).into_dyn();
    dataset::write_npy(&path.join("y.npy"), &y).unwrap();
    let short = y.slice_axis(Axis(0), (..4).into()).to_owned();
    dataset::write_npy(&path.join("short.npy"), &short).unwrap();
    let before = files(path);
    let good = fs::read(path.join("model.h5")).unwrap();

    for (line, code, message) in [
        // Files and their contents.
        (
            "train --data no.csv --layers 3:softmax --output model.h5",
            1,
            "no.csv: No such file or directory (os error 2)",
        ),
        (
            "train --data empty.csv --layers 3:softmax --output model.h5",
            1,
            "empty.csv: the file is empty, expected a header line and rows",
        ),
        (
            "train --data header.csv --layers 3:softmax --output model.h5",
            1,
            "header.csv: there is only a header line, expected rows below it",
        ),
        (
            "train --data nan.csv --layers 3:softmax --output model.h5",
            1,
            "nan.csv:3: 1 cell has no value, expected numbers: 1 of column \"petal_width\" (line 3); fill the cells, or give --missing drop, mean, median or zero",
        ),
        (
            "train --data hole.csv --layers 3:softmax --output model.h5",
            1,
            "hole.csv:2: 1 cell has no value, expected numbers: 1 of column \"a\" (line 2); fill the cells, or give --missing drop, mean, median or zero",
        ),
        (
            "train --data ragged.csv --layers 3:softmax --output model.h5",
            1,
            "ragged.csv:3: 2 cells, expected 3 as in the header; add or remove cells, or quote a cell that holds a comma",
        ),
        (
            "train --data iris.csv --target lable --layers 3:softmax --output model.h5",
            1,
            "iris.csv:1: there is no column \"lable\", the columns are sepal_length, sepal_width, petal_length, petal_width, label; name the label column with --target; did you mean \"label\"?",
        ),
        (
            "train --data high.csv --layers 2:softmax --output model.h5",
            1,
            "high.csv:5: label 3 is not among the 2 classes 0 to 1 that the model's last layer has; give the last layer 4 units, or number the labels from 0",
        ),
        (
            "train --data iris.csv --layers 2:softmax --output model.h5",
            1,
            "iris.csv: the labels are of 3 classes, setosa, versicolor, virginica, expected 2 as the model's last layer tells apart; give the last layer 3 units",
        ),
        (
            "train --data high.csv --layers 1:sigmoid --output model.h5",
            1,
            "high.csv:5: label 3 is outside 0 to 1, which binary_crossentropy expects; number the labels 0 and 1, or end --layers with a softmax layer of one unit per class",
        ),
        (
            "train --x bad.npy --y y.npy --layers 2:softmax --output model.h5",
            1,
            "bad.npy: data row 3, column 2 is NaN, expected a finite number; remove the row or replace the value",
        ),
        (
            "train --x x.npy --y short.npy --layers 2:softmax --output model.h5",
            1,
            "short.npy has 4 rows, expected 5 as x.npy has; give one target per row",
        ),
        (
            "train --x iris.csv --y y.npy --layers 2:softmax --output model.h5",
            1,
            "iris.csv: not an .npy file, expected one written by numpy.save; use --data for CSV",
        ),
        (
            "train --x x.npy --y y.npy --sample-weight short.npy --layers 2:softmax --output model.h5",
            1,
            "short.npy has 4 weights, expected 5 as x.npy has rows",
        ),
        (
            "train --data iris.csv --layers 3:softmax --compile plain.json --output model.h5",
            1,
            "plain.json: expected {\"optimizer\": .., \"loss\": .., \"metrics\": [..]} in Keras' serialized form",
        ),
        (
            "train --data iris.csv --layers 3:softmax --compile broken.json --output model.h5",
            1,
            "broken.json:2: column 8: key must be a string, expected JSON",
        ),
        // Models and data that do not fit.
        (
            "evaluate model.h5 --data narrow.csv",
            1,
            "narrow.csv:1: the file has none of the model's columns sepal_length, sepal_width, petal_length, petal_width, but a, b, label; give the columns the model's names in the header",
        ),
        (
            "predict model.tnet --data narrow.csv --output y.npy",
            1,
            "narrow.csv has 2 features, expected the model's 4 inputs; give the columns that the model was trained on",
        ),
        (
            "predict model.h5 --data five.csv --output y.npy",
            1,
            "five.csv:1: the file has none of the model's columns sepal_length, sepal_width, petal_length, petal_width, but a, b, c, d, species; give the columns the model's names in the header",
        ),
        (
            "predict no.h5 --data five.csv --output y.npy",
            1,
            "no.h5: No such file or directory (os error 2)",
        ),
        (
            "predict model.h5 --data iris.csv --output no/y.npy",
            1,
            "no/y.npy: there is no folder no; create it with mkdir -p no",
        ),
        (
            "train --data iris.csv --layers 3:softmax --output no/model.h5",
            1,
            "no/model.h5: there is no folder no; create it with mkdir -p no",
        ),
        (
            "train --data iris.csv --layers 3:softmax --history no/h.json --output model.h5",
            1,
            "no/h.json: there is no folder no; create it with mkdir -p no",
        ),
        (
            "train --data iris.csv --layers 3:softmax --callbacks broken.json --output model.h5",
            1,
            "broken.json:2: column 8: key must be a string, expected JSON",
        ),
        (
            "train --data iris.csv --layers 3:softmax --callbacks object.json --output model.h5",
            1,
            "object.json: expected a list, [{\"class_name\": \"EarlyStopping\", \"config\": {\"patience\": 3}}, ..]",
        ),
        (
            "train --data iris.csv --layers 3:softmax --callbacks stopping.json --output model.h5",
            1,
            "stopping.json: callback 2: callback EarlyStopping has no argument \"patients\", expected some of monitor, min_delta, patience, verbose, mode, baseline, restore_best_weights, start_from_epoch",
        ),
        (
            "train --data iris.csv --layers 3:softmax --early-stopping 1 --monitor val_loss --verbose 0 --csv-log no/log.csv --output model.h5",
            1,
            "no/log.csv: there is no folder no; create it with mkdir -p no",
        ),
        (
            "train --data iris.csv --layers 3:softmax --epochs 2 --early-stopping 1 --monitor val_los --verbose 0 --output model.h5",
            1,
            "EarlyStopping monitors \"val_los\", which is no metric of the model; name one of accuracy, loss, or give mode min or max",
        ),
        (
            "predict model.tnet --weights model.h5 --data iris.csv",
            2,
            "model.tnet is a device model, which has its weights within; leave --weights out",
        ),
        // Usage.
        (
            "train --data iris.csv --layers 3:softmax --epochs 3 --initial-epoch 5 --output model.h5",
            2,
            "--initial-epoch 5 is beyond --epochs 3, the epoch to end with; give --epochs 8 for 3 more",
        ),
        (
            "train --data iris.csv --layers 3:softmax --validation-freq 0 --output model.h5",
            2,
            "invalid value '0' for '--validation-freq <N|A,B,..>': expected a number above 0, or epochs such as 1,2,10; see thumbnet train --help",
        ),
        (
            "train --data iris.csv --layers 3:softmax --mode up --output model.h5",
            2,
            "invalid value 'up' for '--mode <auto|min|max>': expected auto, min or max; see thumbnet train --help",
        ),
        (
            "train --data iris.csv --layers 3:softmax --output model.txt",
            2,
            "model.txt: the name says nothing about the format, expected one that ends in .h5 or .keras",
        ),
        (
            "predict model.h5 --data iris.csv --output y.txt",
            2,
            "y.txt: the name says nothing about the format, expected one that ends in .npy or .csv",
        ),
        (
            "train --layers 3:softmax --output model.h5",
            2,
            "there is no data; add --data d.csv, or --x x.npy --y y.npy",
        ),
        (
            "train --x x.npy --layers 3:softmax --output model.h5",
            2,
            "--x is given without --y, expected the targets too; add --y y.npy",
        ),
        (
            "train --data iris.csv --layers 3:softmax --steps-per-epoch 0 --output model.h5",
            2,
            "invalid value '0' for '--steps-per-epoch <N>': expected a number above 0; see thumbnet train --help",
        ),
        (
            "train --data iris.csv --layers 3:softmax --batch-size 0 --output model.h5",
            2,
            "invalid value '0' for '--batch-size <N|none>': expected a number above 0, or none for all rows at once; see thumbnet train --help",
        ),
        (
            "train --data iris.csv --layers 3:softmax --validation-split 1 --output model.h5",
            2,
            "invalid value '1' for '--validation-split <PART>': expected a number from 0 to below 1, such as 0.2; see thumbnet train --help",
        ),
        (
            "train --data iris.csv --output model.h5",
            2,
            "the following required arguments were not provided: --layers <SPEC>; see thumbnet train --help",
        ),
        (
            "train --data iris.csv --layers 0:relu,3:softmax --output model.h5",
            2,
            "invalid value '0:relu' for '--layers <SPEC>': \"0:relu\" is no layer, expected units:activation such as 32:relu, dropout:0.2, batch_normalization or flatten; see thumbnet train --help",
        ),
        (
            "summary model.tnet",
            2,
            "model.tnet is a device model, expected a Keras file; use thumbnet inspect model.tnet",
        ),
        (
            "inspect model.h5",
            2,
            "model.h5 is no device model, expected a .tnet file; use thumbnet summary model.h5 for a Keras file",
        ),
        (
            "export model.tnet --calibrate iris.csv --output other.tnet",
            2,
            "model.tnet is exported already, expected a Keras file (.h5 or .keras)",
        ),
        (
            "export model.h5 --calibrate iris.csv --output model.h5",
            2,
            "model.h5: this is the name of another kind of file, expected one that ends in .tnet",
        ),
        (
            "train --data iris.csv --layers 3:softmax --epoch 3 --output model.h5",
            2,
            "unexpected argument '--epoch' found; tip: a similar argument exists: '--epochs'; see thumbnet train --help",
        ),
        (
            "evaluate",
            2,
            "the following required arguments were not provided: <MODEL>; see thumbnet evaluate --help",
        ),
        (
            "trian",
            2,
            "unrecognized subcommand 'trian'; tip: a similar subcommand exists: 'train'; see thumbnet --help",
        ),
    ] {
        assert_eq!(run(path, line).error(code), message, "thumbnet {line}");
        assert_eq!(files(path), before, "thumbnet {line}");
    }
    // Names that Keras does not know are usage too; their texts belong to the library.
    for (option, value) in [
        ("--layers", "8:rellu,3:softmax"),
        ("--optimizer", "adamm"),
        ("--loss", "crossentrpy"),
        ("--metrics", "acuracy"),
    ] {
        let line = if option == "--layers" {
            format!("train --data iris.csv --layers {value} --output model.h5")
        } else {
            format!("train --data iris.csv --layers 3:softmax {option} {value} --output model.h5")
        };
        let message = run(path, &line).error(2);
        let name = value
            .split([':', ','])
            .find(|part| part.parse::<u32>().is_err())
            .unwrap();
        assert!(
            message.contains(option) && message.contains(name),
            "{message}"
        );
    }
    assert_eq!(fs::read(path.join("model.h5")).unwrap(), good);
}
