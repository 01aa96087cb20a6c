"""Each operator that a float network brings, alone: in float, quantised, compiled and in training.

LiteRT's float kernel is what the PyTorch network is compared to. The quantised graph is held against the float output,
within the steps that it may lose, and its file runs in TFLite Micro, in our C and in the integer network to the same
bits.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tinyedge.compiler.passes import simplify
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.integer_executor import IntegerExecutor
from tinyedge.quantisation.observers import min_max, observe
from tinyedge.quantisation.preparation import prepare
from tinyedge.quantisation.quantise import quantise
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.litert_session import run_tflite
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.reader import read_tflite
from tinyedge.tflite.writer import tflite_bytes

torch.set_num_threads(1)
F32 = np.dtype(np.float32)
INT32 = 2  # Of the schema's TensorType.
RNG = np.random.default_rng(0)
NONE = {"fused_activation_function": "NONE"}


def real(*shape: int, name: str = "x") -> Tensor:
    return Tensor(name, shape, F32)


def constant(values, dtype=np.float32) -> Tensor:
    array = np.asarray(values, dtype)
    return Tensor("c", array.shape, array.dtype, data=array)


def integers(*values) -> Tensor:
    return constant(values, np.int32)


def normal(*shape: int) -> Tensor:
    return constant(RNG.normal(size=shape))


def one_operator(op: str, inputs, shape, label: str = "", version: int = 1, **options) -> Graph:
    source = next(tensor for tensor in inputs if tensor is not None and tensor.data is None)
    output = real(*shape, name="y")
    return Graph(
        f"{op.lower()}{label}", [Operator(op, tuple(inputs), (output,), options, version)], (source,), (output,)
    )


def joining() -> Iterator[Graph]:
    x = real(1, 4, 3, 5)
    yield one_operator("CONCATENATION", (x, x), (1, 4, 3, 10), axis=3, **NONE)
    yield one_operator("CONCATENATION", (x, normal(1, 2, 3, 5)), (1, 6, 3, 5), "_constant", axis=1, **NONE)
    yield one_operator("CONCATENATION", (x, x, x), (1, 4, 9, 5), "_from_the_end", axis=-2, **NONE)
    yield one_operator("CONCATENATION", (x,) * 23, (1, 92, 3, 5), "_many", axis=1, **NONE)
    yield one_operator("PACK", (x, x), (1, 4, 2, 3, 5), axis=2, values_count=2)
    yield one_operator("PACK", (x, normal(1, 4, 3, 5)), (2, 1, 4, 3, 5), "_constant", axis=0, values_count=2)
    for op in ("MAXIMUM", "MINIMUM"):
        yield one_operator(op, (x, constant([0.5])), (1, 4, 3, 5))
        yield one_operator(op, (x, normal(5)), (1, 4, 3, 5), "_channels")
    yield one_operator("RELU6", (x,), (1, 4, 3, 5))


def moving() -> Iterator[Graph]:
    x, sequence = real(1, 4, 6, 8), real(1, 12, 3)
    image = [[0, 0], [1, 2], [0, 3], [0, 0]]
    yield one_operator("PAD", (x, constant(image, np.int32)), (1, 7, 9, 8))
    yield one_operator("PAD", (sequence, constant([[0, 0], [3, 0], [1, 1]], np.int32)), (1, 15, 5), "_sequence")
    yield one_operator("PADV2", (x, constant(image, np.int32), constant([1.5])), (1, 7, 9, 8))
    for mode in ("REFLECT", "SYMMETRIC"):
        paddings = constant([[0, 0], [1, 2], [2, 1], [0, 0]], np.int32)
        yield one_operator("MIRROR_PAD", (x, paddings), (1, 7, 9, 8), f"_{mode}", mode=mode)
    yield one_operator("SLICE", (x, integers(0, 1, 2, 0), integers(1, 2, -1, 3)), (1, 2, 4, 3))
    bounds = integers(0, 3, 0, 1), integers(1, 0, 6, 8), integers(1, -1, 2, 3)
    yield one_operator("STRIDED_SLICE", (x, *bounds), (1, 3, 3, 3), begin_mask=0, end_mask=0, shrink_axis_mask=0)
    bounds = integers(0, 1), integers(0, 2), integers(1, 1)
    yield one_operator(
        "STRIDED_SLICE", (x, *bounds), (1, 6, 8), "_shrunk", begin_mask=1, end_mask=1, shrink_axis_mask=2
    )
    deep, bounds = real(1, 3, 5, 2, 4), (integers(0, 0, 1, 0, 0), integers(1, 3, 4, 2, 4), integers(1, 1, 2, 1, 1))
    yield one_operator("STRIDED_SLICE", (deep, *bounds), (1, 3, 2, 2, 4), "_deep")
    yield one_operator("TRANSPOSE", (x, integers(0, 3, 1, 2)), (1, 8, 4, 6))
    yield one_operator("TRANSPOSE", (x, integers(3, 0, 1, 2)), (8, 1, 4, 6), "_batch")
    yield one_operator("REVERSE_V2", (x, integers(2)), (1, 4, 6, 8))
    yield one_operator("GATHER", (x, integers(3, 0, 0, 7)), (1, 4, 6, 4), axis=3, batch_dims=0)
    yield one_operator("TILE", (sequence, integers(1, 2, 3)), (1, 24, 9))
    yield one_operator("BROADCAST_TO", (real(1, 1, 3), integers(1, 5, 3)), (1, 5, 3), version=2)
    yield one_operator("DEPTH_TO_SPACE", (x,), (1, 8, 12, 2), block_size=2)
    yield one_operator("SPACE_TO_DEPTH", (x,), (1, 2, 3, 32), block_size=2)
    blocks, none = integers(2, 3), constant([[0, 0], [0, 0]], np.int32)
    yield one_operator("SPACE_TO_BATCH_ND", (x, blocks, none), (6, 2, 2, 8))
    yield one_operator("RESHAPE", (x, integers(8, 24)), (8, 24), "_batch")
    yield one_operator("SQUEEZE", (real(1, 3, 1, 4),), (1, 3, 4), squeeze_dims=(2,))
    yield one_operator("EXPAND_DIMS", (sequence, integers(1)), (1, 1, 12, 3))


def resizing() -> Iterator[Graph]:
    for op in ("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"):
        for corners, half in ((False, False), (True, False), (False, True)):
            for size in ((8, 12), (3, 5), (7, 6)):
                options = {"align_corners": corners, "half_pixel_centers": half}
                label = f"_{size[0]}x{size[1]}" + "_corners" * corners + "_half" * half
                yield one_operator(op, (real(1, 4, 6, 3), integers(*size)), (1, *size, 3), label, **options)


def reducing() -> Iterator[Graph]:
    x = real(1, 5, 7, 3)
    for op in ("REDUCE_MAX", "REDUCE_MIN", "SUM", "MEAN"):
        yield one_operator(op, (x, integers(1, 2)), (1, 3), keep_dims=False)
        yield one_operator(op, (x, integers(-1)), (1, 5, 7, 1), "_last_kept", keep_dims=True)
        yield one_operator(op, (x, integers(0, 2)), (5, 3), "_batch", keep_dims=False)


def computing() -> Iterator[Graph]:
    x = real(1, 4, 3, 5)
    yield one_operator("PRELU", (x, constant([[[0.25, 0.1, -0.5, 0.0, 1.5]]])), (1, 4, 3, 5))
    yield one_operator("PRELU", (x, constant([0.1])), (1, 4, 3, 5), "_one")
    for op, fused in (("ADD", NONE), ("SUB", NONE), ("MUL", NONE), ("SQUARED_DIFFERENCE", {})):
        yield one_operator(op, (x, constant(1.75)), (1, 4, 3, 5), "_number", **fused)
        yield one_operator(op, (x, normal(5)), (1, 4, 3, 5), "_channels", **fused)
        yield one_operator(op, (normal(1, 1, 3, 1), x), (1, 4, 3, 5), "_first", **fused)
    for op in ("ADD", "MUL"):
        yield one_operator(op, (x, x), (1, 4, 3, 5), "_itself", **NONE)
    for padding, stride, size in (
        ("SAME", 2, (8, 6)),
        ("SAME", 1, (4, 3)),
        ("VALID", 2, (9, 7)),
        ("VALID", 3, (12, 9)),
    ):
        options = {"padding": padding, "stride_h": stride, "stride_w": stride, **NONE}
        inputs = (integers(1, *size, 6), normal(6, 3, 3, 5), x)
        yield one_operator("TRANSPOSE_CONV", inputs, (1, *size, 6), f"_{padding}_{stride}", **options)
        yield one_operator(
            "TRANSPOSE_CONV", (*inputs, normal(6)), (1, *size, 6), f"_{padding}_{stride}_bias", **options
        )
    yield one_operator("BATCH_MATMUL", (x, normal(5, 7)), (1, 4, 3, 7), "_constant", adj_x=False, adj_y=False)


LEAST_SQNR_DB = 30.0
"""Of one operator, its inputs exact: 8 bits of normal values between the lowest and the highest give about 38."""


def functions() -> Iterator[Graph]:
    x = real(1, 4, 3, 5)
    for op in ("ABS", "NEG", "SQUARE", "SIN", "COS", "ELU", "EXP", "LOGISTIC", "TANH", "HARD_SWISH", "RELU"):
        yield one_operator(op, (x,), (1, 4, 3, 5))
    yield one_operator("LEAKY_RELU", (x,), (1, 4, 3, 5), alpha=0.2)
    yield one_operator("POW", (x, constant([2])), (1, 4, 3, 5))
    yield one_operator("RELU_N1_TO_1", (x,), (1, 4, 3, 5))
    yield one_operator("RELU_0_TO_1", (x,), (1, 4, 3, 5))


def chain(name: str, *links: tuple) -> Graph:
    """Links are an operator, its options and its inputs, of which "x" is the graph's and "last" the one before."""
    tensors = {"x": real(1, 4, 3, 5)}
    operators = []
    for op, options, *inputs in links:
        output = real(1, 4, 3, 5, name=f"{op}{len(operators)}")
        given = tuple(tensors.get(tensor, tensor) if isinstance(tensor, str) else tensor for tensor in inputs)
        operators.append(Operator(op, given, (output,), options))
        tensors["last"] = output
    return Graph(name, operators, (tensors["x"],), (tensors["last"],))


