//! The arguments that name data: `--data d.csv`, or `--x x.npy --y y.npy`.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use clap::Args;
use ndarray::{ArrayD, ArrayViewD, Axis, Slice};
use thumbnet_trainer::{
    Dataset, Error, FormatKind,
    dataset::{
        CsvOptions, Decimal, DialectOptions, Features, Missing, SplitOptions, Target,
        archive_names, is_array, list, nearest,
    },
};

use super::{Failure, Outcome, console, head::Head, meaning::Meaning, values::ClassWeights};

/// How a table is read, and which columns of it are what.
#[derive(Clone, Debug, Default, Args)]
pub struct ColumnArguments {
    /// Column of the label or target, or several: targets of a regression, or classes that are each
    /// there or not [default: the model's, else label, or else target, or else the last]
    #[arg(long, value_name = "COLUMN,..", value_delimiter = ',')]
    pub target: Option<Vec<String>>,
    /// Columns that are features, in the order of the model's inputs; * stands for any letters
    /// [default: the model's, else all but the target]
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    pub features: Option<Vec<String>>,
    /// Columns to leave out; * stands for any letters
    #[arg(
        long,
        value_name = "A,B,..",
        value_delimiter = ',',
        conflicts_with = "features"
    )]
    pub drop: Option<Vec<String>>,
    /// Columns that are features although they number the rows or hold texts that are all different
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    pub keep: Option<Vec<String>>,
    /// What becomes of cells without a value: drop (their rows), mean or median (of the column), or zero
    /// [default: what the model was trained with, else they are refused]
    #[arg(long, value_name = "drop|mean|median|zero", value_parser = missing)]
    pub missing: Option<Missing>,
    /// Character between the cells, tab for a tab [default: what the file shows]
    #[arg(long, value_name = "CHARACTER", value_parser = separator)]
    pub separator: Option<u8>,
    /// Character before decimals, a point or a comma [default: what the file shows]
    #[arg(long, value_name = ".|,", value_parser = decimal)]
    pub decimal: Option<Decimal>,
    /// The first line is a row, not names; the columns are called column_1 and so on
    #[arg(long)]
    pub no_header: bool,
}

/// `--missing`.
fn missing(text: &str) -> Result<Missing, String> {
    match text {
        "drop" => Ok(Missing::Drop),
        "mean" => Ok(Missing::Mean),
        "median" => Ok(Missing::Median),
        "zero" => Ok(Missing::Zero),
        _ => Err("expected drop, mean, median or zero".to_string()),
    }
}

/// `--separator`.
fn separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [one] if one.is_ascii() && !one.is_ascii_alphanumeric() => Ok(*one),
        _ => Err("expected one character such as ; or |, or tab".to_string()),
    }
}

/// `--decimal`.
fn decimal(text: &str) -> Result<Decimal, String> {
    match text {
        "." | "point" => Ok(Decimal::Point),
        "," | "comma" => Ok(Decimal::Comma),
        _ => Err("expected . or ,".to_string()),
    }
}

impl ColumnArguments {
    /// How to read a table for a model.
    pub fn options(
        &self,
        target: impl FnOnce(Vec<String>) -> Target,
        meaning: &Meaning,
        classes: Option<Vec<String>>,
    ) -> Outcome<CsvOptions> {
        let targets = self.target.as_deref().map(trimmed);
        Ok(CsvOptions {
            target: target(targets.unwrap_or_else(|| meaning.targets())),
            class_names: classes,
            features: self.feature_columns(meaning)?,
            dialect: self.dialect(),
            missing: self.missing.unwrap_or_default(),
            fill: meaning.fill(),
            keep: self.keep.as_deref().map(trimmed).unwrap_or_default(),
            group: None,
        })
    }

    /// How a table is written, where that is said; for other tables beside it too.
    pub fn dialect(&self) -> DialectOptions {
        DialectOptions {
            separator: self.separator,
            decimal: self.decimal,
            header: !self.no_header,
        }
    }

