//! What becomes of each of the files in `golden/model_files`: it predicts what Keras predicts and is exported,
//! or it is refused by what it is.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ndarray::{ArrayD, IxDyn};
use thumbnet_tests::golden;
use thumbnet_trainer::quantize::{QuantizeOptions, quantize};
use thumbnet_trainer::saving::Loaded;

fn folder() -> PathBuf {
    golden::root().join("model_files")
}

/// `sin(0.7 i)`, as in `make.py`.
fn rows(count: usize, shape: &[usize]) -> ArrayD<f32> {
    let shape = [&[count], shape].concat();
    let values = (0..shape.iter().product()).map(|i: usize| (i as f64 * 0.7).sin() as f32);
    ArrayD::from_shape_vec(IxDyn(&shape), values.collect()).expect("as many values")
}

/// Files that load, with how far off Keras they may be, of the greatest output.
const READ: [(&str, f32); 35] = [
    ("air_raw.h5", 2e-6),
    ("clustered_unstripped.h5", 2e-6),
    ("custom_loss_evaluate.h5", 2e-6),
    ("input_headroom_act_relu.keras", 2e-6),
    ("pruned_unstripped.h5", 2e-6),
    // Keras imitates 8 bits.
    ("qat_quantize_model.h5", 3e-2),
    ("tf115_optimizer_state.h5", 2e-6),
    ("u_avgpool_dense.keras", 2e-6),
    ("u_category_encoding.keras", 2e-6),
    ("u_dense3d_flatten.keras", 2e-6),
    ("u_dense_before_flatten_img.keras", 2e-6),
    ("u_discretization.keras", 2e-6),
    ("u_einsumdense.keras", 2e-6),
    ("u_embedding_flatten.keras", 2e-6),
    ("u_gap1d.keras", 2e-6),
    ("u_groupnorm.keras", 2e-6),
    // Keras rounds the inputs to 8 bits.
    ("u_keras_quantize_int8.keras", 3e-2),
    ("u_layernorm.keras", 2e-6),
    ("u_layernorm_first.keras", 2e-6),
    ("u_lora.keras", 2e-6),
    ("u_masking.keras", 2e-6),
    // Keras computes in 11 bits.
    ("u_mixed_f16.keras", 2e-3),
    ("u_mixed_f16_h5.h5", 2e-3),
    ("u_ops_scalar.keras", 2e-6),
    ("u_ops_tanh_scale_out.keras", 2e-6),
    ("u_prelu.keras", 2e-6),
    ("u_repeatvector.keras", 2e-6),
    ("u_reshape_permute.keras", 2e-6),
    ("u_rmsnorm.keras", 2e-6),
    ("u_slicing.keras", 2e-6),
    ("u_softmax_hidden.keras", 2e-6),
    ("u_spatialdropout.keras", 2e-6),
    ("u_spectral_norm.keras", 2e-6),
    ("u_timedistributed.keras", 2e-6),
    ("u_unitnorm_out.keras", 2e-6),
];

