"""Each pass: what it removes, what it leaves, and that the outputs stay those of TFLite Micro, bit for bit."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant

from tinyedge.checks.aot import judge_aot
from tinyedge.compiler.passes import simplify
from tinyedge.compiler.passes.alias_views import alias_views
from tinyedge.compiler.passes.fold_constants import fold_constants
from tinyedge.compiler.passes.fold_dilation import fold_dilation
from tinyedge.compiler.passes.fold_padding import fold_padding
from tinyedge.compiler.passes.fuse_tables import fuse_tables
from tinyedge.compiler.passes.remove_dead import remove_dead
from tinyedge.compiler.passes.separate_outputs import separate_outputs
from tinyedge.compiler.program import compile_graph
from tinyedge.errors import ModelError, UnsupportedOpError
from tinyedge.ops import supported_operators
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.litert import LitertRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor
from tinyedge.tflite.inspection import inspect_tflite
from tinyedge.tflite.reader import read_tflite

VALID = {"padding": "VALID", "strideH": 1, "strideW": 1}


def image(*shape: int, scale: float = 0.5, zero_point: int = -3) -> TensorSpec:
    return TensorSpec(shape, scale, zero_point)


def int32(*values: object) -> TensorSpec:
    return constant(np.array(values, dtype=np.int32))


def convolution(source: TensorSpec, output: TensorSpec, **options: object) -> OperatorSpec:
    channels, filters = source.shape[3], output.shape[3]
    weights = np.random.default_rng(1).integers(-127, 128, (filters, 3, 3, channels)).astype(np.int8)
    steps = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": "VALID"}
    inputs = [source, constant(weights, [0.01] * filters), constant(np.arange(filters, dtype=np.int32) * 50)]
    return OperatorSpec("CONV_2D", inputs, output, {**steps, **options})


def depthwise(source: TensorSpec, output: TensorSpec, **options: object) -> OperatorSpec:
    channels = source.shape[3]
    weights = np.random.default_rng(2).integers(-127, 128, (1, 3, 3, channels)).astype(np.int8)
    steps = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": "VALID"}
    inputs = [source, constant(weights, [0.02] * channels, axis=3), constant(np.arange(channels, dtype=np.int32) * 50)]
    return OperatorSpec("DEPTHWISE_CONV_2D", inputs, output, {**steps, "depthMultiplier": 1, **options})


@pytest.fixture
def rewrite(tmp_path: Path) -> Callable[..., tuple[dict[str, int], dict[str, int]]]:
    """Histograms before and after one pass, having checked the compiled model against TFLite Micro or another peer."""

    def run(
        apply: Callable[[Graph], None],
        operators: Sequence[OperatorSpec],
        source: TensorSpec,
        output: TensorSpec,
        peer: type[TflmRuntime] | type[LitertRuntime] = TflmRuntime,
    ) -> tuple[dict[str, int], dict[str, int]]:
        path = tmp_path / "model.tflite"
        path.write_bytes(build_model(operators, [source], [output]))
        inputs = np.random.default_rng(3).integers(-128, 128, (8, *source.shape[1:])).astype(np.int8)
        outputs = AotRuntime(path).run(inputs)
        assert len(np.unique(outputs)) > 2
        np.testing.assert_array_equal(outputs, peer(path).run(inputs))
        graph = read_tflite(path)
        before = graph.histogram()
        apply(graph)
        return before, graph.histogram()

    return run


@pytest.mark.parametrize("op", ["RESHAPE", "SQUEEZE", "EXPAND_DIMS"])
def test_reshapes_become_views(rewrite: Callable, op: str) -> None:
    x, y, z = image(1, 6, 5, 2), image(1, 4, 3, 3), image(1, 1, 4, 3, 3)
    w = image(1, 4, 3, 3)
    extra = {"RESHAPE": [int32(1, 1, 4, 3, 3)], "EXPAND_DIMS": [int32(0)], "SQUEEZE": []}[op]
    if op == "SQUEEZE":
        x, y, z, w = image(1, 6, 3, 2), image(1, 4, 1, 3), image(1, 4, 3), image(1, 4, 1, 3)
    operators = [
        convolution(x, y),
        OperatorSpec(op, [y, *extra], z, {"squeezeDims": [2]} if op == "SQUEEZE" else {}),
        OperatorSpec("RESHAPE", [z, int32(*w.shape)], w),
        OperatorSpec("ADD", [w, y], image(*w.shape, scale=1.5, zero_point=10)),
    ]
    before, after = rewrite(alias_views, operators, x, operators[-1].output)
    assert before["ADD"] == after["ADD"] == 1
    assert after == {"ADD": 1, "CONV_2D": 1}
    assert before != after


def test_a_view_has_the_quantisation_of_its_own(rewrite: Callable) -> None:
    # RESHAPE copies bytes, also where the file gives its output another scale.
    x, y = image(1, 2, 3, 4), image(1, 24, scale=0.25, zero_point=5)
    z = image(1, 24, scale=0.7, zero_point=1)
    operators = [OperatorSpec("RESHAPE", [x, int32(1, 24)], y), OperatorSpec("ADD", [y, y], z)]
    before, after = rewrite(alias_views, operators, x, z)
    assert (before, after) == ({"ADD": 1, "RESHAPE": 1}, {"ADD": 1})


def test_the_output_of_the_model_may_be_a_view(rewrite: Callable) -> None:
    x, y, z = image(1, 6, 5, 2), image(1, 4, 3, 3), image(1, 36)
    operators = [convolution(x, y), OperatorSpec("RESHAPE", [y, int32(1, 36)], z)]
    before, after = rewrite(alias_views, operators, x, z)
    assert (before, after) == ({"CONV_2D": 1, "RESHAPE": 1}, {"CONV_2D": 1})


@pytest.mark.parametrize(
    ("shape", "permutation", "moves"),
    [
        ((1, 5, 1, 7), (0, 2, 1, 3), False),
        ((1, 1, 6, 5), (0, 2, 3, 1), False),
        ((1, 4, 3, 2), (0, 1, 2, 3), False),
        ((1, 4, 1, 1), (0, 3, 2, 1), False),
        ((1, 4, 3, 2), (0, 1, 3, 2), True),
        ((1, 4, 1, 2), (0, 3, 2, 1), True),
    ],
)
def test_transposes_of_size_one_become_views(
    rewrite: Callable, shape: tuple[int, ...], permutation: tuple[int, ...], moves: bool
) -> None:
    x, y, z = image(*shape), image(*shape, scale=0.6), image(*(shape[axis] for axis in permutation), scale=0.6)
    operators = [OperatorSpec("ADD", [x, x], y), OperatorSpec("TRANSPOSE", [y, int32(*permutation)], z)]
    before, after = rewrite(alias_views, operators, x, z)
    assert before == {"ADD": 1, "TRANSPOSE": 1}
    assert after == ({"ADD": 1, "TRANSPOSE": 1} if moves else {"ADD": 1})


def test_identities_become_views(rewrite: Callable) -> None:
    shape = (1, 4, 3, 2)
    x = image(*shape)
    a, b, c, d = (image(*shape) for _ in range(4))
    ones, zeros = int32(1, 1, 1, 1), int32(0, 0, 0, 0)
    operators = [
        OperatorSpec("QUANTIZE", [x], a),
        OperatorSpec("PAD", [a, int32(*[[0, 0]] * 4)], b),
        OperatorSpec("STRIDED_SLICE", [b, zeros, int32(*shape), ones], c),
        OperatorSpec("ADD", [c, x], d),
    ]
    before, after = rewrite(alias_views, operators, x, d)
    assert before == {"ADD": 1, "PAD": 1, "QUANTIZE": 1, "STRIDED_SLICE": 1}
    assert after == {"ADD": 1}


def test_padding_that_shifts_is_no_identity(rewrite: Callable) -> None:
    x, a, b = image(1, 4, 3, 2), image(1, 4, 3, 2), image(1, 4, 3, 2)
    shifted = int32([0, 0], [-1, 1], [0, 0], [0, 0])
    operators = [OperatorSpec("PAD", [x, shifted], a), OperatorSpec("ADD", [a, x], b)]
    with pytest.raises(UnsupportedOpError, match="PAD"):
        rewrite(alias_views, operators, x, b)


def test_operators_that_change_values_stay(rewrite: Callable) -> None:
    shape = (1, 4, 3, 2)
    x, a, b = image(*shape), image(*shape, scale=0.51), image(1, 4, 3, 1, scale=0.51)
    operators = [
        OperatorSpec("QUANTIZE", [x], a),
        OperatorSpec("STRIDED_SLICE", [a, int32(0, 0, 0, 1), int32(1, 4, 3, 2), int32(1, 1, 1, 1)], b),
    ]
    before, after = rewrite(alias_views, operators, x, b)
    assert before == after == {"QUANTIZE": 1, "STRIDED_SLICE": 1}


PADDINGS = [
    ([[0, 0], [1, 1], [1, 1], [0, 0]], 2, 1),
    ([[0, 0], [0, 2], [3, 0], [0, 0]], 1, 1),
    ([[0, 0], [2, 1], [0, 1], [0, 0]], 2, 2),
    ([[0, 0], [4, 5], [4, 4], [0, 0]], 3, 1),
]


@pytest.mark.parametrize("layer", [convolution, depthwise])
@pytest.mark.parametrize(("paddings", "stride", "dilation"), PADDINGS)
def test_padding_becomes_the_convolutions_own(
    rewrite: Callable, layer: Callable[..., OperatorSpec], paddings: list[list[int]], stride: int, dilation: int
) -> None:
    x = image(1, 7, 6, 3, zero_point=11)
    padded = image(1, 7 + sum(paddings[1]), 6 + sum(paddings[2]), 3, zero_point=11)
    size = [(length - 2 * dilation - 1) // stride + 1 for length in padded.shape[1:3]]
    y = image(1, *size, 3, scale=1.7)
    steps = {"strideH": stride, "strideW": stride, "dilationHFactor": dilation, "dilationWFactor": dilation}
    operators = [OperatorSpec("PAD", [x, int32(*paddings)], padded), layer(padded, y, **steps)]
    before, after = rewrite(fold_padding, operators, x, y)
    assert before == {operators[1].op: 1, "PAD": 1}
    assert after == {operators[1].op: 1}


def test_padding_with_the_zero_point_is_folded_and_with_another_value_is_not(rewrite: Callable) -> None:
    x, padded, y = image(1, 4, 4, 2), image(1, 6, 6, 2), image(1, 4, 4, 3, scale=2.0)
    paddings = int32([0, 0], [1, 1], [1, 1], [0, 0])
    for value, folded in ((-3, True), (7, False)):
        fill = constant(np.array([value], dtype=np.int8), 0.5, -3)
        operators = [OperatorSpec("PADV2", [x, paddings, fill], padded), convolution(padded, y)]
        before, after = rewrite(fold_padding, operators, x, y)
        assert before == {"CONV_2D": 1, "PADV2": 1}
        assert after == ({"CONV_2D": 1} if folded else before)


def test_padding_that_something_else_reads_stays(rewrite: Callable) -> None:
    x, padded = image(1, 4, 4, 2), image(1, 6, 6, 2)
    y, z, total = image(1, 6, 6, 2, scale=2.0), image(1, 6, 6, 2, scale=2.0), image(1, 6, 6, 2, scale=3.0)
    operators = [
        OperatorSpec("PAD", [x, int32([0, 0], [1, 1], [1, 1], [0, 0])], padded),
        convolution(padded, y, padding="SAME"),
        OperatorSpec("ADD", [padded, padded], z),
        OperatorSpec("ADD", [y, z], total),
    ]
    before, after = rewrite(fold_padding, operators, x, total)
    assert before == after == {"ADD": 2, "CONV_2D": 1, "PAD": 1}


def test_padding_of_channels_stays(rewrite: Callable) -> None:
    x, padded, y = image(1, 4, 4, 2), image(1, 4, 4, 3), image(1, 2, 2, 3, scale=2.0)
    operators = [OperatorSpec("PAD", [x, int32([0, 0], [0, 0], [0, 0], [0, 1])], padded), convolution(padded, y)]
    before, after = rewrite(fold_padding, operators, x, y)
    assert before == after == {"CONV_2D": 1, "PAD": 1}


def test_two_convolutions_share_a_folded_padding(rewrite: Callable) -> None:
    x, padded = image(1, 4, 4, 2), image(1, 6, 6, 2)
    y, z, total = image(1, 4, 4, 2, scale=2.0), image(1, 4, 4, 2, scale=1.9), image(1, 4, 4, 2, scale=3.0)
    operators = [
        OperatorSpec("PAD", [x, int32([0, 0], [1, 1], [1, 1], [0, 0])], padded),
        convolution(padded, y),
        depthwise(padded, z),
        OperatorSpec("ADD", [y, z], total),
    ]
    before, after = rewrite(fold_padding, operators, x, total)
    assert before == {"ADD": 1, "CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "PAD": 1}
    assert after == {"ADD": 1, "CONV_2D": 1, "DEPTHWISE_CONV_2D": 1}


def dilated(
    layer: Callable[..., OperatorSpec], block: tuple[int, int], paddings: list[list[int]], crops: list[list[int]]
) -> list[OperatorSpec]:
    """As TensorFlow writes a dilated convolution of 7x8 pixels."""
    x = image(1, 7, 8, 3, zero_point=11)
    padded = [size + sum(pair) for size, pair in zip((7, 8), paddings, strict=True)]
    split_sizes = [size // step for size, step in zip(padded, block, strict=True)]
    split = image(block[0] * block[1], *split_sizes, 3, zero_point=11)
    convolved = image(split.shape[0], *(size - 2 for size in split_sizes), 3, scale=1.7)
    whole = [size * step - sum(pair) for size, step, pair in zip(convolved.shape[1:3], block, crops, strict=True)]
    return [
        OperatorSpec("SPACE_TO_BATCH_ND", [x, int32(*block), int32(*paddings)], split),
        layer(split, convolved),
        OperatorSpec("BATCH_TO_SPACE_ND", [convolved, int32(*block), int32(*crops)], image(1, *whole, 3, scale=1.7)),
    ]


@pytest.mark.parametrize("layer", [convolution, depthwise])
@pytest.mark.parametrize(
    ("block", "paddings", "crops"),
    [
        ((2, 2), [[2, 3], [2, 2]], [[0, 1], [0, 0]]),  # SAME
        ((2, 3), [[0, 1], [0, 1]], [[0, 1], [0, 1]]),  # VALID
        ((1, 2), [[1, 1], [4, 2]], [[0, 0], [1, 1]]),
        ((3, 1), [[1, 4], [0, 0]], [[1, 0], [0, 0]]),
    ],
)
def test_blocks_around_a_convolution_become_its_dilation(
    rewrite: Callable,
    layer: Callable[..., OperatorSpec],
    block: tuple[int, int],
    paddings: list[list[int]],
    crops: list[list[int]],
) -> None:
    operators = dilated(layer, block, paddings, crops)
    for peer in (TflmRuntime, LitertRuntime):
        before, after = rewrite(fold_dilation, operators, operators[0].inputs[0], operators[-1].output, peer)
    assert before == {"BATCH_TO_SPACE_ND": 1, "SPACE_TO_BATCH_ND": 1, operators[1].op: 1}
    assert after == {operators[1].op: 1}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    ("block", "padding", "crops", "causal"),
    [(2, [2, 2], [0, 0], 0), (3, [0, 2], [0, 2], 0), (2, [4, 4], [1, 1], 0), (2, [0, 0], [0, 0], 4)],
)
def test_blocks_of_a_sequence_become_the_dilation_of_an_image(
    rewrite: Callable, axis: int, block: int, padding: list[int], crops: list[int], causal: int
) -> None:
    """As TensorFlow writes a dilated Conv1D of a free batch, whose shapes say that the blocks are a batch of 1."""
    steps = 16
    x, padded = image(1, steps - causal, 3, zero_point=11), image(1, steps, 3, zero_point=11)
    length = (steps + sum(padding)) // block

    def pixels(count: int, channels: int) -> tuple[int, ...]:
        return (1, 1, count, channels) if axis else (1, count, 1, channels)

    split, into = image(1, length, 3, zero_point=11), image(*pixels(length, 3), zero_point=11)
    made, back = image(*pixels(length - 2, 5), scale=1.7), image(1, length - 2, 5, scale=1.7)
    whole = image(1, (length - 2) * block - sum(crops), 5, scale=1.7)
    rng = np.random.default_rng(1)
    weights = rng.integers(-127, 128, (5, *pixels(3, 3)[1:])).astype(np.int8)
    operators = [
        OperatorSpec("SPACE_TO_BATCH_ND", [padded if causal else x, int32(block), int32(padding)], split),
        OperatorSpec("EXPAND_DIMS", [split, constant(np.array(2 - axis, np.int32))], into),
        OperatorSpec(
            "CONV_2D",
            [into, constant(weights, 0.01), int32(*range(5))],
            made,
            {"padding": "VALID", "strideH": 1, "strideW": 1},
        ),
        OperatorSpec("RESHAPE", [made, int32(-1, length - 2, 5)], back, {"newShape": [-1, length - 2, 5]}),
        OperatorSpec("BATCH_TO_SPACE_ND", [back, int32(block), int32(crops)], whole),
    ]
    if causal:
        operators.insert(0, OperatorSpec("PAD", [x, int32([0, 0], [causal, 0], [0, 0])], padded))
    for peer in (TflmRuntime, LitertRuntime):
        before, after = rewrite(fold_dilation, operators, x, whole, peer)
    assert (before["SPACE_TO_BATCH_ND"], before["BATCH_TO_SPACE_ND"]) == (1, 1)
    assert after == {"CONV_2D": 1, "RESHAPE": 2} | ({"PAD": 1} if causal else {})
    _, after = rewrite(simplify, operators, x, whole)
    assert after == {"CONV_2D": 1}


@pytest.mark.parametrize("axis", [0, 1])
def test_padding_of_a_sequence_becomes_that_of_its_image(rewrite: Callable, axis: int) -> None:
    x, padded = image(1, 9, 3, zero_point=11), image(1, 11, 3, zero_point=11)
    shapes = ((1, 1, 11, 3), (1, 1, 9, 5)) if axis else ((1, 11, 1, 3), (1, 9, 1, 5))
    into, made = image(*shapes[0], zero_point=11), image(*shapes[1], scale=1.7)
    weights = np.random.default_rng(1).integers(-127, 128, (5, *((1, 3) if axis else (3, 1)), 3)).astype(np.int8)
    operators = [
        OperatorSpec("PAD", [x, int32([0, 0], [2, 0], [0, 0])], padded),
        OperatorSpec("RESHAPE", [padded, int32(*into.shape)], into, {"newShape": into.shape}),
        OperatorSpec(
            "CONV_2D",
            [into, constant(weights, 0.01), int32(*range(5))],
            made,
            {"padding": "VALID", "strideH": 1, "strideW": 1},
        ),
    ]
    before, after = rewrite(fold_padding, operators, x, made)
    assert before == {"CONV_2D": 1, "PAD": 1, "RESHAPE": 1}
    assert after == {"CONV_2D": 1, "RESHAPE": 1}


def test_blocks_whose_crops_cut_more_than_was_padded_stay(rewrite: Callable) -> None:
    operators = dilated(convolution, (2, 2), [[0, 1], [0, 0]], [[1, 0], [0, 0]])
    with pytest.raises(UnsupportedOpError, match="SPACE_TO_BATCH_ND"):
        rewrite(fold_dilation, operators, operators[0].inputs[0], operators[-1].output)


def test_blocks_between_which_something_else_reads_stay(rewrite: Callable) -> None:
    operators = dilated(convolution, (2, 2), [[2, 3], [2, 2]], [[0, 1], [0, 0]])
    middle = operators[1].output
    operators.append(OperatorSpec("ADD", [middle, middle], image(*middle.shape, scale=3.0)))
    with pytest.raises(UnsupportedOpError, match="SPACE_TO_BATCH_ND"):
        rewrite(fold_dilation, operators, operators[0].inputs[0], operators[2].output)


def test_moves_of_constants_are_folded(rewrite: Callable) -> None:
    rng = np.random.default_rng(5)
    x, y = image(1, 4), image(1, 6, scale=3.0)
    stored = constant(rng.integers(-127, 128, (2, 2, 6)).astype(np.int8), 0.05)
    flat, weights = TensorSpec((4, 6), 0.05), TensorSpec((6, 4), 0.05)
    operators = [
        OperatorSpec("RESHAPE", [stored, int32(4, 6)], flat),
        OperatorSpec("TRANSPOSE", [flat, int32(1, 0)], weights),
        OperatorSpec("FULLY_CONNECTED", [x, weights, None], y),
    ]
    before, after = rewrite(fold_constants, operators, x, y)
    assert before == {"FULLY_CONNECTED": 1, "RESHAPE": 1, "TRANSPOSE": 1}
    assert after == {"FULLY_CONNECTED": 1}


def test_shapes_and_moves_of_them_are_folded(rewrite: Callable) -> None:
    """Keras writes a Flatten or Reshape of a free batch so."""
    x, y = image(1, 6, 5, 2), image(1, 4, 3, 3)
    flat, batch = image(1, 36), TensorSpec((), dtype=np.int32)
    size, shape = TensorSpec((4,), dtype=np.int32), TensorSpec((2,), dtype=np.int32)
    operators = [
        convolution(x, y),
        OperatorSpec("SHAPE", [y], size, {"outType": "INT32"}),
        OperatorSpec("STRIDED_SLICE", [size, int32(0), int32(1), int32(1)], batch, {"shrinkAxisMask": 1}),
        OperatorSpec("PACK", [batch, constant(np.array(36, np.int32))], shape, {"valuesCount": 2}),
        OperatorSpec("RESHAPE", [y, shape], flat),
    ]
    before, after = rewrite(fold_constants, operators, x, flat)
    assert before == {"CONV_2D": 1, "PACK": 1, "RESHAPE": 1, "SHAPE": 1, "STRIDED_SLICE": 1}
    assert after == {"CONV_2D": 1, "RESHAPE": 1}


def test_operators_of_several_outputs_are_taken_apart(rewrite: Callable) -> None:
    x, y, left, right = image(1, 6, 5, 2), image(1, 4, 3, 3), image(1, 4, 3, 1), image(1, 4, 3, 2)
    joined, total = image(1, 4, 3, 3), image(1, 4, 3, 3, scale=2.0)
    operators = [
        convolution(x, y),
        OperatorSpec("SPLIT_V", [y, int32(1, 2), int32(3)], left, {"numSplits": 2}, others=[right]),
        OperatorSpec("CONCATENATION", [right, left], joined, {"axis": 3}),
        OperatorSpec("PACK", [y, joined], image(2, 1, 4, 3, 3), {"valuesCount": 2}),
    ]
    stacked = operators[-1].output
    rows = [image(1, 4, 3, 3) for _ in range(2)]
    operators += [
        OperatorSpec("UNPACK", [stacked], rows[0], {"num": 2}, others=rows[1:]),
        OperatorSpec("ADD", rows, total),
    ]
    before, after = rewrite(separate_outputs, operators, x, total)
    assert before == {"ADD": 1, "CONCATENATION": 1, "CONV_2D": 1, "PACK": 1, "SPLIT_V": 1, "UNPACK": 1}
    assert after == {"ADD": 1, "CONCATENATION": 1, "CONV_2D": 1, "PACK": 1, "STRIDED_SLICE": 4}


def test_what_cannot_be_taken_apart_says_why(rewrite: Callable) -> None:
    x, parts = image(1, 8), [image(1, 3), image(1, 4)]
    operators = [OperatorSpec("SPLIT_V", [x, int32(3, 4), int32(1)], parts[0], {"numSplits": 2}, others=parts[1:])]
    with pytest.raises(UnsupportedOpError, match=r"split into \[3, 4\]: the compiler supports 2 sizes"):
        rewrite(separate_outputs, operators, x, parts[1])


def test_dead_operators_are_removed(rewrite: Callable) -> None:
    x, y, unused, z = image(1, 6, 5, 2), image(1, 4, 3, 3), image(1, 4, 3, 3, scale=2.0), image(1, 36)
    operators = [
        convolution(x, y),
        OperatorSpec("ADD", [y, y], unused),
        OperatorSpec("RESHAPE", [y, int32(1, 36)], z),
    ]
    before, after = rewrite(remove_dead, operators, x, z)
    assert before == {"ADD": 1, "CONV_2D": 1, "RESHAPE": 1}
    assert after == {"CONV_2D": 1, "RESHAPE": 1}


SHAPE = (1, 3, 5, 7)


def number(value: int, scale: float = 0.05, zero_point: int = 0) -> TensorSpec:
    return constant(np.array([value], dtype=np.int8), scale, zero_point)


def wide() -> TensorSpec:
    return TensorSpec(SHAPE, dtype=np.int32)


def activation_function(name: str, x: TensorSpec) -> list[OperatorSpec]:
    """What converters write an activation as."""
    a, b, y = image(*SHAPE, scale=0.04), image(*SHAPE, scale=0.05), image(*SHAPE, scale=0.3, zero_point=-90)
    gate = TensorSpec(SHAPE, 1 / 256, -128)
    if name == "silu":
        return [OperatorSpec("LOGISTIC", [x], gate), OperatorSpec("MUL", [gate, x], y)]
    if name == "gelu by the logistic function":
        scaled = image(*SHAPE, scale=0.5 * 1.702)
        gating = OperatorSpec("LOGISTIC", [scaled], gate)
        return [OperatorSpec("MUL", [x, number(1, 1.702)], scaled), gating, OperatorSpec("MUL", [x, gate], y)]
    if name == "hard sigmoid":
        b.zero_points, a.scales, a.zero_points = -128, 0.05, -128
        operators = [OperatorSpec("ADD", [x, number(100, 0.03)], b), OperatorSpec("RELU6", [b], a)]
        return [*operators, OperatorSpec("MUL", [a, number(127, 1 / 762)], image(*SHAPE, scale=1 / 200))]
    if name == "hard swish":
        add = OperatorSpec("ADD", [number(100, 0.03), x], b, {"fusedActivationFunction": "RELU6"})
        return [add, OperatorSpec("MUL", [x, b], a), OperatorSpec("MUL", [a, number(50, 1 / 300)], y)]
    if name == "square of a difference":
        return [OperatorSpec("SUB", [number(-60, 0.2, 9), x], a), OperatorSpec("MUL", [a, a], y)]
    if name == "clip":
        return [OperatorSpec("MAXIMUM", [x, number(-50)], a), OperatorSpec("MINIMUM", [number(60), a], y)]
    if name == "one sum":
        return [OperatorSpec("ADD", [x, number(55)], y)]
    if name == "residual":
        tanh = TensorSpec(SHAPE, 1 / 128, 0)
        return [OperatorSpec("TANH", [x], tanh), OperatorSpec("ADD", [tanh, x], y)]
    assert name == "lookup"
    table = constant(np.random.default_rng(7).integers(-128, 128, 256).astype(np.int8), 0.3, -90)
    codes, indices = wide(), wide()
    return [
        OperatorSpec("CAST", [x], codes, {"inDataType": "INT8", "outDataType": "INT32"}),
        OperatorSpec("ADD", [codes, int32(128)], indices),
        OperatorSpec("GATHER", [table, indices], y),
    ]


FUNCTIONS = (
    *("silu", "gelu by the logistic function", "hard sigmoid", "hard swish", "square of a difference", "one sum"),
    *("clip", "residual", "lookup"),
)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_one_tensor_becomes_a_table(rewrite: Callable, name: str) -> None:
    x = image(*SHAPE)
    function = activation_function(name, x)
    before, after = rewrite(fuse_tables, function, x, function[-1].output)
    assert sum(before.values()) == len(function)
    assert after == {"TABLE": 1}


def test_tables_between_layers(rewrite: Callable) -> None:
    x, y, z = image(1, 5, 7, 2), image(*SHAPE, scale=2.0), image(1, 1, 3, 7, scale=4.0)
    function = activation_function("silu", y)
    operators = [convolution(x, y), *function, convolution(function[-1].output, z)]
    before, after = rewrite(fuse_tables, operators, x, z)
    assert before == {"CONV_2D": 2, "LOGISTIC": 1, "MUL": 1}
    assert after == {"CONV_2D": 2, "TABLE": 1}


def test_what_something_else_reads_stays(rewrite: Callable) -> None:
    x, gate, y, z = image(*SHAPE), TensorSpec(SHAPE, 1 / 256, -128), image(*SHAPE), image(*SHAPE, scale=0.6)
    channels = constant(np.arange(7, dtype=np.int8), 0.1)
    operators = [
        OperatorSpec("LOGISTIC", [x], gate),
        OperatorSpec("MUL", [x, gate], y),
        OperatorSpec("MUL", [gate, channels], image(*SHAPE, scale=0.01)),
    ]
    operators.append(OperatorSpec("ADD", [y, operators[-1].output], z))
    before, after = rewrite(fuse_tables, operators, x, z)
    assert before == after == {"ADD": 1, "LOGISTIC": 1, "MUL": 2}


def test_a_chain_starts_where_its_tensors_join(rewrite: Callable) -> None:
    x, a, b, y = image(1, 5, 7, 2), image(*SHAPE, scale=2.0), image(*SHAPE, scale=1.9), image(*SHAPE, scale=2.5)
    function = activation_function("silu", y)
    operators = [convolution(x, a), OperatorSpec("RELU", [a], b), convolution(x, image(*SHAPE, scale=2.0))]
    operators += [OperatorSpec("ADD", [b, operators[-1].output], y), *function]
    before, after = rewrite(fuse_tables, operators, x, function[-1].output)
    assert before == {"ADD": 1, "CONV_2D": 2, "LOGISTIC": 1, "MUL": 1, "RELU": 1}
    assert after == {"ADD": 1, "CONV_2D": 2, "RELU": 1, "TABLE": 1}


def island(functions: Sequence[tuple[str, Sequence[float | None], dict[str, Any]]]) -> list[OperatorSpec]:
    """DEQUANTIZE, float operators, whose operand None is the one before, and QUANTIZE."""
    x, y, value = TensorSpec((1, 256), 0.0123, 3), TensorSpec((1, 256), 0.02, -7), real()
    operators = [OperatorSpec("DEQUANTIZE", [x], value)]
    for op, operands, options in functions:
        inputs = [value if given is None else constant(np.array([given], np.float32)) for given in operands]
        value = real()
        operators.append(OperatorSpec(op, inputs, value, options))
    return [*operators, OperatorSpec("QUANTIZE", [value], y)]


def real() -> TensorSpec:
    return TensorSpec((1, 256), dtype=np.float32)


FLOAT_FUNCTIONS = {
    **{op: [(op, [None], {})] for op in ("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "NEG", "RELU", "RELU6")},
    **{op: [(op, [None], {})] for op in ("ROUND", "SIN", "SQUARE")},
    **{op: [(op, [None, 1.37], {}), (op, [0.77, None], {})] for op in ("ADD", "MAXIMUM", "MINIMUM", "MUL", "SUB")},
    "DIV": [("DIV", [None, 1.37], {})],
    "LEAKY_RELU": [("LEAKY_RELU", [None], {"alpha": 0.3})],
    "LOG": [("ABS", [None], {}), ("ADD", [None, 0.1], {}), ("LOG", [None], {})],
    "SQRT": [("ABS", [None], {}), ("SQRT", [None], {})],
    "SQUARED_DIFFERENCE": [("SQUARED_DIFFERENCE", [0.77, None], {})],
    "one rescale": [],
    "a norm": [
        *[("SQUARE", [None], {}), ("ADD", [None, 1e-3], {}), ("RSQRT", [None], {})],
        ("MUL", [None, 0.31], {"fusedActivationFunction": "RELU6"}),
    ],
}


@pytest.mark.parametrize("name", FLOAT_FUNCTIONS)
def test_float_islands_are_tables_of_the_reference_kernels_results(name: str, tmp_path: Path) -> None:
    operators = island(FLOAT_FUNCTIONS[name])
    path = tmp_path / "model.tflite"
    path.write_bytes(build_model(operators, operators[0].inputs, [operators[-1].output]))
    graph = read_tflite(path)
    fuse_tables(graph)
    (table,) = graph.operators
    codes = np.arange(-128, 128, dtype=np.int8)
    np.testing.assert_array_equal(table.options["table"], TflmRuntime(path).run(codes[None])[0])


@pytest.mark.parametrize(("op", "operands"), [("ADD", 2), ("SQUARE", 1)])
def test_floats_that_are_no_function_of_one_value_are_refused_in_a_sentence(
    op: str, operands: int, tmp_path: Path
) -> None:
    vector = constant(np.arange(256, dtype=np.float32))
    operators = island([("MUL", [None, 2.0], {}), (op, [None] * operands, {})])
    operators[1].inputs[1] = operators[2].inputs[-1] = vector
    path = tmp_path / "model.tflite"
    path.write_bytes(build_model(operators, operators[0].inputs, [operators[-1].output]))
    with pytest.raises(UnsupportedOpError, match="float32"):
        compile_graph(read_tflite(path))


@pytest.mark.parametrize("op", ["EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"])
def test_a_threshold_is_one_table(op: str, tmp_path: Path) -> None:
    x, y = TensorSpec((1, 256), 0.03, 5), TensorSpec((1, 256), 0.03, 5)
    is_kept = TensorSpec((1, 256), dtype=np.bool_)
    operators = [
        OperatorSpec(op, [x, number(40, 0.01, -3)], is_kept),
        OperatorSpec("SELECT_V2", [is_kept, x, number(7, 0.03, 5)], y),
    ]
    path = tmp_path / "model.tflite"
    path.write_bytes(build_model(operators, [x], [y]))
    graph = read_tflite(path)
    fuse_tables(graph)
    (table,) = graph.operators
    codes = np.arange(-128, 128, dtype=np.int8)
    np.testing.assert_array_equal(table.options["table"], TflmRuntime(path).run(codes[None])[0])


def test_a_lookup_beyond_its_table_is_refused(tmp_path: Path) -> None:
    x = image(*SHAPE)
    operators = activation_function("lookup", x)
    operators[1].inputs[1].data[:] = 127
    path = tmp_path / "model.tflite"
    path.write_bytes(build_model(operators, [x], [operators[-1].output]))
    with pytest.raises(UnsupportedOpError, match=r"ADD.* is int32"):
        AotRuntime(path)


OF_TWO = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE")
OF_ONE = ("LOGISTIC", "TANH", "HARD_SWISH", "RELU", "QUANTIZE", "ABS", "ELU")


@pytest.mark.parametrize("seed", range(20))
def test_random_functions(seed: int, tmp_path: Path) -> None:
    """Operators on the results of earlier ones, all of one tensor: each of the 256 results is TFLite Micro's."""
    rng = np.random.default_rng(seed)
    shape, operators = (1, 256), []
    x = TensorSpec(shape, 0.03, int(rng.integers(-128, 128)))
    known = [x]
    for _ in range(6):
        op = str(rng.choice([*OF_TWO, *OF_ONE, "PRELU"]))
        first, second = known[-1], known[int(rng.integers(len(known)))]
        if rng.random() < 0.3:
            second = number(int(rng.integers(-128, 128)), float(rng.uniform(0.01, 0.1)), int(rng.integers(-128, 128)))
        if op in OF_TWO:
            pair = [first, second] if rng.random() < 0.5 else [second, first]
            scale = float(rng.uniform(0.02, 0.2))
            fused = str(rng.choice(["NONE", "RELU", "RELU6"]))
            y = TensorSpec(shape, scale, int(rng.integers(-128, 128)))
            operators.append(OperatorSpec(op, pair, y, {"fusedActivationFunction": fused}))
        elif op == "PRELU":
            y = TensorSpec(shape, float(rng.uniform(0.02, 0.2)), int(rng.integers(-128, 128)))
            operators.append(OperatorSpec(op, [first, number(int(rng.integers(-128, 128)), 0.01, 3)], y))
        else:
            fixed = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
            y = TensorSpec(shape, *fixed.get(op, (float(rng.uniform(0.02, 0.2)), int(rng.integers(-128, 128)))))
            operators.append(OperatorSpec(op, [first], y))
        known.append(y)
    path = tmp_path / "model.tflite"
    path.write_bytes(build_model(operators, [x], [known[-1]]))
    graph = read_tflite(path)
    fuse_tables(graph)
    (table,) = graph.operators
    codes = np.arange(-128, 128, dtype=np.int8)
    np.testing.assert_array_equal(table.options["table"], TflmRuntime(path).run(codes[None])[0])


