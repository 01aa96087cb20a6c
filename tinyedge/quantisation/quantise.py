"""A float graph to INT8 or 16x8, by TFLite's quantisation specification.

Activations have one scale and zero point a tensor, weights one scale a channel and the zero point 0, biases are int32
at the product of both scales, which every kernel derives: they are written without. In 16x8 activations are int16 with
the zero point 0 and biases int64; weights stay int8. The ranges of the activations are given: what finds good ones is
`tinyedge.quantisation.observers`; which activations are int16, and where types meet, is
`tinyedge.quantisation.mixed_precision`.
"""

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.quantisation.gelu_lookup import gelu_lookup
from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor

Range = tuple[float, float]
"""The lowest and the highest value of an activation; 0 lies between them."""

_STEPS = 255
LOWEST_CODE, HIGHEST_CODE = -128, 127
LARGEST_INT16_CODE = 32767
_LARGEST_BIAS = 2**30
_LARGEST_INT64_BIAS = 2**46  # The kernels multiply sums of up to 48 bits.
_FIXED = {
    "LOGISTIC": Quantisation(np.array([1 / 256], np.float32), np.array([-128], np.int32)),
    "SOFTMAX": Quantisation(np.array([1 / 256], np.float32), np.array([-128], np.int32)),
    "TANH": Quantisation(np.array([1 / 128], np.float32), np.array([0], np.int32)),
}
"""What the kernels of bounded functions write, whatever the range."""

_FIXED_INT16 = dict.fromkeys(_FIXED, Quantisation(np.array([1 / 32768], np.float32), np.array([0], np.int32)))
"""What they write in 16x8."""

SAME_QUANTISATION = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D", "PAD", "RESHAPE", "TRANSPOSE"})
"""Operators whose kernels copy integers, so that their inputs and outputs share one quantisation."""

CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
"""The axis of the output channels in the weights of the operators that have weights."""

