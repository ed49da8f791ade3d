"""Files of real TensorFlow Lite, with rows and what its reference kernels make of them.

    TF_ENABLE_ONEDNN_OPTS=0 python3 tests/golden/tflite/make.py

NAME.tflite, and NAME_x.npy and NAME_y.npy where it is a dense chain: rows as floats and outputs as floats
(integers as the numbers that they stand for). NAME_float.npy: the same outputs in float64 by numpy, of the
weights dequantized, where the file's own arithmetic rounds activations. refused_NAME.tflite are no chains.
"""
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow as tf
from keras import layers as L
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

here = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(3)
lite = tf.lite


def rows(shape, count=48):
    return rng.normal(size=(count, *shape)).astype(np.float32)


def settle(model):
    """Weights of every kind that are not what a layer begins with."""
    for weight in model.weights:
        value = rng.normal(size=weight.shape) * 0.4
        if weight.name in ("moving_variance", "variance", "gamma"):
            value = np.abs(value) + 0.5
        if weight.name == "kernel":
            value = rng.normal(size=weight.shape) / np.sqrt(weight.shape[0])
        if weight.name != "count":
            weight.assign(value)
    return model


def chain(*layers, shape):
    return settle(keras.Sequential([keras.Input(shape), *layers]))


def convert(model, x=None, kind=None, io=None, channels=True, types=None):
    converter = lite.TFLiteConverter.from_keras_model(model)
    if kind is not None:
        converter.optimizations = [lite.Optimize.DEFAULT]
    if x is not None:
        converter.representative_dataset = lambda: ([row[None]] for row in x)
        converter.target_spec.supported_ops = [kind]
        converter._experimental_disable_per_channel_quantization_for_dense_layers = not channels
        if io is not None:
            converter.inference_input_type = converter.inference_output_type = io
    if types:
        converter.target_spec.supported_types = types
    return converter.convert()


def interpreter(content):
    kernels = lite.experimental.OpResolverType
    try:
        found = lite.Interpreter(model_content=content, experimental_op_resolver_type=kernels.BUILTIN_REF)
    except ValueError:  # ELU has no reference kernel.
        kernels = kernels.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        found = lite.Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    found.allocate_tensors()
    return found


def run(content, x):
    """Rows as the file can hold them, and outputs, both as floats."""
    model = interpreter(content)
    source, target = model.get_input_details()[0], model.get_output_details()[0]
    taken, given = [], []
    for row in x:
        row = row[None]
        scale, zero = source["quantization"]
        if source["dtype"] != np.float32:
            limits = np.iinfo(source["dtype"])
            row = np.clip(np.round(row / scale) + zero, limits.min, limits.max).astype(source["dtype"])
        model.resize_tensor_input(source["index"], row.shape)
        model.allocate_tensors()
        model.set_tensor(source["index"], row)
        model.invoke()
        y = model.get_tensor(target["index"])
        if source["dtype"] != np.float32:
            row = ((row.astype(np.float64) - zero) * scale).astype(np.float32)
        scale, zero = target["quantization"]
        if target["dtype"] != np.float32:
            y = ((y.astype(np.float64) - zero) * scale).astype(np.float32)
        taken.append(row[0])
        given.append(y[0])
    return np.stack(taken), np.stack(given)


def save(name, content, x, exact=None):
    path = os.path.join(here, name)
    with open(path + ".tflite", "wb") as file:
        file.write(content)
    x, y = run(content, x)
    np.save(path + "_x.npy", x)
    np.save(path + "_y.npy", y)
    if exact:
        np.save(path + "_float.npy", exact(content, x.astype(np.float64)).astype(np.float32))
    print(name, len(content), "bytes")


def constants(content):
    """Kernels [inputs, units] and biases of the FULLY_CONNECTED operators, dequantized in float64."""
    model = interpreter(content)
    tensors = {t["index"]: t for t in model.get_tensor_details()}

    def read(index):
        values = model.get_tensor(index).astype(np.float64)
        q = tensors[index]["quantization_parameters"]
        if not len(q["scales"]):
            return values
        at = [1] * values.ndim
        at[q["quantized_dimension"]] = -1
        shape = at if len(q["scales"]) > 1 else [1] * values.ndim
        scales = q["scales"].astype(np.float64).reshape(shape)
        return (values - q["zero_points"].reshape(shape)) * scales

    for op in model._get_ops_details():
        if op["op_name"] == "FULLY_CONNECTED":
            _, kernel, *bias = op["inputs"]
            yield read(kernel).T, read(bias[0]) if bias and bias[0] >= 0 else 0.0


relu = lambda v: np.maximum(v, 0)
sigmoid = lambda v: 1 / (1 + np.exp(-v))
softmax = lambda v: np.exp(v) / np.exp(v).sum(-1, keepdims=True)


def forward(*functions):
    def outputs(content, x):
        for (kernel, bias), function in zip(constants(content), functions, strict=True):
            x = function(x @ kernel + bias)
        return x

    return outputs


