"""Records what whole models compute in Keras' own tests of the trainer, callbacks, models and saving,
as golden cases: configurations, inputs and results, no code.

    cd tests/golden/keras_tests && ../../../venv/bin/python record_models.py

(`record.py` says how the environment is made.) Runs the test files of the installed Keras and writes
`models.json.gz`. A case is one model of one test: its layers and compile settings, then what was
called, in order, with the weights before and after and what came out. Rows are not shuffled, since
other libraries draw other orders. `skipped` counts, per test file, the models that could not be
written down, by reason.
"""

import collections
import functools
import glob
import gzip
import inspect
import json
import os
import sys
import types

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format
from keras.src.saving import saving_lib
from keras.src.backend.tensorflow.trainer import TensorFlowTrainer as Trainer

from record import Skip

MOST = 20000  # values of an array; a case with more is left out
FILES = [
    "trainers/*_test.py",
    "callbacks/*_test.py",
    "models/*_test.py",
    "saving/*_test.py",
    "legacy/saving/*_test.py",
]
CALLS = ["fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch"]
# Tests of callbacks for services and packages that thumbnet has nothing to do with.
LEFT_OUT = ["tensorboard_test.py", "orbax_checkpoint_test.py", "remote_monitor_test.py"]
# Arguments that a call has in thumbnet, too, with Keras' defaults.
DEFAULTS = {
    "epochs": 1,
    "batch_size": None,
    "validation_split": 0.0,
    "initial_epoch": 0,
    "steps_per_epoch": None,
    "validation_steps": None,
    "validation_batch_size": None,
    "validation_freq": 1,
    "steps": None,
}
CALLBACKS = {
    cls.__name__: cls
    for cls in [
        keras.callbacks.EarlyStopping,
        keras.callbacks.ReduceLROnPlateau,
        keras.callbacks.LearningRateScheduler,
        keras.callbacks.ModelCheckpoint,
        keras.callbacks.CSVLogger,
        keras.callbacks.TerminateOnNaN,
        keras.callbacks.BackupAndRestore,
    ]
}
PATHS = ["filepath", "filename", "backup_dir"]

test = None
depth = 0
cases = {}  # (test, id of the model, kind) -> case
dead = set()
alive = []  # objects seen in a test: their ids stay theirs until it ends
skipped = collections.defaultdict(collections.Counter)


def number(v):
    v = np.float32(v)
    if np.isnan(v):
        return "nan"
    if np.isinf(v):
        return "inf" if v > 0 else "-inf"
    return int(v) if v == int(v) and abs(v) < 2**24 else float(str(v))


def numbers(x):
    """An array as its shape and numbers; one number where all are the same."""
    if x is None:
        return None
    if isinstance(x, (dict, list, tuple)) and any(hasattr(v, "shape") for v in (x.values() if isinstance(x, dict) else x)):
        raise Skip("several inputs, outputs or targets")
    if isinstance(x, dict):
        raise Skip("several inputs, outputs or targets")
    if type(x).__module__.split(".")[0] == "scipy" or "Sparse" in type(x).__name__ or "Ragged" in type(x).__name__:
        raise Skip("sparse or ragged arrays")
    try:
        array = np.asarray(keras.ops.convert_to_numpy(x)) if hasattr(x, "shape") else np.asarray(x)
    except Exception:
        raise Skip("values that are no arrays")
    if array.dtype.kind not in "fiub":
        raise Skip("values that are no numbers")
    if array.size > MOST:
        raise Skip(f"arrays of more than {MOST} values")
    flat = [number(v) for v in array.ravel()]
    if len(flat) > 1 and all(v == flat[0] for v in flat):
        flat = flat[0]
    return {"shape": list(array.shape), "values": flat}


def batches(data, limit=10000):
    """A finite data set of equal batches as arrays and its batch size."""
    if isinstance(data, tf.data.Dataset):
        if data.cardinality().numpy() < 0:
            raise Skip("data without a known end")
        found = list(data)
    elif isinstance(data, keras.utils.PyDataset):
        if not data.num_batches:
            raise Skip("data without a known end")
        found = [data[i] for i in range(data.num_batches)]
    else:
        raise Skip("data from a function of Python")
    found = [batch if isinstance(batch, (tuple, list)) else (batch,) for batch in found]
    if not found or any(len(batch) != len(found[0]) for batch in found):
        raise Skip("batches of different kinds")
    parts = list(zip(*found))
    if any(isinstance(part[0], (dict, list, tuple)) for part in parts):
        raise Skip("several inputs, outputs or targets")
    try:
        arrays = [[np.asarray(keras.ops.convert_to_numpy(array)) for array in part] for part in parts]
    except Exception:
        raise Skip("values that are no arrays")
    sizes = [len(array) for array in arrays[0]]
    if any(size != sizes[0] for size in sizes[:-1]) or sizes[-1] > sizes[0]:
        raise Skip("batches of different sizes")
    arrays = [np.concatenate(part) for part in arrays]
    return arrays + [None] * (3 - len(arrays)), sizes[0]


