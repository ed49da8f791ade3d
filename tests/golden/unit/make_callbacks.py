"""Makes callbacks.json beside this file from real Keras:

    python3 tests/golden/unit/make_callbacks.py

Every call of fit, evaluate and predict to a callback, in order: [hook, epoch or batch, logs]; and the logs of train_on_batch and test_on_batch
with sample and class weights.
"""
import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
import keras
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
x = np.array([[0, 1], [1, 0], [2, 1], [1, 3], [-1, 1]], "f4")
y = np.array([[1], [0], [1], [0], [1]], "f4")
sample_weight = np.array([1, 2, 0.5, 0, 1], "f4")
class_weight = {0: 0.5, 1: 2.0}
kernel, bias = [[0.5], [-0.25]], [0.125]


def compiled():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.set_weights([np.array(kernel, "f4"), np.array(bias, "f4")])
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
    return model


def plain(logs):
    return {name: np.asarray(value, "f4").astype("f8").tolist() for name, value in (logs or {}).items()}


class Recorder(keras.callbacks.Callback):
    def __init__(self, stop_evaluating_at=None):
        super().__init__()
        self.calls = []
        self.stop_evaluating_at = stop_evaluating_at


def record(hook, counted):
    if counted:

        def method(self, index, logs=None):
            self.calls.append([hook, index, plain(logs)])
            if hook == "on_test_batch_end" and index == self.stop_evaluating_at:
                self.model.stop_evaluating = True
    else:

        def method(self, logs=None):
            self.calls.append([hook, None, plain(logs)])

    setattr(Recorder, hook, method)


for what in ("train", "test", "predict"):
    for when in ("begin", "end"):
        record(f"on_{what}_{when}", False)
        record(f"on_{what}_batch_{when}", True)
record("on_epoch_begin", True)
record("on_epoch_end", True)


def calls(run, **options):
    recorder = Recorder(**options)
    run(recorder)
    return recorder.calls


model = compiled()
options = {"batch_size": 2, "verbose": 0}
table = {
    "fit": calls(lambda r: model.fit(x, y, epochs=2, shuffle=False, validation_data=(x[:3], y[:3]), callbacks=[r], **options)),
    "evaluate": calls(lambda r: model.evaluate(x, y, callbacks=[r], **options)),
    "evaluate_steps": calls(lambda r: model.evaluate(x, y, steps=2, callbacks=[r], **options)),
    "evaluate_stopped": calls(lambda r: model.evaluate(x, y, callbacks=[r], **options), stop_evaluating_at=1),
    "predict": calls(lambda r: model.predict(x, callbacks=[r], **options)),
    "predict_steps": calls(lambda r: model.predict(x, steps=2, callbacks=[r], **options)),
}
model = compiled()
table["on_batch"] = [
    ["train", None, model.train_on_batch(x, y, return_dict=True)],
    ["train", "sample_weight", model.train_on_batch(x, y, sample_weight=sample_weight, return_dict=True)],
    ["train", "class_weight", model.train_on_batch(x, y, class_weight=class_weight, return_dict=True)],
    ["test", None, model.test_on_batch(x, y, return_dict=True)],
    ["test", "sample_weight", model.test_on_batch(x, y, sample_weight=sample_weight, return_dict=True)],
]
for entry in table["on_batch"]:
    entry[2] = plain(entry[2])
table["weights_after"] = np.concatenate([w.reshape(-1) for w in model.get_weights()]).astype("f8").tolist()
with open(os.path.join(HERE, "callbacks.json"), "w") as file:
    # One call per line: small, and a change is visible in a diff.
    lists = (f"{json.dumps(key)}: [\n" + ",\n".join(map(json.dumps, list)) + "\n]" for key, list in table.items())
    file.write("{" + ", ".join(lists) + "}\n")
