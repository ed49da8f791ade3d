"""Writes boundaries.json.gz: arguments at and beyond their limits, with what real Keras gives for them, or that it refuses them.

    TF_ENABLE_ONEDNN_OPTS=0 python3 tests/golden/keras_arguments/make.py

With the names of kinds, only these: the committed table was made with
`layer metric regularizer constraint initializer schedule optimizer`.

Every class is made from the config that a file of Keras would hold, with one argument changed, and used once on small data.
"""

import gzip
import json
import math
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np

# A number of every kind, and what is none. 0.5 and 1.5 lie on both sides of 1.
NUMBERS = [-1.0, -0.3, 0, 0.0, 0.25, 0.5, 1, 1.0, 1.5, 2, 1e30, None, True, False, "x", "0.5", [], [0.5], {}]
# Where a count or an axis is expected, other counts too.
COUNTS = [-2, -1, 0, 1, 2, 3, 1.0, 1.5, 1000, None, True, False, "x", "1", [], [1], [0, 1], {}]
FLAGS = [None, True, False, 0, 1, 2, 0.0, 0.5, "x", "", "False", [], [1], {}]
TEXTS = [None, "", "x", "X", 0, 1, True, False, [], {}]
AXES = [-4, -3, -2, -1, 0, 1, 2, 3, 1.0, None, True, "x", [], [1], [2, 1], [-1, -2], [1, 1], [0, 1], [0], {}]
POLICIES = [None, "float32", "float64", "float16", "mixed_float16", "bfloat16", "x", 1, {}]
REGULARIZERS = [None, "l1", "l2", "l1_l2", "L2", "L1L2", "x", "", 0.01, 0, True, [], {}, "orthogonal_regularizer"]
CONSTRAINTS = [None, "max_norm", "MaxNorm", "non_neg", "x", "", 1, True, [], {}]
INITIALIZERS = [None, "zeros", "ones", "Zeros", "constant", "identity", "x", "", 0, 1.0, True, [], {}]
ACTIVATIONS = [None, "relu", "ReLU", "Relu", "linear", "softmax", "swish", "silu", "relu6", "leaky_relu", "x", "", 0, True, [], {}]

X = np.array([[0.5, -1.25, 2.0], [1.5, 0.25, -0.75], [-2.0, 1.0, 0.5], [0.125, 0.75, -1.5]], "float32")
Y = np.array([[0.25, 0.5, -1.0], [1.0, -0.5, 0.75], [0.0, 2.0, 0.5], [-0.25, 1.25, 0.5]], "float32")
X2 = np.stack([X, X[::-1] * 0.5 + 0.25], axis=1)  # rows of (2, 3)
Y2 = np.stack([Y, Y[:, ::-1]], axis=1)


class Refused(Exception):
    pass


def number(value):
    value = float(value)
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return float(f"{value:.9g}")


def numbers(array):
    return [number(value) for value in np.asarray(array, "float64").ravel()]


def pattern(count):
    """Weights that are all different."""
    return np.array([((7 * i) % 11 - 4) / 8 for i in range(count)], "float32")


def set_weights(model):
    arrays = []
    for weight in model.weights:
        array = pattern(int(np.prod(weight.shape))).reshape(weight.shape)
        if "variance" in weight.path:
            array = np.abs(array) + 0.25
        arrays.append(array if weight.dtype.startswith("float") else np.zeros(weight.shape, weight.dtype))
    model.set_weights(arrays)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def sequential(shape, layers):
    """The config that `Sequential::from_serialized` takes as well."""
    layers = [{"class_name": "InputLayer", "config": {"batch_shape": [None, *shape], "name": "in"}}, *layers]
    # Without a module Keras reads them as of a legacy file, and drops an axis that is a list.
    layers = [{"module": "keras.layers", "registered_name": None, **layer} for layer in layers]
    return {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}


