"""int8 against TensorFlow Lite's on rows that neither was calibrated with: the README's scores.

    cargo build --release -p thumbnet
    python3 tests/quantzoo.py target/release/thumbnet FOLDER [export options ...]

FOLDER holds a folder for each model: model.h5 by Keras; calibrate.npy, of which the first 100, the first 500 and
all 3,000 rows are used; test.npy; float.npy, what Keras predicts for it; tflite_100.npy, tflite_500.npy and
tflite_3000.npy, what TensorFlow Lite's full-int8 conversion, calibrated with as many rows, predicts
(dequantized, reference kernels). Sizes that a model has no such file for are left out: tests/golden/quantzoo has
three models with 100 and 500 rows.

Prints each model's root mean square error as a multiple of TensorFlow Lite's, and the geometric means over the models
of which TensorFlow Lite's own error is below half a standard deviation of the outputs. Needs numpy.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

SIZES = (100, 500, 3000)


def rms(a, b):
    return float(np.sqrt(np.mean((a.reshape(b.shape) - b) ** 2)))


def ratio(binary, model, size, options):
    """Our error over theirs, and theirs over the outputs' deviation."""
    x, y = np.load(model / "calibrate.npy"), np.load(model / "float.npy")
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/c.npy", x[:size])
        blob, found = f"{folder}/m.tnet", f"{folder}/y.npy"
        for arguments in (
            ["export", model / "model.h5", "--calibrate", f"{folder}/c.npy", "--output", blob, *options],
            ["predict", blob, "--x", model / "test.npy", "--output", found],
        ):
            subprocess.run([binary, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
        ours = rms(np.load(found), y)
    theirs = rms(np.load(model / f"tflite_{size}.npy"), y)
    return ours / theirs, theirs / float(y.std())


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    binary, root, options = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    found = {size: [] for size in SIZES}
    print("| model | " + " | ".join(f"{size} rows" for size in SIZES) + " |")
    print("|---|" + "---:|" * len(SIZES))
    for model in sorted(path.parent for path in root.glob("*/model.h5")):
        cells = []
        for size in SIZES:
            if not (model / f"tflite_{size}.npy").exists():
                cells.append("")
                continue
            ours, theirs = ratio(binary, model, size, options)
            cells.append(f"{ours:.2f}" if theirs < 0.5 else f"({ours:.2f})")
            if theirs < 0.5:
                found[size].append(ours)
        print(f"| {model.name} | " + " | ".join(cells) + " |", flush=True)
    means = [f"{np.exp(np.mean(np.log(found[size]))):.2f}" if found[size] else "" for size in SIZES]
    print("| geometric mean | " + " | ".join(means) + " |")
    above = sum(value > 1 for values in found.values() for value in values)
    print(f"above 1: {above} of {sum(map(len, found.values()))}")


if __name__ == "__main__":
    main()
