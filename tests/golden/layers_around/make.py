"""Models with the layers around dense ones: their files, what they predict, and where a training of some ends.

    python3 make.py, python3 make.py --categories
"""

import json
import os
import pathlib
import sys

here = pathlib.Path(__file__).parent
KERAS_2 = "--keras-2" in sys.argv
if KERAS_2:
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf
    import tf_keras as keras
else:
    import keras
import numpy as np

layers = keras.layers


def sequential(shape, *stack):
    return keras.Sequential([keras.Input(shape), *stack])


def trained():
    """Models whose training is compared, too."""
    yield "steps", sequential(
        (6, 4),
        layers.Permute((2, 1)),
        layers.AveragePooling1D(3, 2, padding="same"),
        layers.UpSampling1D(2),
        layers.ZeroPadding1D((1, 2)),
        layers.Cropping1D((0, 1)),
        layers.Dense(3, activation="tanh"),
        layers.MaxPooling1D(2, strides=1, padding="same"),
        layers.Flatten(),
        layers.Dense(1),
    )
    yield "images", sequential(
        (6, 5, 2),
        layers.AveragePooling2D((2, 3), strides=1, padding="same"),
        layers.MaxPooling2D(2, strides=(2, 1)),
        layers.Dense(3, activation="relu"),
        layers.GlobalMaxPooling2D(keepdims=True),
        layers.Flatten(),
        layers.Dense(1),
    )
    yield "pooled", sequential(
        (6, 4),
        layers.Dense(5, activation="relu"),
        layers.GlobalAveragePooling1D(),
        layers.RepeatVector(3),
        layers.Dense(4, activation="tanh"),
        layers.GlobalMaxPooling1D(),
        layers.Dense(1),
    )
    yield "pictures", sequential(
        (4, 4, 2), layers.Dense(3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(1)
    )


def predicting():
    yield "masking", sequential((6, 4), layers.Masking(), layers.Dense(3, "relu"), layers.Flatten(), layers.Dense(2))
    yield "masking_one", sequential((6, 4), layers.Masking(1.0), layers.Flatten(), layers.Dense(2))
    yield "spatial_dropout", sequential((6, 4), layers.SpatialDropout1D(0.3), layers.Flatten(), layers.Dense(2))
    yield "time_distributed", sequential(
        (6, 4), layers.TimeDistributed(layers.Dense(3, "relu")), layers.Flatten(), layers.Dense(2)
    )
    yield "spectral", sequential((5,), layers.SpectralNormalization(layers.Dense(4, "tanh")), layers.Dense(2))
    yield "einsum", sequential(
        (5,), layers.EinsumDense("ab,bc->ac", 4, bias_axes="c", activation="relu"), layers.Dense(2)
    )
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield "mixed_bfloat16", sequential((5,), layers.Dense(4, "relu"), layers.Dense(2, dtype="float32"))
    keras.config.set_dtype_policy("mixed_float16")
    yield "mixed_float16", sequential((5,), layers.Dense(4, "relu"), layers.Dense(2, dtype="float32"))
    keras.config.set_dtype_policy("float32")
    lora = sequential((5,), layers.Dense(4, "relu"), layers.Dense(2))
    lora.layers[0].enable_lora(2)
    lora.layers[0].lora_kernel_b.assign(np.full((2, 4), 0.25))
    yield "lora", lora
    int8 = sequential((5,), layers.Dense(4, "relu"), layers.Dense(2, use_bias=False))
    int8.quantize("int8")
    yield "int8", int8
    x = keras.Input((6,))
    y = x[:, ::2] / 4
    y = 1 - layers.Dense(4)(y)
    y = keras.ops.leaky_relu(y, 0.3) * np.array([1, 2, 3, 4], "float32")
    y = keras.ops.tanh(layers.Dense(2)(-y)) * 2 + 1
    yield "operations", keras.Model(x, y)


def categories():
    """With how many categories there are, 0 for numbers."""
    yield "embedded", 7, True, sequential(
        (4,), layers.Embedding(7, 3), layers.Flatten(), layers.Dense(5, activation="tanh"), layers.Dense(1)
    )
    yield "embedded_mean", 7, True, sequential(
        (4,), layers.Embedding(7, 3, "glorot_uniform", "l2"), layers.GlobalAveragePooling1D(), layers.Dense(1)
    )
    yield "embedded_zero", 7, False, sequential((4,), layers.Embedding(7, 3, mask_zero=True), layers.Flatten(), layers.Dense(1))
    for mode in ["one_hot", "multi_hot", "count"]:
        encoding = layers.CategoryEncoding(5, output_mode=mode)
        yield mode, 7, mode == "count", sequential((4,), encoding, layers.Flatten(), layers.Dense(5, "relu"), layers.Dense(1))
    yield "one_hot_one", 5, False, sequential((1,), layers.CategoryEncoding(5, output_mode="one_hot"), layers.Dense(1))
    bounds = [-0.75, 0.0, 0.1, 0.5]
    yield "binned", 0, True, sequential(
        (3,), layers.Discretization(bounds), layers.CategoryEncoding(5, output_mode="one_hot"), layers.Flatten(), layers.Dense(1)
    )
    yield "binned_embedded", 0, False, sequential((3,), layers.Discretization(bounds), layers.Embedding(5, 2), layers.Flatten(), layers.Dense(1))
    for mode in ["int", "one_hot", "multi_hot", "count"]:
        yield f"binned_{mode}", 0, False, sequential((3,), layers.Discretization(bounds, output_mode=mode), layers.Flatten(), layers.Dense(1))


def main_of_categories():
    random = np.random.default_rng(10)
    facts = {}
    for name, count, trains, model in categories():
        shape = (48, *model.input_shape[1:])
        x = (random.integers(0, count, shape) + 0.25 if count else random.normal(size=shape).round(1)).astype("float32")
        for weights in model.weights:
            if weights.shape.rank == 2 and "embedding" in weights.path:
                weights.assign(random.normal(size=weights.shape))
        facts[name] = {"shape": list(shape), "x": x.ravel().tolist()}
        if trains:
            y = (np.abs(x).mean(axis=1)[:, None] - np.floor(x[:, :1]) ** 2 / 9).astype("float32")
            model.compile(keras.optimizers.SGD(0.05, momentum=0.5), loss="mse", metrics=["mae"])
            facts[name]["y"] = y.tolist()
        model.save(here / f"{name}.keras")
        model.save(here / f"{name}.h5")
        if trains:
            facts[name]["history"] = model.fit(x, y, epochs=4, batch_size=16, shuffle=False, verbose=0).history
            facts[name]["weights"] = [w.numpy().ravel().tolist() for w in model.weights]
        facts[name]["predictions"] = model.predict(x, verbose=0).ravel().tolist()
    (here / "categories.json").write_text(json.dumps(facts))


def rows(shape, random):
    return (random.normal(size=(48, *shape)) + 0.25).astype("float32")


def keras_2():
    x = keras.Input((6,))
    y = 1 - x[:, 1:4] / 4.0
    y = tf.nn.relu(keras.layers.Dense(4)(y) - 0.25)
    y = tf.tanh(keras.layers.Dense(2)(y * 2)) * tf.constant([1.0, 2.0])
    model = keras.Model(x, y)
    model.save(here / "operations_keras_2.h5")
    x = rows((6,), np.random.default_rng(9))
    facts = {"x": x.tolist(), "predictions": model.predict(x, verbose=0).tolist()}
    # A value at the threshold itself is not passed.
    x[0, :3] = 0.75
    model = sequential((6,), layers.ThresholdedReLU(theta=0.75), layers.Dense(5), layers.ThresholdedReLU(), layers.Dense(2))
    model.save(here / "thresholded_keras_2.h5")
    facts["thresholded"] = {"x": x.tolist(), "predictions": model.predict(x, verbose=0).tolist()}
    (here / "keras_2.json").write_text(json.dumps(facts))


def main():
    random = np.random.default_rng(8)
    facts = {}
    for name, model in trained():
        x = rows(model.input_shape[1:], random)
        y = (x.mean(axis=tuple(range(1, x.ndim)))[:, None] ** 2 + x.reshape(48, -1)[:, :1]).astype("float32")
        model.compile(keras.optimizers.SGD(0.05, momentum=0.5), loss="mse", metrics=["mae"])
        model.save(here / f"{name}.keras")
        model.save(here / f"{name}.h5")
        history = model.fit(x, y, epochs=4, batch_size=16, shuffle=False, verbose=0).history
        facts[name] = {
            "shape": list(x.shape),
            "x": x.ravel().tolist(),
            "y": y.tolist(),
            "history": history,
            "weights": [w.numpy().ravel().tolist() for w in model.weights],
            "predictions": model.predict(x, verbose=0).ravel().tolist(),
        }
    for name, model in predicting():
        model.save(here / f"{name}.keras")
        model.save(here / f"{name}.h5")
        x = rows(model.input_shape[1:], random)
        if name.startswith("masking"):
            x[:, 1] = 0
            x[:, 3] = 1
        predictions = model.predict(x, verbose=0).astype("float32")
        facts[name] = {"shape": list(x.shape), "x": x.ravel().tolist(), "predictions": predictions.ravel().tolist()}
    (here / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    keras.utils.set_random_seed(8)
    if "--categories" in sys.argv:
        main_of_categories()
    else:
        keras_2() if KERAS_2 else main()
