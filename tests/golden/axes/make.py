"""Writes layer_norm.h5 and layer_norm.keras of Keras 2 (tf_keras), x.npy and y.npy: a LayerNormalization whose axes are not in order.

    TF_ENABLE_ONEDNN_OPTS=0 python3 tests/golden/axes/make.py
"""

from pathlib import Path

import numpy as np
import tf_keras

folder = Path(__file__).parent
random = np.random.RandomState(3)
model = tf_keras.Sequential([
    tf_keras.layers.InputLayer(input_shape=(4, 2)),
    tf_keras.layers.LayerNormalization(axis=(2, 1)),
])
# gamma and beta have the shape (2, 4).
model.set_weights([random.normal(1, 0.5, weight.shape) for weight in model.get_weights()])
x = random.normal(0, 1, (3, 4, 2)).astype("float32")
np.save(folder / "x.npy", x)
np.save(folder / "y.npy", model.predict(x, verbose=0))
model.save(folder / "layer_norm.h5")
model.save(folder / "layer_norm.keras")
