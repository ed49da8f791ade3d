//! Tables that are larger than memory: their numbers lie in a file of their own, which the system pages in and
//! out.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use memmap2::Mmap;
use ndarray::{ArrayViewD, IxDyn};

use super::Dataset;
use super::csv::CsvOptions;
use super::missing::Missing;
use super::table;
use crate::{Error, Result};

/// Rows of a table that is read while it is written to a temporary file.
#[derive(Debug)]
pub struct SpooledTable {
    /// The first rows, with what is known of all: names, classes, notes.
    pub head: Dataset,
    rows: usize,
    width: usize,
    targets: usize,
    x: Mmap,
    y: Mmap,
}

/// Rows of a table's head.
pub(super) const HEAD: usize = 10_000;

impl SpooledTable {
    /// Reads a table with its targets; the file lies where temporary files do, without a name, and takes 4 bytes
    /// for each number.
    ///
    /// Columns that number the rows are told by the first 10,000.
    ///
    /// # Errors
    ///
    /// As [`Dataset::from_csv`]; [`Error::Value`] for options about missing cells and groups, which need all
    /// rows at once; [`Error::Io`] where the temporary file cannot be written.
    pub fn read(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Self> {
        let path = path.as_ref();
        if options.missing != Missing::Refuse || options.group.is_some() {
            return Err(Error::value(
                "a table that is read as a stream has no missing cells and no groups, expected neither option; fill the cells first, or read all of it at once",
            ));
        }
        let temporary =
            || tempfile::tempfile().map_err(|source| Error::io(std::env::temp_dir(), source));
        let (mut x, mut y) = (temporary()?, temporary()?);
        let spooled = table::spool(path, options, &mut x, &mut y)?;
        if let Some(places) = &spooled.places {
            y = renumbered(y, places, temporary()?)?;
        }
        let map = |file: &File| {
            // SAFETY: the file has no name and is open here alone: nobody else can change or cut it.
            unsafe { Mmap::map(file) }.map_err(|source| Error::io(std::env::temp_dir(), source))
        };
        Ok(Self {
            rows: spooled.rows,
            width: spooled.head.row_shape().iter().product(),
            targets: spooled.head.target_names.len(),
            head: spooled.head,
            x: map(&x)?,
            y: map(&y)?,
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Features, `[rows, columns]`.
    pub fn x(&self) -> ArrayViewD<'_, f32> {
        view(&self.x, &[self.rows, self.width])
    }

    /// Targets, `[rows]`, or `[rows, targets]` of several columns.
    pub fn y(&self) -> ArrayViewD<'_, f32> {
        match self.targets {
            1 => view(&self.y, &[self.rows]),
            targets => view(&self.y, &[self.rows, targets]),
        }
    }
}

fn view<'a>(map: &'a Mmap, shape: &[usize]) -> ArrayViewD<'a, f32> {
    // A mapping begins with a page.
    let values: &[f32] = bytemuck::cast_slice(map);
    ArrayViewD::from_shape(IxDyn(shape), values).expect("every row was written whole")
}

/// Classes in the order of their names, which were numbered as they appeared.
fn renumbered(mut from: File, places: &[usize], to: File) -> Result<File> {
    let io = |source| Error::io(std::env::temp_dir(), source);
    from.seek(SeekFrom::Start(0)).map_err(io)?;
    let mut reader = BufReader::new(from);
    let mut writer = BufWriter::new(to);
    let mut bytes = [0; 4];
    while reader.read_exact(&mut bytes).is_ok() {
        let class = f32::from_ne_bytes(bytes) as usize; // a small index
        let place = places.get(class).copied().unwrap_or(class) as f32;
        writer.write_all(&place.to_ne_bytes()).map_err(io)?;
    }
    writer.into_inner().map_err(|error| io(error.into_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn a_spooled_table_is_the_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.csv");
        let mut text = "id,a,mode,flag,label\n".to_string();
        // More rows than the head, a text and a class that come late.
        for row in 0..25_000 {
            let mode = if row == 24_000 {
                "late"
            } else {
                ["walk", "ride"][row % 2]
            };
            let label = if row > 20_000 {
                "a late class"
            } else {
                ["z", "b"][row % 2]
            };
            let flag = if row % 3 == 0 { "yes" } else { "no" };
            let _ = writeln!(text, "{row},{}.5,{mode},{flag},{label}", row * 7 % 1000);
        }
        std::fs::write(&path, &text).unwrap();
        let options = CsvOptions::default();
        let whole = Dataset::from_csv(&path, &options).unwrap();
        let spooled = SpooledTable::read(&path, &options).unwrap();
        assert_eq!(spooled.rows(), whole.rows());
        assert_eq!(spooled.x(), whole.x);
        assert_eq!(Some(spooled.y().to_owned()), whole.y);
        let head = &spooled.head;
        assert_eq!(head.feature_names, whole.feature_names);
        assert_eq!(head.class_names, whole.class_names);
        assert_eq!(head.notes, whole.notes);
        assert_eq!(
            (head.rows(), head.x.index_axis(ndarray::Axis(0), 1)),
            (HEAD, whole.x.index_axis(ndarray::Axis(0), 1))
        );
        assert_eq!(head.y.as_ref().unwrap()[3], whole.y.as_ref().unwrap()[3]);
        // What is wrong late is named by its line.
        std::fs::write(&path, text + "25000,1,walk,no,b\n25001,x,walk,no,b\n").unwrap();
        let errors = [
            Dataset::from_csv(&path, &options).unwrap_err().to_string(),
            SpooledTable::read(&path, &options).unwrap_err().to_string(),
        ];
        assert_eq!(errors[0], errors[1]);
    }
}