def as_uint8(content):
    """The same network in the types of TensorFlow Lite before int8: every int8 number plus 128."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    for tensor in graph.tensors:
        if tensor.type == schema.TensorType.INT8:
            tensor.type = schema.TensorType.UINT8
            tensor.quantization.zeroPoint = [zero + 128 for zero in tensor.quantization.zeroPoint]
            data = model.buffers[tensor.buffer].data
            if data is not None and len(data):
                moved = np.asarray(data, np.uint8).view(np.int8).astype(np.int16) + 128
                model.buffers[tensor.buffer].data = moved.astype(np.uint8)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def refused(name, content):
    with open(os.path.join(here, f"refused_{name}.tflite"), "wb") as file:
        file.write(content)
    print("refused", name, len(content), "bytes")


INT8 = lite.OpsSet.TFLITE_BUILTINS_INT8
INT16 = lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8

model = chain(
    L.Rescaling(0.5, offset=-1.0),
    L.Normalization(mean=[0.1, -0.2, 0.3, 0, 1, 2], variance=[1, 2, 3, 0.5, 0.25, 4]),
    L.BatchNormalization(),
    L.Dense(7, activation="relu"),
    L.Dense(6, activation="relu6"),
    L.BatchNormalization(),
    L.Dense(5),
    L.LeakyReLU(negative_slope=0.1),
    L.Dense(4, activation="tanh"),
    L.Dense(3, activation="softmax"),
    shape=(6,),
)
x = rows((6,))
save("float", convert(model), x)
save("float16", convert(model, kind=True, types=[tf.float16]), x)
save("normalized_int8", convert(model, x, INT8, tf.int8), x)

net = chain(
    L.Dense(16, activation="relu"), L.BatchNormalization(), L.Dense(8, activation="relu6"), L.Dense(3, activation="softmax"), shape=(6,)
)
save("int8_channel", convert(net, x, INT8, tf.int8), x)
save("int8_float_io", convert(net, x, INT8), x)
save("uint8_io", convert(net, x, INT8, tf.uint8), x)
save("int16x8", convert(net, x, INT16), x)

net = chain(L.Dense(16, activation="relu"), L.Dense(8, activation="relu"), L.Dense(1, activation="sigmoid"), shape=(6,))
save("int8_tensor", convert(net, x, INT8, tf.int8, channels=False), x)
save("uint8", as_uint8(convert(net, x, INT8, tf.int8, channels=False)), x)
net = chain(L.Dense(8, activation="tanh"), L.Dense(4), L.LeakyReLU(negative_slope=0.2), L.Dense(2), shape=(6,))
save("int8_tanh", convert(net, x, INT8, tf.int8), x)

net = chain(L.Dense(48, activation="relu"), L.Dense(24, activation="relu"), L.Dense(4, activation="softmax"), shape=(32,))
wide = rows((32,))
save("dynamic", convert(net, kind=True), wide, exact=forward(relu, relu, softmax))

net = chain(
    L.Dense(6), L.PReLU(), L.Dense(6, activation="silu"), L.Dense(6, activation="elu"), L.Dense(6, activation="gelu"),
    L.Dense(6, activation="sigmoid"), L.Activation("tanh"), L.Dense(6, activation="hard_silu"), L.Dense(5, activation="exponential"),
    L.Dense(4, activation="log_softmax"), shape=(6,),
)
save("activations", convert(net), x)
net = chain(
    L.Dense(3, activation="relu"), L.Flatten(), L.Dense(6, activation="tanh"), L.Reshape((2, 3)), L.Dense(2), L.Softmax(),
    L.Flatten(), L.Dense(3, use_bias=False), shape=(4, 5),
)
save("axes", convert(net), rows((4, 5)))
# Of a fixed number of rows, the converter writes every size, and keeps the axes of a Dense layer.
function = tf.function(lambda v: net(v)).get_concrete_function(tf.TensorSpec((1, 4, 5)))
save("axes_fixed", lite.TFLiteConverter.from_concrete_functions([function]).convert(), rows((4, 5)))
net = chain(L.Flatten(), L.Dense(4, activation="relu"), L.Dense(2, activation="softmax"), shape=(4, 3, 2))
x = rows((4, 3, 2))
save("image", convert(net, x, INT8, tf.int8), x)

refused("conv", convert(chain(L.Conv2D(2, 3), L.Flatten(), L.Dense(2), shape=(6, 6, 1))))
refused("lstm", convert(chain(L.LSTM(3, unroll=True), L.Dense(2), shape=(2, 2))))
a, b = keras.Input((3,)), keras.Input((3,))
refused("two_inputs", convert(settle(keras.Model([a, b], L.Dense(2)(L.Concatenate()([a, b]))))))
refused("two_outputs", convert(settle(keras.Model(a, [L.Dense(2)(a), L.Dense(1)(a)]))))
h = L.Dense(3, activation="relu")(a)
refused("residual", convert(settle(keras.Model(a, L.Dense(2)(L.Add()([h, L.Dense(3)(h)]))))))
refused("softplus", convert(chain(L.Dense(2, activation="softplus"), shape=(3,))))
refused("sin", convert(chain(L.Dense(2), L.Lambda(lambda v: tf.math.sin(v), output_shape=(2,)), shape=(3,))))
