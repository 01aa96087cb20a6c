import itertools

import numpy as np
import pytest
from ops.case_builders import ACTIVATIONS, conv2d, depthwise_conv2d, fully_connected, transpose_conv
from ops.kernel_cases import read_operator

from tinyedge.compiler.costs import default_costs
from tinyedge.compiler.kernels import hasten, specialise
from tinyedge.ops import lower

SIZES = (1, 2, 3, 7, 15, 16, 17)


TRANSPOSED = (
    ((3, 3), (2, 2)),
    ((4, 4), (2, 2)),
    ((2, 2), (2, 2)),
    ((3, 5), (3, 1)),
    ((1, 2), (3, 3)),
    ((5, 4), (1, 2)),
    ((3, 3), (1, 1)),
    ((7, 2), (2, 5)),
)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_transpose_conv_windows(check, padding, dtype):
    rng = np.random.default_rng(20)
    cases = [
        transpose_conv(rng, (batch, height, width, channels), filters, kernel, stride, padding, dtype=dtype)
        for batch, height, width, channels, filters in ((1, 4, 5, 3, 4), (2, 1, 7, 8, 5), (1, 3, 1, 1, 1))
        for kernel, stride in TRANSPOSED
    ]
    check(cases)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_transpose_conv_quantisation(check, dtype):
    rng = np.random.default_rng(21)
    cases = [
        transpose_conv(rng, activation=activation, per_channel=per_channel, bias=bias, gain=gain, dtype=dtype)
        for activation, per_channel, bias in itertools.product(ACTIVATIONS, (True, False), (True, False))
        for gain in (1.0, 200.0, 0.001, 3e-8)
    ]
    cases += [transpose_conv(rng, zero_points=pair, dtype=dtype) for pair in ((-128, 127), (127, -128))]
    check(cases)


def test_conv2d_windows(check):
    rng = np.random.default_rng(1)
    cases = [
        conv2d(rng, (1, height, width, 3), 4, kernel, stride, dilation, padding)
        for height, width in ((7, 5), (16, 9))
        for kernel, stride, dilation, padding in itertools.product(
            ((1, 1), (3, 3), (2, 5)), ((1, 1), (2, 2), (3, 1)), ((1, 1), (2, 1), (1, 3)), ("SAME", "VALID")
        )
        if padding == "SAME" or ((kernel[0] - 1) * dilation[0] < height and (kernel[1] - 1) * dilation[1] < width)
    ]
    check(cases)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_conv2d_by_winograd(check_quicker, tmp_path, padding):
    """Tiles that end in the image and beyond it, fewer than four of them, and several images."""
    rng = np.random.default_rng(30)
    border = 2 if padding == "VALID" else 0
    cases = [
        conv2d(rng, (batches, height + border, width + border, channels), filters, padding=padding, gain=0.5)
        for (height, width), channels, filters in (
            ((9, 7), 12, 10),
            ((8, 8), 8, 64),
            ((5, 12), 36, 6),
            ((6, 6), 20, 34),
            ((3, 19), 32, 16),
            ((17, 5), 64, 2),
        )
        for batches in (1, 2)
    ]
    cases += [
        conv2d(rng, (1, 7 + border, 9, 16), 16, padding=padding, gain=0.5, zero_points=pair)
        for pair in ((-128, 127), (127, -128))
    ]
    lowered = [lower(read_operator(case.model, tmp_path)) for case in cases]
    calls = hasten(lowered, specialise(lowered, "dsp"), "dsp", default_costs("dsp"), spend_flash=True)
    assert [call.function for call in calls] == ["te_conv2d_winograd_s8_dsp"] * len(cases)
    check_quicker(cases)


def test_conv2d_of_few_channels_and_long_rows(check_quicker, tmp_path):
    rng = np.random.default_rng(31)
    cases = [
        conv2d(rng, (batches, 11, width, channels), 6, (3, 3), stride, padding=padding, gain=0.5)
        for batches, width, channels in ((1, 97, 3), (2, 140, 2))
        for stride, padding in (((2, 2), "SAME"), ((1, 1), "VALID"))
    ]
    lowered = [lower(read_operator(case.model, tmp_path)) for case in cases]
    calls = specialise(lowered, "dsp")
    quicker = hasten(lowered, calls, "dsp", default_costs("dsp"), spend_flash=True)
    assert {call.function for call in calls} == {"te_conv2d_s8_dsp"}
    assert {call.function for call in quicker} == {"te_conv2d_rows_s8_dsp"}
    check_quicker(cases)


