"""Shapes at which the vector kernels go another way: whole and broken vectors, stripes, pairs and fours."""

import itertools

import numpy as np
import pytest
from ops.case_builders import (
    batch_matmul,
    conv2d,
    depthwise_conv2d,
    elementwise,
    fully_connected,
    pool,
    reduction,
    rescale,
    softmax,
    table,
)
from ops.kernel_cases import read_operator

from tinyedge.compiler.kernels import specialise
from tinyedge.ops import lower

GAIN = 0.5  # Factors below 1/2, which is what the kernels are for.


def functions(cases, folder) -> set[str]:
    """Which kernels the cases run with MVE."""
    return {specialise([lower(read_operator(case.model, folder))], "mve")[0].function for case in cases}


@pytest.mark.parametrize("channels", [1, 8, 15, 16, 17, 40])
def test_depthwise_stripes(check, channels, tmp_path):
    rng = np.random.default_rng(channels)
    cases = [
        depthwise_conv2d(
            rng, (2, height, width, channels), 1, kernel, (stride, stride), (1, 1), padding, activation, gain=GAIN
        )
        for height, width in ((1, 1), (2, 3), (5, 4), (4, 9))
        for kernel, stride in (((3, 3), 1), ((3, 3), 2), ((1, 1), 1), ((2, 3), 1), ((4, 4), 1), ((3, 4), 3))
        for padding, activation in (("SAME", "NONE"), ("VALID", "RELU_N1_TO_1"))
        if padding == "SAME" or (kernel[0] <= height and kernel[1] <= width)
    ]
    assert ("te_depthwise_conv2d_s8_mve" in functions(cases, tmp_path)) == (channels > 1)
    check(cases)


def test_an_odd_row_below_pairs_of_rows_of_a_narrow_depthwise_layer(check_sanitised):
    """The kernel of one row takes more outputs at a time than that of two rows has columns for."""
    rng = np.random.default_rng(5)
    sizes = itertools.product((1, 3, 5, 7), range(1, 8), (2, 16, 17))
    check_sanitised([depthwise_conv2d(rng, (1, *size), gain=GAIN) for size in sizes])


@pytest.mark.parametrize("channels", [2, 8, 12, 17])
def test_depthwise_windows_of_whole_rows(check, channels, tmp_path):
    """One window, several down a column of pixels, some of whose taps lie apart, and of rows."""
    rng = np.random.default_rng(channels)
    cases = [
        depthwise_conv2d(
            rng, (2, *size, channels), 1, kernel, (stride, 1), (dilation, 1), "VALID", activation, gain=GAIN, int4=int4
        )
        for size, kernel, stride, dilation in (
            ((4, 3), (4, 3), 1, 1),
            ((23, 1), (9, 1), 1, 1),
            ((23, 1), (7, 1), 2, 3),
            ((9, 4), (6, 4), 2, 1),
        )
        for activation, int4 in (("NONE", False), ("RELU_N1_TO_1", False), ("NONE", True))
    ]
    assert functions(cases, tmp_path) == {"te_depthwise_whole_s8_mve", "te_depthwise_whole_s4_mve"}
    check(cases)


@pytest.mark.parametrize("channels", [1, 3, 5, 16, 32])
def test_convolution_runs(check, channels, tmp_path):
    """Runs below a vector, of three whole ones, and others; a pixel alone, pairs across rows, strided single taps."""
    rng = np.random.default_rng(channels)
    cases = [
        conv2d(rng, (1, *size, channels), filters, kernel, (stride, stride), (1, 1), padding, gain=GAIN)
        for size, filters in itertools.product(((1, 1), (3, 5), (6, 8)), (1, 4, 6))
        for kernel, stride, padding in (
            ((3, 3), 1, "SAME"),
            ((3, 3), 2, "VALID"),
            ((1, 1), 2, "SAME"),
            ((2, 4), 1, "SAME"),
        )
        if padding == "SAME" or min(size) >= 3
    ]
    assert "te_conv2d_s8_mve" in functions(cases, tmp_path)
    check(cases)


@pytest.mark.parametrize("channels", [1, 17])
def test_depthwise_stripes_of_int4(check, channels, tmp_path):
    rng = np.random.default_rng(channels)
    cases = [
        depthwise_conv2d(
            rng, (2, 5, width, channels), 1, kernel, (stride, stride), activation=activation, gain=GAIN, int4=True
        )
        for width, activation in ((4, "NONE"), (9, "RELU_N1_TO_1"))
        for kernel, stride in (((3, 3), 1), ((3, 3), 2), ((4, 4), 1), ((2, 3), 1))
    ]
    assert channels == 1 or functions(cases, tmp_path) == {"te_depthwise_conv2d_s4_mve"}
    check(cases)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("channels", [1, 3, 16, 33])
