"""INT8 and 16x8 in float arithmetic: every value is replaced by the nearest that its codes can say.

The rounding is TFLite's, per channel for weights and per tensor for activations. The sums before it are float here and
integer there, so that a value is a step off now and then, and what follows from it too: a simulated output has the
noise of the kernels' outputs, and not their very values.
"""

from collections.abc import Collection, Mapping

import torch

from tinyedge.ops import descriptor_of
from tinyedge.quantisation.quantise import (
    HIGHEST_CODE,
    LARGEST_INT16_CODE,
    LOWEST_CODE,
    Range,
    activation_quantisations,
    constant_quantisations,
    constants_are_int16,
    weight_scales,
)
from tinyedge.tflite.graph import Graph, Quantisation, Tensor


class FakeQuantize:
    """A hook of `FloatExecutor` that rounds what the kernels round: activations, and weights but not biases.

    Args:
        graph: Float.
        ranges: Of every activation.
        int16: The activations that are int16, as for `quantise`.
    """

    def __init__(self, graph: Graph, ranges: Mapping[Tensor, Range], int16: Collection[Tensor] = frozenset()):
        self._activations = activation_quantisations(graph, ranges, int16)
        self._int16 = int16
        self._constants: dict[Tensor, tuple[Quantisation, bool]] = {}
        for operator in graph.operators:
            descriptor = descriptor_of(operator)
            if descriptor.weights is None and descriptor.expand is None:
                is_int16 = constants_are_int16(operator, operator.output in int16)
                for tensor, quantisation in constant_quantisations(operator, self._activations, is_int16).items():
                    self._constants[tensor] = quantisation, is_int16
        self._rounded: dict[Tensor, tuple[int, torch.Tensor]] = {}
        self._axes = {
            operator.input(1): layout.channel_axis
            for operator in graph.operators
            if (layout := descriptor_of(operator).weights) is not None
        }

    def __call__(self, tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
        """Return the value of a tensor as its type keeps it."""
        if tensor in self._int16:
            return round_to_int16_codes(value, self._activations[tensor])
        if tensor in self._activations:
            return round_to_codes(value, self._activations[tensor])
        if tensor in self._axes:
            return self._rounded_weight(tensor, value)
        if tensor in self._constants:
            quantisation, is_int16 = self._constants[tensor]
            return (round_to_int16_codes if is_int16 else round_to_codes)(value, quantisation)
        return value

    def _rounded_weight(self, tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
        """Round a weight, or return what came of it before if it is the same tensor unchanged."""
        if value.requires_grad and torch.is_grad_enabled():
            return round_weight(value, self._axes[tensor])
        version, rounded = self._rounded.get(tensor, (None, None))
        if rounded is None or version != value._version:
            rounded = round_weight(value, self._axes[tensor])
            self._rounded[tensor] = value._version, rounded
        return rounded


def round_to_codes(value: torch.Tensor, quantisation: Quantisation) -> torch.Tensor:
    """Return the nearest values that int8 codes of one scale can say."""
    scale, zero_point = quantisation.scale, quantisation.zero_point
    return (value / scale).round_().clamp_(LOWEST_CODE - zero_point, HIGHEST_CODE - zero_point).mul_(scale)


def round_to_int16_codes(value: torch.Tensor, quantisation: Quantisation) -> torch.Tensor:
    """Return the nearest values that int16 codes of one scale can say."""
    return (value / quantisation.scale).round().clamp(-LARGEST_INT16_CODE - 1, LARGEST_INT16_CODE) * quantisation.scale


def round_weight(weight: torch.Tensor, axis: int) -> torch.Tensor:
    """Return the nearest weight that int8 codes of one scale a channel can say."""
    shape = [1] * weight.ndim
    shape[axis] = -1
    scales = torch.from_numpy(weight_scales(weight.detach().numpy(), axis)).reshape(shape)
    return (weight / scales).round().clamp(-HIGHEST_CODE, HIGHEST_CODE) * scales
