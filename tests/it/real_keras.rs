//! Real Keras reads what we write: every file of every golden model, and trainings that it goes on
//! with. Needs a Python with Keras (variable `THUMBNET_PYTHON`, default `python3`); says so and
//! passes without.
//!
//! With `UPDATE=1` the files of some cases and what Keras predicts by them go to
//! `tests/golden/written`, for those who have no Keras.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ndarray::ArrayD;
use ndarray_npy::write_npy;
use serde_json::{Value, json};
use thumbnet_tests::golden::cases::Case;
use thumbnet_tests::golden::resume::{EPOCHS, Interrupted};
use thumbnet_trainer::{Sequential, Signature, Task};

/// The cases whose files are committed.
const WRITTEN: [&str; 6] = [
    "batchnorm_breast_cancer",
    "config_objects_schedule",
    "custom_names",
    "k2_legacy_optimizer",
    "nested_sequential",
    "normalization_diabetes_raw",
];

/// Runs the jobs in real Keras: one answer for each, or none without Keras.
fn run(folder: &Path, jobs: &[Value]) -> Option<Vec<Value>> {
    let python = std::env::var("THUMBNET_PYTHON").unwrap_or("python3".into());
    let file = folder.join("jobs.json");
    std::fs::write(&file, Value::from(jobs).to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("check_with_keras.py");
    let output = Command::new(&python)
        .arg(script)
        .arg("--jobs")
        .arg(file)
        .stderr(Stdio::null())
        .output();
    let answers: Vec<Value> = match &output {
        Ok(output) => String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect(),
        Err(_) => Vec::new(),
    };
    if answers.iter().all(|answer| answer.get("file").is_none()) {
        println!(
            "real Keras: skipped, {python} has no Keras; name one that has in THUMBNET_PYTHON"
        );
        return None;
    }
    assert_eq!(
        answers.len(),
        jobs.len(),
        "the script ended early: {output:?}"
    );
    Some(answers)
}

/// Writes the model's three files into `folder` and returns their jobs.
fn write(folder: &Path, model: &Sequential) -> Vec<Value> {
    std::fs::create_dir_all(folder).unwrap();
    let path = |file: &str| folder.join(file);
    // Keras does not look at it.
    let mut model = model.clone();
    let columns: usize = model.input_shape().into_iter().flatten().product();
    let columns = (0..columns).map(|column| format!("größe {column}"));
    let signature = Signature::new(Task::Regression).with_features(columns);
    model.set_signature(Some(signature)).unwrap();
    model.save(path("model.h5")).unwrap();
    model.save(path("model.keras")).unwrap();
    model.save_weights(path("model.weights.h5")).unwrap();
    std::fs::write(path("config.json"), model.to_json()).unwrap();
    let file = |file: &str| json!({"file": path(file)});
    let mut jobs = vec![
        file("model.h5"),
        file("model.keras"),
        file("model.weights.h5"),
    ];
    jobs[2]["config"] = json!(path("config.json"));
    jobs
}

fn write_array(path: PathBuf, array: &ArrayD<f32>) -> PathBuf {
    write_npy(&path, array).unwrap();
    path
}

#[test]
fn real_keras_reads_every_file_that_we_write() {
    let folder = tempfile::tempdir().unwrap();
    let mut jobs = Vec::new();
    for case in Case::all() {
        let path = case.file("model.h5").or(case.file("model.keras")).unwrap();
        let model = Sequential::load(path).unwrap();
        for mut job in write(&folder.path().join(&case.name), &model) {
            job["x"] = json!(case.folder.join("x.npy"));
            job["y_pred"] = json!(case.folder.join("y_pred.npy"));
            job["batch_size"] = case.metadata["predict_batch_size"].clone();
            if job["batch_size"].is_null() {
                job["batch_size"] = json!(32);
            }
            job["compiled"] = json!(model.optimizer().is_some());
            job["iterations"] = json!(model.optimizer().map(|optimizer| optimizer.iterations()));
            jobs.push(job);
        }
    }
    let Some(answers) = run(folder.path(), &jobs) else {
        return;
    };
    let mut wrong = Vec::new();
    for (job, answer) in jobs.iter().zip(&answers) {
        let diff = answer["max_abs_diff"].as_f64().unwrap_or(f64::INFINITY);
        let most = 1e-6 * answer["max_abs"].as_f64().unwrap_or(0.0).max(1.0);
        // Keras restores the counter of a .keras file, and none of a legacy one.
        let counted = !job["file"].as_str().unwrap_or_default().ends_with(".keras")
            || answer.get("iterations").unwrap_or(&Value::Null) == &job["iterations"];
        if diff > most || answer["compiled"] != job["compiled"] || !counted {
            wrong.push(answer.to_string());
        }
    }
    println!(
        "files read by real Keras: {} of {}",
        jobs.len() - wrong.len(),
        jobs.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn real_keras_goes_on_with_our_files_as_with_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let trainings = Interrupted::all();
    let mut jobs = Vec::new();
    for training in &trainings {
        let model = Sequential::load(training.file()).unwrap();
        let folder = folder.path().join(&training.name);
        let files = write(&folder, &model);
        let x = write_array(folder.join("x.npy"), &training.x);
        let y = write_array(folder.join("y.npy"), &training.y);
        for mut job in files {
            if job.get("config").is_some() {
                continue; // Not compiled: there is nothing to go on with.
            }
            job["x"] = json!(x);
            job["y"] = json!(y);
            job["batch_size"] = json!(training.batch_size);
            job["fit_epochs"] = json!(EPOCHS);
            job["reference"] = json!(training.file());
            job["save_final"] = json!(folder.join("final.npy"));
            jobs.push(job);
        }
    }
    let Some(answers) = (match jobs.is_empty() {
        true => None,
        false => run(folder.path(), &jobs),
    }) else {
        return;
    };
    let mut wrong: Vec<String> = answers
        .iter()
        .filter(|answer| answer["final_diff"] != json!(0.0))
        .map(Value::to_string)
        .collect();
    println!(
        "trainings gone on with by real Keras: {} of {}",
        jobs.len() - wrong.len(),
        jobs.len()
    );
    // And we go on as Keras does.
    for training in &trainings {
        let final_weights = folder.path().join(&training.name).join("final.npy");
        if !final_weights.is_file() {
            continue;
        }
        let keras: Vec<f32> = thumbnet_tests::golden::npy(&final_weights)
            .iter()
            .copied()
            .collect();
        let ours = training
            .go_on(Sequential::load(training.file()).unwrap())
            .unwrap();
        if let Err(message) = training.check(&ours, &keras) {
            wrong.push(format!("{}: {message}", training.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_for_those_without_keras_are_written_on_demand() {
    if std::env::var_os("UPDATE").is_none() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/written");
    let mut jobs = Vec::new();
    for case in Case::all()
        .iter()
        .filter(|case| WRITTEN.contains(&&*case.name))
    {
        let model = Sequential::load(case.file("model.h5").unwrap()).unwrap();
        let folder = folder.join(&case.name);
        let mut files = write(&folder, &model);
        std::fs::copy(case.folder.join("x.npy"), folder.join("x.npy")).unwrap();
        for job in &mut files {
            job["x"] = json!(folder.join("x.npy"));
        }
        files[1]["save_pred"] = json!(folder.join("y_keras.npy"));
        jobs.push(files.swap_remove(1));
    }
    let temporary = tempfile::tempdir().unwrap();
    run(temporary.path(), &jobs).expect("UPDATE=1 needs a Python with Keras");
}
