"""Which function lowers which operator."""

from collections.abc import Callable

from tinyedge.ops.kernel_call import KernelCall
from tinyedge.tflite.graph import Operator

Lowering = Callable[[Operator], KernelCall]

LOWERINGS: dict[str, Lowering] = {}


def lowers(*ops: str) -> Callable[[Lowering], Lowering]:
    """Register the decorated function for operators by their TFLite names."""

    def register(lowering: Lowering) -> Lowering:
        for op in ops:
            LOWERINGS[op] = lowering
        return lowering

    return register
