import itertools

import numpy as np
import pytest
from ops.case_builders import concatenation, moved, pad, reshape, strided_slice, taken_apart, transpose
from ops.kernel_cases import litert_outputs

DTYPES = (np.int8, np.int16)


def movement_cases(rng, dtype=np.int8):
    def of(build, *args, **options):
        return build(rng, *args, dtype=dtype, **options)

    yield from (of(transpose, (1, 3, 4, 5), order) for order in itertools.permutations(range(4)))
    yield from (of(transpose, (2, 3, 1, 2, 3), order) for order in itertools.permutations(range(5)))
    yield from (of(transpose, (7, 15), order) for order in ((0, 1), (1, 0)))
    yield of(transpose, (9,), (0,))

    yield of(strided_slice, (1, 8, 7, 3), (slice(0, 1, 1), slice(1, 7, 2), slice(0, 7, 3), slice(0, 3, 1)))
    yield of(strided_slice, (1, 8, 7, 3), (slice(0, 1, 1), slice(-3, -1, 1), slice(6, -7, -2), slice(2, 0, -1)))
    yield of(strided_slice, (8, 7), (slice(2, 99, 1), slice(-99, 5, 2)))
    yield of(strided_slice, (8, 7), (slice(5, 1, 1), slice(3, 4, 1)), begin_mask=1, end_mask=3)
    yield of(strided_slice, (8, 7), (slice(5, 1, -1), slice(3, 4, -2)), begin_mask=2, end_mask=3)
    yield of(strided_slice, (4, 5, 6), (slice(2, 3, 1), slice(0, 5, 2), slice(-2, 0, 1)), shrink_axis_mask=5)
    yield of(strided_slice, (17,), (slice(15, 3, -4),))

    yield of(pad, (1, 4, 5, 3), ((0, 0), (1, 1), (2, 0), (0, 0)))
    yield of(pad, (1, 4, 5, 3), ((0, 0), (0, 1), (0, 1), (0, 0)), zero_point=-128)
    yield of(pad, (1, 4, 5, 3), ((0, 0), (0, 0), (0, 0), (1, 2)), value=77)
    yield of(pad, (2, 2, 3, 2), ((1, 0), (0, 2), (3, 0), (0, 1)), value=-128)
    yield of(pad, (2, 2, 1, 3, 2), ((1, 0), (0, 2), (3, 0), (0, 1), (1, 1)))
    yield of(pad, (7, 3), ((0, 0), (0, 0)))
    yield of(pad, (5,), ((2, 3),), zero_point=127)

    yield from (of(concatenation, ((2, 3, 4), (2, 3, 4)), axis) for axis in (0, 1, 2, -1, -3))
    yield of(concatenation, ((1, 3, 4, 1), (1, 3, 4, 7), (1, 3, 4, 16)), 3)
    yield of(concatenation, ((1, 5),), 1)
    yield of(concatenation, tuple((1, size) for size in range(1, 11)), 1)
    yield of(concatenation, ((2, 3, 5), (2, 3, 1), (2, 3, 2)), 2, constants=(1,))
    yield of(concatenation, ((2, 9), (3, 9), (1, 9), (4, 9)), 0, constants=(0, 3))
    yield from (of(concatenation, ((3, 5),) * 3, axis, op="PACK") for axis in (0, 1, 2, -1))
    yield of(concatenation, ((1, 7),) * 2, 0, constants=(1,), op="PACK")
    yield of(concatenation, ((),) * 3, 0, op="PACK")

    yield of(reshape, (1, 3, 4, 5), (1, 60))
    yield of(reshape, (6,), (1, 2, 3))

    yield of(moved, "SLICE", (1, 8, 7, 3), (1, 5, 7, 2), (0, 1, 0, 1), (1, 5, -1, 2))
    yield of(moved, "SLICE", (5, 9), (2, 9), (3, 0), (-1, -1))
    yield of(moved, "SLICE", (2, 3, 2, 4, 3), (1, 2, 1, 3, 2), (1, 1, 1, 0, 1), (1, 2, 1, 3, 2))
    yield from (of(moved, "EXPAND_DIMS", (3, 4), shape, (axis,)) for axis, shape in ((0, (1, 3, 4)), (-1, (3, 4, 1))))
    yield of(moved, "SQUEEZE", (1, 3, 1, 4), (3, 4), squeezeDims=[0, 2])
    yield of(moved, "SQUEEZE", (1, 3, 1, 4), (3, 4))
    yield of(moved, "RESHAPE", (1, 3, 4), (4, 3), newShape=[4, 3])

    yield of(moved, "BROADCAST_TO", (1, 3, 1), (2, 3, 4), (2, 3, 4))
    yield of(moved, "BROADCAST_TO", (5,), (2, 3, 5), (2, 3, 5))
    yield of(moved, "BROADCAST_TO", (2, 1, 3, 1), (2, 4, 3, 7), (2, 4, 3, 7))
    yield of(moved, "REVERSE_V2", (2, 3, 4), (2, 3, 4), (1,))
    yield of(moved, "REVERSE_V2", (2, 3, 4), (2, 3, 4), (-1,))
    yield of(moved, "REVERSE_V2", (9,), (9,), (0,))

    for op, shape, sizes, axis in (
        ("SPLIT", (1, 4, 5, 6), (2, 2, 2), 3),
        ("SPLIT", (1, 4, 5, 6), (2, 2), -3),
        ("SPLIT", (7,), (7,), 0),
        ("SPLIT_V", (1, 4, 5, 9), (2, 6, 1), 3),
        ("SPLIT_V", (1, 9, 2), (4, 5), 1),
        ("UNPACK", (3, 4, 5), (1, 1, 1), 0),
        ("UNPACK", (3, 4, 5), (1,) * 4, 1),
        ("UNPACK", (3, 4, 5), (1,) * 5, -1),
    ):
        yield from of(taken_apart, op, shape, sizes, axis)


