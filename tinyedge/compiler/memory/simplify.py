"""What a plan has room for in any case, and what is left of the problem without it.

As registers are allocated by simplification (Chaitin 1982): a buffer that finds a gap wherever those beside it lie is
taken out and placed last. Most buffers of a network are so small beside its fullest layers; without them the lifetimes
fall apart into groups that do not meet, each of which is planned by itself.
"""

import math
from collections.abc import Iterable, Sequence

from tinyedge.compiler.memory.arena import BUFFER_ALIGNMENT, Arena, Blocks


def buffers_with_room(arena: Arena, limit: int) -> list[int]:
    """Take out the buffers that have room below a limit wherever the others lie; returns them in that order.

    Placed in the reverse order at its lowest free offset, each ends below the limit if those that are left do.

    Args:
        arena: Of all buffers.
        limit: In bytes, a multiple of the alignment.
    """
    sizes = arena.sizes
    count = [len(beside) for beside in arena.gaps]
    taken = [sum(sizes[other] for other in beside) for beside in arena.gaps]
    removed: dict[int, None] = {}
    waiting = sorted(range(len(sizes)), key=lambda index: sizes[index], reverse=True)
    while waiting:
        index = waiting.pop()
        # Those beside it leave at most one gap more than they are, and it finds room unless each is too small.
        too_small = sizes[index] - BUFFER_ALIGNMENT
        if index in removed or limit - taken[index] <= (count[index] + 1) * too_small:
            continue
        removed[index] = None
        for other in arena.gaps[index]:
            if other not in removed:
                count[other] -= 1
                taken[other] -= sizes[index]
                waiting.append(other)
    return list(removed)


def groups(arena: Arena, indices: Iterable[int]) -> list[list[int]]:
    """Split buffers into groups of which no two are needed at the same time, in the order of their steps."""
    found: list[list[int]] = []
    end = -math.inf
    for index in sorted(indices, key=lambda index: (arena.buffers[index].first, index)):
        if arena.buffers[index].first > end:
            found.append([])
        found[-1].append(index)
        end = max(end, arena.buffers[index].last)
    return found


def lasting_buffers(arena: Arena, group: Sequence[int]) -> list[int]:
    """Return the buffers of a group that are needed beside all others of it and may overlap with none, such as states.

    They can lie at the bottom: what a plan has below one of them may move up by its size, and what is above stays.
    """
    members = set(group)
    aliased = {index for alias in arena.aliases for index in (alias.output, alias.input)}
    return [i for i in group if i not in aliased and members.issubset({i, *arena.gaps[i]})]


def put_back(arena: Arena, removed: Sequence[int], offsets: list[int]) -> None:
    """Place what was taken out at the lowest free offsets.

    Args:
        arena: Of all buffers.
        removed: As `buffers_with_room` returns them.
        offsets: Of all buffers, `NOWHERE` for those; changed in place.
    """
    blocks = Blocks(arena, {})
    for index in reversed(removed):
        offsets[index] = blocks.lowest(index, offsets)