def chains() -> Iterator[Graph]:
    """Of several operators on one tensor, which become a function."""
    half = constant([0.5])
    gate = (
        ("MUL", NONE, "x", constant([1 / 6])),
        ("ADD", NONE, "last", half),
        ("RELU_0_TO_1", {}, "last"),
    )
    squared = (("SQUARE", {}, "x"), ("ADD", NONE, "last", constant([0.1])))
    yield chain("silu", ("LOGISTIC", {}, "x"), ("MUL", NONE, "last", "x"))
    yield chain("hard_sigmoid", *gate)
    yield chain("hard_swish_written_out", *gate, ("MUL", NONE, "last", "x"))
    yield chain("reciprocal_root", *squared, ("RSQRT", {}, "last"))
    yield chain("quotient", *squared, ("SQRT", {}, "last"), ("DIV", NONE, "x", "last"))
    yield chain("logarithm", *squared, ("LOG", {}, "last"), ("MUL", NONE, "last", half))


def layer_normalisation(root: str) -> Graph:
    """As converters write it, with the three forms of the root of the variance."""
    x, shape, row = real(1, 12, 48), (1, 12, 48), (1, 12, 1)
    axis, names = integers(2), iter("abcdefghijk")
    operators: list[Operator] = []

    def add(op: str, *inputs: Tensor, shape=shape, **options) -> Tensor:
        output = real(*shape, name=next(names))
        operators.append(Operator(op, inputs, (output,), options))
        return output

    difference = add("SUB", x, add("MEAN", x, axis, shape=row, keep_dims=True), **NONE)
    square = add("MUL", difference, difference, **NONE) if root == "RSQRT" else add("SQUARE", difference)
    variance = add("MEAN", square, axis, shape=row, keep_dims=True)
    variance = add("ADD", variance, constant([1e-3]), shape=row, **NONE)
    if root == "RSQRT":
        y = add("MUL", add("RSQRT", variance, shape=row), difference, **NONE)
    elif root == "reciprocal":
        y = add("DIV", constant([1]), add("SQRT", variance, shape=row), shape=row, **NONE)
        y = add("MUL", difference, y, **NONE)
    else:
        y = add("DIV", difference, add("SQRT", variance, shape=row), **NONE)
    y = add("ADD", add("MUL", y, normal(48), **NONE), normal(48), **NONE)
    return Graph(f"layer_normalisation_{root}", operators, (x,), (y,))


