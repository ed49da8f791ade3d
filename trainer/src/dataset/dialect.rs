//! How a table is written: what separates its cells, its decimals, its comments, its header line.

use csv::{ByteRecord, ReaderBuilder};

use super::cells::{Decimal, number};

/// Characters that may separate cells. Where several would do, the first: a comma may be of decimals.
const SEPARATORS: [u8; 4] = [b'\t', b';', b'|', b','];

/// What is known about a table's form; the rest is found.
#[derive(Clone, Debug, PartialEq)]
pub struct DialectOptions {
    /// The character between cells. Defaults to a comma, semicolon, tab or `|`, whichever fits.
    pub separator: Option<u8>,
    /// The character before decimals. Defaults to what the numbers show.
    pub decimal: Option<Decimal>,
    /// Whether the first line names the columns. Defaults to yes; else they are called
    /// `column_1` and so on.
    pub header: bool,
}

impl Default for DialectOptions {
    fn default() -> Self {
        Self {
            separator: None,
            decimal: None,
            header: true,
        }
    }
}

/// A table's form.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dialect {
    pub separator: u8,
    pub decimal: Decimal,
    /// Whether lines that begin with `#` are comments.
    pub comments: bool,
    /// The names of the columns, where no line holds them or a comment does.
    pub names: Option<Vec<String>>,
    /// Whether rows have one cell more than the header, which is a name or number of the row.
    pub row_names: bool,
    /// Columns at the end that have neither a name nor values.
    pub empty: usize,
}

impl Dialect {
    /// Finds the form of a table by its beginning.
    ///
    /// # Errors
    ///
    /// What cannot be decided, with the option that decides it.
    pub fn find(sample: &[u8], options: &DialectOptions) -> Result<Self, String> {
        let comments = has_comments(sample);
        let separator = match options.separator {
            Some(separator) => separator,
            None => separator(sample, comments),
        };
        let records = records(sample, separator, comments);
        let names = match (records.first(), options.header) {
            (Some(first), false) => {
                Some((1..=first.len()).map(|n| format!("column_{n}")).collect())
            }
            (Some(first), true) if comments => names_in_comment(sample, separator, first),
            _ => None,
        };
        if options.header && names.is_none() {
            check_header(&records)?;
        }
        let decimal = match options.decimal {
            Some(decimal) => decimal,
            None => decimal(&records, separator)?,
        };
        let width = records.first().map_or(0, ByteRecord::len);
        let rows = records.get(1..).unwrap_or_default();
        Ok(Self {
            row_names: names.is_none()
                && !rows.is_empty()
                && rows.iter().all(|row| row.len() == width + 1),
            empty: empty_columns(&records),
            separator,
            decimal,
            comments,
            names,
        })
    }

    /// A reader of all records, the header line among them.
    pub fn reader<R: std::io::Read>(&self, text: R) -> csv::Reader<R> {
        ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.separator)
            .comment(self.comments.then_some(b'#'))
            .buffer_capacity(1 << 16)
            .from_reader(text)
    }

    /// What is not as in a plain CSV file.
    pub fn found(&self) -> Vec<String> {
        let mut found = Vec::new();
        match self.separator {
            b',' => {}
            b'\t' => found.push("separated by tabs".to_string()),
            other => found.push(format!("separated by {:?}", char::from(other))),
        }
        if self.decimal == Decimal::Comma {
            found.push("decimal comma".to_string());
        }
        if self.comments {
            found.push("comments behind '#'".to_string());
        }
        found
    }
}

/// The records of whole lines, blank lines left out.
fn records(sample: &[u8], separator: u8, comments: bool) -> Vec<ByteRecord> {
    let whole = match sample.iter().rposition(|&b| b == b'\n') {
        Some(end) if sample.len() >= 1 << 16 => &sample[..=end],
        _ => sample,
    };
    let dialect = Dialect {
        separator,
        decimal: Decimal::Point,
        comments,
        names: None,
        row_names: false,
        empty: 0,
    };
    dialect
        .reader(whole)
        .byte_records()
        .filter_map(Result::ok)
        .filter(|record| record.len() > 1 || !record[0].trim_ascii().is_empty())
        .collect()
}

