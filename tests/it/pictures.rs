//! Reports and curves: what their figures say is what the command line says.

use std::{fs, path::Path};

use serde_json::Value;
use thumbnet_tests::{
    command::{Finished, thumbnet},
    iris::run,
};

/// A page as a browser takes it apart: panics where an element is not closed by its own end, or a name
/// opens one that is not of the page.
fn check_html(page: &str) {
    const ELEMENTS: &str = "html head meta title style body h1 h2 h3 p b i span strong div ul li \
        table tr th td figure figcaption svg rect line polyline polygon circle text";
    let known: Vec<&str> = ELEMENTS.split_whitespace().collect();
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap_or(page);
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/'])
            .next()
            .unwrap();
        assert!(known.contains(&name), "<{tag}>");
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
        match (tag.starts_with('/'), tag.ends_with('/') || name == "meta") {
            (true, _) => assert_eq!(open.pop(), Some(name), "</{name}>"),
            (false, true) => {}
            (false, false) => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

/// What is between two texts, the first time.
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let start = page
        .find(from)
        .unwrap_or_else(|| panic!("no {from}: {page}"))
        + from.len();
    let end = page[start..].find(to).unwrap_or_else(|| panic!("no {to}"));
    &page[start..start + end]
}

/// The cells of the table's rows behind a heading, without the head.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let table = between(page, heading, "</table>");
    let lines = table.split("<tr>").filter(|line| line.contains("<td"));
    lines
        .map(|line| {
            let cells = line.split("<td").skip(1);
            cells.map(|cell| between(cell, ">", "</td>")).collect()
        })
        .collect()
}

/// Rows of three classes around 0, 1 and 2; the ones on the lines 9 and 14 are called by the name of
/// another class, the one on line 14 further from it.
/// `<b>"c"&</b>` as text of a page.
const ESCAPED: &str = "&lt;b&gt;&quot;c&quot;&amp;&lt;/b&gt;";
const HOSTILE: &str = "<script>alert('a')</script>";

fn three_classes(folder: &Path) {
    let mut text = format!("\"{HOSTILE}\",noise,label\n");
    for row in 0..90 {
        let class = row % 3;
        let place = class as f64 + f64::from((row * 37) % 11 - 5) / 50.0;
        let label = match row {
            // Lines 9 and 14: of the classes 1 and 0.
            7 => "<b>\"c\"&</b>",
            12 => "<b>\"c\"&</b>",
            _ => ["a", "b", "<b>\"c\"&</b>"][class as usize],
        };
        let quoted = label.replace('"', "\"\"");
        text += &format!("{place},{},\"{quoted}\"\n", (row * 53) % 17);
    }
    fs::write(folder.join("d.csv"), text).unwrap();
}

fn page(folder: &Path, name: &str) -> String {
    let page = fs::read_to_string(folder.join(name)).unwrap();
    check_html(&page);
    let shown = folder.display().to_string();
    assert!(!page.contains(&shown), "the page names {shown}");
    // Nothing is loaded from elsewhere: the only address is the name of SVG.
    let addresses = page.matches("://").count();
    assert_eq!(
        addresses,
        page.matches("\"http://www.w3.org/2000/svg\"").count()
    );
    assert!(!page.contains(HOSTILE) && !page.contains("<script"));
    page
}

fn json(finished: Finished) -> Value {
    serde_json::from_str(&finished.ok()).unwrap()
}

