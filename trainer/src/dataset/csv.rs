//! Tables of text: a header line, one row per sample, in whatever dialect; see [`CsvOptions`].
//!
//! Cells may be quoted and padded with spaces; a byte order mark, CRLF line ends and blank lines
//! are accepted. Numbers are parsed as `f64` and rounded to `f32`, as NumPy does.

use std::{
    collections::BTreeMap,
    io::{BufReader, Read},
    path::Path,
};

use csv::ByteRecord;
use ndarray::ArrayD;

use super::{
    Dataset,
    cells::{is_missing, is_missing_label, number, truth},
    columns::{self, Columns, Features, Role},
    dialect::{Dialect, DialectOptions},
    labels::{Labels, list},
    missing::{Missing, fill},
    source::Source,
    survey::{Kind, Refusal, Tally},
};
use crate::{Error, FormatKind, Result};

/// How to read a table.
#[derive(Clone, Debug, Default)]
pub struct CsvOptions {
    /// The label column. Defaults to reading the column `label`, or else `target`, or else the last.
    pub target: Target,
    /// Class names in the order of their indices, for the labels of a model that was trained
    /// already. Defaults to the names in the file, sorted.
    pub class_names: Option<Vec<String>>,
    /// The columns that are features, and their order. Defaults to all that are left.
    pub features: Features,
    /// How the table is written. Defaults to finding it out.
    pub dialect: DialectOptions,
    /// What becomes of cells without a value. Defaults to refusing them.
    pub missing: Missing,
    /// Values of features for cells without one, by the column's name; they win over `missing`.
    pub fill: BTreeMap<String, f32>,
    /// Columns, with wildcards, that are features although they number the rows or hold texts that
    /// are different in every row.
    pub keep: Vec<String>,
}

/// What to do with the label column; no names stand for a column called `label`, or else `target`.
#[derive(Clone, Debug)]
pub enum Target {
    /// They must be there and become `y`; without names the last column will do.
    Read(Vec<String>),
    /// They become `y` where they are there.
    ReadIfThere(Vec<String>),
    /// They are left out where they are there, unread.
    Skip(Vec<String>),
}

impl Default for Target {
    fn default() -> Self {
        Self::Read(Vec::new())
    }
}

/// Reads a table from a file, which may be packed by gzip.
///
/// # Errors
///
/// [`Error::Io`] when it cannot be read, [`Error::Format`] with the line for what is wrong in it.
pub fn read_csv(path: &Path, options: &CsvOptions) -> Result<Dataset> {
    read(&Source::file(path)?, path, options)
}

/// Reads a table from memory; `path` is for messages.
///
/// # Errors
///
/// As [`read_csv`].
pub fn read_csv_bytes(text: &[u8], path: &Path, options: &CsvOptions) -> Result<Dataset> {
    read(&Source::bytes(text, path)?, path, options)
}

impl Dataset {
    /// The line of the file `path` on which data row `row` (from 1) begins, for messages about
    /// values found later; none where the rows came from elsewhere or were put into another order.
    pub fn line_of_row(&self, path: &Path, row: usize) -> Option<u64> {
        let origin = self.origin.as_ref()?;
        let dropped = &origin.dropped;
        // Rows that were dropped before it shift it.
        let place = (0..)
            .filter(|place| dropped.binary_search(place).is_err())
            .nth(row.checked_sub(1)?)?;
        let source = Source::file(path).ok()?;
        let mut reader = origin.dialect.reader(source.open().ok()?);
        let header = usize::from(origin.dialect.names.is_none());
        let record = reader
            .byte_records()
            .filter_map(|record| record.ok())
            .filter(|record| !is_blank(record))
            .nth(place + header)?;
        line_at(source.open().ok()?, record.position()?.byte()).ok()
    }
}

/// Where the rows of a table are in its file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Origin {
    dialect: Dialect,
    /// Rows that were left out, ascending.
    dropped: Vec<usize>,
}

/// What is wrong, with the byte offset of the record (and of blank lines before it).
enum Problem {
    Other(Error),
    At {
        byte: u64,
        message: String,
    },
    /// A cell is no number: what its column holds must be found out.
    Survey,
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::At {
            byte: refusal.byte,
            message: refusal.message,
        }
    }
}