def channel_scales() -> Iterator[Graph]:
    x, y = real(1, 4, 3, 5), real(1, 4, 3, 5, name="y")
    scaled, moved = real(1, 4, 3, 5, name="scaled"), real(1, 4, 3, 5, name="moved")
    affine = [
        Operator("MUL", (x, normal(5)), (scaled,), dict(NONE)),
        Operator("ADD", (scaled, normal(1, 1, 1, 5)), (moved,), {"fused_activation_function": "RELU"}),
    ]
    yield Graph("batch_normalisation_relu", affine, (x,), (moved,))
    plain = [affine[0], dataclasses.replace(affine[1], options=dict(NONE))]
    dense = {"weights_format": "DEFAULT", "keep_num_dims": True, **NONE}
    connected = real(1, 4, 3, 7, name="connected")
    last = Operator("FULLY_CONNECTED", (moved, normal(7, 5), normal(7)), (connected,), dense)
    yield Graph("scales_before_fully_connected", [*plain, last], (x,), (connected,))
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1, **NONE}
    last = Operator("CONV_2D", (moved, normal(5, 3, 3, 5), normal(5)), (y,), options)
    yield Graph("scales_before_padding", [*plain, last], (x,), (y,))
    last = Operator("CONV_2D", (moved, normal(5, 1, 1, 5), normal(5)), (y,), options)
    yield Graph("scales_before_pixels", [*plain, last], (x,), (y,))


