"""Pooling, means and matrix products."""

import dataclasses
import itertools

import numpy as np
import pytest
from ops.case_builders import ACTIVATIONS, arg_extremum, batch_matmul, pool, reduction

POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
SUMS_AND_EXTREMES = ("SUM", "REDUCE_MAX", "REDUCE_MIN")


@pytest.mark.parametrize("op", POOLS)
def test_pool_windows(check, op):
    rng = np.random.default_rng(1)
    cases = [
        pool(rng, op, (batches, height, width, channels), kernel, stride, padding)
        for batches, height, width, channels in ((1, 7, 5, 3), (2, 9, 16, 1), (1, 8, 8, 17))
        for kernel, stride, padding in itertools.product(
            ((1, 1), (2, 2), (3, 5), (7, 4)), ((1, 1), (2, 3), (8, 8)), ("SAME", "VALID")
        )
    ]
    cases += [
        pool(rng, op, (1, 2, 1, 4), (5, 7), (1, 1), "SAME"),
        pool(rng, op, (1, 24, 24, 2), (24, 24), (1, 1), "VALID"),
    ]
    check(cases)


@pytest.mark.parametrize("op", POOLS)
def test_pool_of_fours_of_channels_and_of_the_largest_sums(check, op):
    rng = np.random.default_rng(4)
    cases = [pool(rng, op, (1, 9, 6, channels), (2, 2), (2, 2), "SAME") for channels in (4, 5, 8, 11)]
    for size in (16, 17):  # 256 positions, whose sum is the last of 16 bits, and more.
        case = pool(rng, op, (1, size, size, 5), (size, size), (1, 1), "VALID")
        ends = [np.full_like(case.inputs[0][:1], value) for value in (-128, 127)]
        cases.append(dataclasses.replace(case, inputs=[np.concatenate([case.inputs[0], *ends])]))
    check(cases)


@pytest.mark.parametrize("op", POOLS)
def test_pool_activations(check, op):
    rng = np.random.default_rng(2)
    cases = [
        pool(rng, op, activation=activation, zero_point=zero_point)
        for activation, zero_point in itertools.product(ACTIVATIONS, (-128, 0, 127))
    ]
    check(cases)


@pytest.mark.parametrize("op", ["MEAN", *SUMS_AND_EXTREMES])
def test_reduced_axes(check, op):
    rng = np.random.default_rng(3)
    cases = [
        reduction(rng, op, shape, axes, keep_dims)
        for shape, axes in (
            ((1, 7, 5, 3), (1, 2)),
            ((1, 7, 5, 3), (2, 1)),
            ((1, 7, 5, 3), (-1,)),
            ((2, 7, 5, 3), (1,)),
            ((2, 7, 5, 3), (0, 2)),
            ((2, 7, 5, 3), (1, 3)),
            ((2, 7, 5, 3), (1, -2, 1, 2)),
            ((2, 3, 4, 5), (0, 1, 2)),
            ((1, 16, 16), (1,)),
            ((1, 16, 17), (-1,)),
            ((1, 9), (1,)),
            ((1, 1, 1, 5), (1, 2)),
            ((1, 32, 32, 17), (1, 2)),
            ((2, 3, 4, 5), (0, 1, 2, 3)),
            ((2, 3, 4, 5), ()),
            ((2, 3, 4, 5), 2),
            ((2, 3, 2, 3, 2), (1, 3)),
            ((2, 3, 2, 3, 2), (0, 2, 4)),
        )
        for keep_dims in (True, False)
    ]
    check(cases)


@pytest.mark.parametrize("op", ["MEAN", "SUM"])
def test_reduced_quantisation(check, op):
    rng = np.random.default_rng(4)
    cases = [
        reduction(rng, op, (1, height, 3, 5), gain=gain, zero_points=zero_points)
        for height, gain in itertools.product((1, 4, 7), (1.0, 0.3, 20.0, 1e5, 1e-5, 1e-9, 3e8))
        for zero_points in ((-128, 127), (127, -128), (0, 0))
    ]
    check(cases)


def test_means_of_the_largest_sums(check):
    """What is summed in parts, as more values do not fit the width of the sums."""
    rng = np.random.default_rng(9)
    cases = [reduction(rng, "MEAN", (1, height, 3, 5), zero_points=(3, 3)) for height in (85, 86, 171, 172)]
    check(
        [
            dataclasses.replace(case, inputs=[np.full_like(case.inputs[0], value)])
            for case in cases
            for value in (-128, 127)
        ]
    )


@pytest.mark.parametrize("op", ["ARG_MAX", "ARG_MIN"])
def test_arg_extremum(check, op):
    rng = np.random.default_rng(9)
    cases = [
        arg_extremum(rng, op, shape, axis)
        for shape in ((1, 10), (17,), (2, 3, 5), (1, 7, 5, 3))
        for axis in range(-len(shape), len(shape))
    ]
    check(cases)


def test_batch_matmul_sizes(check):
    rng = np.random.default_rng(5)
    cases = [
        batch_matmul(rng, sizes=sizes, adj_x=adj_x, adj_y=adj_y, constant_operand=constant_operand)
        for sizes in ((1, 1, 1), (3, 5, 4), (16, 17, 15), (2, 64, 7))
        for adj_x, adj_y, constant_operand in itertools.product((False, True), (False, True), (None, 0, 1))
    ]
    check(cases)


@pytest.mark.parametrize(
    "batches",
    [
        ((), ()),
        ((3,), (3,)),
        ((2, 3), (2, 3)),
        ((2, 1, 3), (2, 1, 3)),
        ((2, 3, 2), (2, 3, 2)),
        ((2, 3), (1, 3)),
        ((2, 3), (2, 1)),
        ((2, 1), (2, 3)),
        ((1, 3), (2, 1)),
        ((2, 3), (1, 1)),
        ((2, 3), (1,)),
        ((2, 3), (3,)),
        ((3,), (2, 3)),
        ((2, 3), ()),
        ((), (2, 3)),
    ],
)
def test_batch_matmul_broadcasting(check, batches):
    rng = np.random.default_rng(6)
    check([batch_matmul(rng, batches, adj_x=x, adj_y=y) for x, y in itertools.product((False, True), repeat=2)])


def test_batch_matmul_quantisation(check):
    rng = np.random.default_rng(7)
    cases = [
        batch_matmul(rng, gain=gain, zero_points=zero_points)
        for gain in (1.0, 1e-3, 1e-8, 100.0, 1e6)
        for zero_points in ((-128, 127, 0), (127, -128, 127), (0, 0, -128))
    ]
    check(cases)


def test_reductions_under_sanitisers(check_sanitised):
    rng = np.random.default_rng(8)
    cases = [pool(rng, op, (2, 5, 4, 3), (3, 3), (2, 1)) for op in POOLS]
    cases += [
        reduction(rng, "MEAN", (2, 5, 4, 3), axes, gain=1e8, zero_points=(127, -128))
        for axes in ((1, 2), (0, 2), (-1,))
    ]
    cases += [reduction(rng, op, (2, 5, 4, 3), (0, 2), gain=1e8) for op in SUMS_AND_EXTREMES]
    cases += [arg_extremum(rng, op, (2, 5, 4, 3), axis) for op in ("ARG_MAX", "ARG_MIN") for axis in (0, -1)]
    cases += [
        batch_matmul(rng, ((2, 1), (1, 3)), adj_x=x, adj_y=y, gain=1e8, zero_points=(127, -128, 127))
        for x, y in itertools.product((False, True), repeat=2)
    ]
    check_sanitised(cases)