#[test]
fn a_report_on_classes_has_their_matrix_and_the_rows_most_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    three_classes(folder.path());
    let (data, model, report) = (at("d.csv"), at("m.h5"), at("r.html"));
    let layers = "--layers 8:relu,3:softmax --epochs 60 --learning-rate 0.02".split(' ');
    let train = [
        "train", "--data", &data, "--output", &model, "--report", &report,
    ];
    thumbnet(folder.path(), train.into_iter().chain(layers)).ok();
    let trained = page(folder.path(), "r.html");
    let evaluate = ["evaluate", &model, "--data", &data, "--json"];
    let plain = thumbnet(folder.path(), evaluate).ok();
    let with = thumbnet(
        folder.path(),
        evaluate.into_iter().chain(["--report", &report]),
    )
    .ok();
    assert_eq!(with, plain);
    let evaluated = page(folder.path(), "r.html");
    let values: Value = serde_json::from_str(&plain).unwrap();
    let classes = &values["evaluation"]["classes"];

    for page in [&trained, &evaluated] {
        for heading in [
            "Confusion matrix",
            "ROC curve",
            "Precision and recall",
            "Calibration of the probabilities",
            "Rows most wrong",
            "Importance of the columns",
            "Layers",
            "On the device, in int8",
            "Proven from the weights",
        ] {
            assert!(page.contains(heading), "no {heading}");
        }
        assert!(page.contains(ESCAPED) && !page.contains("<b>\""));
        assert!(page.contains("&lt;script&gt;alert"));
        let matrix = rows(page, "Confusion matrix");
        for (row, class) in (0..3).zip([ESCAPED, "a", "b"]) {
            assert_eq!(matrix[row][0], class);
            let counts = matrix[row][1..]
                .iter()
                .map(|cell| cell.parse::<u64>().unwrap());
            let expected = classes["confusion"][row].as_array().unwrap();
            let expected = expected.iter().map(|count| count.as_u64().unwrap());
            assert!(counts.clone().eq(expected), "{matrix:?}");
            assert_eq!(
                Some(counts.sum()),
                classes["classes"][row]["support"].as_u64()
            );
        }
        // The two that are called by another name are wrong, the one two classes off most of all.
        let wrong = rows(page, "Rows most wrong");
        let lines: Vec<&str> = wrong.iter().map(|row| row[0]).collect();
        assert_eq!(lines[..2], ["14", "9"], "{wrong:?}");
        assert_eq!(wrong[0][1..3], [ESCAPED, "a"]);
        // All is owed to the first column.
        let worth = rows(page, "Importance of the columns");
        assert!(worth[0][0].starts_with("&lt;script&gt;"), "{worth:?}");
        assert!(worth[0][1].parse::<f64>().unwrap() > 0.3, "{worth:?}");
        assert!(
            worth[1][1].parse::<f64>().unwrap().abs() < 0.05,
            "{worth:?}"
        );
    }
    assert!(trained.contains("Training") && !evaluated.contains("<h2>Training"));
}

#[test]
fn a_report_on_two_classes_has_the_area_of_the_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "x,y,label\n".to_string();
    for row in 0..120 {
        let place = f64::from((row * 29) % 120);
        // Wrong now and then, so that the area is neither 0.5 nor 1.
        let yes = (place > 60.0) != (row % 7 == 0);
        text += &format!("{place},{},{}\n", row % 5, if yes { "yes" } else { "no" });
    }
    fs::write(folder.path().join("d.csv"), text).unwrap();
    run(
        folder.path(),
        "train --data d.csv --layers 8:relu,1:sigmoid --epochs 30 --output m.h5",
    )
    .ok();
    run(
        folder.path(),
        "export m.h5 --calibrate d.csv --output m.tnet --report q.html",
    )
    .ok();
    let export = page(folder.path(), "q.html");
    assert!(export.contains("What quantization does to the outputs"));
    for model in ["m.h5", "m.tnet"] {
        let values = json(run(
            folder.path(),
            &format!("evaluate {model} --data d.csv --report r.html --json"),
        ));
        let page = page(folder.path(), "r.html");
        let classes = &values["evaluation"]["classes"];
        let auc = format!("{:.4}", classes["auc"].as_f64().unwrap());
        assert!(!["0.5000", "1.0000"].contains(&auc.as_str()));
        assert!(
            page.contains(&format!("<b>{auc}</b> <span>area under the ROC curve"))
                || page.contains(&format!("<b>{auc}</b><span>area under the ROC curve")),
            "{auc}"
        );
        // The curve's own area, in its legend.
        assert!(page.contains(&format!("yes {auc}")));
        let accuracy = 100.0 * classes["accuracy"].as_f64().unwrap();
        assert!(page.contains(&format!("<b>{accuracy:.2} %</b>")));
        // The pages look alike.
        assert_eq!(
            between(&page, "<style>", "</style>"),
            between(&export, "<style>", "</style>")
        );
        assert_eq!(page.contains("<h2>Layers"), model == "m.h5");
    }
}

#[test]
fn a_report_on_numbers_has_the_rows_furthest_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "# lengths\nx,y,target\n".to_string();
    for row in 0..60 {
        let (x, y) = (f64::from(row % 10), f64::from((row * 7) % 13));
        let target = 3.0 * x - y + if row == 41 { 100.0 } else { 0.0 };
        text += &format!("{x},{y},{target}\n");
    }
    fs::write(folder.path().join("d.csv"), text).unwrap();
    run(
        folder.path(),
        "train --data d.csv --layers 8:relu,1 --epochs 40 --output m.h5 --report t.html",
    )
    .ok();
    let values = json(run(
        folder.path(),
        "evaluate m.h5 --data d.csv --report r.html --json",
    ));
    for name in ["t.html", "r.html"] {
        let page = page(folder.path(), name);
        let found = &values["evaluation"]["numbers"][0];
        let table = rows(&page, "<h2>Numbers");
        for (cell, key) in table[0][1..4].iter().zip(["mae", "rmse", "r2"]) {
            let expected = found[key].as_f64().unwrap();
            assert!(
                (cell.parse::<f64>().unwrap() - expected).abs() <= 5.1e-5,
                "{key} {cell}"
            );
        }
        // A comment and the names come before the first row.
        assert_eq!(rows(&page, "Rows most wrong")[0][0], "44");
        for heading in [
            "Predicted against true",
            "Residuals",
            "How residuals are spread",
        ] {
            assert!(page.contains(heading), "no {heading}");
        }
        assert!(!page.contains("ROC curve"));
    }
}

