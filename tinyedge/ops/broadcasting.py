"""Operators of two operands, of which one may be constant, and one may be repeated along some axes."""

from collections.abc import Mapping, Sequence

import numpy as np

from tinyedge.ops.kernel_call import Fields, Kernel, KernelCall
from tinyedge.ops.operands import Operands
from tinyedge.ops.overlap import in_place
from tinyedge.ops.rules import clamp_range, element, unsupported, zero_point
from tinyedge.ops.stripes import broadcast
from tinyedge.tflite.graph import Operator, Tensor

_LOOPS = 4


def dense_strides(shape: Sequence[int]) -> list[int]:
    """Elements from one index to the next along each axis of a dense tensor."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return strides


def broadcast_loops(operator: Operator, operands: Operands) -> dict[str, tuple[int, ...]]:
    """The nested loops of two operands; see `nested_loops`."""
    dims, (strides1, strides2) = nested_loops(operator, operands.tensors)
    return {"dims": dims, "strides1": strides1, "strides2": strides2}


def nested_loops(operator: Operator, operands: Sequence[Tensor]) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The fewest nested loops that visit the output in order.

    Returns:
        The sizes of the loops, the outermost first, and the step of each operand in each loop.

    Raises:
        UnsupportedOpError: The operands do not broadcast to the output, or in too many loops.
    """
    output = operator.output
    rank = max(len(output.shape), *(len(tensor.shape) for tensor in operands))
    shapes = [(1,) * (rank - len(tensor.shape)) + tensor.shape for tensor in (output, *operands)]
    # As large as the largest operand, never larger: no kernel has a loop in which every operand repeats.
    if any(sizes[0] != max(sizes[1:]) or not {*sizes} <= {1, sizes[0]} for sizes in zip(*shapes, strict=True)):
        raise unsupported(
            operator,
            output,
            f"has shape {list(output.shape)} for {' and '.join(str(list(tensor.shape)) for tensor in operands)}",
            "operands that broadcast to the output",
        )
    strides = [
        [0 if size == 1 else step for size, step in zip(shape, dense_strides(shape), strict=True)] for shape in shapes
    ]
    loops: list[list[int]] = []  # [size, step in the first operand, step in the second, ...], outermost first.
    for axis in range(rank):
        loop = [shapes[0][axis], *(steps[axis] for steps in strides[1:])]
        if loop[0] == 1:
            continue
        if loops and all(outer == step * loop[0] for outer, step in zip(loops[-1][1:], loop[1:], strict=True)):
            loops[-1] = [loops[-1][0] * loop[0], *loop[1:]]
        else:
            loops.append(loop)
    if len(loops) > _LOOPS:
        raise unsupported(
            operator, output, f"needs {len(loops)} nested loops to broadcast", f"broadcasting in at most {_LOOPS}"
        )
    loops = [[1, *(0 for _ in operands)]] * (_LOOPS - len(loops)) + loops
    dims, *steps_of = zip(*loops, strict=True)
    return dims, tuple(steps_of)


def elementwise_kernels(name: str, params: str) -> dict[str, Kernel]:
    """The kernels of two operands that broadcast, by their type.

    Args:
        name: What the kernels' names have between "te_" and the type.
        params: What their structs' names have there.
    """
    return {
        "s8": Kernel(f"te_{name}_s8", f"te_{params}_params", stripes=broadcast),
        "s16": Kernel(f"te_{name}_s16", f"te_{params}_s16_params", stripes=broadcast),
    }


def elementwise_call(
    operator: Operator, kernels: Mapping[str, Kernel], operands: Operands, own: dict[str, int]
) -> KernelCall:
    """The call of a kernel of two operands that broadcast.

    Args:
        operator: Of int8 or int16 operands.
        kernels: By their type.
        operands: The operator's.
        own: Members of the struct that this kernel alone has.
    """
    first, second = operands.tensors
    output = operator.output
    output_min, output_max = clamp_range(operator)
    zero_points: Fields = {
        "input1_zero_point": zero_point(first),
        "input2_zero_point": zero_point(second),
        "output_zero_point": zero_point(output),
    }
    is_int8 = output.dtype == np.int8
    fields: Fields = {
        **broadcast_loops(operator, operands),
        **(zero_points if is_int8 else {}),
        **own,
        "output_min": output_min,
        "output_max": output_max,
        "constant1": operands.constants[0],
        "constant2": operands.constants[1],
    }
    return KernelCall(
        kernel=kernels[element(output)],
        fields=fields,
        inputs=operands.activations,
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, *operands.activations),
    )
