//! The weights of each layer, and what it gives for rows.

use maud::{Markup, html};
use ndarray::ArrayD;
use thumbnet_trainer::{Result, Sequential, error::visible};

use super::{answers::histogram, page::figure};

/// Layers with charts of their own.
const MOST_LAYERS: usize = 32;

/// * `x` - rows of features
pub fn section(model: &Sequential, x: &ArrayD<f32>) -> Result<Markup> {
    let outputs = model.layer_outputs(x)?;
    let layers = model.layers().iter().zip(model.layer_variables());
    let layers = layers.zip(&outputs).take(MOST_LAYERS);
    let charts = |variables: std::ops::Range<usize>| {
        let trained = model.variables()[variables].iter();
        let trained = trained.filter(|variable| variable.trainable && variable.range.len() > 1);
        trained.filter_map(|variable| {
            let values = model.values()[variable.range.clone()].iter().copied();
            let note = format!("{:?}", variable.shape);
            Some((variable.name.clone(), note, histogram("weight", values)?))
        })
    };
    Ok(html! {
        h2 { "Layers" }
        p.note { "Weights, and what the layers give for " (x.len_of(ndarray::Axis(0))) " of the rows; upwards the number of values." }
        @for ((layer, variables), given) in layers {
            h3 { (visible(layer.name())) " (" (layer.class_name()) ")" }
            @let still = still_units(given);
            @if still > 0 {
                p.note { (still) " of " (units(given)) " outputs are the same for all of these rows." }
            }
            div.figures {
                @for (name, note, chart) in charts(variables) { (figure(&name, &note, &chart)) }
                @if let Some(chart) = histogram("output", given.iter().copied()) { (figure("outputs", "", &chart)) }
            }
        }
        @if model.layers().len() > MOST_LAYERS { p.note { "The first " (MOST_LAYERS) " of " (model.layers().len()) " layers." } }
    })
}

fn units(outputs: &ArrayD<f32>) -> usize {
    outputs.shape().iter().skip(1).product()
}

/// Outputs that do not depend on the row.
fn still_units(outputs: &ArrayD<f32>) -> usize {
    let rows = outputs.len_of(ndarray::Axis(0));
    if rows < 2 {
        return 0;
    }
    let first = outputs.index_axis(ndarray::Axis(0), 0);
    let mut moves = vec![false; first.len()];
    for row in outputs.outer_iter() {
        for ((moves, value), first) in moves.iter_mut().zip(&row).zip(&first) {
            *moves |= value != first;
        }
    }
    moves.iter().filter(|moves| !**moves).count()
}
