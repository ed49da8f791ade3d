//! What the columns of a table hold, from all of its rows: asked only where a cell is no number.

use std::collections::BTreeMap;

use csv::ByteRecord;

use super::cells::{Cell, Decimal};

/// Different texts of a column that are told apart; beyond, it is no category.
const MOST_CATEGORIES: usize = 50;
/// Rows from which on texts that are all different are names of the rows.
const FEW_ROWS: usize = 10;
/// Cells without a value whose lines are named.
const SHOWN: usize = 3;

/// What a feature's column holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Numbers, or yes and no.
    Number,
    /// These texts, sorted.
    Categories(Vec<Vec<u8>>),
    /// Nothing to learn from.
    LeftOut(Reason),
}

/// Why a column is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    NoValues,
    Dates,
    /// More texts than are told apart.
    ManyTexts,
    /// A text of its own in every row.
    RowNames,
    /// One text in all rows.
    OneText,
}

impl Reason {
    /// What is said of the column called `name`, with advice that can be followed.
    pub fn note(self, name: &str) -> String {
        let (reason, advice) = match self {
            Self::NoValues => ("has no values", String::new()),
            Self::Dates => (
                "holds dates",
                "; write what matters of them, such as the hour, as a column of numbers"
                    .to_string(),
            ),
            Self::ManyTexts => (
                "has too many texts to be classes of something",
                String::new(),
            ),
            Self::RowNames => (
                "has another text in every row",
                format!("; insist with --keep {name}"),
            ),
            Self::OneText => (
                "has the same text in every row",
                format!("; insist with --keep {name}"),
            ),
        };
        format!("column {name:?} {reason} and is left out{advice}")
    }
}

/// What is wrong with a cell, with the place of its row in the text.
pub(super) struct Refusal {
    pub byte: u64,
    pub message: String,
}

/// A cell with the place of its row in the text.
#[derive(Clone, Debug)]
struct Place {
    byte: u64,
    cell: Vec<u8>,
}

/// What was seen in a column.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    rows: usize,
    numbers: usize,
    truths: usize,
    dates: usize,
    missing: usize,
    /// Of the first cells without a value.
    missing_at: Vec<u64>,
    /// The first that begins as a number.
    almost: Option<Place>,
    almost_numbers: usize,
    /// The first that is no number.
    odd: Option<Place>,
    texts: BTreeMap<Vec<u8>, usize>,
}

impl Tally {
    /// Looks at a cell.
    pub fn push(&mut self, cell: &[u8], decimal: Decimal, record: &ByteRecord) {
        let cell = cell.trim_ascii();
        let place = || Place {
            byte: byte(record),
            cell: cell.to_vec(),
        };
        self.rows += 1;
        match Cell::of(cell, decimal) {
            Cell::Number(_) => {
                self.numbers += 1;
                return;
            }
            Cell::Missing => {
                self.missing += 1;
                if self.missing_at.len() < SHOWN {
                    self.missing_at.push(byte(record));
                }
                return;
            }
            Cell::Truth(_) => self.truths += 1,
            Cell::Date => self.dates += 1,
            Cell::AlmostNumber => {
                self.almost_numbers += 1;
                self.almost.get_or_insert_with(place);
            }
            Cell::Text => {}
        }
        self.odd.get_or_insert_with(place);
        if self.texts.len() <= MOST_CATEGORIES || self.texts.contains_key(cell) {
            *self.texts.entry(cell.to_vec()).or_default() += 1;
        }
    }

    /// Cells without a value, and where the first ones are.
    pub fn missing(&self) -> (usize, &[u64]) {
        (self.missing, &self.missing_at)
    }

    /// What the column holds; `keep` where the user wants it whatever it is.
    ///
    /// # Errors
    ///
    /// A cell that does not go with the others.
    pub fn kind(&self, name: &str, keep: bool) -> Result<Kind, Refusal> {
        let present = self.rows - self.missing;
        if self.dates > 0 && self.dates == present && keep {
            let odd = self.odd.as_ref();
            return Err(Refusal {
                byte: odd.map_or(0, |place| place.byte),
                message: format!(
                    "column {name:?} holds dates such as {:?}, which are no numbers; write what matters of them, such as the hour, as a column of numbers",
                    shown(odd)
                ),
            });
        }
        match present {
            0 => Ok(Kind::LeftOut(Reason::NoValues)),
            _ if self.numbers == present || self.truths == present => Ok(Kind::Number),
            _ if self.dates == present => Ok(Kind::LeftOut(Reason::Dates)),
            _ if self.numbers * 2 >= present => Err(self.refuse(name, self.odd.as_ref(), "")),
            _ if self.almost_numbers * 2 > present => Err(self.refuse(
                name,
                self.almost.as_ref(),
                "write the unit into the header and only numbers into the cells, or ",
            )),
            _ => Ok(self.categories(present, keep)),
        }
    }

    fn categories(&self, present: usize, keep: bool) -> Kind {
        if self.texts.len() > MOST_CATEGORIES {
            return Kind::LeftOut(Reason::ManyTexts);
        }
        if self.texts.len() == present && present > FEW_ROWS && !keep {
            return Kind::LeftOut(Reason::RowNames);
        }
        if self.texts.len() == 1 && !keep && self.rows > 1 {
            return Kind::LeftOut(Reason::OneText);
        }
        let mut names: Vec<Vec<u8>> = self.texts.keys().cloned().collect();
        names.sort_unstable();
        Kind::Categories(names)
    }

    /// About a cell among numbers.
    fn refuse(&self, name: &str, place: Option<&Place>, fix: &str) -> Refusal {
        let others = match self.numbers {
            0 => String::new(),
            1 => " as in another row".to_string(),
            rows => format!(" as in {rows} other rows"),
        };
        Refusal {
            byte: place.map_or(0, |place| place.byte),
            message: format!(
                "column {name:?} is {:?}, expected a number{others}; {fix}correct the cell, or leave the column out with --drop",
                shown(place)
            ),
        }
    }
}

/// Of a record, in the text.
fn byte(record: &ByteRecord) -> u64 {
    record.position().map_or(0, csv::Position::byte)
}

fn shown(place: Option<&Place>) -> String {
    let cell = place.map_or(&[][..], |place| &place.cell);
    String::from_utf8_lossy(cell).chars().take(40).collect()
}
