//! Cross-layer equalization (Nagel et al. 2019, "Data-free quantization through weight
//! equalization and bias correction"): moves scale between a layer's units and the next kernel's
//! columns, which changes no float output.

use ndarray::{Array1, Axis};

use super::chain::Chain;
use crate::activations::Activation;

/// Units that are scaled by more than this, either way, are nearly dead: leave them there.
const LIMIT: f64 = 1e3;

/// Evens out the units' ranges behind every relu and linear layer.
///
/// Since weights have a scale per unit already, what gains is the one scale of the activations:
/// unit `i` with the range `r[i]` is divided by `s[i] = sqrt(r[i] / c[i])`, `c[i]` being the
/// largest weight that reads it, so that neither the tensor nor the next kernel's rows end up
/// with a few values that dwarf the rest.
///
/// `ranges` holds, per layer, the largest absolute activation of each unit.
pub fn equalize(chain: &mut Chain, ranges: &[Array1<f64>]) {
    for (index, range) in ranges.iter().enumerate() {
        let Some([layer, next]) = chain.layers.get_mut(index..index + 2) else {
            break;
        };
        let is_plain = layer.then.is_empty() && layer.rows == 1 && next.rows == 1;
        if !is_plain || !is_homogeneous(&layer.activation) {
            continue;
        }
        let columns: Array1<f64> = next
            .kernel
            .axis_iter(Axis(1))
            .map(|column| {
                column
                    .iter()
                    .fold(0.0, |largest: f64, w| largest.max(w.abs()))
            })
            .collect();
        let mut scales: Array1<f64> = range
            .iter()
            .zip(&columns)
            .map(|(&r, &c)| {
                if r > 0.0 && c > 0.0 {
                    (r / c).sqrt()
                } else {
                    0.0
                }
            })
            .collect();
        let alive: Vec<f64> = scales.iter().copied().filter(|&s| s > 0.0).collect();
        if alive.is_empty() {
            continue;
        }
        let mean = (alive.iter().map(|s| s.ln()).sum::<f64>() / alive.len() as f64).exp();
        scales.mapv_inplace(|s| {
            if s > 0.0 {
                (s / mean).clamp(1.0 / LIMIT, LIMIT)
            } else {
                1.0
            }
        });
        layer.kernel /= &scales.view().insert_axis(Axis(1));
        layer.bias /= &scales;
        next.kernel *= &scales;
    }
}

/// Whether `f(s * x) = s * f(x)` for every `s > 0`.
fn is_homogeneous(activation: &Activation) -> bool {
    match activation {
        Activation::Linear => true,
        Activation::Relu {
            max_value,
            threshold,
            ..
        } => max_value.is_none() && *threshold == 0.0,
        Activation::LeakyRelu { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::chain_builder::ChainBuilder;
    use super::*;
    use ndarray::{arr1, arr2};

    #[test]
    fn equalization_evens_the_ranges_and_keeps_every_output() {
        let mut builder = ChainBuilder::new(1);
        let mut dense = |name, kernel, bias| builder.dense(name, 1, kernel, bias);
        dense("a", arr2(&[[100.0], [1.0]]), arr1(&[0.0, 0.0])).expect("a layer");
        let relu = "relu".parse().expect("relu");
        builder.activation("a", &relu).expect("a place");
        let mut dense = |name, kernel, bias| builder.dense(name, 1, kernel, bias);
        dense("b", arr2(&[[1.0, 1.0]]), arr1(&[0.0])).expect("a layer");
        let mut chain = builder.finish().expect("a chain");
        let x = arr2(&[[0.5], [1.0], [-3.0]]);
        let before = chain.predict(&x.view());
        // Ranges 100 and 1, columns 1 and 1: s = 10 and 1, over their geometric mean sqrt(10).
        equalize(&mut chain, &[arr1(&[100.0, 1.0]), arr1(&[101.0])]);
        let ratio = chain.layers[0].kernel[[0, 0]] / chain.layers[0].kernel[[1, 0]];
        assert!((ratio - 10.0).abs() < 1e-12, "{ratio}");
        let after = chain.predict(&x.view());
        for (before, after) in before.iter().zip(&after) {
            assert!((before - after).abs() < 1e-12);
        }
    }
}
