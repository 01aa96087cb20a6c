"""The loops of operators that make one value of all along some axes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinyedge.ops.broadcasting import dense_strides
from tinyedge.ops.kernel_call import Fields
from tinyedge.ops.rules import constant_integers, unsupported
from tinyedge.tflite.graph import Operator, Tensor

if TYPE_CHECKING:
    import torch

_LOOPS = 3


def reduced(
    operator: Operator,
    x: "torch.Tensor",
    axes: "torch.Tensor",
    function: "Callable[[torch.Tensor, list[int]], torch.Tensor]",
) -> "torch.Tensor":
    """The output of such an operator in PyTorch, of a function of values and the axes along which it makes one."""
    from tinyedge.ops.arithmetic.floats import batched, samples

    source = operator.input(0)
    over = sorted({int(axis) % len(source.shape) + 1 for axis in axes.reshape(-1)})
    return batched(operator, function(samples(source, x), over))


@dataclass(frozen=True)
class Reduction:
    """Which values of an input make which value of the output.

    Attributes:
        count: How many values make one.
        fields: The loops over the outputs and over the values of one, as members of a kernel's struct.
    """

    count: int
    fields: Fields


def reduction(operator: Operator, source: Tensor, max_count: int) -> Reduction:
    """The loops of an operator whose second input names axes.

    Args:
        operator: Its axes may be given more than once, and be negative.
        source: Its first input.
        max_count: Of how many values its kernel makes one at most.

    Raises:
        UnsupportedOpError: An axis is none of the input's, they alternate too often, or the output has another size.
    """
    output = operator.output
    rank = len(source.shape)
    axes = {axis + rank if axis < 0 else axis for axis in constant_integers(operator, 1, "axes")}
    if not axes <= set(range(rank)):
        raise unsupported(operator, source, f"has no axes {sorted(axes)}", f"axes from {-rank} to {rank - 1}")
    loops: dict[bool, list[list[int]]] = {True: [], False: []}  # By "is reduced": [size, stride], outermost first.
    previous: bool | None = None
    for axis, (size, stride) in enumerate(zip(source.shape, dense_strides(source.shape), strict=True)):
        if size == 1:
            continue
        reduced = axis in axes
        if reduced == previous:
            loops[reduced][-1] = [loops[reduced][-1][0] * size, stride]
        else:
            loops[reduced].append([size, stride])
        previous = reduced
    count = 1
    for size, _ in loops[True]:
        count *= size
    if max(len(loops[True]), len(loops[False])) > _LOOPS or count > max_count:
        raise unsupported(
            operator,
            source,
            f"has shape {list(source.shape)} reduced along {sorted(axes)}",
            f"{operator.op} of at most {max_count} values in {_LOOPS} groups of axes",
        )
    if output.elements * count != source.elements:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", "the shape that is left of the input's")
    padded = {reduced: [[1, 0]] * (_LOOPS - len(group)) + group for reduced, group in loops.items()}
    return Reduction(
        count,
        {
            "kept_dims": tuple(size for size, _ in padded[False]),
            "kept_strides": tuple(stride for _, stride in padded[False]),
            "reduced_dims": tuple(size for size, _ in padded[True]),
            "reduced_strides": tuple(stride for _, stride in padded[True]),
        },
    )