    /// The same form and treatment for another table of the same model, whose columns it names.
    pub fn form(&self) -> Self {
        Self {
            target: None,
            features: None,
            drop: None,
            ..self.clone()
        }
    }

    fn feature_columns(&self, meaning: &Meaning) -> Outcome<Features> {
        let own = meaning.features();
        match (&self.features, &self.drop) {
            (None, None) if own.is_empty() => Ok(Features::All),
            (None, None) => Ok(Features::OfModel(own.to_vec())),
            (Some(names), _) if own.is_empty() => Ok(Features::Named(trimmed(names))),
            (None, Some(names)) if own.is_empty() => Ok(Features::Without(trimmed(names))),
            _ => Err(Failure::usage(format!(
                "{} names its columns, {}; leave --features and --drop out",
                meaning.model,
                own.join(", ")
            ))),
        }
    }
}

fn trimmed(names: &[String]) -> Vec<String> {
    names.iter().map(|name| name.trim().to_string()).collect()
}

/// Rows from a table or from arrays.
#[derive(Clone, Debug, Args)]
pub struct DataArguments {
    /// Table with a header line: CSV, or with tabs, semicolons or | between the cells, packed by gzip
    /// or not; or an archive of arrays (.npz) with x and y, x_train and y_train, or x_test and y_test
    #[arg(long, value_name = "FILE.csv", conflicts_with_all = ["x", "y"])]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub columns: ColumnArguments,
    /// Class names in the order of the model's outputs [default: the model's, else the names in the
    /// file, sorted]
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    pub classes: Option<Vec<String>>,
    /// Features, an array with one row per sample: .npy, IDX (as MNIST has it), or one of an archive
    /// (d.npz:x_train); packed by gzip or not
    #[arg(long, value_name = "FILE.npy", conflicts_with_all = ["target", "features", "drop"])]
    pub x: Option<PathBuf>,
    /// Targets, an array with one row per sample
    #[arg(long, value_name = "FILE.npy", requires = "x")]
    pub y: Option<PathBuf>,
}

/// Features with their targets, and the file to name when a row is wrong.
pub struct Labelled {
    pub data: Dataset,
    pub x_path: PathBuf,
    pub y_path: PathBuf,
}

impl DataArguments {
    /// Features and targets, for a model that means this.
    pub fn labelled(&self, meaning: &Meaning) -> Outcome<Labelled> {
        self.read(meaning, None, Part::Test)
    }

    /// As [`Self::labelled`], to train on, with the column that names groups.
    pub fn grouped(&self, meaning: &Meaning, group: Option<String>) -> Outcome<Labelled> {
        self.read(meaning, group, Part::Train)
    }

    /// Features, with labels where they are there, and their file; the labels may be of any classes.
    pub fn with_labels(&self, meaning: &Meaning, part: Part) -> Outcome<(Dataset, PathBuf)> {
        let data = match (&self.data, &self.x, &self.y) {
            (Some(arrays), ..) if is_array(arrays) => match archive_rows(arrays, part, meaning)? {
                Some(rows) => rows.data,
                None => features(arrays, &self.columns, meaning, part)?,
            },
            (Some(csv), ..) => {
                let options = self.columns.options(Target::ReadIfThere, meaning, None)?;
                let data = Dataset::from_csv(csv, &options)?;
                meaning.say(&data, csv);
                data
            }
            (None, Some(x), Some(y)) => labelled_arrays(x, y)?.data,
            (None, Some(x), None) => features(x, &self.columns, meaning, part)?,
            (None, None, _) => {
                return Err(Failure::usage(
                    "there is no data; add --data d.csv, or --x x.npy",
                ));
            }
        };
        let path = self.data.as_ref().or(self.x.as_ref());
        Ok((data, path.cloned().unwrap_or_default()))
    }

