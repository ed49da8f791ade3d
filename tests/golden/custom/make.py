"""A model with a loss, a metric, a layer and activations of one's own: its files, its training.

    python3 make.py
"""

import json
import pathlib

import keras
import numpy as np
from keras import ops

here = pathlib.Path(__file__).parent
register = keras.saving.register_keras_serializable("shop")


@register
class LearnedScale(keras.layers.Layer):
    def __init__(self, start=1.0, **options):
        super().__init__(**options)
        self.start = start

    def build(self, shape):
        start = keras.initializers.Constant(self.start)
        self.scale = self.add_weight(name="scale", shape=(shape[-1],), initializer=start)

    def call(self, x):
        return x * self.scale

    def get_config(self):
        return {**super().get_config(), "start": self.start}


@register
class Pinball(keras.losses.Loss):
    def __init__(self, tau=0.5, name="pinball", reduction="sum_over_batch_size", **options):
        super().__init__(name=name, reduction=reduction, **options)
        self.tau = tau

    def call(self, y_true, y_pred):
        error = y_true - y_pred
        return ops.mean(ops.maximum(self.tau * error, (self.tau - 1) * error), axis=-1)

    def get_config(self):
        return {**super().get_config(), "tau": self.tau}


@register
class Within(keras.metrics.Metric):
    def __init__(self, distance=1.0, name="within", **options):
        super().__init__(name=name, **options)
        self.distance = distance
        self.hits = self.add_variable(shape=(), initializer="zeros", name="hits")
        self.rows = self.add_variable(shape=(), initializer="zeros", name="rows")

    def update_state(self, y_true, y_pred, sample_weight=None):
        hits = ops.cast(ops.all(ops.abs(y_true - y_pred) <= self.distance, axis=-1), "float32")
        weights = ops.ones_like(hits) if sample_weight is None else sample_weight
        self.hits.assign_add(ops.sum(hits * weights))
        self.rows.assign_add(ops.sum(weights))

    def result(self):
        return self.hits / self.rows

    def get_config(self):
        return {**super().get_config(), "distance": self.distance}


@register
def snake(x):
    return x + ops.sin(x) ** 2


def main():
    keras.utils.set_random_seed(5)
    random = np.random.default_rng(5)
    x = random.normal(size=(64, 3)).astype("float32")
    noise = random.exponential(size=(64, 1))
    y = (x @ [[1.0], [-2.0], [0.5]] + noise).astype("float32")
    weights = random.uniform(0.5, 2.0, size=64).astype("float32")
    model = keras.Sequential([
        keras.Input((3,)),
        LearnedScale(0.5),
        keras.layers.Dense(5, activation=snake),
        keras.layers.Activation(snake),
        keras.layers.Dense(1),
    ])
    model.compile(
        keras.optimizers.Adam(0.02), loss=Pinball(0.9), metrics=[Within(0.5), "mae"],
        weighted_metrics=[Within(1.0)],
    )
    model.save(here / "model.keras")
    model.save(here / "model.h5")
    history = model.fit(
        x, y, sample_weight=weights, epochs=6, batch_size=16, shuffle=False, verbose=0
    ).history
    facts = {
        "x": x.tolist(), "y": y.tolist(), "sample_weight": weights.tolist(), "history": history,
        "weights": [w.numpy().tolist() for w in model.weights],
        "predictions": model.predict(x, verbose=0).tolist(),
    }
    (here / "training.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
