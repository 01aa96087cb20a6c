"""Operators that move values and change none: TRANSPOSE, STRIDED_SLICE, PAD, CONCATENATION and the reshapes."""

import numpy as np

from tinyedge.ops.elementwise import dense_strides
from tinyedge.ops.kernel_call import ConstantArray, KernelCall
from tinyedge.ops.registry import lowers
from tinyedge.ops.rules import (
    constant_integers,
    element,
    output_like,
    quantised_activation,
    quantised_input,
    quantised_output,
    same_quantisation,
    tensor_input,
    unsupported,
    zero_point,
)
from tinyedge.tflite.graph import Operator, Tensor

_LOOPS = 5


def _strided_copy(
    operator: Operator, source: Tensor, dims: list[int], strides: list[int], start: int = 0
) -> KernelCall:
    """A copy of input elements in the order of nested loops, of which as many as possible are joined."""
    loops: list[tuple[int, int]] = []
    for size, stride in zip(dims, strides, strict=True):
        if size == 1:
            continue
        if loops and loops[-1][1] == size * stride:
            loops[-1] = (loops[-1][0] * size, stride)
        else:
            loops.append((size, stride))
    if len(loops) > _LOOPS:
        raise unsupported(operator, source, f"needs {len(loops)} nested loops", f"at most {_LOOPS}")
    loops = [(1, 0)] * (_LOOPS - len(loops)) + loops
    return KernelCall(
        function=f"te_strided_copy_{element(source)}",
        struct="te_strided_copy_params",
        fields={
            "dims": tuple(size for size, _ in loops),
            "strides": tuple(stride for _, stride in loops),
            "start": start,
        },
        inputs=(source,),
        output=operator.output,
        op=operator.op,
        name=operator.output.name,
    )


