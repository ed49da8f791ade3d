//! What a cell of a table holds: a number in some way of writing, nothing, a truth, a date, text.

use super::number::parse_number;

/// The character before the decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decimal {
    /// `1.5`
    #[default]
    Point,
    /// `1,5`
    Comma,
}

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    /// A finite number.
    Number(f32),
    /// One of [`MISSING`].
    Missing,
    /// `true`, `yes` and the like.
    Truth(bool),
    /// A date, or a date and a time.
    Date,
    /// Begins as a number and is none: with a unit such as `21.5 C`, or beyond the range of f32.
    AlmostNumber,
    Text,
}

/// What stands for a value that is not there, in any case.
const MISSING: [&[u8]; 7] = [b"", b"na", b"n/a", b"nan", b"null", b"none", b"?"];
const DASH: &[u8] = b"-";

/// Words for yes and for no, in any case.
const TRUTHS: [(&[u8], bool); 6] = [
    (b"true", true),
    (b"yes", true),
    (b"on", true),
    (b"false", false),
    (b"no", false),
    (b"off", false),
];

impl Cell {
    /// Reads a cell.
    pub fn of(cell: &[u8], decimal: Decimal) -> Self {
        let cell = cell.trim_ascii();
        if let Some(number) = number(cell, decimal) {
            return Self::Number(number);
        }
        if is_missing(cell) {
            return Self::Missing;
        }
        if let Some(truth) = truth(cell) {
            return Self::Truth(truth);
        }
        if is_date(cell) {
            return Self::Date;
        }
        if has_unit(cell, decimal) || is_large(cell) {
            return Self::AlmostNumber;
        }
        Self::Text
    }
}