def normalising() -> Iterator[Graph]:
    yield one_operator("L2_NORMALIZATION", (real(1, 6, 40),), (1, 6, 40), **NONE)
    yield from map(layer_normalisation, ("RSQRT", "reciprocal", "quotient"))
    yield from channel_scales()


def grouping() -> Iterator[Graph]:
    x = real(1, 6, 5, 8)
    for groups, dilation in ((2, 1), (4, 2)):
        options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, **NONE}
        options |= {"dilation_h_factor": dilation, "dilation_w_factor": dilation}
        inputs = (x, normal(12, 3, 3, 8 // groups), normal(12))
        yield one_operator("CONV_2D", inputs, (1, 6, 5, 12), f"_{groups}_groups_{dilation}", **options)


def choosing() -> Iterator[Graph]:
    x, y = real(1, 4, 3, 5), real(1, 4, 3, 5, name="y")
    above = Tensor("above", x.shape, np.dtype(np.bool_))
    for op in ("EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL"):
        scaled = real(1, 4, 3, 5, name="scaled")
        chain = [
            Operator(op, (x, constant([0.5])), (above,)),
            Operator("MUL", (x, constant([0.2])), (scaled,), dict(NONE)),
            Operator("SELECT_V2", (above, x, scaled), (y,)),
        ]
        yield Graph(f"leaky_{op.lower()}", chain, (x,), (y,))
    mask = constant(RNG.random((1, 4, 1, 5)) > 0.5, np.bool_)
    yield one_operator("SELECT_V2", (mask, x, normal(5)), (1, 4, 3, 5))
    row, wide = real(1, 1, 1, 5, name="row"), Tensor("wide", x.shape, np.dtype(np.bool_))
    largest = [
        Operator("REDUCE_MAX", (x, integers(1, 2)), (row,), {"keep_dims": True}),
        Operator("LESS", (x, row), (wide,)),
        Operator("SELECT_V2", (wide, constant([-1.0]), x), (y,)),
    ]
    yield Graph("select_by_a_row", largest, (x,), (y,))


GRAPHS = [
    *(*joining(), *moving(), *resizing(), *reducing(), *computing(), *functions(), *chains(), *normalising()),
    *(*grouping(), *choosing()),
]
by_name = pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)


def inputs_of(graph: Graph, count: int = 5) -> np.ndarray:
    return (3 * np.random.default_rng(1).normal(size=(count, *graph.inputs[0].shape[1:]))).astype(np.float32)


def written(graph: Graph, folder) -> str:
    path = folder / f"{graph.inputs[0].dtype}.tflite"
    path.write_bytes(tflite_bytes(graph))
    return path


def in_batch(graph: Graph, outputs) -> np.ndarray:
    """One output after the other, (B * n, ...)."""
    return np.asarray(outputs).reshape(-1, *graph.outputs[0].shape[1:])


def run_our_c(path, codes: np.ndarray) -> np.ndarray:
    graph = read_tflite(path)
    simplify(graph)
    if graph.outputs[0].storage is graph.inputs[0]:
        return codes  # Nothing is left to compute, in which there would be no program.
    return AotRuntime(path).run(codes)


@by_name
def test_an_operator_in_float_equals_litert(graph, tmp_path):
    images, path = inputs_of(graph), written(graph, tmp_path)
    with torch.no_grad():
        found = FloatExecutor(prepare(graph))(torch.from_numpy(images)).numpy()
    expected = in_batch(graph, [run_tflite(path, image[None]) for image in images])
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-5)


