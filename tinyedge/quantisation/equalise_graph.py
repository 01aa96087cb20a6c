"""Give the channels of each activation of a float graph like ranges before they share one INT8 scale.

An activation has one quantisation step for all its channels: a channel of a tenth of the range keeps a tenth of the
steps. Scaling channel c by d_c is exact where whoever writes it multiplies by d_c and whoever reads it divides:
convolutions, matrix products and depthwise filters are linear in each channel, and ReLU, pooling and sums keep positive
factors. Each channel of each tensor is an element; what hands a channel on as it is, joins elements, an addition all
three; and where an operator does not keep factors, the elements that it touches keep the factor 1.

RELU6 keeps factors as long as no value passes 6: its channels are scaled up to 6 over their largest value at most. On
what the graph is measured on that is exact; beyond it, such a channel is cut at the largest value that was measured, as
its INT8 scale cuts it anyway.

This is the cross-layer equalisation of Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction" (2019), section 4.1, on any graph. As in Xiao et al., "SmoothQuant" (2022), d comes from measured
activations, and a power of it leaves part of the imbalance to the weights.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from tinyedge.ops import descriptor_of
from tinyedge.quantisation.float_executor import FloatExecutor, Values
from tinyedge.tflite.graph import Graph, Operator, Tensor

# Each channel of what they write is made of the same channel of what they read, and scales with it.
_KEEP_CHANNELS = frozenset(
    {
        "AVERAGE_POOL_2D",
        "LEAKY_RELU",
        "MAX_POOL_2D",
        "QUANTIZE",
        "RELU",
        "RELU6",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
    }
)
_LARGEST_FACTOR = 2.0**16
_RELU6_CEILING = 6.0


def equalise_graph(graph: Graph, samples: Values, strength: float) -> Graph:
    """Scale the channels of the activations between the operators of a float graph.

    Args:
        graph: Float; it is not changed.
        samples: Of each input, (n, ...) float32; the ranges are measured on them.
        strength: 1 makes all ranges equal and leaves the imbalance to the weights; 0 does nothing.

    Returns:
        A graph equal to it on the samples up to float32 rounding; the graph itself where nothing can be scaled.
    """
    channels = _Channels(graph)
    ranges = _channel_ranges(FloatExecutor(graph), samples)
    factors = channels.factors(ranges, strength)
    if all((values == 1).all() for values in factors.values()):
        return graph
    return dataclasses.replace(
        graph, operators=[_rescaled(operator, factors) for operator in graph.operators], sha256=""
    )


class _Channels:
    """Which channels of which activations share a factor, and which have none."""

    def __init__(self, graph: Graph) -> None:
        self._elements: dict[Tensor, np.ndarray] = {}
        self._parent: list[int] = []
        self._fixed: set[int] = set()
        self._capped: set[Tensor] = set()
        readers = graph.readers()
        for tensor in graph.inputs:
            self.fix(self.elements_of(tensor))
        for operator in graph.operators:
            # A constant that two operators read cannot be scaled for one of them.
            shared = any(
                tensor is not None and tensor.data is not None and len(readers[tensor]) > 1
                for tensor in operator.inputs
            )
            if shared and descriptor_of(operator).weights is not None:
                self._fix_all(operator)
            else:
                self._join(operator)
            if "RELU6" in (operator.op, operator.options.get("fused_activation_function")):
                self._capped.add(operator.output)
        for tensor in graph.outputs:
            self.fix(self.elements_of(tensor))

    def factors(self, ranges: dict[Tensor, np.ndarray], strength: float) -> dict[Tensor, np.ndarray]:
        """Return the factor of each channel of each activation, (C,) float64."""
        count = len(self._parent)
        roots = np.array([self._root(element) for element in range(count)], np.int64)
        own, ceilings = np.zeros(count), np.full(count, np.inf)
        for tensor, elements in self._elements.items():
            np.maximum.at(own, roots[elements], ranges[tensor])
            if tensor in self._capped:
                room = _RELU6_CEILING / np.maximum(ranges[tensor], 1e-30)
                np.minimum.at(ceilings, roots[elements], np.maximum(room, 1.0))
        largest = np.zeros(count)
        for elements in self._elements.values():
            np.maximum.at(largest, roots[elements], own[roots[elements]].max(initial=0.0))
        # Tensors that share channels through another one have one largest range.
        for _ in self._elements:
            before = largest.copy()
            for elements in self._elements.values():
                largest[roots[elements]] = largest[roots[elements]].max(initial=0.0)
            if np.array_equal(before, largest):
                break
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(own > 0, largest / own, 1.0)
        found = np.minimum(np.clip(ratio, 1.0, _LARGEST_FACTOR) ** strength, ceilings)
        found[[self._root(element) for element in self._fixed]] = 1.0
        return {tensor: found[roots[elements]] for tensor, elements in self._elements.items()}

    def _join(self, operator: Operator) -> None:
        activation = operator.options.get("fused_activation_function", "NONE")
        rule = _RULES.get(operator.op)
        if activation not in ("NONE", "RELU", "RELU6") or rule is None or not rule(self, operator):
            self._fix_all(operator)

    def _fix_all(self, operator: Operator) -> None:
        for tensor in (*operator.inputs, *operator.outputs):
            if tensor is not None and tensor.data is None:
                self.fix(self.elements_of(tensor))

    def elements_of(self, tensor: Tensor) -> np.ndarray:
        """Return the elements of a tensor's last axis."""
        if tensor not in self._elements:
            size = tensor.shape[-1] if tensor.shape else 1
            first = len(self._parent)
            self._parent.extend(range(first, first + size))
            self._elements[tensor] = np.arange(first, first + size)
        return self._elements[tensor]

    def share(self, tensor: Tensor, elements: np.ndarray) -> None:
        """Let a tensor have these elements, or join its own with them."""
        if tensor not in self._elements:
            self._elements[tensor] = elements
            return
        for one, other in zip(self._elements[tensor], elements, strict=True):
            self._parent[self._root(int(one))] = self._root(int(other))

    def fix(self, elements: np.ndarray) -> None:
        """Let elements keep the factor 1."""
        self._fixed.update(map(int, elements))

    def _root(self, element: int) -> int:
        while self._parent[element] != element:
            self._parent[element] = self._parent[self._parent[element]]
            element = self._parent[element]
        return element


