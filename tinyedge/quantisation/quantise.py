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
from tinyedge.ops import descriptor_of
from tinyedge.tflite.fixed_point import INT8_MAX, INT8_MIN
from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor

Range = tuple[float, float]
"""The quantisation range of an activation, its lowest and highest value; 0 lies between them."""

_STEPS = 255
LOWEST_CODE, HIGHEST_CODE = INT8_MIN, INT8_MAX
LARGEST_INT16_CODE = 32767
_LARGEST_BIAS = 2**30
_LARGEST_INT64_BIAS = 2**46  # The kernels multiply sums of up to 48 bits.


def quantise(graph: Graph, ranges: Mapping[Tensor, Range], int16: Collection[Tensor] = frozenset()) -> Graph:
    """Quantise a graph.

    Args:
        graph: Float, of the operators that `FloatExecutor` knows; it is not changed.
        ranges: Of each activation of it.
        int16: The activations that become int16; those of one operator have one type, as `mix_precision` leaves them.

    Returns:
        The same operators over int8 and int16 tensors, but for GELU, which becomes a lookup.

    Raises:
        ModelError: An operator other than QUANTIZE has activations of both types.
    """
    activations = activation_quantisations(graph, ranges, int16)
    tensors: dict[Tensor, Tensor] = {}
    for activation, quantisation in activations.items():
        dtype = np.dtype(np.int16 if activation in int16 else np.int8)
        tensors[activation] = dataclasses.replace(activation, dtype=dtype, quantisation=quantisation)
    operators = []
    for operator in graph.operators:
        descriptor = descriptor_of(operator)
        if descriptor.expand is not None:
            operators.extend(descriptor.expand(operator, tensors))
            continue
        writes_int16 = _writes_int16(operator, int16)
        inputs = list(operator.inputs)
        if descriptor.weights is not None:
            axis = descriptor.weights.channel_axis
            inputs[1:] = _weights_and_bias(operator, axis, activations, writes_int16)
        options = operator.options
        if writes_int16 and "pot_scale_int16" in options:  # If true, kernels take scales for powers of two.
            options = {**options, "pot_scale_int16": False}
        operators.append(
            dataclasses.replace(
                operator,
                inputs=tuple(None if tensor is None else tensors.get(tensor, tensor) for tensor in inputs),
                outputs=tuple(tensors[tensor] for tensor in operator.outputs),
                options=options,
                version=descriptor.versions["int16" if writes_int16 else "int8"],
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
    graph: Graph, ranges: Mapping[Tensor, Range], int16: Collection[Tensor] = frozenset()
) -> dict[Tensor, Quantisation]:
    """Return the quantisation of each activation, the same for those that a copying operator joins."""
    joined = {tensor: [tensor] for tensor in graph.inputs}
    fixed: dict[Tensor, Quantisation] = {}
    for operator in graph.operators:
        joined[operator.output] = [operator.output]
        descriptor, dtype = descriptor_of(operator), "int16" if operator.output in int16 else "int8"
        if dtype in descriptor.output_quantisation:
            fixed[operator.output] = descriptor.output_quantisation[dtype]
        if descriptor.keeps_quantisation:
            for tensor in operator.inputs:
                if tensor is not None and tensor.data is None and joined[tensor] is not joined[operator.output]:
                    group = joined[tensor] + joined[operator.output]
                    joined.update(dict.fromkeys(group, group))
    quantisations = {}
    for activation, group in joined.items():
        lows, highs = zip(*(ranges[member] for member in group), strict=True)
        bounded = [fixed[member] for member in group if member in fixed]
        of_range = int16_quantisation_of if activation in int16 else quantisation_of
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


def _writes_int16(operator: Operator, int16: Collection[Tensor]) -> bool:
    """Return whether an operator writes int16; a QUANTIZE reads the other type, all others the same."""
    writes_int16 = operator.output in int16
    if not descriptor_of(operator).converts_types:
        for tensor in operator.inputs:
            if tensor is not None and not tensor.is_constant and (tensor in int16) != writes_int16:
                raise ModelError(
                    f"operator {operator.index} ({operator.op}) has int8 and int16 activations: convert one"
                )
    return writes_int16


def _weights_and_bias(
    operator: Operator, axis: int, activations: Mapping[Tensor, Quantisation], writes_int16: bool
) -> list[Tensor | None]:
    weight, bias = operator.input(1), operator.optional_input(2)
    scales = weight_scales(weight.values, axis)
    input_scale = activations[operator.input(0)].scale
    if bias is not None:
        # A channel of tiny weights must not take its bias out of its type.
        largest = _LARGEST_INT64_BIAS if writes_int16 else _LARGEST_BIAS
        scales = np.maximum(scales, (np.abs(bias.values) / (input_scale * largest)).astype(np.float32))
    shape = [1] * weight.values.ndim
    shape[axis] = -1
    codes = np.clip(np.round(weight.values / scales.reshape(shape)), -HIGHEST_CODE, HIGHEST_CODE).astype(np.int8)
    zero_points = np.zeros(len(scales), np.int32)
    quantised: list[Tensor | None] = [
        dataclasses.replace(weight, dtype=codes.dtype, data=codes, quantisation=Quantisation(scales, zero_points, axis))
    ]
    if bias is not None:
        steps = np.round(bias.values / (input_scale * scales.astype(np.float64)))
        steps = steps.astype(np.int64 if writes_int16 else np.int32)
        quantised.append(dataclasses.replace(bias, dtype=steps.dtype, data=steps))
    elif len(operator.inputs) > 2:
        quantised.append(None)
    return quantised