def layer_case(entry):
    x, y = (X, Y) if entry["rank"] == 1 else (X2, Y2)
    dense = {"class_name": "Dense", "config": {"units": 3, "name": "before"}}
    layer = {"class_name": entry["class"], "config": {**entry["config"], "name": "l"}}
    object = sequential(x.shape[1:], [dense, layer])
    model = keras.Sequential.from_config(object["config"])
    if not model.built:
        raise Refused
    if model.dtype_policy.name != "float32" or any(l.dtype_policy.name != "float32" for l in model.layers):
        return {"dtype": model.layers[-1].dtype_policy.name}
    set_weights(model)
    out = {"shape": list(model.output_shape[1:]), "weights": [list(w.shape) for w in model.weights],
           "predict": numbers(model(x, training=False))}
    if entry["class"] in ("Dropout", "AlphaDropout", "GaussianNoise", "GaussianDropout"):
        try:
            out["random"] = bool(np.any(numbers(model(x, training=True)) != out["predict"]))
        except Exception:
            out["train"] = "refused"
        return out
    target = np.resize(y, (len(x), *out["shape"]))
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss="mse")
    try:
        out["loss"] = number(model.train_on_batch(x, target))
        out["after"] = numbers(np.concatenate([w.ravel() for w in model.get_weights()]))
    except Exception:
        out["train"] = "refused"
    return out


COMMON = {"dtype": POLICIES, "trainable": FLAGS, "activity_regularizer": REGULARIZERS}
LAYERS = {
    "Dense": ({"units": 3}, {
        "units": COUNTS, "activation": ACTIVATIONS, "use_bias": FLAGS, "kernel_initializer": INITIALIZERS,
        "bias_initializer": INITIALIZERS, "kernel_regularizer": REGULARIZERS, "bias_regularizer": REGULARIZERS,
        "kernel_constraint": CONSTRAINTS, "bias_constraint": CONSTRAINTS, "lora_rank": [None, 0, 2], **COMMON}),
    "Flatten": ({}, {"data_format": [None, "channels_last", "channels_first", "x", "", 1]}),
    "Reshape": ({"target_shape": [3]}, {"target_shape": [None, 3, -1, 0, [3], [-1], [1, 3], [3, 1], [3, -1], [-1, -1], [-2], [2], [4], [0],
                                                      [0, -1], [], [None], [3.0], "x", [1.5], True, {}, [6], [2, 3], [-1, 2]]}),
    "Activation": ({"activation": "tanh"}, {"activation": ACTIVATIONS}),
    "ReLU": ({}, {"max_value": NUMBERS, "negative_slope": NUMBERS, "threshold": NUMBERS, "alpha": [0.5]}),
    "LeakyReLU": ({}, {"negative_slope": NUMBERS, "alpha": [-1.0, 0, 0.5, None]}),
    "ELU": ({}, {"alpha": NUMBERS}),
    "PReLU": ({}, {"alpha_initializer": INITIALIZERS, "alpha_regularizer": REGULARIZERS, "alpha_constraint": CONSTRAINTS,
                   "shared_axes": AXES}),
    "Softmax": ({}, {"axis": AXES}),
    "Dropout": ({"rate": 0.5}, {"rate": NUMBERS, "seed": COUNTS, "noise_shape": [None, [], 1, [None, 3], [4, 3], [None, 1], [1, 1], [2, 3], [None, None], [None], "x", [None, 3, 1], [None, 0], [None, -1], [1.0, 3]]}),
    "AlphaDropout": ({"rate": 0.5}, {"rate": NUMBERS, "seed": COUNTS, "noise_shape": [None, [], [None, 3], [None, 1], [2, 3], "x"]}),
    "GaussianNoise": ({"stddev": 0.5}, {"stddev": NUMBERS, "seed": COUNTS}),
    "GaussianDropout": ({"rate": 0.5}, {"rate": NUMBERS, "seed": COUNTS}),
    "BatchNormalization": ({}, {
        "axis": AXES, "momentum": NUMBERS, "epsilon": [*NUMBERS, 1e-7], "center": FLAGS, "scale": FLAGS,
        "beta_initializer": INITIALIZERS, "moving_mean_initializer": INITIALIZERS, "beta_regularizer": REGULARIZERS,
        "gamma_constraint": CONSTRAINTS, "renorm": [None, False, True], "synchronized": FLAGS, "virtual_batch_size": [None, 2], **COMMON}),
    "LayerNormalization": ({}, {
        "axis": AXES, "epsilon": [*NUMBERS, 1e-7], "center": FLAGS, "scale": FLAGS, "rms_scaling": FLAGS,
        "gamma_initializer": INITIALIZERS, "beta_regularizer": REGULARIZERS, "gamma_constraint": CONSTRAINTS}),
    "UnitNormalization": ({}, {"axis": AXES}),
    "Normalization": ({"mean": 0.5, "variance": 2.0}, {
        "mean": [*NUMBERS, [1, 2, 3], [[1, 2, 3]], [1, 2], [[1], [2]], ["x"]],
        "variance": [*NUMBERS, [1, 2, 3], [[1, 2, 3]], [1, 2], [1, 0, 3], [1, 2, -3]], "axis": AXES, "invert": FLAGS}),
    "Rescaling": ({"scale": 2.0, "offset": 0.0}, {"scale": [*NUMBERS, [1, 2, 3], [1, 2], [[1, 2, 3]], [[1], [2], [3]]],
                                   "offset": [*NUMBERS, [1, 2, 3], [1, 2], [[1, 2, 3]]]}),
    "Identity": ({}, COMMON),
    "ActivityRegularization": ({}, {"l1": NUMBERS, "l2": NUMBERS}),
}
# Normalization with weights of its own has no mean and no variance.
ADAPTED = {"axis": AXES, "invert": FLAGS, "mean": [None, 0, []], "variance": [None, 1.0]}


