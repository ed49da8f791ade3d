//! Weights as files hold them that are not those of the layer that is made of them: quantized to int8 by
//! Keras, beside others that were learnt, or as tensorflow-model-optimization wraps them.

use ndarray::{Array2, ArrayD, Axis, IxDyn};
use serde_json::Value;

use crate::keras::dtype_name;
use crate::layers::tfmot::Wrapper;
use crate::variable::{ArrayData, NamedArray};

/// How a layer's weights lie in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Stored {
    /// As the layer has them.
    #[default]
    Plain,
    /// The kernel as integers that stand for floats, with scales: `integer / scale`. By position it is
    /// the first and the scales are the last.
    Int8,
    /// In legacy files with what was learnt beside the kernel: `kernel + factor * a · b`.
    Lora { factor: f32 },
    /// With the vector that a SpectralNormalization learns its scale with.
    WithVector,
    /// With the masks and thresholds of what `prune_low_magnitude` wrapped.
    Pruned,
    /// With the centroids that the kernel is made of, of which `sparse` makes the smallest 0.
    Clustered { sparse: bool },
    /// With the ranges of what `quantize_model` wrapped.
    QuantizeAware,
}

impl Stored {
    /// Of a layer of this class and config.
    pub(crate) fn of(class_name: &str, config: &Value) -> Self {
        let rank = config["lora_rank"].as_f64().filter(|&rank| rank > 0.0);
        if class_name == "SpectralNormalization" {
            Self::WithVector
        } else if let Some(wrapper) = Wrapper::of(class_name) {
            match wrapper {
                Wrapper::Pruned => Self::Pruned,
                Wrapper::Clustered => Self::Clustered {
                    sparse: config["preserve_sparsity"] == true,
                },
                Wrapper::QuantizeAware => Self::QuantizeAware,
            }
        } else if is_int8(&config["dtype"]) || is_int8(&config["layer"]["config"]["dtype"]) {
            Self::Int8
        } else if let Some(rank) = rank {
            let alpha = config["lora_alpha"].as_f64().unwrap_or(rank);
            Self::Lora {
                factor: (alpha / rank) as f32,
            } // Keras computes in f32, too
        } else {
            Self::Plain
        }
    }

    /// The weights as the layer has them.
    pub(crate) fn plain(self, weights: &[NamedArray]) -> Vec<NamedArray> {
        let settled = match self {
            Self::Plain => None,
            Self::Int8 => floats_first(weights),
            Self::Lora { factor } => merged(weights, factor),
            Self::WithVector => weights
                .split_last()
                .filter(|(vector, _)| ends_with(vector, "vector_u"))
                .map(|(_, kept)| kept.to_vec()),
            Self::Pruned => Some(without(weights, |name| {
                matches!(name, "mask" | "threshold" | "pruning_step")
            })),
            Self::Clustered { sparse } => clustered(weights, sparse),
            Self::QuantizeAware => Some(without(weights, |name| {
                name == "optimizer_step" || name.ends_with("_min") || name.ends_with("_max")
            })),
        };
        settled.unwrap_or_else(|| weights.to_vec())
    }
}

fn ends_with(array: &NamedArray, name: &str) -> bool {
    array.name.rsplit('/').next() == Some(name)
}

/// The array's own name, of Keras 2 without the output's number.
fn last(array: &NamedArray) -> &str {
    let name = array.name.rsplit('/').next().unwrap_or_default();
    name.trim_end_matches(":0")
}

fn without(weights: &[NamedArray], dropped: impl Fn(&str) -> bool) -> Vec<NamedArray> {
    let kept = weights.iter().filter(|array| !dropped(last(array)));
    kept.cloned().collect()
}

/// The weights as `strip_clustering` leaves them: those that have centroids lie behind the others in the file,
/// and come first in a layer.
fn clustered(weights: &[NamedArray], sparse: bool) -> Option<Vec<NamedArray>> {
    let (mut first, mut others) = (Vec::new(), Vec::new());
    let own = without(weights, |name| {
        name.starts_with("cluster_centroids_") || name.starts_with("pulling_indices_")
    });
    for array in own {
        let name = format!("cluster_centroids_{}", last(&array));
        match weights.iter().find(|other| last(other) == name) {
            Some(centroids) => first.push(nearest(&array, centroids, sparse)?),
            None => others.push(array),
        }
    }
    Some([first, others].concat())
}

