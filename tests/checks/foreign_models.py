"""Models as others make them, each with its own trouble; small, but real files."""

import itertools
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from compiler.streaming_models import streaming_model
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant
from ops import recurrent_models
from ops.detection_models import Detector

_CONV = {"padding": "SAME", "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
_FLOAT, _UINT8, _INT16 = np.float32, np.uint8, np.int16


def image(*shape: int, dtype: Any = np.int8, name: str = "image") -> TensorSpec:
    """An activation; integers have a scale."""
    return TensorSpec(shape or (1, 8, 8, 4), () if dtype == _FLOAT else 0.05, 0, dtype, name=name)


def convolution(source: TensorSpec, target: TensorSpec, *, scales: Any = None, dtype: Any = np.int8) -> OperatorSpec:
    """A 3x3 convolution between two images, with a scale a channel unless told otherwise."""
    filters, channels = target.shape[3], source.shape[3]
    values = np.random.default_rng(0).integers(1, 127, (filters, 3, 3, channels))
    weights = constant(
        values.astype(dtype), () if dtype == _FLOAT else ([0.01] * filters if scales is None else scales)
    )
    bias_type = _FLOAT if source.dtype == _FLOAT else np.int64 if source.dtype == _INT16 else np.int32
    bias = constant(np.zeros(filters, bias_type), () if source.dtype == _FLOAT else [0.0005] * filters)
    return OperatorSpec("CONV_2D", [source, weights, bias], target, _CONV, 1 if dtype == _FLOAT else 3)


def clean() -> bytes:
    x, y = image(), image(name="y")
    return build_model([convolution(x, y)], [x], [y])


def float_island() -> bytes:
    """CONV_2D, then CEIL in float32 as the converter leaves it, then CONV_2D."""
    x, y, z, out = image(), image(name="y"), image(name="z"), image(name="out")
    real, rounded = image(dtype=_FLOAT, name="real"), image(dtype=_FLOAT, name="rounded")
    return build_model(
        [
            convolution(x, y),
            OperatorSpec("DEQUANTIZE", [y], real),
            OperatorSpec("CEIL", [real], rounded),
            OperatorSpec("QUANTIZE", [rounded], z),
            convolution(z, out),
        ],
        [x],
        [out],
    )


def unsupported_operators() -> bytes:
    """GELU, which only LiteRT has, twice, and FLOOR_MOD, which TFLite Micro has for floats only."""
    x, y, z, e, out = (image(name=name) for name in ("x", "y", "z", "e", "out"))
    return build_model(
        [
            convolution(x, y),
            OperatorSpec("GELU", [y], z),
            OperatorSpec("FLOOR_MOD", [z, z], e),
            OperatorSpec("GELU", [e], out),
        ],
        [x],
        [out],
    )


def channels_first() -> bytes:
    """An NCHW image, transposed around its convolution."""
    x, y = image(1, 3, 12, 10), image(1, 12, 10, 3, name="y")
    z, out = image(1, 12, 10, 8, name="z"), image(1, 8, 12, 10, name="out")
    to_last, to_first = (constant(np.array(order, np.int32)) for order in ([0, 2, 3, 1], [0, 3, 1, 2]))
    return build_model(
        [OperatorSpec("TRANSPOSE", [x, to_last], y), convolution(y, z), OperatorSpec("TRANSPOSE", [z, to_first], out)],
        [x],
        [out],
    )


def per_tensor_weights() -> bytes:
    x, y = image(), image(name="y")
    return build_model([convolution(x, y, scales=0.01)], [x], [y])


def greyscale() -> bytes:
    x, y = image(1, 28, 28, 1), image(1, 28, 28, 4, name="y")
    return build_model([convolution(x, y)], [x], [y])


def two_inputs() -> bytes:
    left, right, out = image(name="left"), image(name="right"), image(name="sum")
    return build_model([OperatorSpec("ADD", [left, right], out)], [left, right], [out])


def two_outputs() -> bytes:
    x, boxes, scores = image(), image(name="boxes"), image(name="scores")
    return build_model([convolution(x, boxes), convolution(x, scores)], [x], [boxes, scores])


def dynamic_batch() -> bytes:
    return changed(clean(), lambda model: setattr(_first_input(model), "shapeSignature", [-1, 8, 8, 4]))


def dynamic_size() -> bytes:
    return changed(clean(), lambda model: setattr(_first_input(model), "shapeSignature", [1, -1, -1, 4]))


def batch_of_two() -> bytes:
    x, y = image(2, 8, 8, 4), image(2, 8, 8, 4, name="y")
    return build_model([convolution(x, y)], [x], [y])


def legacy_uint8() -> bytes:
    x, y = image(dtype=_UINT8), image(dtype=_UINT8, name="y")
    return build_model([convolution(x, y, scales=0.01, dtype=_UINT8)], [x], [y])


def float_of_uint8_images() -> bytes:
    pixels, rows = TensorSpec((1, 4, 4), dtype=_UINT8), TensorSpec((1, 16), dtype=_UINT8)
    real, scores = TensorSpec((1, 16), dtype=_FLOAT), TensorSpec((1, 3), dtype=_FLOAT)
    operators = [
        OperatorSpec("RESHAPE", [pixels, constant(np.array([1, 16], np.int32))], rows),
        OperatorSpec("CAST", [rows], real, {"inDataType": "UINT8", "outDataType": "FLOAT32"}),
        OperatorSpec("FULLY_CONNECTED", [real, constant(np.ones((3, 16), _FLOAT)), None], scores),
    ]
    return build_model(operators, [pixels], [scores])


def uint8_input() -> bytes:
    pixels, x, y = image(dtype=_UINT8, name="pixels"), image(name="x"), image(name="y")
    return build_model([OperatorSpec("QUANTIZE", [pixels], x), convolution(x, y)], [pixels], [y])


def float_interface() -> bytes:
    """Int8 inside, float32 outside, as the converter makes it by default."""
    x, y = image(name="x"), image(name="y")
    pixels, scores = image(dtype=_FLOAT, name="pixels"), image(dtype=_FLOAT, name="scores")
    return build_model(
        [OperatorSpec("QUANTIZE", [pixels], x), convolution(x, y), OperatorSpec("DEQUANTIZE", [y], scores)],
        [pixels],
        [scores],
    )


def float_model() -> bytes:
    x, y = image(dtype=_FLOAT), image(dtype=_FLOAT, name="y")
    return build_model([convolution(x, y, dtype=_FLOAT)], [x], [y])


def hybrid() -> bytes:
    """Float activations, int8 weights: what `Optimize.DEFAULT` makes without a representative data set."""
    x, y = image(dtype=_FLOAT), image(dtype=_FLOAT, name="y")
    return build_model([convolution(x, y)], [x], [y])


def float16_weights() -> bytes:
    x, y = image(dtype=_FLOAT), image(dtype=_FLOAT, name="y")
    half, bias = constant(np.ones((4, 3, 3, 4), np.float16)), constant(np.zeros(4, _FLOAT))
    unpacked = TensorSpec((4, 3, 3, 4), dtype=_FLOAT, name="unpacked")
    return build_model(
        [OperatorSpec("DEQUANTIZE", [half], unpacked), OperatorSpec("CONV_2D", [x, unpacked, bias], y, _CONV)], [x], [y]
    )


def int16_activations() -> bytes:
    x, y = image(dtype=_INT16), image(dtype=_INT16, name="y")
    return build_model([convolution(x, y)], [x], [y])


def flex_operator() -> bytes:
    x, real, erf = image(), image(dtype=_FLOAT, name="real"), image(dtype=_FLOAT, name="erf")
    return build_model([OperatorSpec("DEQUANTIZE", [x], real), OperatorSpec("FlexErf", [real], erf)], [x], [erf])


def custom_operator(name: str = "MyNonMaxSuppression") -> bytes:
    x, y = image(), image(name="y")
    return build_model([OperatorSpec(name, [x], y)], [x], [y])


def detections(**form: Any) -> bytes:
    """As the end of a single-shot detector: floats, of int8 boxes and scores, by a custom operator."""
    rng = np.random.default_rng(0)
    boxes, scores = (rng.integers(-40, 41, (1, 1, 9, numbers)).astype(np.int8) for numbers in (4, 2))
    return Detector(boxes, scores, rng.random((9, 4)).astype(np.float32)).model(**form)


def int64_indices() -> bytes:
    x = image(1, 8)
    best = TensorSpec((1,), dtype=np.int64, name="best")
    return build_model([OperatorSpec("ARG_MAX", [x, constant(np.array(1, np.int32))], best)], [x], [best])


def odd_channels() -> bytes:
    x, y, z = image(1, 8, 8, 3), image(1, 8, 8, 18, name="y"), image(1, 8, 8, 30, name="z")
    return build_model([convolution(x, y), convolution(y, z)], [x], [z])


def uneven_depthwise() -> bytes:
    """One channel of a depthwise convolution is 100 times as large as the others."""
    x, y = image(1, 8, 8, 8), image(1, 8, 8, 8, name="y")
    weights = constant(np.full((1, 3, 3, 8), 100, np.int8), [0.01] * 7 + [1.0], axis=3)
    options = {**_CONV, "depthMultiplier": 1}
    bias = constant(np.zeros(8, np.int32), [0.0005] * 8, axis=0)
    return build_model([OperatorSpec("DEPTHWISE_CONV_2D", [x, weights, bias], y, options, 3)], [x], [y])


def many_moves() -> bytes:
    """Three TRANSPOSEs that swap height and width, and little else."""
    tensors = [image(1, 8, 8, 4, name=f"t{index}") for index in range(4)]
    order = constant(np.array([0, 2, 1, 3], np.int32))
    moves = [OperatorSpec("TRANSPOSE", [a, order], b) for a, b in itertools.pairwise(tensors)]
    return build_model(moves, tensors[:1], tensors[-1:])


def dilated_by_blocks() -> bytes:
    """A dilated convolution as TensorFlow writes it."""
    x, out = image(name="x"), image(name="out")
    split, convolved = image(4, 6, 6, 4, name="split"), image(4, 4, 4, 4, name="convolved")
    sizes, paddings, crops = (constant(np.array(v, np.int32)) for v in ([2, 2], [[2, 2], [2, 2]], [[0, 0], [0, 0]]))
    inner = convolution(split, convolved)
    inner.options = {**inner.options, "padding": "VALID"}
    operators = [
        OperatorSpec("SPACE_TO_BATCH_ND", [x, sizes, paddings], split),
        inner,
        OperatorSpec("BATCH_TO_SPACE_ND", [convolved, sizes, crops], out),
    ]
    return build_model(operators, [x], [out])


def no_channel_multiplier() -> bytes:
    """A depthwise convolution whose converter left the multiplier to the shapes."""
    x, y = image(name="x"), image(name="y")
    weights = constant(np.random.default_rng(0).integers(1, 127, (1, 3, 3, 4)).astype(np.int8), [0.01] * 4, axis=3)
    bias = constant(np.arange(4).astype(np.int32), [0.0005] * 4)
    options = {**_CONV, "depthMultiplier": 0}
    return build_model([OperatorSpec("DEPTHWISE_CONV_2D", [x, weights, bias], y, options, 3)], [x], [y])


def narrow_biases() -> bytes:
    """An int16 convolution with int32 biases, and no option that says so, between QUANTIZEs."""
    x, y = image(name="x"), image(name="y")
    wide, result = (TensorSpec((1, 8, 8, 4), 0.001, 0, np.int16) for _ in range(2))
    inner = convolution(wide, result)
    inner.inputs[2] = constant(np.arange(4).astype(np.int32) * 10_000, [0.00001] * 4)
    operators = [OperatorSpec("QUANTIZE", [x], wide), inner, OperatorSpec("QUANTIZE", [result], y)]
    return build_model(operators, [x], [y])


def for_an_accelerator() -> bytes:
    """What Vela makes of a network."""
    x, y = image(name="x"), image(name="y")
    return build_model([OperatorSpec("ethos-u", [x], y)], [x], [y])


def version_from_the_future() -> bytes:
    x, y = image(), TensorSpec((1, 8, 8, 4), 1 / 128, 0, name="y")
    return build_model([OperatorSpec("TANH", [x], y, {}, 99)], [x], [y])


def int4_weights() -> bytes:
    def halve(model: Any) -> None:
        weights = model.subgraphs[0].tensors[1]
        weights.type = schema.TensorType.INT4
        model.buffers[weights.buffer].data = model.buffers[weights.buffer].data[: 4 * 3 * 3 * 4 // 2]

    return changed(clean(), halve)


def second_subgraph() -> bytes:
    def twice(model: Any) -> None:
        copy = schema.ModelT.InitFromObj(schema.Model.GetRootAs(clean(), 0))
        model.subgraphs.append(copy.subgraphs[0])

    return changed(clean(), twice)


def second_subgraph_of_others() -> bytes:
    """Two subgraphs: what is wrong in the second is no fault of the first."""

    def append(model: Any) -> None:
        other = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flex_operator(), 0))
        for code in other.operatorCodes:
            model.operatorCodes.append(code)
        for operator in other.subgraphs[0].operators:
            operator.opcodeIndex += len(model.operatorCodes) - len(other.operatorCodes)
        for tensor in other.subgraphs[0].tensors:
            tensor.buffer = 0
        model.subgraphs.append(other.subgraphs[0])

    return changed(unsupported_operators(), append)


