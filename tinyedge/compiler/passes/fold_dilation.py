"""SPACE_TO_BATCH_ND, a convolution and BATCH_TO_SPACE_ND become one dilated convolution.

TensorFlow writes a dilated convolution so: each of the block's positions becomes an image of the batch, in which the
taps lie side by side.
"""

import numpy as np

from tinyedge.ops import descriptor_of
from tinyedge.tflite.graph import Graph, Operator, Tensor

_SINGLE_STEPS = ("stride_h", "stride_w", "dilation_h_factor", "dilation_w_factor")

_Reading = dict[Tensor, list[Operator]]


def fold_dilation(graph: Graph) -> None:
    """Fold each VALID convolution of stride 1 between the two into a convolution of the block as its dilation.

    Paddings hold the zero point, the real 0 that a convolution skips, and crops cut what they made off again: what
    is left of both is the convolution's own padding. Its options then read `padding` "EXPLICIT" and `explicit_padding`
    (top, bottom, left, right). It stays where anything else reads what lies between, or where the crops are larger than
    the paddings.
    """
    readers = graph.readers()
    writers = {output: operator for operator in graph.operators for output in operator.outputs}
    folded: set[Operator] = set()
    for operator in graph.operators:
        source = operator.inputs[0] if operator.inputs else None
        split = None if source is None else writers.get(source)
        if not descriptor_of(operator).is_convolution or split is None or split.op != "SPACE_TO_BATCH_ND":
            continue
        if len(operator.outputs) != 1 or len(split.outputs) != 1:
            continue
        join = _only_reader(graph, readers, operator.output)
        if join is None or join.op != "BATCH_TO_SPACE_ND" or _only_reader(graph, readers, split.output) is None:
            continue
        block, padding = _block(split, join), _padding(split, join)
        if block is None or padding is None or not _is_plain(operator) or not _keep_values(split, join):
            continue
        operator.inputs = (split.inputs[0], *operator.inputs[1:])
        operator.outputs = join.outputs
        operator.options = {
            **operator.options,
            "dilation_h_factor": block[0],
            "dilation_w_factor": block[1],
            "padding": "EXPLICIT",
            "explicit_padding": padding,
        }
        folded |= {split, join}
    graph.operators[:] = [operator for operator in graph.operators if operator not in folded]


def _only_reader(graph: Graph, readers: _Reading, tensor: Tensor) -> Operator | None:
    reading = readers.get(tensor, [])
    return reading[0] if len(reading) == 1 and tensor not in graph.results else None


def _is_plain(convolution: Operator) -> bool:
    options = convolution.options
    return options.get("padding") == "VALID" and all(options.get(step, 1) == 1 for step in _SINGLE_STEPS)


def _keep_values(split: Operator, join: Operator) -> bool:
    return all(
        len(operator.outputs) == 1
        and operator.inputs[0] is not None
        and not operator.inputs[0].is_constant
        and len(operator.inputs[0].shape) == 4
        and operator.inputs[0].dtype in (np.int8, np.int16)
        and operator.inputs[0].quantisation is not None
        and operator.inputs[0].quantisation.equals(operator.output.quantisation)
        for operator in (split, join)
    )


def _block(split: Operator, join: Operator) -> tuple[int, int] | None:
    """(height, width) of the block, if it is the same on both sides and leaves the channels alone."""
    sizes = [_integers(operator, 1, (2,)) for operator in (split, join)]
    if sizes[0] is None or sizes[0] != sizes[1] or min(sizes[0]) < 1:
        return None
    return sizes[0][0], sizes[0][1]


def _padding(split: Operator, join: Operator) -> tuple[int, int, int, int] | None:
    """(top, bottom, left, right): the paddings less the crops, where nothing is negative."""
    paddings, crops = _integers(split, 2, (2, 2)), _integers(join, 2, (2, 2))
    if paddings is None or crops is None or min(*paddings, *crops) < 0:
        return None
    top, bottom, left, right = (padding - crop for padding, crop in zip(paddings, crops, strict=True))
    return (top, bottom, left, right) if min(top, bottom, left, right) >= 0 else None


def _integers(operator: Operator, position: int, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    tensor = operator.inputs[position] if position < len(operator.inputs) else None
    if tensor is None or tensor.data is None or tensor.shape != shape:
        return None
    return tuple(int(value) for value in tensor.data.reshape(-1))