/// Each weight as the nearest centroid, the first of two. The indices in the file are those of the step
/// before the last: the wrapper computes them anew for every prediction.
fn nearest(weights: &NamedArray, centroids: &NamedArray, sparse: bool) -> Option<NamedArray> {
    let (ArrayData::F32(values), ArrayData::F32(centroids)) = (&weights.data, &centroids.data)
    else {
        return None;
    };
    let mut centroids = centroids.clone();
    if sparse && let Some(smallest) = position_of_least(&centroids, |value| value.abs()) {
        centroids[smallest] = 0.0;
    }
    let nearest = |value: &f32| {
        let place = position_of_least(&centroids, |centroid| (value - centroid).abs())?;
        Some(centroids[place])
    };
    Some(NamedArray {
        data: ArrayData::F32(values.iter().map(nearest).collect::<Option<_>>()?),
        ..weights.clone()
    })
}

/// The first where several are.
fn position_of_least(values: &[f32], size: impl Fn(f32) -> f32) -> Option<usize> {
    let sizes = values.iter().map(|value| size(*value)).enumerate();
    let least = sizes.min_by(|(_, a), (_, b)| a.total_cmp(b));
    least.map(|(position, _)| position)
}

/// The array of this name, and the others.
fn split<'a>(weights: &'a [NamedArray], name: &str) -> Option<(&'a NamedArray, Vec<NamedArray>)> {
    let place = weights.iter().position(|array| ends_with(array, name))?;
    let mut others = weights.to_vec();
    others.remove(place);
    Some((&weights[place], others))
}

/// The floats that the integers stand for, then the others but for the scales.
fn floats_first(weights: &[NamedArray]) -> Option<Vec<NamedArray>> {
    for name in ["kernel", "embeddings"] {
        if let Some((integers, others)) = split(weights, name) {
            let (scales, others) = split(&others, &format!("{name}_scale"))?;
            return Some([vec![floats(integers, scales)?], others].concat());
        }
    }
    let [integers, others @ .., scales] = weights else {
        return None;
    };
    Some([&[floats(integers, scales)?], others].concat())
}

/// The kernel with what was learnt beside it, then the bias.
fn merged(weights: &[NamedArray], factor: f32) -> Option<Vec<NamedArray>> {
    let (a, others) = split(weights, "lora_kernel_a")?;
    let (b, others) = split(&others, "lora_kernel_b")?;
    let (kernel, others) = split(&others, "kernel")?;
    let matrix = |array: &NamedArray| {
        let &[rows, columns] = array.shape.as_slice() else {
            return None;
        };
        let ArrayData::F32(values) = &array.data else {
            return None;
        };
        Array2::from_shape_vec((rows, columns), values.clone()).ok()
    };
    let (a, b, sum) = (matrix(a)?, matrix(b)?, matrix(kernel)?);
    if a.ncols() != b.nrows() || (a.nrows(), b.ncols()) != sum.dim() {
        return None;
    }
    let sum = sum + a.dot(&b) * factor;
    let kernel = NamedArray {
        data: ArrayData::F32(sum.iter().copied().collect()),
        ..kernel.clone()
    };
    Some([vec![kernel], others].concat())
}

fn is_int8(dtype: &Value) -> bool {
    dtype.pointer("/config/mode").and_then(Value::as_str) == Some("int8")
        || dtype_name(dtype)
            .as_str()
            .is_some_and(|name| name.starts_with("int8_from_"))
}

/// `integers / scales`, along the axis that has as many: of a kernel `[inputs, units]` the last, of embeddings
/// `[tokens, width]` the first.
fn floats(integers: &NamedArray, scales: &NamedArray) -> Option<NamedArray> {
    let ArrayData::I64(values) = &integers.data else {
        return None;
    };
    let ArrayData::F32(scales) = &scales.data else {
        return None;
    };
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect(); // of eight bits
    let mut floats = ArrayD::from_shape_vec(IxDyn(&integers.shape), values).ok()?;
    let last = integers.shape.len().checked_sub(1)?;
    let axis = match (integers.shape.get(last), integers.shape.first()) {
        (Some(&units), _) if units == scales.len() && !integers.name.contains("embeddings") => last,
        (_, Some(&tokens)) if tokens == scales.len() => 0,
        (Some(&units), _) if units == scales.len() => last,
        _ => return None,
    };
    for (mut lane, scale) in floats.axis_iter_mut(Axis(axis)).zip(scales) {
        lane.mapv_inplace(|value| value / scale);
    }
    Some(NamedArray {
        data: ArrayData::F32(floats.iter().copied().collect()),
        ..integers.clone()
    })
}