/// Whether the cell says that there is no value.
pub(super) fn is_missing(cell: &[u8]) -> bool {
    cell == DASH || MISSING.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// Whether a label's cell says that there is no value; a class may be called `none`.
pub(super) fn is_missing_label(cell: &[u8]) -> bool {
    is_missing(cell)
        && ![&b"none"[..], b"null", DASH]
            .iter()
            .any(|word| cell.eq_ignore_ascii_case(word))
}

/// Yes or no, by a word.
pub(super) fn truth(cell: &[u8]) -> Option<bool> {
    TRUTHS
        .iter()
        .find(|(word, _)| cell.eq_ignore_ascii_case(word))
        .map(|(_, truth)| *truth)
}

/// A number with a decimal point or comma, its thousands apart or not.
pub(super) fn number(cell: &[u8], decimal: Decimal) -> Option<f32> {
    let (point, mark) = match decimal {
        Decimal::Point => (b'.', b','),
        Decimal::Comma => (b',', b'.'),
    };
    if decimal == Decimal::Point {
        if let Some(number) = parse_number(cell) {
            return Some(number);
        }
    } else if !cell.contains(&mark) && !cell.contains(&b'\'') && !cell.contains(&b' ') {
        let plain: Vec<u8> = cell
            .iter()
            .map(|&b| if b == point { b'.' } else { b })
            .collect();
        return parse_number(&plain);
    }
    let whole_end = cell.iter().position(|&b| b == point).unwrap_or(cell.len());
    let (whole, decimals) = cell.split_at(whole_end);
    let joined = without_groups(whole, mark)?;
    let decimals = decimals.iter().map(|&b| if b == point { b'.' } else { b });
    parse_number(&joined.into_iter().chain(decimals).collect::<Vec<u8>>())
}

/// `1000` of `1,000`: groups of three digits behind the first, all apart by the same mark.
fn without_groups(whole: &[u8], mark: u8) -> Option<Vec<u8>> {
    let digits = whole.strip_prefix(b"-").unwrap_or(whole);
    let used = *digits.iter().find(|b| !b.is_ascii_digit())?;
    if ![mark, b' ', b'\''].contains(&used) {
        return None;
    }
    let mut groups = digits.split(|&b| b == used);
    let first = groups.next()?;
    let is_group = |group: &[u8]| group.iter().all(u8::is_ascii_digit);
    if first.is_empty() || first.len() > 3 || !is_group(first) {
        return None;
    }
    let mut joined = whole[..whole.len() - digits.len()].to_vec();
    joined.extend(first);
    for group in groups {
        if group.len() != 3 || !is_group(group) {
            return None;
        }
        joined.extend(group);
    }
    Some(joined)
}

/// `2024-01-31`, `31.01.2024`, `1/31/24`, with a time behind it or not, or a time alone.
fn is_date(cell: &[u8]) -> bool {
    let (date, time) = match cell.iter().position(|&b| b == b' ' || b == b'T') {
        Some(place) => (&cell[..place], Some(&cell[place + 1..])),
        None => (cell, None),
    };
    let is_clock = |text: &[u8]| {
        let mut parts = text.split(|&b| b == b':');
        let short =
            |part: &[u8]| matches!(part.len(), 1 | 2) && part.iter().all(u8::is_ascii_digit);
        parts.next().is_some_and(short)
            && parts
                .next()
                .is_some_and(|part| part.len() == 2 && part.iter().all(u8::is_ascii_digit))
    };
    let is_day = |separator: u8| {
        let parts: Vec<&[u8]> = date.split(|&b| b == separator).collect();
        parts.len() == 3
            && parts
                .iter()
                .all(|part| matches!(part.len(), 1 | 2 | 4) && part.iter().all(u8::is_ascii_digit))
    };
    let is_day = [b'-', b'/', b'.'].into_iter().any(is_day);
    match time {
        Some(time) => is_day && is_clock(time),
        None => is_day || is_clock(date),
    }
}

/// A number that is followed by a unit: `5 cm`, `21.5°C`, `80%`.
fn has_unit(cell: &[u8], decimal: Decimal) -> bool {
    let in_number = |b: &u8| b.is_ascii_digit() || b",.-+'".contains(b);
    let end = cell
        .iter()
        .position(|b| !in_number(b))
        .unwrap_or(cell.len());
    let (number_part, unit) = cell.split_at(end);
    let unit = unit.trim_ascii();
    number(number_part, decimal).is_some()
        && !unit.is_empty()
        && unit.len() <= 8
        && !unit.iter().any(u8::is_ascii_digit)
}

/// A number that f32 does not hold, infinity too.
fn is_large(cell: &[u8]) -> bool {
    std::str::from_utf8(cell).is_ok_and(|text| text.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let point = |text: &str| number(text.as_bytes(), Decimal::Point);
        let comma = |text: &str| number(text.as_bytes(), Decimal::Comma);
        for (text, value) in [
            ("1.5", 1.5),
            ("1,000", 1000.0),
            ("-1,234,567.5", -1_234_567.5),
            ("1 000", 1000.0),
            ("1'000.5", 1000.5),
            ("1e3", 1000.0),
        ] {
            assert_eq!(point(text), Some(value), "{text}");
        }
        for (text, value) in [
            ("1,5", 1.5),
            ("1.000", 1000.0),
            ("-1.234,5", -1234.5),
            ("7", 7.0),
            ("1,5e2", 150.0),
        ] {
            assert_eq!(comma(text), Some(value), "{text}");
        }
        for text in [
            "1,00",
            "1,0000",
            "1,000,00",
            ",000",
            "1.5,000",
            "1,000'000",
            "",
            "a",
            "1,5",
        ] {
            assert_eq!(point(text), None, "{text}");
        }
        assert_eq!(comma("1.5"), None);
    }

    #[test]
    fn other_cells_are_told_apart() {
        let of = |text: &str| Cell::of(text.as_bytes(), Decimal::Point);
        for text in ["", " ", "NA", "N/A", "NaN", "null", "None", "?", "-"] {
            assert_eq!(of(text), Cell::Missing, "{text:?}");
        }
        assert_eq!(of("True"), Cell::Truth(true));
        assert_eq!(of("no"), Cell::Truth(false));
        for text in [
            "2024-01-31",
            "2015-02-04 17:51:00",
            "2024-01-31T10:00",
            "31.01.2024",
            "1/31/24",
            "10:30",
            "17:51:00.5",
        ] {
            assert_eq!(of(text), Cell::Date, "{text}");
        }
        for text in ["5 cm", "21.5\u{b0}C", "80%", "-3 dB", "1e39", "inf"] {
            assert_eq!(of(text), Cell::AlmostNumber, "{text}");
        }
        for text in ["walk", "a1", "1-2", "sensor 5", "192.168.0.1"] {
            assert_eq!(of(text), Cell::Text, "{text}");
        }
    }
}