def is_data(x):
    return not (x is None or hasattr(x, "shape") or isinstance(x, (list, tuple, dict, int, float)))


def check_own(config):
    """Refuses what is not Keras' own in a configuration."""
    if isinstance(config, list):
        for one in config:
            check_own(one)
    if isinstance(config, dict):
        module = config.get("module")
        if (
            ">" in str(config.get("registered_name"))
            or config.get("class_name") == "function"
            or (isinstance(module, str) and "class_name" in config and module.split(".")[0] not in ("keras", "builtins"))
            or (isinstance(module, str) and module.endswith("_test"))
        ):
            raise Skip("layers, losses or metrics made by a test")
        for one in config.values():
            check_own(one)


def layers_of(model):
    """The layers as a Sequential's configuration."""
    cls = type(model)
    for method in ["train_step", "test_step", "predict_step", "compute_loss", "compute_metrics", "make_train_function", "compile", "get_compile_config"]:
        owner = next((c for c in cls.__mro__ if method in vars(c)), None)
        if owner is None or not owner.__module__.startswith("keras.src.") or owner.__module__.endswith("_test"):
            raise Skip("models with a step of their own")
    if isinstance(model, keras.Sequential) or cls is keras.Model or cls.__name__ == "Functional":
        try:
            return json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
        except Exception as error:
            raise Skip("layers without a configuration")
    if isinstance(model, keras.layers.Dense) and cls.call is keras.layers.Dense.call:
        dense = json.loads(json.dumps(keras.layers.Dense.get_config(model)))
        name = dense["name"]
        shape = [None, *model._build_shapes_dict["input_shape"][1:]]
        dense = {"module": "keras.layers", "class_name": "Dense", "config": dense, "registered_name": None}
        first = {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None,
                 "config": {"batch_shape": shape, "dtype": "float32", "sparse": False, "name": "input_layer"}}
        return {"module": "keras", "class_name": "Sequential", "registered_name": None,
                "config": {"name": name, "trainable": True, "dtype": "float32", "layers": [first, dense]}}
    raise Skip("models of Python classes")


def compiled(model):
    if not getattr(model, "compiled", False):
        return None
    try:
        config = model.get_compile_config()
    except Exception:
        raise Skip("compile settings that are functions of Python")
    if config is None:
        raise Skip("compile settings that are functions of Python")
    try:
        return json.loads(json.dumps(config))
    except TypeError:
        raise Skip("compile settings that are functions of Python")


def check_compiled_once(model):
    """Refuses what an earlier `compile` left in place: its settings are not in the model's configuration."""
    config = getattr(model, "compiled", False) and model.get_compile_config() or {}
    for kept, keys in [("_compile_metrics", ["metrics", "weighted_metrics"]), ("_compile_loss", ["loss"])]:
        if config and getattr(model, kept) is not None and all(config.get(key) is None for key in keys):
            raise Skip("models that keep the loss or the metrics of an earlier compile")


def weights(model):
    return [numbers(v) for v in model.weights if "seed_generator" not in v.path]


def start(model, x, kind="calls"):
    key = (test, id(model), kind)
    if key in cases:
        return cases[key]
    if not model.built and x is not None and not is_data(x):
        shape = np.shape(x)
        model.build((None, *shape[1:]))
    if not model.built:
        raise Skip("models that are never built")
    if any(v.dtype != "float32" for v in model.weights if "seed_generator" not in v.path):
        raise Skip("computes in other types than float32")
    optimizer = getattr(model, "optimizer", None)
    if kind == "calls" and optimizer is not None and int(keras.ops.convert_to_numpy(optimizer.iterations)) > 0:
        raise Skip("optimizers that have run before")
    if model._metrics:
        raise Skip("metrics that are attributes of a model")
    if kind == "calls":
        check_compiled_once(model)
    case = {"test": test, "model": layers_of(model), "events": []}
    check_own(case["model"])
    settings = compiled(model)
    check_own(settings)
    if kind == "calls":
        case["compile"] = settings
    alive.append(model)
    cases[key] = case
    return case


