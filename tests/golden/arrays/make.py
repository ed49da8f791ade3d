"""Writes d.npz, as NumPy does: rows of two classes to train on and to test on."""
import numpy as np

rng = np.random.default_rng(1)
arrays = {}
for name, rows in [("train", 60), ("test", 20)]:
    y = rng.integers(0, 2, rows)
    arrays[f"x_{name}"] = (rng.integers(0, 256, (rows, 2, 2)) // 2 + 100 * y[:, None, None]).astype("uint8")
    arrays[f"y_{name}"] = y
np.savez_compressed("d.npz", **arrays)
