"""Softmax and the functions that become tables: the bits of TFLite Micro, and for GELU, which it lacks, of LiteRT."""

import dataclasses
import itertools

import numpy as np
import pytest
from compiler.tflite_builder import TensorSpec, one_operator
from ops.case_builders import l2_normalization, softmax, table
from ops.kernel_cases import Case, int8_values, read_operator

from tinyedge.ops import lower
from tinyedge.runtimes.litert import LitertRuntime

SCALES = (1e-7, 0.0009, 0.0123, 0.05, 1 / 16, 0.3, 1.0, 7.7, 100.0)


@pytest.mark.parametrize("depth", [1, 2, 3, 7, 15, 16, 17, 257, 4095])
def test_softmax_depths(check, depth):
    rng = np.random.default_rng(depth)
    scales = (0.01, 0.1, 1.0) if depth < 512 else (0.1, 1.0)
    check([softmax(rng, (1, 3, depth), scale) for scale in scales])


def test_softmax_scales(check):
    rng = np.random.default_rng(1)
    cases = [
        softmax(rng, (2, 3, 20), scale, beta, zero_point)
        for scale, beta, zero_point in itertools.product(SCALES, (1.0, 0.3, 5.0), (-128, 127))
    ]
    check(cases)


def test_softmax_under_sanitisers(check_sanitised):
    rng = np.random.default_rng(2)
    check_sanitised([softmax(rng, (1, 2, depth), scale) for depth in (1, 17, 511) for scale in (1e-7, 0.1, 100.0)])


@pytest.mark.parametrize("op", ["LOGISTIC", "TANH"])
def test_saturating_functions(check, op):
    rng = np.random.default_rng(3)
    zero_points = {"LOGISTIC": -128, "TANH": 0}
    cases = [
        table(rng, op, (scale, 1 / 256), (zero_point, zero_points[op]))
        for scale, zero_point in itertools.product((2**-27, *SCALES, 1e6), (-128, -3, 0, 127))
    ]
    check(cases)


def test_hard_swish(check):
    rng = np.random.default_rng(4)
    cases = [
        table(rng, "HARD_SWISH", (scale, scale * ratio), zero_points)
        for scale, ratio in itertools.product(SCALES, (1 / 64, 0.37, 1.0, 5.0, 1e4, 1e8))
        for zero_points in ((-128, 127), (127, -128), (0, -4))
    ]
    check(cases)


@pytest.mark.parametrize("op", ["QUANTIZE", "RELU", "RELU6"])
def test_rescaling_functions(check, op):
    rng = np.random.default_rng(5)
    cases = [
        table(rng, op, (scale, scale / gain), zero_points)
        for scale, gain in itertools.product(SCALES, (1.0, 0.5, 0.37, 3.0, 1e-6, 1e-11, 1e6, 1e9))
        for zero_points in ((-128, 127), (127, -128), (0, -4))
    ]
    check(cases)


def test_leaky_relu(check):
    rng = np.random.default_rng(7)
    cases = [
        table(rng, "LEAKY_RELU", (scale, scale / gain), zero_points, alpha=alpha)
        for scale, gain in itertools.product(SCALES, (1.0, 0.37, 3.0, 1e-6, 1e6))
        for zero_points, alpha in (
            ((-128, 127), 0.1),
            ((127, -128), 0.0),
            ((0, -4), 0.3),
            ((5, 5), 1.7),
            ((7, 9), -0.6),
        )
    ]
    check(cases)


@pytest.mark.parametrize("op", ["ABS", "ELU"])
def test_functions_of_floats_and_magnitudes(check, op):
    rng = np.random.default_rng(9)
    cases = [
        table(rng, op, (scale, scale / gain), zero_points)
        for scale, gain in itertools.product(SCALES, (1.0, 0.37, 3.0, 1e-6, 100.0))
        for zero_points in ((-128, 127), (127, -128), (0, -4))
    ]
    check(cases)


def test_rsqrt(check):
    """TFLite Micro stops at values below zero."""
    rng = np.random.default_rng(10)
    cases = []
    for scale, result, zero_point in itertools.product(SCALES, (1e-3, 0.01, 0.1, 1.0), (-128, -100, 0)):
        case = table(rng, "RSQRT", (scale, result / scale**0.5), (zero_point, -128))
        cases.append(dataclasses.replace(case, inputs=[np.maximum(case.inputs[0], np.int8(zero_point))]))
    check(cases)


@pytest.mark.parametrize("op", ["EXP", "LOG", "RELU_0_TO_1", "RELU_N1_TO_1", "SQRT"])
def test_functions_that_only_litert_has(tmp_path, op):
    rng = np.random.default_rng(11)
    for scale, result in itertools.product((0.0009, 0.0123, 0.05, 1 / 16, 0.3, 7.7), (0.001, 0.02, 1 / 16, 1.0)):
        for zero_points in ((-128, -128), (-128, 127), (17, -4)):
            if op == "SQRT" and zero_points[0] != -128:
                continue  # It stops at values below zero.
            case = table(rng, op, (scale, result), zero_points)
            call = lower(read_operator(case.model, tmp_path))
            (tmp_path / "case.tflite").write_bytes(case.model)
            expected = LitertRuntime(tmp_path / "case.tflite").run(case.inputs[0][0])
            found = call.fields["table"].values[case.inputs[0][0].astype(int) + 128]
            np.testing.assert_array_equal(found, expected, err_msg=case.label)


@pytest.mark.parametrize("depth", [1, 2, 7, 16, 300, 4095])
def test_log_softmax(check, depth):
    rng = np.random.default_rng(depth)
    cases = []
    for scale in (1e-5, 0.0009, 0.0123, 0.05, 0.3, 1.0, 7.7, 100.0):
        for zero_point in (-128, 127):
            source, output = TensorSpec((1, 2, depth), scale, zero_point), TensorSpec((1, 2, depth), 1 / 16, 127)
            values = [int8_values(rng, 2, 1, 2, depth)]
            cases.append(Case(f"{scale} {zero_point}", one_operator("LOG_SOFTMAX", [source], output), values))
    check(cases)


@pytest.mark.parametrize("depth", [1, 2, 7, 16, 300])
def test_l2_normalization(check, depth):
    rng = np.random.default_rng(depth)
    check([l2_normalization(rng, (2, 3, depth), zero_point) for zero_point in (-128, -3, 0, 127)])


@pytest.mark.parametrize("approximate", [False, True])
def test_gelu(tmp_path, approximate):
    rng = np.random.default_rng(8)
    for scale, ratio in itertools.product(SCALES, (1 / 64, 0.37, 1.0, 5.0)):
        for zero_points in ((-128, 127), (127, -128), (0, -4), (17, -121)):
            case = table(rng, "GELU", (scale, scale * ratio), zero_points, approximate=approximate)
            call = lower(read_operator(case.model, tmp_path))
            (tmp_path / "case.tflite").write_bytes(case.model)
            expected = LitertRuntime(tmp_path / "case.tflite").run(case.inputs[0][0])
            found = call.fields["table"].values[case.inputs[0][0].astype(int) + 128]
            np.testing.assert_array_equal(found, expected, err_msg=case.label)


def test_table_under_sanitisers(check_sanitised):
    rng = np.random.default_rng(6)
    check_sanitised([table(rng), l2_normalization(rng, (2, 400), 127), l2_normalization(rng, (2, 1))])
