"""Static memory planning: where in one arena each activation lives.

The problem is dynamic storage allocation: rectangles of fixed lifetime and size, to be moved up and down until the pile
is as low as possible. It is NP-hard, but a network is a kind instance, because few tensors live at once. Three ways are
tried, each only if the one before did not reach the lower bound that no plan can beat: greedy placement, a sweep
through time that asks whether the lower bound itself can be had, and a branch and bound that is exact for small graphs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

ARENA_ALIGNMENT = 16
_SEARCH_NODES = 100_000


@dataclass(frozen=True)
class Buffer:
    """Memory that is needed from one step to another.

    Attributes:
        bytes: How much.
        first: The step that writes it.
        last: The last step that reads it; it may be reused from the next step on.
    """

    bytes: int
    first: int
    last: int

    def overlaps(self, other: "Buffer") -> bool:
        """Whether both are needed at the same time."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class Placement:
    """Where the buffers are.

    Attributes:
        offsets: The byte offset of each buffer, in the order given, each a multiple of `ARENA_ALIGNMENT`.
        arena_bytes: The end of the highest buffer, rounded up to the alignment.
        lower_bound_bytes: The largest sum of aligned buffers alive at one step; no plan needs less.
    """

    offsets: tuple[int, ...]
    arena_bytes: int
    lower_bound_bytes: int