def lookup_cases(rng, dtype=np.int8, peer=None):
    """Lookups, borders and blocks of a batch; TFLite Micro has them for int8 only."""

    def of(*args, **options):
        return moved(rng, *args, dtype=dtype, peer=peer, **options)

    yield of("GATHER", (4, 5), (3, 5), (3, 0, 3), axis=0)
    yield of("GATHER", (1, 4, 5, 3), (1, 4, 2, 2, 3), ((4, 1), (0, 0)), axis=2)
    yield of("GATHER", (1, 4, 5, 7), (1, 4, 5, 6), (6, 5, 4, 4, 0, 1), axis=-1)
    yield of("GATHER", (3, 5), (3,), 2, axis=1)

    for mode in ("REFLECT", "SYMMETRIC"):
        yield of("MIRROR_PAD", (1, 4, 5, 3), (1, 7, 7, 3), ((0, 0), (1, 2), (2, 0), (0, 0)), mode=mode)
        yield of("MIRROR_PAD", (1, 4, 5, 3), (1, 4, 8, 3), ((0, 0), (0, 0), (1, 2), (0, 0)), mode=mode)
        yield of("MIRROR_PAD", (2, 4, 1, 3), (2, 10, 1, 7), ((0, 0), (3, 3), (0, 0), (2, 2)), mode=mode)
        yield of("MIRROR_PAD", (3, 4), (7, 8), ((2, 2), (1, 3)), mode=mode)
        yield of("MIRROR_PAD", (3, 4), (3, 4), ((0, 0), (0, 0)), mode=mode)

    yield of("SPACE_TO_BATCH_ND", (1, 4, 6, 3), (4, 2, 3, 3), (2, 2), ((0, 0), (0, 0)))
    yield of("SPACE_TO_BATCH_ND", (2, 4, 6, 3), (12, 2, 2, 3), (2, 3), ((0, 0), (0, 0)))
    yield of("SPACE_TO_BATCH_ND", (1, 9, 5), (3, 3, 5), (3,), ((0, 0),))
    yield of("BATCH_TO_SPACE_ND", (4, 2, 3, 3), (1, 4, 6, 3), (2, 2), ((0, 0), (0, 0)))
    yield of("BATCH_TO_SPACE_ND", (12, 2, 2, 3), (2, 4, 6, 3), (2, 3), ((0, 0), (0, 0)))
    yield of("BATCH_TO_SPACE_ND", (3, 3, 5), (1, 9, 5), (3,), ((0, 0),))


def block_cases(rng, dtype=np.int8, peer=None):
    def of(*args, **options):
        return moved(rng, *args, dtype=dtype, peer=peer, **options)

    yield of("DEPTH_TO_SPACE", (1, 3, 4, 12), (1, 6, 8, 3), blockSize=2)
    yield of("DEPTH_TO_SPACE", (2, 2, 1, 27), (2, 6, 3, 3), blockSize=3)
    yield of("SPACE_TO_DEPTH", (1, 6, 8, 3), (1, 3, 4, 12), blockSize=2)
    yield of("SPACE_TO_DEPTH", (2, 6, 3, 1), (2, 2, 1, 9), blockSize=3)


