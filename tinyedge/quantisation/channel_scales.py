"""Products and sums with a number for each channel, as a LayerNormalization and an unfolded BatchNorm end.

As int8 constants the numbers of all channels have one scale, and the small ones lose their digits. They belong into the
weights that follow, and where none do, a depthwise convolution of one tap has a scale for each channel.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from tinyedge.ops.reshape import reshape
from tinyedge.quantisation.layer_norms import remove_unread
from tinyedge.tflite.graph import Graph, Operator, Tensor

_IMAGE_RANK = 4
_ONE_TAP = {
    "padding": "VALID",
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h_factor": 1,
    "dilation_w_factor": 1,
    "depth_multiplier": 1,
}


@dataclass(frozen=True, eq=False)
class _Affine:
    """A product with a number for each channel, and a sum with one.

    Attributes:
        source: What is multiplied.
        factors: (C,) float32.
        offsets: (C,) float32; None if nothing is added.
        last: The operator that makes the result.
    """

    source: Tensor
    factors: np.ndarray
    offsets: np.ndarray | None
    last: Operator


def fold_channel_scales(graph: Graph) -> None:
    """Fold, in a float graph, in place, such products and sums into weights that follow, or into a convolution."""
    readers = graph.readers()
    replaced: dict[Operator, list[Operator]] = {}
    for operator in graph.operators:
        affine = _affine(graph, operator, readers)
        if affine is None:
            continue
        output = affine.last.output
        reading = readers.get(output, [])
        takes_all = output not in graph.outputs and all(_takes_scales(reader, output) for reader in reading)
        if takes_all and reading and affine.last.options["fused_activation_function"] == "NONE":
            replaced |= {reader: [_with_scales(reader, affine)] for reader in reading}
        elif not all(values is None or np.all(values == values[0]) for values in (affine.factors, affine.offsets)):
            replaced[affine.last] = _one_tap(affine)
    graph.operators[:] = [new for operator in graph.operators for new in replaced.get(operator, [operator])]
    remove_unread(graph)


def _affine(graph: Graph, product: Operator, readers: dict[Tensor, list[Operator]]) -> _Affine | None:
    scaled = _channel_constant(product, "MUL")
    if scaled is None:
        return None
    source, factors = scaled
    reading = readers.get(product.output, [])
    follower = reading[0] if len(reading) == 1 and product.output not in graph.outputs else None
    if follower is not None and product.options["fused_activation_function"] == "NONE":
        moved = _channel_constant(follower, "ADD")
        if moved is not None and moved[0] is product.output:
            return _Affine(source, factors, moved[1], follower)
    return _Affine(source, factors, None, product)


def _channel_constant(operator: Operator, op: str) -> tuple[Tensor, np.ndarray] | None:
    """The activation of an operator of two operands and its constant, (C,), if that has one value a channel."""
    if operator.op != op or len(operator.inputs) != 2:
        return None
    for source, constant in (operator.inputs, operator.inputs[::-1]):
        if source is None or source.is_constant or constant is None or constant.data is None or not source.shape:
            continue
        channels = source.shape[-1]
        along_channels = constant.elements in (1, channels) and constant.elements == math.prod(constant.shape[-1:])
        if along_channels and source.shape == operator.output.shape:
            return source, np.broadcast_to(constant.data.reshape(-1), (channels,)).astype(np.float32)
    return None


def _takes_scales(reader: Operator, tensor: Tensor) -> bool:
    """Whether an operator sums products of a constant and each channel of a tensor, and nothing is padded with 0."""
    weight, bias = reader.optional_input(1), reader.optional_input(2)
    constant = weight is not None and weight.is_constant and (bias is None or bias.is_constant)
    if weight is None or not constant or reader.inputs[0] is not tensor or weight.shape[-1] != tensor.shape[-1]:
        return False
    is_pixel = weight.shape[1:3] == (1, 1) or reader.options.get("padding") == "VALID"
    return reader.op == "FULLY_CONNECTED" or (reader.op == "CONV_2D" and is_pixel)


def _with_scales(reader: Operator, affine: _Affine) -> Operator:
    weight, bias = reader.input(1), reader.optional_input(2)
    values = weight.values * affine.factors
    inputs = [affine.source, dataclasses.replace(weight, data=values.astype(np.float32)), *reader.inputs[2:]]
    if affine.offsets is not None:
        sums = (weight.values * affine.offsets).sum(axis=tuple(range(1, weight.values.ndim)), dtype=np.float64)
        added = (sums + (0 if bias is None else bias.values)).astype(np.float32)
        inputs[2:] = [Tensor(f"{reader.output.name}/bias", added.shape, added.dtype, data=added)]
    return dataclasses.replace(reader, inputs=tuple(inputs))


def _one_tap(affine: _Affine) -> list[Operator]:
    """The depthwise convolution of one tap, of an image of all rows if there is no image."""
    last, source, channels = affine.last, affine.source, len(affine.factors)
    output = last.output
    weight = Tensor(f"{output.name}/factors", (1, 1, 1, channels), affine.factors.dtype)
    weight = dataclasses.replace(weight, data=affine.factors.reshape(weight.shape))
    offsets = np.zeros(channels, np.float32) if affine.offsets is None else affine.offsets
    bias = Tensor(f"{output.name}/offsets", offsets.shape, offsets.dtype, data=offsets)
    options = {**_ONE_TAP, "fused_activation_function": last.options["fused_activation_function"]}
    if len(source.shape) == _IMAGE_RANK:
        return [Operator("DEPTHWISE_CONV_2D", (source, weight, bias), (output,), options, index=last.index)]
    shape = (1, 1, source.elements // channels, channels)
    image, result = (
        dataclasses.replace(tensor, name=f"{tensor.name}/rows", shape=shape) for tensor in (source, output)
    )
    return [
        reshape(source, image, last.index),
        Operator("DEPTHWISE_CONV_2D", (image, weight, bias), (result,), options, index=last.index),
        reshape(result, output, last.index),
    ]