def stateful() -> bytes:
    """A variable: VAR_HANDLE, and ASSIGN_VARIABLE, which has no output."""
    x, y, handle = image(), image(name="y"), TensorSpec((), dtype=np.int32, name="handle")

    def assign(model: Any) -> None:
        graph = model.subgraphs[0]
        next(tensor for tensor in graph.tensors if tensor.name == b"handle").type = schema.TensorType.RESOURCE
        graph.operators[0].builtinOptionsType = schema.BuiltinOptions.VarHandleOptions
        graph.operators[0].builtinOptions = schema.VarHandleOptionsT()
        graph.operators[0].builtinOptions.sharedName = b"memory"
        graph.operators[1].outputs = []

    operators = [
        OperatorSpec("VAR_HANDLE", [], handle),
        OperatorSpec("ASSIGN_VARIABLE", [handle, x], image(name="nothing")),
        OperatorSpec("RELU", [x], y),
    ]
    return changed(build_model(operators, [x], [y]), assign)


def streaming() -> bytes:
    """Two ring buffers."""
    return streaming_model([3, 5])


def lstm() -> bytes:
    return recurrent_models.lstm(np.random.default_rng(0), (1, 3, 10), 6)[0]


def svdf() -> bytes:
    return recurrent_models.svdf(np.random.default_rng(0), (1, 8, 4, 2, 3))[0]