def aligned(size: int) -> int:
    """Round `size` up to the arena's alignment."""
    return -(-size // ARENA_ALIGNMENT) * ARENA_ALIGNMENT


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """The largest sum of aligned buffers that are alive at one step."""
    return max(
        (sum(aligned(b.bytes) for b in buffers if b.first <= step <= b.last) for step in {b.first for b in buffers}),
        default=0,
    )


def place(buffers: Sequence[Buffer]) -> Placement:
    """Find offsets that keep all buffers that overlap in time apart in memory, in a small arena.

    The searches stop after a fixed number of steps, so the same model always gets the same plan.

    Args:
        buffers: In any order; the result is a function of their order, sizes and lifetimes only.

    Returns:
        The best placement found.
    """
    bound = lower_bound(buffers)
    sizes = [aligned(buffer.bytes) for buffer in buffers]
    by_size = sorted(range(len(buffers)), key=lambda i: (-sizes[i], buffers[i].first, i))
    by_time = sorted(range(len(buffers)), key=lambda i: (buffers[i].first, -sizes[i], i))
    plans = (_greedy(buffers, sizes, by_size), _greedy(buffers, sizes, by_time))
    best = min(plans, key=lambda offsets: _height(offsets, sizes))
    if _height(best, sizes) > bound:
        best = _Sweep(buffers, sizes, by_time, bound).run() or best
    if _height(best, sizes) > bound:
        best = _BranchAndBound(buffers, sizes, bound, best).run()
    return Placement(tuple(best), _height(best, sizes), bound)


def _height(offsets: Sequence[int], sizes: Sequence[int]) -> int:
    return max((offset + size for offset, size in zip(offsets, sizes, strict=True)), default=0)


def _lowest_gap(taken: list[tuple[int, int]], size: int) -> int:
    """The lowest offset at which `size` bytes fit between the (start, end) intervals taken."""
    offset = 0
    for start, end in sorted(taken):
        if offset + size <= start:
            break
        offset = max(offset, end)
    return offset


def _greedy(buffers: Sequence[Buffer], sizes: Sequence[int], order: Sequence[int]) -> list[int]:
    offsets = [0] * len(buffers)
    placed: list[int] = []
    for index in order:
        taken = [(offsets[j], offsets[j] + sizes[j]) for j in placed if buffers[j].overlaps(buffers[index])]
        offsets[index] = _lowest_gap(taken, sizes[index])
        placed.append(index)
    return offsets


class _Sweep:
    """Depth-first search through time for a plan of a given height.

    Buffers are placed in the order of their first step, at either end of a gap or beside a hole as large as a buffer
    that comes while they live. What follows depends on the offsets of the live buffers only, so each such state is
    tried once.
    """

    def __init__(self, buffers: Sequence[Buffer], sizes: Sequence[int], order: Sequence[int], height: int) -> None:
        self._sizes = sizes
        self._order = order
        self._height = height
        self._offsets = [-1] * len(sizes)
        # By position in the order: the earlier buffers still alive, and the sizes of the later ones that overlap.
        self._live = [
            [j for j in order[:position] if buffers[j].last >= buffers[i].first] for position, i in enumerate(order)
        ]
        self._holes = [
            sorted({sizes[j] for j in order[position + 1 :] if buffers[j].overlaps(buffers[i])})
            for position, i in enumerate(order)
        ]

    def run(self) -> list[int] | None:
        """The offsets of a plan of the height, or None if none was found."""
        tried = {self._state(0)}
        stack = [iter(self._candidates(0))]
        for _ in range(_SEARCH_NODES):
            if not stack:
                return None
            offset = next(stack[-1], None)
            if offset is None:
                stack.pop()
                continue
            self._offsets[self._order[len(stack) - 1]] = offset
            if len(stack) == len(self._order):
                return self._offsets
            state = self._state(len(stack))
            if state not in tried:
                tried.add(state)
                stack.append(iter(self._candidates(len(stack))))
        return None

    def _state(self, position: int) -> tuple[int, ...]:
        return (position, *(self._offsets[j] for j in self._live[position]))

    def _candidates(self, position: int) -> list[int]:
        size = self._sizes[self._order[position]]
        taken = sorted((self._offsets[j], self._offsets[j] + self._sizes[j]) for j in self._live[position])
        found: dict[int, None] = {}
        start = 0
        for end, after in [*taken, (self._height, self._height)]:
            for hole in (0, *self._holes[position]):
                if start + hole + size <= end:
                    found.setdefault(start + hole)
                    found.setdefault(end - size - hole)
            start = after
        return list(found)


class _BranchAndBound:
    """Branch and bound over the orders of placement.

    Every plan can be pushed down to one in which each buffer, taken in the order of offsets, lies on the highest end of
    the earlier ones that it overlaps in time. So it is enough to try orders of rising (offset, index). A partial plan
    is given up when at some step what is still to come, laid on top, reaches the best plan so far. An explicit stack
    keeps it free of the interpreter's recursion limit.
    """

    def __init__(self, buffers: Sequence[Buffer], sizes: Sequence[int], bound: int, best: list[int]) -> None:
        starts = sorted({buffer.first for buffer in buffers})
        # Two buffers overlap only if they share one of these steps.
        self._steps = [[at for at, step in enumerate(starts) if b.first <= step <= b.last] for b in buffers]
        self._sizes = sizes
        self._bound = bound
        self._best = best
        self._best_bytes = _height(best, sizes)
        self._offsets = [-1] * len(sizes)
        self._tops = [0] * len(starts)
        self._waiting = [0] * len(starts)
        for index, steps in enumerate(self._steps):
            for at in steps:
                self._waiting[at] += sizes[index]

    def run(self) -> list[int]:
        """The offsets of the best plan, at most as high as the one given."""
        stack = [iter(self._candidates((-1, -1)))]
        placed: list[tuple[int, list[int]]] = []
        nodes = 0
        while stack and nodes < _SEARCH_NODES and self._best_bytes > self._bound:
            candidate = next(stack[-1], None)
            if candidate is None:
                stack.pop()
                if placed:
                    self._remove(*placed.pop())
                continue
            nodes += 1
            offset, index = candidate
            placed.append((index, self._put(index, offset)))
            if len(placed) == len(self._sizes):
                height = _height(self._offsets, self._sizes)
                if height < self._best_bytes:
                    self._best, self._best_bytes = list(self._offsets), height
                stack.append(iter(()))
            else:
                stack.append(iter(self._candidates(candidate)))
        return self._best

    def _candidates(self, last: tuple[int, int]) -> list[tuple[int, int]]:
        """(offset, buffer) of each that may come after `last`, lowest first; none if no completion is better."""
        for top, waiting in zip(self._tops, self._waiting, strict=True):
            if waiting and max(top, last[0]) + waiting >= self._best_bytes:
                return []
        found = []
        for index, offset in enumerate(self._offsets):
            if offset < 0:
                floor = max(self._tops[at] for at in self._steps[index])
                if (floor, index) > last:
                    found.append((floor, index))
        found.sort(key=lambda entry: (entry[0], -self._sizes[entry[1]], entry[1]))
        return found

    def _put(self, index: int, offset: int) -> list[int]:
        """Place a buffer; returns the tops that `_remove` needs to undo it."""
        self._offsets[index] = offset
        tops = [self._tops[at] for at in self._steps[index]]
        for at in self._steps[index]:
            self._tops[at] = offset + self._sizes[index]
            self._waiting[at] -= self._sizes[index]
        return tops

    def _remove(self, index: int, tops: list[int]) -> None:
        self._offsets[index] = -1
        for at, top in zip(self._steps[index], tops, strict=True):
            self._tops[at] = top
            self._waiting[at] += self._sizes[index]
