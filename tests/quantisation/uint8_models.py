"""Models as converters quantised before 2020: uint8 codes, weights of one scale and a zero point anywhere."""

import numpy as np
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant

WEIGHT_ZERO_POINT = 131
ACTIVATION = {"fusedActivationFunction": "RELU6"}


def weights(generator: np.random.Generator, shape: tuple[int, ...], beyond: int = 0) -> TensorSpec:
    """Constant uint8 weights; `beyond` of them are 131 steps below the zero point, further than int8 goes."""
    codes = generator.integers(WEIGHT_ZERO_POINT - 127, 256, shape, dtype=np.uint8)
    codes.reshape(-1)[:beyond] = 0
    return constant(codes, 0.004, WEIGHT_ZERO_POINT)


def bias(generator: np.random.Generator, count: int) -> TensorSpec:
    """A constant int32 bias, (count,)."""
    return constant(generator.integers(-3000, 3000, count, dtype=np.int32), 0.0001)


def activation(shape: tuple[int, ...], scale: float, zero_point: int, name: str = "") -> TensorSpec:
    """A uint8 activation."""
    return TensorSpec(shape, scale, zero_point, np.uint8, name=name)


def uint8_network(seed: int = 0, beyond: int = 0) -> bytes:
    """A classifier of 9x7 images: convolutions, poolings, a concatenation of two scales, and a softmax.

    Args:
        seed: Of its weights.
        beyond: How many weights of the first filter of each layer lie beyond int8.
    """
    generator = np.random.default_rng(seed)
    image = activation((1, 9, 7, 3), 1 / 128, 128, "image")
    first = activation((1, 5, 4, 6), 6 / 255, 0)
    second = activation((1, 5, 4, 6), 6 / 255, 0)
    pooled, wide = activation((1, 2, 2, 6), 6 / 255, 0), activation((1, 2, 2, 6), 6 / 255, 0)
    dense = activation((1, 2, 2, 5), 0.0517, 90)
    joined, flat = activation((1, 2, 2, 11), 0.06, 75), activation((1, 44), 0.06, 75)
    scores, probabilities = activation((1, 4), 0.2, 120), activation((1, 4), 1 / 256, 0, "probabilities")
    conv = {"padding": "SAME", "strideH": 2, "strideW": 2, **ACTIVATION}
    window = {"padding": "VALID", "strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2}
    operators = [
        OperatorSpec("CONV_2D", [image, weights(generator, (6, 3, 3, 3), beyond), bias(generator, 6)], first, conv),
        OperatorSpec(
            "DEPTHWISE_CONV_2D",
            [first, weights(generator, (1, 3, 3, 6), beyond), bias(generator, 6)],
            second,
            {"padding": "SAME", "strideH": 1, "strideW": 1, "depthMultiplier": 1, **ACTIVATION},
        ),
        OperatorSpec("MAX_POOL_2D", [second], pooled, window),
        OperatorSpec("MAX_POOL_2D", [second], wide, {**window, "filterWidth": 1}),
        OperatorSpec(
            "CONV_2D",
            [wide, weights(generator, (5, 1, 1, 6), beyond), bias(generator, 5)],
            dense,
            {"padding": "VALID", "strideH": 1, "strideW": 1},
        ),
        OperatorSpec("CONCATENATION", [pooled, dense], joined, {"axis": 3}),
        OperatorSpec("RESHAPE", [joined, constant(np.array([1, 44], np.int32))], flat),
        OperatorSpec("FULLY_CONNECTED", [flat, weights(generator, (4, 44), beyond), bias(generator, 4)], scores),
        OperatorSpec("SOFTMAX", [scores], probabilities, {"beta": 1.0}),
    ]
    return build_model(operators, [image], [probabilities])
