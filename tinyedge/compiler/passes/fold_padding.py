"""PAD before a convolution becomes the convolution's own padding."""

import dataclasses

import numpy as np

from tinyedge.compiler.passes.sequences import SEQUENCE_RANK, as_image, image_axis, reshape
from tinyedge.ops import descriptor_of
from tinyedge.tflite.graph import Graph, Operator, Tensor


def fold_padding(graph: Graph) -> None:
    """Fold each spatial PAD with the zero point into the VALID convolutions that read it.

    A padded position holds the real value 0, and a convolution skips positions outside its input, which adds the same
    0: the sums are equal. The convolution's options then read `padding` "EXPLICIT" and `explicit_padding`
    (top, bottom, left, right). A PAD that anything else reads stays. That of a sequence, which a convolution takes as
    an image behind a reshape, becomes that of the image before.
    """
    _pad_images(graph)
    readers = graph.readers()
    kept = []
    for operator in graph.operators:
        padding = _spatial_padding(operator)
        reading = readers.get(operator.outputs[0], [])
        if (
            padding is None
            or operator.output in graph.results
            or not reading
            or not all(_takes_padding(reader, operator.output) for reader in reading)
        ):
            kept.append(operator)
            continue
        for reader in reading:
            reader.inputs = (operator.inputs[0], *reader.inputs[1:])
            own = reader.options.get("explicit_padding", (0, 0, 0, 0))
            total = tuple(sum(pair) for pair in zip(padding, own, strict=True))
            reader.options = {**reader.options, "padding": "EXPLICIT", "explicit_padding": total}
    graph.operators[:] = kept


def _pad_images(graph: Graph) -> None:
    """Let each sequence that is padded, and then reshaped to an image, be reshaped first."""
    readers = graph.readers()
    replaced: dict[Operator, list[Operator]] = {}
    for operator in graph.operators:
        reading = readers.get(operator.outputs[0], []) if operator.op == "PAD" else []
        if len(reading) != 1 or operator.outputs[0] in graph.results:
            continue
        reader, source = reading[0], operator.optional_input(0)
        if not descriptor_of(reader).is_reshape or source is None or source.is_constant or len(reader.outputs) != 1:
            continue
        axis, paddings = image_axis(operator.output.shape, reader.output.shape), operator.optional_input(1)
        if axis is None or paddings is None or paddings.data is None or paddings.shape != (SEQUENCE_RANK, 2):
            continue
        image = as_image(source, axis)
        amounts = np.insert(paddings.data, 2 - axis, 0, axis=0)
        constant = Tensor(f"{paddings.name}/image", amounts.shape, amounts.dtype, data=amounts)
        padded = dataclasses.replace(operator, inputs=(image, constant), outputs=reader.outputs)
        replaced |= {operator: [reshape(source, image, operator.index), padded], reader: []}
    graph.operators[:] = [new for operator in graph.operators for new in replaced.get(operator, [operator])]


def _spatial_padding(operator: Operator) -> tuple[int, int, int, int] | None:
    """(top, bottom, left, right) of a PAD of height and width only, with the zero point of its input."""
    if operator.op not in ("PAD", "PADV2") or len(operator.inputs) < 2 or len(operator.outputs) != 1:
        return None
    source, paddings = operator.inputs[:2]
    output = operator.output
    if source is None or source.is_constant or paddings is None or paddings.data is None:
        return None
    if len(source.shape) != 4 or paddings.shape != (4, 2) or source.quantisation is None:
        return None
    if source.dtype not in (np.int8, np.int16) or not source.quantisation.equals(output.quantisation):
        return None
    if len(operator.inputs) > 2:
        value = operator.inputs[2]
        if value is not None and (
            value.data is None
            or value.elements != 1
            or int(value.data.reshape(-1)[0]) != source.quantisation.zero_point
        ):
            return None
    before_and_after = [(int(before), int(after)) for before, after in paddings.data]
    if any(amount < 0 for pair in before_and_after for amount in pair):
        return None
    padded = tuple(size + sum(pair) for size, pair in zip(source.shape, before_and_after, strict=True))
    if before_and_after[0] != (0, 0) or before_and_after[3] != (0, 0) or padded != output.shape:
        return None
    return (*before_and_after[1], *before_and_after[2])


def _takes_padding(reader: Operator, tensor: Tensor) -> bool:
    return (
        descriptor_of(reader).is_convolution
        and reader.options.get("padding") in ("VALID", "EXPLICIT")
        and reader.inputs[0] is tensor
        and tensor not in reader.inputs[1:]
    )
