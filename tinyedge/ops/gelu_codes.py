"""GELU as the 256 results of LiteRT's int8 kernel.

Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016): x times the probability that a standard normal value is
below x, exactly, or with the hyperbolic tangent of section 2. The kernel evaluates it in floats for each code and
rounds the result once, so the table is as good as int8 allows.
"""

import math

import numpy as np

from tinyedge.tflite.fixed_point import clamp, round_half_away
from tinyedge.tflite.graph import Quantisation


def gelu_codes(source: Quantisation, output: Quantisation, approximate: bool = False) -> np.ndarray:
    """Return the codes of GELU for the codes -128 ... 127.

    Args:
        source: Of the input; one scale.
        output: Of the output; one scale.
        approximate: Whether by the hyperbolic tangent.

    Returns:
        (256,) int8.
    """
    function = _by_tanh if approximate else _by_error_function
    steps_of_one = np.float32(1) / output.scales[0]
    codes = []
    for code in range(-128, 128):
        real = source.scales[0] * np.float32(code - source.zero_point)
        with np.errstate(over="ignore"):
            steps = float(np.float32(function(float(real))) * steps_of_one)
        codes.append(clamp(round_half_away(_finite(steps)) + output.zero_point, -128, 127))
    return np.array(codes, dtype=np.int8)


def _finite(steps: float) -> float:
    """Any number of steps beyond int8's is as good as a thousand."""
    return min(max(steps, -1000.0), 1000.0)


def _by_error_function(x: float) -> float:
    return 0.5 * x * math.erfc(-x / math.sqrt(2))


def _by_tanh(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