def branches() -> bytes:
    """IF between two subgraphs."""

    def add_branches(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].type = schema.TensorType.BOOL
        graph.operators[0].builtinOptionsType = schema.BuiltinOptions.IfOptions
        graph.operators[0].builtinOptions = schema.IfOptionsT()
        graph.operators[0].builtinOptions.thenSubgraphIndex = 1
        graph.operators[0].builtinOptions.elseSubgraphIndex = 2
        for _ in range(2):
            other = schema.ModelT.InitFromObj(schema.Model.GetRootAs(clean(), 0))
            branch = other.subgraphs[0]
            branch.operators = []
            branch.outputs = branch.inputs
            model.subgraphs.append(branch)

    which, x, y = TensorSpec((1,), dtype=np.int32, name="which"), image(name="x"), image(name="y")
    return changed(build_model([OperatorSpec("IF", [which, x], y)], [which, x], [y]), add_branches)


def uint8_reshaped() -> bytes:
    """An int8 network whose uint8 pixels are first given another shape."""
    pixels, flat = image(dtype=_UINT8, name="pixels"), image(1, 256, dtype=_UINT8, name="flat")
    x, y = image(1, 256, name="x"), image(1, 256, name="y")
    shape = constant(np.array([1, 256], np.int32))
    operators = [OperatorSpec("RESHAPE", [pixels, shape], flat), OperatorSpec("QUANTIZE", [flat], x)]
    return build_model([*operators, OperatorSpec("RELU", [x], y)], [pixels], [y])