def loss_case(entry):
    y_pred, y_true = LOSS_DATA[entry["data"].removeprefix("loss ")]
    object = sequential(y_pred.shape[1:], [{"class_name": "Dense", "config": {"units": y_pred.shape[1], "name": "d"}}])
    model = keras.Sequential.from_config(object["config"])
    model.set_weights([np.eye(y_pred.shape[1], dtype="float32"), np.zeros(y_pred.shape[1], "float32")])
    loss = keras.losses.deserialize({"class_name": entry["class"], "config": entry["config"]})
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=loss)
    out = {"loss": numbers(model.train_on_batch(y_pred, y_true))}
    out["after"] = numbers(np.concatenate([w.ravel() for w in model.get_weights()]))
    return out


PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.125, 0.5, 0.375], [0.3, 0.3, 0.4], [0.05, 0.9, 0.05]], "float32")
ONE_HOT = np.eye(3, dtype="float32")[[0, 2, 1, 1]]
INDICES = np.array([0, 2, 1, 1], "float32")
BINARY = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 0]], "float32")
LOSS_DATA = {
    "regression": (X, Y),
    "binary": (PROBABILITIES, BINARY),
    "one_hot": (PROBABILITIES, ONE_HOT),
    "indices": (PROBABILITIES, INDICES),
    "circle": (X, np.array([0, 1, 0, 1], "float32")),
}
REDUCTIONS = [None, "none", "sum", "mean", "sum_over_batch_size", "mean_with_sample_weight", "auto", "x", "", "SUM", 0, True, [], {}]
LOSS_COMMON = {"reduction": REDUCTIONS, "name": [None, "", "x", 1, []], "dtype": POLICIES}
CROSSENTROPY = {"from_logits": FLAGS, "label_smoothing": NUMBERS, "axis": AXES}
LOSSES = {
    **{name: ("regression", {}, LOSS_COMMON) for name in (
        "MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "LogCosh",
        "Hinge", "SquaredHinge", "CategoricalHinge", "KLDivergence", "Poisson")},
    "CosineSimilarity": ("regression", {}, {"axis": AXES, **LOSS_COMMON}),
    "Huber": ("regression", {}, {"delta": NUMBERS, **LOSS_COMMON}),
    "BinaryCrossentropy": ("binary", {}, {**CROSSENTROPY, **LOSS_COMMON}),
    "BinaryFocalCrossentropy": ("binary", {}, {"apply_class_balancing": FLAGS, "alpha": NUMBERS, "gamma": NUMBERS, **CROSSENTROPY}),
    "CategoricalCrossentropy": ("one_hot", {}, {**CROSSENTROPY, **LOSS_COMMON}),
    "CategoricalFocalCrossentropy": ("one_hot", {}, {"alpha": [*NUMBERS, [0.25, 0.5, 1.0], [0.25, 0.5], [[0.5, 0.25, 1]]], "gamma": NUMBERS, **CROSSENTROPY}),
    "SparseCategoricalCrossentropy": ("indices", {}, {"from_logits": FLAGS, "ignore_class": [*COUNTS, -1, 0.5], "axis": AXES, **LOSS_COMMON}),
    "Dice": ("binary", {}, {"axis": AXES, **LOSS_COMMON}),
    "Tversky": ("binary", {}, {"alpha": NUMBERS, "beta": NUMBERS, "axis": AXES}),
    "Circle": ("circle", {}, {"gamma": NUMBERS, "margin": NUMBERS, "remove_diagonal": FLAGS}),
    "CategoricalGeneralizedCrossEntropy": ("indices", {}, {"q": NUMBERS}),
}


