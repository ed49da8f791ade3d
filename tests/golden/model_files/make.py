"""What Keras predicts by these files for four rows of sin(0.7 i): `predictions.json`.

    python make.py 3 && TF_USE_LEGACY_KERAS=1 PYTHONPATH=. python make.py 2

(Keras 3.15; then tf_keras with tensorflow-model-optimization 0.8 for the files of Keras 2.)
"""
import glob, json, os, sys

import numpy as np

old = sys.argv[1] == "2"
if old:
    import tf_keras as keras, tensorflow_model_optimization as tfmot
    from contextlib import ExitStack
    scopes = ExitStack()
    for scope in (tfmot.quantization.keras.quantize_scope, tfmot.sparsity.keras.prune_scope, tfmot.clustering.keras.cluster_scope):
        scopes.enter_context(scope())
    load = lambda file: keras.models.load_model(file, compile=False)
else:
    import keras
    load = lambda file: keras.saving.load_model(file, compile=False, safe_mode=False)

facts = json.load(open("predictions.json")) if os.path.exists("predictions.json") else {}
for file in sorted(glob.glob("*.keras") + glob.glob("*.h5")):
    if file in facts:
        continue
    try:
        model = load(file)
        shape = [4, *model.input_shape[1:]]
        x = np.sin(np.arange(np.prod(shape)) * 0.7).astype("float32").reshape(shape)
        y = np.asarray(model.predict(x, verbose=0)).astype("float64")
        facts[file] = {"shape": shape[1:], "y": [float(f"{v:.7g}") for v in y.ravel()]}
    except Exception as error:  # several inputs, classes that this Keras does not know
        print(file, repr(error)[:200])
json.dump(facts, open("predictions.json", "w"))
