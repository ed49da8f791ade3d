//! CSV: a header line, one row per sample, numbers everywhere but in the label column.
//!
//! Cells may be quoted and padded with spaces; a byte order mark, CRLF line ends and blank lines
//! are accepted. Numbers are parsed as `f64` and rounded to `f32`, as NumPy does.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use csv::{ByteRecord, ReaderBuilder};
use ndarray::ArrayD;

use super::{
    Dataset,
    columns::{self, Columns, Features, Role},
    labels::Labels,
    number::parse_number,
};
use crate::file_kind::FileKind;
use crate::{Error, FormatKind, Result};

/// Bytes that tell a table from other kinds of files.
const START: u64 = 4096;

/// How to read a CSV file.
#[derive(Clone, Debug, Default)]
pub struct CsvOptions {
    /// The label column. Defaults to reading the column `label`, or else `target`.
    pub target: Target,
    /// Class names in the order of their indices, for the labels of a model that was trained
    /// already. Defaults to the names in the file, sorted.
    pub class_names: Option<Vec<String>>,
    /// The columns that are features, and their order. Defaults to all that are left.
    pub features: Features,
}

/// What to do with the label column; `None` stands for a column called `label`, or else `target`.
#[derive(Clone, Debug)]
pub enum Target {
    /// It must be there and becomes `y`.
    Read(Option<String>),
    /// It becomes `y` where it is there.
    ReadIfThere(Option<String>),
    /// It is left out where it is there, unread.
    Skip(Option<String>),
}

impl Default for Target {
    fn default() -> Self {
        Self::Read(None)
    }
}

/// Reads a CSV file.
///
/// # Errors
///
/// [`Error::Io`] when it cannot be read, [`Error::Format`] with the line for what is wrong in it.
pub fn read_csv(path: &Path, options: &CsvOptions) -> Result<Dataset> {
    let io = |source| Error::io(path, source);
    let open = || File::open(path).map_err(io);
    let mut file = open()?;
    let mut start = Vec::new();
    (&mut file)
        .take(START)
        .read_to_end(&mut start)
        .map_err(io)?;
    if let Some(kind) = FileKind::of(&start, path) {
        let (name, advice) = (kind.name(), kind.as_data());
        return Err(FormatKind::Unknown.error(
            path,
            format!("this is {name}, expected CSV or .npy; {advice}"),
        ));
    }
    parse(start.as_slice().chain(file), path, options).map_err(|problem| problem.locate(path, open))
}

/// Reads CSV from memory; `path` is for messages.
///
/// # Errors
///
/// As [`read_csv`].
pub fn read_csv_bytes(text: &[u8], path: &Path, options: &CsvOptions) -> Result<Dataset> {
    parse(text, path, options).map_err(|problem| problem.locate(path, || Ok(text)))
}

/// The line on which data row `row` begins, from 1 as lines are, for messages about values found later.
pub fn line_of_row(path: &Path, row: usize) -> Option<u64> {
    let mut reader = ReaderBuilder::new().flexible(true).from_path(path).ok()?;
    let record = reader
        .byte_records()
        .filter_map(|record| record.ok())
        .filter(|record| !is_blank(record))
        .nth(row.checked_sub(1)?)?;
    line_at(File::open(path).ok()?, record.position()?.byte()).ok()
}

/// What is wrong, with the byte offset of the record (and of blank lines before it).
enum Problem {
    Other(Error),
    At { byte: u64, message: String },
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Problem {
    fn at(record: &ByteRecord, message: impl Into<String>) -> Self {
        Self::At {
            byte: record.position().map_or(0, csv::Position::byte),
            message: message.into(),
        }
    }

    /// Counts the lines up to the problem: only now, since it costs time.
    fn locate<R: Read>(self, path: &Path, reopen: impl FnOnce() -> Result<R>) -> Error {
        match self {
            Self::Other(error) => error,
            Self::At { byte, message } => Error::Format {
                path: path.to_path_buf(),
                line: reopen().ok().and_then(|reader| line_at(reader, byte).ok()),
                kind: FormatKind::Content,
                message,
            },
        }
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
    record.len() == 1 && record[0].trim_ascii().is_empty()
}

fn parse(reader: impl Read, path: &Path, options: &CsvOptions) -> Result<Dataset, Problem> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(1 << 16)
        .from_reader(reader);
    let mut record = ByteRecord::new();
    if !read_record(&mut reader, &mut record, path)? {
        let message = "the file is empty, expected a header line and rows";
        return Err(Error::format(path, message).into());
    }
    let columns =
        Columns::new(&record, options).map_err(|message| Problem::At { byte: 0, message })?;

    let width = columns.features.len();
    let mut x: Vec<f32> = Vec::new();
    let mut labels = Labels::new(options.class_names.as_deref());
    while read_record(&mut reader, &mut record, path)? {
        if record.len() != columns.roles.len() {
            if is_blank(&record) {
                continue;
            }
            return Err(Problem::at(&record, columns.wrong_length(record.len())));
        }
        let start = x.len();
        x.resize(start + width, 0.0);
        let row = &mut x[start..];
        for ((column, cell), role) in record.iter().enumerate().zip(&columns.roles) {
            match *role {
                Role::Feature(place) => {
                    row[place] = parse_number(cell).ok_or_else(|| {
                        Problem::at(&record, bad_number(cell, &columns.names[column]))
                    })?;
                }
                Role::Target => labels
                    .push(cell, &columns.names[column])
                    .map_err(|message| Problem::at(&record, message))?,
                Role::LeftOut => {}
            }
        }
    }

    let rows = x.len() / width;
    if rows == 0 {
        let message = "there is only a header line, expected rows below it";
        return Err(Error::format(path, message).into());
    }
    let array = |shape: &[usize], values| {
        ArrayD::from_shape_vec(shape, values).expect("every row was checked to have every cell")
    };
    let reads_target = columns.target_name.is_some();
    let (y, class_names) = if reads_target {
        let (y, class_names) = labels.finish();
        (Some(array(&[rows], y)), class_names)
    } else {
        (None, None)
    };
    let mut data = Dataset {
        x: array(&[rows, width], x),
        y,
        feature_names: columns.features,
        target_name: columns.target_name,
        class_names,
        left_out: columns.left_out,
    };
    if !matches!(options.features, Features::Named(_)) {
        columns::leave_row_numbers_out(&mut data);
    }
    Ok(data)
}

fn read_record<R: Read>(
    reader: &mut csv::Reader<R>,
    record: &mut ByteRecord,
    path: &Path,
) -> Result<bool> {
    reader.read_byte_record(record).map_err(|error| {
        let text = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(source) => Error::io(path, source),
            _ => Error::corrupt(path, text),
        }
    })
}