@pytest.mark.parametrize("inputs", [[], [None]], ids=["none", "absent"])
def test_operators_without_inputs_are_refused_in_a_sentence(inputs: list[None], tmp_path: Path) -> None:
    x, y, z = image(1, 4, 4, 3), image(1, 4, 4, 3), image(1, 4, 4, 3)
    path = tmp_path / "model.tflite"
    for op in (*supported_operators(), "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "Unknown"):
        path.write_bytes(build_model([OperatorSpec(op, inputs, y), OperatorSpec("ADD", [x, y], z)], [x], [z]))
        with pytest.raises(ModelError, match=op):
            compile_graph(read_tflite(path))


def test_operators_of_several_outputs_are_refused_in_a_sentence(tmp_path: Path) -> None:
    x, y, z = image(1, 4, 4, 3), image(1, 4, 4, 3), image(1, 4, 4, 3)
    further = {"PAD": [int32(*[[0, 0]] * 4)], "PADV2": [int32(*[[0, 0]] * 4)], "TRANSPOSE": [int32(0, 1, 2, 3)]}
    models = [
        ([OperatorSpec(op, [x, *further.get(op, [x])], y), OperatorSpec("ADD", [x, y], z)], z)
        for op in (*supported_operators(), "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
    ]
    split, convolved, joined = image(4, 3, 3, 3), image(4, 1, 1, 3), image(1, 2, 2, 3)
    dilated = [
        OperatorSpec("SPACE_TO_BATCH_ND", [x, int32(2, 2), int32([1, 1], [1, 1])], split),
        convolution(split, convolved),
        OperatorSpec("BATCH_TO_SPACE_ND", [convolved, int32(2, 2), int32([0, 0], [0, 0])], joined),
    ]
    path = tmp_path / "model.tflite"
    for operators, output in [*models, (dilated, joined)]:
        path.write_bytes(build_model(operators, [x], [output]))
        for at in range(len(operators)):
            graph = read_tflite(path)
            first = graph.operators[at].output
            graph.operators[at].outputs = (first, Tensor("second", first.shape, first.dtype, first.quantisation))
            with pytest.raises(ModelError):
                compile_graph(graph)


@pytest.mark.parametrize(("op", "inputs"), [("ADD", 3), ("TANH", 2), ("RESHAPE", 3), ("CONV_2D", 4), ("SLICE", 2)])
def test_operators_of_other_inputs_than_theirs_are_refused_in_a_sentence(op: str, inputs: int, tmp_path: Path) -> None:
    """A stranger's file may have any number, which no pass and no lowering expects."""
    x, y = image(1, 4, 4, 3), image(1, 4, 4, 3)
    path = tmp_path / "model.tflite"
    path.write_bytes(build_model([OperatorSpec(op, [x] * inputs, y)], [x], [y]))
    said = rf"operator 0 \({op}\) has {inputs} inputs and not [\d to]+: the file is damaged"
    with pytest.raises(ModelError, match=said):
        compile_graph(read_tflite(path))
    verdict, program = judge_aot(inspect_tflite(path))
    assert program is None
    assert any(re.match(said, diagnostic.sentence) for diagnostic in verdict.diagnostics)


@pytest.mark.parametrize(
    "operators",
    [
        lambda x, t, u, y: [OperatorSpec("RELU", [t], t), OperatorSpec("RELU", [x], y)],
        lambda x, t, u, y: [
            OperatorSpec("RESHAPE", [u], t),
            OperatorSpec("RESHAPE", [t], u),
            OperatorSpec("RELU", [x], y),
        ],
        lambda x, t, u, y: [OperatorSpec("RELU", [x], x), OperatorSpec("RELU", [x], y)],
    ],
    ids=["own input", "circle", "input"],
)
def test_a_graph_that_goes_in_circles_is_refused_before_a_pass_follows_it(operators: Callable, tmp_path: Path) -> None:
    tensors = [image(1, 4, 4, 3) for _ in range(4)]
    path = tmp_path / "model.tflite"
    path.write_bytes(build_model(operators(*tensors), tensors[:1], tensors[3:]))
    for read in (read_tflite, inspect_tflite):
        with pytest.raises(ModelError, match="is truncated or damaged"):
            read(path)


def test_an_output_that_is_a_constant_is_said_and_the_rest_is_read(tmp_path: Path) -> None:
    """As detectors give their anchors, and interpreters take them."""
    x, y = image(1, 4, 4, 3), image(1, 4, 4, 3)
    anchors = constant(np.zeros((4, 2), np.int8), 0.1)
    path = tmp_path / "model.tflite"
    path.write_bytes(build_model([OperatorSpec("RELU", [x], y)], [x], [y, anchors]))
    said = "is a constant: leave it out of the model"
    with pytest.raises(ModelError, match=said):
        read_tflite(path)
    assert [said in diagnostic.sentence for diagnostic in inspect_tflite(path).diagnostics] == [True]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.float32, np.int32])
def test_the_sizes_of_a_tensor_are_a_constant_where_its_type_is_one_of_shapes(dtype):
    """A stranger's SHAPE may say any type, which sizes need not fit: NumPy's OverflowError reached the user."""
    source = Tensor(
        "x", (1, 300, 40_000, 3), np.dtype(np.int8), Quantisation(np.ones(1, np.float32), np.zeros(1, np.int32))
    )
    sizes = Tensor("sizes", (4,), np.dtype(dtype))
    graph = Graph("shape", [Operator("SHAPE", (source,), (sizes,))], (source,), (sizes,))
    fold_constants(graph)
    assert sizes.is_constant == (dtype is np.int32)
    assert len(graph.operators) == (dtype is not np.int32)
