"""SPACE_TO_BATCH_ND, a convolution and BATCH_TO_SPACE_ND become one dilated convolution.

TensorFlow writes a dilated convolution so: each of the block's positions becomes an image of the batch, in which the
taps lie side by side. Those of one dimension, with a free batch, have a reshape to an image and one back in between.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from tinyedge.compiler.passes.sequences import SEQUENCE_RANK, as_image, image_axis, reshape
from tinyedge.ops import descriptor_of
from tinyedge.ops.rules import integers_of
from tinyedge.tflite.graph import Graph, Operator, Tensor

_SINGLE_STEPS = ("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor")
_IMAGE_RANK = 4

_Reading = dict[Tensor, list[Operator]]
_Writing = dict[Tensor, Operator]


@dataclass(frozen=True, eq=False)
class _Dilation:
    """A convolution within blocks.

    Attributes:
        convolution: Its operator.
        split: The operators before it, from SPACE_TO_BATCH_ND on.
        join: Those after it, up to BATCH_TO_SPACE_ND.
        axes: Which of height (0) and width (1) the block's axes are.
        block: (height, width) of the block.
        padding: (top, bottom, left, right), the paddings less the crops.
    """

    convolution: Operator
    split: list[Operator]
    join: list[Operator]
    axes: tuple[int, ...]
    block: tuple[int, int]
    padding: tuple[int, int, int, int]


def fold_dilation(graph: Graph) -> None:
    """Fold each VALID convolution of stride 1 between the two into a convolution of the block as its dilation.

    Paddings hold the zero point, the real 0 that a convolution skips, and crops cut what they made off again: what
    is left of both is the convolution's own padding. Its options then read `padding` "EXPLICIT" and `explicit_padding`
    (top, bottom, left, right). It stays where anything else reads what lies between, or where the crops are larger than
    the paddings.
    """
    readers = graph.readers()
    writers = {output: operator for operator in graph.operators for output in operator.outputs}
    folded: dict[Operator, list[Operator]] = {}
    for operator in graph.operators:
        dilation = _dilation(graph, readers, writers, operator)
        if dilation is not None:
            folded |= {other: [] for other in (*dilation.split, *dilation.join)}
            folded[operator] = _dilated(dilation)
    graph.operators[:] = [new for operator in graph.operators for new in folded.get(operator, [operator])]


def _dilated(dilation: _Dilation) -> list[Operator]:
    """The convolution, and reshapes to an image and back where it is one of a sequence."""
    convolution, split, join = dilation.convolution, dilation.split[0], dilation.join[-1]
    source, output = split.input(0), join.output
    before: list[Operator] = []
    after: list[Operator] = []
    if len(source.shape) == SEQUENCE_RANK:
        (axis,) = dilation.axes
        image, result = (as_image(tensor, axis) for tensor in (source, output))
        before, after = [reshape(source, image, split.index)], [reshape(result, output, join.index)]
        source, output = image, result
    options = {
        **convolution.options,
        "dilation_h_factor": dilation.block[0],
        "dilation_w_factor": dilation.block[1],
        "padding": "EXPLICIT",
        "explicit_padding": dilation.padding,
    }
    inputs = (source, *convolution.inputs[1:])
    return [*before, dataclasses.replace(convolution, inputs=inputs, outputs=(output,), options=options), *after]


def _dilation(graph: Graph, readers: _Reading, writers: _Writing, convolution: Operator) -> _Dilation | None:
    if not descriptor_of(convolution).is_convolution or not _is_plain(convolution):
        return None
    split, join = _before(graph, readers, writers, convolution), _after(graph, readers, convolution)
    if split is None or join is None or not _keep_values(split[0], join[-1]):
        return None
    axes = _block_axes(split[0].output.shape, convolution.input(0).shape)
    if axes is None or axes != _block_axes(join[-1].input(0).shape, convolution.output.shape):
        return None
    sizes = [_integers(operator, 1, (len(axes),)) for operator in (split[0], join[-1])]
    paddings, crops = _integers(split[0], 2, (len(axes), 2)), _integers(join[-1], 2, (len(axes), 2))
    if sizes[0] is None or sizes[0] != sizes[1] or paddings is None or crops is None:
        return None
    left = [padding - crop for padding, crop in zip(paddings, crops, strict=True)]
    if min(sizes[0]) < 1 or min(*paddings, *crops, *left) < 0:
        return None
    block, padding = [1, 1], [0, 0, 0, 0]
    for index, axis in enumerate(axes):
        block[axis] = sizes[0][index]
        padding[2 * axis : 2 * axis + 2] = left[2 * index : 2 * index + 2]
    top, bottom, before, after = padding
    return _Dilation(convolution, split, join, axes, (block[0], block[1]), (top, bottom, before, after))


def _before(graph: Graph, readers: _Reading, writers: _Writing, convolution: Operator) -> list[Operator] | None:
    """The SPACE_TO_BATCH_ND that makes the input of a convolution, and the reshape in between if there is one."""
    path: list[Operator] = []
    source = convolution.optional_input(0)
    while source in writers and len(path) <= 1 and _only_reader(graph, readers, source) is not None:
        path.insert(0, writers[source])
        if path[0].op == "SPACE_TO_BATCH_ND":
            return path
        if not _is_reshape(path[0]):
            return None
        source = path[0].optional_input(0)
    return None


def _after(graph: Graph, readers: _Reading, convolution: Operator) -> list[Operator] | None:
    """The BATCH_TO_SPACE_ND that takes the output of a convolution, behind a reshape if there is one."""
    path: list[Operator] = []
    reader = _only_reader(graph, readers, convolution.outputs[0]) if len(convolution.outputs) == 1 else None
    while reader is not None and len(path) <= 1 and len(reader.outputs) == 1:
        path.append(reader)
        if reader.op == "BATCH_TO_SPACE_ND":
            return path
        if not _is_reshape(reader):
            return None
        reader = _only_reader(graph, readers, reader.output)
    return None


def _is_reshape(operator: Operator) -> bool:
    return descriptor_of(operator).is_reshape and len(operator.outputs) == 1 and operator.optional_input(0) is not None


def _only_reader(graph: Graph, readers: _Reading, tensor: Tensor) -> Operator | None:
    reading = readers.get(tensor, [])
    return reading[0] if len(reading) == 1 and tensor not in graph.results else None


def _is_plain(convolution: Operator) -> bool:
    options = convolution.options
    return options.get("padding") == "VALID" and all(options.get(step, 1) == 1 for step in _SINGLE_STEPS)


def _keep_values(split: Operator, join: Operator) -> bool:
    ranks = {
        len(tensor.shape)
        for operator in (split, join)
        for tensor in (*operator.inputs[:1], *operator.outputs)
        if tensor
    }
    return len(ranks) == 1 and all(
        len(operator.outputs) == 1
        and operator.inputs[0] is not None
        and not operator.inputs[0].is_constant
        and _have_one_scale(operator.inputs[0], operator.output)
        for operator in (split, join)
    )


def _have_one_scale(source: Tensor, output: Tensor) -> bool:
    """Whether codes of one tensor are the values of the other; floats are."""
    if source.dtype not in (np.int8, np.int16):
        return source.dtype == np.float32
    return source.quantisation is not None and source.quantisation.equals(output.quantisation)


def _block_axes(blocks: tuple[int, ...], image: tuple[int, ...]) -> tuple[int, ...] | None:
    """Which of an image's height (0) and width (1) the axes after the batch are, where a block has its channels."""
    if len(image) != _IMAGE_RANK:
        return None
    if blocks == image:
        return 0, 1
    axis = image_axis(blocks, image)
    return None if axis is None else (axis,)


def _integers(operator: Operator, position: int, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    tensor = operator.inputs[position] if position < len(operator.inputs) else None
    values = None if tensor is None or tensor.shape != shape else integers_of(tensor)
    return None if values is None else tuple(values)