/// How many columns at the end have no name and no value.
fn empty_columns(records: &[ByteRecord]) -> usize {
    let width = records.first().map_or(0, ByteRecord::len);
    let is_empty = |&column: &usize| {
        records.iter().all(|record| {
            record
                .get(column)
                .is_none_or(|cell| cell.trim_ascii().is_empty())
        })
    };
    (1..width).rev().take_while(is_empty).count()
}

/// Whether some lines begin with `#`, but not most of them.
fn has_comments(sample: &[u8]) -> bool {
    let lines = || {
        sample
            .split(|&b| b == b'\n')
            .filter(|line| !line.trim_ascii().is_empty())
    };
    let marked = lines().filter(|line| line.starts_with(b"#")).count();
    marked > 0 && (marked * 2 < lines().count() || lines().count() <= 2)
}

/// The character that gives the first line several cells, and most others as many.
fn separator(sample: &[u8], comments: bool) -> u8 {
    let fits = |&separator: &u8| {
        let records = records(sample, separator, comments);
        let width = records.first().map_or(0, ByteRecord::len);
        if width < 2 {
            return 0;
        }
        // A first line with one cell less may lack the name of the column of row names.
        let like = |wanted: usize| records.iter().skip(1).filter(|r| r.len() == wanted).count();
        let same = like(width).max(like(width + 1)) + 1;
        same * 100 / records.len()
    };
    SEPARATORS
        .into_iter()
        .rev()
        .max_by_key(fits)
        .filter(|separator| fits(separator) > 0)
        .unwrap_or(b',')
}

