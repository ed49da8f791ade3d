//! A table in its dialect: looked at where a cell asks for it, then read row by row.

use std::{
    collections::BTreeMap,
    io::{BufReader, BufWriter, Read, Write},
    path::Path,
};

use csv::ByteRecord;
use ndarray::ArrayD;

use super::{
    Dataset,
    columns::{self, Columns, Features, Role},
    csv::CsvOptions,
    dialect::Dialect,
    labels::{Labels, list},
    missing::{Missing, fill},
    row_reader::{Groups, Rows},
    source::Source,
    spool::HEAD,
    survey::{Kind, Refusal, Tally},
};
use crate::{Error, FormatKind, Result};

/// Where the rows of a table are in its file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Origin {
    pub dialect: Dialect,
    /// Rows that were left out, ascending.
    pub dropped: Vec<usize>,
    /// Of rows that were chosen afterwards: their places among those that were read.
    pub places: Option<Vec<usize>>,
}

impl Origin {
    /// Of these rows only.
    pub fn of_rows(&self, rows: impl Iterator<Item = usize>) -> Self {
        let place = |row| self.places.as_ref().map_or(row, |places| places[row]);
        Self {
            dialect: self.dialect.clone(),
            dropped: self.dropped.clone(),
            places: Some(rows.map(place).collect()),
        }
    }
}

/// What is wrong, with the byte offset of the record (and of blank lines before it).
pub(super) enum Problem {
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
    pub fn at(record: &ByteRecord, message: impl Into<String>) -> Self {
        Self::At {
            byte: record.position().map_or(0, csv::Position::byte),
            message: message.into(),
        }
    }
}

/// Records of a table's text.
type Records<'a> = csv::Reader<Box<dyn Read + 'a>>;

/// A table in its dialect.
pub(super) struct Table<'a> {
    source: &'a Source<'a>,
    path: &'a Path,
    pub dialect: Dialect,
    pub options: &'a CsvOptions,
}

pub(super) fn read(source: &Source, path: &Path, options: &CsvOptions) -> Result<Dataset> {
    let table = Table::new(source, path, options)?;
    let kinds = BTreeMap::new();
    let data = match table.rows(&kinds, false) {
        // A second look costs time: only where a cell asks for it.
        Err(Problem::Survey) => table.survey().and_then(|kinds| table.rows(&kinds, true)),
        done => done,
    };
    data.map_err(|problem| table.locate(problem))
}

/// What [`spool`] has read.
pub(super) struct Spooled {
    /// The first rows, with what is known of all.
    pub head: Dataset,
    pub rows: usize,
    /// Of text labels: the place of each class by the number that it has in the file.
    pub places: Option<Vec<usize>>,
}

/// Writes features and targets of all rows to files; `places` of [`Spooled`] says how the classes there are numbered.
pub(super) fn spool(
    path: &Path,
    options: &CsvOptions,
    x: &mut impl Write,
    y: &mut impl Write,
) -> Result<Spooled> {
    let source = Source::file(path)?;
    let table = Table::new(&source, path, options)?;
    // Whatever the first rows look like: later ones may hold texts.
    let kinds = table.survey();
    let spooled = kinds.and_then(|kinds| table.spool(&kinds, x, y));
    spooled.map_err(|problem| table.locate(problem))
}

impl<'a> Table<'a> {
    fn new(source: &'a Source<'a>, path: &'a Path, options: &'a CsvOptions) -> Result<Self> {
        let dialect =
            Dialect::find(&source.sample, &options.dialect).map_err(|message| Error::Format {
                path: path.to_path_buf(),
                line: Some(1),
                kind: FormatKind::Content,
                message,
            })?;
        Ok(Self {
            source,
            path,
            dialect,
            options,
        })
    }

