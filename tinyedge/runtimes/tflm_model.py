"""A model as TFLite Micro computes it right.

Its SPACE_TO_BATCH_ND pads with memory that nobody wrote (tensorflow/tflite-micro#1646), so a dilated convolution as
TensorFlow's converter writes it differs from LiteRT's. Its own dilated convolutions are right. Unset options are set
as `option_repair` says.
"""

import dataclasses

import numpy as np

from tinyedge.compiler.passes.fold_dilation import fold_dilation
from tinyedge.runtimes.option_repair import has_unset_options, with_options_set
from tinyedge.tflite.graph import Operator, Tensor
from tinyedge.tflite.model import Model
from tinyedge.tflite.writer import tflite_bytes


def tflm_content(model: Model) -> bytes:
    """Return the bytes of a .tflite file, with dilations in place of blocks and unset options set, if it has any.

    Raises:
        ModelError: The file is damaged.
    """
    graph = model.any_graph()
    blocks = graph.histogram().get("SPACE_TO_BATCH_ND", 0)
    fold_dilation(graph)
    if graph.histogram().get("SPACE_TO_BATCH_ND", 0) == blocks and not has_unset_options(graph):
        return model.content
    operators = [part for operator in graph.operators for part in _with_padding_apart(with_options_set(operator))]
    return tflite_bytes(dataclasses.replace(graph, operators=operators))


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
