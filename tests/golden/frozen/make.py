"""Makes the models of this folder with real Keras 3.15: which weights a model trains that was frozen
by the constructor, by the setter or by a layer, at the top or nested, Sequential or Functional.
Prints for each, loaded again, 1 for every weight that one epoch of sgd changes.

    python make.py
"""
import keras
import numpy as np

L = keras.layers


def seq(trainable=True):
    return keras.Sequential(
        [L.Input((3,)), L.Dense(4, name="a"), L.BatchNormalization(name="bna"), L.Dense(2, name="b")],
        trainable=trainable,
    )


def fun(**arguments):
    i = L.Input((3,))
    x = L.BatchNormalization(name="bna")(L.Dense(4, name="a")(i))
    return keras.Model(i, L.Dense(2, name="b")(x), **arguments)


def outer(inner):
    return keras.Sequential([L.Input((3,)), inner, L.Dense(2, name="out")])


def outer_functional(inner):
    i = L.Input((3,))
    return keras.Model(i, L.Dense(2, name="out")(inner(i)))


def frozen(model):
    model.trainable = False
    return model


def last_frozen(model):
    model.layers[-1].trainable = False
    return model


models = {
    "seq_constructor": seq(False),
    "seq_set": frozen(seq()),
    "seq_layer": last_frozen(seq()),
    "fun_constructor": fun(trainable=False),
    "fun_set": frozen(fun()),
    "fun_layer": last_frozen(fun()),
    "n_seq_constructor": outer(seq(False)),
    "n_seq_set": outer(frozen(seq())),
    "n_fun_constructor": outer(fun(trainable=False)),
    "n_fun_layer": outer(last_frozen(fun())),
    "f_seq_constructor": outer_functional(seq(False)),
    "f_fun_set": outer_functional(frozen(fun())),
}
x = np.random.RandomState(0).randn(32, 3).astype("f")
y = np.random.RandomState(1).randn(32, 2).astype("f")
for name, model in models.items():
    for ending in ["keras", "h5"]:
        if ending == "h5" and name not in ("seq_constructor", "fun_constructor", "fun_layer"):
            continue
        model.save(f"{name}.{ending}")
        loaded = keras.models.load_model(f"{name}.{ending}")
        before = [w.numpy().copy() for w in loaded.weights]
        loaded.compile("sgd", "mse")
        loaded.fit(x, y, epochs=1, verbose=0)
        changed = [abs(w.numpy() - b).max() > 0 for w, b in zip(loaded.weights, before)]
        print(name, ending, "".join("01"[c] for c in changed))