impl Problem {
    fn at(record: &ByteRecord, message: impl Into<String>) -> Self {
        Self::At {
            byte: record.position().map_or(0, csv::Position::byte),
            message: message.into(),
        }
    }
}

/// Records of a table's text.
type Records<'a> = csv::Reader<Box<dyn Read + 'a>>;

/// A table in its dialect.
struct Table<'a> {
    source: &'a Source<'a>,
    path: &'a Path,
    dialect: Dialect,
    options: &'a CsvOptions,
}

fn read(source: &Source, path: &Path, options: &CsvOptions) -> Result<Dataset> {
    let dialect =
        Dialect::find(&source.sample, &options.dialect).map_err(|message| Error::Format {
            path: path.to_path_buf(),
            line: Some(1),
            kind: FormatKind::Content,
            message,
        })?;
    let table = Table {
        source,
        path,
        dialect,
        options,
    };
    let kinds = BTreeMap::new();
    let data = match table.rows(&kinds, false) {
        // A second look costs time: only where a cell asks for it.
        Err(Problem::Survey) => table.survey().and_then(|kinds| table.rows(&kinds, true)),
        done => done,
    };
    data.map_err(|problem| table.locate(problem))
}

impl Table<'_> {
    /// Counts the lines up to the problem: only now, since it costs time.
    fn locate(&self, problem: Problem) -> Error {
        let (byte, message) = match problem {
            Problem::Other(error) => return error,
            Problem::At { byte, message } => (Some(byte), message),
            Problem::Survey => (None, "a cell is no number".to_string()),
        };
        Error::Format {
            path: self.path.to_path_buf(),
            line: byte.and_then(|byte| self.line(byte)),
            kind: FormatKind::Content,
            message,
        }
    }

    fn line(&self, byte: u64) -> Option<u64> {
        line_at(self.source.open().ok()?, byte).ok()
    }

    /// A reader behind the header, and the names of all columns.
    fn open(&self) -> Result<(Records<'_>, Vec<String>)> {
        let mut reader = self.dialect.reader(self.source.open()?);
        if let Some(names) = &self.dialect.names {
            return Ok((reader, names.clone()));
        }
        let mut record = ByteRecord::new();
        if !self.next(&mut reader, &mut record)? {
            let message = "the file is empty, expected a header line and rows";
            return Err(Error::format(self.path, message));
        }
        let row_names = self.dialect.row_names.then(String::new);
        let names = record
            .iter()
            .map(|cell| String::from_utf8_lossy(cell.trim_ascii()).into_owned());
        Ok((reader, row_names.into_iter().chain(names).collect()))
    }

    /// The next record that is not blank.
    fn next<R: Read>(&self, reader: &mut csv::Reader<R>, record: &mut ByteRecord) -> Result<bool> {
        loop {
            let found = reader.read_byte_record(record).map_err(|error| {
                let text = error.to_string();
                match error.into_kind() {
                    csv::ErrorKind::Io(source) => Error::io(self.path, source),
                    _ => Error::corrupt(self.path, text),
                }
            })?;
            if !found || !is_blank(record) {
                return Ok(found);
            }
        }
    }

    fn columns(
        &self,
        names: Vec<String>,
        kinds: &BTreeMap<usize, Kind>,
    ) -> Result<Columns, Problem> {
        Columns::new(names, self.dialect.empty, self.options, kinds)
            .map_err(|message| Problem::At { byte: 0, message })
    }

    /// Looks at all cells of the features.
    fn survey(&self) -> Result<BTreeMap<usize, Kind>, Problem> {
        let (mut reader, names) = self.open()?;
        let columns = self.columns(names, &BTreeMap::new())?;
        let mut tallies = vec![Tally::default(); columns.names.len()];
        let mut record = ByteRecord::new();
        while self.next(&mut reader, &mut record)? {
            for ((column, cell), tally) in record.iter().enumerate().zip(&mut tallies) {
                if columns.is_feature(column) {
                    tally.push(cell, self.dialect.decimal, &record);
                }
            }
        }
        if self.options.missing == Missing::Refuse {
            self.refuse_missing(&columns, &tallies)?;
        }
        let named = matches!(self.options.features, Features::Named(_));
        let mut kinds = BTreeMap::new();
        for (column, tally) in tallies.iter().enumerate() {
            if let Some(Role::Feature(_)) = columns.roles.get(column) {
                let name = &columns.names[column];
                let keep = named || columns::is_like(name, &self.options.keep);
                kinds.insert(column, tally.kind(name, keep)?);
            }
        }
        Ok(kinds)
    }

    /// Refuses cells without a value, by column and with the first ones' lines.
    fn refuse_missing(&self, columns: &Columns, tallies: &[Tally]) -> Result<(), Problem> {
        let mut parts = Vec::new();
        let mut first: Option<u64> = None;
        let mut sum = 0;
        for (name, tally) in columns.names.iter().zip(tallies) {
            let (count, places) = tally.missing();
            if count == 0 || self.options.fill.contains_key(name) {
                continue;
            }
            sum += count;
            first = first.into_iter().chain(places.first().copied()).min();
            let lines: Vec<String> = places
                .iter()
                .filter_map(|&byte| self.line(byte))
                .map(|line| line.to_string())
                .collect();
            let more = if count > places.len() { ", ..." } else { "" };
            let plural = if count == 1 { "" } else { "s" };
            parts.push(format!(
                "{count} of column {name:?} (line{plural} {}{more})",
                lines.join(", ")
            ));
        }
        let Some(byte) = first else {
            return Ok(());
        };
        let are = if sum == 1 { "cell has" } else { "cells have" };
        Err(Problem::At {
            byte,
            message: format!(
                "{sum} {are} no value, expected numbers: {}; fill the cells, or give --missing drop, mean, median or zero",
                list(&parts)
            ),
        })
    }

    /// All rows; `surveyed` where the columns' kinds are known.
    fn rows(&self, kinds: &BTreeMap<usize, Kind>, surveyed: bool) -> Result<Dataset, Problem> {
        let (mut reader, names) = self.open()?;
        let columns = self.columns(names, kinds)?;
        let width = columns.features.len();
        let mut rows = Rows {
            table: self,
            columns: &columns,
            surveyed,
            labels: Labels::new(self.options.class_names.as_deref()),
            targets: Vec::new(),
        };
        let mut x: Vec<f32> = Vec::new();
        let mut dropped = Vec::new();
        let mut record = ByteRecord::new();
        let mut place = 0;
        while self.next(&mut reader, &mut record)? {
            if record.len() != columns.roles.len() {
                let message = columns.wrong_length(record.len(), self.dialect.separator);
                return Err(Problem::at(&record, message));
            }
            let start = x.len();
            x.resize(start + width, 0.0);
            if !rows.push(&record, &mut x[start..])? {
                x.truncate(start);
                dropped.push(place);
            }
            place += 1;
        }
        let count = x.len() / width;
        if count == 0 {
            let message = match place {
                0 => "there is only a header line, expected rows below it",
                _ => {
                    "every row has a cell without a value, expected rows that are whole; fill the cells, or give --missing mean"
                }
            };
            return Err(Error::format(self.path, message).into());
        }
        let (y, class_names) = rows.targets(count);
        let x = ArrayD::from_shape_vec(vec![count, width], x)
            .expect("every row was checked to have every cell");
        self.dataset(columns, x, y, class_names, dropped)
    }

    fn dataset(
        &self,
        columns: Columns,
        mut x: ArrayD<f32>,
        y: Option<ArrayD<f32>>,
        class_names: Option<Vec<String>>,
        dropped: Vec<usize>,
    ) -> Result<Dataset, Problem> {
        let mut notes = self.found();
        notes.extend(columns.notes);
        let mut fills = fill(&mut x, &columns.features, self.options.missing);
        if !dropped.is_empty() {
            notes.push(format!(
                "{} rows have a cell without a value and are left out",
                dropped.len()
            ));
        }
        if !fills.is_empty() {
            let values: Vec<String> = fills
                .iter()
                .map(|(name, value)| format!("{value} in {name:?}"))
                .collect();
            notes.push(format!("cells without a value become {}", list(&values)));
        }
        fills.extend(self.options.fill.clone());
        let mut data = Dataset {
            x,
            y,
            feature_names: columns.features,
            target_names: columns.targets,
            class_names,
            left_out: columns.left_out,
            fill: fills,
            notes,
            origin: Some(Origin {
                dialect: self.dialect.clone(),
                dropped,
            }),
        };
        if matches!(self.options.features, Features::All | Features::Without(_)) {
            columns::leave_row_numbers_out(&mut data, &self.options.keep);
        }
        Ok(data)
    }

    /// What is not as in a plain CSV file, in one line.
    fn found(&self) -> Vec<String> {
        let mut found: Vec<String> = self.source.found().into_iter().collect();
        found.extend(self.dialect.found());
        match found.as_slice() {
            [] => Vec::new(),
            found => vec![format!("read as {}", found.join(", "))],
        }
    }
}

