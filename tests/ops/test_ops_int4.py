"""INT4 weights: operators against TFLite Micro, which unpacks them before its int8 kernels run."""

import itertools

import numpy as np
import pytest
from compiler.tflite_builder import TensorSpec, constant, one_operator
from ops.case_builders import ACTIVATIONS, conv2d, depthwise_conv2d, fully_connected, transpose_conv
from ops.kernel_cases import Case, read_operator

from tinyedge.errors import ModelError, UnsupportedOpError
from tinyedge.ops import lower
from tinyedge.tflite.nibbles import pack_int4, unpack_int4
from tinyedge.tflite.reader import read_any_tflite
from tinyedge.tflite.writer import tflite_bytes

SIZES = (1, 2, 3, 4, 7, 8, 16, 17)


def _extreme_weights(weight: int, filters: int, depth: int) -> Case:
    """Sums of products of one sign, as large as they can be."""
    source = TensorSpec((2, depth), 1.0, 0)
    weights = TensorSpec((filters, depth), 0.5, 0, np.int8, np.full((filters, depth), weight, np.int8))
    weights.is_int4 = True
    bias = constant(np.arange(filters, dtype=np.int32) - 3, 0.5)
    output = TensorSpec((2, filters), float(depth), 0)
    values = np.stack([np.full((2, depth), value, np.int8) for value in (-128, 127)])
    return Case(f"weights of {weight}", one_operator("FULLY_CONNECTED", [source, weights, bias], output), [values])


@pytest.mark.parametrize("channels", SIZES)
def test_conv2d_channels(check, channels):
    rng = np.random.default_rng(channels)
    check([conv2d(rng, (1, 4, 3, channels), filters, (3, 2), int4=True) for filters in SIZES])


def test_conv2d_windows(check):
    rng = np.random.default_rng(1)
    check(
        [
            conv2d(rng, (2, height, width, channels), 5, kernel, stride, dilation, padding, int4=True)
            for height, width, channels in ((7, 6, 4), (9, 12, 3), (5, 1, 8), (1, 6, 2))
            for kernel, stride, dilation, padding in itertools.product(
                ((1, 1), (3, 3), (2, 5)), ((1, 1), (2, 3)), ((1, 1), (2, 2)), ("SAME", "VALID")
            )
            if padding == "SAME" or ((kernel[0] - 1) * dilation[0] < height and (kernel[1] - 1) * dilation[1] < width)
        ]
    )


@pytest.mark.parametrize("groups", [2, 3])
def test_conv2d_groups(check, groups):
    rng = np.random.default_rng(groups)
    check([conv2d(rng, (1, 5, 4, groups * c), groups * f, groups=groups, int4=True) for c in (1, 3, 4) for f in (1, 2)])


@pytest.mark.parametrize("channels", SIZES)
def test_depthwise_conv2d(check, channels):
    rng = np.random.default_rng(channels)
    windows = (
        ((3, 3), (1, 1), (1, 1)),
        ((3, 3), (2, 2), (1, 1)),
        ((3, 3), (1, 1), (2, 1)),
        ((5, 5), (1, 1), (1, 1)),
        ((3, 3), (1, 1), (1, 2)),
        ((6, 1), (2, 1), (1, 1)),
        ((2, 4), (1, 3), (1, 1)),
    )
    cases = [
        depthwise_conv2d(rng, (1, 8, 7, channels), multiplier, *window, padding, int4=True)
        for window in windows
        for multiplier in (1, 3)
        for padding in ("SAME", "VALID")
    ]
    check([*cases, depthwise_conv2d(rng, (2, 5, 3, channels), kernel=(5, 3), padding="VALID", int4=True)])


@pytest.mark.parametrize("inputs", [1, 2, 7, 8, 9, 16, 31, 64, 257])
def test_fully_connected(check, inputs):
    rng = np.random.default_rng(inputs)
    check(
        [
            fully_connected(rng, (rows, inputs), outputs, per_channel=per_channel, int4=True)
            for rows in (1, 3, 4, 9)
            for outputs in (1, 2, 5)
            for per_channel in (True, False)
        ]
    )