_INT8_VERSIONS = {
    **dict.fromkeys(("ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "LOGISTIC"), 2),
    **dict.fromkeys(("MAX_POOL_2D", "MEAN", "MUL", "PAD", "RELU", "RELU6", "SOFTMAX", "SUB", "TANH", "TRANSPOSE"), 2),
    **{"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 5, "HARD_SWISH": 1, "QUANTIZE": 1, "RESHAPE": 1},
}
_INT16_VERSIONS = {
    **dict.fromkeys(("ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "LOGISTIC", "MAX_POOL_2D", "MEAN", "PAD", "RELU"), 3),
    **{"CONV_2D": 4, "DEPTHWISE_CONV_2D": 5, "FULLY_CONNECTED": 7, "MUL": 4, "QUANTIZE": 2, "RESHAPE": 1},
    **{"SOFTMAX": 3, "SUB": 5, "TANH": 3, "TRANSPOSE": 5},
}


def quantise(graph: Graph, ranges: Mapping[Tensor, Range], wide: Collection[Tensor] = frozenset()) -> Graph:
    """Quantise a graph.

    Args:
        graph: Float, of the operators that `FloatExecutor` knows; it is not changed.
        ranges: Of each activation of it.
        wide: The activations that become int16; those of one operator have one type, as `mix_precision` leaves them.

    Returns:
        The same operators over int8 and int16 tensors, but for GELU, which becomes a lookup.

    Raises:
        ModelError: An operator other than QUANTIZE has activations of both types.
    """
    activations = activation_quantisations(graph, ranges, wide)
    tensors: dict[Tensor, Tensor] = {}
    for activation, quantisation in activations.items():
        dtype = np.dtype(np.int16 if activation in wide else np.int8)
        tensors[activation] = dataclasses.replace(activation, dtype=dtype, quantisation=quantisation)
    operators = []
    for operator in graph.operators:
        if operator.op == "GELU":
            operators.extend(gelu_lookup(operator, tensors))
            continue
        is_wide = _is_wide(operator, wide)
        inputs = list(operator.inputs)
        if operator.op in CHANNEL_AXIS:
            inputs[1:] = _weights_and_bias(operator, activations, is_wide)
        options = operator.options
        if is_wide and "pot_scale_int16" in options:  # If true, kernels take scales for powers of two.
            options = {**options, "pot_scale_int16": False}
        operators.append(
            dataclasses.replace(
                operator,
                inputs=tuple(None if tensor is None else tensors.get(tensor, tensor) for tensor in inputs),
                outputs=tuple(tensors[tensor] for tensor in operator.outputs),
                options=options,
                version=(_INT16_VERSIONS if is_wide else _INT8_VERSIONS)[operator.op],
            )
        )
    return dataclasses.replace(
        graph,
        operators=operators,
        inputs=tuple(tensors[tensor] for tensor in graph.inputs),
        outputs=tuple(tensors[tensor] for tensor in graph.outputs),
        sha256="",
    )


def activation_quantisations(
    graph: Graph, ranges: Mapping[Tensor, Range], wide: Collection[Tensor] = frozenset()
) -> dict[Tensor, Quantisation]:
    """Return the quantisation of each activation, the same for those that a copying operator joins."""
    joined = {tensor: [tensor] for tensor in graph.inputs}
    fixed: dict[Tensor, Quantisation] = {}
    for operator in graph.operators:
        joined[operator.output] = [operator.output]
        if operator.op in _FIXED:
            fixed[operator.output] = (_FIXED_INT16 if operator.output in wide else _FIXED)[operator.op]
        if operator.op in SAME_QUANTISATION:
            for tensor in operator.inputs:
                if tensor is not None and tensor.data is None and joined[tensor] is not joined[operator.output]:
                    group = joined[tensor] + joined[operator.output]
                    joined.update(dict.fromkeys(group, group))
    quantisations = {}
    for activation, group in joined.items():
        lows, highs = zip(*(ranges[member] for member in group), strict=True)
        bounded = [fixed[member] for member in group if member in fixed]
        of_range = int16_quantisation_of if activation in wide else quantisation_of
        quantisations[activation] = bounded[0] if bounded else of_range(min(lows), max(highs))
    return quantisations


def quantisation_of(low: float, high: float) -> Quantisation:
    """Return the scale and the zero point of a range; 0 is widened into it and represented exactly."""
    return Quantisation(*scales_and_zero_points(np.array([low]), np.array([high])))


def scales_and_zero_points(lows: np.ndarray, highs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the scales (n,) float32 and the zero points (n,) int32 of ranges (n,) float64, as `quantisation_of`."""
    lows, highs = np.minimum(lows, 0.0), np.maximum(highs, 0.0)
    scales = np.where(highs > lows, (highs - lows) / _STEPS, 1.0).astype(np.float32)
    zero_points = np.round(LOWEST_CODE - lows / scales.astype(np.float64))
    return scales, np.clip(zero_points, LOWEST_CODE, HIGHEST_CODE).astype(np.int32)


def int16_quantisation_of(low: float, high: float) -> Quantisation:
    """Return the scale of a range in 16x8; the zero point is 0, so that the range is widened to be symmetric."""
    largest = max(abs(low), abs(high))
    scale = np.float32(largest / LARGEST_INT16_CODE if largest > 0 else 1.0)
    return Quantisation(np.array([scale], np.float32), np.array([0], np.int32))


def weight_scales(weight: np.ndarray, axis: int) -> np.ndarray:
    """Return the scale of each channel, float32: its largest magnitude over 127, or 1 if all of it is 0."""
    largest = np.abs(weight).max(axis=tuple(other for other in range(weight.ndim) if other != axis))
    scales: np.ndarray = np.where(largest > 0, largest / np.float32(HIGHEST_CODE), 1).astype(np.float32)
    return scales


def _is_wide(operator: Operator, wide: Collection[Tensor]) -> bool:
    """Return whether an operator writes int16; a QUANTIZE reads the other type, all others the same."""
    is_wide = operator.output in wide
    if operator.op != "QUANTIZE":
        for tensor in operator.inputs:
            if tensor is not None and not tensor.is_constant and (tensor in wide) != is_wide:
                raise ModelError(
                    f"operator {operator.index} ({operator.op}) has int8 and int16 activations: convert one"
                )
    return is_wide


def _weights_and_bias(
    operator: Operator, activations: Mapping[Tensor, Quantisation], is_wide: bool
) -> list[Tensor | None]:
    axis = CHANNEL_AXIS[operator.op]
    source, weight, bias = (*operator.inputs, None)[:3]
    assert source is not None
    assert weight is not None
    assert weight.data is not None
    scales = weight_scales(weight.data, axis)
    input_scale = activations[source].scale
    if bias is not None:
        assert bias.data is not None
        # A channel of tiny weights must not take its bias out of its type.
        largest = _LARGEST_INT64_BIAS if is_wide else _LARGEST_BIAS
        scales = np.maximum(scales, (np.abs(bias.data) / (input_scale * largest)).astype(np.float32))
    shape = [1] * weight.data.ndim
    shape[axis] = -1
    codes = np.clip(np.round(weight.data / scales.reshape(shape)), -HIGHEST_CODE, HIGHEST_CODE).astype(np.int8)
    zero_points = np.zeros(len(scales), np.int32)
    quantised: list[Tensor | None] = [
        dataclasses.replace(weight, dtype=codes.dtype, data=codes, quantisation=Quantisation(scales, zero_points, axis))
    ]
    if bias is not None:
        assert bias.data is not None
        steps = np.round(bias.data / (input_scale * scales.astype(np.float64)))
        steps = steps.astype(np.int64 if is_wide else np.int32)
        quantised.append(dataclasses.replace(bias, dtype=steps.dtype, data=steps))
    elif len(operator.inputs) > 2:
        quantised.append(None)
    return quantised