    /// All rows, the first ones twice: which columns number the rows is known behind them.
    fn spool(
        &self,
        kinds: &BTreeMap<usize, Kind>,
        x: &mut impl Write,
        y: &mut impl Write,
    ) -> Result<Spooled, Problem> {
        let head = self.first_rows(kinds, true, Some(HEAD))?;
        let (mut reader, names) = self.open()?;
        let columns = self.columns(names, kinds)?;
        let kept: Vec<usize> = (0..columns.features.len())
            .filter(|&place| head.feature_names.contains(&columns.features[place]))
            .collect();
        let mut rows = Rows {
            table: self,
            columns: &columns,
            surveyed: true,
            labels: Labels::new(self.options.class_names.as_deref()),
            targets: Vec::new(),
            groups: Groups::default(),
        };
        let io = |source| Problem::Other(Error::io(std::env::temp_dir(), source));
        let (mut x, mut y) = (BufWriter::new(x), BufWriter::new(y));
        let mut row = vec![0.0; columns.features.len()];
        let mut record = ByteRecord::new();
        let mut count = 0;
        while self.next(&mut reader, &mut record)? {
            if record.len() != columns.roles.len() {
                let message = columns.wrong_length(record.len(), self.dialect.separator);
                return Err(Problem::at(&record, message));
            }
            row.fill(0.0);
            rows.push(&record, &mut row)?;
            for &place in &kept {
                x.write_all(&row[place].to_ne_bytes()).map_err(io)?;
            }
            count += 1;
            if count % HEAD == 0 {
                let drained = rows.targets.drain(..).chain(rows.labels.drain());
                for value in drained {
                    y.write_all(&value.to_ne_bytes()).map_err(io)?;
                }
            }
        }
        let (rest, classes) = rows.labels.finish_drained();
        for value in rows.targets.into_iter().chain(rest) {
            y.write_all(&value.to_ne_bytes()).map_err(io)?;
        }
        x.flush().and_then(|()| y.flush()).map_err(io)?;
        let classes = classes.map(|classes| (classes.names, classes.places));
        let (names, places) = classes.unzip();
        let mut head = head;
        // The classes of all rows, which may be others than those of the first.
        if let (Some(names), Some(y)) = (&names, &mut head.y) {
            let of_head = head.class_names.take().unwrap_or_default();
            y.mapv_inplace(|class| {
                let name = of_head.get(class as usize);
                let place = name.and_then(|name| names.iter().position(|other| other == name));
                place.map_or(class, |place| place as f32)
            });
        }
        head.class_names = names;
        Ok(Spooled {
            head,
            rows: count,
            places: places.filter(|_| self.options.class_names.is_none()),
        })
    }

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
        lines_at(self.source.open().ok()?, &[byte]).ok()?.pop()
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
        self.first_rows(kinds, surveyed, None)
    }

    /// The first rows, or all.
    fn first_rows(
        &self,
        kinds: &BTreeMap<usize, Kind>,
        surveyed: bool,
        most: Option<usize>,
    ) -> Result<Dataset, Problem> {
        let (mut reader, names) = self.open()?;
        let columns = self.columns(names, kinds)?;
        let width = columns.features.len();
        let mut rows = Rows {
            table: self,
            columns: &columns,
            surveyed,
            labels: Labels::new(self.options.class_names.as_deref()),
            targets: Vec::new(),
            groups: Groups::default(),
        };
        let mut x: Vec<f32> = Vec::new();
        let mut dropped = Vec::new();
        let mut record = ByteRecord::new();
        let mut place = 0;
        while most.is_none_or(|most| place < most) && self.next(&mut reader, &mut record)? {
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
        let groups = std::mem::take(&mut rows.groups).finish();
        let (y, class_names) = rows.targets(count);
        let x = ArrayD::from_shape_vec(vec![count, width], x)
            .expect("every row was checked to have every cell");
        let mut data = self.dataset(columns, x, y, class_names, dropped)?;
        data.groups = groups;
        Ok(data)
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
        let target_names = columns.target_names();
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
            target_names,
            class_names,
            groups: None,
            sample_weight: None,
            left_out: columns.left_out,
            fill: fills,
            notes,
            origin: Some(Origin {
                dialect: self.dialect.clone(),
                dropped,
                places: None,
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

/// Lines of the first byte at or after each of `bytes`, which ascend, that does not end a line.
pub(super) fn lines_at(reader: impl Read, bytes: &[u64]) -> std::io::Result<Vec<u64>> {
    let mut line = 1;
    let mut lines = Vec::new();
    for (place, next) in (0..).zip(BufReader::new(reader).bytes()) {
        let next = next?;
        while let Some(byte) = bytes.get(lines.len())
            && place >= *byte
            && !next.is_ascii_whitespace()
        {
            lines.push(line);
        }
        if lines.len() == bytes.len() {
            break;
        }
        line += u64::from(next == b'\n');
    }
    lines.resize(bytes.len(), line);
    Ok(lines)
}

pub(super) fn is_blank(record: &ByteRecord) -> bool {
    record.len() == 1 && record[0].trim_ascii().is_empty()
}
