"""Operators of int16 activations: TFLite Micro's bits."""

import itertools

import numpy as np
import pytest
from compiler.tflite_builder import TensorSpec, constant, one_operator
from ops import case_builders as build
from ops.case_builders import ACTIVATIONS
from ops.kernel_cases import Case

SIZES = (1, 2, 3, 7, 15, 16, 17)
I16 = np.int16


def test_conv2d_windows(check):
    rng = np.random.default_rng(1)
    cases = [
        build.conv2d(rng, (1, height, width, 3), 4, kernel, stride, dilation, padding, dtype=I16)
        for height, width in ((7, 5), (16, 9))
        for kernel, stride, dilation, padding in itertools.product(
            ((1, 1), (3, 3), (2, 5)), ((1, 1), (2, 2), (3, 1)), ((1, 1), (1, 3)), ("SAME", "VALID")
        )
        if padding == "SAME" or ((kernel[0] - 1) * dilation[0] < height and (kernel[1] - 1) * dilation[1] < width)
    ]
    cases += [build.conv2d(rng, (1, h, w, 2), 3, (5, 7), (2, 2), (3, 2), dtype=I16) for h, w in ((1, 1), (2, 3))]
    check(cases)


@pytest.mark.parametrize("bias_type", [np.int64, np.int32])
def test_conv2d_channels_groups_and_batches(check, bias_type):
    rng = np.random.default_rng(2)
    cases = [
        build.conv2d(rng, (1, 4, 3, channels), filters, (3, 2), dtype=I16, bias_type=bias_type)
        for channels, filters in itertools.product(SIZES, (1, 5, 16))
    ]
    cases += [
        build.conv2d(
            rng, (batch, 5, 4, channels), filters, (3, 2), (1, 2), groups=groups, dtype=I16, bias_type=bias_type
        )
        for batch, channels, filters, groups in ((1, 4, 4, 2), (2, 6, 9, 3), (2, 3, 5, 1))
    ]
    check(cases)


@pytest.mark.parametrize(
    ("op", "window", "channels"),
    [("CONV_2D", (1, 1), 1101), ("CONV_2D", (3, 3), 508), ("DEPTHWISE_CONV_2D", (5, 511), 1)],
)
def test_sums_beyond_32_bits(check, op, window, channels):
    """Every product is as large as it can be, and the result far from the end of its range."""
    shape = (1, *window, channels)
    sign = np.array([1, -1, 1]).reshape(-1, 1, 1, 1)
    weights = np.broadcast_to(np.where(sign > 0, 127, -128), (3, *window, channels))
    if op == "DEPTHWISE_CONV_2D":
        weights = np.full(shape, -128)
    outputs = weights.shape[0] if op == "CONV_2D" else 1
    depth = window[0] * window[1] * channels
    inputs = [
        TensorSpec(shape, 1e-4, dtype=I16),
        constant(weights.astype(np.int8), 0.01),
        constant(np.full(outputs, 2**40)),
    ]
    output = TensorSpec((1, 1, 1, outputs), 1e-6 * (2**22 * depth + 2**40) / 30_000, dtype=I16)
    options = {"depthMultiplier": 1} if op == "DEPTHWISE_CONV_2D" else {}
    model = one_operator(op, inputs, output, padding="VALID", strideH=1, strideW=1, **options)
    feeds = np.stack([np.full(shape, value, I16) for value in (-(2**15), 2**15 - 1)])
    check([Case(op, model, [feeds])])


@pytest.mark.parametrize("bias_type", [np.int64, np.int32])
def test_conv2d_quantisation(check, bias_type):
    rng = np.random.default_rng(3)
    cases = [
        build.conv2d(
            rng,
            activation=activation,
            per_channel=per_channel,
            bias=bias,
            gain=gain,
            dtype=I16,
            bias_type=bias_type,
        )
        for activation, per_channel, bias in itertools.product(ACTIVATIONS, (True, False), (True, False))
        for gain in (1.0, 200.0, 2e4, 0.001, 3e-8)
    ]
    check(cases)


