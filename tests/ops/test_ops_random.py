"""Random operators, forms and quantisations: what no list of cases thought of."""

import secrets

import numpy as np
import pytest
from ops import case_builders as build

_CASES = 120
_COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")


def _size(rng: np.random.Generator, largest: int = 9) -> int:
    return int(rng.integers(1, largest + 1))


def _channels(rng: np.random.Generator, most: int = 6) -> int:
    """Mostly few; enough for more than two vectors of 16 now and then."""
    return _size(rng, most if rng.random() < 0.7 else 40)


def _zero_points(rng: np.random.Generator, count: int) -> tuple[int, ...]:
    return tuple(int(value) for value in rng.choice([-128, 127, 0, *range(-20, 20)], size=count))


def _gain(rng: np.random.Generator) -> float:
    return float(np.exp(rng.normal(0, 2)))


def _window(rng: np.random.Generator) -> dict:
    kernel, dilation = ((_size(rng, 4), _size(rng, 4)), (_size(rng, 3), _size(rng, 3)))
    if rng.random() < 0.15:
        kernel, dilation = (_size(rng, 11), _size(rng, 5)), (1, 1)
    padding = str(rng.choice(["SAME", "VALID"]))
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True)]
    least = reach if padding == "VALID" else [1, 1]
    height, width = (low + _size(rng) - 1 for low in least)
    return {
        "shape": (_size(rng, 2), height, width),
        "kernel": kernel,
        "dilation": dilation,
        "stride": (_size(rng, 3), _size(rng, 3)),
        "padding": padding,
    }


def _weighted(rng: np.random.Generator) -> dict:
    return {
        "activation": str(rng.choice(build.ACTIVATIONS)),
        "per_channel": bool(rng.integers(2)),
        "bias": bool(rng.integers(2)),
        "gain": _gain(rng),
        "zero_points": _zero_points(rng, 2),
    }


def _types(rng: np.random.Generator, dtype: type) -> dict:
    return {"dtype": dtype, "int4": dtype == np.int8 and rng.random() < 0.5}


def _moved(rng: np.random.Generator, dtype: type) -> build.Case:
    """Of those that move values, one that TFLite Micro has for both types."""
    op = str(rng.choice(["BROADCAST_TO", "CONCATENATION", "RESIZE", "SPLIT_V", "STRIDED_SLICE", "TRANSPOSE"]))
    shape = [_size(rng, 6) for _ in range(rng.integers(1, 5))]
    axis = int(rng.integers(len(shape)))
    if op == "RESIZE":
        size = (_size(rng, 20), _size(rng, 20))
        options = dict(
            zip(("alignCorners", "halfPixelCenters"), [(0, 0), (0, 1), (1, 0)][rng.integers(3)], strict=True)
        )
        source = (1, _size(rng), _size(rng), _channels(rng))
        kind = "RESIZE_NEAREST_NEIGHBOR" if dtype == np.int16 or rng.integers(2) else "RESIZE_BILINEAR"
        return build.moved(rng, kind, source, (1, *size, source[3]), size, dtype=dtype, **options)
    if op == "BROADCAST_TO":
        source = tuple(size if rng.random() < 0.6 else 1 for size in shape)
        return build.moved(rng, op, source, shape, shape, dtype=dtype)
    if op == "CONCATENATION":
        shapes = tuple((*shape[:axis], _size(rng, 20), *shape[axis + 1 :]) for _ in range(rng.integers(1, 5)))
        constants = [part for part in range(1, len(shapes)) if rng.random() < 0.3]
        return build.concatenation(rng, shapes, axis, dtype, constants)
    if op == "SPLIT_V":
        sizes = [_size(rng, 20) for _ in range(rng.integers(1, 4))]
        shape[axis] = sum(sizes)
        cases = build.taken_apart(rng, op, shape, sizes, axis, dtype)
        return cases[rng.integers(len(cases))]
    if op == "STRIDED_SLICE":
        slices = []
        for size in shape:
            first, last = sorted(int(index) for index in rng.integers(0, size, 2))
            step = _size(rng, 3)
            backwards = first > 0 and rng.random() < 0.3
            slices.append(slice(last, first - 1, -step) if backwards else slice(first, last + 1, step))
        return build.strided_slice(rng, tuple(shape), tuple(slices), dtype=dtype)
    order = tuple(int(axis) for axis in rng.permutation(len(shape)))
    return build.transpose(rng, tuple(shape), order, dtype)