def layer_norm() -> bytes:
    """RSQRT of a SQUARED_DIFFERENCE in float32, in an int8 network."""
    x, y = image(name="x"), image(name="y")
    real, mean, square, root = (image(dtype=_FLOAT, name=name) for name in ("real", "mean", "square", "root"))
    mean.shape = (1, 8, 8, 1)
    operators = [
        OperatorSpec("DEQUANTIZE", [x], real),
        OperatorSpec("MEAN", [real, constant(np.array([3], np.int32))], mean, {"keepDims": True}),
        OperatorSpec("SQUARED_DIFFERENCE", [real, mean], square),
        OperatorSpec("RSQRT", [square], root),
        OperatorSpec("QUANTIZE", [root], y),
    ]
    return build_model(operators, [x], [y])


def shifted_operands() -> bytes:
    """A product of two activations, of which the second has a zero point."""
    a, b = TensorSpec((1, 4, 5), 0.05, 0, name="a"), TensorSpec((1, 5, 6), 0.05, 7, name="b")
    product = TensorSpec((1, 4, 6), 0.1, 0, name="product")
    return build_model([OperatorSpec("BATCH_MATMUL", [a, b], product)], [a, b], [product])


def padded_constant() -> bytes:
    """Weights with five bytes behind them."""

    def pad(model: Any) -> None:
        weights = model.buffers[model.subgraphs[0].tensors[1].buffer]
        weights.data = np.concatenate([np.array(weights.data, np.uint8), np.zeros(5, np.uint8)])

    return changed(clean(), pad)


