//! The values of a sample that are normalized together: those along some of its axes.

use super::base::sample_axis;
use crate::{Error, Result};

/// Where the groups of a sample begin, and where the values of a group lie from there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Groups {
    starts: Vec<usize>,
    offsets: Vec<usize>,
}

impl Groups {
    /// The groups over the axes `axis` (Keras' numbers, in any order) of samples of shape `input`,
    /// and the sizes of these axes.
    pub fn new(axis: &[i64], input: &[usize], class: &str) -> Result<(Self, Vec<usize>)> {
        let axes = axis.iter().map(|&axis| sample_axis(axis, input, class));
        let mut axes = axes.collect::<Result<Vec<_>>>()?;
        axes.sort_unstable();
        if axes.is_empty() || axes.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::value(format!(
                "{class} has axis {axis:?}, expected one or more axes, each once"
            )));
        }
        let (mut starts, mut offsets) = (vec![0], vec![0]);
        for (axis, &size) in input.iter().enumerate() {
            let stride: usize = input[axis + 1..].iter().product();
            let indices = match axes.contains(&axis) {
                true => &mut offsets,
                false => &mut starts,
            };
            let along = |&index: &usize| (0..size).map(move |i| index + i * stride);
            *indices = indices.iter().flat_map(along).collect();
        }
        let sizes = axes.iter().map(|&axis| input[axis]).collect();
        Ok((Self { starts, offsets }, sizes))
    }

    /// Values in a group; 1 before the layer is built.
    pub fn len(&self) -> usize {
        self.offsets.len().max(1)
    }

    /// Whether the values of a group lie side by side, and the groups one after the other.
    pub fn is_contiguous(&self) -> bool {
        self.offsets.iter().copied().eq(0..self.offsets.len())
    }

    /// The positions of the first values of all groups of `values` values.
    pub fn starts(&self, values: usize) -> impl Iterator<Item = usize> {
        let sample = self.starts.len() * self.offsets.len();
        let samples = (0..values).step_by(sample.max(1));
        samples.flat_map(|at| self.starts.iter().map(move |start| at + start))
    }

    /// Where the values of each group of a sample lie.
    pub fn positions(&self) -> Vec<Vec<usize>> {
        let group = |start: &usize| self.offsets.iter().map(|offset| start + offset).collect();
        self.starts.iter().map(group).collect()
    }

    /// One value for each of a group's, as one for each of a sample's.
    pub fn spread(&self, values: &[f64]) -> Vec<f64> {
        let mut sample = vec![0.0; self.starts.len() * self.offsets.len()];
        for start in &self.starts {
            for (offset, value) in self.offsets.iter().zip(values) {
                sample[start + offset] = *value;
            }
        }
        sample
    }

    /// Copies the group at `start` into `to`.
    pub fn gather(&self, from: &[f32], start: usize, to: &mut [f32]) {
        let from = &from[start..];
        for (to, &offset) in to.iter_mut().zip(&self.offsets) {
            *to = from[offset];
        }
    }

    /// Copies `from` to the group at `start`.
    pub fn scatter(&self, from: &[f32], to: &mut [f32], start: usize) {
        let to = &mut to[start..];
        for (from, &offset) in from.iter().zip(&self.offsets) {
            to[offset] = *from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_middle_axis_skips_over_the_last_one() {
        let (groups, sizes) = Groups::new(&[1], &[2, 3], "Layer").expect("an axis");
        assert_eq!(sizes, [2]);
        // Two samples of 2 rows and 3 columns; a group is a column.
        let starts: Vec<_> = groups.starts(12).collect();
        assert_eq!(starts, [0, 1, 2, 6, 7, 8]);
        let mut group = [0.0; 2];
        groups.gather(
            &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0],
            7,
            &mut group,
        );
        assert_eq!(group, [7.0, 10.0]);
        let mut values = [0.0; 6];
        groups.scatter(&[1.0, 2.0], &mut values, 2);
        assert_eq!(values, [0.0, 0.0, 1.0, 0.0, 0.0, 2.0]);
    }

    #[test]
    fn all_axes_are_one_group_in_any_order() {
        let (groups, sizes) = Groups::new(&[-1, 1], &[2, 3], "Layer").expect("axes");
        assert_eq!((sizes, groups.len()), (vec![2, 3], 6));
        assert_eq!(groups.starts(12).collect::<Vec<_>>(), [0, 6]);
        assert_eq!(
            Groups::new(&[-1, 2], &[2, 3], "Layer")
                .expect_err("one axis twice")
                .to_string(),
            "Layer has axis [-1, 2], expected one or more axes, each once"
        );
    }
}
