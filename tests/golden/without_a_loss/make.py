"""Models that are compiled without a loss, and what real Keras trains and evaluates of them.

    KERAS_BACKEND=tensorflow TF_ENABLE_ONEDNN_OPTS=0 python3 tests/golden/without_a_loss/make.py

Writes `cases.json` (regularizers and optimizers, two epochs) and `model.keras`, `model.h5`: one step of
Adam, saved; what they compute is printed and stands in the test.
"""

import json
import os
import warnings

import keras
import numpy as np
from keras import layers, regularizers

warnings.simplefilter("ignore")
here = os.path.dirname(os.path.abspath(__file__))
x = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.25]], "float32")
y = np.array([[1.0], [0.0], [2.0]], "float32")
L1, L2 = regularizers.L1(0.1), regularizers.L2(0.1)


def model(reg1=None, act1=None, reg2=None, act2=None, train1=True, train2=True, constraint=None, first=None):
    a = layers.Dense(2, activation="tanh", kernel_regularizer=reg1, activity_regularizer=act1, trainable=train1, name="a")
    b = layers.Dense(1, kernel_regularizer=reg2, activity_regularizer=act2, trainable=train2, name="b", bias_constraint=constraint)
    m = keras.Sequential([keras.Input((2,)), *([first] if first else []), a, b])
    m.set_weights([np.array([[0.5, -0.25], [0.125, 1.0]]), np.array([0.1, -0.2]), np.array([[1.0], [-0.5]]), np.array([0.3])])
    return m


def run(call):
    try:
        return call()
    except ValueError as error:
        return {"error": str(error)}


def weights(m):
    return [v for w in m.get_weights() for v in w.ravel().tolist()]


CASES = {
    "nothing to learn from": (dict(), keras.optimizers.SGD(0.1)),
    "penalty of a frozen kernel": (dict(reg1=L2, train1=False), keras.optimizers.SGD(0.1)),
    "penalty in the middle, decay": (dict(act1=L2), keras.optimizers.AdamW(0.1, weight_decay=0.5)),
    "l1 of a kernel, ftrl": (dict(reg1=L1), keras.optimizers.Ftrl(0.1)),
    "l2 of a kernel, decay, average": (dict(reg2=L2), keras.optimizers.SGD(0.1, weight_decay=0.5, use_ema=True, ema_momentum=0.5)),
    "l2 of a kernel, constraint": (dict(reg2=L2, constraint=keras.constraints.UnitNorm()), keras.optimizers.SGD(0.1)),
    "both kinds": (dict(reg2=L2, act1=L1), keras.optimizers.SGD(0.1, momentum=0.5)),
    "all frozen": (dict(act2=L1, train1=False, train2=False), keras.optimizers.SGD(0.1)),
    "nothing trained before the penalty": (dict(act1=L1, train1=False), keras.optimizers.SGD(0.1)),
    "penalty of the inputs": (dict(first=layers.ActivityRegularization(l2=0.1)), keras.optimizers.SGD(0.1)),
    "something trained before the penalty": (dict(act2=L1, train2=False), keras.optimizers.SGD(0.1)),
    "a factor of 0": (dict(reg1=regularizers.L2(0.0)), keras.optimizers.SGD(0.1)),
}
cases = []
for name, (arguments, optimizer) in CASES.items():
    m = model(**arguments)
    m.compile(optimizer, metrics=["mae"])
    case = {"name": name, "model": m.to_json(), "before": weights(m)}
    case["fit"] = run(lambda: m.fit(x, y, verbose=0, batch_size=2, epochs=2, shuffle=False).history)
    case["after"] = weights(m)
    case["evaluate"] = run(lambda: m.evaluate(x, y, verbose=0, batch_size=2, return_dict=True))
    case["train_on_batch"] = run(lambda: m.train_on_batch(x, y, return_dict=True))
    case["test_on_batch"] = run(lambda: m.test_on_batch(x, y, return_dict=True))
    cases.append(case)
with open(os.path.join(here, "cases.json"), "w") as file:
    json.dump({"x": x.tolist(), "y": y.tolist(), "cases": cases}, file, indent=1)

m = model(reg1=L2, act1=L1)
m.compile(keras.optimizers.Adam(0.1), metrics=["mae"])
m.fit(x, y, verbose=0, batch_size=3)
for name in ["model.keras", "model.h5"]:
    m.save(os.path.join(here, name))
    read = keras.models.load_model(os.path.join(here, name))
    print(name, read.predict(x, verbose=0).ravel().tolist(), read.evaluate(x, y, verbose=0))
print("one step more", m.train_on_batch(x, y), weights(m))