def test_conv2d_of_one_pixel_in_two_blocks(check_quicker, tmp_path):
    """Eight pixels at a time, then four, then one; layers with a quick finish, a plain one and any other."""
    rng = np.random.default_rng(32)
    cases = [
        conv2d(rng, (batches, height, width, channels), filters, (1, 1), gain=gain, zero_points=(3, zero_point))
        for (batches, height, width), channels, filters in (
            ((1, 2, 4), 32, 6),
            ((2, 7, 9), 43, 2),
            ((1, 5, 5), 104, 34),
            ((1, 4, 7), 64, 16),
        )
        for gain, zero_point in ((0.5, -4), (0.5, -128), (30.0, -4), (200.0, 9))
    ]
    cases += [conv2d(rng, (1, 5, 6, 48), 10, (1, 1), activation="RELU_N1_TO_1", gain=0.5)]
    lowered = [lower(read_operator(case.model, tmp_path)) for case in cases]
    calls = hasten(lowered, specialise(lowered, "dsp"), "dsp", default_costs("dsp"), spend_flash=False)
    assert [call.fields["blocks"] for call in calls] == [2] * len(cases)
    assert {min(int(call.fields["plain"]), 2) for call in calls} == {0, 1, 2}
    check_quicker(cases, spend_flash=False)


def test_conv2d_of_one_pixel_in_many_blocks(check_quicker, tmp_path):
    """Numbers of pixels and of channels that leave any remainder, depths of one word and of many."""
    rng = np.random.default_rng(33)
    cases = [
        conv2d(rng, shape, filters, (1, 1), gain=0.5, zero_points=(3, zero_point), symmetric=True)
        for shape, filters in (
            ((1, 2, 4, 32), 6),
            ((2, 7, 9, 43), 2),
            ((1, 16, 17, 3), 48),
            ((1, 5, 5, 104), 34),
            ((1, 8, 9, 8), 24),
            ((1, 4, 4, 112), 20),
            ((1, 4, 7, 64), 16),
        )
        for zero_point in (-4, -128)
    ]
    lowered = [lower(read_operator(case.model, tmp_path)) for case in cases]
    calls = hasten(lowered, specialise(lowered, "dsp"), "dsp", default_costs("dsp"), spend_flash=True)
    blocks = [int(call.fields["blocks"]) for call in calls if call.function == "te_fully_connected_blocks_s8_dsp"]
    assert len(blocks) == 10  # The others' sums are too large for a quick finish with the zero point -4.
    assert min(blocks) == 2
    assert max(blocks) == 16
    check_quicker(cases)


@pytest.mark.parametrize("channels", SIZES)
def test_conv2d_channels(check, channels):
    rng = np.random.default_rng(channels)
    check([conv2d(rng, (1, 4, 3, channels), filters, (3, 2)) for filters in SIZES])


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
def test_conv2d_of_few_channels(check, channels):
    """Windows that share rows, over the ends of rows and stripes of rows; images of one column and of one row."""
    rng = np.random.default_rng(channels)
    cases = [
        conv2d(rng, (batches, height, width, channels), filters, kernel, stride, dilation, padding, gain=0.5)
        for height, width, filters, batches in ((31, 6, 5, 2), (9, 33, 8, 1), (2, 1, 3, 1))
        for kernel, stride, dilation in (
            ((3, 3), (1, 1), (1, 1)),
            ((5, 5), (2, 2), (1, 1)),
            ((10, 4), (2, 1), (1, 1)),
            ((2, 3), (3, 3), (2, 1)),
        )
        for padding in ("SAME", "VALID")
        if padding == "SAME" or ((kernel[0] - 1) * dilation[0] < height and kernel[1] <= width)
    ]
    cases += [
        conv2d(rng, shape, 7, kernel, stride, dilation, padding, activation="RELU_N1_TO_1", gain=0.5)
        for padding in ("SAME", "VALID")
        for shape, kernel, stride, dilation in (
            ((1, 43, 1, channels), (9, 1), (1, 1), (1, 1)),
            ((2, 43, 1, channels), (4, 1), (3, 1), (1, 1)),
            ((1, 43, 1, channels), (3, 1), (1, 1), (4, 1)),
            ((1, 1, 43, channels), (1, 9), (1, 2), (1, 1)),
        )
    ]
    check(cases)