@lowers("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def lower_reshape(operator: Operator) -> KernelCall:
    """Lower a reshape to a copy, for where its output cannot be a view of its input."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    if source.elements != output.elements:
        raise unsupported(operator, output, f"has shape {list(output.shape)}", f"{source.elements} elements")
    return _strided_copy(operator, source, [source.elements], [1])


@lowers("TRANSPOSE")
def lower_transpose(operator: Operator) -> KernelCall:
    """Lower TRANSPOSE."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    permutation = constant_integers(operator, 1, "permutation")
    if sorted(permutation) != list(range(len(source.shape))):
        raise unsupported(
            operator, source, f"has rank {len(source.shape)} permuted by {permutation}", "permutations of all axes"
        )
    if output.shape != tuple(source.shape[axis] for axis in permutation):
        raise unsupported(operator, output, f"has shape {list(output.shape)}", "the input's shape permuted")
    strides = dense_strides(source.shape)
    return _strided_copy(operator, source, list(output.shape), [strides[axis] for axis in permutation])


def _slice_of_axis(operator: Operator, axis: int, size: int, begin: int, end: int, stride: int) -> range:
    """The indices that STRIDED_SLICE takes along an axis."""

    def masked(name: str) -> bool:
        return bool(operator.options.get(name, 0) >> axis & 1)

    if masked("shrink_axis_mask"):
        first = range(size)[slice(None if masked("begin_mask") else begin, None, stride)]
        return first[:1]
    return range(size)[slice(None if masked("begin_mask") else begin, None if masked("end_mask") else end, stride)]


@lowers("STRIDED_SLICE")
def lower_strided_slice(operator: Operator) -> KernelCall:
    """Lower STRIDED_SLICE with constant bounds and strides of either sign."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    begins, ends, steps = (
        constant_integers(operator, i, meaning) for i, meaning in ((1, "begin"), (2, "end"), (3, "strides"))
    )
    rank = len(source.shape)
    if not len(begins) == len(ends) == len(steps) == rank or 0 in steps:
        raise unsupported(operator, source, f"is sliced by {begins}, {ends}, {steps}", f"{rank} bounds, strides not 0")
    for mask in ("ellipsis_mask", "new_axis_mask", "offset"):
        if operator.options.get(mask, 0):
            raise unsupported(operator, source, f"is sliced with {mask}", "begin, end and shrink_axis masks")
    taken = [
        _slice_of_axis(operator, axis, source.shape[axis], begins[axis], ends[axis], steps[axis])
        for axis in range(rank)
    ]
    if output.elements == 0 or output.elements != int(np.prod([len(indices) for indices in taken])):
        raise unsupported(operator, output, f"has shape {list(output.shape)}", "the shape of the slice, not empty")
    strides = dense_strides(source.shape)
    start = sum(indices[0] * stride for indices, stride in zip(taken, strides, strict=True))
    moves = [indices.step * stride for indices, stride in zip(taken, strides, strict=True)]
    return _strided_copy(operator, source, [len(indices) for indices in taken], moves, start)


@lowers("PAD", "PADV2")
def lower_pad(operator: Operator) -> KernelCall:
    """Lower PAD with the output's zero point, or PADV2 with its constant."""
    source = quantised_activation(operator)
    output = output_like(operator, source)
    rank = len(source.shape)
    amounts = constant_integers(operator, 1, "paddings")
    if rank > _LOOPS or len(amounts) != 2 * rank or min(amounts, default=0) < 0:
        raise unsupported(
            operator, source, f"has rank {rank} padded by {amounts}", f"ranks up to {_LOOPS}, two paddings an axis"
        )
    before, after = amounts[::2], amounts[1::2]
    if output.shape != tuple(a + size + b for a, size, b in zip(before, source.shape, after, strict=True)):
        raise unsupported(operator, output, f"has shape {list(output.shape)}", "the input's shape with its paddings")
    value = zero_point(output)
    if len(operator.inputs) > 2:
        fill = quantised_input(operator, 2, "padding value")
        if fill.data is None or fill.elements != 1 or not same_quantisation(fill, output):
            raise unsupported(
                operator,
                fill,
                f"is a padding value of shape {list(fill.shape)}",
                "one constant quantised as the output",
            )
        value = int(fill.data.reshape(-1)[0])
    strides = dense_strides(output.shape)
    start = sum(amount * stride for amount, stride in zip(before, strides, strict=True))
    # An axis without padding joins the one before it: its elements stay together.
    loops: list[tuple[int, int]] = []
    for size, padded, stride in zip(source.shape, output.shape, strides, strict=True):
        if loops and size == padded:
            loops[-1] = (loops[-1][0] * size, stride)
        else:
            loops.append((size, stride))
    loops = [(1, 0)] * (_LOOPS - len(loops)) + loops
    return KernelCall(
        function=f"te_pad_{element(source)}",
        struct="te_pad_params",
        fields={
            "dims": tuple(size for size, _ in loops),
            "strides": tuple(stride for _, stride in loops),
            "start": start,
            "count": output.elements,
            "value": value,
        },
        inputs=(source,),
        output=output,
        op=operator.op,
        name=output.name,
    )


@lowers("CONCATENATION")
def lower_concatenation(operator: Operator) -> KernelCall:
    """Lower CONCATENATION of activations in one quantisation."""
    output = quantised_output(operator)
    sources = tuple(quantised_activation(operator, position) for position in range(len(operator.inputs)))
    first = tensor_input(operator, 0, "input")
    rank = len(first.shape)
    axis = operator.options.get("axis", 0)
    axis += rank if axis < 0 else 0
    if operator.options.get("fused_activation_function", "NONE") != "NONE":
        raise unsupported(operator, output, "has a fused activation", "CONCATENATION without one")
    for source in sources:
        if not same_quantisation(source, output):
            raise unsupported(operator, source, "is rescaled", "inputs with the output's scale and zero point")
    joined = sum(source.shape[axis] for source in sources if len(source.shape) == rank > axis >= 0)
    expected = (*first.shape[:axis], joined, *first.shape[axis + 1 :])
    others = {(*source.shape[:axis], *source.shape[axis + 1 :]) for source in sources}
    if not 0 <= axis < rank or output.shape != expected or len(others) != 1:
        raise unsupported(
            operator,
            output,
            f"has shape {list(output.shape)} along axis {axis}",
            f"inputs, here {', '.join(str(list(source.shape)) for source in sources)}, that join to it",
        )
    outer = int(np.prod(first.shape[:axis], dtype=np.int64))
    inner = np.array([source.elements // outer for source in sources], dtype=np.int32)
    return KernelCall(
        function=f"te_concatenation_{element(output)}",
        struct="te_concatenation_params",
        fields={"inputs": len(sources), "outer": outer, "inner": ConstantArray(inner)},
        inputs=sources,
        output=output,
        op=operator.op,
        name=output.name,
        inputs_as_array=True,
    )
