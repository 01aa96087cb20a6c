"""Operators of int16 activations against naive real arithmetic: not only TFLite Micro's bits, but right."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ops import case_builders as build
from ops.kernel_cases import Case, kernel_outcomes, read_operator

from tinyedge.tflite.graph import Operator, Tensor

I16 = np.int16
ACTIVATIONS = {"NONE": (-np.inf, np.inf), "RELU": (0, np.inf), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}


def real(tensor: Tensor, values: np.ndarray) -> np.ndarray:
    """What integers mean, per tensor or per channel."""
    quantisation = tensor.quantisation
    if quantisation is None:
        return values.astype(np.float64)
    shape = [1] * values.ndim
    if quantisation.scales.size > 1:
        shape[quantisation.axis] = -1
    scales = quantisation.scales.astype(np.float64).reshape(shape)
    return (values.astype(np.float64) - quantisation.zero_points.reshape(shape)) * scales


def convolve(operator: Operator, image: np.ndarray, weights: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """One batch at a time, one output at a time; depthwise where the weights are (1, h, w, channels)."""
    options, shape = operator.options, operator.output.shape
    depthwise = operator.op == "DEPTHWISE_CONV_2D"
    steps = (options["stride_h"], options["stride_w"])
    dilations = (options["dilation_h_factor"], options["dilation_w_factor"])
    taps = weights.shape[1:3]
    before = [0, 0]
    if options["padding"] == "SAME":
        for axis in (0, 1):
            reach = (taps[axis] - 1) * dilations[axis] + 1
            before[axis] = max((shape[axis + 1] - 1) * steps[axis] + reach - image.shape[axis + 1], 0) // 2
    result = np.zeros(shape)
    for batch, y, x, channel in np.ndindex(*shape):
        for i, j in np.ndindex(*taps):
            row = y * steps[0] - before[0] + i * dilations[0]
            column = x * steps[1] - before[1] + j * dilations[1]
            if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
                if depthwise:
                    copies = shape[3] // image.shape[3]
                    result[batch, y, x, channel] += (
                        image[batch, row, column, channel // copies] * weights[0, i, j, channel]
                    )
                else:
                    result[batch, y, x, channel] += image[batch, row, column] @ weights[channel, i, j]
    return result if bias is None else result + bias


def pool(operator: Operator, image: np.ndarray) -> np.ndarray:
    options, shape = operator.options, operator.output.shape
    result = np.zeros(shape)
    for batch, y, x, channel in np.ndindex(*shape):
        top, left = y * options["stride_h"], x * options["stride_w"]
        part = image[batch, top : top + options["filter_height"], left : left + options["filter_width"], channel]
        result[batch, y, x, channel] = part.mean() if operator.op == "AVERAGE_POOL_2D" else part.max()
    return result


def evaluate(operator: Operator, values: Sequence[np.ndarray | None]) -> np.ndarray:
    """The real result of an operator of real inputs, without its fused activation."""
    first = values[0]
    assert first is not None
    second = values[1] if len(values) > 1 else None
    bias = values[2] if len(values) > 2 else None
    match operator.op:
        case "CONV_2D" | "DEPTHWISE_CONV_2D":
            return convolve(operator, first, second, bias)
        case "FULLY_CONNECTED":
            return first.reshape(-1, second.shape[1]) @ second.T + (0 if bias is None else bias)
        case "ADD":
            return first + second
        case "SUB":
            return first - second
        case "MUL":
            return first * second
        case "MEAN":
            return first.mean(axis=tuple(second.astype(int)))
        case "BATCH_MATMUL":
            return first @ second
        case "AVERAGE_POOL_2D" | "MAX_POOL_2D":
            return pool(operator, first)
        case "QUANTIZE":
            return first
        case "RELU":
            return np.maximum(first, 0)
        case "RELU6":
            return np.clip(first, 0, 6)
        case "LOGISTIC":
            return 1 / (1 + np.exp(-first))
        case "TANH":
            return np.tanh(first)
        case "SOFTMAX":
            powers = np.exp(first - first.max(axis=-1, keepdims=True))
            return powers / powers.sum(axis=-1, keepdims=True)
    raise AssertionError(operator.op)


def steps_off(case: Case, got: np.ndarray, folder: Path) -> float:
    """The largest distance of a result from the exact one, in steps of the output."""
    operator = read_operator(case.model, folder)
    output = operator.output
    info = np.iinfo(output.dtype)
    low, high = ACTIVATIONS[operator.options.get("fused_activation_function", "NONE")]
    worst = 0.0
    for run in range(len(got)):
        fed = iter(case.inputs)
        values = [
            None if tensor is None else real(tensor, next(fed)[run] if tensor.data is None else tensor.data)
            for tensor in operator.inputs
        ]
        exact = np.clip(evaluate(operator, values), low, high).reshape(output.shape)
        steps = np.clip(exact / output.quantisation.scale + output.quantisation.zero_point, info.min, info.max)
        worst = max(worst, float(np.abs(steps - got[run]).max()))
    return worst


def cases_of(op: str) -> list[Case]:
    rng = np.random.default_rng(1)
    if op == "CONV_2D":
        return [
            build.conv2d(rng, (2, 6, 5, 3), 4, (3, 2), stride, dilation, padding, activation=activation, dtype=I16)
            for stride, dilation, padding, activation in itertools.product(
                ((1, 1), (2, 3)), ((1, 1), (2, 1)), ("SAME", "VALID"), ("NONE", "RELU")
            )
        ]
    if op == "DEPTHWISE_CONV_2D":
        return [
            build.depthwise_conv2d(rng, (2, 6, 5, 3), multiplier, (3, 2), (2, 1), (1, 2), padding, dtype=I16)
            for multiplier, padding in itertools.product((1, 2), ("SAME", "VALID"))
        ]
    if op == "FULLY_CONNECTED":
        return [
            build.fully_connected(rng, (3, depth), 5, per_channel=True, dtype=I16, bias_type=bias_type)
            for depth, bias_type in itertools.product((1, 17, 64), (np.int32, np.int64))
        ]
    if op in ("ADD", "SUB", "MUL"):
        return [build.elementwise(rng, op, ((1, 5, 7), (7,)), ratio=ratio, dtype=I16) for ratio in (1.0, 0.3)]
    if op == "MEAN":
        return [build.reduction(rng, "MEAN", (1, 5, 6, 3), axes, False, dtype=I16) for axes in ((1, 2), (3,), (1, 3))]
    if op == "BATCH_MATMUL":
        return [build.batch_matmul(rng, ((2, 3), (2, 1)), (4, depth, 5), dtype=I16) for depth in (1, 33)]
    if op in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        return [build.pool(rng, op, (2, 7, 6, 3), (3, 2), (2, 1), "VALID", dtype=I16)]
    if op == "QUANTIZE":
        pairs = (((0.05, 2e-4), (np.int8, I16)), ((2e-4, 0.05), (I16, np.int8)), ((2e-4, 3e-4), (I16, I16)))
        return [build.table(rng, op, scales, (7, -9), dtypes) for scales, dtypes in pairs]
    if op == "RELU6":
        return [build.table(rng, op, (3e-4, 3e-4), (0, 0), (I16, I16))]
    if op == "RELU":
        return [build.table(rng, op, (3e-4, 5e-4), (0, 0), (I16, I16))]
    if op == "SOFTMAX":
        return [build.softmax(rng, (3, 9), scale, dtype=I16) for scale in (1e-4, 2e-4)]
    return [build.table(rng, op, (scale, 2.0**-15), (0, 0), (I16, I16)) for scale in (2.0**-12, 1e-4)]


# A factor of 15 bits is off by up to 2^-15 of its value, a step at the end of the range; tables, by some steps.
TOLERANCES = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "BATCH_MATMUL": 2}
TOLERANCES |= {"LOGISTIC": 2, "TANH": 3, "SOFTMAX": 8, "MEAN": 1}
EXACT = ("ADD", "SUB", "MUL", "AVERAGE_POOL_2D", "MAX_POOL_2D", "QUANTIZE", "RELU", "RELU6")


@pytest.mark.parametrize("op", [*TOLERANCES, *EXACT])
def test_results_are_those_of_real_arithmetic(op, host_kernels, tmp_path):
    cases = cases_of(op)
    for case, outcome in zip(cases, kernel_outcomes(cases, host_kernels[0], tmp_path), strict=True):
        assert len(np.unique(outcome.outputs)) > 5, case.label
        assert steps_off(case, outcome.outputs, tmp_path) <= TOLERANCES.get(op, 0.51), case.label