def test_depthwise_conv2d(check):
    rng = np.random.default_rng(4)
    cases = [
        build.depthwise_conv2d(rng, (1, 9, 6, channels), multiplier, kernel, stride, dilation, padding, dtype=I16)
        for channels, multiplier in ((1, 1), (3, 1), (2, 3), (1, 8))
        for kernel, stride, dilation, padding in itertools.product(
            ((1, 1), (3, 3), (2, 5)), ((1, 1), (2, 2)), ((1, 1), (2, 1)), ("SAME", "VALID")
        )
    ]
    cases += [build.depthwise_conv2d(rng, (2, 4, 5, channels), dtype=I16) for channels in SIZES]
    cases += [build.depthwise_conv2d(rng, (1, 30, 60, 2), 1, (23, 45), dtype=I16)]
    cases += [
        build.depthwise_conv2d(rng, activation=activation, per_channel=per_channel, bias=bias, gain=gain, dtype=I16)
        for activation, per_channel, bias in itertools.product(ACTIVATIONS, (True, False), (True, False))
        for gain in (1.0, 200.0, 5e3, 0.001, 3e-8)
    ]
    check(cases)


@pytest.mark.parametrize("bias_type", [np.int64, np.int32])
def test_fully_connected(check, bias_type):
    rng = np.random.default_rng(5)
    kinds = {"dtype": I16, "bias_type": bias_type}
    cases = [build.fully_connected(rng, (1, depth), outputs, **kinds) for depth in SIZES for outputs in SIZES]
    cases += [build.fully_connected(rng, (1, 3, 4, 8), 5, keep_num_dims=keep, **kinds) for keep in (False, True)]
    cases += [build.fully_connected(rng, (5, 33), 7, keep_num_dims=keep, **kinds) for keep in (False, True)]
    cases.append(build.fully_connected(rng, (1, 4096), 3, **kinds))
    cases += [
        build.fully_connected(
            rng, (2, 40), 9, activation=activation, per_channel=per_channel, bias=bias, gain=gain, **kinds
        )
        for activation, per_channel, bias in itertools.product(ACTIVATIONS, (True, False), (True, False))
        for gain in (1.0, 200.0, 2e4, 0.001, 3e-8)
    ]
    check(cases)


@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"])
def test_elementwise(check, op):
    rng = np.random.default_rng(6)
    broadcasts = (
        ((1,), (1,)),
        ((1, 3, 4, 5), (1, 3, 4, 5)),
        ((1, 3, 4, 5), (5,)),
        ((5,), (1, 3, 4, 5)),
        ((1, 3, 4, 5), (1, 1, 1, 5)),
        ((1, 3, 1, 5), (1, 1, 4, 1)),
        ((2, 1, 4, 1), (1, 3, 1, 5)),
    )
    cases = [
        build.elementwise(rng, op, shapes, constant_operand, dtype=I16)
        for shapes, constant_operand in itertools.product(broadcasts, (None, 0, 1))
    ]
    ratios = (1.0, 0.37, 300.0) if op == "MUL" else (1.0, 0.37, 0.5, 1e-4, 1e-9, 300.0)
    cases += [
        build.elementwise(rng, op, ((1, 500), (1, 500)), None, activation, ratio, gain, dtype=I16)
        for activation, ratio, gain in itertools.product(ACTIVATIONS, ratios, (1.0, 0.5, 0.01, 1e-5, 1000.0))
    ]
    check(cases)


@pytest.mark.parametrize(
    "dtypes", [(np.int8, np.int16), (np.int16, np.int8), (np.int16, np.int16)], ids=lambda pair: f"{pair[0].__name__}"
)
def test_quantize(check, dtypes):
    rng = np.random.default_rng(7)
    spans = {np.int8: 255, np.int16: 65_535}
    cases = [
        build.table(rng, "QUANTIZE", (scale, scale * ratio * spans[dtypes[0]] / spans[dtypes[1]]), zero_points, dtypes)
        for scale, ratio in itertools.product((0.05, 3e-4), (1.0, 0.99999, 0.5, 0.013, 3.7, 3e4, 1e-6))
        for zero_points in ((0, 0), (-128, 127), (127, -128), (-1, 1))
    ]
    check(cases)


@pytest.mark.parametrize("op", ["RELU", "RELU6"])
def test_relu(check, op):
    rng = np.random.default_rng(8)
    scales = ((1e-3, 1e-3), (1e-3, 3e-4), (3e-4, 1.1e-3), (1e-4, 1e-6), (0.5, 20.0), (7.0, 7.0))
    check([build.table(rng, op, pair, (0, 0), (I16, I16)) for pair in scales])