def resize_cases(rng, op, dtype=np.int8):
    sizes = (
        ((3, 4), (6, 8)),
        ((3, 4), (12, 4)),
        ((7, 9), (14, 18)),
        ((7, 5), (3, 4)),
        ((5, 1), (1, 7)),
        ((31, 33), (8, 9)),
    )
    sizes += (((4, 6), (7, 11)), ((1, 1), (5, 3)), ((62, 65), (16, 16)), ((3, 5), (3, 5)))
    for ((height, width), size), (corners, half) in itertools.product(
        sizes, ((False, False), (False, True), (True, False))
    ):
        channels = int(rng.choice([1, 2, 3, 8, 17]))
        batch = 2 if size == (6, 8) else 1
        yield moved(
            rng,
            op,
            (batch, height, width, channels),
            (batch, *size, channels),
            size,
            dtype=dtype,
            alignCorners=corners,
            halfPixelCenters=half,
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_movement(check, dtype):
    check(list(movement_cases(np.random.default_rng(1), dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_movement_under_sanitisers(check_sanitised, dtype):
    check_sanitised(list(movement_cases(np.random.default_rng(2), dtype)))


def test_blocks_and_lookups(check):
    rng = np.random.default_rng(3)
    check([*lookup_cases(rng), *block_cases(rng)])


def test_blocks_and_lookups_under_sanitisers(check_sanitised):
    rng = np.random.default_rng(4)
    check_sanitised([*lookup_cases(rng), *block_cases(rng)])


@pytest.mark.parametrize(
    ("op", "dtype"),
    [("RESIZE_NEAREST_NEIGHBOR", np.int8), ("RESIZE_NEAREST_NEIGHBOR", np.int16), ("RESIZE_BILINEAR", np.int8)],
)
def test_resizing(check, op, dtype):
    check(list(resize_cases(np.random.default_rng(5), op, dtype)))


def test_resizing_under_sanitisers(check_sanitised):
    rng = np.random.default_rng(6)
    check_sanitised([*resize_cases(rng, "RESIZE_NEAREST_NEIGHBOR"), *resize_cases(rng, "RESIZE_BILINEAR")])


def test_what_tflite_micro_lacks_equals_litert(check):
    rng = np.random.default_rng(7)

    def of(*args, **options):
        return moved(rng, *args, peer=litert_outputs, **options)

    cases = [
        of("TRANSPOSE", (2, 3, 2, 3, 2, 3), (3, 2, 3, 2, 3, 2), (5, 4, 3, 2, 1, 0)),
        of("TRANSPOSE", (1, 2, 3, 2, 4, 5), (1, 2, 2, 3, 4, 5), (0, 3, 1, 2, 4, 5)),
        of("STRIDED_SLICE", (2, 3, 4, 5), (2, 3, 4, 2), (0, 1), (0, 3), (1, 1), ellipsisMask=1),
        of("STRIDED_SLICE", (2, 3, 4, 5), (1, 3, 4, 2), (1, 0, 1), (2, 0, 3), (1, 1, 1), ellipsisMask=2),
        of("STRIDED_SLICE", (3, 4), (3, 1, 3), (0, 0, 1), (3, 0, 4), (1, 1, 1), newAxisMask=2),
        of(
            *("STRIDED_SLICE", (3, 4, 5), (1, 2, 4), (0, 1, 0, 2), (0, 3, 0, 3), (1, 1, 1, 1)),
            newAxisMask=1,
            ellipsisMask=4,
            shrinkAxisMask=8,
        ),
        of("STRIDED_SLICE", (6, 7), (3, 3), (1, -4), (3, 3), (1, 1), offset=True),
        of("STRIDED_SLICE", (6, 7), (2, 7), (1,), (3,), (1,)),
        of("TILE", (1, 3, 4), (2, 3, 12), (2, 1, 3)),
        of("TILE", (2, 3, 5), (4, 9, 5), (2, 3, 1)),
        of("TILE", (7,), (21,), (3,)),
    ]
    check([*cases, *lookup_cases(rng, np.int16, litert_outputs)])


def test_int16_blocks_equal_the_same_move_in_numpy(check):
    """Neither interpreter has them."""

    def in_numpy(case):
        block = 2 if "blockSize=2" in case.label else 3
        (values,) = case.inputs
        runs, n, h, w, c = values.shape
        if case.label.startswith("DEPTH"):
            apart = values.reshape(runs, n, h, w, block, block, c // block**2)
            return apart.transpose(0, 1, 2, 4, 3, 5, 6).reshape(runs, n, h * block, w * block, -1)
        apart = values.reshape(runs, n, h // block, block, w // block, block, c)
        return apart.transpose(0, 1, 2, 4, 3, 5, 6).reshape(runs, n, h // block, w // block, -1)

    check(list(block_cases(np.random.default_rng(8), np.int16, in_numpy)))