def test_convolution_runs_of_int4(check, channels, symmetric, tmp_path):
    """Weights down to -8 lie in bytes of their own where a byte does not hold two."""
    rng = np.random.default_rng(channels)
    cases = [
        conv2d(
            rng, (2, *size, channels), filters, kernel, activation=activation, gain=GAIN, int4=True, symmetric=symmetric
        )
        for size, filters in itertools.product(((1, 1), (3, 5)), (5, 8))
        for kernel, activation in (((3, 3), "NONE"), ((1, 1), "NONE"), ((2, 4), "RELU6"), ((1, 1), "RELU6"))
    ]
    if symmetric:
        assert functions(cases, tmp_path) == {"te_conv2d_s4_mve", "te_fully_connected_s4_mve"}
    else:
        assert channels < 16 or "te_conv2d_s8_mve" in functions(cases, tmp_path)
    check(cases)


@pytest.mark.parametrize("channels", [1, 3, 8, 24])
def test_convolution_runs_of_int16(check, channels, tmp_path):
    """The same of values of two bytes: one pixel of whole vectors is read where it lies."""
    rng = np.random.default_rng(channels)
    cases = [
        conv2d(
            rng,
            (1, *size, channels),
            filters,
            kernel,
            (stride, stride),
            padding=padding,
            activation=activation,
            dtype=np.int16,
        )
        for size, filters in itertools.product(((1, 1), (3, 5), (6, 8)), (1, 4, 6))
        for kernel, stride, padding, activation in (
            ((3, 3), 1, "SAME", "NONE"),
            ((3, 3), 2, "VALID", "RELU"),
            ((1, 1), 2, "SAME", "NONE"),
            ((2, 4), 1, "SAME", "RELU6"),
        )
        if padding == "SAME" or min(size) >= 3
    ]
    assert functions(cases, tmp_path) == {"te_conv2d_narrow_s16_mve"}
    check(cases)


@pytest.mark.parametrize(
    ("dtype", "kernel"), [(np.int8, "te_fully_connected_s8_mve"), (np.int16, "te_fully_connected_narrow_s16_mve")]
)
def test_rows_of_broken_vectors_at_the_end(check, dtype, kernel, tmp_path):
    rng = np.random.default_rng(3)
    cases = [
        fully_connected(rng, (rows, depth), outputs, activation, gain=GAIN, dtype=dtype)
        for rows, depth, outputs in itertools.product((1, 2, 3, 8), (1, 7, 16, 31, 96), (1, 4, 10))
        for activation in ("NONE", "RELU_N1_TO_1")
    ]
    assert kernel in functions(cases, tmp_path)
    check(cases)


@pytest.mark.parametrize(
    ("dtype", "kernel", "adjoint_left"),
    [(np.int8, "te_batch_matmul_s8_mve", (False,)), (np.int16, "te_batch_matmul_s16_mve", (False, True))],
)
def test_products_of_activations(check, dtype, kernel, adjoint_left, tmp_path):
    rng = np.random.default_rng(4)
    cases = [
        batch_matmul(rng, ((2,), (2,)), sizes, left, adjoint_right, constant, GAIN, (5, -9, 3), dtype)
        for sizes in ((1, 1, 1), (3, 16, 5), (4, 33, 4), (7, 40, 9))
        for left, adjoint_right in itertools.product(adjoint_left, (False, True))
        for constant in (None, 1)
    ]
    assert kernel in functions(cases, tmp_path)
    check(cases)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_products_of_two_values(check, dtype, tmp_path):
    """Rows of both operands, or of one and a value for each row, or for all; limited outputs, and multipliers of 0."""
    rng = np.random.default_rng(6)
    cases = [
        elementwise(rng, "MUL", shapes, constant, activation, 1.0, gain, zero_points, dtype)
        for size, gain in ((1, GAIN), (4, GAIN), (7, 1e-12), (33, GAIN))
        for shapes in (((3, size), (3, size)), ((3, size), (3, 1)), ((1, 1), (3, size)), ((1, size), (3, size)))
        for constant, activation in ((None, "NONE"), (1, "RELU6"))
        for zero_points in ((-128, 127, 0), (5, -9, 127))
    ]
    assert functions(cases, tmp_path) == {f"te_mul_s{8 * np.dtype(dtype).itemsize}_mve"}
    check(cases)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("op", ["MAX_POOL_2D", "AVERAGE_POOL_2D"])
@pytest.mark.parametrize("channels", [1, 7, 8, 16, 37])
def test_pools_of_broken_vectors(check, op, channels, dtype, tmp_path):
    rng = np.random.default_rng(channels)
    cases = [
        pool(rng, op, (2, *size, channels), kernel, stride, padding, activation, -3 if dtype == np.int8 else 0, dtype)
        for size in ((1, 1), (5, 4), (16, 16))
        for kernel, stride in (((2, 2), (2, 2)), ((3, 3), (1, 2)), ((1, 4), (1, 1)), ((16, 16), (1, 1)))
        for padding, activation in (("SAME", "NONE"), ("VALID", "RELU_N1_TO_1"))
        if padding == "SAME" or (kernel[0] <= size[0] and kernel[1] <= size[1])
    ]
    assert functions(cases, tmp_path) == {f"te_{op.lower().removesuffix('_2d')}_s{8 * np.dtype(dtype).itemsize}_mve"}
    check(cases)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("scale", [1.0, 0.7, 0.01, 1e-12])
