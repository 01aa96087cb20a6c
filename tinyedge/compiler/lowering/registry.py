"""Which function lowers which operator."""

from collections.abc import Callable

from tinyedge.compiler.graph import Operator
from tinyedge.compiler.kernel_call import KernelCall

Lowering = Callable[[Operator], KernelCall]

LOWERINGS: dict[str, Lowering] = {}


def lowers(*ops: str) -> Callable[[Lowering], Lowering]:
    """Register the decorated function for operators by their TFLite names."""

    def register(lowering: Lowering) -> Lowering:
        for op in ops:
            LOWERINGS[op] = lowering
        return lowering

    return register