def callback(one):
    """A callback as its class and arguments."""
    name = type(one).__name__
    if CALLBACKS.get(name) is not type(one) or not hasattr(one, "recorded"):
        raise Skip(f"callbacks that are functions of Python or {name if type(one).__module__.startswith('keras.') else 'made by a test'}")
    config = dict(one.recorded)
    for key in PATHS:
        if key in config:
            config[key] = os.path.basename(str(config[key]))
    if name == "LearningRateScheduler":
        given, rates = one.schedule, []

        def schedule(*args):
            rate = given(*args)
            rates.append(float(rate))
            return rate

        one.schedule = schedule
        one.schedule.__signature__ = inspect.signature(given)
        config["schedule"] = rates
    return {"class_name": name, "config": config}


def arguments(method, model, args, kwargs):
    """What a call was given, for the case, and how it is called without shuffling."""
    bound = inspect.signature(method).bind(model, *args, **kwargs)
    if "shuffle" in inspect.signature(method).parameters:
        bound.arguments["shuffle"] = False
    bound.apply_defaults()
    given = bound.arguments
    event = {}
    x, y, weight = given.get("x"), given.get("y"), given.get("sample_weight")
    if is_data(x):
        (x, y, weight), size = batches(x)
        event["batch_size"] = size
    event |= {"x": numbers(x), "y": numbers(y), "sample_weight": numbers(weight)}
    validation = given.get("validation_data")
    if validation is not None:
        if is_data(validation):
            parts, size = batches(validation)
            event["validation_batch_size"] = size
        else:
            parts = list(validation) + [None] * (3 - len(validation))
        event["validation_data"] = [numbers(part) for part in parts]
    classes = given.get("class_weight")
    if classes is not None:
        event["class_weight"] = {str(k): float(v) for k, v in classes.items()}
    for key, default in DEFAULTS.items():
        if key in given and given[key] != default and key not in event:
            event[key] = given[key]
    event["present"] = files(given.get("callbacks"), only="CSVLogger")  # those that are appended to
    event["callbacks"] = [callback(one) for one in given.get("callbacks") or []]
    json.dumps(event)
    return bound, {k: v for k, v in event.items() if v is not None and v not in ([], {})}


def results(model):
    return {k: logged(keras.ops.convert_to_numpy(v)) for k, v in model.get_metrics_result().items()}


def logged(v):
    return [logged(one) for one in v] if isinstance(v, (list, tuple)) or np.ndim(v) else number(v)


def files(given, only=None):
    """What callbacks left in their files: the text of tables, the names of checkpoints."""
    found = {}
    for one in given or []:
        if only not in (None, type(one).__name__):
            continue
        if type(one).__name__ == "CSVLogger" and os.path.exists(one.filename):
            with open(one.filename) as file:
                found[os.path.basename(one.filename)] = file.read()
        if type(one).__name__ == "ModelCheckpoint":
            folder = os.path.dirname(str(one.filepath)) or "."
            found["checkpoints"] = sorted(
                os.path.basename(p) for p in glob.glob(os.path.join(folder, "*")) if p.endswith((".keras", ".h5"))
            )
    return found


def drop(model, reason, kind="calls"):
    key = (test, id(model), kind)
    alive.append(model)
    cases.pop(key, None)
    dead.add(key)
    skipped[test.split("::")[0]][reason] += 1


def recorded(name):
    method = vars(Trainer)[name]

    @functools.wraps(method)
    def wrapper(self, *args, **kwargs):
        global depth
        if depth or test is None or (test, id(self), "calls") in dead:
            return method(self, *args, **kwargs)
        depth += 1
        event = None
        try:
            try:
                bound, event = arguments(method, self, args, kwargs)
                x = event.get("x")
                case = start(self, None if x is None else np.zeros(x["shape"]))
                event = {"call": name, "before": weights(self), **event}
                if case["compile"] != compiled(self):
                    raise Skip("models that are compiled again")
            except Skip as reason:
                drop(self, str(reason))
                event = None
            except Exception as error:
                drop(self, f"arguments that cannot be written down ({type(error).__name__})")
                event = None
            if event is None:
                return method(self, *args, **kwargs)
            try:
                result = method(*bound.args, **bound.kwargs)
            except Exception as error:
                message = str(error).split("\n")[0][:200]
                case["events"].append({**event, "error": f"{type(error).__name__}: {message}"})
                # What a failed call leaves behind is not looked at.
                dead.add((test, id(self), "calls"))
                raise
            try:
                if name == "fit":
                    event["epochs_run"] = result.epoch
                    event["history"] = {k: [logged(one) for one in v] for k, v in result.history.items()}
                    event["files"] = files(bound.arguments.get("callbacks"))
                elif name.startswith("predict"):
                    event["result"] = numbers(result)
                else:
                    event["logs"] = results(self)
                if name in ("fit", "train_on_batch"):
                    event["after"] = weights(self)
                case["events"].append(event)
            except Skip as reason:
                drop(self, str(reason))
            return result
        finally:
            depth -= 1

    return wrapper