    fn read(&self, meaning: &Meaning, group: Option<String>, part: Part) -> Outcome<Labelled> {
        let classes = meaning.class_names(self.classes.as_deref())?;
        match (&self.data, &self.x, &self.y) {
            (Some(arrays), ..) if is_array(arrays) => labelled_archive(arrays, part, meaning),
            (Some(csv), ..) => {
                let options = CsvOptions {
                    group,
                    ..self.columns.options(Target::Read, meaning, classes)?
                };
                labelled_csv(csv, &options, meaning)
            }
            (None, Some(x), Some(y)) => labelled_arrays(x, y),
            (None, Some(_), None) => Err(Failure::usage(
                "--x is given without --y, expected the targets too; add --y y.npy",
            )),
            (None, None, _) => Err(Failure::usage(
                "there is no data; add --data d.csv, or --x x.npy --y y.npy",
            )),
        }
    }
}

/// Features of one file, a table or an array by its name; of an archive the ones that are for this.
pub fn features(
    path: &Path,
    columns: &ColumnArguments,
    meaning: &Meaning,
    part: Part,
) -> Outcome<Dataset> {
    if is_array(path) {
        let chosen = part.arrays(path)?.map(|(x, _)| x);
        let path = chosen.as_deref().unwrap_or(path);
        let data = Dataset::from_arrays(path, None)?;
        check_finite(&data.x, path)?;
        return Ok(data);
    }
    let options = columns.options(Target::Skip, meaning, None)?;
    let data = Dataset::from_csv(path, &options)?;
    meaning.say(&data, path);
    Ok(data)
}

/// Which rows of an archive are meant, where it has several kinds.
#[derive(Clone, Copy)]
pub enum Part {
    Train,
    Test,
}

impl Part {
    /// The arrays of an archive that are features and targets by their names, such as `d.npz:x_train`; none
    /// where it is no archive or has no such names.
    fn arrays(self, path: &Path) -> Outcome<Option<(PathBuf, PathBuf)>> {
        const TRAIN: [(&str, &str); 2] = [("x_train", "y_train"), ("train_images", "train_labels")];
        const TEST: [(&str, &str); 3] = [
            ("x_test", "y_test"),
            ("test_images", "test_labels"),
            ("x_val", "y_val"),
        ];
        const ALL: [(&str, &str); 4] = [
            ("x", "y"),
            ("images", "labels"),
            ("features", "labels"),
            ("data", "target"),
        ];
        let Some(names) = archive_names(path)? else {
            return Ok(None);
        };
        let find = |wanted: &str| names.iter().find(|name| name.eq_ignore_ascii_case(wanted));
        let pairs: Vec<_> = match self {
            Self::Train => [&TRAIN[..], &ALL, &TEST].concat(),
            Self::Test => [&TEST[..], &ALL, &TRAIN].concat(),
        };
        let in_archive = |name: &String| PathBuf::from(format!("{}:{name}", path.display()));
        Ok(pairs
            .into_iter()
            .find_map(|(x, y)| Some((in_archive(find(x)?), in_archive(find(y)?)))))
    }
}

/// Features and targets of one archive.
pub fn labelled_archive(path: &Path, part: Part, meaning: &Meaning) -> Outcome<Labelled> {
    if let Some(rows) = archive_rows(path, part, meaning)? {
        return Ok(rows);
    }
    let what = match archive_names(path)? {
        Some(names) => format!(
            "{0} holds the arrays {1}, expected x and y, or x_train and y_train; name them: --x {0}:{2} --y {0}:NAME",
            path.display(),
            names.join(", "),
            names.first().map_or("NAME", String::as_str)
        ),
        None => format!(
            "{0} is an array, expected a table or an archive with features and targets; give --x {0} --y TARGETS.npy",
            path.display()
        ),
    };
    Err(Failure::usage(what))
}

