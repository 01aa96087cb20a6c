"""What float operators of one value make in single precision, as TFLite Micro's reference kernels compute it.

Converters leave operators in float between a DEQUANTIZE and a QUANTIZE where they have no int8 form of them, as in the
LayerNormalization and the attention of Keras. Such an island is a function of one int8 value, so `fuse_tables` makes it
a table.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.tflite.graph import Operator

_FLOAT = np.dtype(np.float32)
_FAR = 2.0**20  # Steps, beyond int8 with any zero point.


def makes_floats(operator: Operator) -> bool:
    """Whether an operator makes or reads floats, and is a function of one value of each of its inputs."""
    tensors = [tensor for tensor in (*operator.inputs, *operator.outputs) if tensor is not None]
    return any(tensor.dtype == _FLOAT for tensor in tensors) and operator.op in _FUNCTIONS


def single_precision(operator: Operator, operands: Sequence[np.ndarray]) -> np.ndarray:
    """Return what an operator that `makes_floats` makes of arrays that broadcast against each other.

    Args:
        operator: A float operator, DEQUANTIZE of int8 or QUANTIZE to it.
        operands: Float32, or int64 codes, one of each of its inputs.

    Returns:
        Float32, of QUANTIZE int64 codes.

    Raises:
        UnsupportedOpError: It has another form.
    """
    with np.errstate(all="ignore"):
        return _activated(operator, _FUNCTIONS[operator.op](operator, *operands))


def _dequantize(operator: Operator, codes: np.ndarray) -> np.ndarray:
    source = operator.input(0)
    if source.dtype != np.int8 or operator.output.dtype != _FLOAT:
        raise UnsupportedOpError(f"{operator.op} of {source.dtype} to {operator.output.dtype}")
    return source.q.reals(codes)


def _quantize(operator: Operator, values: np.ndarray) -> np.ndarray:
    """Round half away from zero; beyond the range is the end of it, NaN the lowest, as in te_quantize_f32_s8."""
    output = operator.output
    if values.dtype != _FLOAT or output.dtype != np.int8:
        raise UnsupportedOpError(f"{operator.op} of {values.dtype} to {output.dtype}")
    quotients = np.nan_to_num((values / output.q.scales[0]).astype(np.float64), nan=-_FAR, posinf=_FAR, neginf=-_FAR)
    steps = np.trunc(quotients + np.copysign(0.5, quotients)).clip(-_FAR, _FAR)
    codes: np.ndarray = np.clip(steps.astype(np.int64) + output.q.zero_point, -128, 127)
    return codes


def _each(function: Callable[[float], float]) -> Callable[[Operator, np.ndarray], np.ndarray]:
    """A function of the standard library, whose double is rounded to single precision."""

    def apply(_: Operator, values: np.ndarray) -> np.ndarray:
        return np.array([_guarded(function, float(value)) for value in values], np.float64).astype(_FLOAT)

    return apply


def _guarded(function: Callable[[float], float], value: float) -> float:
    try:
        return function(value)
    except OverflowError:
        return math.inf
    except ValueError:
        return -math.inf if value == 0 else math.nan


def _of_one(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Operator, np.ndarray], np.ndarray]:
    return lambda _, values: function(values)


def _of_two(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Callable[[Operator, np.ndarray, np.ndarray], np.ndarray]:
    return lambda _, first, second: function(first, second)


def _leaky_relu(operator: Operator, values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, values * np.float32(operator.options.get("alpha", 0.0)))


def _squared_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    squares: np.ndarray = np.square(first - second)
    return squares


_BOUNDS = {"NONE": (None, None), "RELU": (0.0, None), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}


def _activated(operator: Operator, values: np.ndarray) -> np.ndarray:
    activation = operator.options.get("fused_activation_function", "NONE")
    if activation not in _BOUNDS:
        raise UnsupportedOpError(f"{operator.op} has the fused activation {activation}")
    low, high = _BOUNDS[activation]
    values = values if low is None else np.maximum(values, _FLOAT.type(low))
    return values if high is None else np.minimum(values, _FLOAT.type(high))


_FUNCTIONS: Mapping[str, Callable[..., np.ndarray]] = {
    "ABS": _of_one(np.abs),
    "ADD": _of_two(np.add),
    "CEIL": _of_one(np.ceil),
    "COS": _each(math.cos),
    "DEQUANTIZE": _dequantize,
    "DIV": _of_two(np.divide),
    "ELU": _each(lambda value: value if value >= 0 else math.expm1(value)),
    "EXP": _each(math.exp),
    "FLOOR": _of_one(np.floor),
    "LEAKY_RELU": _leaky_relu,
    "LOG": _each(math.log),
    "MAXIMUM": _of_two(np.maximum),
    "MINIMUM": _of_two(np.minimum),
    "MUL": _of_two(np.multiply),
    "NEG": _of_one(np.negative),
    "QUANTIZE": _quantize,
    "RELU": _of_one(lambda values: np.maximum(values, np.float32(0))),
    "RELU6": _of_one(lambda values: np.clip(values, np.float32(0), np.float32(6))),
    "ROUND": _of_one(np.rint),
    "RSQRT": _of_one(lambda values: np.float32(1) / np.sqrt(values)),
    "SIN": _each(math.sin),
    "SQRT": _of_one(np.sqrt),
    "SQUARE": _of_one(np.square),
    "SQUARED_DIFFERENCE": _of_two(_squared_difference),
    "SUB": _of_two(np.subtract),
}
