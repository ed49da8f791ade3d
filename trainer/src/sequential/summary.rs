//! `summary`: Keras' table of layers, shapes and counts.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Sequential;
use crate::figures::thousands;
use crate::layers::Layer;
use crate::variable::Variable;

/// Keras' line length in a terminal of 80 columns.
const LINE_LENGTH: usize = 76;

/// One column of the table.
struct Column {
    header: &'static str,
    width: usize,
    align: Align,
}

#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
    Center,
}

/// How [`Sequential::summary_with`] shows a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryOptions {
    /// Characters of a line, at least 40. Defaults to 76, as in a terminal of 80 columns.
    pub line_length: usize,
    /// A column that says which layers learn. Defaults to false.
    pub show_trainable: bool,
}

impl Default for SummaryOptions {
    fn default() -> Self {
        Self {
            line_length: LINE_LENGTH,
            show_trainable: false,
        }
    }
}

impl Sequential {
    /// Keras' `summary()` as text.
    pub fn summary(&self) -> String {
        self.summary_with(SummaryOptions::default())
    }

    /// [`Sequential::summary`] with Keras' arguments.
    pub fn summary_with(&self, options: SummaryOptions) -> String {
        let show_trainable = options.show_trainable;
        let line_length = options.line_length.max(40);
        let columns = columns(line_length, show_trainable);
        let ranges = self.layer_variables();
        let rows = self.layers.iter().enumerate().map(|(i, layer)| {
            let variables = &self.variables[ranges[i].clone()];
            let mut row = vec![
                format!("{} ({})", layer.name(), layer.class_name()),
                self.output_shapes
                    .get(i)
                    .map_or("?".to_string(), |shape| self.shape_text(shape)),
                self.params_text(i, variables),
            ];
            if show_trainable {
                let mark = match (variables.is_empty(), layer.trainable()) {
                    (true, _) => "-",
                    (false, true) => "Y",
                    (false, false) => "N",
                };
                row.push(mark.to_string());
            }
            row
        });
        // Keras shows the input of a Functional model as a layer.
        let input = self
            .input
            .as_ref()
            .filter(|_| self.functional)
            .map(|input| {
                let mut row = vec![
                    format!("{} (InputLayer)", input.base.name()),
                    self.shape_text(&input.shape),
                    "0".to_string(),
                ];
                row.extend(show_trainable.then(|| "-".to_string()));
                row
            });
        let mut text = format!("Model: \"{}\"\n", self.name);
        text += &table(&columns, &input.into_iter().chain(rows).collect::<Vec<_>>());
        text += &self.totals();
        text
    }

    fn shape_text(&self, sample: &[usize]) -> String {
        let batch = self.input.as_ref().and_then(|input| input.batch_size);
        let batch = batch.map_or("None".to_string(), |size| size.to_string());
        let sizes = sample.iter().map(usize::to_string);
        let sizes: Vec<_> = std::iter::once(batch).chain(sizes).collect();
        match sizes.as_slice() {
            [one] => format!("({one})"),
            sizes => format!("({})", sizes.join(", ")),
        }
    }

    fn params_text(&self, index: usize, variables: &[Variable]) -> String {
        let built = self.output_shapes.len() > index;
        match (built, count(variables)) {
            // Layers that have no weights to wait for count as built from the beginning.
            (false, _) if waits(&self.layers[index]) => "0 (unbuilt)".to_string(),
            (_, count) => thousands(count),
        }
    }

    fn totals(&self) -> String {
        let trainable: usize = self
            .plan
            .iter()
            .filter(|leaf| self.leaf_learns(leaf))
            .map(|leaf| {
                let variables = self.variables[leaf.variables.clone()]
                    .iter()
                    .zip(&leaf.learns);
                variables
                    .filter(|(_, learns)| **learns)
                    .map(|(variable, _)| len(variable))
                    .sum::<usize>()
            })
            .sum();
        let others = self.values.len() - trainable;
        // Keras' only integers of 8 bytes: the count of a Normalization, the step of an optimizer.
        let wide = self
            .variables
            .iter()
            .filter(|v| v.name == "count" && v.shape.is_empty())
            .count();
        let (mut optimizer, mut optimizer_bytes) = (0, 0);
        let built = self
            .optimizer()
            .filter(|optimizer| optimizer.is_built())
            .map(|optimizer| optimizer.variables())
            .unwrap_or_default();
        for array in built {
            let len: usize = array.shape.iter().product();
            optimizer += len;
            optimizer_bytes += len
                * match array.data {
                    crate::ArrayData::I64(_) if array.name.ends_with("/iteration") => 8,
                    _ => 4,
                };
        }
        let other_bytes = others * 4 + wide * 4;
        let line = |what: &str, count: usize, bytes: usize| {
            format!(" {what} params: {} ({})\n", thousands(count), memory(bytes))
        };
        let mut text = line(
            "Total",
            trainable + others + optimizer,
            trainable * 4 + other_bytes + optimizer_bytes,
        );
        text += &line("Trainable", trainable, trainable * 4);
        text += &line("Non-trainable", others, other_bytes);
        if optimizer > 0 {
            text += &line("Optimizer", optimizer, optimizer_bytes);
        }
        text
    }
}