/// Names behind a `#`, in the last comment before the first row, as `numpy.savetxt` writes them.
fn names_in_comment(sample: &[u8], separator: u8, first: &ByteRecord) -> Option<Vec<String>> {
    let is_number = |cell: &[u8]| {
        [Decimal::Point, Decimal::Comma]
            .into_iter()
            .any(|decimal| number(cell.trim_ascii(), decimal).is_some())
    };
    let is_data = first.iter().any(is_number);
    let mut comments = sample
        .split(|&b| b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take_while(|line| line.starts_with(b"#"));
    let last = comments.by_ref().last()?;
    let names: Vec<String> = String::from_utf8_lossy(&last[1..])
        .split(char::from(separator))
        .map(|name| name.trim().trim_matches('"').to_string())
        .collect();
    (is_data && names.len() == first.len()).then_some(names)
}

/// Refuses a first line that is a row of data.
fn check_header(records: &[ByteRecord]) -> Result<(), String> {
    let Some((first, rest)) = records.split_first() else {
        return Ok(());
    };
    let numbers: Vec<Option<f32>> = first
        .iter()
        .map(|cell| number(cell.trim_ascii(), Decimal::Point))
        .collect();
    let all = numbers.iter().all(Option::is_some);
    // Names of pixels may be 0, 1, 2: whole numbers that are all different.
    let given = || numbers.iter().flatten();
    let measured = given().any(|n| n.fract() != 0.0 || *n < 0.0);
    let mut sorted: Vec<u32> = given().map(|n| n.to_bits()).collect();
    sorted.sort_unstable();
    let twice = sorted.windows(2).any(|pair| pair[0] == pair[1]);
    // A label of the first row stands in other rows too.
    let again = first.iter().enumerate().any(|(column, cell)| {
        let text = number(cell.trim_ascii(), Decimal::Point).is_none();
        text && !cell.trim_ascii().is_empty()
            && rest.iter().any(|record| record.get(column) == Some(cell))
    });
    let some = given().next().is_some();
    if all || (some && (measured || twice || again)) {
        return Err("the first line holds numbers, expected column names; add a header line such as a,b,label, or give --no-header".to_string());
    }
    Ok(())
}

/// By the numbers: those that can only be of one kind decide.
fn decimal(records: &[ByteRecord], separator: u8) -> Result<Decimal, String> {
    let (mut point, mut comma, mut unclear) = (false, false, None);
    for cell in records.iter().skip(1).flatten() {
        let cell = cell.trim_ascii();
        let by = |decimal| number(cell, decimal).is_some();
        if !cell.contains(&b',') && !cell.contains(&b'.') {
            continue;
        }
        match (by(Decimal::Point), by(Decimal::Comma)) {
            (true, false) => point = true,
            (false, true) => comma = true,
            (true, true) if cell.contains(&b',') => unclear = unclear.or(Some(cell)),
            (true, true) | (false, false) => {}
        }
    }
    match unclear {
        _ if comma && !point => Ok(Decimal::Comma),
        Some(cell) if !point && separator != b',' => Err(format!(
            "{:?} has decimals or thousands behind its comma, which no other number tells; give --decimal , or --decimal .",
            String::from_utf8_lossy(cell)
        )),
        _ => Ok(Decimal::Point),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> Result<Dialect, String> {
        Dialect::find(text.as_bytes(), &DialectOptions::default())
    }

    #[test]
    fn separator_and_decimals_are_found() {
        for (text, separator, decimal) in [
            ("a,b\n1,2\n", b',', Decimal::Point),
            ("a\n1\n", b',', Decimal::Point),
            ("a;b\n1;2\n", b';', Decimal::Point),
            ("a;b\n1,5;2,5\n", b';', Decimal::Comma),
            ("a\tb\n1,5\t2\n", b'\t', Decimal::Comma),
            ("a|b\n1.5|2\n", b'|', Decimal::Point),
            ("a,b\n\"1,5\",2\n", b',', Decimal::Comma),
            ("a,b\n\"1,000\",2\n", b',', Decimal::Point),
            ("a;b\n1,000;2.5\n", b';', Decimal::Point),
            ("a;b\n1.000,5;2\n", b';', Decimal::Comma),
            ("a,b\nx;y,2\n", b',', Decimal::Point),
            ("a;b\n1.234;5,8\n", b';', Decimal::Comma),
        ] {
            let found = find(text).unwrap();
            assert_eq!(
                (found.separator, found.decimal),
                (separator, decimal),
                "{text}"
            );
        }
        assert_eq!(
            find("a;b\n1,000;2\n").unwrap_err(),
            "\"1,000\" has decimals or thousands behind its comma, which no other number tells; give --decimal , or --decimal ."
        );
    }

    #[test]
    fn comments_and_names_in_them_are_found() {
        let found = find("# node 7\na,b\n1,2\n3,4\n").unwrap();
        assert!(found.comments && found.names.is_none());
        let found = find("# node 7\n# a,b\n1.5,2\n3,4\n5,6\n").unwrap();
        assert_eq!(found.names.unwrap(), ["a", "b"]);
        assert!(!find("a,b\n#1,2\n#3,4\n").unwrap().comments);
    }

    #[test]
    fn a_first_line_of_data_is_refused_and_names_that_are_numbers_are_not() {
        for text in [
            "1,2\n3,4\n",
            "5.8,4.0,setosa\n5.1,2.5,setosa\n",
            "5,3,setosa\n6,2,setosa\n",
            "1,1,x\n2,3,y\n",
        ] {
            assert!(
                find(text).unwrap_err().ends_with("or give --no-header"),
                "{text}"
            );
        }
        for text in ["label,0,1,2\n5,0,0,0\n", "a,b,label\n1,2,x\n"] {
            assert!(find(text).unwrap().names.is_none(), "{text}");
        }
        let options = DialectOptions {
            header: false,
            ..DialectOptions::default()
        };
        let found = Dialect::find(b"1,2\n", &options).unwrap();
        assert_eq!(found.names.unwrap(), ["column_1", "column_2"]);
    }
}