def metric_case(entry):
    y_true, y_pred = METRIC_DATA[entry["data"].removeprefix("metric ")]
    metric = keras.metrics.deserialize({"class_name": entry["class"], "config": entry["config"]})
    metric.update_state(y_true[:2], y_pred[:2])
    metric.update_state(y_true[2:], y_pred[2:])
    result = metric.result()
    return {"result": numbers(result), "name": metric.name}


METRIC_DATA = {
    "regression": (Y, X),
    "binary": (BINARY, PROBABILITIES),
    "column": (BINARY[:, :1], PROBABILITIES[:, :1]),
    "one_hot": (ONE_HOT, PROBABILITIES),
    "indices": (INDICES, PROBABILITIES),
    # Classes that were decided already.
    "classes": (np.array([[0.0], [2.0], [1.0], [1.0]], "float32"), np.array([[0.0], [1.0], [1.0], [2.0]], "float32")),
}
METRIC_COMMON = {"name": [None, "", "x", 1], "dtype": POLICIES}
THRESHOLDS = [*NUMBERS, [0.25, 0.5], [0.5, 0.25], [-1.0], [1.5], [0, 1], [None], ["x"]]
COUNTED = {"thresholds": THRESHOLDS}
RATIO = {**COUNTED, "top_k": COUNTS, "class_id": COUNTS}
AT = {"num_thresholds": [*COUNTS, 200], "class_id": COUNTS}
METRICS = {
    "MeanSquaredError": ("regression", {}, METRIC_COMMON),
    "RootMeanSquaredError": ("regression", {}, METRIC_COMMON),
    "CosineSimilarity": ("regression", {}, {"axis": AXES}),
    "PearsonCorrelation": ("regression", {}, {"axis": AXES}),
    "ConcordanceCorrelation": ("regression", {}, {"axis": AXES}),
    "R2Score": ("regression", {}, {"class_aggregation": [*TEXTS, "uniform_average", "variance_weighted_average"], "num_regressors": [*COUNTS, 4, 5, 8], **METRIC_COMMON}),
    "BinaryAccuracy": ("binary", {}, {"threshold": NUMBERS, **METRIC_COMMON}),
    "TopKCategoricalAccuracy": ("one_hot", {}, {"k": COUNTS}),
    "SparseTopKCategoricalAccuracy": ("indices", {}, {"k": COUNTS, "from_sorted_ids": FLAGS}),
    "AUC": ("binary", {}, {
        "num_thresholds": [*COUNTS, 200], "curve": [*TEXTS, "ROC", "PR", "roc", "pr", "PRGAIN"],
        "summation_method": [*TEXTS, "interpolation", "minoring", "majoring", "Majoring"], "thresholds": THRESHOLDS,
        "multi_label": FLAGS, "num_labels": COUNTS, "label_weights": [None, 1.0, [], [1, 2, 3], [1, 2], [0, 0, 0], [-1, 1, 1], "x"],
        "from_logits": FLAGS, **METRIC_COMMON}),
    "Precision": ("binary", {}, {**RATIO, **METRIC_COMMON}),
    "Recall": ("binary", {}, RATIO),
    **{name: ("binary", {}, COUNTED) for name in ("TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives")},
    "SensitivityAtSpecificity": ("binary", {"specificity": 0.5}, {"specificity": NUMBERS, **AT}),
    "SpecificityAtSensitivity": ("binary", {"sensitivity": 0.5}, {"sensitivity": NUMBERS, **AT}),
    "PrecisionAtRecall": ("binary", {"recall": 0.5}, {"recall": NUMBERS, **AT}),
    "RecallAtPrecision": ("binary", {"precision": 0.5}, {"precision": NUMBERS, **AT}),
    "F1Score": ("one_hot", {}, {"average": [*TEXTS, "micro", "macro", "weighted", "Micro"], "threshold": NUMBERS, **METRIC_COMMON}),
    "FBetaScore": ("one_hot", {}, {"average": [*TEXTS, "micro"], "beta": NUMBERS, "threshold": NUMBERS}),
    "IoU": ("classes", {"num_classes": 3, "target_class_ids": [0, 1]}, {
        "num_classes": COUNTS, "target_class_ids": [*COUNTS, [2], [3], [-1], [0, 0], [0.5], ["x"]], "ignore_class": COUNTS,
        "sparse_y_true": FLAGS, "sparse_y_pred": FLAGS, "axis": AXES}),
    "BinaryIoU": ("column", {}, {"threshold": NUMBERS, "target_class_ids": [*COUNTS, [2], [-1]]}),
    "MeanIoU": ("classes", {"num_classes": 3}, {"num_classes": COUNTS, "ignore_class": COUNTS, "sparse_y_true": FLAGS}),
    "OneHotIoU": ("one_hot", {"num_classes": 3, "target_class_ids": [0, 1]}, {
        "num_classes": COUNTS, "ignore_class": COUNTS, "sparse_y_pred": FLAGS, "axis": AXES}),
    "OneHotMeanIoU": ("one_hot", {"num_classes": 3}, {"num_classes": COUNTS, "axis": AXES}),
}