@pytest.mark.parametrize(("op", "alpha"), [("ABS", None), ("LEAKY_RELU", 0.1), ("LEAKY_RELU", -0.3)])
def test_lines_on_each_side_of_zero(check, op, alpha):
    rng = np.random.default_rng(11)
    options = {} if alpha is None else {"alpha": alpha}
    scales = ((1e-3, 1e-3), (1e-3, 3e-4), (3e-4, 1.1e-3), (1e-4, 1e-6), (0.5, 20.0))
    check([build.table(rng, op, pair, (0, 0), (I16, I16), **options) for pair in scales])


def test_prelu(check):
    rng = np.random.default_rng(12)
    cases = [build.prelu(rng, (1, 3, 4, 5), slopes, dtype=I16) for slopes in ((1, 1, 5), (1,), (3, 4, 5), (1, 4, 1))]
    check([*cases, *(build.prelu(rng, gain=gain, zero_points=(0, 77, 0), dtype=I16) for gain in (1e-4, 0.3, 100.0))])


@pytest.mark.parametrize("op", ["LOGISTIC", "TANH"])
def test_sigmoids(check, op):
    rng = np.random.default_rng(9)
    scales = [2.0**-12, 2.0**-11, 2.0**-10, 2.0**-12 * 1.0005, 2.0**-12 * 1.01, 1e-3, 1.7e-4, 0.1, 2.5, 1e-7]
    check([build.table(rng, op, (scale, 2.0**-15), (0, 0), (I16, I16)) for scale in scales])


@pytest.mark.parametrize("op", ["MEAN", "SUM"])
def test_reductions(check, op):
    rng = np.random.default_rng(10)
    cases = [
        build.reduction(rng, op, shape, axes, keep_dims, dtype=I16)
        for shape, axes in (
            ((1, 7, 5, 3), (1, 2)),
            ((1, 7, 5, 3), (-1,)),
            ((2, 7, 5, 3), (0, 2)),
            ((2, 7, 5, 3), (1, 3)),
            ((2, 3, 4, 5), (0, 1, 2)),
            ((1, 1, 1, 5), (1, 2)),
            ((1, 32, 32, 17), (1, 2)),
        )
        for keep_dims in (True, False)
    ]
    cases += [
        build.reduction(rng, op, (1, height, 3, 5), gain=gain, dtype=I16)
        for height, gain in itertools.product((1, 4, 7), (1.0, 0.3, 20.0, 1e4, 1e-5, 1e-9))
    ]
    check(cases)