/// Whether Keras calls the layer unbuilt before its input shape is known.
fn waits(layer: &Layer) -> bool {
    matches!(layer, Layer::Sequential(_)) || layer.op().has_build_config()
}

fn len(variable: &Variable) -> usize {
    variable.range.len()
}

fn count(variables: &[Variable]) -> usize {
    variables.iter().map(len).sum()
}

/// Keras' columns, which end at fixed parts of the line.
fn columns(line_length: usize, show_trainable: bool) -> Vec<Column> {
    let factor = if show_trainable { 0.9 } else { 1.0 };
    let mut ends = vec![0.45 * factor, 0.80 * factor, 1.0 * factor];
    if show_trainable {
        ends.push(1.0);
    }
    let headers = ["Layer (type)", "Output Shape", "Param #", "Trainable"];
    let aligns = [Align::Left, Align::Left, Align::Right, Align::Center];
    let mut start = 0;
    let columns = ends
        .into_iter()
        .zip(headers)
        .zip(aligns)
        .map(|((end, header), align)| {
            let end = (end * line_length as f64) as usize; // rounded down, as Keras does
            let width = end - start;
            start = end;
            Column {
                header,
                width,
                align,
            }
        });
    fit(columns.collect(), line_length)
}

/// The table library that Keras uses draws frames and padding on top of the widths asked for, then
/// takes the excess from all columns evenly, halves rounded to even.
fn fit(mut columns: Vec<Column>, line_length: usize) -> Vec<Column> {
    let available = line_length - (columns.len() + 1);
    let total: usize = columns.iter().map(|column| column.width + 2).sum();
    let mut excess = total.saturating_sub(available);
    let mut left = columns.len();
    for column in &mut columns {
        let share = (excess as f64 / left as f64).round_ties_even() as usize; // small numbers
        column.width = column.width.saturating_sub(share).max(1);
        excess -= share;
        left -= 1;
    }
    columns
}

fn table(columns: &[Column], rows: &[Vec<String>]) -> String {
    let rule = |left: &str, fill: &str, cross: &str, right: &str| {
        let parts: Vec<_> = columns.iter().map(|c| fill.repeat(c.width + 2)).collect();
        format!("{left}{}{right}\n", parts.join(cross))
    };
    let row = |cells: Vec<Vec<String>>, bar: &str| {
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        let mut text = String::new();
        for line in 0..height {
            for (column, cell) in columns.iter().zip(&cells) {
                let part = cell.get(line).map_or("", String::as_str);
                text += &format!("{bar} {} ", pad(part, column.width, column.align));
            }
            text += bar;
            text.push('\n');
        }
        text
    };
    let mut text = rule("┏", "━", "┳", "┓");
    let headers = columns.iter().map(|c| wrap(c.header, c.width)).collect();
    text += &row(headers, "┃");
    text += &rule("┡", "━", "╇", "┩");
    for (i, cells) in rows.iter().enumerate() {
        if i > 0 {
            text += &rule("├", "─", "┼", "┤");
        }
        let cells = cells
            .iter()
            .zip(columns)
            .map(|(cell, c)| wrap(cell, c.width));
        text += &row(cells.collect(), "│");
    }
    text + &rule("└", "─", "┴", "┘")
}

/// Breaks between words; a word that is too long ends in an ellipsis. Widths are columns of a
/// terminal, of which some letters take two.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    for line in &mut lines {
        if line.width() > width {
            let mut cut = String::new();
            for c in line.chars() {
                if cut.width() + c.width().unwrap_or(0) + 1 > width {
                    break;
                }
                cut.push(c);
            }
            *line = cut + "…";
        }
    }
    lines
}

fn pad(text: &str, width: usize, align: Align) -> String {
    let free = width.saturating_sub(text.width());
    let before = match align {
        Align::Left => 0,
        Align::Right => free,
        Align::Center => free / 2,
    };
    format!("{}{text}{}", " ".repeat(before), " ".repeat(free - before))
}

/// `48.02 KB`
fn memory(bytes: usize) -> String {
    let mut size = bytes as f64; // exact below 2^53
    for unit in ["B", "KB", "MB", "GB", "TB"] {
        if size < 1024.0 {
            return format!("{size:.2} {unit}");
        }
        size /= 1024.0;
    }
    format!("{size:.2} PB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_sizes_read_as_in_keras() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(1984), "1,984");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(memory(49_172), "48.02 KB");
        assert_eq!(memory(76), "76.00 B");
    }

    #[test]
    fn long_words_are_cut_and_long_texts_wrapped() {
        assert_eq!(wrap("dense (Dense)", 10), ["dense", "(Dense)"]);
        assert_eq!(
            wrap("a_rather_long_name (Dense)", 9),
            ["a_rather…", "(Dense)"]
        );
        assert_eq!(wrap("正規化層 (Dense)", 7), ["正規化…", "(Dense)"]);
        assert_eq!(pad("正規化", 8, Align::Left), "正規化  ");
    }
}