def test_conv2d_kernel_larger_than_the_image(check):
    rng = np.random.default_rng(2)
    check([conv2d(rng, (1, h, w, 2), 3, (5, 7), (2, 2), (3, 2)) for h, w in ((1, 1), (2, 3), (3, 1))])


def test_dilation_of_a_single_tap_means_nothing(check):
    rng = np.random.default_rng(22)
    check([make(rng, (1, 5, 4, 2), 4, (1, 1), (2, 1), (2**31 - 1, 9)) for make in (conv2d, depthwise_conv2d)])


def test_conv2d_groups_and_batches(check):
    rng = np.random.default_rng(3)
    cases = [
        conv2d(rng, (batch, 5, 4, channels), filters, (3, 2), (1, 2), dilation, groups=groups)
        for batch, channels, filters, groups in ((1, 4, 4, 2), (2, 6, 9, 3), (3, 4, 8, 4), (2, 3, 5, 1))
        for dilation in ((1, 1), (2, 2))
    ]
    check(cases)


def test_conv2d_quantisation(check):
    rng = np.random.default_rng(4)
    cases = [
        conv2d(rng, activation=activation, per_channel=per_channel, bias=bias, gain=gain, zero_points=zero_points)
        for activation, per_channel, bias in itertools.product(ACTIVATIONS, (True, False), (True, False))
        for gain, zero_points in (
            (1.0, (-128, 127)),
            (200.0, (127, -128)),
            (0.001, (0, 5)),
            (3e-8, (-1, 0)),
            (2e5, (1, 2)),
        )
    ]
    check(cases)


def test_depthwise_conv2d_windows(check):
    rng = np.random.default_rng(5)
    cases = [
        depthwise_conv2d(rng, (1, 9, 6, channels), multiplier, kernel, stride, dilation, padding)
        for channels, multiplier in ((1, 1), (3, 1), (2, 3), (1, 8))
        for kernel, stride, dilation, padding in itertools.product(
            ((1, 1), (3, 3), (2, 5)), ((1, 1), (2, 2)), ((1, 1), (2, 1)), ("SAME", "VALID")
        )
    ]
    check(cases)


def test_depthwise_conv2d_channels_and_batches(check):
    rng = np.random.default_rng(6)
    cases = [depthwise_conv2d(rng, (batch, 4, 5, channels)) for batch, channels in itertools.product((1, 2), SIZES)]
    check(cases)


@pytest.mark.parametrize("taps", [1, 2, 3, 4, 5, 7, 10, 15, 16])
def test_depthwise_conv2d_along_one_axis(check, taps):
    """Runs of outputs in fours and alone, of taps in fours and pairs; columns, and rows of several lines of taps."""
    rng = np.random.default_rng(taps)
    cases = [
        depthwise_conv2d(rng, (batches, length, 1, channels), 1, (taps, 1), (stride, 1), (1, 1), padding, gain=0.5)
        for length, channels, batches in ((1, 3, 1), (16, 5, 2), (21, 4, 1), (33, 8, 1))
        for stride, padding in ((1, "SAME"), (1, "VALID"), (2, "SAME"), (3, "VALID"))
        if padding == "SAME" or length >= taps
    ]
    cases += [
        depthwise_conv2d(rng, (1, height, width, 6), 1, kernel, (stride, stride), (1, 1), padding, activation, gain=0.5)
        for height, width in ((17, 18), (19, 16))
        for kernel in ((taps, 1), (1, taps), (2, taps), (taps, 4))
        for stride, padding, activation in ((1, "SAME", "NONE"), (2, "VALID", "RELU6"), (1, "VALID", "RELU_N1_TO_1"))
    ]
    cases += [
        depthwise_conv2d(rng, (1, 19, 1, 5), 1, (taps, 1), (1, 1), (dilation, 1), "SAME", gain=gain)
        for dilation, gain in ((2, 0.5), (3, 20.0))
    ]
    check(cases)


