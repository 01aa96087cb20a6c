"""ADD, SUB and MUL, with broadcasting."""

from collections.abc import Sequence

import numpy as np

from tinyedge.ops.kernel_call import Fields, KernelCall
from tinyedge.ops.operands import Operands, two_operands
from tinyedge.ops.overlap import in_place
from tinyedge.ops.registry import lowers
from tinyedge.ops.rules import (
    activation_range,
    element,
    factor,
    output_like,
    scale,
    unsupported,
    zero_point,
)
from tinyedge.tflite.graph import Operator, Tensor

_LOOPS = 4
# Bits below one step of the output that the operands of a sum are given on their way to a common scale.
_HEADROOM_BITS = {np.dtype(np.int8): 20, np.dtype(np.int16): 15}


def dense_strides(shape: Sequence[int]) -> list[int]:
    """Elements from one index to the next along each axis of a dense tensor."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return strides


def _broadcast_loops(operator: Operator, operands: Operands) -> dict[str, tuple[int, ...]]:
    """The fewest nested loops that visit the output in order, with the step of each operand in each loop."""
    output = operator.output
    rank = max(len(output.shape), *(len(tensor.shape) for tensor in operands.tensors))
    shapes = [(1,) * (rank - len(tensor.shape)) + tensor.shape for tensor in (output, *operands.tensors)]
    if any(sizes[0] != max(sizes) or not {*sizes} <= {1, sizes[0]} for sizes in zip(*shapes, strict=True)):
        raise unsupported(
            operator,
            output,
            f"has shape {list(output.shape)} for {' and '.join(str(list(t.shape)) for t in operands.tensors)}",
            "operands that broadcast to the output",
        )
    strides = [
        [0 if size == 1 else step for size, step in zip(shape, dense_strides(shape), strict=True)] for shape in shapes
    ]
    loops: list[list[int]] = []  # [size, step in the first operand, step in the second], outermost first.
    for axis in range(rank):
        loop = [shapes[0][axis], strides[1][axis], strides[2][axis]]
        if loop[0] == 1:
            continue
        if loops and all(loops[-1][i] == loop[i] * loop[0] for i in (1, 2)):
            loops[-1] = [loops[-1][0] * loop[0], loop[1], loop[2]]
        else:
            loops.append(loop)
    if len(loops) > _LOOPS:
        raise unsupported(
            operator, output, f"needs {len(loops)} nested loops to broadcast", f"broadcasting in at most {_LOOPS}"
        )
    loops = [[1, 0, 0]] * (_LOOPS - len(loops)) + loops
    return {
        "dims": tuple(loop[0] for loop in loops),
        "strides1": tuple(loop[1] for loop in loops),
        "strides2": tuple(loop[2] for loop in loops),
    }


def _call(operator: Operator, kernel: str, params: str, operands: Operands, own: dict[str, int]) -> KernelCall:
    first, second = operands.tensors
    output = operator.output
    output_min, output_max = activation_range(operator)
    zero_points: Fields = {
        "input1_zero_point": zero_point(first),
        "input2_zero_point": zero_point(second),
        "output_zero_point": zero_point(output),
    }
    is_int8 = output.dtype == np.int8
    fields: Fields = {
        **_broadcast_loops(operator, operands),
        **(zero_points if is_int8 else {}),
        **own,
        "output_min": output_min,
        "output_max": output_max,
        "constant1": operands.constants[0],
        "constant2": operands.constants[1],
    }
    struct = f"te_{params}_params" if is_int8 else f"te_{params}_s16_params"
    function = f"te_{kernel}_{element(output)}"
    return KernelCall(
        function=function,
        struct=struct,
        fields=fields,
        inputs=operands.activations,
        output=output,
        op=operator.op,
        name=output.name,
        overlaps=in_place(output, *operands.activations),
    )


def _factor_below_one(operator: Operator, tensor: Tensor, value: float) -> tuple[int, int]:
    multiplier, shift = factor(operator, value)
    if value >= 1.0 or shift > 0:
        raise unsupported(
            operator,
            tensor,
            f"has scale {scale(tensor):g}, too small for its operands",
            "coarser results",
        )
    return multiplier, shift


def _sum_fields(operator: Operator, factors: tuple[float, float, float], operands: Operands) -> dict[str, int]:
    fields: dict[str, int] = {}
    tensors = (*operands.tensors, operator.output)
    for name, tensor, value in zip(("input1", "input2", "output"), tensors, factors, strict=True):
        fields[f"{name}_multiplier"], fields[f"{name}_shift"] = _factor_below_one(operator, tensor, value)
    return fields


def _lower_sum(operator: Operator, kernel: str) -> KernelCall:
    """Bring both operands to twice the larger scale, add or subtract, and rescale to the output's."""
    operands = two_operands(operator)
    output = output_like(operator, operands.tensors[0])
    first, second = (scale(tensor) for tensor in operands.tensors)
    common = 2 * max(first, second)
    factors = (first / common, second / common, common / (2 ** _HEADROOM_BITS[output.dtype] * scale(output)))
    return _call(operator, kernel, "add", operands, _sum_fields(operator, factors, operands))


@lowers("ADD")
def lower_add(operator: Operator) -> KernelCall:
    """Lower ADD."""
    return _lower_sum(operator, "add")


@lowers("SUB")
def lower_sub(operator: Operator) -> KernelCall:
    """Lower SUB."""
    return _lower_sum(operator, "sub")


@lowers("MUL")
def lower_mul(operator: Operator) -> KernelCall:
    """Lower MUL."""
    operands = two_operands(operator)
    first, second = operands.tensors
    output = output_like(operator, first)
    multiplier, shift = factor(operator, scale(first) * scale(second) / scale(output))
    return _call(operator, "mul", "mul", operands, {"multiplier": multiplier, "shift": shift})
