"""Parts of a tensor: STRIDED_SLICE, SLICE, and SPLIT, SPLIT_V and UNPACK, which are a STRIDED_SLICE for each output."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinyedge.errors import UnsupportedOpError
from tinyedge.ops.broadcasting import dense_strides
from tinyedge.ops.descriptor import INT8, INT8_AND_INT16, OperatorDescriptor
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.ops.moves import in_torch
from tinyedge.ops.reshape import reshape
from tinyedge.ops.rules import constant_integers, output_like, quantised_activation, tensor_input, unsupported
from tinyedge.ops.strided_copy import strided_copy
from tinyedge.tflite.graph import Operator, Tensor, integer_constant

_TFLM_MAX_RANK = 4
"""Of what TFLite Micro's STRIDED_SLICE takes."""


@dataclass(frozen=True)
class _Part:
    """What is taken of a tensor.

    Attributes:
        taken: The indices along each of its axes.
        shape: Of the result, which has the same elements.
    """

    taken: tuple[range, ...]
    shape: tuple[int, ...]

    def is_all_of(self, source: Tensor) -> bool:
        """Whether it is the whole tensor, in order."""
        return self.taken == tuple(range(size) for size in source.shape)


def _strided(operator: Operator) -> _Part:
    """What a STRIDED_SLICE takes by its constant bounds, strides of either sign and masks."""
    source, output = tensor_input(operator, 0, "input"), operator.output
    begins, ends, steps = (
        constant_integers(operator, i, meaning) for i, meaning in ((1, "begin"), (2, "end"), (3, "strides"))
    )
    rank = len(source.shape)
    ellipsis, new, shrunk = (
        operator.options.get(f"{mask}_mask", 0) for mask in ("ellipsis", "new_axis", "shrink_axis")
    )
    # What an ellipsis stands for; without one, it is at the end.
    named = sum(not (ellipsis | new) >> entry & 1 for entry in range(len(begins)))
    if not len(begins) == len(ends) == len(steps) or named > rank or 0 in steps or ellipsis & (ellipsis - 1):
        raise unsupported(
            operator, source, f"is sliced by {begins}, {ends}, {steps}", f"up to {rank} bounds, strides not 0"
        )
    taken: list[range] = []
    shape: list[int] = []

    def take_whole(axes: int) -> None:
        for size in source.shape[len(taken) : len(taken) + axes]:
            taken.append(range(size))
            shape.append(size)

    for entry, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        if ellipsis >> entry & 1:
            take_whole(rank - named)
        elif new >> entry & 1:
            shape.append(1)
        else:
            size = source.shape[len(taken)]
            first = None if _masked(operator, "begin_mask", entry) else begin
            last = None if _masked(operator, "end_mask", entry) else end
            if operator.options.get("offset", False) and last is not None:
                last += range(size)[slice(first, None, step)].start
            if shrunk >> entry & 1:
                taken.append(range(size)[slice(first, None, step)][:1])
            else:
                taken.append(range(size)[slice(first, last, step)])
                shape.append(len(taken[-1]))
    take_whole(rank - len(taken))
    part = _Part(tuple(taken), tuple(shape))
    if output.elements == 0 or output.elements != int(np.prod([len(indices) for indices in taken])):
        raise unsupported(operator, output, f"has shape {list(output.shape)}", "the shape of the slice, not empty")
    return part


def _masked(operator: Operator, mask: str, entry: int) -> bool:
    return bool(operator.options.get(mask, 0) >> entry & 1)


