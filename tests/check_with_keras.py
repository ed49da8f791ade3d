"""Does real Keras accept a file that thumbnet wrote?

    python3 tests/check_with_keras.py FILE x.npy [y_pred.npy] [--config config.json]
        [--fit-epochs N --y y.npy] [--batch-size 32] [--reference FILE] [--save-pred out.npy]
    python3 tests/check_with_keras.py --jobs jobs.json

FILE is a .h5, .keras or .weights.h5 (that one with --config). Prints one JSON object per file:
loaded, compiled, optimizer, iterations, max_abs_diff of predict(x) against y_pred.npy. With
--fit-epochs the training goes on, and final_diff compares the weights with those of the same
training from the file --reference, which Keras wrote. jobs.json is a list of objects with the same
names (file, x, y_pred, config, fit_epochs, y, batch_size, reference, save_pred, save_final).
"""
import argparse
import json
import os
import sys

# The environment of the golden cases: the same bits in every run.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import warnings

warnings.filterwarnings("ignore")
try:
    import h5py
    import keras
    import numpy as np
    import tensorflow as tf
except ImportError as error:
    print(json.dumps({"missing": str(error)}))
    sys.exit(3)
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.experimental.enable_op_determinism()


references = {}  # final weights of trainings from Keras' own files


def load(job, result):
    """The model in the file; compiled when the file says how."""
    file = job["file"]
    if job.get("config"):
        model = keras.models.model_from_json(open(job["config"]).read())
        for weight in model.weights:
            weight.assign(weight * 0)
        model.load_weights(file)
        return model
    try:
        return keras.saving.load_model(file)
    except Exception as error:
        result["compile_error"] = f"{type(error).__name__}: {error}"[:300]
        return keras.saving.load_model(file, compile=False)


def continue_fit(model, job):
    """Trains on, from the optimizer state in the file."""
    if job["file"].endswith((".h5", ".hdf5")):
        # Keras 3.15.1 builds the optimizer of any legacy file on an empty list of variables, its
        # own files' too, so it is built again here and takes the slots from the file by order.
        optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        model.compile(optimizer=optimizer, loss=model.loss)
        optimizer.build(model.trainable_variables)
        with h5py.File(job["file"]) as file:
            group = file["optimizer_weights"]
            values = [np.asarray(group[name]) for name in group.attrs["weight_names"]]
        expected = [tuple(v.shape) for v in optimizer.variables]
        assert [v.shape for v in values] == expected, "optimizer slots in another order or of other shapes"
        optimizer.set_weights(values)
    x, y = np.load(job["x"]), np.load(job["y"])
    model.fit(x, y, epochs=job["fit_epochs"], batch_size=job["batch_size"], shuffle=False, verbose=0)
    return np.concatenate([np.asarray(w, np.float32).reshape(-1) for w in model.get_weights()])


def check(job):
    result = {"file": job["file"], "keras": keras.__version__, "loaded": False}
    job.setdefault("batch_size", 32)
    try:
        keras.backend.clear_session()
        model = load(job, result)
        result["loaded"] = True
        result["compiled"] = bool(model.compiled)
        if model.compiled and model.optimizer is not None:
            result["optimizer"] = type(model.optimizer).__name__
            result["iterations"] = int(model.optimizer.iterations.numpy())
        y_pred = model.predict(np.load(job["x"]), verbose=0, batch_size=job["batch_size"])
        if job.get("save_pred"):
            np.save(job["save_pred"], y_pred)
        if job.get("y_pred"):
            expected = np.load(job["y_pred"])
            result["max_abs_diff"] = float(np.max(np.abs(y_pred.reshape(expected.shape) - expected)))
            result["max_abs"] = float(np.max(np.abs(expected)))
        if job.get("fit_epochs"):
            final = continue_fit(model, job)
            if job.get("save_final"):
                np.save(job["save_final"], final)
            if job.get("reference"):
                if job["reference"] not in references:
                    keras.backend.clear_session()
                    reference = dict(job, file=job["reference"])
                    references[job["reference"]] = continue_fit(load(reference, {}), reference)
                result["final_diff"] = float(np.max(np.abs(final - references[job["reference"]])))
    except Exception as error:
        result["error"] = f"{type(error).__name__}: {error}"[:600]
    print(json.dumps(result), flush=True)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("file", nargs="?")
parser.add_argument("x", nargs="?")
parser.add_argument("y_pred", nargs="?")
parser.add_argument("--config")
parser.add_argument("--fit-epochs", type=int, default=0)
parser.add_argument("--y")
parser.add_argument("--batch-size", type=int, default=32)
parser.add_argument("--reference")
parser.add_argument("--save-pred")
parser.add_argument("--jobs")
arguments = vars(parser.parse_args())
jobs = arguments.pop("jobs")
if jobs:
    for job in json.load(open(jobs)):
        check(job)
elif arguments["file"] and arguments["x"]:
    check(arguments)
else:
    parser.error("give FILE and x.npy, or --jobs jobs.json")
