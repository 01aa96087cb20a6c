"""The nested loops of the kernels that copy elements in another order."""

from collections.abc import Sequence

from tinyedge.ops.kernel_call import Fields

MAX_LOOPS = 6


def loop_fields(loops: Sequence[tuple[int, int]]) -> Fields:
    """The members of a kernel that runs `MAX_LOOPS` loops.

    Args:
        loops: How often each runs and how many elements it goes on by, the outermost first; at most `MAX_LOOPS`.
    """
    padded = [(1, 0)] * (MAX_LOOPS - len(loops)) + [*loops]
    return {"dims": tuple(size for size, _ in padded), "strides": tuple(stride for _, stride in padded)}
