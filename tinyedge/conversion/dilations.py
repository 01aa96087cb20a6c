"""Dilated convolutions as TensorFlow writes them in a float graph, each as one operator."""

import dataclasses

import numpy as np

from tinyedge.compiler.passes.fold_dilation import fold_dilation
from tinyedge.tflite.graph import Graph, Operator, Tensor


def dilate_convolutions(graph: Graph) -> None:
    """Make one dilated convolution of SPACE_TO_BATCH_ND, a convolution and BATCH_TO_SPACE_ND, in place.

    Its padding is an option where it is what TFLite calls SAME, and a PAD else. No sample is several images on the
    way, so that a batch of them runs at once.
    """
    fold_dilation(graph)
    graph.operators[:] = [new for operator in graph.operators for new in _with_plain_padding(operator)]


def _with_plain_padding(operator: Operator) -> list[Operator]:
    """A convolution whose padding is "EXPLICIT", which is no option of a file, with one that is."""
    if operator.options.get("padding") != "EXPLICIT":
        return [operator]
    options = {name: value for name, value in operator.options.items() if name != "explicit_padding"}
    top, bottom, left, right = operator.options["explicit_padding"]
    taps = operator.input(1).shape[1:3]
    steps = (options["dilation_h_factor"], options["dilation_w_factor"])
    reach = [(tap - 1) * step for tap, step in zip(taps, steps, strict=True)]
    same = [total // 2 for total in reach], [total - total // 2 for total in reach]
    if ([top, left], [bottom, right]) == same:
        return [dataclasses.replace(operator, options={**options, "padding": "SAME"})]
    plain = dataclasses.replace(operator, options={**options, "padding": "VALID"})
    if not any((top, bottom, left, right)):
        return [plain]
    source = operator.input(0)
    batch, height, width, channels = source.shape
    shape = (batch, top + height + bottom, left + width + right, channels)
    padded = dataclasses.replace(source, name=f"{operator.output.name}/padded", shape=shape)
    amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    constant = Tensor(f"{padded.name}/paddings", amounts.shape, amounts.dtype, data=amounts)
    pad = Operator("PAD", (source, constant), (padded,), index=operator.index)
    return [pad, dataclasses.replace(plain, inputs=(padded, *operator.inputs[1:]))]