def uint8_output() -> bytes:
    """Int8 inside, as streaming wake words have it."""
    x, y, level = image(name="x"), image(name="y"), image(dtype=_UINT8, name="level")
    return build_model([convolution(x, y), OperatorSpec("QUANTIZE", [y], level)], [x], [level])


def too_many_weights() -> bytes:
    """1,200,000 parameters."""
    x, y = TensorSpec((1, 1000), 0.05, 0, name="x"), TensorSpec((1, 1200), 0.05, 0, name="y")
    weights = constant(np.random.default_rng(0).integers(-127, 128, (1200, 1000)).astype(np.int8), 0.01)
    return build_model([OperatorSpec("FULLY_CONNECTED", [x, weights, None], y)], [x], [y])


def too_much_flash() -> bytes:
    """Fewer than a million parameters, but so many per-channel constants that they exceed a megabyte."""
    x, y = TensorSpec((1, 1, 1, 24), 0.05, 0, name="x"), TensorSpec((1, 1, 1, 33_000), 0.05, 0, name="y")
    rng = np.random.default_rng(0)
    weights = constant(
        rng.integers(-127, 128, (33_000, 1, 1, 24)).astype(np.int8), rng.uniform(0.001, 0.1, 33_000).tolist()
    )
    bias = constant(rng.integers(-999, 999, 33_000).astype(np.int32), [0.001] * 33_000)
    return build_model([OperatorSpec("CONV_2D", [x, weights, bias], y, _CONV, 3)], [x], [y])


def too_much_ram() -> bytes:
    """Two activations of 80,000 bytes each at once."""
    x, y = image(1, 200, 200, 2), TensorSpec((1, 200, 200, 2), 1 / 128, 0, name="y")
    return build_model([OperatorSpec("TANH", [x], y)], [x], [y])


def crash() -> bytes:
    """A scale that is not a number, on which the checks in TFLite Micro's C++ abort the process."""
    x, y, scores = image(1, 12), image(1, 12, name="y"), TensorSpec((1, 12), 1 / 256, -128, name="scores")
    y.scales = float("nan")
    return build_model([OperatorSpec("RESHAPE", [x], y), OperatorSpec("SOFTMAX", [y], scores)], [x], [scores])


def crash_of_a_whole_model() -> bytes:
    """A scale so small that a check in the C++ of both interpreters aborts the process; the reader takes it."""
    x, scores = TensorSpec((1, 12), 1e-12, 0, name="x"), TensorSpec((1, 12), 1 / 256, -128, name="scores")
    return build_model([OperatorSpec("SOFTMAX", [x], scores, {"beta": 1.0})], [x], [scores])


def changed(content: bytes, change: Callable[[Any], None]) -> bytes:
    """A model after a change of its object tree."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _first_input(model: Any) -> Any:
    return model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
