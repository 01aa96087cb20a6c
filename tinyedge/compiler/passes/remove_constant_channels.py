"""A channel that has one value whatever the input is not computed: its readers have it in their biases."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from tinyedge.errors import ModelError, UnsupportedOpError
from tinyedge.ops import descriptor_of
from tinyedge.ops.descriptor import WeightsLayout
from tinyedge.ops.rules import MAX_LEFT_SHIFT, clamp_range
from tinyedge.tflite.fixed_point import (
    INT32_MAX,
    INT32_MIN,
    only_output,
    quantise_multiplier,
)
from tinyedge.tflite.graph import Graph, Operator, Tensor

# Kernels read four channels as a word.
_WORD = 4
# More than the roundings of two outputs come to.
_ROUNDING = 4


def remove_constant_channels(graph: Graph) -> None:
    """Remove the constant channels of int8 activations between convolutions.

    A filter of zeros gives its bias everywhere, and so does one whose sums never leave one step of the output, as under
    the huge biases that converters write on tiny scales: training with ReLU leaves such channels behind. A channel goes
    where it is constant all the way, through depthwise convolutions, poolings, tables and reshapes, from the
    convolution that writes it to the convolutions and fully connected layers that read it. What it adds to their sums
    joins their biases, unless padding of another value would interrupt it. As many constant channels are left as make
    whole words, where there were whole words before.
    """
    constants = _constant_channels(graph)
    writers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    readers = graph.readers()
    for members in _joined_activations(graph):
        joined = _Joined(
            tensors=members,
            writers=list(dict.fromkeys(writers[tensor] for tensor in members if tensor in writers)),
            readers=list(dict.fromkeys(operator for tensor in members for operator in readers.get(tensor, ()))),
        )
        if _may_shrink(graph, joined):
            _shrink(joined, constants)


@dataclass(frozen=True, eq=False)
class _Joined:
    """Activations whose channels can only go together, and all operators that touch them."""

    tensors: list[Tensor]
    writers: list[Operator]
    readers: list[Operator]


def _joined_activations(graph: Graph) -> list[list[Tensor]]:
    """All activations, those between which only channelwise operators lie in one list."""
    lists: dict[Tensor, list[Tensor]] = {tensor: [tensor] for tensor in graph.sources}
    for operator in graph.operators:
        for output in operator.outputs:
            tensors = lists.setdefault(operator.input(0), [operator.input(0)]) if _is_channelwise(operator) else []
            tensors.append(output)
            lists[output] = tensors
    return list({id(tensors): tensors for tensors in lists.values()}.values())


def _constant_channels(graph: Graph) -> dict[Tensor, dict[int, int]]:
    """The constant channels of each activation, with their values."""
    found: dict[Tensor, dict[int, int]] = {}
    for operator in graph.operators:
        if descriptor_of(operator).is_convolution and _is_plain(operator):
            found[operator.output] = _constant_outputs(operator, found.get(operator.input(0), {}))
        elif _is_channelwise(operator):
            known = found.get(operator.input(0), {})
            pass_on = descriptor_of(operator).constant_channel
            if pass_on is not None:
                found[operator.output] = {channel: pass_on(operator, value) for channel, value in known.items()}
    return found


def _constant_outputs(operator: Operator, known: dict[int, int]) -> dict[int, int]:
    """The channels of a convolution whose smallest and largest sum give one output."""
    source, output = operator.input(0).q, operator.output.q
    layout = _layout(operator)
    filters = np.moveaxis(operator.input(1).values, layout.channel_axis, 0).astype(np.int64)
    filters = filters.reshape(len(filters), -1, 1 if layout.depthwise else filters.shape[-1])
    smallest: np.ndarray = np.full(operator.input(0).shape[3], -128 - source.zero_point)
    largest = np.full_like(smallest, 127 - source.zero_point)
    for channel, value in known.items():
        offset = value - source.zero_point
        smallest[channel], largest[channel] = (min(offset, 0), max(offset, 0)) if _pads(operator) else (offset, offset)
    if layout.depthwise:
        smallest, largest = smallest[:, None, None], largest[:, None, None]
    bias = _bias(operator)
    low = bias + np.minimum(filters * smallest, filters * largest).sum(axis=(1, 2))
    high = bias + np.maximum(filters * smallest, filters * largest).sum(axis=(1, 2))
    limits = clamp_range(operator)
    scales = np.broadcast_to(operator.input(1).q.scales, len(filters))
    ratios = source.scale * scales.astype(np.float64) / output.scale
    least, most = (np.clip(end * ratios + output.zero_point, *limits) for end in (low, high))
    constants = {}
    # Rounding moves an output by less than two steps: most channels need no more than a look.
    for channel in np.flatnonzero(most - least < _ROUNDING):
        multiplier, shift = quantise_multiplier(float(ratios[channel]))
        ends = int(low[channel]), int(high[channel])
        output_value = only_output(*ends, multiplier, shift, output.zero_point, limits)
        if shift <= MAX_LEFT_SHIFT and output_value is not None:
            constants[int(channel)] = output_value
    return constants


def _may_shrink(graph: Graph, joined: _Joined) -> bool:
    """Whether every operator that touches these activations can do with fewer channels."""
    members = set(joined.tensors)
    return (
        members.isdisjoint((*graph.sources, *graph.results))
        and all(
            _is_channelwise(operator) or (_is_dense(operator) and descriptor_of(operator).is_convolution)
            for operator in joined.writers
        )
        and all(members.isdisjoint(operator.inputs[1:]) for operator in joined.readers)
        and all(_is_channelwise(operator) or _is_dense(operator) for operator in joined.readers)
    )


def _shrink(joined: _Joined, constants: dict[Tensor, dict[int, int]]) -> None:
    """Remove the channels that are constant in all of these activations and can join the biases of all readers."""
    channels = joined.tensors[0].shape[-1]
    removed = set(range(channels)).intersection(*(constants.get(tensor, {}) for tensor in joined.tensors))
    dense = [operator for operator in joined.readers if _is_dense(operator)]
    for operator in dense:
        values, padding = constants.get(operator.input(0), {}), operator.input(0).q.zero_point
        removed = {channel for channel in removed if not _pads(operator) or values[channel] == padding}
    varying = channels - len(removed)
    left = max(varying, 1)
    left += -left % _WORD if channels % _WORD == 0 else 0
    gone = sorted(removed)[left - varying :]
    if not gone:
        return
    biases = [_bias_with(operator, gone, constants[operator.input(0)]) for operator in dense]
    if any(np.any((bias < INT32_MIN) | (bias > INT32_MAX)) for bias in biases):
        return
    kept = np.setdiff1d(np.arange(channels), gone)
    for operator, bias in zip(dense, biases, strict=True):
        _set_parameters(operator, operator.input(1).values[..., kept], bias, None)
    for operator in joined.writers:
        if descriptor_of(operator).is_convolution:
            filters = np.take(operator.input(1).values, kept, axis=_layout(operator).channel_axis)
            _set_parameters(operator, filters, _bias(operator)[kept], kept)
    for tensor in joined.tensors:
        tensor.shape = (*tensor.shape[:-1], len(kept))


def _bias_with(operator: Operator, channels: list[int], values: dict[int, int]) -> np.ndarray:
    """The biases of a layer with what these channels of its input add to its sums: (outputs) int64."""
    weights, zero_point = operator.input(1).q, operator.input(0).q.zero_point
    taps = (
        operator.input(1).values[..., channels].astype(np.int64)
    )  # FULLY_CONNECTED alone has a zero point in its weights.
    products = (taps - int(weights.zero_points[0])) * (np.array([values[channel] for channel in channels]) - zero_point)
    total: np.ndarray = _bias(operator) + products.reshape(len(products), -1).sum(axis=1)
    return total


def _set_parameters(operator: Operator, weights: np.ndarray, bias: np.ndarray, kept: np.ndarray | None) -> None:
    """Give an operator other weights and biases, and the scales of the filters that are kept."""
    old = operator.input(1)
    quantisation = old.q
    if kept is not None and quantisation.scales.size > 1:
        quantisation = dataclasses.replace(
            quantisation, scales=quantisation.scales[kept], zero_points=quantisation.zero_points[kept]
        )
    data = np.ascontiguousarray(weights)
    new_weights = dataclasses.replace(old, shape=weights.shape, quantisation=quantisation, data=data)
    old_bias = operator.inputs[2] if len(operator.inputs) > 2 else None
    name = f"{operator.output.name}/bias" if old_bias is None else old_bias.name
    new_bias = Tensor(name, bias.shape, np.dtype(np.int32), data=bias.astype(np.int32))
    operator.inputs = (operator.inputs[0], new_weights, new_bias, *operator.inputs[3:])


def _is_channelwise(operator: Operator) -> bool:
    """Whether each output channel is made of the input channel of the same number, of which this pass knows how."""
    descriptor = descriptor_of(operator)
    if not operator.inputs or len(operator.outputs) != 1:
        return False
    if descriptor.weights is not None:
        return descriptor.weights.depthwise and _is_plain(operator)
    source, output = operator.inputs[0], operator.output
    if descriptor.constant_channel is None or source is None:
        return False
    if not _is_activation(source) or not _is_activation(output) or source.shape[-1] != output.shape[-1]:
        return False
    return source.elements == output.elements if descriptor.is_reshape else _clamp_range_is_known(operator)


def _is_dense(operator: Operator) -> bool:
    """Whether each output channel is made of all input channels."""
    return _is_plain(operator) and not _layout(operator).depthwise


def _is_plain(operator: Operator) -> bool:
    """Whether it is an int8 convolution without groups, a depthwise one of a filter a channel, or fully connected."""
    descriptor = descriptor_of(operator)
    layout = descriptor.weights
    if layout is None or descriptor.lower is None or len(operator.inputs) < 2 or len(operator.outputs) != 1:
        return False
    source, weights, bias = (*operator.inputs, None)[:3]
    if not _is_activation(source) or not _is_activation(operator.output) or not _clamp_range_is_known(operator):
        return False
    if weights is None or weights.data is None or weights.dtype != np.int8 or weights.quantisation is None:
        return False
    if len(weights.shape) != layout.rank or (descriptor.is_convolution and len(operator.input(0).shape) != 4):
        return False
    filters, in_c = weights.shape[layout.channel_axis], operator.input(0).shape[-1]
    scales, symmetric = weights.quantisation.scales.size, not np.any(weights.quantisation.zero_points)
    return (
        (bias is None or (bias.data is not None and bias.dtype == np.int32 and bias.elements == filters))
        and (scales == 1 or (scales == filters and weights.quantisation.axis == layout.channel_axis and symmetric))
        and (symmetric or not descriptor.is_convolution)
        and operator.output.shape[-1] == filters
        and ((weights.shape[0], filters) == (1, in_c) if layout.depthwise else weights.shape[-1] == in_c)
    )


def _is_activation(tensor: Tensor | None) -> bool:
    return (
        tensor is not None
        and not tensor.is_constant
        and tensor.dtype == np.int8
        and len(tensor.shape) > 0
        and tensor.quantisation is not None
        and tensor.quantisation.scales.size == 1
    )


def _clamp_range_is_known(operator: Operator) -> bool:
    try:
        clamp_range(operator)
    except UnsupportedOpError:
        return False
    return True


def _pads(operator: Operator) -> bool:
    """Whether a window may lie in part outside the input."""
    padding = operator.options.get("padding", "SAME")
    if not descriptor_of(operator).is_convolution or padding == "VALID":
        return False
    return (
        any(operator.options["explicit_padding"])
        if padding == "EXPLICIT"
        else operator.input(1).values.shape[1:3] != (1, 1)
    )


def _layout(operator: Operator) -> WeightsLayout:
    layout = descriptor_of(operator).weights
    if layout is None:
        raise ModelError(f"operator {operator.index} ({operator.op}) has no weights")
    return layout


def _bias(operator: Operator) -> np.ndarray:
    """(outputs) int64."""
    bias = operator.inputs[2] if len(operator.inputs) > 2 else None
    outputs = operator.output.shape[-1]
    return np.zeros(outputs, np.int64) if bias is None or bias.data is None else bias.data.reshape(-1).astype(np.int64)