def _weighted(channels: _Channels, operator: Operator) -> bool:
    """A product with weights: what it writes has factors of its own."""
    layout = descriptor_of(operator).weights
    if layout is None:
        return False
    source, weight, bias = operator.input(layout.source), operator.input(1), operator.optional_input(layout.bias)
    if weight.data is None or (bias is not None and bias.data is None):
        return False
    channels.elements_of(operator.output)
    # A matrix product may read a flattened image, all of whose positions have the same channels.
    return weight.shape[-1] % len(channels.elements_of(source)) == 0


def _same_channels(channels: _Channels, operator: Operator) -> bool:
    source, output = operator.input(0), operator.output
    if len(source.shape) != len(output.shape) or source.shape[-1] != output.shape[-1]:
        return False
    channels.share(output, channels.elements_of(source))
    return True


def _pad(channels: _Channels, operator: Operator) -> bool:
    amounts = operator.input(1)
    return amounts.data is not None and not amounts.data.reshape(-1, 2)[-1].any() and _same_channels(channels, operator)


def _mean(channels: _Channels, operator: Operator) -> bool:
    axes, source = operator.input(1), operator.input(0)
    rank = len(source.shape)
    if axes.data is None or rank - 1 in {int(axis) % rank for axis in axes.data.reshape(-1)}:
        return False
    channels.share(operator.output, channels.elements_of(source))
    return True