def _with_all_bounds(operator: Operator, tensors: Mapping[Tensor, Tensor]) -> list[Operator]:
    """A float STRIDED_SLICE in INT8 as TFLite Micro takes it: a bound for each axis, and no more axes than needed."""
    source, output, part = tensors[operator.input(0)], tensors[operator.output], _strided(operator)
    shape, taken = source.shape, part.taken
    if len(shape) > _TFLM_MAX_RANK:
        shape, taken = _joined_axes(source, taken)
    before: list[Operator] = []
    if shape != source.shape:
        joined = dataclasses.replace(source, name=f"{output.name}/joined", shape=shape)
        before, source = [reshape(source, joined, operator.index)], joined
    shape = tuple(len(indices) for indices in taken)
    result = output if shape == output.shape else dataclasses.replace(output, name=f"{output.name}/part", shape=shape)
    to_the_start = [indices.stop < 0 for indices in taken]  # Written, a negative bound counts from the end.
    bounds = {
        "begin": [indices.start for indices in taken],
        "end": [max(indices.stop, 0) for indices in taken],
        "strides": [indices.step for indices in taken],
    }
    sliced = Operator(
        "STRIDED_SLICE",
        (source, *(integer_constant(f"{output.name}/{name}", values) for name, values in bounds.items())),
        (result,),
        {"end_mask": sum(1 << axis for axis, whole in enumerate(to_the_start) if whole)},
        version=2,
        index=operator.index,
    )
    after = [] if result is output else [reshape(result, output, operator.index)]
    return [*before, sliced, *after]


def _joined_axes(source: Tensor, taken: Sequence[range]) -> tuple[tuple[int, ...], tuple[range, ...]]:
    """The shape of a tensor in which axes that are taken whole are one with their neighbours, and what is taken."""
    sizes: list[int] = []
    parts: list[range] = []
    was_whole = False
    for size, indices in zip(source.shape, taken, strict=True):
        is_whole = indices == range(size)
        if is_whole and was_whole:
            sizes[-1] *= size
            parts[-1] = range(sizes[-1])
        else:
            sizes.append(size)
            parts.append(indices)
        was_whole = is_whole
    return tuple(sizes), tuple(parts)


def _sliced(operator: Operator) -> _Part:
    """What a SLICE takes by its constant begins and sizes, of which -1 is all that is left."""
    source, output = tensor_input(operator, 0, "input"), operator.output
    begins, sizes = (constant_integers(operator, i, meaning) for i, meaning in ((1, "begin"), (2, "size")))
    if not len(begins) == len(sizes) == len(source.shape):
        raise unsupported(operator, source, f"is sliced by {begins}, {sizes}", f"{len(source.shape)} begins and sizes")
    taken = tuple(
        range(begin, whole if size == -1 else begin + size)
        for whole, begin, size in zip(source.shape, begins, sizes, strict=True)
    )
    shape = tuple(len(indices) for indices in taken)
    if 0 in shape or any(indices.start < 0 or indices.stop > n for indices, n in zip(taken, source.shape, strict=True)):
        raise unsupported(operator, source, f"is sliced by {begins}, {sizes}", "slices within it, not empty")
    if output.shape != shape:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"the slice's, {list(shape)}")
    return _Part(taken, shape)


def _lowering(part_of: Callable[[Operator], _Part]) -> Callable[[Operator], KernelCall]:
    def lower(operator: Operator) -> KernelCall:
        source = quantised_activation(operator)
        output_like(operator, source)
        taken = part_of(operator).taken
        strides = dense_strides(source.shape)
        start = sum(indices[0] * stride for indices, stride in zip(taken, strides, strict=True))
        steps = [indices.step * stride for indices, stride in zip(taken, strides, strict=True)]
        return strided_copy(operator, source, [len(indices) for indices in taken], steps, start)

    return lower


def _takes_all(part_of: Callable[[Operator], _Part]) -> Callable[[Operator, Tensor], bool]:
    def takes_all(operator: Operator, source: Tensor) -> bool:
        try:
            return part_of(operator).is_all_of(source)
        except UnsupportedOpError:
            return False

    return takes_all


def _folding(part_of: Callable[[Operator], _Part]) -> Callable[[Operator], np.ndarray | None]:
    def fold(operator: Operator) -> np.ndarray | None:
        try:
            part = part_of(operator)
        except UnsupportedOpError:
            return None
        return operator.input(0).values[np.ix_(*part.taken)].reshape(part.shape)

    return fold