/// As [`labelled_archive`]; none where it is no archive or has no such names.
pub fn archive_rows(path: &Path, part: Part, meaning: &Meaning) -> Outcome<Option<Labelled>> {
    let Some((x, y)) = part.arrays(path)? else {
        return Ok(None);
    };
    let mut rows = labelled_arrays(&x, &y)?;
    rows.data.notes.push(format!(
        "features are {}, targets {}",
        x.display(),
        y.display()
    ));
    meaning.say(&rows.data, path);
    Ok(Some(rows))
}

/// A CSV file with its label column.
pub fn labelled_csv(path: &Path, options: &CsvOptions, meaning: &Meaning) -> Outcome<Labelled> {
    let data = Dataset::from_csv(path, options)?;
    meaning.say(&data, path);
    Ok(Labelled {
        data,
        x_path: path.to_path_buf(),
        y_path: path.to_path_buf(),
    })
}

/// Two arrays of equally many rows.
pub fn labelled_arrays(x: &Path, y: &Path) -> Outcome<Labelled> {
    let data = Dataset::from_arrays(x, Some(y))?;
    check_finite(&data.x, x)?;
    if let Some(targets) = &data.y {
        check_finite(targets, y)?;
    }
    Ok(Labelled {
        data,
        x_path: x.to_path_buf(),
        y_path: y.to_path_buf(),
    })
}

/// Some rows of a [`Labelled`].
pub struct LabelledView<'a> {
    pub x: ArrayViewD<'a, f32>,
    pub y: ArrayViewD<'a, f32>,
    pub class_names: Option<&'a [String]>,
    pub target_names: &'a [String],
}

impl Labelled {
    /// The targets.
    pub fn y(&self) -> &ArrayD<f32> {
        self.data
            .y
            .as_ref()
            .expect("labelled data is built with targets only")
    }