def random_case(rng: np.random.Generator) -> build.Case:
    kind = rng.integers(10)
    dtype = (np.int8, np.int16)[rng.integers(2)]
    if kind == 0:
        window = _window(rng)
        groups = _size(rng, 3)
        shape = (*window.pop("shape"), groups * _channels(rng))
        return build.conv2d(
            rng, shape, groups * _channels(rng, 5), groups=groups, **_types(rng, dtype), **window, **_weighted(rng)
        )
    if kind == 1 and rng.random() < 0.4:
        return build.transpose_conv(
            rng,
            (_size(rng, 2), _size(rng, 5), _size(rng, 6), _channels(rng)),
            _channels(rng),
            (_size(rng, 5), _size(rng, 5)),
            (_size(rng, 3), _size(rng, 3)),
            str(rng.choice(["SAME", "VALID"])),
            dtype=dtype,
            **_weighted(rng),
        )
    if kind == 1:
        window = _window(rng)
        shape = (*window.pop("shape"), _channels(rng))
        return build.depthwise_conv2d(rng, shape, _size(rng, 3), **_types(rng, dtype), **window, **_weighted(rng))
    if kind == 2:
        shape = (_size(rng, 3), _size(rng, 140))
        return build.fully_connected(rng, shape, _channels(rng, 20), **_types(rng, dtype), **_weighted(rng))
    if kind == 3:
        shape = [_size(rng, 6) for _ in range(rng.integers(1, 5))]
        first = tuple(size if rng.random() < 0.7 else 1 for size in shape)
        second = tuple(size if rng.random() < 0.7 else 1 for size in shape)[rng.integers(len(shape)) :]
        if dtype == np.int8 and rng.random() < 0.3:
            third = tuple(size if rng.random() < 0.7 else 1 for size in shape)
            constants = [position for position in range(1, 3) if rng.random() < 0.3]
            return build.select(rng, (first, second, third), constants)
        if dtype == np.int8 and rng.random() < 0.3:
            scales = (float(rng.uniform(1e-3, 0.99)), float(np.exp(rng.uniform(-9, -0.1))))
            op, constant = str(rng.choice(_COMPARISONS)), [None, 0, 1][rng.integers(3)]
            return build.comparison(rng, op, (first, second), constant, scales, _zero_points(rng, 2))
        return build.elementwise(
            rng,
            str(rng.choice(["ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"])),
            (first, second) if rng.random() < 0.5 else (second, first),
            [None, 0, 1][rng.integers(3)],
            str(rng.choice(build.ACTIVATIONS)),
            float(np.exp(rng.normal(0, 1))),
            _gain(rng),
            _zero_points(rng, 3),
            dtype,
        )
    if kind == 4:
        window = _window(rng)
        shape = (*window.pop("shape"), _channels(rng))
        del window["dilation"]
        op = str(rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
        activation = str(rng.choice(build.ACTIVATIONS))
        zero_point = _zero_points(rng, 1)[0]
        return build.pool(rng, op, shape, activation=activation, zero_point=zero_point, dtype=dtype, **window)
    if kind == 5:
        scale, beta = float(np.exp(rng.uniform(-8, 2))), float(rng.uniform(0.5, 2))
        return build.softmax(rng, (_size(rng, 3), _size(rng, 40)), scale, beta, _zero_points(rng, 1)[0])
    if kind == 6:
        op = str(
            rng.choice(["LOGISTIC", "TANH", "HARD_SWISH", "QUANTIZE", "RELU", "RELU6", "ABS", "ELU", "LEAKY_RELU"])
        )
        scale = float(np.exp(rng.uniform(-7, 1)))
        zero_points = _zero_points(rng, 2)
        if op == "LOGISTIC":
            zero_points = (zero_points[0], -128)
        return build.table(rng, op, (scale, scale * float(np.exp(rng.uniform(-2, 2)))), zero_points)
    if kind == 7:
        shape = tuple(_size(rng, 7) for _ in range(rng.integers(1, 5)))
        axes = tuple(int(axis) for axis in rng.integers(-len(shape), len(shape), size=rng.integers(1, 4)))
        keep_dims = len({axis % len(shape) for axis in axes}) == len(shape) or bool(rng.integers(2))
        ops = ["MEAN", "SUM"] if dtype == np.int16 else ["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"]
        op = str(rng.choice(ops))
        return build.reduction(rng, op, shape, axes, keep_dims, _gain(rng), _zero_points(rng, 2), dtype)
    if kind == 8:
        return _moved(rng, dtype)
    batches = [_size(rng, 3) for _ in range(rng.integers(0, 3))]
    sides = [tuple(size if rng.random() < 0.7 else 1 for size in batches) for _ in range(2)]
    sizes = (_size(rng), _size(rng, 40), _size(rng))
    return build.batch_matmul(
        rng,
        (sides[0], sides[1]),
        sizes,
        bool(rng.integers(2)),
        bool(rng.integers(2)),
        [None, 0, 1][rng.integers(3)],
        _gain(rng),
        _zero_points(rng, 3),
        dtype,
    )


@pytest.mark.parametrize("seed", [1, 2, None])
def test_random_cases(check, seed):
    seed = secrets.randbits(32) if seed is None else seed
    rng = np.random.default_rng(seed)
    try:
        check([random_case(rng) for _ in range(_CASES)])
    except BaseException:
        print(f"seed {seed}")
        raise
