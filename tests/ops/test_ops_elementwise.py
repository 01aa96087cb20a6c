import itertools

import numpy as np
import pytest
from ops.case_builders import ACTIVATIONS, cast, comparison, elementwise, prelu, select

OPS = ("ADD", "SUB", "MUL")
EXTREMA = ("MAXIMUM", "MINIMUM")
WITHOUT_ACTIVATION = ("SQUARED_DIFFERENCE", *EXTREMA)

COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")

BROADCASTS = (
    ((1,), (1,)),
    ((1, 17), (1, 17)),
    ((1, 3, 4, 5), (1,)),
    ((1,), (1, 3, 4, 5)),
    ((1, 3, 4, 5), (5,)),
    ((5,), (1, 3, 4, 5)),
    ((1, 3, 4, 5), (1, 3, 4, 1)),
    ((1, 3, 4, 5), (1, 1, 1, 5)),
    ((1, 3, 4, 5), (1, 3, 1, 5)),
    ((1, 3, 1, 5), (1, 1, 4, 1)),
    ((2, 1, 4, 1), (1, 3, 1, 5)),
    ((2, 3, 4), (3, 1)),
    ((1, 1), (7, 15)),
)


@pytest.mark.parametrize("op", [*OPS, *WITHOUT_ACTIVATION])
def test_broadcasting(check, op):
    rng = np.random.default_rng(1)
    check([elementwise(rng, op, shapes) for shapes in BROADCASTS])


@pytest.mark.parametrize("op", [*OPS, *WITHOUT_ACTIVATION])
def test_constant_operands(check, op):
    rng = np.random.default_rng(2)
    cases = [elementwise(rng, op, shapes, constant_operand) for shapes in BROADCASTS[2:] for constant_operand in (0, 1)]
    check(cases)


@pytest.mark.parametrize("op", OPS)
def test_quantisation(check, op):
    rng = np.random.default_rng(3)
    # A product of small scales has no room for the 6 of RELU6.
    ratios = (1.0, 0.37, 0.05, 300.0) if op == "MUL" else (1.0, 0.37, 1e-4, 1e-9, 300.0)
    cases = [
        elementwise(rng, op, activation=activation, ratio=ratio, gain=gain, zero_points=zero_points)
        for activation, ratio, gain in itertools.product(ACTIVATIONS, ratios, (1.0, 0.01, 1e-5, 1000.0))
        for zero_points in ((-128, 127, 0), (127, -128, -128), (0, 0, 127))
    ]
    check(cases)


@pytest.mark.parametrize("op", COMPARISONS)
def test_comparisons(check, op):
    rng = np.random.default_rng(9)
    cases = [comparison(rng, op, shapes, constant) for shapes in BROADCASTS for constant in (None, 1)]
    cases += [
        comparison(rng, op, ((2, 200), (2, 200)), None, scales, zero_points)
        for scales in ((0.99, 0.5), (0.004, 0.004), (1e-6, 0.7), (1e-9, 1e-9))
        for zero_points in ((-128, 127), (0, 0), (127, -128))
    ]
    check(cases)


def test_select(check):
    rng = np.random.default_rng(10)
    shapes = (
        ((1, 3, 4, 5),) * 3,
        ((1, 3, 4, 1), (1, 3, 4, 5), (1,)),
        ((1, 1, 4, 1), (5,), (1, 3, 4, 1)),
        ((4, 1), (2, 4, 1), (2, 1, 7)),
        ((1, 17), (1, 17), (1, 1)),
    )
    check([select(rng, sizes, constants) for sizes in shapes for constants in ((), (0,), (1,), (2,), (1, 2), (0, 2))])


def test_cast(check):
    rng = np.random.default_rng(11)
    types = (np.bool_, np.int8, np.int16, np.int32)
    targets = (np.int8, np.int16, np.int32, np.float32)
    check([cast(rng, source, target) for source in types for target in targets if source != target])


def test_squared_difference_quantisation(check):
    rng = np.random.default_rng(7)
    cases = [
        elementwise(rng, "SQUARED_DIFFERENCE", ratio=ratio, gain=gain, zero_points=zero_points)
        for ratio, gain in itertools.product((1.0, 0.37, 1e-4, 1e-9, 300.0), (1.0, 0.01, 1e-5, 1000.0, 1e7))
        for zero_points in ((-128, 127, 0), (127, -128, -128), (0, 0, 127))
    ]
    check(cases)


def test_prelu(check):
    rng = np.random.default_rng(8)
    shapes = (
        ((1, 3, 4, 5), (1, 1, 5)),
        ((2, 3, 4, 5), (1,)),
        ((2, 3, 4, 5), (3, 4, 5)),
        ((2, 3, 4, 5), (2, 1, 4, 1)),
        ((1, 17), (17,)),
    )
    cases = [prelu(rng, *pair) for pair in shapes]
    cases += [
        prelu(rng, gain=gain, slope_scale=slope_scale, zero_points=zero_points)
        for gain, slope_scale in itertools.product((1.0, 0.37, 1e-5, 1000.0), (1e-7, 0.01, 1.0))
        for zero_points in ((-128, 127, 0), (127, -128, -128), (0, 0, 127))
    ]
    check(cases)


def test_mul_with_factors_far_above_one(check):
    rng = np.random.default_rng(4)
    check([elementwise(rng, "MUL", gain=gain) for gain in (1e5, 3e7, 1e9)])


def test_sum_of_scales_that_tie(check):
    rng = np.random.default_rng(5)
    # Equal scales and halves of them make exact halves, where the two roundings part.
    cases = [
        elementwise(rng, op, ((1, 2048), (1, 2048)), ratio=ratio, gain=gain)
        for op, ratio, gain in itertools.product(("ADD", "SUB"), (1.0, 0.5, 0.25), (0.5, 0.25, 0.125))
    ]
    check(cases)


def test_elementwise_under_sanitisers(check_sanitised):
    rng = np.random.default_rng(6)
    cases = [
        elementwise(rng, op, ((2, 1, 4, 1), (1, 3, 1, 5)), zero_points=(-128, 127, 127), gain=gain)
        for op, gain in itertools.product(OPS, (1.0, 1000.0))
    ]
    cases += [
        elementwise(rng, op, ((2, 1, 4, 1), (1, 3, 1, 5)), constant)
        for op in WITHOUT_ACTIVATION
        for constant in (None, 1)
    ]
    cases += [prelu(rng, gain=gain, slope_scale=1.0, zero_points=(127, -128, 127)) for gain in (1.0, 1e8)]
    cases.append(elementwise(rng, "MUL", ((1, 3, 4, 5), (5,)), 1, gain=1e9))
    check_sanitised(cases)