    /// These rows, where they lie.
    pub fn view(&self, rows: Range<usize>) -> LabelledView<'_> {
        let slice = Slice::from(rows);
        LabelledView {
            x: self.data.x.slice_axis(Axis(0), slice),
            y: self.y().slice_axis(Axis(0), slice),
            class_names: self.data.class_names.as_deref(),
            target_names: &self.data.target_names,
        }
    }

    /// All rows, where they lie.
    pub fn all(&self) -> LabelledView<'_> {
        self.view(0..self.data.rows())
    }

    /// The rows but for a part of them, and that part.
    pub fn split(self, part: f64, options: SplitOptions) -> Outcome<(Self, Self)> {
        let (data, part) = self.data.split(part, options)?;
        let rest = Self { data, ..self };
        let part = rest.with_data(part);
        Ok((rest, part))
    }

    /// Other rows of the same files.
    pub fn with_data(&self, data: Dataset) -> Self {
        Self {
            data,
            x_path: self.x_path.clone(),
            y_path: self.y_path.clone(),
        }
    }

    /// Numbers the classes from 0 where a table has as many whole numbers for labels as the model has
    /// classes, but others: 1 to 3, or -1 and 1. The numbers become the classes' names.
    pub fn number_classes(&mut self, head: Head, outputs: usize) {
        let expected = match head {
            Head::Softmax if outputs > 1 => outputs,
            Head::Sigmoid if outputs == 1 => 2,
            Head::Softmax | Head::Sigmoid | Head::Other => return,
        };
        let data = &mut self.data;
        let Some(y) = data.y.as_mut().filter(|y| y.ndim() == 1) else {
            return;
        };
        if data.class_names.is_some() || data.target_names.is_empty() {
            return;
        }
        let mut numbers: Vec<f32> = Vec::new();
        for &label in y.iter() {
            if label.fract() != 0.0 || (numbers.len() > expected && !numbers.contains(&label)) {
                return;
            }
            if !numbers.contains(&label) {
                numbers.push(label);
            }
        }
        numbers.sort_unstable_by(f32::total_cmp);
        let from_0 = |label: &f32| (0.0..expected as f32).contains(label);
        if numbers.len() != expected || numbers.iter().all(from_0) {
            return;
        }
        y.mapv_inplace(|label| {
            numbers
                .iter()
                .position(|&number| number == label)
                .unwrap_or(0) as f32
        });
        let names: Vec<String> = numbers.iter().map(f32::to_string).collect();
        console::note(&format!(
            "note: {}: the labels {} are the classes' names, in this order",
            self.y_path.display(),
            list(&names)
        ));
        data.class_names = Some(names);
    }

    /// How many classes there are: names, or few whole numbers from 0, all of which occur.
    ///
    /// * `task` - `classes` or `numbers`, where that is said
    pub fn class_count(&self, task: Option<&str>) -> Option<usize> {
        const MOST: usize = 20;
        if let Some(names) = &self.data.class_names {
            return Some(names.len());
        }
        if task == Some("numbers") || !self.data.has_classes() {
            return None;
        }
        let mut found: Vec<usize> = self.y().iter().map(|&label| label as usize).collect();
        found.sort_unstable();
        found.dedup();
        let all = found
            .iter()
            .enumerate()
            .all(|(number, &class)| number == class);
        let few = found.len() <= MOST || task == Some("classes");
        (all && few && found.len() > 1).then_some(found.len())
    }

    /// The weight of each class by number.
    pub fn class_weights(&self, weights: &ClassWeights) -> Outcome<BTreeMap<i64, f32>> {
        let names = self.data.class_names.as_deref().unwrap_or_default();
        match weights {
            ClassWeights::Balanced => {
                if !self.data.has_classes() {
                    return Err(Failure::usage(
                        "--class-weight balanced is given, but the targets are no classes; leave it out",
                    ));
                }
                let mut counts: BTreeMap<i64, f32> = BTreeMap::new();
                for label in self.y() {
                    *counts.entry(*label as i64).or_default() += 1.0;
                }
                let each = self.data.rows() as f32 / counts.len() as f32;
                Ok(counts
                    .into_iter()
                    .map(|(class, count)| (class, each / count))
                    .collect())
            }
            ClassWeights::Given(pairs) => {
                let number = |(class, weight): &(String, f32)| {
                    let named = names.iter().position(|name| name == class);
                    match named.map(|number| number as i64).or(class.parse().ok()) {
                        Some(number) => Ok((number, *weight)),
                        None => Err(Failure::usage(format!(
                            "--class-weight names {class:?}, expected one of {}",
                            if names.is_empty() {
                                "the numbers of the classes".to_string()
                            } else {
                                list(names)
                            }
                        ))),
                    }
                };
                pairs.iter().map(number).collect()
            }
        }
    }

    /// Refuses labels that are not whole numbers below `classes`, naming the first one's place.
    pub fn check_classes(&self, classes: usize) -> Outcome {
        let wrong = |label: f32| label.fract() != 0.0 || label < 0.0 || label >= classes as f32;
        let Some(place) = self.y().iter().position(|&label| wrong(label)) else {
            return Ok(());
        };
        let label = self.y().iter().nth(place).copied().unwrap_or_default();
        let largest = self.y().iter().copied().fold(0.0, f32::max);
        let fix = if label.fract() == 0.0 && label > 0.0 && largest < 1e5 {
            format!(
                "give the last layer {} units, or number the labels from 0",
                largest as usize + 1
            )
        } else {
            "number the labels from 0".to_string()
        };
        let message = format!(
            "label {label} is not among the {classes} classes 0 to {} that the model's last layer has; {fix}",
            classes.saturating_sub(1)
        );
        Err(self.at(place, message).into())
    }

    /// Refuses classes that are no whole numbers, which would be cut to other ones.
    pub fn check_whole(&self) -> Outcome {
        let Some(place) = self.y().iter().position(|label| label.fract() != 0.0) else {
            return Ok(());
        };
        let label = self.y().iter().nth(place).copied().unwrap_or_default();
        let row = place / (self.y().len() / self.data.rows().max(1)).max(1) + 1;
        Err(Error::format(
            &self.y_path,
            format!(
                "data row {row}: label {label} is no class, expected a whole number from 0; number the classes, or train on numbers with --loss mse"
            ),
        )
        .into())
    }

    /// Refuses labels outside 0 to 1, for a sigmoid.
    pub fn check_probabilities(&self) -> Outcome {
        match self
            .y()
            .iter()
            .position(|label| !(0.0..=1.0).contains(label))
        {
            None => Ok(()),
            Some(place) => {
                let label = self.y().iter().nth(place).copied().unwrap_or_default();
                Err(self
                    .at(
                        place,
                        format!(
                            "label {label} is outside 0 to 1, which binary_crossentropy expects; number the labels 0 and 1, or end --layers with a softmax layer of one unit per class"
                        ),
                    )
                    .into())
            }
        }
    }

    /// Refuses names of classes whose number is not `expected`.
    pub fn check_class_names(&self, names: &[String], expected: usize) -> Outcome {
        if names.len() == expected {
            return Ok(());
        }
        let all = |fix: String| {
            let message = format!(
                "the labels are of {} classes, {}, expected {expected} as the model's last layer tells apart; {fix}",
                names.len(),
                list(names)
            );
            Err(Error::format(&self.y_path, message).into())
        };
        if names.len() < expected {
            return all("name all of them in the order of its outputs with --classes".to_string());
        }
        // The rarest label, not an innocent one.
        let mut counts = vec![(0usize, 0usize); names.len()];
        for (place, &label) in self.y().iter().enumerate() {
            let (count, first) = &mut counts[label as usize];
            if *count == 0 {
                *first = place;
            }
            *count += 1;
        }
        let (rarest, &(count, first)) = counts
            .iter()
            .enumerate()
            .min_by_key(|(_, (count, _))| *count)
            .expect("there are more names than expected ones");
        let most = counts.iter().map(|(count, _)| *count).max().unwrap_or(0);
        let near = nearest(&names[rarest], names)
            .and_then(|near| Some((near, counts[names.iter().position(|name| name == near)?].0)))
            .filter(|(_, others)| *others > count);
        if near.is_none() && count * 10 > most {
            return all(format!("give the last layer {} units", names.len()));
        }
        let rows = |count: usize| if count == 1 { "row" } else { "rows" };
        let typo = near.map_or(String::new(), |(near, others)| {
            format!(
                "it is nearly {near:?}, of {others} {}: correct the cell if that is meant; else ",
                rows(others)
            )
        });
        let message = format!(
            "label {:?}, of {count} {}, makes {} classes, expected {expected} as the model's last layer tells apart; {typo}give the last layer {} units",
            names[rarest],
            rows(count),
            names.len(),
            names.len()
        );
        Err(self.at(first, message).into())
    }

    /// An error about target number `place` in memory order.
    fn at(&self, place: usize, message: String) -> Error {
        let row = place / (self.y().len() / self.data.rows().max(1)).max(1) + 1;
        Error::Format {
            path: self.y_path.clone(),
            line: self.data.line_of_row(&self.y_path, row),
            kind: FormatKind::Content,
            message,
        }
    }
}

/// Refuses NaN and infinity, naming the first one's place.
pub fn check_finite(values: &ArrayD<f32>, path: &Path) -> Outcome {
    let Some(place) = values.iter().position(|value| !value.is_finite()) else {
        return Ok(());
    };
    let value = values.iter().nth(place).copied().unwrap_or_default();
    let width = values.len() / values.len_of(Axis(0)).max(1);
    Err(Error::format(
        path,
        format!(
            "data row {}, column {} is {value}, expected a finite number; remove the row or replace the value",
            place / width + 1,
            place % width + 1
        ),
    )
    .into())
}