def _reshape(channels: _Channels, operator: Operator) -> bool:
    """The last axis stays, or is joined by the ones before it."""
    source, output = operator.input(0), operator.output
    if not source.shape or not output.shape or output.shape[-1] % source.shape[-1]:
        return False
    size = 1
    for axis in reversed(source.shape):
        size *= axis
        if size == output.shape[-1]:
            break
        if size > output.shape[-1]:
            return False
    elements = channels.elements_of(source)
    channels.share(output, np.tile(elements, output.shape[-1] // len(elements)))
    return True


def _add(channels: _Channels, operator: Operator) -> bool:
    one, other = operator.input(0), operator.input(1)
    if one.data is not None or other.data is not None or one.shape[-1:] != other.shape[-1:]:
        return False
    if one.shape[-1] != operator.output.shape[-1]:
        return False
    channels.share(other, channels.elements_of(one))
    channels.share(operator.output, channels.elements_of(one))
    return True


def _mul(channels: _Channels, operator: Operator) -> bool:
    """A map and what weighs it, a constant or a gate: the map's factors go on."""
    one, other = operator.input(0), operator.input(1)
    if one.data is not None or (other.data is None and other.elements > one.elements):
        one, other = other, one
    if one.data is not None or one.shape != operator.output.shape or one is other:
        return False
    if other.data is None:
        channels.fix(channels.elements_of(other))
    channels.share(operator.output, channels.elements_of(one))
    return True


def _slice(channels: _Channels, operator: Operator) -> bool:
    source, begins = operator.input(0), operator.input(1)
    if begins.data is None or len(source.shape) != len(operator.output.shape):
        return False
    first = int(begins.data.reshape(-1)[-1])
    channels.share(operator.output, channels.elements_of(source)[first : first + operator.output.shape[-1]])
    return True


def _strided_slice(channels: _Channels, operator: Operator) -> bool:
    """Whole rows of channels, in their order."""
    strides = operator.input(3)
    forward = strides.data is not None and strides.data.reshape(-1)[-1] == 1
    moves_axes = any(operator.options.get(name) for name in ("new_axis_mask", "shrink_axis_mask"))
    return forward and not moves_axes and _same_channels(channels, operator)


def _concatenation(channels: _Channels, operator: Operator) -> bool:
    rank = len(operator.output.shape)
    tensors = [tensor for tensor in operator.inputs if tensor is not None]
    if any(tensor.data is not None for tensor in tensors):
        return False
    if int(operator.options["axis"]) % rank == rank - 1:
        channels.share(operator.output, np.concatenate([channels.elements_of(tensor) for tensor in tensors]))
        return True
    for tensor in tensors[1:]:
        channels.share(tensor, channels.elements_of(tensors[0]))
    channels.share(operator.output, channels.elements_of(tensors[0]))
    return True


_RULES: dict[str, Callable[[_Channels, Operator], bool]] = {
    **dict.fromkeys(_KEEP_CHANNELS, _same_channels),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"), _weighted),
    **dict.fromkeys(("ADD", "SUB"), _add),
    "CONCATENATION": _concatenation,
    "MEAN": _mean,
    "MUL": _mul,
    "PAD": _pad,
    "RESHAPE": _reshape,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
}


@torch.no_grad()
def _channel_ranges(network: FloatExecutor, samples: Values) -> dict[Tensor, np.ndarray]:
    """Return the largest magnitude of each channel of each activation, (C,) float64."""
    ranges: dict[Tensor, torch.Tensor] = {}

    def widen(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
        if tensor.data is None:
            largest = value.double().abs().reshape(-1, tensor.shape[-1] if tensor.shape else 1).amax(dim=0)
            ranges[tensor] = torch.maximum(ranges[tensor], largest) if tensor in ranges else largest
        return value

    for batch in network.batches(samples):
        network.run(batch, widen)
    return {tensor: largest.numpy() for tensor, largest in ranges.items()}


def _rescaled(operator: Operator, factors: dict[Tensor, np.ndarray]) -> Operator:
    """Return an operator that reads and writes scaled channels."""
    layout = descriptor_of(operator).weights
    if layout is None or operator.input(1).data is None:
        return operator
    read, written = factors[operator.input(layout.source)], factors[operator.output]
    weight, bias = operator.input(1), operator.optional_input(layout.bias)
    values = weight.values.astype(np.float64)
    if layout.depthwise:
        values = values * (written / np.repeat(read, len(written) // len(read)))
    else:
        values = values / np.tile(read, values.shape[-1] // len(read))
        values = values * written.reshape(-1, *[1] * (values.ndim - 1))
    inputs = list(operator.inputs)
    inputs[1] = dataclasses.replace(weight, data=values.astype(np.float32))
    if bias is not None and bias.data is not None:
        inputs[layout.bias] = dataclasses.replace(
            bias, data=(bias.values * written.reshape(bias.shape)).astype(np.float32)
        )
    return dataclasses.replace(operator, inputs=tuple(inputs))
