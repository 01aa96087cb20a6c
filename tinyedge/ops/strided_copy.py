"""The kernel of all operators that copy elements in another order."""

from collections.abc import Sequence

from tinyedge.ops.kernel_call import Kernel, KernelCall
from tinyedge.ops.loops import MAX_LOOPS, loop_fields
from tinyedge.ops.rules import element, unsupported
from tinyedge.tflite.graph import Operator, Tensor

_KERNELS = {element: Kernel(f"te_strided_copy_{element}", "te_strided_copy_params") for element in ("s8", "s16")}


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
    )