/// Rows as they are read.
struct Rows<'a> {
    table: &'a Table<'a>,
    columns: &'a Columns,
    surveyed: bool,
    labels: Labels<'a>,
    /// Of several targets, row by row.
    targets: Vec<f32>,
}

impl Rows<'_> {
    /// Puts a record's features into `row` and keeps its targets; false where the row is to be left out.
    fn push(&mut self, record: &ByteRecord, row: &mut [f32]) -> Result<bool, Problem> {
        let decimal = self.table.dialect.decimal;
        let drops = self.table.options.missing == Missing::Drop;
        let mut whole = true;
        for ((column, cell), role) in record.iter().enumerate().zip(&self.columns.roles) {
            match *role {
                Role::Feature(place) => {
                    row[place] = match number(cell.trim_ascii(), decimal) {
                        Some(value) => value,
                        None => self.odd_cell(record, column, cell.trim_ascii())?,
                    };
                    whole &= !(drops && row[place].is_nan());
                }
                Role::Categories(categories) => {
                    whole &= self.category(record, column, categories, row)? || !drops;
                }
                Role::Target(_) => whole &= !(drops && is_missing_label(cell.trim_ascii())),
                Role::LeftOut => {}
                Role::Empty if cell.trim_ascii().is_empty() => {}
                Role::Empty => {
                    return Err(Problem::at(
                        record,
                        format!(
                            "cell {} is {:?}, but its column has no name; name it in the header, or remove the cell",
                            column + 1,
                            String::from_utf8_lossy(cell)
                        ),
                    ));
                }
            }
        }
        if whole {
            self.push_targets(record)?;
        }
        Ok(whole)
    }

    /// The value of a cell that is no number; NaN where one is to be found for it.
    fn odd_cell(&self, record: &ByteRecord, column: usize, cell: &[u8]) -> Result<f32, Problem> {
        let strict = matches!(self.table.options.features, Features::OfModel(_));
        let name = &self.columns.names[column];
        if is_missing(cell) {
            let finds = self.table.options.missing != Missing::Refuse;
            return match self.table.options.fill.get(name) {
                Some(value) => Ok(*value),
                None if self.surveyed || (strict && finds) => Ok(f32::NAN),
                None => Err(Problem::Survey),
            };
        }
        if !strict && !self.surveyed {
            return Err(Problem::Survey);
        }
        match truth(cell) {
            Some(truth) => Ok(f32::from(u8::from(truth))),
            None => Err(Problem::at(record, self.bad_number(cell, name))),
        }
    }

    fn bad_number(&self, cell: &[u8], name: &str) -> String {
        let shown: String = String::from_utf8_lossy(cell).chars().take(40).collect();
        format!(
            "column {name:?} is {shown:?}, expected a number; correct the cell or remove the row"
        )
    }

    /// Sets the feature of a text; false where the cell has no value.
    fn category(
        &self,
        record: &ByteRecord,
        column: usize,
        categories: usize,
        row: &mut [f32],
    ) -> Result<bool, Problem> {
        let cell = record.get(column).unwrap_or_default().trim_ascii();
        let places = &self.columns.categories[categories];
        let options = self.table.options;
        let name = &self.columns.names[column];
        match places.get(cell) {
            Some(&place) => {
                row[place] = 1.0;
                Ok(true)
            }
            None if is_missing(cell)
                && (options.missing != Missing::Refuse || options.fill.contains_key(name)) =>
            {
                Ok(false)
            }
            None => {
                let texts = self.columns.texts(categories);
                Err(Problem::at(
                    record,
                    format!(
                        "column {name:?} is {:?}, expected one of {}{}; correct the cell, or train again with rows of that kind",
                        String::from_utf8_lossy(cell),
                        list(&texts),
                        columns::did_you_mean(&String::from_utf8_lossy(cell), &texts)
                    ),
                ))
            }
        }
    }

    fn push_targets(&mut self, record: &ByteRecord) -> Result<(), Problem> {
        let count = self.columns.targets.len();
        let start = self.targets.len();
        if count > 1 {
            self.targets.resize(start + count, 0.0);
        }
        for ((column, cell), role) in record.iter().enumerate().zip(&self.columns.roles) {
            let Role::Target(place) = *role else {
                continue;
            };
            let name = &self.columns.names[column];
            if count == 1 {
                self.labels
                    .push(cell, name, self.table.dialect.decimal)
                    .map_err(|message| Problem::at(record, message))?;
                continue;
            }
            let cell = cell.trim_ascii();
            self.targets[start + place] = number(cell, self.table.dialect.decimal)
                .or_else(|| truth(cell).map(|truth| f32::from(u8::from(truth))))
                .ok_or_else(|| Problem::at(record, self.bad_number(cell, name)))?;
        }
        Ok(())
    }

    /// The targets of so many rows, and the names of classes.
    fn targets(self, rows: usize) -> (Option<ArrayD<f32>>, Option<Vec<String>>) {
        let count = self.columns.targets.len();
        let (values, class_names, shape) = match count {
            0 => return (None, None),
            1 => {
                let (values, names) = self.labels.finish();
                (values, names, vec![rows])
            }
            _ => (self.targets, None, vec![rows, count]),
        };
        let y = ArrayD::from_shape_vec(shape, values).expect("every row has its targets");
        (Some(y), class_names)
    }
}

