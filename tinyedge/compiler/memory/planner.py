"""Static memory planning: where in one arena each activation lives.

The problem is dynamic storage allocation: rectangles of fixed lifetime and size, to be moved up and down until the pile
is as low as possible. Here some may overlap: an output may be written over an input that its step is the last to read,
if it begins far enough below it, or exactly where it does. The problem is NP-hard, but a network is a kind instance,
because few tensors live at once, and most are so small that they find room wherever the others lie (`simplify.py`). Of
those that are left, the lowest plan of a chain of layers needs no search (`chain.py`); else a search among orders of
placement finds a low plan (`order_search.py`), and an exact search of what lives around its highest layers proves in
most cases that there is none lower (`branch_and_bound.py`).
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from tinyedge.compiler.memory.arena import NOWHERE, Arena, Blocks, Buffer, InPlaceAlias
from tinyedge.compiler.memory.branch_and_bound import BranchAndBound
from tinyedge.compiler.memory.chain import place_chain, place_runs
from tinyedge.compiler.memory.order_search import climb, greedy_plans
from tinyedge.compiler.memory.simplify import buffers_with_room, groups, lasting_buffers, put_back

# How many buffers each climb places, and how many nodes the exact search visits: most plans reach their bound at first.
_ROUNDS = ((24_000, 5_000), (216_000, 95_000))
_WINDOW_STEPS = (1, 2, 3, 4, 6, 9, 13, 19, 28)
# A window in which outputs may be written in so many combinations of places is left out.
_MAX_FUSIONS = 32


@dataclass(frozen=True)
class Placement:
    """Where the buffers are.

    Attributes:
        offsets: The byte offset of each buffer, in the order given, each a multiple of `BUFFER_ALIGNMENT`.
        arena_bytes: The end of the highest buffer, rounded up to the alignment.
        lower_bound_bytes: See `lower_bound`; no plan needs less.
    """

    offsets: tuple[int, ...]
    arena_bytes: int
    lower_bound_bytes: int


def place(buffers: Sequence[Buffer], aliases: Sequence[InPlaceAlias] = ()) -> Placement:
    """Find offsets that keep all buffers that overlap in time apart in memory, or as far as they have to be.

    The searches stop after a fixed number of steps, so the same model always gets the same plan.

    Args:
        buffers: In any order; the result is a function of their order, sizes and lifetimes only.
        aliases: Which of them may share memory, and how.

    Returns:
        The best placement found.
    """
    if not buffers:
        return Placement((), 0, 0)
    arena = Arena(buffers, aliases)
    offsets, bound = _place(arena, arena.bound)
    return Placement(tuple(offsets), arena.height(offsets), bound)


def _place(arena: Arena, bound: int) -> tuple[list[int], int]:
    """Find a plan that need not be lower than a bound.

    Returns:
        The offsets, and the bound, which may have risen.
    """
    bound = max(bound, arena.bound)
    chain = place_chain(arena)
    if chain is not None:
        return chain, max(bound, arena.height(chain))
    with_room = buffers_with_room(arena, bound)
    offsets = [NOWHERE] * len(arena.buffers)
    for group in groups(arena, set(range(len(offsets))).difference(with_room)):
        lasting = lasting_buffers(arena, group)
        base = sum(arena.sizes[i] for i in lasting)
        for index, end in zip(lasting, itertools.accumulate(arena.sizes[i] for i in lasting), strict=True):
            offsets[index] = end - arena.sizes[index]
        rest = [i for i in group if offsets[i] == NOWHERE]
        if not rest:
            continue
        begin, end = min(arena.buffers[i].first for i in rest), max(arena.buffers[i].last for i in rest)
        found, least = (_place if lasting else _search)(arena.window(rest, begin, end), bound - base)
        bound = max(bound, base + least)
        for index, offset in zip(rest, found, strict=True):
            offsets[index] = base + offset
    put_back(arena, with_room, offsets)
    return offsets, bound


def _search(arena: Arena, bound: int) -> tuple[list[int], int]:
    """As `_place`, for buffers of which none can be taken out."""
    chain = place_chain(arena)
    if chain is not None:
        return chain, max(bound, arena.height(chain))
    known, height = place_runs(arena)
    bound = max(bound, height)
    plans = greedy_plans(arena, known)
    windows = _Windows(arena, bound)
    numbers = random.Random(0)
    best = plans[0].blocks.of_buffers(plans[0].offsets)
    for placements, nodes in _ROUNDS:
        windows.nodes += nodes
        for at, plan in enumerate(plans):
            plans[at] = plan = climb(arena, plan, windows.bound, numbers, placements)
            if plan.height < arena.height(best):
                best = plan.blocks.of_buffers(plan.offsets)
            best = windows.search(best)
            if arena.height(best) <= windows.bound:
                return best, windows.bound
    return best, windows.bound


class _Windows:
    """Raises the lower bound by what a few consecutive steps need together, up to all steps of a small graph.

    A plan, seen through a window of steps, is a plan of what is alive there. So the lowest plan of a window is a lower
    bound, and that of the widest window is the lowest plan of all.

    Attributes:
        bound: The lower bound so far.
        nodes: How many the search may still visit.
    """

    def __init__(self, arena: Arena, bound: int) -> None:
        self.bound = max(arena.bound, bound)
        self._arena = arena
        self.nodes = 0
        steps = sorted({buffer.first for buffer in arena.buffers})
        # Narrow ones first; each is searched to its end once, as it raises the bound then or never.
        self._waiting = [
            (steps[at], steps[at + width - 1])
            for width in (*(width for width in _WINDOW_STEPS if width < len(steps)), len(steps))
            for at in range(len(steps) - width + 1)
        ]
        self._all = steps[0], steps[-1]

    def search(self, offsets: list[int]) -> list[int]:
        """Search the windows in which a plan is above the bound.

        Returns:
            The offsets; better ones if all steps were searched and there were any.
        """
        arena = self._arena
        for begin, end in list(self._waiting):
            if self.nodes <= 0:  # To look at what each window sees takes long in a deep graph.
                break
            seen = [i for i, b in enumerate(arena.buffers) if b.first <= end and b.last >= begin]
            height = max(offsets[i] + arena.sizes[i] for i in seen)
            if height <= self.bound:
                continue
            window = arena.window(seen, begin, end)
            fusions = list(itertools.islice(window.fusions(), _MAX_FUSIONS + 1))
            if len(fusions) > _MAX_FUSIONS:
                self._waiting.remove((begin, end))
                continue
            best = [offsets[i] for i in seen]
            blocks = None
            for fusion in fusions:
                blocks = Blocks(window, fusion, blocks)
                best, self.nodes = BranchAndBound(window, blocks, self.bound, best).run(self.nodes)
            if self.nodes > 0:
                self._waiting.remove((begin, end))
                self.bound = max(self.bound, window.height(best))
            if (begin, end) == self._all:
                offsets = best
        return offsets
