"""Models that tensorflow-model-optimization wrapped, as tf_keras saves them, and what they predict.

    TF_USE_LEGACY_KERAS=1 python make.py     (tensorflow-model-optimization 0.8, tf_keras)
"""
import json, os
os.environ["TF_USE_LEGACY_KERAS"] = "1"
import numpy as np
import tf_keras as keras
import tensorflow_model_optimization as tfmot

keras.utils.set_random_seed(7)
x = np.round(np.random.default_rng(3).normal(size=(256, 6)), 3).astype("float32")
y = (x[:, :3] * [1, -2, 0.5]).argmax(1)
L = keras.layers


def chain(bn=True):
    return keras.Sequential([L.Input((6,), name="readings"), L.Dense(10, activation="relu", name="first"),
        *([L.BatchNormalization(name="norm")] if bn else []), L.Dropout(0.1, name="drop"),
        L.Dense(8, name="second"), L.ReLU(name="relu"), L.Dense(3, activation="softmax", name="scores")])


def functional():
    i = L.Input((6,), name="readings")
    h = L.Dense(10, activation="tanh", name="first")(i)
    h = L.Dense(8, name="second")(h)
    h = L.Activation("relu", name="relu")(h)
    return keras.Model(i, L.Dense(3, activation="softmax", name="scores")(h))


def nested():
    inner = keras.Sequential([L.Input((6,)), L.Dense(8, activation="relu", name="within"), L.BatchNormalization(name="norm")], name="inner")
    return keras.Sequential([L.Input((6,)), inner, L.Dense(3, activation="softmax", name="scores")])


def fit(model, callbacks=()):
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=6, batch_size=32, verbose=0, callbacks=list(callbacks))
    return model


facts = {"x": x[:12].ravel().tolist(), "shape": [12, 6]}
prune = lambda m: tfmot.sparsity.keras.prune_low_magnitude(m, tfmot.sparsity.keras.ConstantSparsity(0.5, 0, frequency=4))
cluster = lambda m, **o: tfmot.clustering.keras.cluster_weights(m, number_of_clusters=6, cluster_centroids_init=tfmot.clustering.keras.CentroidInitialization.LINEAR, **o)
steps = [tfmot.sparsity.keras.UpdatePruningStep()]
wrapped = {
    "pruned": lambda: fit(prune(fit(chain())), steps),
    "pruned_functional": lambda: fit(prune(fit(functional())), steps),
    "pruned_nested": lambda: fit(prune(fit(nested())), steps),
    "clustered": lambda: fit(cluster(fit(chain()))),
    "clustered_functional": lambda: fit(cluster(fit(functional()))),
    "clustered_sparse": lambda: fit(cluster(tfmot.sparsity.keras.strip_pruning(fit(prune(fit(chain())), steps)), preserve_sparsity=True)),
    "clustered_nested": lambda: fit(cluster(fit(nested()))),
    "qat": lambda: fit(tfmot.quantization.keras.quantize_model(fit(chain(False)))),
    "qat_functional": lambda: fit(tfmot.quantization.keras.quantize_model(fit(functional()))),
    "qat_bn": lambda: fit(tfmot.quantization.keras.quantize_model(fit(keras.Sequential([L.Input((6,)), L.Dense(8, name="second"), L.BatchNormalization(), L.ReLU(), L.Dense(3, activation="softmax", name="scores")])))),
}
strip = {"p": tfmot.sparsity.keras.strip_pruning, "c": tfmot.clustering.keras.strip_clustering}
for name, make in wrapped.items():
    try:
        model = make()
        model.save(f"{name}.h5")
        try: model.save(f"{name}.keras")
        except Exception as e: print(name, ".keras", repr(e)[:200])
        own = model.predict(x[:12], verbose=0)
        facts[name] = {"predictions": own.ravel().tolist()}
        if name[0] in strip:
            stripped = strip[name[0]](model)
            facts[name]["stripped"] = stripped.predict(x[:12], verbose=0).ravel().tolist()
            print(name, "strip differs", np.abs(np.array(facts[name]["stripped"])-own.ravel()).max())
        else:
            print(name, [l.__class__.__name__+":"+getattr(getattr(l,'layer',l),'name','') for l in model.layers])
    except Exception as e:
        print(name, "FAILED", repr(e)[:300])


def arrays(name):
    """The arrays of a file by their names."""
    import h5py
    groups = h5py.File(f"{name}.h5")["model_weights"]
    return {k: groups[g][k][()].astype("float64") for g in groups.attrs["layer_names"] for k in groups[g].attrs["weight_names"]}


def dense(a, name, h):
    return h @ a[f"{name}/kernel:0"] + a[f"{name}/bias:0"]


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return (e / e.sum(1, keepdims=True)).ravel().tolist()


# By numpy in float64, of the float weights: without the rounding that the wrappers imitate.
a = arrays("qat_functional")
h = np.maximum(dense(a, "second", np.tanh(dense(a, "first", x[:12]))), 0)
facts["qat_functional"]["float"] = softmax(dense(a, "scores", h))
a, b = arrays("qat_bn"), "batch_normalization/"
h = (dense(a, "second", x[:12]) - a[b + "moving_mean:0"]) / np.sqrt(a[b + "moving_variance:0"] + 1e-3) * a[b + "gamma:0"] + a[b + "beta:0"]
facts["qat_bn"]["float"] = softmax(dense(a, "scores", np.maximum(h, 0)))
json.dump(facts, open("facts.json", "w"))