/// What to know of a model that is read as another than Keras runs, one line each.
pub(crate) fn notes(config: &Value) -> Vec<String> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    collect(config, &mut found);
    let line = |(what, names): (String, Vec<String>)| match names.as_slice() {
        [one] => format!("layer {one:?} {what}"),
        [first, others @ ..] => format!("layer {first:?} and {} more: each {what}", others.len()),
        [] => what,
    };
    found.into_iter().map(line).collect()
}

fn collect(model: &Value, found: &mut Vec<(String, Vec<String>)>) {
    for layer in model["config"]["layers"].as_array().into_iter().flatten() {
        let (class, config) = (
            layer["class_name"].as_str().unwrap_or_default(),
            &layer["config"],
        );
        let name = config["name"].as_str().unwrap_or_default().to_string();
        let policy = dtype_name(&config["dtype"]).as_str().unwrap_or_default();
        let stored = Stored::of(class, config);
        let what = if let Some(wrapper) = Wrapper::of(class) {
            wrapper_note(wrapper).to_string()
        } else if stored == Stored::Int8 {
            "was quantized to int8 by Keras: its weights are the floats that those integers stand for, and its inputs are not rounded as Keras rounds them".to_string()
        } else if policy.starts_with("mixed_") {
            format!(
                "has the policy {policy}: thumbnet computes in float32, in which its weights are"
            )
        } else if class == "SpectralNormalization" {
            "is a SpectralNormalization: it predicts as Keras does, but training goes on without the normalization".to_string()
        } else if config.get("lora_rank").is_some_and(|rank| !rank.is_null()) {
            "has a lora_rank: what it learnt is in its kernel, and training goes on with all of the kernel".to_string()
        } else {
            collect(layer, found);
            continue;
        };
        match found.iter_mut().find(|(known, _)| *known == what) {
            Some((_, names)) => names.push(name),
            None => found.push((what, vec![name])),
        }
    }
}

fn wrapper_note(wrapper: Wrapper) -> &'static str {
    match wrapper {
        Wrapper::Pruned => {
            "was wrapped for pruning by tensorflow-model-optimization: it is read as strip_pruning leaves it, and training goes on without the pruning"
        }
        Wrapper::Clustered => {
            "was wrapped for clustering by tensorflow-model-optimization: it is read as strip_clustering leaves it, and training goes on without the clustering"
        }
        Wrapper::QuantizeAware => {
            "was trained quantization-aware by tensorflow-model-optimization: it predicts with its float weights, and not with the rounding to 8 bits that Keras imitates; for the weights and ranges of that rounding make a .tflite file with TFLiteConverter and Optimize.DEFAULT, and read it by thumbnet import"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(name: &str, shape: &[usize], data: ArrayData) -> NamedArray {
        NamedArray {
            name: name.into(),
            shape: shape.to_vec(),
            data,
        }
    }

    #[test]
    fn clustered_weights_are_the_nearest_centroids() {
        let array = |name: &str, values: &[f32]| {
            array(name, &[values.len()], ArrayData::F32(values.to_vec()))
        };
        let bias = array("a/bias:0", &[7.0]);
        // 0.5 is as far from both: the first.
        let kernel = array("a/kernel:0", &[-0.9, 0.5, 0.6, 0.0]);
        let centroids = array("cluster_a/cluster_centroids_kernel:0", &[-1.0, 0.25, 0.75]);
        let indices = NamedArray {
            name: "cluster_a/pulling_indices_kernel:0".into(),
            shape: vec![4],
            data: ArrayData::I64(vec![0, 0, 0, 0]),
        };
        let file = [bias.clone(), kernel, centroids, indices];
        let plain = Stored::Clustered { sparse: false }.plain(&file);
        let expected = array("a/kernel:0", &[-1.0, 0.25, 0.75, 0.25]);
        assert_eq!(plain, [expected, bias.clone()]);
        let plain = Stored::Clustered { sparse: true }.plain(&file);
        let expected = array("a/kernel:0", &[-1.0, 0.75, 0.75, 0.0]);
        assert_eq!(plain, [expected, bias]);
    }

    #[test]
    fn integers_are_divided_by_the_scale_of_their_unit() {
        let kernel = array("kernel", &[2, 2], ArrayData::I64(vec![10, -20, 127, 4]));
        let bias = array("bias", &[2], ArrayData::F32(vec![0.5, 1.5]));
        let scales = array("kernel_scale", &[2], ArrayData::F32(vec![10.0, 4.0]));
        let plain = Stored::Int8.plain(&[kernel, bias.clone(), scales]);
        assert_eq!(plain[0].data, ArrayData::F32(vec![1.0, -5.0, 12.7, 1.0]));
        assert_eq!(plain[1..], [bias]);
    }
}
