"""A float graph to INT8 or 16x8, by TFLite's quantisation specification.

Activations have one scale and zero point a tensor, weights one scale a channel and the zero point 0, biases are int32
at the product of both scales, which every kernel derives: they are written without. Other constants are quantised as
activations are, to their own range, or as the activations that they are joined with or compared to. In 16x8 activations
are int16 with the zero point 0 and biases int64; weights stay int8. The ranges of the activations are given: what finds
good ones is `tinyedge.quantisation.observers`; which activations are int16, and where types meet, is
`tinyedge.quantisation.mixed_precision`.
"""

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.ops import descriptor_of
from tinyedge.ops.descriptor import WeightsLayout
from tinyedge.tflite.fixed_point import INT8_MAX, INT8_MIN
from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor

Range = tuple[float, float]
"""The quantisation range of an activation, its lowest and highest value; 0 lies between them."""

_STEPS = 255
LOWEST_CODE, HIGHEST_CODE = INT8_MIN, INT8_MAX
LARGEST_INT16_CODE = 32767
_LARGEST_BIAS = 2**30
_FAR_CODE = 2**30
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
        if descriptor.weights is not None:
            inputs = _with_weights(operator, descriptor.weights, activations, writes_int16)
        else:
            as_int16 = constants_are_int16(operator, writes_int16)
            constants = constant_quantisations(operator, activations, as_int16)
            inputs = [
                _constant(tensor, constants[tensor], as_int16) if tensor in constants else tensor
                for tensor in operator.inputs
            ]
        options = operator.options
        if writes_int16 and "pot_scale_int16" in options:  # If true, kernels take scales for powers of two.
            options = {**options, "pot_scale_int16": False}
        if options.get("fused_activation_function") == "RELU6" and 6 / activations[operator.output].scale > _FAR_CODE:
            options = {**options, "fused_activation_function": "RELU"}  # Interpreters count 6 in steps, in 32 bits.
        operators.append(
            dataclasses.replace(
                operator,
                inputs=tuple(None if tensor is None else tensors.get(tensor, tensor) for tensor in inputs),
                outputs=tuple(tensors.get(tensor, tensor) for tensor in operator.outputs),
                options=options,
                version=descriptor.versions["int16" if writes_int16 else "int8"],
            )
        )
    return dataclasses.replace(
        graph,
        operators=operators,
        inputs=tuple(tensors[tensor] for tensor in graph.inputs),
        outputs=tuple(tensors.get(tensor, tensor) for tensor in graph.outputs),
        sha256="",
    )


def activation_quantisations(
    graph: Graph, ranges: Mapping[Tensor, Range], int16: Collection[Tensor] = frozenset()
) -> dict[Tensor, Quantisation]:
    """Return the quantisation of each activation of reals, the same for those that a copying operator joins.

    What is only read by operators that bound it needs no wider a range than their outputs: its codes saturate.
    """
    joined = {tensor: [tensor] for tensor in graph.inputs}
    bounded = _bounded(graph)
    fixed: dict[Tensor, Quantisation] = {}
    for operator in graph.operators:
        if operator.output.dtype != np.float32:  # Positions and shapes have no scale.
            continue
        joined[operator.output] = [operator.output]
        descriptor, dtype = descriptor_of(operator), "int16" if operator.output in int16 else "int8"
        if dtype in descriptor.output_quantisation:
            fixed[operator.output] = descriptor.output_quantisation[dtype]
        if descriptor.keeps_quantisation:
            for tensor in operator.inputs:
                if tensor in joined and joined[tensor] is not joined[operator.output]:
                    group = joined[tensor] + joined[operator.output]
                    joined.update(dict.fromkeys(group, group))
    quantisations = {}
    for activation, group in joined.items():
        lows, highs = zip(*(ranges[member] for member in group if member not in bounded), strict=True)
        given = [fixed[member] for member in group if member in fixed]
        of_range = int16_quantisation_of if activation in int16 else quantisation_of
        quantisations[activation] = given[0] if given else of_range(min(lows), max(highs))
    return quantisations