@pytest.mark.parametrize("op", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pool(check, op):
    rng = np.random.default_rng(11)
    cases = [
        build.pool(rng, op, (batches, height, width, channels), kernel, stride, padding, dtype=I16)
        for batches, height, width, channels in ((1, 7, 5, 3), (2, 9, 16, 1))
        for kernel, stride, padding in itertools.product(
            ((1, 1), (2, 2), (3, 5), (7, 4)), ((1, 1), (2, 3)), ("SAME", "VALID")
        )
    ]
    cases += [build.pool(rng, op, activation=activation, dtype=I16) for activation in ACTIVATIONS]
    check(cases)


def test_batch_matmul(check):
    rng = np.random.default_rng(12)
    cases = [
        build.batch_matmul(rng, sizes=sizes, adj_x=adj_x, adj_y=adj_y, constant_operand=constant_operand, dtype=I16)
        for sizes in ((1, 1, 1), (3, 5, 4), (16, 17, 15), (2, 64, 7))
        for adj_x, adj_y, constant_operand in itertools.product((False, True), (False, True), (None, 0, 1))
    ]
    cases += [
        build.batch_matmul(rng, batches, adj_x=x, adj_y=y, dtype=I16)
        for batches in (((), ()), ((2, 3), (2, 1)), ((2, 3), (3,)), ((2, 3, 2), (2, 3, 2)))
        for x, y in itertools.product((False, True), repeat=2)
    ]
    cases += [build.batch_matmul(rng, gain=gain, dtype=I16) for gain in (1.0, 1e-3, 1e-8, 100.0, 1e4)]
    check(cases)


def test_softmax(check):
    rng = np.random.default_rng(13)
    cases = [
        build.softmax(rng, shape, scale, beta, dtype=I16)
        for shape in ((1, 1), (1, 2), (1, 10), (3, 17), (1, 2, 3, 5), (1, 1000))
        for scale, beta in ((1e-4, 1.0), (2.0**-12, 1.0), (1e-3, 0.7), (0.01, 1.0), (0.7, 2.0), (4.9, 1.0), (1e-9, 1.0))
    ]
    check(cases)


def movement_cases(rng):
    yield from (build.transpose(rng, (1, 3, 4, 5), order, I16) for order in itertools.permutations(range(4)))
    yield build.transpose(rng, (7, 15), (1, 0), I16)
    yield build.strided_slice(
        rng, (1, 8, 7, 3), (slice(0, 1, 1), slice(1, 7, 2), slice(0, 7, 3), slice(0, 3, 1)), dtype=I16
    )
    yield build.strided_slice(rng, (8, 7), (slice(5, 1, -1), slice(3, 4, -2)), begin_mask=2, end_mask=3, dtype=I16)
    yield build.pad(rng, (1, 4, 5, 3), ((0, 0), (1, 1), (2, 0), (0, 0)), dtype=I16)
    yield build.pad(rng, (1, 4, 5, 3), ((0, 0), (0, 0), (0, 0), (1, 2)), value=-30_000, dtype=I16)
    yield build.pad(rng, (5,), ((2, 3),), dtype=I16)
    yield from (build.concatenation(rng, ((2, 3, 4), (2, 3, 4)), axis, I16) for axis in (0, 1, 2, -1))
    yield build.concatenation(rng, ((1, 3, 4, 1), (1, 3, 4, 7), (1, 3, 4, 16)), 3, I16)
    yield build.reshape(rng, (1, 3, 4, 5), (1, 60), I16)


def test_movement(check):
    check(list(movement_cases(np.random.default_rng(14))))


def test_under_sanitisers(check_sanitised):
    rng = np.random.default_rng(15)
    cases = [
        build.conv2d(rng, (2, 5, 7, 3), 5, (3, 3), (2, 1), (1, 2), gain=2e4, dtype=I16),
        build.conv2d(rng, (1, 3, 1, 4), 4, (5, 5), (2, 2), (2, 2), groups=2, dtype=I16),
        build.conv2d(rng, (1, 3, 3, 12), 2, (3, 3), gain=1e8, dtype=I16, bias_type=np.int32),
        build.depthwise_conv2d(rng, (2, 5, 7, 3), 2, (3, 3), (2, 1), (1, 2), gain=5e3, dtype=I16),
        build.depthwise_conv2d(rng, (1, 1, 2, 3), 1, (5, 5), (2, 2), dtype=I16),
        build.fully_connected(rng, (3, 1031), 5, gain=2e4, dtype=I16),
        build.elementwise(rng, "MUL", ((1, 3, 4, 5), (5,)), 1, gain=1e9, dtype=I16),
        build.softmax(rng, (3, 17), 4.9, dtype=I16),
        build.table(rng, "QUANTIZE", (0.05, 1e-5), (127, 0), (np.int8, I16)),
        build.table(rng, "QUANTIZE", (1e-5, 0.05), (0, -128), (I16, np.int8)),
        build.table(rng, "TANH", (2.5, 2.0**-15), (0, 0), (I16, I16)),
        build.table(rng, "LOGISTIC", (2.5, 2.0**-15), (0, 0), (I16, I16)),
    ]
    cases += [build.elementwise(rng, op, ((2, 1, 4, 1), (1, 3, 1, 5)), gain=1000.0, dtype=I16) for op in ("ADD", "SUB")]
    cases += [build.pool(rng, op, (2, 5, 4, 3), (3, 3), (2, 1), dtype=I16) for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D")]
    cases += [build.reduction(rng, "MEAN", (2, 5, 4, 3), axes, gain=1e4, dtype=I16) for axes in ((1, 2), (0, 2), (-1,))]
    cases += [build.batch_matmul(rng, ((2, 1), (1, 3)), adj_x=x, gain=1e4, dtype=I16) for x in (False, True)]
    check_sanitised([*cases, *movement_cases(rng)])