def regularizer_case(entry):
    regularizer = keras.regularizers.deserialize({"class_name": entry["class"], "config": entry["config"]})
    import tensorflow as tf
    w = tf.Variable(pattern(12).reshape(4, 3))
    with tf.GradientTape() as tape:
        penalty = regularizer(w)
    gradient = tape.gradient(penalty, w)
    return {"penalty": number(penalty), "gradient": numbers(np.zeros(12) if gradient is None else gradient)}


REGULARIZER_CLASSES = {
    "L1": {"l1": NUMBERS}, "L2": {"l2": NUMBERS}, "L1L2": {"l1": NUMBERS, "l2": NUMBERS},
    "OrthogonalRegularizer": {"factor": NUMBERS, "mode": [*TEXTS, "rows", "columns", "Rows"]},
}


def constraint_case(entry):
    constraint = keras.constraints.deserialize({"class_name": entry["class"], "config": entry["config"]})
    return {"out": numbers(constraint(keras.ops.convert_to_tensor(pattern(12).reshape(4, 3))))}


CONSTRAINT_AXES = [-3, -2, -1, 0, 1, 2, 1.0, None, True, False, "x", [], [0], [1], [0, 1], [1, 1], {}]
CONSTRAINT_CLASSES = {
    "MaxNorm": {"max_value": NUMBERS, "axis": CONSTRAINT_AXES}, "NonNeg": {"axis": [0]}, "UnitNorm": {"axis": CONSTRAINT_AXES},
    "MinMaxNorm": {"min_value": NUMBERS, "max_value": NUMBERS, "rate": NUMBERS, "axis": CONSTRAINT_AXES},
}


def initializer_case(entry):
    initializer = keras.initializers.deserialize({"class_name": entry["class"], "config": entry["config"]})
    return {"out": numbers(initializer((4, 3)))}


SEEDED = {"seed": [-1, 0, 1, 7, 1.0, 1.5, 2**31, 2**32, 2**40, True, "x", [], [1, 2]]}
FANNED = {name: ({"seed": 7}, SEEDED) for name in ("GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal")}
INITIALIZER_CLASSES = {
    **FANNED,
    "RandomUniform": ({"seed": 7}, {"minval": NUMBERS, "maxval": NUMBERS, **SEEDED}),
    "RandomNormal": ({"seed": 7}, {"mean": NUMBERS, "stddev": NUMBERS, **SEEDED}),
    "TruncatedNormal": ({"seed": 7}, {"mean": NUMBERS, "stddev": NUMBERS, **SEEDED}),
    "Orthogonal": ({"seed": 7}, {"gain": NUMBERS, **SEEDED}),
    "VarianceScaling": ({"seed": 7}, {"scale": NUMBERS, "mode": [*TEXTS, "fan_in", "fan_out", "fan_avg", "FAN_IN"],
                        "distribution": [*TEXTS, "uniform", "normal", "truncated_normal", "untruncated_normal", "Uniform", "NORMAL"], **SEEDED}),
    "Zeros": ({}, {"seed": [1]}), "Ones": ({}, {}), "Constant": ({}, {"value": NUMBERS}), "Identity": ({}, {"gain": NUMBERS}),
}