def test_requantisation(check):
    """Clamp ranges, zero points and multipliers that a kernel may treat apart."""
    rng = np.random.default_rng(2)
    forms = itertools.product(ACTIVATIONS, ((-128, -128), (127, -128), (5, 9)), (0.01, 1.0, 60.0))
    cases = []
    for activation, zero_points, gain in forms:
        form = {"activation": activation, "zero_points": zero_points, "gain": gain, "int4": True}
        cases += [
            conv2d(rng, (1, 3, 5, 6), 3, bias=bool(rng.integers(2)), **form),
            depthwise_conv2d(rng, (1, 5, 5, 6), kernel=(3, 3), bias=bool(rng.integers(2)), **form),
            depthwise_conv2d(rng, (1, 7, 7, 3), kernel=(5, 4), bias=bool(rng.integers(2)), **form),
            fully_connected(rng, (5, 19), 3, bias=bool(rng.integers(2)), **form),
        ]
    check(cases)


@pytest.mark.parametrize("weight", [-8, -7, 7])
def test_extreme_weights(check, weight):
    check([_extreme_weights(weight, filters, depth) for filters in (1, 2, 3) for depth in (1, 15, 16, 4001)])


def test_sanitised(check_sanitised):
    rng = np.random.default_rng(4)
    check_sanitised(
        [
            conv2d(rng, (1, 5, 6, 3), 3, int4=True),
            conv2d(rng, (1, 5, 6, 5), 3, stride=(2, 1), dilation=(2, 2), int4=True),
            conv2d(rng, (1, 4, 5, 8), 2, padding="VALID", int4=True),
            depthwise_conv2d(rng, (1, 6, 5, 5), int4=True),
            depthwise_conv2d(rng, (1, 6, 7, 3), 2, (4, 4), int4=True),
            depthwise_conv2d(rng, (1, 6, 7, 3), kernel=(5, 2), int4=True),
            fully_connected(rng, (5, 13), 3, int4=True),
            fully_connected(rng, (1, 13), 1, int4=True),
        ]
    )


@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_packing_keeps_values_and_halves_bytes(count):
    values = np.resize(np.arange(-8, 8, dtype=np.int8)[::-1], count)
    packed = pack_int4(values)
    assert packed.size == (count + 1) // 2
    np.testing.assert_array_equal(unpack_int4(packed, count), values)


def test_first_value_is_in_the_lower_half():
    assert pack_int4(np.array([1, -2, 7], np.int8)).tolist() == [0xE1, 0x07]


def test_a_file_is_written_as_it_was_read(tmp_path):
    case = conv2d(np.random.default_rng(5), (1, 4, 4, 3), 5, int4=True)
    (tmp_path / "read.tflite").write_bytes(case.model)
    graph = read_any_tflite(tmp_path / "read.tflite")
    (tmp_path / "written.tflite").write_bytes(tflite_bytes(graph))
    first, second = (path.operators[0].input(1) for path in (graph, read_any_tflite(tmp_path / "written.tflite")))
    assert first.is_int4
    assert second.is_int4
    assert first.bytes == (5 * 3 * 3 * 3 + 1) // 2
    np.testing.assert_array_equal(first.values, second.values)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (conv2d(np.random.default_rng(6), int4=True, dtype=np.int16), "INT4 beside int16"),
        (fully_connected(np.random.default_rng(7), int4=True, weights_zero_point=1), "symmetric"),
    ],
)
def test_other_forms_are_refused(tmp_path, case, reason):
    with pytest.raises(UnsupportedOpError, match=reason):
        lower(read_operator(case.model, tmp_path))


def test_other_operators_are_refused(tmp_path):
    operator = read_operator(transpose_conv(np.random.default_rng(8)).model, tmp_path)
    operator.input(1).is_int4 = True
    with pytest.raises(UnsupportedOpError, match="CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED"):
        lower(operator)


def test_activations_are_refused(tmp_path):
    source, output = TensorSpec((1, 4), 0.1, 0, np.int8, is_int4=True), TensorSpec((1, 4), 0.1)
    (tmp_path / "model.tflite").write_bytes(one_operator("RELU", [source], output))
    with pytest.raises(ModelError, match="INT4 weights only"):
        read_any_tflite(tmp_path / "model.tflite")