@by_name
def test_an_operator_in_int8_is_near_float_and_the_same_everywhere(graph, tmp_path):
    prepared = prepare(graph)
    network, images = FloatExecutor(prepared), torch.from_numpy(inputs_of(prepared))
    with torch.no_grad():
        ranges = {tensor: min_max(histogram) for tensor, histogram in observe(network, (images,)).items()}
        int8 = quantise(prepared, ranges)
        source, output = int8.inputs[0].q, int8.outputs[0].q
        codes = (images / source.scale).round() + source.zero_point
        codes = codes.clamp(-128, 127)
        wanted = network((codes - source.zero_point) * source.scale).numpy()
        trained = IntegerExecutor(int8)(codes).numpy()
    path, bytes_in = written(int8, tmp_path), codes.numpy().astype(np.int8)
    micro = in_batch(int8, TflmRuntime(path).run(bytes_in))
    np.testing.assert_array_equal(in_batch(int8, run_our_c(path, bytes_in)), micro)
    np.testing.assert_array_equal(trained, micro)
    found = (micro.astype(np.float64) - output.zero_point) * output.scale
    ratio = 10 * np.log10(np.square(wanted).sum() / np.square(found - wanted).sum().clip(1e-9))
    assert ratio > LEAST_SQNR_DB, f"{ratio:.1f} dB"


def test_an_operator_of_several_outputs_is_taken_apart(tmp_path):
    x = real(1, 4, 6)
    halves = [real(1, 4, 3, name=name) for name in "ab"]
    total = real(1, 4, 3, name="y")
    graph = Graph(
        "split",
        [
            Operator("SPLIT", (integers(2), x), tuple(halves), {"num_splits": 2}),
            Operator("SUB", tuple(halves), (total,), dict(NONE)),
        ],
        (x,),
        (total,),
    )
    images = inputs_of(graph)
    with torch.no_grad():
        found = FloatExecutor(prepare(graph))(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, images[..., :3] - images[..., 3:], rtol=1e-6)