/// Line of the first byte at or after `byte` that does not end a line.
fn line_at(reader: impl Read, byte: u64) -> std::io::Result<u64> {
    let mut line = 1;
    for (place, next) in (0..).zip(BufReader::new(reader).bytes()) {
        let next = next?;
        if place >= byte && !next.is_ascii_whitespace() {
            break;
        }
        line += u64::from(next == b'\n');
    }
    Ok(line)
}

fn is_blank(record: &ByteRecord) -> bool {
    record.iter().all(|cell| cell.trim_ascii().is_empty()) && record.len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Dataset> {
        read_csv_bytes(text.as_bytes(), Path::new("d.csv"), &CsvOptions::default())
    }

    fn error(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    fn rows(data: &Dataset) -> Vec<Vec<f32>> {
        data.x
            .outer_iter()
            .map(|row| row.iter().copied().collect())
            .collect()
    }

    #[test]
    fn a_label_column_anywhere_becomes_y_and_the_others_x() {
        let data = read("a,label,b\n1,0,-2.5\n3e1,1,0.125\n").unwrap();
        assert_eq!(rows(&data), [[1.0, -2.5], [30.0, 0.125]]);
        assert_eq!(data.y.unwrap().into_raw_vec_and_offset().0, [0.0, 1.0]);
        assert_eq!(data.feature_names, ["a", "b"]);
        assert_eq!(data.class_names, None);
    }

    #[test]
    fn byte_order_mark_crlf_quotes_spaces_and_blank_lines_are_accepted() {
        let data = read(
            "\u{feff}\"a\", b ,label\r\n\r\n\"1\", 2 ,\"red, dark\"\r\n  \r\n3,4,blue\r\n\r\n",
        )
        .unwrap();
        assert_eq!(rows(&data), [[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!(data.feature_names, ["a", "b"]);
        assert_eq!(data.class_names.unwrap(), ["blue", "red, dark"]);
        assert_eq!(data.y.unwrap().into_raw_vec_and_offset().0, [1.0, 0.0]);
    }

    #[test]
    fn text_classes_are_sorted_whatever_the_order_of_the_rows() {
        let one = read("a,label\n1,versicolor\n2,setosa\n3,virginica\n").unwrap();
        let two = read("a,label\n2,setosa\n3,virginica\n1,versicolor\n").unwrap();
        assert_eq!(one.class_names, two.class_names);
        assert_eq!(one.y.unwrap().into_raw_vec_and_offset().0, [1.0, 0.0, 2.0]);
        assert_eq!(two.y.unwrap().into_raw_vec_and_offset().0, [0.0, 2.0, 1.0]);
    }

    #[test]
    fn known_class_names_keep_their_indices() {
        let options = CsvOptions {
            class_names: Some(vec!["7".into(), "x".into(), "3".into()]),
            ..CsvOptions::default()
        };
        let read = |text: &str| read_csv_bytes(text.as_bytes(), Path::new("d.csv"), &options);
        let data = read("a,label\n1,3\n1,7\n1,x\n").unwrap();
        assert_eq!(data.y.unwrap().into_raw_vec_and_offset().0, [2.0, 0.0, 1.0]);
        assert_eq!(
            read("a,label\n1,x\n1,y\n").unwrap_err().to_string(),
            "d.csv:3: column \"label\" is \"y\", expected one of the model's classes 7, x, 3"
        );
    }

    #[test]
    fn a_label_column_can_be_named_or_skipped() {
        let read = |target: Target, text: &str| {
            let options = CsvOptions {
                target,
                ..CsvOptions::default()
            };
            read_csv_bytes(text.as_bytes(), Path::new("d.csv"), &options)
        };
        let data = read(Target::Read(vec!["a".into()]), "a,label\n1,2\n").unwrap();
        assert_eq!(
            (data.feature_names, data.target_names),
            (vec!["label".to_string()], vec!["a".to_string()])
        );
        let data = read(Target::Skip(vec![]), "a,label\n1,what?\n").unwrap();
        assert_eq!((rows(&data), data.y), (vec![vec![1.0]], None));
        let data = read(Target::ReadIfThere(vec![]), "a,label\n1,2\n").unwrap();
        assert_eq!(data.y.unwrap()[0], 2.0);
        let data = read(Target::ReadIfThere(vec![]), "a,b\n1,2\n").unwrap();
        assert_eq!((rows(&data), data.y), (vec![vec![1.0, 2.0]], None));
        let data = read(Target::Skip(vec![]), "a,b\n1,2\n").unwrap();
        assert_eq!(rows(&data), [[1.0, 2.0]]);
        let error = read(Target::Read(vec!["c".into()]), "a,b\n1,2\n")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "d.csv:1: there is no column \"c\", the columns are a, b; name the label column with --target"
        );
    }

    #[test]
    fn a_bad_cell_is_named_with_its_line_and_column() {
        let head = "sepal,petal_width,label\n";
        let fix = "correct the cell, or leave the column out with --drop";
        assert_eq!(
            error(&format!("{head}1,2,0\n\n\n1,x,0\n")),
            format!(
                "d.csv:5: column \"petal_width\" is \"x\", expected a number as in another row; {fix}"
            )
        );
        assert_eq!(
            error(&format!("{head}1e39,2,0\n")),
            format!(
                "d.csv:2: column \"sepal\" is \"1e39\", expected a number; write the unit into the header and only numbers into the cells, or {fix}"
            )
        );
        assert_eq!(
            error(&format!("{head}1 cm,2,0\n3 cm,2,0\n")),
            format!(
                "d.csv:2: column \"sepal\" is \"1 cm\", expected a number; write the unit into the header and only numbers into the cells, or {fix}"
            )
        );
        // A quoted cell may hold a line end: the next record still has its own line.
        assert_eq!(
            error(&format!("{head}1,2,\"a\nb\"\n1,x,c\n")),
            format!(
                "d.csv:4: column \"petal_width\" is \"x\", expected a number as in another row; {fix}"
            )
        );
    }

    #[test]
    fn cells_without_a_value_are_counted_by_column_with_their_lines() {
        assert_eq!(
            error("a,b,label\n1,NA,0\n,?,1\n2,3,0\n4,-,1\n5,None,0\n6,7,1\n8,,0\n"),
            "d.csv:2: 6 cells have no value, expected numbers: 1 of column \"a\" (line 3), 5 of column \"b\" (lines 2, 3, 5, ...); fill the cells, or give --missing drop, mean, median or zero"
        );
        let text = "a,b,label\n1,2,0\n,4,1\n4,,0\n7,8,NA\n";
        let read = |missing| {
            let options = CsvOptions {
                missing,
                ..CsvOptions::default()
            };
            read_csv_bytes(text.as_bytes(), Path::new("d.csv"), &options)
        };
        let data = read(Missing::Drop).unwrap();
        assert_eq!(rows(&data), [[1.0, 2.0]]);
        assert_eq!(
            data.notes,
            ["3 rows have a cell without a value and are left out"]
        );
        let text = "a,b,label\n1,2,0\n,4,1\n4,,0\n7,9,1\n";
        let read = |missing| {
            let options = CsvOptions {
                missing,
                ..CsvOptions::default()
            };
            read_csv_bytes(text.as_bytes(), Path::new("d.csv"), &options).unwrap()
        };
        assert_eq!(
            rows(&read(Missing::Mean)),
            [[1.0, 2.0], [4.0, 4.0], [4.0, 5.0], [7.0, 9.0]]
        );
        assert_eq!(rows(&read(Missing::Median))[1..3], [[4.0, 4.0], [4.0, 4.0]]);
        assert_eq!(rows(&read(Missing::Zero))[1..3], [[0.0, 4.0], [4.0, 0.0]]);
        let data = read(Missing::Mean);
        assert_eq!(
            data.fill.into_iter().collect::<Vec<_>>(),
            [("a".to_string(), 4.0), ("b".to_string(), 5.0)]
        );
    }

    #[test]
    fn what_stood_for_a_missing_value_in_training_does_so_later() {
        let options = CsvOptions {
            features: Features::OfModel(vec!["a".into(), "b".into()]),
            fill: [("a".to_string(), 4.0)].into(),
            ..CsvOptions::default()
        };
        let read = |text: &str| read_csv_bytes(text.as_bytes(), Path::new("d.csv"), &options);
        assert_eq!(rows(&read("b,a,label\n1,NA,0\n").unwrap()), [[4.0, 1.0]]);
        assert!(
            read("b,a,label\n,1,0\n")
                .unwrap_err()
                .to_string()
                .starts_with("d.csv:2: 1 cell has no value")
        );
    }

    #[test]
    fn text_becomes_a_feature_for_each_text_and_truths_become_numbers() {
        let text = "mode,wet,label\nwalk,True,a\nrun,False,b\nwalk,False,a\n";
        let data = read(text).unwrap();
        assert_eq!(data.feature_names, ["mode=run", "mode=walk", "wet"]);
        assert_eq!(
            rows(&data),
            [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
        );
        assert_eq!(
            data.notes,
            ["column \"mode\" holds text and becomes 2 inputs of 0 and 1, one for each text"]
        );
        let options = CsvOptions {
            features: Features::OfModel(data.feature_names),
            target: Target::Skip(vec![]),
            ..CsvOptions::default()
        };
        let read = |text: &str| read_csv_bytes(text.as_bytes(), Path::new("d.csv"), &options);
        assert_eq!(
            rows(&read("wet,mode\nyes,run\n").unwrap()),
            [[1.0, 0.0, 1.0]]
        );
        assert_eq!(
            read("wet,mode\nyes,wolk\n").unwrap_err().to_string(),
            "d.csv:2: column \"mode\" is \"wolk\", expected one of run, walk; did you mean \"walk\"?; correct the cell, or train again with rows of that kind"
        );
    }

    #[test]
    fn dates_and_numbers_of_rows_are_left_out_and_several_targets_read() {
        let mut text = "id,time,n,a,y,z\n".to_string();
        for row in 0..12 {
            text += &format!(
                "{},2024-01-{:02} 10:00:00,{},{},{row},1\n",
                12 - row,
                row + 1,
                row * 5,
                row * row
            );
        }
        let options = CsvOptions {
            target: Target::Read(vec!["y".into(), "z".into()]),
            ..CsvOptions::default()
        };
        let data = read_csv_bytes(text.as_bytes(), Path::new("d.csv"), &options).unwrap();
        assert_eq!(data.feature_names, ["a"]);
        assert_eq!(data.y.unwrap().shape(), [12, 2]);
        assert_eq!(
            data.notes,
            [
                "column \"time\" holds dates and is left out; write what matters of them, such as the hour, as a column of numbers",
                "column \"id\" numbers the rows and is left out; insist with --keep id",
                "column \"n\" numbers the rows and is left out; insist with --keep n",
            ]
        );
        let options = CsvOptions {
            keep: vec!["n".into()],
            ..options
        };
        let data = read_csv_bytes(text.as_bytes(), Path::new("d.csv"), &options).unwrap();
        assert_eq!(data.feature_names, ["n", "a"]);
    }

    #[test]
    fn dialects_give_the_same_rows() {
        let plain = read("a,b,label\n5.8,-1000,x\n0.5,2,y\n").unwrap();
        for text in [
            "# node 7\na,b,label\n5.8,-1000,x\n0.5,2,y\n",
            "a;b;label;;\n5,8;-1000;x;;\n0,5;2;y;;\n",
            "a\tb\tlabel\n5,8\t-1.000\tx\n0,5\t2\ty\n",
            "a|b|label\r\n5.8|-1,000|x\r\n0.5|2|y\r\n",
            "a,b,label\n5.8,\"-1,000\",x\n0.5,2,y\n",
            "a,b,label\n0,5.8,-1000,x\n1,0.5,2,y\n",
        ] {
            let data = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(
                (&data.x, &data.y, &data.class_names),
                (&plain.x, &plain.y, &plain.class_names),
                "{text}"
            );
        }
        assert_eq!(
            read("a;b;label;;\n5,8;-1000;x;;\n0,5;2;y;;\n")
                .unwrap()
                .notes,
            ["read as separated by ';', decimal comma"]
        );
    }

    #[test]
    fn bad_labels_are_named_with_their_line() {
        assert_eq!(
            error("a,label\n1,\n"),
            "d.csv:2: column \"label\" is empty, expected a label; remove the row or fill the cell"
        );
        assert_eq!(
            error("a,label\n1,nan\n"),
            "d.csv:2: column \"label\" is \"nan\", expected a label; remove the row or fill the cell"
        );
        assert_eq!(
            error("a,target\n1,151\n2,n/a\n"),
            "d.csv:3: column \"target\" is \"n/a\", expected a number as in the rows before; make all labels numbers or all text"
        );
        assert_eq!(
            error("a,label\n1,cat\n2,1\n"),
            "d.csv:3: column \"label\" is \"1\", expected text as in the rows before; make all labels numbers or all text"
        );
    }

    #[test]
    fn files_without_rows_header_or_commas_are_refused() {
        assert_eq!(
            error(""),
            "d.csv: the file is empty, expected a header line and rows"
        );
        assert_eq!(
            error("a,label\n\n"),
            "d.csv: there is only a header line, expected rows below it"
        );
        assert_eq!(
            error("1,2\n3,4\n"),
            "d.csv:1: the first line holds numbers, expected column names; add a header line such as a,b,label, or give --no-header"
        );
        assert_eq!(
            error("label\n1\n"),
            "d.csv:1: there is no column of numbers or categories beside the label, expected at least one feature"
        );
        assert_eq!(
            read("a,b\n1,2\n").unwrap().notes,
            ["the target is the last column, \"b\"; name another with --target"]
        );
        assert_eq!(
            error("a,b,label\n1,2,0\n1,0\n"),
            "d.csv:3: 2 cells, expected 3 as in the header; add or remove cells, or quote a cell that holds a comma"
        );
    }

    #[test]
    fn a_row_is_found_again_by_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.csv");
        std::fs::write(&path, "a,label\n\n1,\"x\ny\"\n,z\n2,z\n").unwrap();
        let options = CsvOptions {
            missing: Missing::Drop,
            ..CsvOptions::default()
        };
        let data = read_csv(&path, &options).unwrap();
        assert_eq!(data.line_of_row(&path, 0), None);
        assert_eq!(data.line_of_row(&path, 1), Some(3));
        assert_eq!(data.line_of_row(&path, 2), Some(6));
        assert_eq!(data.line_of_row(&path, 3), None);
    }
}