STEPS = [0, 1, 2, 3, 4, 5, 7, 10, 25]


def schedule_case(entry):
    schedule = keras.optimizers.schedules.deserialize({"class_name": entry["class"], "config": entry["config"]})
    return {"rates": [number(schedule(keras.ops.convert_to_tensor(step, "int64"))) for step in STEPS]}


DECAY = {"initial_learning_rate": 0.5, "decay_steps": 4, "decay_rate": 0.5}
SCHEDULES = {
    "ExponentialDecay": (DECAY, {"initial_learning_rate": NUMBERS, "decay_steps": NUMBERS, "decay_rate": NUMBERS, "staircase": FLAGS}),
    "InverseTimeDecay": (DECAY, {"initial_learning_rate": NUMBERS, "decay_steps": NUMBERS, "decay_rate": NUMBERS, "staircase": FLAGS}),
    "PolynomialDecay": ({"initial_learning_rate": 0.5, "decay_steps": 4}, {
        "initial_learning_rate": NUMBERS, "decay_steps": NUMBERS, "end_learning_rate": NUMBERS, "power": NUMBERS, "cycle": FLAGS}),
    "CosineDecay": ({"initial_learning_rate": 0.5, "decay_steps": 4}, {
        "initial_learning_rate": NUMBERS, "decay_steps": NUMBERS, "alpha": NUMBERS, "warmup_target": NUMBERS, "warmup_steps": NUMBERS}),
    "CosineDecayWarm": ({"initial_learning_rate": 0.5, "decay_steps": 4, "warmup_target": 1.0, "warmup_steps": 3}, {
        "warmup_target": NUMBERS, "warmup_steps": NUMBERS, "decay_steps": NUMBERS}),
    "CosineDecayRestarts": ({"initial_learning_rate": 0.5, "first_decay_steps": 4}, {
        "initial_learning_rate": NUMBERS, "first_decay_steps": NUMBERS, "t_mul": NUMBERS, "m_mul": NUMBERS, "alpha": NUMBERS}),
    "PiecewiseConstantDecay": ({"boundaries": [2, 5], "values": [0.5, 0.25, 0.125]}, {
        "boundaries": [None, [], [2], [5, 2], [2, 2], [2.5, 5], [-1, 3], ["x", 2], 2, [2, 5, 7], [None, 2], [0, 3]],
        "values": [None, [], [0.5], [0.5, 0.25], [1, 0.5, 0.25], [-1.0, 0.5, 0.25], ["x", 1, 2], 2, [None, 1, 2], [1, 2, 3]]}),
}


def optimizer_case(entry):
    optimizer = getattr(keras.optimizers, entry["class"]).from_config(dict(entry["config"]))
    kernel = keras.Variable(pattern(6).reshape(3, 2), name="kernel")
    bias = keras.Variable(pattern(2)[::-1].copy(), name="bias")
    optimizer.build([kernel, bias])
    for step in range(4):
        g = pattern(9 + step)[step + 1:]
        optimizer.apply([keras.ops.convert_to_tensor(g[:6].reshape(3, 2)), keras.ops.convert_to_tensor(g[6:8])], [kernel, bias])
    optimizer.finalize_variable_values([kernel, bias])
    return {"after": numbers(np.concatenate([kernel.numpy().ravel(), bias.numpy()]))}