def quantised(graph: Graph, images: np.ndarray) -> tuple[Graph, np.ndarray]:
    """The INT8 graph, and the codes of the images."""
    prepared, batch = prepare(graph), torch.from_numpy(images)
    ranges = {tensor: min_max(histogram) for tensor, histogram in observe(FloatExecutor(prepared), (batch,)).items()}
    int8 = quantise(prepared, ranges)
    source = int8.inputs[0].q
    codes = np.clip(np.round(images / source.scale) + source.zero_point, -128, 127)
    return int8, codes.astype(np.int8)


@pytest.mark.parametrize(("op", "expected"), [("ARG_MAX", np.argmax), ("ARG_MIN", np.argmin)])
def test_indices_are_whole_numbers_in_int8_too(op, expected, tmp_path):
    x, y = real(1, 6, 9), Tensor("y", (1, 6), np.dtype(np.int32))
    graph = Graph(op.lower(), [Operator(op, (x, integers(-1)), (y,), {"output_type": INT32})], (x,), (y,))
    images = inputs_of(graph)
    with torch.no_grad():
        np.testing.assert_array_equal(FloatExecutor(prepare(graph))(torch.from_numpy(images)), expected(images, axis=2))
    int8, codes = quantised(graph, images)
    path = written(int8, tmp_path)
    found = in_batch(int8, AotRuntime(path).run(codes))
    np.testing.assert_array_equal(found, expected(codes, axis=2))
    np.testing.assert_array_equal(found, in_batch(int8, TflmRuntime(path).run(codes)))


INT16_FORMS = {
    "concatenation_constant",
    "leaky_relu",
    "maximum",
    "minimum_channels",
    "pack",
    "padv2",
    "prelu",
    "relu6",
    "strided_slice",
    "sum",
    "transpose_conv_SAME_2_bias",
}


@pytest.mark.parametrize(
    "graph", [graph for graph in GRAPHS if graph.name in INT16_FORMS], ids=lambda graph: graph.name
)
def test_an_operator_in_16x8(graph, tmp_path):
    prepared, images = prepare(graph), torch.from_numpy(inputs_of(graph))
    network = FloatExecutor(prepared)
    with torch.no_grad():
        wanted = network(images).numpy()
        ranges = {tensor: min_max(histogram) for tensor, histogram in observe(network, (images,)).items()}
    int16 = quantise(prepared, ranges, frozenset(ranges))
    path = written(int16, tmp_path)
    codes = np.round(images.numpy() / int16.inputs[0].q.scale).astype(np.int16)
    micro = in_batch(int16, TflmRuntime(path).run(codes))
    np.testing.assert_array_equal(in_batch(int16, AotRuntime(path).run(codes)), micro)
    found = micro * np.float64(int16.outputs[0].q.scale)
    assert 10 * np.log10(np.square(wanted).sum() / np.square(found - wanted).sum()) > LEAST_SQNR_DB + 10


def test_logarithms_of_shares(tmp_path):
    graph = one_operator("LOG_SOFTMAX", (real(1, 4, 10),), (1, 4, 10))
    images = inputs_of(graph)
    int8, codes = quantised(graph, images)
    source, path = int8.inputs[0].q, written(int8, tmp_path)
    found = in_batch(int8, AotRuntime(path).run(codes))
    np.testing.assert_array_equal(found, in_batch(int8, TflmRuntime(path).run(codes)))
    wanted = torch.from_numpy((codes.astype(np.float32) - source.zero_point) * source.scale).log_softmax(-1).numpy()
    assert np.abs((found - 127.0) / 16 - wanted).max() < 1.5 / 16