#[test]
fn labels_are_called_by_their_columns() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "x,mode,hot,wet\n".to_string();
    for row in 0..60 {
        let mode = ["walk", "ride", "sit"][row % 3];
        let x = (row * 17) % 61;
        text += &format!("{x},{mode},{},{}\n", u8::from(x > 30), row % 2);
    }
    fs::write(folder.path().join("d.csv"), text).unwrap();
    run(
        folder.path(),
        "train --data d.csv --target hot,wet --layers 2:sigmoid --epochs 3 --output m.h5 --report r.html",
    )
    .ok();
    let page = page(folder.path(), "r.html");
    let labels: Vec<&str> = rows(&page, "<h2>Labels").iter().map(|row| row[0]).collect();
    assert_eq!(labels, ["hot", "wet"]);
    // The inputs that a column of text became are one.
    let columns = rows(&page, "Importance of the columns");
    let mut columns: Vec<&str> = columns.iter().map(|row| row[0]).collect();
    columns.sort_unstable();
    assert_eq!(columns, ["mode", "x"]);
}

#[test]
fn curves_mark_the_best_epoch_and_are_drawn_alone() {
    let folder = tempfile::tempdir().unwrap();
    three_classes(folder.path());
    run(
        folder.path(),
        "train --data d.csv --layers 8:relu,3:softmax --epochs 12 --learning-rate 0.3 --validation-split 0.2 --validation-freq 2 --history h.json --plot c.svg --report r.html --record run.json --output m.h5",
    )
    .ok();
    let again = run(folder.path(), "reproduce run.json").ok();
    assert_eq!(again.matches(", the same\n").count(), 4, "{again}");
    let history = fs::read_to_string(folder.path().join("h.json")).unwrap();
    let history: Value = serde_json::from_str(&history).unwrap();
    let losses: Vec<f64> = history["val_loss"]
        .as_array()
        .unwrap()
        .iter()
        .map(|loss| loss.as_f64().unwrap())
        .collect();
    assert_eq!(losses.len(), 6);
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let place = losses.iter().position(|&loss| loss == least).unwrap();
    let page = page(folder.path(), "r.html");
    let best = format!("in epoch {} ", 2 * (place + 1));
    assert!(
        between(&page, "<p>Best val_loss", "</p>").contains(&best),
        "{best}"
    );

    let svg = fs::read_to_string(folder.path().join("c.svg")).unwrap();
    check_html(&svg);
    assert!(svg.starts_with("<svg ") && svg.contains("xmlns=\"http://www.w3.org/2000/svg\""));
    for text in ["\nloss\n", "\naccuracy\n", "\ntraining\n", "\nvalidation\n"] {
        assert!(svg.contains(text), "no {text}");
    }
}

#[test]
fn pictures_are_refused_where_they_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    three_classes(folder.path());
    let train = |more: &str| {
        run(
            folder.path(),
            &format!("train --data d.csv --layers 3:softmax --output m.h5 --epochs 2 {more}"),
        )
    };
    for (options, expected) in [
        (
            "--plot c.png",
            "c.png: curves are drawn as SVG, expected a name that ends in .svg",
        ),
        (
            "--report r.json",
            "r.json: a report is an HTML page, expected a name that ends in .html",
        ),
        ("--report no/r.html", "no/r.html: there is no folder no"),
    ] {
        let (finished, code) = (train(options), if options.contains("no/") { 1 } else { 2 });
        let error = finished.error(code);
        assert!(error.starts_with(expected), "{error}");
    }
    fs::copy(folder.path().join("d.csv"), folder.path().join("d.html")).unwrap();
    let error = train("--validation-data d.html --report d.html").error(2);
    assert!(
        error.starts_with("--report would overwrite d.html of --validation-data"),
        "{error}"
    );
    assert!(!folder.path().join("m.h5").exists());

    // A training that fails leaves none.
    train("--optimizer sgd --learning-rate 3e38 --report r.html --plot c.svg").error(1);
    assert!(!folder.path().join("r.html").exists() && !folder.path().join("c.svg").exists());
    train("--verbose 0 --report r.html --plot c.svg").ok();
    assert!(folder.path().join("r.html").exists() && folder.path().join("c.svg").exists());
    fs::copy(folder.path().join("d.csv"), folder.path().join("e.html")).unwrap();
    let error = run(folder.path(), "evaluate m.h5 --data e.html --report e.html").error(2);
    assert!(
        error.starts_with("--report would overwrite e.html of --data"),
        "{error}"
    );
}
