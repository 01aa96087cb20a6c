"""A model as TFLite Micro computes it right.

Its SPACE_TO_BATCH_ND pads with memory that nobody wrote (tensorflow/tflite-micro#1646), so a dilated convolution as
TensorFlow's converter writes it differs from LiteRT's. Its own dilated convolutions are right. TILE, as Keras writes
UpSampling and RepeatVector, is not among its operators, and CONCATENATION of one tensor several times is the same.
INT4 weights of FULLY_CONNECTED it takes under one scale; with one a channel, it gets the same values as INT8.
Unset options are set as `option_repair` says, and shapes that a detector's outputs lack (`tinyedge.tflite.detection`).
"""

import dataclasses

import numpy as np

from tinyedge.compiler.passes.fold_dilation import fold_dilation
from tinyedge.runtimes.option_repair import has_unset_options, with_options_set
from tinyedge.tflite.detection import SHAPES_UNSET
from tinyedge.tflite.graph import Operator, Tensor
from tinyedge.tflite.model import Model
from tinyedge.tflite.writer import tflite_bytes

# Its CONCATENATION takes so many inputs.
_MOST_JOINED = 10


def tflm_content(model: Model) -> bytes:
    """Return the bytes of a .tflite file: dilations for blocks, joins for tiles, unset options and shapes set, if any.

    Raises:
        ModelError: The file is damaged.
    """
    graph = model.any_graph()
    before = graph.histogram()
    fold_dilation(graph)
    rewritten = any(_has_int4_channels(operator) or SHAPES_UNSET in operator.options for operator in graph.operators)
    if graph.histogram() == before and "TILE" not in before and not has_unset_options(graph) and not rewritten:
        return model.content
    operators = [
        part
        for operator in graph.operators
        for whole in _with_padding_apart(_with_int8_channels(with_options_set(operator)))
        for part in _with_tile_joined(whole)
    ]
    return tflite_bytes(dataclasses.replace(graph, operators=operators))


def _has_int4_channels(operator: Operator) -> bool:
    weights = operator.optional_input(1)
    return operator.op == "FULLY_CONNECTED" and weights is not None and weights.is_int4 and weights.q.scales.size > 1


def _with_int8_channels(operator: Operator) -> Operator:
    if not _has_int4_channels(operator):
        return operator
    weights = dataclasses.replace(operator.input(1), is_int4=False)
    return dataclasses.replace(operator, inputs=(operator.inputs[0], weights, *operator.inputs[2:]))


def _with_padding_apart(operator: Operator) -> list[Operator]:
    """The file format has no paddings of one's own: PAD, then a convolution without."""
    if operator.options.get("padding") != "EXPLICIT":
        return [operator]
    top, bottom, left, right = operator.options["explicit_padding"]
    options = {key: value for key, value in operator.options.items() if key != "explicit_padding"}
    source = operator.input(0)
    batch, height, width, channels = source.shape
    amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    padded = dataclasses.replace(
        source,
        name=f"{operator.output.name}/padded",
        shape=(batch, height + top + bottom, width + left + right, channels),
    )
    paddings = Tensor(f"{padded.name}/amounts", amounts.shape, amounts.dtype, data=amounts)
    convolution = dataclasses.replace(
        operator, inputs=(padded, *operator.inputs[1:]), options={**options, "padding": "VALID"}
    )
    return [Operator("PAD", (source, paddings), (padded,)), convolution]


def _with_tile_joined(operator: Operator) -> list[Operator]:
    """A TILE by constant multiples as CONCATENATIONs, one axis after the other."""
    multiples = operator.optional_input(1)
    if operator.op != "TILE" or multiples is None or multiples.data is None:
        return [operator]
    joins: list[Operator] = []

    def joined(parts: list[Tensor], axis: int) -> Tensor:
        shape = [*parts[0].shape]
        shape[axis] = sum(part.shape[axis] for part in parts)
        output = dataclasses.replace(parts[0], name=f"{operator.output.name}/{len(joins)}", shape=tuple(shape))
        joins.append(Operator("CONCATENATION", tuple(parts), (output,), {"axis": axis}, index=operator.index))
        return output

    source = operator.input(0)
    for axis, times in enumerate(multiples.data.reshape(-1)):
        parts = [source] * int(times)
        while len(parts) > 1:
            parts = [joined(parts[at : at + _MOST_JOINED], axis) for at in range(0, len(parts), _MOST_JOINED)]
        source = parts[0]
    if not joins:
        joined([source], 0)
    joins[-1].outputs = operator.outputs
    return joins