OPTIMIZER_COMMON = {
    "learning_rate": NUMBERS, "weight_decay": NUMBERS, "clipnorm": NUMBERS, "clipvalue": NUMBERS, "global_clipnorm": NUMBERS,
    "use_ema": FLAGS, "loss_scale_factor": NUMBERS, "gradient_accumulation_steps": [*COUNTS, 4], "name": [None, "", "x", 1],
    "unknown": [1],
}
EMA = {"ema_momentum": NUMBERS, "ema_overwrite_frequency": COUNTS, "use_ema": FLAGS}
ADAM = {"beta_1": NUMBERS, "beta_2": NUMBERS, "epsilon": NUMBERS}
OPTIMIZERS = {
    "SGD": ({"learning_rate": 0.1}, {"momentum": NUMBERS, "nesterov": FLAGS, **OPTIMIZER_COMMON}),
    "SGDMomentum": ({"learning_rate": 0.1, "momentum": 0.5}, {"nesterov": FLAGS}),
    "SGDEma": ({"learning_rate": 0.1, "use_ema": True}, EMA),
    "Adam": ({"learning_rate": 0.1}, {**ADAM, "amsgrad": FLAGS, "weight_decay": NUMBERS}),
    "AdamW": ({"learning_rate": 0.1}, {**ADAM, "amsgrad": FLAGS, "weight_decay": NUMBERS}),
    "RMSprop": ({"learning_rate": 0.1}, {"rho": NUMBERS, "momentum": NUMBERS, "epsilon": NUMBERS, "centered": FLAGS}),
    "RMSpropCentered": ({"learning_rate": 0.1, "centered": True}, {"rho": NUMBERS, "epsilon": NUMBERS}),
    "Adagrad": ({"learning_rate": 0.1}, {"initial_accumulator_value": NUMBERS, "epsilon": NUMBERS}),
    "Adadelta": ({"learning_rate": 0.1}, {"rho": NUMBERS, "epsilon": NUMBERS}),
    "Adamax": ({"learning_rate": 0.1}, ADAM),
    "Nadam": ({"learning_rate": 0.1}, ADAM),
    "Ftrl": ({"learning_rate": 0.1}, {
        "learning_rate_power": NUMBERS, "initial_accumulator_value": NUMBERS, "l1_regularization_strength": NUMBERS,
        "l2_regularization_strength": NUMBERS, "l2_shrinkage_regularization_strength": NUMBERS, "beta": NUMBERS}),
    "Lion": ({"learning_rate": 0.1}, {"beta_1": NUMBERS, "beta_2": NUMBERS}),
    "Lamb": ({"learning_rate": 0.1}, ADAM),
    "Adafactor": ({"learning_rate": 0.1}, {
        "beta_2_decay": NUMBERS, "epsilon_1": NUMBERS, "epsilon_2": NUMBERS, "clip_threshold": NUMBERS, "relative_step": FLAGS}),
    "ScheduleFreeAdamW": ({"learning_rate": 0.1}, {**ADAM, "warmup_steps": COUNTS}),
    "Muon": ({"learning_rate": 0.1}, {
        "adam_beta_1": NUMBERS, "epsilon": NUMBERS, "muon_a": [-1.0, 0.25, 0.5, None, "x"], "momentum": NUMBERS, "ns_steps": COUNTS, "nesterov": FLAGS,
        "rms_rate": NUMBERS, "adam_lr_ratio": NUMBERS, "adam_weight_decay": NUMBERS, "exclude_layers": [None, [], ["kernel"], "x", 1]}),
}


def callback_case(entry):
    """Six epochs whose `val_loss` and learning rates are recorded; targets far away keep the loss falling, or rising."""
    keras.utils.set_random_seed(1)
    object = sequential((1,), [{"class_name": "Dense", "config": {"units": 1, "name": "d"}}])
    model = keras.Sequential.from_config(object["config"])
    model.set_weights([np.array([[1.0]], "float32"), np.array([0.0], "float32")])
    model.compile(optimizer=keras.optimizers.SGD(0.75), loss="mse")
    callback = getattr(keras.callbacks, entry["class"])(**entry["config"])
    x, y = np.ones((2, 1), "float32"), np.zeros((2, 1), "float32")
    history = model.fit(x, y, epochs=6, verbose=0, shuffle=False, callbacks=[callback])
    out = {"loss": numbers(history.history["loss"]), "after": numbers(np.concatenate([w.ravel() for w in model.get_weights()]))}
    if "learning_rate" in history.history:
        out["learning_rate"] = numbers(history.history["learning_rate"])
    return out


