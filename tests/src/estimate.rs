//! What layers cost on every core, fitted to counts: `trainer/data/instructions.json`.

use std::collections::BTreeMap;

use thumbnet_boards::{Board, Firmware, Qemu, Result};
use thumbnet_runtime::{
    Activation, FloatSpec, LayerSpec, LookupSpec, LookupTable, MaxPoolSpec, NormalizeSpec,
};
use thumbnet_trainer::quantize::instructions::{CoreCost, DenseCost};

use crate::{
    cost::{KINDS, cost, packing},
    random_model::{Kind, RandomModel, alone, chain},
};

/// Inputs and units of the layers with relu.
const SHAPES: [(usize, usize); 9] = [
    (8, 8),
    (16, 16),
    (64, 32),
    (30, 17),
    (100, 10),
    (128, 64),
    (128, 8),
    (8, 128),
    (320, 64),
];

/// Units of the last layers, behind 16 inputs.
const LAST: [usize; 3] = [1, 10, 40];

const ACTIVATIONS: [(&str, Activation); 4] = [
    ("linear", Activation::Linear),
    ("sigmoid", Activation::Sigmoid),
    ("softmax", Activation::Softmax),
    ("tanh", Activation::Tanh),
];

/// Measures layers on the boards and fits their costs, by core.
///
/// # Errors
///
/// Where QEMU or a target is missing, or a firmware fails.
pub fn fit(boards: &[Board]) -> Result<BTreeMap<String, CoreCost>> {
    let qemu = Qemu::find()?;
    let mut cores = BTreeMap::new();
    for &board in boards {
        let elf = Firmware::release("bench", board).build()?;
        let layers = |widths: &[usize], kind: Kind, last: Activation| {
            let model = chain(widths, kind, packing(board), last, 1);
            Ok(cost(&qemu, board, &elf, &model)?.layers)
        };
        let mut core = CoreCost::default();
        for (kind, name, _) in KINDS {
            let (mut quantize, mut relu) = (Vec::new(), Vec::new());
            for (inputs, units) in SHAPES {
                let counted: Vec<f64> = layers(&[inputs, units, 1], kind, Activation::Linear)?;
                quantize.push(([1.0, inputs as f64], counted[0]));
                let terms = [1.0, units as f64, inputs as f64, (inputs * units) as f64];
                relu.push((terms, counted[1]));
            }
            let mut dense = DenseCost {
                relu: least_squares(&relu),
                last: BTreeMap::new(),
            };
            for (activation, last) in ACTIVATIONS {
                let mut more = Vec::new();
                for units in LAST {
                    let counted: Vec<f64> = layers(&[16, units], kind, last)?;
                    let terms = [1.0, units as f64, 16.0, (16 * units) as f64];
                    let own: f64 = dense.relu.iter().zip(terms).map(|(c, t)| c * t).sum();
                    more.push(([1.0, units as f64], counted[1] - own));
                }
                dense
                    .last
                    .insert(activation.to_owned(), least_squares(&more));
            }
            let name = if name == "f32" { "float32" } else { name };
            // Layers of int4 weights read what those of int8 weights read.
            if kind != Kind::Int4 {
                core.quantize
                    .insert(name.to_owned(), least_squares(&quantize));
            }
            core.dense.insert(name.to_owned(), dense);
        }
        core.between = between(|model| Ok(cost(&qemu, board, &elf, model)?.layers[1]))?;
        cores.insert(board.core().name.to_owned(), core);
    }
    Ok(cores)
}

