"""Static memory planning: where in one arena each activation lives.

The problem is dynamic storage allocation: rectangles of fixed lifetime and size, to be moved up and down until the pile
is as low as possible. It is NP-hard, but a network is a kind instance: several greedy orders are tried, then a bounded
exhaustive search, and the result is reported beside the lower bound that no plan can beat.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

ARENA_ALIGNMENT = 16
_SEARCH_NODES = 50_000


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

    Greedy placement by several orders; if none reaches the lower bound, a branch and bound that is exact for small
    graphs and stops after a fixed number of nodes, so that the same model always gets the same plan.

    Args:
        buffers: In any order; the result is a function of their order, sizes and lifetimes only.

    Returns:
        The best placement found.
    """
    bound = lower_bound(buffers)
    sizes = [aligned(buffer.bytes) for buffer in buffers]
    orders: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda i: (-sizes[i], buffers[i].first, i),
        lambda i: (buffers[i].first - buffers[i].last, -sizes[i], i),
        lambda i: (-sizes[i] * (buffers[i].last - buffers[i].first + 1), i),
        lambda i: (buffers[i].first, -sizes[i], i),
        lambda i: (-_pressure(buffers, sizes, i), -sizes[i], i),
    )
    best: list[int] = []
    best_bytes = -1
    for order in orders:
        offsets = _greedy(buffers, sizes, sorted(range(len(buffers)), key=order))
        height = _height(offsets, sizes)
        if best_bytes < 0 or height < best_bytes:
            best, best_bytes = offsets, height
        if best_bytes == bound:
            break
    if best_bytes > bound:
        best = _Search(buffers, sizes, bound, best, best_bytes).run()
        best_bytes = _height(best, sizes)
    return Placement(tuple(best), max(best_bytes, 0), bound)


def _height(offsets: Sequence[int], sizes: Sequence[int]) -> int:
    return max((offset + size for offset, size in zip(offsets, sizes, strict=True)), default=0)


def _pressure(buffers: Sequence[Buffer], sizes: Sequence[int], index: int) -> int:
    """The most memory alive at any step of the buffer's life: tight places are filled first."""
    own = buffers[index]
    steps = {max(own.first, other.first) for other in buffers if own.overlaps(other)}
    return max(
        sum(size for other, size in zip(buffers, sizes, strict=True) if other.first <= step <= other.last)
        for step in steps
    )


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


class _Search:
    """Branch and bound over the orders of placement.

    Every plan can be pushed down to one in which each buffer, taken in the order of offsets, lies on the highest end of
    the earlier ones that it overlaps in time. So it is enough to try orders of rising (offset, index), and there are
    few. An explicit stack keeps it free of the interpreter's recursion limit.
    """

    def __init__(
        self, buffers: Sequence[Buffer], sizes: Sequence[int], bound: int, best: list[int], best_bytes: int
    ) -> None:
        self._sizes = sizes
        self._bound = bound
        self._best = best
        self._best_bytes = best_bytes
        self._neighbours = [
            [j for j, other in enumerate(buffers) if j != i and other.overlaps(buffer)]
            for i, buffer in enumerate(buffers)
        ]

    def _candidates(self, offsets: list[int], floors: list[int], last: tuple[int, int]) -> list[tuple[int, int]]:
        """(offset, buffer) of each that may come after `last`, lowest first; none if this order cannot win."""
        found = []
        for index, floor in enumerate(floors):
            if offsets[index] >= 0:
                continue
            if floor + self._sizes[index] >= self._best_bytes:
                return []  # Floors only rise: no completion of this order beats the best plan.
            if (floor, index) > last:
                found.append((floor, index))
        found.sort(key=lambda entry: (entry[0], -self._sizes[entry[1]], entry[1]))
        return found

    def run(self) -> list[int]:
        count = len(self._sizes)
        offsets = [-1] * count
        floors = [0] * count
        stack = [iter(self._candidates(offsets, floors, (-1, -1)))]
        history: list[tuple[int, list[tuple[int, int]]]] = []
        nodes = 0
        while stack and nodes < _SEARCH_NODES and self._best_bytes > self._bound:
            step = next(stack[-1], None)
            if step is None:
                stack.pop()
                if history:
                    index, raised = history.pop()
                    offsets[index] = -1
                    for j, floor in raised:
                        floors[j] = floor
                continue
            nodes += 1
            start, index = step
            if start + self._sizes[index] >= self._best_bytes:
                continue
            offsets[index] = start
            raised = []
            for j in self._neighbours[index]:
                if offsets[j] < 0 and floors[j] < start + self._sizes[index]:
                    raised.append((j, floors[j]))
                    floors[j] = start + self._sizes[index]
            history.append((index, raised))
            if len(history) == count:
                self._best, self._best_bytes = list(offsets), _height(offsets, self._sizes)
                stack.append(iter(()))
            else:
                stack.append(iter(self._candidates(offsets, floors, (start, index))))
        return self._best