def test_depthwise_conv2d_of_whole_rows(check):
    """Pairs of pixels and one left, fours of channels and others."""
    rng = np.random.default_rng(12)
    cases = [
        depthwise_conv2d(rng, (batches, *size, channels), 1, size, padding="VALID", activation=activation, gain=gain)
        for size in ((1, 1), (2, 1), (1, 5), (7, 7), (15, 1))
        for channels, batches in ((4, 1), (6, 1), (8, 3))
        for activation, gain in (("RELU", 0.5), ("NONE", 0.3), ("RELU_N1_TO_1", 0.5), ("NONE", 200.0))
    ]
    cases += [
        depthwise_conv2d(rng, shape, 1, kernel, (stride, 1), (dilation, 1), "VALID", gain=0.5)
        for shape, kernel, dilation in (
            ((2, 24, 1, 8), (3, 1), 1),
            ((1, 40, 1, 4), (17, 1), 1),
            ((1, 40, 1, 8), (18, 1), 2),
            ((2, 9, 3, 4), (2, 3), 1),
            ((1, 12, 1, 4), (4, 1), 3),
        )
        for stride in (1, 2)
    ]
    check(cases)


def test_depthwise_conv2d_quantisation(check):
    rng = np.random.default_rng(7)
    cases = [
        depthwise_conv2d(
            rng, activation=activation, per_channel=per_channel, bias=bias, gain=gain, zero_points=zero_points
        )
        for activation, per_channel, bias in itertools.product(ACTIVATIONS, (True, False), (True, False))
        for gain, zero_points in (
            (1.0, (-128, 127)),
            (200.0, (127, -128)),
            (0.001, (0, 5)),
            (3e-8, (-1, 0)),
            (2e5, (1, 2)),
        )
    ]
    check(cases)


def test_fully_connected_shapes(check):
    rng = np.random.default_rng(8)
    cases = [fully_connected(rng, (1, depth), outputs) for depth, outputs in itertools.product(SIZES, SIZES)]
    cases += [fully_connected(rng, (rows, 33), 7, keep_num_dims=keep) for rows in (2, 5) for keep in (False, True)]
    cases += [fully_connected(rng, (1, 3, 4, 8), 5, keep_num_dims=keep) for keep in (False, True)]
    cases.append(fully_connected(rng, (1, 4096), 3))
    check(cases)


def test_fully_connected_quantisation(check):
    rng = np.random.default_rng(9)
    cases = [
        fully_connected(
            rng,
            (2, 40),
            9,
            activation=activation,
            per_channel=per_channel,
            bias=bias,
            gain=gain,
            zero_points=zero_points,
        )
        for activation, per_channel, bias in itertools.product(ACTIVATIONS, (True, False), (True, False))
        for gain, zero_points in (
            (1.0, (-128, 127)),
            (200.0, (127, -128)),
            (0.001, (0, 5)),
            (3e-8, (-1, 0)),
            (2e5, (1, 2)),
        )
    ]
    cases += [fully_connected(rng, (1, 64), 20, weights_zero_point=zero_point) for zero_point in (-128, -3, 5, 127)]
    check(cases)


def test_convolutions_under_sanitisers(check_sanitised):
    rng = np.random.default_rng(10)
    cases = [
        conv2d(rng, (2, 5, 7, 3), 5, (3, 3), (2, 1), (1, 2), gain=1e8, zero_points=(-128, 127)),
        conv2d(rng, (1, 3, 1, 4), 4, (5, 5), (2, 2), (2, 2), groups=2),
        conv2d(rng, (1, 4, 4, 17), 3, (1, 1), padding="VALID", bias=False),
        depthwise_conv2d(rng, (2, 5, 7, 3), 2, (3, 3), (2, 1), (1, 2), gain=1e8, zero_points=(127, -128)),
        depthwise_conv2d(rng, (1, 1, 2, 3), 1, (5, 5), (2, 2)),
        transpose_conv(rng, (2, 3, 7, 3), 5, (3, 5), (2, 3), gain=1e8, zero_points=(-128, 127)),
        transpose_conv(rng, (1, 2, 1, 4), 3, (1, 2), (3, 3), "VALID"),
        fully_connected(rng, (3, 31), 5, gain=1e8, zero_points=(127, -128)),
        fully_connected(rng, (1, 31), 5, weights_zero_point=127),
    ]
    check_sanitised(cases)
