//! Tables of text: a header line, one row per sample, in whatever dialect; see [`CsvOptions`].
//!
//! Cells may be quoted and padded with spaces; a byte order mark, CRLF line ends and blank lines
//! are accepted. Numbers are parsed as `f64` and rounded to `f32`, as NumPy does.

use std::{collections::BTreeMap, path::Path};

use super::{
    Dataset,
    columns::Features,
    dialect::DialectOptions,
    missing::Missing,
    source::Source,
    table::{is_blank, lines_at, read},
};
use crate::Result;

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
    /// The column whose values name groups of rows that belong together, such as a person or a day.
    pub group: Option<String>,
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
/// [`Error::Io`](crate::Error::Io) when it cannot be read, [`Error::Format`](crate::Error::Format) with the line for what is wrong in it.
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
    /// values found later; none where the rows came from elsewhere.
    pub fn line_of_row(&self, path: &Path, row: usize) -> Option<u64> {
        self.lines_of_rows(path, &[row])?.pop()?
    }

    /// [`Self::line_of_row`] of several rows, in their order, by reading the file once.
    pub fn lines_of_rows(&self, path: &Path, rows: &[usize]) -> Option<Vec<Option<u64>>> {
        let origin = self.origin.as_ref()?;
        // Places among the rows of the file: rows that were dropped before shift them.
        let place = |row: &usize| {
            let row = row.checked_sub(1)?;
            let mut place = match &origin.places {
                Some(places) => *places.get(row)?,
                None => row,
            };
            for dropped in &origin.dropped {
                place += usize::from(*dropped <= place);
            }
            Some(place)
        };
        let places: Vec<Option<usize>> = rows.iter().map(place).collect();
        let last = places.iter().flatten().max().copied();
        let source = Source::file(path).ok()?;
        let mut reader = origin.dialect.reader(source.open().ok()?);
        let header = usize::from(origin.dialect.names.is_none());
        let mut bytes = BTreeMap::new();
        let records = reader
            .byte_records()
            .filter_map(|record| record.ok())
            .filter(|record| !is_blank(record))
            .skip(header)
            .take(last.map_or(0, |last| last + 1));
        for (place, record) in records.enumerate() {
            if places.contains(&Some(place)) {
                bytes.insert(place, record.position()?.byte());
            }
        }
        let wanted: Vec<u64> = bytes.values().copied().collect();
        let lines = lines_at(source.open().ok()?, &wanted).ok()?;
        let lines: BTreeMap<usize, u64> = bytes.into_keys().zip(lines).collect();
        let line = |place: &Option<usize>| lines.get(&(*place)?).copied();
        Some(places.iter().map(line).collect())
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
        assert_eq!(
            data.lines_of_rows(&path, &[2, 0, 1, 2, 9]),
            Some(vec![Some(6), None, Some(3), Some(6), None])
        );
    }
}
