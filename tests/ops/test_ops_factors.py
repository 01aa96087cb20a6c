"""Inputs at which a factor derived in single precision would round to another output.

TFLite Micro derived some factors (FULLY_CONNECTED's, SUB's, RELU's) in single precision for years; the interpreter that
is the reference derives all of them in double precision, and only the bounds of activations in single precision.
"""

import numpy as np
import pytest
from compiler.tflite_builder import TensorSpec, constant, one_operator
from ops.kernel_cases import Case

from tinyedge.tflite.fixed_point import quantise_multiplier, requantise, round_half_away


def _single(*values: float) -> list[np.float32]:
    return [np.float32(value) for value in values]


def _parting(single: float, double: float) -> list[int]:
    """Accumulators near the rounding boundaries that part two factors of nearly the same size."""
    narrow, wide = quantise_multiplier(single), quantise_multiplier(double)
    centres = np.array([int((level + 0.5) / double) for level in range(-100, 100)])
    near = centres[:, np.newaxis] + np.arange(-400, 400)
    parted = requantise(near, *narrow) != requantise(near, *wide)
    return [int(values[0]) for values in (row[apart] for row, apart in zip(near, parted, strict=True)) if values.size]


def _product_scales(rng: np.random.Generator) -> tuple[np.float32, np.float32, np.float32]:
    """Two scales and an output scale with a factor of about 1e-7, which makes wide accumulators."""
    first, second = _single(np.exp(rng.uniform(-6, 1)), np.exp(rng.uniform(-8, -4)))
    return first, second, np.float32(float(first) * float(second) / 10 ** rng.uniform(-7, -6.5))


@pytest.mark.parametrize("op", ["FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D"])
def test_weighted_factors(check, op):
    rng = np.random.default_rng(1)
    cases = []
    for index in range(8):
        source, weight, output = _product_scales(rng)
        biases = _parting(float(source * weight) / float(output), float(source) * float(weight) / float(output))
        if not biases:
            continue
        channels = len(biases)
        shapes = {
            "FULLY_CONNECTED": ((1, 1), (channels, 1), (1, channels)),
            "CONV_2D": ((1, 1, 1, 1), (channels, 1, 1, 1), (1, 1, 1, channels)),
            "DEPTHWISE_CONV_2D": ((1, 1, 1, 1), (1, 1, 1, channels), (1, 1, 1, channels)),
        }[op]
        inputs = [
            TensorSpec(shapes[0], source),
            constant(np.zeros(shapes[1], np.int8), weight),
            constant(np.array(biases, np.int32), source * weight),
        ]
        options = {} if op == "FULLY_CONNECTED" else {"strideH": 1, "strideW": 1}
        if op == "DEPTHWISE_CONV_2D":
            options["depthMultiplier"] = channels
        model = one_operator(op, inputs, TensorSpec(shapes[2], output), **options)
        cases.append(Case(f"{op} {index}", model, [np.zeros((1, *shapes[0]), np.int8)]))
    assert len(cases) > 5
    check(cases)


def test_batch_matmul_factor(check):
    rng = np.random.default_rng(2)
    cases = []
    depth = 20_001
    for index in range(6):
        first, second, output = _product_scales(rng)
        sums = _parting(float(first * second) / float(output), float(first) * float(second) / float(output))
        sums = [value for value in sums if 0 < value < depth * 60_000][:8]
        if not sums:
            continue
        # Differences from the zero point: 255 everywhere but a last 1 on the left, digits of the sum on the right.
        left = np.full((1, 1, depth), 127, np.int8)
        left[..., -1] = -127
        right = np.zeros((depth, len(sums)), np.int64)
        for column, value in enumerate(sums):
            quotient, right[-1, column] = divmod(value, 255)
            full, rest = divmod(quotient, 255)
            right[:full, column] = 255
            right[full, column] = rest
        inputs = [TensorSpec((1, depth), first, -128), constant((right - 128).astype(np.int8), second, -128)]
        model = one_operator("BATCH_MATMUL", inputs, TensorSpec((1, len(sums)), output))
        cases.append(Case(f"BATCH_MATMUL {index}", model, [left]))
    assert cases
    check(cases)


