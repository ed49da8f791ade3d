"""Makes fused.json and serialized.json beside this file from real Keras:

    python3 tests/golden/unit/make.py

fused.json       crossentropies behind a sigmoid or a softmax: Keras on TensorFlow takes the activation's input in place of its output
serialized.json  losses and metrics as Keras saves them
"""
import json
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
import warnings

warnings.filterwarnings("ignore")
import keras
import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))
L, M = keras.losses, keras.metrics
rng = np.random.default_rng(20)


def write(name, value):
    with open(os.path.join(HERE, name), "w") as file:
        # One entry per line: small, and a change is visible in a diff.
        if isinstance(value, list):
            file.write("[\n" + ",\n".join(map(json.dumps, value)) + "\n]\n")
        else:
            lists = (f'{json.dumps(key)}: [\n' + ",\n".join(map(json.dumps, list)) + "\n]" for key, list in value.items())
            file.write("{" + ", ".join(lists) + "}\n")


def numbers(value):
    return np.asarray(value, "f4").astype("f8").tolist()


ROWS = 6
fused = []
for width in (1, 3, 10):
    logits = (rng.normal(size=(ROWS, width)) * 4).astype("f4")
    logits[0] *= 8  # saturated: probabilities of exactly 0 and 1
    classes = rng.integers(0, width, ROWS)
    targets = {
        "index": classes.astype("f4")[:, None],
        "one_hot": np.eye(width, dtype="f4")[classes],
        "binary": rng.integers(0, 2, (ROWS, width)).astype("f4"),
    }
    losses = [
        ("BinaryCrossentropy", {}, "binary"),
        ("BinaryCrossentropy", {"label_smoothing": 0.2}, "binary"),
        ("BinaryCrossentropy", {"from_logits": True}, "binary"),
        ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.3}, "binary"),
        ("MeanSquaredError", {}, "binary"),
    ]
    if width > 1:
        losses += [
            ("CategoricalCrossentropy", {}, "one_hot"),
            ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "one_hot"),
            ("CategoricalFocalCrossentropy", {}, "one_hot"),
            ("SparseCategoricalCrossentropy", {}, "index"),
            ("SparseCategoricalCrossentropy", {"ignore_class": 1}, "index"),
            ("KLDivergence", {}, "one_hot"),
        ]
    for activation in ("sigmoid", "softmax"):
        if width == 1 and activation == "softmax":
            continue
        for cls, kwargs, target in losses:
            x = tf.Variable(logits)
            with tf.GradientTape() as tape:
                y = keras.activations.get(activation)(x)
                loss = getattr(L, cls)(**kwargs)(targets[target], y)
            gradient = tape.gradient(loss, x)
            entry = {
                "cls": cls,
                "kwargs": kwargs,
                "activation": activation,
                "y_true": numbers(targets[target]),
                "logits": numbers(logits),
                "loss": float(loss),
                "gradient": numbers(gradient),
            }
            if hasattr(M, cls):
                metric = getattr(M, cls)(**kwargs)
                metric.update_state(targets[target], keras.activations.get(activation)(x))
                entry["metric"] = float(metric.result())
            fused.append(entry)
write("fused.json", fused)

losses = [
    L.MeanSquaredError(), L.MeanAbsoluteError(reduction="sum"), L.MeanAbsolutePercentageError(name="mine"),
    L.MeanSquaredLogarithmicError(), L.CosineSimilarity(), L.Huber(), L.LogCosh(), L.Hinge(), L.SquaredHinge(),
    L.CategoricalHinge(), L.KLDivergence(), L.Poisson(), L.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
    L.BinaryFocalCrossentropy(gamma=1.5, apply_class_balancing=True), L.CategoricalCrossentropy(label_smoothing=0.25),
    L.CategoricalFocalCrossentropy(alpha=[0.5, 0.25]), L.CategoricalFocalCrossentropy(from_logits=True),
    L.SparseCategoricalCrossentropy(ignore_class=-1), L.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight"),
    L.Dice(), L.Tversky(alpha=0.25, axis=-1), L.Circle(gamma=64.0), L.CategoricalGeneralizedCrossEntropy(q=0.75),
]
metrics = [
    M.Accuracy(), M.BinaryAccuracy(threshold=0.25), M.CategoricalAccuracy(name="a"), M.SparseCategoricalAccuracy(),
    M.TopKCategoricalAccuracy(k=2), M.SparseTopKCategoricalAccuracy(k=3), M.SparseTopKCategoricalAccuracy(from_sorted_ids=True),
    M.MeanSquaredError(), M.RootMeanSquaredError(), M.MeanAbsoluteError(), M.MeanAbsolutePercentageError(),
    M.MeanSquaredLogarithmicError(), M.CosineSimilarity(), M.LogCoshError(), M.R2Score(class_aggregation=None, num_regressors=2),
    M.KLDivergence(), M.Poisson(), M.BinaryCrossentropy(label_smoothing=0.5), M.CategoricalCrossentropy(from_logits=True),
    M.SparseCategoricalCrossentropy(ignore_class=2), M.Hinge(), M.SquaredHinge(), M.CategoricalHinge(),
    M.TruePositives(name="tp"), M.TrueNegatives(name="tn", thresholds=0.75), M.FalsePositives(name="fp", thresholds=[0.25, 0.5]),
    M.FalseNegatives(name="fn"), M.Precision(name="p", top_k=2, class_id=1), M.Recall(name="r", thresholds=[0.5, 0.75]),
    M.SensitivityAtSpecificity(0.5, name="a"), M.SpecificityAtSensitivity(0.5, num_thresholds=100, name="b"),
    M.PrecisionAtRecall(0.5, class_id=1, name="c"), M.RecallAtPrecision(0.5, name="d"),
    M.AUC(name="auc"), M.AUC(name="pr", curve="PR", num_thresholds=50, summation_method="majoring", from_logits=True),
    M.AUC(name="own", thresholds=[0.25, 0.5]), M.AUC(name="ml", multi_label=True, num_labels=3),
    M.F1Score(average="macro"), M.FBetaScore(beta=2.0, threshold=0.5), M.PearsonCorrelation(), M.ConcordanceCorrelation(),
    M.IoU(3, [0, 2], name="iou", ignore_class=1), M.BinaryIoU(name="biou", target_class_ids=[1]), M.MeanIoU(3, name="miou"),
    M.OneHotIoU(3, [0], name="ohiou"), M.OneHotMeanIoU(3, name="ohmiou"), M.MeanMetricWrapper(L.huber, name="huber"),
]
serialize = keras.saving.serialize_keras_object
write("serialized.json", {"losses": [serialize(loss) for loss in losses], "metrics": [serialize(metric) for metric in metrics]})
