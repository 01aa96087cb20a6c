"""The kernel of all operators that copy elements in another order."""

from collections.abc import Sequence

import numpy as np

from tinyedge.ops.kernel_call import Kernel, KernelCall, Overlap
from tinyedge.ops.loops import MAX_LOOPS, loop_fields
from tinyedge.ops.overlap import run_lag
from tinyedge.ops.rules import element, unsupported
from tinyedge.tflite.graph import Operator, Tensor

_KERNELS = {element: Kernel(f"te_strided_copy_{element}", "te_strided_copy_params") for element in ("s8", "s16")}
# The kernel copies shorter runs column by column of its two innermost loops.
_LEAST_RUN_BYTES = 4


def strided_copy(
    operator: Operator, source: Tensor, dims: Sequence[int], strides: Sequence[int], start: int = 0
) -> KernelCall:
    """A copy of input elements in the order of nested loops, of which as many as possible are joined.

    Args:
        operator: Whose output is written.
        source: Its activation.
        dims: How often each loop runs, the outermost first.
        strides: How many elements of the input each goes on by; 0 repeats, negative ones go backwards.
        start: The index in the input of the first element.

    Raises:
        UnsupportedOpError: More loops are left than the kernel has.
    """
    loops: list[tuple[int, int]] = []
    for size, stride in zip(dims, strides, strict=True):
        if size == 1:
            continue
        if loops and loops[-1][1] == size * stride:
            loops[-1] = (loops[-1][0] * size, stride)
        else:
            loops.append((size, stride))
    if len(loops) > MAX_LOOPS:
        raise unsupported(operator, source, f"needs {len(loops)} nested loops", f"at most {MAX_LOOPS}")
    if not loops:
        loops.append((1, 1))
    return KernelCall(
        kernel=_KERNELS[element(source)],
        fields={**loop_fields(loops), "start": start},
        inputs=(source,),
        output=operator.output,
        op=operator.op,
        name=operator.output.name,
        overlaps=_overlaps(operator.output, loops, start),
    )


def _overlaps(output: Tensor, loops: Sequence[tuple[int, int]], start: int) -> tuple[Overlap, ...]:
    """The kernel copies value after value, or run after run of values that lie together; short ones not in order."""
    size, run = output.dtype.itemsize, 1
    outer = list(loops)
    together = 0 if outer[-1][1] != 1 else 2 if outer[-1][0] * size < _LEAST_RUN_BYTES else 1
    reads = np.array([start])
    for count, stride in outer[: len(outer) - together]:
        reads = (reads[:, None] + np.arange(count) * stride).reshape(-1)
    for count, stride in outer[len(outer) - together :]:
        run *= count
        reads = reads + min((count - 1) * stride, 0)
    return run_lag(output, reads * size, run * size)