/// Costs of layers without weights, from the counts of some.
///
/// # Errors
///
/// Where a count fails.
fn between(count: impl Fn(&RandomModel) -> Result<f64>) -> Result<BTreeMap<String, [f64; 3]>> {
    let mut rows =
        BTreeMap::from(["normalize", "prelu", "max_pool", "lookup"].map(|name| (name, vec![])));
    for (groups, run) in [(1, 8), (1, 64), (4, 16), (16, 4), (10, 30), (1, 300)] {
        let inputs = groups * run;
        let slopes = vec![0.25; inputs];
        let normalize = LayerSpec::Normalize(NormalizeSpec {
            blocks: groups,
            steps: 1,
            groups: 1,
            run,
            mean_factor: 1.0 / run as f32,
            square_factor: 1.0 / run as f32,
            epsilon: 1e-3,
            least: 1e-28,
            then: FloatSpec::default(),
        });
        let pool = LayerSpec::MaxPool(MaxPoolSpec {
            blocks: 1,
            steps: run,
            channels: groups,
            windows: run / 2,
            size: 2,
            stride: 2,
            before: 0,
            then: FloatSpec::default(),
        });
        let whole = LayerSpec::MaxPool(MaxPoolSpec {
            blocks: 1,
            steps: run,
            channels: groups,
            windows: 1,
            size: run,
            stride: 1,
            before: 0,
            then: FloatSpec::default(),
        });
        let units = run.div_ceil(4).min(8);
        let values = vec![1; 16 * units];
        let table = LayerSpec::Lookup(LookupSpec {
            inputs,
            bounds: &[],
            units,
            table: LookupTable::Int8 {
                values: &values,
                scale: 0.5,
            },
            zeros: true,
            then: FloatSpec::default(),
        });
        let slopes = LayerSpec::Prelu {
            slopes: &slopes,
            then: FloatSpec::default(),
        };
        for (name, layer, parts) in [
            ("normalize", normalize, groups),
            ("prelu", slopes, 1),
            ("max_pool", pool, run / 2 * groups),
            ("max_pool", whole, groups),
            ("lookup", table, inputs * units),
        ] {
            let counted = count(&alone(layer, inputs))?;
            let terms = [1.0, parts as f64, inputs as f64];
            rows.entry(name)
                .or_insert_with(Vec::new)
                .push((terms, counted));
        }
    }
    // A layer of slopes has one part always: its cost is the layer's.
    let fitted = rows.into_iter().map(|(name, rows)| {
        let terms = match name {
            "prelu" => {
                let rows: Vec<_> = rows.iter().map(|([a, _, c], y)| ([*a, *c], *y)).collect();
                let [each, input] = least_squares(&rows);
                [each, 0.0, input]
            }
            _ => least_squares(&rows),
        };
        (name.to_owned(), terms)
    });
    Ok(fitted.collect())
}

/// The coefficients with the least squared relative error, rounded to thousandths.
fn least_squares<const N: usize>(rows: &[([f64; N], f64)]) -> [f64; N] {
    // The normal equations, solved by elimination with pivots: N is small.
    let mut a = [[0.0; N]; N];
    let mut b = [0.0; N];
    for (terms, counted) in rows {
        let weight = 1.0 / (counted * counted).max(1.0);
        for i in 0..N {
            for j in 0..N {
                a[i][j] += weight * terms[i] * terms[j];
            }
            b[i] += weight * terms[i] * counted;
        }
    }
    for i in 0..N {
        let pivot = (i..N)
            .max_by(|&p, &q| a[p][i].abs().total_cmp(&a[q][i].abs()))
            .unwrap_or(i);
        a.swap(i, pivot);
        b.swap(i, pivot);
        for row in (0..N).filter(|row| *row != i) {
            let factor = a[row][i] / a[i][i];
            let of_pivot = a[i];
            for (value, of_pivot) in a[row].iter_mut().zip(of_pivot) {
                *value -= factor * of_pivot;
            }
            b[row] -= factor * b[i];
        }
    }
    std::array::from_fn(|i| (1000.0 * b[i] / a[i][i]).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plane_is_found() {
        let rows = [(1.0, 2.0), (3.0, 5.0), (4.0, 1.0), (7.0, 7.0)]
            .map(|(x, y): (f64, f64)| ([1.0, x, y], 10.0 + 2.0 * x + 0.5 * y));
        assert_eq!(least_squares(&rows), [10.0, 2.0, 0.5]);
    }
}