/// Files that are refused, and the message behind their names.
const REFUSED: [(&str, &str); 19] = [
    (
        "u_average_ensemble.keras",
        "model \"functional_27\": layer \"input_layer_25\" feeds more than one layer, but models with branches, or with several inputs or outputs, are not supported; train one that is a straight chain of layers",
    ),
    (
        "u_conv1d.keras",
        "layer \"conv1d\" is of class Conv1D, which thumbnet does not have; it runs dense networks: train one of Flatten and Dense on the same samples, or of Dense on features of them",
    ),
    (
        "u_custom_act.keras",
        "activation \"Custom>myact\" is not one of Keras' own, expected one that is registered; register it by custom::register_activation of the library, or build the model with what Keras has",
    ),
    (
        "u_dueling_dqn.keras",
        "model \"functional_6\": layer \"dense_15\" feeds more than one layer, but models with branches, or with several inputs or outputs, are not supported; train one that is a straight chain of layers",
    ),
    (
        "u_gate_multiply.keras",
        "model \"functional_26\": layer \"input_layer_24\" feeds more than one layer, but models with branches, or with several inputs or outputs, are not supported; train one that is a straight chain of layers",
    ),
    (
        "u_gru.keras",
        "layer \"gru\" is of class GRU, which thumbnet does not have; it runs dense networks: train one of Flatten and Dense on the same samples, or of Dense on features of them",
    ),
    (
        "u_hashing.keras",
        "layer \"hashing\" is of class Hashing, which thumbnet does not have; compute it before the model, and save the layers behind it alone: keras.Sequential([keras.Input(shape), *layers]).save(\"model.keras\")",
    ),
    (
        "u_lambda.keras",
        "layer \"lambda\" is of class Lambda, which thumbnet does not have; its function is Python code: build the model with Rescaling, Activation or another layer in its place, or compute it before the model",
    ),
    (
        "u_multi_input.keras",
        "model \"functional_3\": layer \"ctx\" is a second input, but models with branches, or with several inputs or outputs, are not supported; train one that is a straight chain of layers",
    ),
    (
        "u_multi_output.keras",
        "model \"functional_5\": layer \"dense_14\" feeds more than one layer, but models with branches, or with several inputs or outputs, are not supported; train one that is a straight chain of layers",
    ),
    (
        "u_ops_sin.keras",
        "operation \"sin\" is Sin, which thumbnet does not have; it has +, -, * and / by a number, slices and Keras' activations: put the operation before the model, or train one without it",
    ),
    (
        "u_residual_add.keras",
        "model \"functional\": layer \"add\" has 2 inputs, but models with branches, or with several inputs or outputs, are not supported; train one that is a straight chain of layers",
    ),
    (
        "u_residual_add_h5.h5",
        "model \"functional_1\": layer \"add_1\" has 2 inputs, but models with branches, or with several inputs or outputs, are not supported; train one that is a straight chain of layers",
    ),
    (
        "u_shared_siamese.keras",
        "model \"functional_28\": layer \"input_layer_27\" is a second input, but models with branches, or with several inputs or outputs, are not supported; train one that is a straight chain of layers",
    ),
    (
        "u_stringlookup.keras",
        "model \"functional_37\": layer \"input_layer_37\" is a second input, but models with branches, or with several inputs or outputs, are not supported; train one that is a straight chain of layers",
    ),
    (
        "u_subclassed.keras",
        "the model is of class Sub, whose layers are made by Python code that is not in the file; build the same layers as a keras.Sequential, take the weights over by set_weights(model.get_weights()) and save that",
    ),
    (
        "u_two_inputs_concat_first.keras",
        "model \"functional_4\": layer \"ctx\" is a second input, but models with branches, or with several inputs or outputs, are not supported; train one that is a straight chain of layers",
    ),
    (
        "u_wide_deep_concat.keras",
        "model \"functional_2\": layer \"concatenate\" has 2 inputs, but models with branches, or with several inputs or outputs, are not supported; train one that is a straight chain of layers",
    ),
    (
        "weights_only_old_layout.h5",
        "holds weights without a model; load the model's file, then these into it by load_weights (--weights of the command line), or name its layers by --layers 16:relu,3:softmax or --config model.json",
    ),
];

#[test]
fn every_file_has_its_line() {
    let listed = std::fs::read_dir(folder()).expect("the folder");
    let names = listed.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    let files: BTreeSet<String> = names
        .filter(|name| name.ends_with(".h5") || name.ends_with(".keras"))
        .collect();
    let lines = READ.iter().map(|(file, _)| *file);
    let lines = lines.chain(REFUSED.iter().map(|(file, _)| *file));
    assert_eq!(files, lines.map(String::from).collect());
}

#[test]
fn files_that_are_read_predict_as_in_keras_and_are_exported() {
    let facts = golden::json(&folder().join("predictions.json"));
    let mut wrong = Vec::new();
    for (file, tolerance) in READ {
        let facts = &facts[file];
        let shape: Vec<usize> = serde_json::from_value(facts["shape"].clone()).expect("a shape");
        let expected: Vec<f32> = serde_json::from_value(facts["y"].clone()).expect("numbers");
        let model = match Loaded::read(folder().join(file)) {
            Ok(loaded) => loaded.model,
            Err(error) => {
                wrong.push(format!("{file}: {error}"));
                continue;
            }
        };
        let found = model.predict(&rows(4, &shape)).expect("predictions");
        assert_eq!(found.len(), expected.len(), "{file}");
        let most = expected
            .iter()
            .fold(0.0f32, |most, value| most.max(value.abs()));
        let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let off = off.fold(0.0, f32::max) / most;
        if off.is_nan() || off > tolerance {
            wrong.push(format!("{file}: off by {off:e} of the greatest output"));
        }
        if let Err(error) = quantize(&model, &rows(60, &shape), &QuantizeOptions::default()) {
            wrong.push(format!("{file}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_that_are_not_read_say_why() {
    let mut wrong = Vec::new();
    for (file, expected) in REFUSED {
        let path = folder().join(file);
        match Loaded::read(&path) {
            Ok(_) => wrong.push(format!("{file}: was read")),
            Err(error) => {
                let error = error.to_string();
                let message = error.strip_prefix(&format!("{}: ", path.display()));
                if message != Some(expected) {
                    wrong.push(error);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
