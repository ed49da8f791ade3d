"""Trainings of models with RMSNormalization and GroupNormalization: their files before, and where they end.

    python3 make.py
"""

import json
import pathlib

import keras
import numpy as np
from keras import layers

here = pathlib.Path(__file__).parent
MODELS = {
    "last_axis": [layers.RMSNormalization(), layers.GroupNormalization(3), layers.Flatten()],
    "both_axes": [
        layers.RMSNormalization(axis=[-1, -2], epsilon=0.01),
        layers.GroupNormalization(2, axis=1, epsilon=0.1, center=False),
        layers.Flatten(),
    ],
    "one_channel_each": [
        layers.GroupNormalization(-1, axis=-2),
        layers.Flatten(),
        layers.Dense(6, activation="tanh"),
        layers.RMSNormalization(),
        layers.GroupNormalization(2, scale=False),
    ],
}


def main():
    random = np.random.default_rng(8)
    x = (random.normal(size=(48, 4, 6)) * [1, 2, 3, 1, 2, 3] + 0.5).astype("float32")
    y = (x.mean(axis=(1, 2), keepdims=True)[:, 0] ** 2 + x[:, 1, :1]).astype("float32")
    facts = {"x": x.tolist(), "y": y.tolist(), "models": {}}
    for name, stack in MODELS.items():
        keras.utils.set_random_seed(8)
        model = keras.Sequential([keras.Input((4, 6)), *stack, layers.Dense(1)], name=name)
        model.compile(keras.optimizers.SGD(0.01, momentum=0.5), loss="mse", metrics=["mae"])
        model.save(here / f"{name}.keras")
        model.save(here / f"{name}.h5")
        history = model.fit(x, y, epochs=4, batch_size=16, shuffle=False, verbose=0).history
        facts["models"][name] = {
            "history": history,
            "weights": [w.numpy().ravel().tolist() for w in model.weights],
            "predictions": model.predict(x, verbose=0).tolist(),
        }
    (here / "training.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