def test_sums_of_equal_and_unequal_scales(check, scale, dtype, tmp_path):
    """Down to scales of which the smaller one adds nothing."""
    rng = np.random.default_rng(5)
    cases = [
        elementwise(rng, "ADD", ((1, size), (1, size)), None, "NONE", ratio, GAIN, zero_points, dtype)
        for size in (1, 4, 7, 33)
        for ratio in (scale, 1 / scale)
        for zero_points in ((-128, 127, 0), (5, -9, 127))
    ]
    assert functions(cases, tmp_path) == {f"te_add_s{8 * np.dtype(dtype).itemsize}_mve"}
    check(cases)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("op", ["ADD", "SUB"])
@pytest.mark.parametrize("scale", [1.0, 0.7, 1e-12])
def test_sums_of_rows(check, op, scale, dtype, tmp_path):
    """Differences, limited sums, and operands of which one is a value for each row, or one for all, or constant."""
    rng = np.random.default_rng(7)
    kinds = ((None, "RELU6"), (0, "NONE"), (1, "NONE"), *([(None, "NONE")] if op == "SUB" else []))
    cases = [
        elementwise(rng, op, shapes, constant, activation, ratio, GAIN, zero_points, dtype)
        for size in (1, 4, 7, 33)
        for shapes in (((3, size), (3, size)), ((3, size), (3, 1)), ((1, 1), (3, size)), ((1, size), (3, size)))
        for (constant, activation), ratio, zero_points in zip(
            kinds, (scale, 1 / scale, scale, 1 / scale), ((-128, 127, 0), (5, -9, 127)) * 2, strict=False
        )
    ]
    assert functions(cases, tmp_path) == {f"te_add_rows_s{8 * np.dtype(dtype).itemsize}_mve"}
    check(cases)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_the_least_value_of_the_larger_scale(check, dtype, tmp_path):
    """Halving it is a multiplier of almost one and a shift."""
    rng = np.random.default_rng(9)
    cases = []
    for op in ("ADD", "SUB"):
        case = elementwise(rng, op, ((1, 40), (1, 40)), None, "RELU6", 0.3, GAIN, (0, 0, 0), dtype)
        for values in case.inputs:
            values[..., ::2] = np.iinfo(dtype).min
        cases.append(case)
    assert functions(cases, tmp_path) == {f"te_add_rows_s{8 * np.dtype(dtype).itemsize}_mve"}
    check(cases)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("channels", [2, 7, 8, 20])
def test_means_of_images(check, channels, dtype, tmp_path):
    rng = np.random.default_rng(channels)
    zero_points = (-128, 127) if dtype == np.int8 else (0, 0)
    cases = [
        reduction(rng, "MEAN", (batches, height, 5, channels), (1, 2), keep_dims, 0.9, zero_points, dtype)
        for batches, height, keep_dims in itertools.product((1, 2), (1, 7, 51), (True, False))
    ]
    assert f"te_mean_s{8 * np.dtype(dtype).itemsize}_mve" in functions(cases, tmp_path)
    check(cases)


@pytest.mark.parametrize("scale", [0.001, 0.1, 2.0])
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_rows_of_softmax(check, dtype, scale, tmp_path):
    """Of steps that all count, and of few."""
    rng = np.random.default_rng(7)
    unit = scale / 256 if dtype == np.int16 else scale
    zero_point = 0 if dtype == np.int16 else -7
    cases = [softmax(rng, (3, depth), unit, 1.0, zero_point, dtype) for depth in (1, 2, 7, 16, 33, 100)]
    assert functions(cases, tmp_path) == {f"te_softmax_s{8 * np.dtype(dtype).itemsize}_mve"}
    check(cases)


@pytest.mark.parametrize(
    ("dtypes", "kernel"),
    [((np.int8, np.int16), "s8_s16"), ((np.int16, np.int8), "s16_s8"), ((np.int16, np.int16), "s16")],
)
def test_quantisations_of_the_same_values(check, dtypes, kernel, tmp_path):
    """By left shifts, by right ones, by neither, and by so much that all are limited."""
    rng = np.random.default_rng(10)
    cases = [
        rescale(rng, (1, count), gain, zero_points, dtypes)
        for count in (1, 4, 33)
        for gain in (1e-4, 1 / 256, 0.7, 1.0, 200.0, 1e6)
        for zero_points in ((-128, 127), (5, -9))
    ]
    assert functions(cases, tmp_path) == {f"te_rescale_{kernel}_mve"}
    check(cases)


def test_tables_of_broken_vectors(check, tmp_path):
    rng = np.random.default_rng(8)
    cases = [table(rng), *(table(rng, shape=(1, count)) for count in (1, 15, 16, 33))]
    assert functions(cases, tmp_path) == {"te_table_s8_mve"}
    check(cases)