def _split(operator: Operator) -> list[Operator]:
    """SPLIT into equal parts along an axis."""
    source = tensor_input(operator, 1, "input")
    axis = _one_axis(operator, source, constant_integers(operator, 0, "axis"))
    count = len(operator.outputs)
    if source.shape[axis] % count:
        raise unsupported(
            operator, source, f"has {source.shape[axis]} elements along axis {axis}", f"a multiple of {count}"
        )
    return list(_parts(operator, source, axis, [source.shape[axis] // count] * count))


def _split_v(operator: Operator) -> list[Operator]:
    """SPLIT_V into parts of given sizes, of which one may be -1, along an axis."""
    source = tensor_input(operator, 0, "input")
    sizes = constant_integers(operator, 1, "sizes")
    axis = _one_axis(operator, source, constant_integers(operator, 2, "axis"))
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = source.shape[axis] - sum(sizes) - 1
    if len(sizes) != len(operator.outputs) or min(sizes) < 1 or sum(sizes) != source.shape[axis]:
        raise unsupported(
            operator,
            source,
            f"has {source.shape[axis]} elements along axis {axis}, split into {sizes}",
            f"{len(operator.outputs)} sizes that add up to them",
        )
    return list(_parts(operator, source, axis, sizes))


def _unpack(operator: Operator) -> list[Operator]:
    """UNPACK, which gives each index of an axis as a tensor of its own without that axis."""
    source = tensor_input(operator, 0, "input")
    axis = _one_axis(operator, source, [operator.options.get("axis", 0)])
    if source.shape[axis] != len(operator.outputs):
        raise unsupported(
            operator,
            source,
            f"has {source.shape[axis]} elements along axis {axis}",
            f"as many as outputs, which are {len(operator.outputs)}",
        )
    return list(_parts(operator, source, axis, [1] * len(operator.outputs), shrink=True))


def _one_axis(operator: Operator, source: Tensor, axes: Sequence[int]) -> int:
    rank = len(source.shape)
    if len(axes) != 1 or not -rank <= axes[0] < rank:
        raise unsupported(operator, source, f"has rank {rank}, taken apart along {list(axes)}", "one of its axes")
    return axes[0] % rank


def _parts(
    operator: Operator, source: Tensor, axis: int, sizes: Sequence[int], shrink: bool = False
) -> Iterator[Operator]:
    """A STRIDED_SLICE for each output: so many elements along an axis, one part after the other."""
    begin = 0
    for output, size in zip(operator.outputs, sizes, strict=True):
        shape = [*source.shape]
        shape[axis : axis + 1] = [] if shrink else [size]
        if output.shape != tuple(shape):
            raise unsupported(operator, output, f"has shape {list(output.shape)}", f"the part's, {shape}")
        bounds = np.zeros((3, len(source.shape)), np.int32)
        bounds[0, axis], bounds[1], bounds[2] = begin, source.shape, 1
        bounds[1, axis] = begin + size
        constants = (
            integer_constant(f"{output.name}/{name}", values)
            for name, values in zip(("begin", "end", "strides"), bounds, strict=True)
        )
        options = {"shrink_axis_mask": 1 << axis if shrink else 0}
        yield dataclasses.replace(
            operator, op="STRIDED_SLICE", inputs=(source, *constants), outputs=(output,), options=options, version=1
        )
        begin += size


def _lower_apart(separate: Callable[[Operator], list[Operator]]) -> Callable[[Operator], KernelCall]:
    """Of an operator of several outputs, which is taken apart unless something is wrong with it."""

    def lower(operator: Operator) -> KernelCall:
        (part,) = separate(operator)
        return _lowering(_strided)(part)

    return lower


OPERATORS = (
    *(
        OperatorDescriptor(
            name=name,
            inputs=inputs,
            lower=_lowering(part_of),
            versions=versions,
            tflm_types=INT8_AND_INT16,
            keeps_quantisation=True,
            moves_nothing=_takes_all(part_of),
            fold=_folding(part_of),
            expand=expand,
            **in_torch(_lowering(part_of)),
        )
        for name, inputs, part_of, versions, expand in (
            ("SLICE", (3, 3), _sliced, {"int8": 2, "int16": 4}, None),
            ("STRIDED_SLICE", (4, 4), _strided, {"int8": 2, "int16": 4}, _with_all_bounds),
        )
    ),
    *(
        OperatorDescriptor(
            name=name,
            inputs=inputs,
            outputs=(1, None),
            lower=_lower_apart(separate),
            separate=separate,
            tflm_types=INT8,
            keeps_quantisation=True,
        )
        for name, inputs, separate in (
            ("SPLIT", (2, 2), _split),
            ("SPLIT_V", (3, 3), _split_v),
            ("UNPACK", (1, 1), _unpack),
        )
    ),
)