CALLBACKS = {
    "EarlyStopping": ({"monitor": "loss"}, {
        "monitor": [None, "loss", "x", "", "val_loss", 1], "min_delta": NUMBERS, "patience": COUNTS, "verbose": [0],
        "mode": [*TEXTS, "auto", "min", "max", "MIN"], "baseline": NUMBERS, "restore_best_weights": FLAGS, "start_from_epoch": COUNTS}),
    "ReduceLROnPlateau": ({"monitor": "loss", "patience": 1}, {
        "monitor": [None, "loss", "x", "val_loss"], "factor": NUMBERS, "patience": COUNTS, "mode": [*TEXTS, "auto", "min", "max"],
        "min_delta": NUMBERS, "cooldown": COUNTS, "min_lr": NUMBERS}),
    "TerminateOnNaN": ({}, {"raise_error": FLAGS}),
}


DATA = {
    "x": X.tolist(), "y": Y.tolist(), "x2": X2.tolist(), "y2": Y2.tolist(), "steps": STEPS,
    **{f"loss {name}": {"y_pred": p.tolist(), "y_true": t.tolist()} for name, (p, t) in LOSS_DATA.items()},
    **{f"metric {name}": {"y_pred": p.tolist(), "y_true": t.tolist()} for name, (t, p) in METRIC_DATA.items()},
}


def cases():
    def vary(kind, key, start, arguments, **more):
        # `SGDEma` and the like are other beginnings of one class.
        name = next((known for known in ("SGD", "RMSprop", "CosineDecay") if key in (known + "Momentum", known + "Ema", known + "Centered", known + "Warm")), key)
        yield {"kind": kind, "class": name, "config": start, **more}
        for argument, values in arguments.items():
            for value in values:
                yield {"kind": kind, "class": name, "argument": argument, "config": {**start, argument: value}, **more}

    for name, (start, arguments) in LAYERS.items():
        for rank in (1, 2):
            both = {"axis", "shared_axes", "noise_shape", "target_shape", "scale", "mean"}
            yield from vary("layer", name, start, {a: v for a, v in arguments.items() if rank == 1 or a in both}, rank=rank)
    for rank in (1, 2):
        yield from vary("layer", "Normalization", {}, ADAPTED, rank=rank)
    for name, (data, start, arguments) in LOSSES.items():
        yield from vary("loss", name, start, arguments, data=f"loss {data}")
    for name, (data, start, arguments) in METRICS.items():
        yield from vary("metric", name, start, arguments, data=f"metric {data}")
    for name, arguments in REGULARIZER_CLASSES.items():
        yield from vary("regularizer", name, {}, arguments)
    for name, arguments in CONSTRAINT_CLASSES.items():
        yield from vary("constraint", name, {}, arguments)
    for name, (start, arguments) in INITIALIZER_CLASSES.items():
        yield from vary("initializer", name, start, arguments)
    for name, (start, arguments) in SCHEDULES.items():
        yield from vary("schedule", name, start, arguments)
    for name, (start, arguments) in OPTIMIZERS.items():
        yield from vary("optimizer", name, start, arguments)
    for name, (start, arguments) in CALLBACKS.items():
        yield from vary("callback", name, start, arguments)


RUN = {"layer": layer_case, "loss": loss_case, "metric": metric_case, "regularizer": regularizer_case,
       "constraint": constraint_case, "initializer": initializer_case, "schedule": schedule_case,
       "optimizer": optimizer_case, "callback": callback_case}


def main():
    # Gradients and values are the same without a graph, but for crossentropies right behind an activation.
    import tensorflow as tf
    tf.config.run_functions_eagerly(True)
    table = []
    for entry in cases():
        if sys.argv[1:] and entry["kind"] not in sys.argv[1:]:
            continue
        keras.utils.set_random_seed(1)
        try:
            keras_gives = RUN[entry["kind"]](entry)
        except Exception as error:
            keras_gives = {"refused": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:70] if str(error).strip() else ''}"}
        table.append({**entry, "keras": keras_gives})
    text = '{"data": ' + json.dumps(DATA) + ',\n"cases": [\n' + ",\n".join(json.dumps(entry) for entry in table) + "\n]}\n"
    with gzip.GzipFile(Path(__file__).parent / "boundaries.json.gz", "wb", mtime=0) as file:
        file.write(text.encode())
    print(keras.__version__, len(table), "cases,", sum("refused" in e["keras"] for e in table), "refused")


if __name__ == "__main__":
    main()