def _bounded(graph: Graph) -> set[Tensor]:
    """Return the activations within the graph that are read by bounding operators alone."""
    return {
        tensor
        for tensor, reading in graph.readers().items()
        if tensor not in (*graph.inputs, *graph.outputs) and all(map(_bounds_its_input, reading))
    }


def _bounds_its_input(operator: Operator) -> bool:
    activations = [tensor for tensor in operator.inputs if tensor is not None and not tensor.is_constant]
    return descriptor_of(operator).bounds_values and len(activations) == 1


def constants_are_int16(operator: Operator, writes_int16: bool) -> bool:
    """Return whether the constant operands of an operator without weights are int16."""
    return writes_int16 and not descriptor_of(operator).takes_int8_constants


def constant_quantisations(
    operator: Operator, activations: Mapping[Tensor, Quantisation], as_int16: bool
) -> dict[Tensor, Quantisation]:
    """Return the quantisations of an operator's constant reals, of one without weights.

    Args:
        operator: Float.
        activations: Of all activations.
        as_int16: Whether the constants become int16.
    """
    descriptor = descriptor_of(operator)
    constants = [tensor for tensor in operator.inputs if tensor is not None and _is_real_constant(tensor)]
    if descriptor.keeps_quantisation:
        return dict.fromkeys(constants, activations[operator.output])
    of_range = int16_quantisation_of if as_int16 else quantisation_of
    return {tensor: of_range(float(tensor.values.min()), float(tensor.values.max())) for tensor in constants}


def _is_real_constant(tensor: Tensor) -> bool:
    return tensor.data is not None and tensor.dtype == np.float32


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


def _constant(tensor: Tensor, quantisation: Quantisation, is_int16: bool) -> Tensor:
    dtype = np.dtype(np.int16 if is_int16 else np.int8)
    lowest, highest = (-LARGEST_INT16_CODE, LARGEST_INT16_CODE) if is_int16 else (LOWEST_CODE, HIGHEST_CODE)
    steps = np.round(tensor.values / np.float64(quantisation.scale)) + quantisation.zero_point
    codes = np.clip(steps, lowest, highest).astype(dtype).reshape(tensor.shape)
    return dataclasses.replace(tensor, dtype=dtype, data=codes, quantisation=quantisation)


def _with_weights(
    operator: Operator, layout: WeightsLayout, activations: Mapping[Tensor, Quantisation], writes_int16: bool
) -> list[Tensor | None]:
    """Return an operator's inputs, of which the weights and the bias are quantised."""
    weight, bias = operator.input(1), operator.optional_input(layout.bias)
    axis = layout.channel_axis
    scales = weight_scales(weight.values, axis)
    input_scale = activations[operator.input(layout.source)].scale
    if bias is not None:
        # A channel of tiny weights must not take its bias out of its type.
        largest = _LARGEST_INT64_BIAS if writes_int16 else _LARGEST_BIAS
        scales = np.maximum(scales, (np.abs(bias.values) / (input_scale * largest)).astype(np.float32))
    shape = [1] * weight.values.ndim
    shape[axis] = -1
    codes = np.clip(np.round(weight.values / scales.reshape(shape)), -HIGHEST_CODE, HIGHEST_CODE).astype(np.int8)
    zero_points = np.zeros(len(scales), np.int32)
    inputs = list(operator.inputs)
    quantisation = Quantisation(scales, zero_points, axis)
    inputs[1] = dataclasses.replace(weight, dtype=codes.dtype, data=codes, quantisation=quantisation)
    if bias is not None:
        steps = np.round(bias.values / (input_scale * scales.astype(np.float64)))
        steps = steps.astype(np.int64 if writes_int16 else np.int32)
        inputs[layout.bias] = dataclasses.replace(bias, dtype=steps.dtype, data=steps)
    return inputs
