//! One row after the other: cells become features and targets.

use std::collections::HashMap;

use csv::ByteRecord;
use ndarray::ArrayD;

use super::{
    cells::{is_missing, is_missing_label, number, truth},
    columns::{self, Columns, Features, Role},
    labels::{Labels, list},
    missing::Missing,
    table::{Problem, Table},
};

/// Rows as they are read.
pub(super) struct Rows<'a> {
    pub table: &'a Table<'a>,
    pub columns: &'a Columns,
    pub surveyed: bool,
    pub labels: Labels<'a>,
    /// Of several targets, row by row.
    pub targets: Vec<f32>,
    pub groups: Groups,
}

/// The group of each row, numbered as they appear.
#[derive(Default)]
pub(super) struct Groups {
    numbers: HashMap<Vec<u8>, usize>,
    of_rows: Vec<usize>,
}

impl Groups {
    fn push(&mut self, name: &[u8]) {
        let next = self.numbers.len();
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => *self.numbers.entry(name.to_vec()).or_insert(next),
        };
        self.of_rows.push(number);
    }

    /// None where no column names groups.
    pub fn finish(self) -> Option<Vec<usize>> {
        Some(self.of_rows).filter(|rows| !rows.is_empty())
    }
}

impl Rows<'_> {
    /// Puts a record's features into `row` and keeps its targets; false where the row is to be left out.
    pub fn push(&mut self, record: &ByteRecord, row: &mut [f32]) -> Result<bool, Problem> {
        let decimal = self.table.dialect.decimal;
        let drops = self.table.options.missing == Missing::Drop;
        let mut whole = true;
        let mut group = None;
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
                Role::Target => whole &= !(drops && is_missing_label(cell.trim_ascii())),
                Role::Group if is_missing(cell.trim_ascii()) => {
                    let name = &self.columns.names[column];
                    let message = format!(
                        "column {name:?} has no value, expected the row's group; fill the cell or remove the row"
                    );
                    return Err(Problem::at(record, message));
                }
                Role::Group => group = Some(cell.trim_ascii()),
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
            group.into_iter().for_each(|name| self.groups.push(name));
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
        let decimal = self.table.dialect.decimal;
        let one = self.columns.targets.len() == 1;
        for &column in &self.columns.targets {
            let name = &self.columns.names[column];
            let cell = record.get(column).unwrap_or_default();
            if one {
                self.labels
                    .push(cell, name, decimal)
                    .map_err(|message| Problem::at(record, message))?;
                continue;
            }
            let cell = cell.trim_ascii();
            let value = number(cell, decimal)
                .or_else(|| truth(cell).map(|truth| f32::from(u8::from(truth))))
                .ok_or_else(|| Problem::at(record, self.bad_number(cell, name)))?;
            self.targets.push(value);
        }
        Ok(())
    }

    /// The targets of so many rows, and the names of classes.
    pub fn targets(self, rows: usize) -> (Option<ArrayD<f32>>, Option<Vec<String>>) {
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
