//! A row of a table for each input: what categories are on the device.

/// Rows of a table, chosen by the values of a sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LookupStep {
    /// Values of a sample.
    pub inputs: usize,
    /// A value's row is how many of them it is not below; without any it is the value itself, rounded towards zero.
    pub bounds: Vec<f64>,
    /// Values of a row.
    pub units: usize,
    /// `[rows, units]`
    pub table: Vec<f64>,
    /// Whether a value without a row gives zeros.
    pub zeros: bool,
    /// What the table's values are whole multiples of, 127 at most, where they lie on the device as int8.
    pub scale: Option<f64>,
    /// Whether models of integers have the table in int8, rounded.
    pub rounds: bool,
}

impl LookupStep {
    /// A row for each category, with a 1 at its own place.
    pub fn one_hot(inputs: usize, bounds: Vec<f64>, tokens: usize) -> Self {
        let place = |at: usize| f64::from(u8::from(at / tokens == at % tokens));
        Self {
            inputs,
            bounds,
            units: tokens,
            table: (0..tokens * tokens).map(place).collect(),
            zeros: true,
            scale: Some(1.0),
            rounds: false,
        }
    }

    /// Values that it writes.
    pub fn outputs(&self) -> usize {
        self.inputs * self.units
    }

    /// Puts the table into int8, where it may be rounded.
    pub fn round(&mut self) {
        let largest = self
            .table
            .iter()
            .fold(0.0, |most: f64, v| most.max(v.abs()));
        if self.rounds && largest > 0.0 {
            // The device has it in f32.
            let scale = f64::from((largest / 127.0) as f32);
            for value in &mut self.table {
                *value = (*value / scale).round().clamp(-127.0, 127.0) * scale;
            }
            self.scale = Some(scale);
        }
    }

    /// The values of a sample's rows. What has no row takes the nearest one, where it does not give zeros: such
    /// samples are refused before.
    pub fn apply(&self, sample: impl Iterator<Item = f64>) -> Vec<f64> {
        let rows = self.table.len() / self.units.max(1);
        let mut y = Vec::with_capacity(self.outputs());
        for x in sample {
            let row = match self.bounds.is_empty() {
                true => category(x, rows),
                false => Some(self.bounds.partition_point(|bound| *bound <= x)),
            };
            match row {
                None if self.zeros => y.extend(std::iter::repeat_n(0.0, self.units)),
                row => {
                    let nearest = if x > 0.0 { rows - 1 } else { 0 };
                    let start = row.unwrap_or(nearest) * self.units;
                    y.extend(&self.table[start..start + self.units]);
                }
            }
        }
        y
    }
}

/// The category that a number stands for, of so many: Keras casts it to an integer, which rounds towards zero.
pub(crate) fn category(x: f64, categories: usize) -> Option<usize> {
    // Categories are far below 2^52, and the number is above -1 then.
    (x > -1.0 && x < categories as f64).then_some(x as usize)
}
