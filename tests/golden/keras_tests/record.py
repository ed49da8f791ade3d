"""Records what Keras' own unit tests of metrics, optimizers and schedules compute, as golden cases:
configurations, inputs and results, no code.

    python -m venv venv && venv/bin/pip install keras==3.15.1 tensorflow-cpu pytest absl-py
    cd tests/golden/keras_tests && ../../../venv/bin/python record.py

runs the test files of the installed Keras and writes `metrics.json`, `optimizers.json` and
`schedules.json`. A case is one object of one test: its class and config, then what was called, in
order, with what came out. `skipped` counts what could not be written down, by reason.
"""

import collections
import functools
import json
import math
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from keras.src.backend.common.stateless_scope import in_stateless_scope
from keras.src.metrics.metric import Metric
from keras.src.optimizers.base_optimizer import BaseOptimizer
from keras.src.optimizers.schedules.learning_rate_schedule import LearningRateSchedule

MOST = 4096  # values of an array; longer ones are skipped

test = None
depth = 0
cases = collections.defaultdict(dict)  # kind -> key -> case
skipped = collections.Counter()
alive = []  # objects seen in a test: their ids stay theirs until it ends


class Skip(Exception):
    pass


def value(x):
    """A number, a list of numbers, or None, as JSON."""
    if x is None:
        return None
    if isinstance(x, dict):
        raise Skip("dictionaries of inputs or results")
    try:
        array = np.asarray(keras.ops.convert_to_numpy(x) if not isinstance(x, (int, float, list, tuple)) else x)
    except Exception:
        raise Skip("values that are no arrays")
    if array.dtype == object or array.dtype.kind in "USV":
        raise Skip("values that are no numbers")
    if array.size > MOST:
        raise Skip(f"arrays of more than {MOST} values")

    def number(v):
        v = float(v)
        if math.isnan(v):
            return "nan"
        if math.isinf(v):
            return "inf" if v > 0 else "-inf"
        return int(v) if v == int(v) and abs(v) < 2**53 else v

    def nested(a):
        return [nested(b) for b in a] if a.ndim else number(a)

    return nested(array)


def config_of(thing):
    try:
        return json.loads(json.dumps(keras.saving.serialize_keras_object(thing)["config"]))
    except Exception as error:
        raise Skip(f"no configuration ({type(error).__name__})")


def case(kind, thing):
    key = (test, id(thing))
    if key not in cases[kind]:
        alive.append(thing)
        config = config_of(thing)
        module = type(thing).__module__
        if module.split(".")[0] != "keras" or module.endswith("_test"):
            raise Skip("classes made by a test")
        cases[kind][key] = {
            "test": test,
            "class_name": type(thing).__name__,
            "config": config,
            "events": [],
        }
    return cases[kind][key]


def drop(kind, thing, reason):
    """A case that cannot be written down whole is left out whole."""
    key = (test, id(thing))
    cases[kind].pop(key, None)
    dead.add(key)
    skipped[f"{kind}: {reason}"] += 1


dead = set()


def recording(kind, describe):
    """Wraps a method: `describe(self, result, arguments)` gives the event."""

    def wrap(method):
        @functools.wraps(method)
        def wrapper(self, *args, **kwargs):
            global depth
            outer = depth == 0 and test is not None and not in_stateless_scope()
            before = None
            if outer and (test, id(self)) not in dead:
                try:
                    before = describe(self, "before", args, kwargs, None)
                except Skip as reason:
                    drop(kind, self, str(reason))
            depth += 1
            try:
                result = method(self, *args, **kwargs)
            except Exception as error:
                if outer and (test, id(self)) not in dead:
                    drop(kind, self, f"an error was expected ({type(error).__name__})")
                raise
            finally:
                depth -= 1
            if outer and (test, id(self)) not in dead:
                try:
                    event = describe(self, "after", args, kwargs, (before, result))
                    case(kind, self)["events"].append(event)
                except Skip as reason:
                    drop(kind, self, str(reason))
            return result

        return wrapper

    return wrap


def metric_update(self, when, args, kwargs, _):
    if when == "before":
        case("metrics", self)
        return None
    names = ["y_true", "y_pred", "sample_weight"]
    if "values" in kwargs or type(self).__name__ in ("Mean", "Sum"):
        names = ["values", "sample_weight"]
    given = dict(zip(names, args)) | kwargs
    return {"update": {name: value(v) for name, v in given.items()}}