@pytest.mark.parametrize("op", ["QUANTIZE", "RELU", "MEAN"])
def test_rescaling_factors(check, op):
    rng = np.random.default_rng(3)
    given = np.arange(128)
    cases = []
    for index in range(1000):
        source = np.float32(np.exp(rng.uniform(-6, 1)))
        output = np.float32(float(source) * rng.integers(1, 60) / rng.integers(1, 60))
        narrow, wide = quantise_multiplier(float(source / output)), quantise_multiplier(float(source) / float(output))
        parted = np.clip(requantise(given, *narrow), 0, 127) != np.clip(requantise(given, *wide), 0, 127)
        values = given[parted]
        if not values.size:
            continue
        inputs = [TensorSpec((1, len(values)), source)]
        if op == "MEAN":
            inputs.append(constant(np.array([0], np.int32)))
        options = {"keepDims": True} if op == "MEAN" else {}
        model = one_operator(op, inputs, TensorSpec((1, len(values)), output), **options)
        cases.append(Case(f"{op} {index}", model, [values.astype(np.int8).reshape(1, 1, -1)]))
    assert len(cases) > 5
    check(cases)


@pytest.mark.parametrize("op", ["ADD", "SUB"])
def test_sum_factors(check, op):
    rng = np.random.default_rng(4)
    sign = 1 if op == "ADD" else -1
    pairs = np.array([(x, y) for x in range(-128, 128, 5) for y in range(-128, 128, 7)])

    def results(factors: list[tuple[int, int]]) -> np.ndarray:
        first, second = (requantise(values << 20, *factor) for values, factor in zip(pairs.T, factors, strict=False))
        return np.clip(requantise(first + sign * second, *factors[2]), -128, 127)

    cases = []
    for index in range(60):
        first = np.float32(np.exp(rng.uniform(-6, 1)))
        second = np.float32(float(first) * rng.integers(1, 30) / rng.integers(1, 30))
        output = np.float32(max(float(first), float(second)) * rng.integers(1, 30) / rng.integers(1, 30))
        common = np.float32(2) * max(first, second)
        single = [first / common, second / common, common / (np.float32(2**20) * output)]
        double = [float(first) / float(common), float(second) / float(common), float(common) / (2**20 * float(output))]
        narrow, wide = ([quantise_multiplier(float(f)) for f in factors] for factors in (single, double))
        parting = pairs[results(narrow) != results(wide)]
        if not len(parting):
            continue
        inputs = [TensorSpec((1, len(parting)), first), TensorSpec((1, len(parting)), second)]
        model = one_operator(op, inputs, TensorSpec((1, len(parting)), output))
        values = parting.astype(np.int8).T.reshape(2, 1, 1, -1)
        cases.append(Case(f"{op} {index}", model, [values[0], values[1]]))
    assert len(cases) > 3
    check(cases)


@pytest.mark.parametrize("op", ["ADD", "RELU6"])
def test_bounds_of_activations_are_rounded_in_single_precision(check, op):
    cases = []
    for level in range(1, 120):
        middle = np.float32(6 / (level + 0.5))
        for scale in (middle, np.nextafter(middle, np.float32(9)), np.nextafter(middle, np.float32(0))):
            if round_half_away(float(np.float32(6) / scale)) == round_half_away(6 / float(scale)):
                continue
            source, output = TensorSpec((1, 2), scale), TensorSpec((1, 2), scale)
            if op == "RELU6":
                model = one_operator(op, [source], output)
            else:
                zeros = constant(np.zeros((1, 2), np.int8), scale)
                model = one_operator(op, [source, zeros], output, fusedActivationFunction="RELU6")
            cases.append(Case(f"{op} {scale!r}", model, [np.full((1, 1, 2), 127, np.int8)]))
    assert len(cases) > 5
    check(cases)


def cases_of_every_shift() -> list[Case]:
    """Products of five rows, as kernels take them by four and by one, with factors from 2^-32 to 2^3."""
    rng = np.random.default_rng(3)
    cases = []
    for exponent in range(-32, 4):
        source, weight = np.float32(0.5), np.float32(0.25)
        output = np.float32(float(source) * float(weight) * 1.7 / 2.0**exponent)
        inputs = [
            TensorSpec((5, 7), source, -3),
            constant(rng.integers(-127, 128, (3, 7)).astype(np.int8), weight),
            constant(rng.integers(-(2**13), 2**13, 3).astype(np.int32), source * weight),
        ]
        model = one_operator("FULLY_CONNECTED", inputs, TensorSpec((5, 3), output, 11))
        cases.append(Case(f"2^{exponent}", model, [rng.integers(-128, 128, (4, 5, 7)).astype(np.int8)]))
    return cases


def test_every_shift(check):
    check(cases_of_every_shift())
