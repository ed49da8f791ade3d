//! Layers of Keras that thumbnet does not have: what to do in their place.

/// What to do about a layer of this class; none where nothing better is known than the layers that there are.
pub(super) fn advice(class_name: &str) -> Option<&'static str> {
    let steps = [
        "Conv",
        "Separable",
        "Depthwise",
        "LSTM",
        "GRU",
        "SimpleRNN",
        "RNN",
        "Bidirectional",
        "StackedRNN",
    ];
    let lookup = [
        "Hashing",
        "HashedCrossing",
        "StringLookup",
        "IntegerLookup",
        "TextVectorization",
        "MelSpectrogram",
        "STFTSpectrogram",
        "DenseFeatures",
    ];
    let is = |classes: &[&str]| classes.contains(&class_name);
    if steps.iter().any(|start| class_name.starts_with(start)) || class_name.ends_with("Attention")
    {
        Some(
            "it runs dense networks: train one of Flatten and Dense on the same samples, or of Dense on features of them",
        )
    } else if is(&lookup) {
        Some(
            "compute it before the model, and save the layers behind it alone: keras.Sequential([keras.Input(shape), *layers]).save(\"model.keras\")",
        )
    } else if class_name == "Lambda" {
        Some(
            "its function is Python code: build the model with Rescaling, Activation or another layer in its place, or compute it before the model",
        )
    } else {
        None
    }
}