def metric_result(self, when, args, kwargs, done):
    return None if when == "before" else {"result": value(done[1])}


def metric_reset(self, when, args, kwargs, done):
    return None if when == "before" else {"reset": True}


def applied(self, when, args, kwargs, done):
    names = ["grads", "trainable_variables"]
    given = dict(zip(names, args)) | kwargs
    variables = given.get("trainable_variables")
    if variables is None:
        variables = self._trainable_variables
    if when == "before":
        case("optimizers", self)
        if any(v.dtype != "float32" for v in variables):
            raise Skip("variables that are not float32")
        if any(getattr(v, "overwrite_with_gradient", False) for v in variables):
            raise Skip("variables that their gradients overwrite")
        return [value(v) for v in variables]
    grads = list(given["grads"])
    if any(g is None for g in grads):
        raise Skip("variables without a gradient")
    if any(type(g).__name__ == "IndexedSlices" for g in grads):
        raise Skip("gradients of some rows, as of an Embedding")
    decays = [self._use_weight_decay(v) for v in variables] if self.weight_decay else []
    return {
        "excluded_from_weight_decay": [i for i, decays in enumerate(decays) if not decays],
        "before": done[0],
        "grads": [value(g) for g in grads],
        "after": [value(v) for v in variables],
        "learning_rate": value(self.learning_rate),
    }


def scheduled(self, when, args, kwargs, done):
    step = args[0] if args else kwargs["step"]
    return None if when == "before" else {"step": value(step), "rate": value(done[1])}


def subclasses(base):
    found = [base]
    for sub in base.__subclasses__():
        found += subclasses(sub)
    return found


def install():
    for cls in dict.fromkeys(subclasses(Metric)):
        for name, describe in [
            ("update_state", metric_update),
            ("result", metric_result),
            ("reset_state", metric_reset),
        ]:
            if name in vars(cls):
                setattr(cls, name, recording("metrics", describe)(vars(cls)[name]))
    for cls in dict.fromkeys(subclasses(BaseOptimizer)):
        if "apply" in vars(cls):
            cls.apply = recording("optimizers", applied)(vars(cls)["apply"])
    for cls in dict.fromkeys(subclasses(LearningRateSchedule)):
        if "__call__" in vars(cls) and cls is not LearningRateSchedule:
            cls.__call__ = recording("schedules", scheduled)(vars(cls)["__call__"])


class Plugin:
    def pytest_runtest_setup(self, item):
        global test
        path, name = item.nodeid.split("::", 1)
        test = path.split("keras/src/")[-1].removesuffix(".py") + "::" + name.replace("::", ".")

    def pytest_runtest_teardown(self, item):
        global test
        test = None
        alive.clear()


def main():
    root = os.path.join(os.path.dirname(keras.__file__), "src")
    files = [
        os.path.join(folder, name)
        for area in ("metrics", "optimizers")
        for folder, _, names in os.walk(os.path.join(root, area))
        for name in names
        if name.endswith("_test.py")
    ]
    here = os.path.dirname(os.path.abspath(__file__))
    install()
    pytest.main(["-q", "-x", "--no-header", "-p", "no:cacheprovider", "--maxfail=1000", *sorted(files)], plugins=[Plugin()])
    for kind, found in cases.items():
        seen, kept = set(), []
        for one in found.values():
            text = json.dumps({**one, "test": ""}, sort_keys=True)
            if text not in seen and one["events"]:
                seen.add(text)
                kept.append(one)
        with open(os.path.join(here, f"{kind}.json"), "w") as file:
            lines = ",\n".join(json.dumps(one) for one in kept)
            reasons = {k.split(": ", 1)[1]: n for k, n in sorted(skipped.items()) if k.startswith(kind)}
            file.write(
                f'{{"versions": {{"keras": "{keras.__version__}"}}, "skipped": {json.dumps(reasons)}, "cases": [\n{lines}\n]}}\n'
            )
        print(kind, len(found), "cases,", len(kept), "different ones", file=sys.stderr)


if __name__ == "__main__":
    main()
