//! How far sums rise with a step of an input.

use thumbnet_runtime::Activation;

use crate::{
    bounds::{Sums, outputs},
    network::Network,
    relation::Relation,
};

/// Whether an output, as the device computes it, is no less for a greater sum.
pub(crate) fn rises_with_sum(network: &Network, relation: Option<Relation>) -> bool {
    let Some(Relation::Monotone { output, .. }) = relation else {
        return false;
    };
    let most = network.last().greatest_sum[output];
    match network.head.activation {
        Activation::Linear | Activation::Relu => true,
        Activation::Sigmoid | Activation::Tanh if most < 1 << 21 => {
            // All that there are, by the device's own code.
            let scale = network.scales[output].abs();
            let mut values: Vec<f32> = (-most..=most).map(|sum| sum as f32 * scale).collect();
            network.head.activate(&mut values);
            values.is_sorted()
        }
        _ => false,
    }
}

/// By how much the sums of the last layer may rise with a step of an input, where the sums of the hidden layers are
/// within these for both rows: all in integers.
pub(crate) fn risen(
    network: &Network,
    sums: &Sums,
    column: usize,
    steps: [i64; 2],
) -> Vec<[i64; 2]> {
    let mut values = vec![[0; 2]; network.inputs()];
    values[column] = steps;
    for (index, layer) in network.layers.iter().enumerate() {
        let units = (0..layer.units).map(|unit| {
            let weights = &layer.weights[unit * layer.inputs..][..layer.inputs];
            let mut risen = [0; 2];
            for (&w, step) in weights.iter().zip(&values) {
                let ends = step.map(|step| step * i64::from(w));
                risen = [
                    risen[0] + ends[0].min(ends[1]),
                    risen[1] + ends[0].max(ends[1]),
                ];
            }
            let Some(sums) = sums.get(index).map(|sums| sums[unit]) else {
                return risen; // of the last layer
            };
            // Rounding moves a step by less than one; the clamp keeps its sign and makes it no longer.
            let multiplier = i64::from(layer.multipliers[unit]);
            let [low, high] = [
                (risen[0] * multiplier) >> layer.shift,
                -((-risen[1] * multiplier) >> layer.shift),
            ];
            let [least, most] = sums.map(|sum| layer.level(unit, sum.into()));
            let is_inside = -layer.limit < least && most < layer.limit;
            let [low, high] = match is_inside {
                true => [low, high],
                false => [low.min(0), high.max(0)],
            };
            let width = i64::from(most - least);
            let level = [low.max(-width), high.min(width)];
            if layer.table.is_empty() || level == [0, 0] {
                return level;
            }
            let [bottom, top] = outputs(layer, unit, sums).map(i64::from);
            let spread = top - bottom;
            let entries = (least..=most).map(|level| layer.looked_up(level));
            // Only short parts are looked at.
            let sorted = most - least <= 512;
            let is_rising = sorted && entries.clone().is_sorted();
            let is_falling = sorted && entries.rev().is_sorted();
            match (level[0] >= 0, level[1] <= 0, is_rising, is_falling) {
                (true, _, true, _) | (_, true, _, true) => [0, spread],
                (true, _, _, true) | (_, true, true, _) => [-spread, 0],
                _ => [-spread, spread],
            }
        });
        values = units.collect();
    }
    values
}
