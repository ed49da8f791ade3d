//! The label column: numbers, or text that becomes class indices.

use std::collections::HashMap;

use super::cells::{Decimal, is_missing_label, number};
use super::columns::did_you_mean;
use super::number::parse_number;

/// Targets as they come: numbers, or text that becomes class indices.
pub(super) struct Labels<'a> {
    known: Option<&'a [String]>,
    values: Vec<f32>,
    /// Index by name, in order of appearance until `finish` sorts.
    names: HashMap<Vec<u8>, usize>,
    text: Vec<usize>,
    /// Whether a known class has a number for its name.
    called_by_numbers: bool,
}

/// Classes that were numbered as they appeared.
pub(super) struct Appeared {
    /// Sorted.
    pub names: Vec<String>,
    /// Among the names, by number.
    pub places: Vec<usize>,
}

impl<'a> Labels<'a> {
    pub(super) fn new(known: Option<&'a [String]>) -> Self {
        let names = known
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(index, name)| (name.clone().into_bytes(), index))
            .collect();
        Self {
            known,
            values: Vec::new(),
            names,
            text: Vec::new(),
            called_by_numbers: known
                .unwrap_or_default()
                .iter()
                .any(|name| parse_number(name.as_bytes()).is_some()),
        }
    }

    /// Of a class by its name, or by a number that is written in another way: `1.0` for `1`.
    fn known_index(&self, known: &[String], cell: &[u8], number: Option<f32>) -> Option<usize> {
        self.names.get(cell).copied().or_else(|| {
            let number = number.filter(|_| self.called_by_numbers)?;
            let is_it = |name: &String| parse_number(name.as_bytes()) == Some(number);
            known.iter().position(is_it)
        })
    }

    pub(super) fn push(
        &mut self,
        cell: &[u8],
        column: &str,
        decimal: Decimal,
    ) -> Result<(), String> {
        let cell = cell.trim_ascii();
        let shown = || String::from_utf8_lossy(cell).into_owned();
        if cell.is_empty() {
            return Err(format!(
                "column {column:?} is empty, expected a label; remove the row or fill the cell"
            ));
        }
        let number = number(cell, decimal);
        // A name that the model knows wins: classes may be called "3" and "7".
        if let Some(known) = self.known
            && self.values.is_empty()
            && let Some(index) = self.known_index(known, cell, number)
        {
            self.text.push(index);
            return Ok(());
        }
        // Where no class is called by a number, numbers are those of the classes, from 0.
        let number = number.filter(|_| !self.called_by_numbers);
        let mixed = |first: &str| {
            format!(
                "column {column:?} is {:?}, expected {first} as in the rows before; make all labels numbers or all text",
                shown()
            )
        };
        match number {
            Some(_) if !self.text.is_empty() => Err(mixed("text")),
            None if !self.values.is_empty() => Err(mixed("a number")),
            Some(value) => {
                self.values.push(value);
                Ok(())
            }
            None if (is_missing_label(cell) && self.known.is_none())
                || cell.eq_ignore_ascii_case(b"inf") =>
            {
                Err(format!(
                    "column {column:?} is {:?}, expected a label; remove the row or fill the cell",
                    shown()
                ))
            }
            None => {
                if let Some(known) = self.known {
                    return Err(format!(
                        "column {column:?} is {:?}, expected one of the model's classes {}{}",
                        shown(),
                        list(known),
                        did_you_mean(&shown(), known)
                    ));
                }
                let next = self.names.len();
                let index = *self.names.entry(cell.to_vec()).or_insert(next);
                self.text.push(index);
                Ok(())
            }
        }
    }

    /// Takes what was read so far but for the last one, by which labels of another kind are told: values, or numbers
    /// of classes as they appeared.
    pub(super) fn drain(&mut self) -> Vec<f32> {
        let values = self.values.len().saturating_sub(1);
        let text = self.text.len().saturating_sub(1);
        let text: Vec<f32> = self.text.drain(..text).map(|index| index as f32).collect();
        self.values.drain(..values).chain(text).collect()
    }

    /// The values that [`Self::drain`] left, and of text the classes' names and their places by the numbers that
    /// they have as they appeared.
    pub(super) fn finish_drained(mut self) -> (Vec<f32>, Option<Appeared>) {
        if self.text.is_empty() {
            return (self.values, None);
        }
        let rest = self.text.iter().map(|&index| index as f32).collect();
        // One of each class, as they appeared.
        self.text = (0..self.names.len()).collect();
        let (places, names) = self.finish();
        let places = places.into_iter().map(|place| place as usize).collect();
        (rest, names.map(|names| Appeared { names, places }))
    }

    /// Values and class names. Names are sorted, so that they do not depend on the rows' order.
    pub(super) fn finish(self) -> (Vec<f32>, Option<Vec<String>>) {
        if self.text.is_empty() {
            return (self.values, None);
        }
        let as_values =
            |indices: &[usize]| -> Vec<f32> { indices.iter().map(|&index| index as f32).collect() };
        if let Some(known) = self.known {
            return (as_values(&self.text), Some(known.to_vec()));
        }
        let mut sorted: Vec<(Vec<u8>, usize)> = self.names.into_iter().collect();
        sorted.sort_unstable();
        let mut new_index = vec![0; sorted.len()];
        for (place, (_, index)) in sorted.iter().enumerate() {
            new_index[*index] = place;
        }
        let text: Vec<usize> = self.text.iter().map(|&index| new_index[index]).collect();
        let names = sorted
            .into_iter()
            .map(|(name, _)| String::from_utf8_lossy(&name).into_owned())
            .collect();
        (as_values(&text), Some(names))
    }
}

/// `a, b, c`, cut in the middle when long.
pub fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    if names.len() <= SHOWN {
        names.join(", ")
    } else {
        format!(
            "{}, ... {}",
            names[..SHOWN - 1].join(", "),
            names[names.len() - 1]
        )
    }
}
