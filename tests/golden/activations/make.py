"""Values of every activation by real Keras, in float64 and float32: writes activations.json beside itself.

    TF_ENABLE_ONEDNN_OPTS=0 python3 tests/golden/activations/make.py
"""

import json
import pathlib

import keras
import numpy as np
import tensorflow as tf

FUNCTIONS = [
    ("linear", {}),
    ("relu", {}),
    ("relu", {"negative_slope": 0.25}),
    ("relu", {"max_value": 6.0}),
    ("relu", {"threshold": 1.0}),
    ("relu", {"threshold": -1.5}),
    ("relu", {"negative_slope": 0.1, "max_value": 4.0, "threshold": 0.75}),
    ("relu", {"negative_slope": 0.1, "max_value": 4.0, "threshold": -0.75}),
    ("relu", {"max_value": 0.5, "threshold": 1.0}),
    ("relu6", {}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("leaky_relu", {"negative_slope": -0.5}),
    ("elu", {}),
    ("elu", {"alpha": 0.3}),
    ("elu", {"alpha": 20.0}),
    ("selu", {}),
    ("celu", {}),
    ("celu", {"alpha": 0.1}),
    ("celu", {"alpha": 10.0}),
    ("gelu", {}),
    ("gelu", {"approximate": True}),
    ("silu", {}),
    ("mish", {}),
    ("softplus", {}),
    ("softsign", {}),
    ("sigmoid", {}),
    ("hard_sigmoid", {}),
    ("tanh", {}),
    ("hard_tanh", {}),
    ("tanh_shrink", {}),
    ("soft_shrink", {}),
    ("soft_shrink", {"threshold": 2.0}),
    ("hard_shrink", {}),
    ("hard_shrink", {"threshold": 2.0}),
    ("hard_silu", {}),
    ("exponential", {}),
    ("log_sigmoid", {}),
    ("squareplus", {}),
    ("squareplus", {"b": 0.25}),
    ("squareplus", {"b": 0.0}),
    ("sparse_plus", {}),
    ("sparse_sigmoid", {}),
    ("threshold", {"threshold": 0.5, "default_value": -1.0}),
    ("threshold", {"threshold": -1.0, "default_value": 20.0}),
]
LAYERS = [
    ("ReLU", {"max_value": 2.0, "negative_slope": 0.2, "threshold": 0.5}),
    ("ReLU", {"threshold": 0.5}),
    ("LeakyReLU", {"negative_slope": 0.3}),
    ("ELU", {"alpha": 0.5}),
]
ROWS = ["softmax", "log_softmax"]


def inputs():
    """Within, at and far beyond what a model sees; both neighbours of every place where one bends."""
    x = list(np.linspace(-9, 9, 145)) + [0.0, -0.0, 0.1, -0.1, 1e-6, -1e-6]
    corners = [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 6]
    x = [np.float32(v) for v in x]
    for corner in corners:
        for sign in (1, -1):
            at = np.float32(sign * corner)
            x += [at, np.nextafter(at, np.float32(99)), np.nextafter(at, np.float32(-99))]
    for far in (15.0, 20.0, 30.0, 50.0, 87.0, 100.0, 1e3, 12345.678, 1e6, 1e9, 1e30, 3e38):
        x += [np.float32(far), np.float32(-far)]
    # Without subnormal numbers, which TensorFlow takes for zero.
    return np.array([v for v in x if v == 0 or abs(v) > 1.2e-38], np.float32)


def numbers(values):
    return [float(v) if np.isfinite(v) else None for v in np.asarray(values).reshape(-1)]


def main():
    x = inputs()
    cases = []
    for name, parameters in FUNCTIONS:
        function = getattr(keras.activations, name)
        y = {d: function(tf.constant(x.astype(d)), **parameters) for d in ("float64", "float32")}
        config = {"class_name": name, "config": parameters} if parameters else name
        cases.append({"activation": config, **{d: numbers(v) for d, v in y.items()}})
    for name, parameters in LAYERS:
        layer = lambda d: getattr(keras.layers, name)(**parameters, dtype=d)
        y = {d: layer(d)(tf.constant(x.astype(d))) for d in ("float64", "float32")}
        config = {"module": "keras.layers", "class_name": name, "config": parameters}
        cases.append({"activation": config, **{d: numbers(v) for d, v in y.items()}})
    rng = np.random.default_rng(5)
    rows = [rng.normal(size=4) * s for s in (0.01, 1, 1, 10, 100, 1e6, 1e30)] + [[1, 1, 1, 1], [0, -200, 5, 5]]
    rows = np.array(rows, np.float32)
    wide = []
    for name in ROWS:
        y = getattr(keras.activations, name)(tf.constant(rows.astype("float64")))
        wide.append({"activation": name, "float64": numbers(y)})
    result = {"keras": keras.__version__, "x": numbers(x), "cases": cases, "rows": numbers(rows), "row_cases": wide}
    path = pathlib.Path(__file__).with_name("activations.json")
    text = json.dumps(result).replace('{"activation"', '\n{"activation"')
    path.write_text(text + "\n")


main()
