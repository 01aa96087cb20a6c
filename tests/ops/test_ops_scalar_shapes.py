"""Shapes at which the kernels without SIMD instructions go another way: fours of pixels, edges, lines, single rows."""

import itertools

import numpy as np
import pytest
from ops.case_builders import conv2d, depthwise_conv2d, fully_connected
from ops.kernel_cases import read_operator

from tinyedge.compiler.kernels import specialise
from tinyedge.ops import lower

GAIN = 0.5  # Factors below 1/2, which is what the kernels are for.


def specialised(case, folder):
    return specialise([lower(read_operator(case.model, folder))], "scalar")[0]


@pytest.mark.parametrize("channels", [1, 3, 4, 10])
def test_convolutions_of_broken_fours(check_sanitised, channels, tmp_path):
    """Pixels that are no multiple of four, fours over the end of a row, padding on all sides, a batch, taps apart."""
    rng = np.random.default_rng(channels)
    cases = [
        conv2d(rng, (2, *size, channels), filters, kernel, (stride, stride), (dilation,) * 2, padding, gain=GAIN)
        for size, filters in itertools.product(((1, 1), (3, 5), (6, 8)), (1, 5))
        for kernel, stride, dilation, padding in (
            ((3, 3), 1, 1, "SAME"),
            ((3, 3), 2, 1, "VALID"),
            ((1, 1), 2, 1, "SAME"),
            ((2, 5), 1, 1, "SAME"),
            ((3, 2), 1, 2, "SAME"),
        )
        if padding == "SAME" or min(size) >= 3
    ]
    assert {specialised(case, tmp_path).function for case in cases} >= {"te_conv2d_s8_scalar"}
    check_sanitised(cases)


def test_convolutions_in_groups(check_sanitised):
    rng = np.random.default_rng(7)
    check_sanitised([conv2d(rng, (2, 4, 5, 6), 9, (3, 3), groups=3, gain=GAIN)])


@pytest.mark.parametrize(("width", "stride"), [(1, 1), (2, 1), (3, 2)])
def test_depthwise_rows_of_one_and_two_outputs_are_left_to_the_portable_kernel(width, stride, tmp_path):
    rng = np.random.default_rng(width)
    call = specialised(depthwise_conv2d(rng, (1, 9, width, 3), 1, (3, 3), (stride, stride), gain=GAIN), tmp_path)
    assert call.function == "te_depthwise_conv2d_s8"
    assert call.kept_because.startswith(f"its rows of {-(-width // stride)} outputs")


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 9])
def test_matrix_products_of_broken_fours(check_sanitised, rows, tmp_path):
    rng = np.random.default_rng(rows)
    cases = [fully_connected(rng, (rows, depth), outputs, gain=GAIN) for depth in (1, 6, 33) for outputs in (1, 4, 7)]
    assert {specialised(case, tmp_path).function for case in cases} == {"te_fully_connected_s8_scalar"}
    check_sanitised(cases)


@pytest.mark.parametrize(
    ("width", "kernel", "stride", "lies"),
    [(40, (3, 3), 1, True), (41, (3, 3), 2, True), (5, (3, 3), 1, False), (3, (1, 1), 1, False), (9, (5, 4), 2, False)],
)
def test_depthwise_rows_are_read_where_they_lie_or_copied(check_sanitised, width, kernel, stride, lies, tmp_path):
    rng = np.random.default_rng(width)
    cases = [
        depthwise_conv2d(
            rng,
            (2, height, width, 3),
            1,
            kernel,
            (stride, stride),
            (dilation,) * 2,
            "SAME",
            activation,
            gain=GAIN,
            int4=int4,
        )
        for height in (1, 4)
        for dilation in ((1, 2) if stride == 1 else (1,))
        for activation, int4 in (("NONE", False), ("RELU_N1_TO_1", False), ("NONE", True))
    ]
    calls = [specialised(case, tmp_path) for case in cases]
    assert {call.function for call in calls} == {"te_depthwise_conv2d_s8_scalar", "te_depthwise_conv2d_s4_scalar"}
    assert (calls[0].fields["line"] == 0) == lies
    check_sanitised(cases)
