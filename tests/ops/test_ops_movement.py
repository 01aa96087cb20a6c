import itertools

import numpy as np
from ops.case_builders import concatenation, pad, reshape, strided_slice, transpose


def movement_cases(rng):
    yield from (transpose(rng, (1, 3, 4, 5), order) for order in itertools.permutations(range(4)))
    yield from (transpose(rng, (2, 3, 1, 2, 3), order) for order in itertools.permutations(range(5)))
    yield from (transpose(rng, (7, 15), order) for order in ((0, 1), (1, 0)))
    yield transpose(rng, (9,), (0,))

    yield strided_slice(rng, (1, 8, 7, 3), (slice(0, 1, 1), slice(1, 7, 2), slice(0, 7, 3), slice(0, 3, 1)))
    yield strided_slice(rng, (1, 8, 7, 3), (slice(0, 1, 1), slice(-3, -1, 1), slice(6, -7, -2), slice(2, 0, -1)))
    yield strided_slice(rng, (8, 7), (slice(2, 99, 1), slice(-99, 5, 2)))
    yield strided_slice(rng, (8, 7), (slice(5, 1, 1), slice(3, 4, 1)), begin_mask=1, end_mask=3)
    yield strided_slice(rng, (8, 7), (slice(5, 1, -1), slice(3, 4, -2)), begin_mask=2, end_mask=3)
    yield strided_slice(rng, (4, 5, 6), (slice(2, 3, 1), slice(0, 5, 2), slice(-2, 0, 1)), shrink_axis_mask=5)
    yield strided_slice(rng, (17,), (slice(15, 3, -4),))

    yield pad(rng, (1, 4, 5, 3), ((0, 0), (1, 1), (2, 0), (0, 0)))
    yield pad(rng, (1, 4, 5, 3), ((0, 0), (0, 1), (0, 1), (0, 0)), zero_point=-128)
    yield pad(rng, (1, 4, 5, 3), ((0, 0), (0, 0), (0, 0), (1, 2)), value=77)
    yield pad(rng, (2, 2, 3, 2), ((1, 0), (0, 2), (3, 0), (0, 1)), value=-128)
    yield pad(rng, (2, 2, 1, 3, 2), ((1, 0), (0, 2), (3, 0), (0, 1), (1, 1)))
    yield pad(rng, (7, 3), ((0, 0), (0, 0)))
    yield pad(rng, (5,), ((2, 3),), zero_point=127)

    yield from (concatenation(rng, ((2, 3, 4), (2, 3, 4)), axis) for axis in (0, 1, 2, -1, -3))
    yield concatenation(rng, ((1, 3, 4, 1), (1, 3, 4, 7), (1, 3, 4, 16)), 3)
    yield concatenation(rng, ((1, 5),), 1)
    yield concatenation(rng, tuple((1, size) for size in range(1, 11)), 1)

    yield reshape(rng, (1, 3, 4, 5), (1, 60))
    yield reshape(rng, (6,), (1, 2, 3))


def test_movement(check):
    check(list(movement_cases(np.random.default_rng(1))))


def test_movement_under_sanitisers(check_sanitised):
    check_sanitised(list(movement_cases(np.random.default_rng(2))))
