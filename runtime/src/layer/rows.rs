//! Weights before they are packed.

/// The rows of one block, as the packers take them.
pub(crate) struct Rows<'a> {
    /// Of each row, as many as the block has units, at most [`ROWS`](super::ROWS).
    pub bias: &'a [i32],
    /// Of each row.
    pub weights: &'a [i8],
    pub inputs: usize,
}

impl Rows<'_> {
    /// Zero where the block has fewer rows.
    pub fn bias(&self, row: usize) -> i32 {
        self.bias.get(row).copied().unwrap_or(0)
    }

    /// Zero where the block has fewer rows, or the row fewer weights.
    pub fn weight(&self, row: usize, input: usize) -> i8 {
        if input >= self.inputs {
            return 0;
        }
        self.weights
            .get(row * self.inputs + input)
            .copied()
            .unwrap_or(0)
    }
}
