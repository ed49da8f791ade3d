//! Which features tell most about the targets, each by itself.

use ndarray::{ArrayView1, Axis, Ix2};
use thumbnet_trainer::Dataset;

/// The features, the most telling one first.
///
/// By the share of its variance that classes explain (eta squared), or by its squared correlation with the
/// target that it goes with best.
pub fn order(data: &Dataset, classes: bool) -> Vec<usize> {
    let (Ok(x), Some(y)) = (data.x.view().into_dimensionality::<Ix2>(), &data.y) else {
        return Vec::new();
    };
    let rows = data.rows();
    let width = y.len() / rows.max(1);
    let y = y.to_shape((rows, width)).expect("targets have a row each");
    let tells = |column: ArrayView1<f32>| {
        let targets = y.axis_iter(Axis(1));
        let shares = targets.map(|target| match classes && width == 1 {
            true => explained(column, target),
            false => correlation(column, target).powi(2),
        });
        shares.fold(0.0, f64::max)
    };
    let scores: Vec<f64> = x.axis_iter(Axis(1)).map(tells).collect();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

/// Of a column's variance, that between classes.
fn explained(column: ArrayView1<f32>, classes: ArrayView1<f32>) -> f64 {
    let mut sums: Vec<(f64, f64)> = Vec::new();
    let (mut sum, mut squares) = (0.0, 0.0);
    for (&value, &class) in column.iter().zip(classes) {
        let (value, class) = (f64::from(value), class as usize);
        if sums.len() <= class {
            sums.resize(class + 1, (0.0, 0.0));
        }
        sums[class].0 += 1.0;
        sums[class].1 += value;
        sum += value;
        squares += value * value;
    }
    let rows = column.len() as f64;
    let all = squares - sum * sum / rows;
    let of_classes = sums.iter().filter(|(count, _)| *count > 0.0);
    let between = of_classes
        .map(|(count, sum)| sum * sum / count)
        .sum::<f64>()
        - sum * sum / rows;
    if all > 0.0 { between / all } else { 0.0 }
}

fn correlation(one: ArrayView1<f32>, other: ArrayView1<f32>) -> f64 {
    let mean = |values: ArrayView1<f32>| {
        values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64
    };
    let (mean_one, mean_other) = (mean(one), mean(other));
    let (mut both, mut first, mut second) = (0.0, 0.0, 0.0);
    for (&a, &b) in one.iter().zip(other) {
        let (a, b) = (f64::from(a) - mean_one, f64::from(b) - mean_other);
        both += a * b;
        first += a * a;
        second += b * b;
    }
    if first > 0.0 && second > 0.0 {
        both / (first * second).sqrt()
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn petals_tell_more_about_irises_than_sepals() {
        // Published F values of ANOVA: 1180 (petal length), 960, 119, 49.
        assert_eq!(order(&Dataset::iris(), true), [2, 3, 0, 1]);
    }
}