def saved(module, name):
    """Wraps a function that writes a model: what it wrote, and what the model computes."""
    method = getattr(module, name)

    @functools.wraps(method)
    def wrapper(model, filepath, *args, **kwargs):
        global depth
        depth += 1
        try:
            result = method(model, filepath, *args, **kwargs)
        finally:
            depth -= 1
        if depth or test is None or (test, id(model), "save") in dead:
            return result
        depth += 1
        try:
            if kwargs.get("objects_to_skip"):
                raise Skip("saved without some of the layers")
            if str(filepath).endswith(".json"):
                raise Skip("weights in several files")
            if not isinstance(filepath, (str, os.PathLike)) or not os.path.isfile(filepath):
                raise Skip("saved to no file of its own")
            with open(filepath, "rb") as file:
                content = file.read()
            if len(content) > 100_000:
                raise Skip("files of more than 100 kB")
            case = start(model, None, "save")
            shape = model.input_shape
            if isinstance(shape, (list, dict)) or any(axis is None for axis in shape[1:]):
                raise Skip("several inputs, or of any size")
            x = np.random.default_rng(3).normal(size=(3 if shape[0] is None else shape[0], *shape[1:])).astype("float32")
            event = {"call": "save", "name": os.path.basename(str(filepath)), "what": name}
            event |= {"file": content.hex(), "weights": weights(model)}
            event |= {"x": numbers(x), "result": numbers(model(x, training=False))}
            case["events"].append(event)
        except Skip as reason:
            drop(model, str(reason), "save")
        except Exception as error:
            drop(model, f"models that do not take an array ({type(error).__name__})", "save")
        finally:
            depth -= 1
        return result

    setattr(module, name, wrapper)


def install():
    saved(saving_lib, "save_model")
    saved(saving_lib, "save_weights_only")
    saved(legacy_h5_format, "save_model_to_hdf5")
    for name in CALLS:
        setattr(Trainer, name, recorded(name))
    for cls in CALLBACKS.values():
        init = cls.__init__

        def wrapper(self, *args, init=init, **kwargs):
            init(self, *args, **kwargs)
            given = inspect.signature(init).bind(self, *args, **kwargs).arguments
            given = {k: v for k, v in given.items() if k != "self"} | given.get("kwargs", {})
            self.recorded = {k: v for k, v in given.items() if k != "kwargs" and not callable(v)}

        cls.__init__ = functools.wraps(init)(wrapper)


class Plugin:
    def pytest_runtest_setup(self, item):
        global test
        path, name = item.nodeid.split("::", 1)
        test = path.split("keras/src/")[-1].removesuffix(".py") + "::" + name.replace("::", ".")
        keras.utils.set_random_seed(1)

    def pytest_collectreport(self, report):
        if report.failed:
            name = report.nodeid.split("keras/src/")[-1].removesuffix(".py")
            skipped[name]["test files that need what is not installed"] += 1

    def pytest_runtest_teardown(self, item):
        global test
        test = None
        alive.clear()


def main():
    try:
        import jax  # noqa: F401
    except ImportError:
        sys.modules["jax"] = types.ModuleType("jax")  # a test file imports it for tests of its own
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.join(os.path.dirname(keras.__file__), "src")
    found = sorted(path for pattern in FILES for path in glob.glob(os.path.join(root, pattern)))
    chosen = sys.argv[1:] or [path for path in found if os.path.basename(path) not in LEFT_OUT]
    install()
    pytest.main(["-q", "--no-header", "-p", "no:cacheprovider", "--tb=line", "--disable-warnings", "--continue-on-collection-errors", *chosen], plugins=[Plugin()])
    seen, kept = set(), []
    for one in cases.values():
        text = json.dumps({**one, "test": ""}, sort_keys=True)
        if text not in seen and one["events"]:
            seen.add(text)
            kept.append(one)
    table = {"versions": {"keras": keras.__version__, "tensorflow": tf.__version__}, "skipped": skipped, "cases": kept}
    with open(os.path.join(here, "models.json.gz"), "wb") as file:
        with gzip.GzipFile("", "wb", mtime=0, fileobj=file) as packed:
            packed.write(json.dumps(table).encode())
    print("models", len(cases), "cases,", len(kept), "different ones", file=sys.stderr)


if __name__ == "__main__":
    main()
