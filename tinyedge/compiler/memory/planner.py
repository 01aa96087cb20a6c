"""Static memory planning: where in one arena each activation lives.

The problem is dynamic storage allocation: rectangles of fixed lifetime and size, to be moved up and down until the pile
is as low as possible. Here some may overlap: an output may be written over an input that its step is the last to read,
if it begins far enough below it, or exactly where it does. The problem is NP-hard, but a network is a kind instance,
because few tensors live at once: a search among orders of placement finds a low plan, and an exact search of what lives
around its highest layers proves in most cases that there is none lower. The lowest plan of a chain of layers needs no
search (`chain.py`).
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from tinyedge.compiler.memory.arena import Arena, Blocks, Buffer, InPlaceAlias
from tinyedge.compiler.memory.branch_and_bound import BranchAndBound
from tinyedge.compiler.memory.chain import place_chain
from tinyedge.compiler.memory.order_search import climb, greedy_plans

# Of buffers, in the climbs from one plan: most reach in the first what the windows then prove to be the least.
_PLACEMENTS = (24_000, 216_000)
_SEARCH_NODES = 100_000
# So few are searched exactly in less time than it takes to climb.
_FEW_BUFFERS = 10
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
    chain = place_chain(arena)
    if chain is not None:
        height = arena.height(chain)
        return Placement(tuple(chain), height, height)
    starts = greedy_plans(arena)
    if len(buffers) <= _FEW_BUFFERS:
        windows = _Windows(arena)
        best = windows.search(starts[0].blocks.of_buffers(starts[0].offsets))
        if arena.height(best) <= windows.bound:
            return Placement(tuple(best), arena.height(best), windows.bound)
    windows = _Windows(arena)
    numbers = random.Random(0)
    best = []
    for start in starts:
        plan = start
        for placements in _PLACEMENTS:
            plan = climb(arena, plan, windows.bound, numbers, placements)
            if not best or plan.height < arena.height(best):
                best = windows.search(plan.blocks.of_buffers(plan.offsets))
            if arena.height(best) <= windows.bound:
                return Placement(tuple(best), arena.height(best), windows.bound)
    return Placement(tuple(best), arena.height(best), windows.bound)


class _Windows:
    """Raises the lower bound by what a few consecutive steps need together, up to all steps of a small graph.

    A plan, seen through a window of steps, is a plan of what is alive there. So the lowest plan of a window is a lower
    bound, and that of the widest window is the lowest plan of all.

    Attributes:
        bound: The lower bound so far.
    """

    def __init__(self, arena: Arena) -> None:
        self.bound = arena.bound
        self._arena = arena
        self._nodes = _SEARCH_NODES
        steps = sorted({buffer.first for buffer in arena.buffers})
        # Narrow ones first; each is searched once, as it raises the bound then or never.
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
            seen = [i for i, b in enumerate(arena.buffers) if b.first <= end and b.last >= begin]
            height = max(offsets[i] + arena.sizes[i] for i in seen)
            if height <= self.bound or self._nodes <= 0:
                continue
            self._waiting.remove((begin, end))
            window = arena.window(seen, begin, end)
            fusions = list(itertools.islice(window.fusions(), _MAX_FUSIONS + 1))
            if len(fusions) > _MAX_FUSIONS:
                continue
            best = [offsets[i] for i in seen]
            blocks = None
            for fusion in fusions:
                blocks = Blocks(window, fusion, blocks)
                best, self._nodes = BranchAndBound(window, blocks, self.bound, best).run(self._nodes)
            if self._nodes > 0:
                self.bound = max(self.bound, window.height(best))
            if (begin, end) == self._all:
                offsets = best
        return offsets