fn bad_number(cell: &[u8], column: &str) -> String {
    let cell = String::from_utf8_lossy(cell.trim_ascii());
    if cell.is_empty() {
        format!("column {column:?} is empty, expected a number; remove the row or fill the cell")
    } else {
        let shown: String = cell.chars().take(40).collect();
        format!(
            "column {column:?} is {shown:?}, expected a number; remove the row or fill the cell"
        )
    }
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
        let data = read(Target::Read(Some("a".into())), "a,label\n1,2\n").unwrap();
        assert_eq!(
            (data.feature_names, data.target_name.unwrap()),
            (vec!["label".to_string()], "a".to_string())
        );
        let data = read(Target::Skip(None), "a,label\n1,what?\n").unwrap();
        assert_eq!((rows(&data), data.y), (vec![vec![1.0]], None));
        let data = read(Target::ReadIfThere(None), "a,label\n1,2\n").unwrap();
        assert_eq!(data.y.unwrap()[0], 2.0);
        let data = read(Target::ReadIfThere(None), "a,b\n1,2\n").unwrap();
        assert_eq!((rows(&data), data.y), (vec![vec![1.0, 2.0]], None));
        let data = read(Target::Skip(None), "a,b\n1,2\n").unwrap();
        assert_eq!(rows(&data), [[1.0, 2.0]]);
        let error = read(Target::Read(Some("c".into())), "a,b\n1,2\n")
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
        let fill = "expected a number; remove the row or fill the cell";
        assert_eq!(
            error(&format!("{head}1,2,0\n\n\n1,n/a,0\n")),
            format!("d.csv:5: column \"petal_width\" is \"n/a\", {fill}")
        );
        assert_eq!(
            error(&format!("{head},2,0\n")),
            format!("d.csv:2: column \"sepal\" is empty, {fill}")
        );
        assert_eq!(
            error(&format!("{head}NaN,2,0\n")),
            format!("d.csv:2: column \"sepal\" is \"NaN\", {fill}")
        );
        assert_eq!(
            error(&format!("{head}1e39,2,0\n")),
            format!("d.csv:2: column \"sepal\" is \"1e39\", {fill}")
        );
        // A quoted cell may hold a line end: the next record still has its own line.
        assert_eq!(
            error(&format!("{head}1,2,\"a\nb\"\n1,x,c\n")),
            format!("d.csv:4: column \"petal_width\" is \"x\", {fill}")
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
            "d.csv:1: the first line holds numbers, expected column names; add a header line such as a,b,label"
        );
        assert_eq!(
            error("a;label\n1;2\n"),
            "d.csv:1: the cells are separated by ';', expected commas; save the file with commas"
        );
        assert_eq!(
            error("label\n1\n"),
            "d.csv:1: there is no column beside the label, expected at least one feature"
        );
        assert_eq!(
            error("a,b\n1,2\n"),
            "d.csv:1: there is no column \"label\" or \"target\", the columns are a, b; name the label column with --target"
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
        std::fs::write(&path, "a,label\n\n1,\"x\ny\"\n2,z\n").unwrap();
        assert_eq!(line_of_row(&path, 0), None);
        assert_eq!(line_of_row(&path, 1), Some(3));
        assert_eq!(line_of_row(&path, 2), Some(5));
        assert_eq!(line_of_row(&path, 3), None);
    }
}
