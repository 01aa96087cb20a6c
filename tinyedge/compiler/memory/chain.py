"""The lowest plan of a chain, found without a search.

A network without branches is a chain: a step reads what the one before wrote, writes what the next one reads, and may
have scratch. All that came before a step matters to it only by where its input begins. Below any limit of the arena
these offsets are a few intervals, so one pass over the steps tells whether the limit suffices. The least limit is the
lower bound in most networks, or little above it: it is looked for in growing strides from there, and then by bisection.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tinyedge.compiler.memory.arena import BUFFER_ALIGNMENT, Arena

Interval = tuple[int, int]
"""The offsets from one to another, both included."""


@dataclass(frozen=True)
class _Step:
    """A step of a chain: its buffers by their indices, or None.

    Attributes:
        before: What was needed before it.
        after: What is needed after it; the same, or what it writes.
        scratch: What it alone needs.
    """

    before: int | None
    after: int | None
    scratch: int | None


def place_chain(arena: Arena) -> list[int] | None:
    """Return the offsets of the lowest plan; None if the buffers are no chain."""
    steps = _steps(arena)
    if steps is None:
        return None
    chain = _Chain(arena, steps)
    least = arena.bound // BUFFER_ALIGNMENT
    most = least
    while (reached := chain.reach(most * BUFFER_ALIGNMENT)) is None:
        least, most = most + 1, 2 * most - arena.bound // BUFFER_ALIGNMENT + 1
    while least < most:
        middle = (least + most) // 2
        lower = chain.reach(middle * BUFFER_ALIGNMENT)
        if lower is None:
            least = middle + 1
        else:
            most, reached = middle, lower
    return chain.offsets(most * BUFFER_ALIGNMENT, reached)


def place_runs(arena: Arena) -> tuple[dict[int, int], int]:
    """Plan each run of steps without a branch by itself, as seen through a window of its steps.

    Returns:
        The offsets of the buffers of such runs, each in the plan of its own run, and the height of the highest plan: no
        plan of the whole arena is lower.
    """
    changes: Counter[int] = Counter()
    for buffer in arena.buffers:
        changes[buffer.first] += 1
        changes[buffer.last] -= 1
    moments = sorted(changes)
    offsets: dict[int, int] = {}
    height = 0
    begin: int | None = moments[0]
    for at, kept in enumerate(itertools.accumulate(changes[moment] for moment in moments)):
        if kept == 1:
            begin = moments[at] + 1 if begin is None else begin
            continue
        # The step after the last that leaves one buffer has one as its input.
        for end in (at, at - 1):
            if begin is None or moments[end] < begin:
                break
            seen = [i for i, b in enumerate(arena.buffers) if b.first <= moments[end] and b.last >= begin]
            window = arena.window(seen, begin, moments[end])
            found = place_chain(window)
            if found is not None:
                offsets |= dict(zip(seen, found, strict=True))
                height = max(height, window.height(found))
                break
        begin = None
    return offsets, height


def _steps(arena: Arena) -> list[_Step] | None:
    aliased = {index for alias in arena.aliases for index in (alias.output, alias.input)}
    begins: dict[int, list[int]] = {}
    for index, buffer in enumerate(arena.buffers):
        begins.setdefault(buffer.first, []).append(index)
    moments = sorted({moment for buffer in arena.buffers for moment in (buffer.first, buffer.last)})
    steps = []
    after: list[int] = []
    for moment in moments:
        before = after[0] if after else None
        begin = begins.get(moment, [])
        scratch = [index for index in begin if arena.buffers[index].last == moment]
        after = [index for index in (*after, *begin) if arena.buffers[index].last > moment]
        if len(scratch) > 1 or not aliased.isdisjoint(scratch) or len(after) != (moment < moments[-1]):
            return None
        steps.append(_Step(before, *(indices[0] if indices else None for indices in (after, scratch))))
    return steps


class _Chain:
    """Where the buffers of a chain may begin below a limit, in bytes."""

    def __init__(self, arena: Arena, steps: Sequence[_Step]) -> None:
        self._arena = arena
        self._steps = steps

    def reach(self, limit: int) -> list[list[Interval]] | None:
        """Return where what is needed from step to step may begin: before each, and after the last.

        None where a step has no room.
        """
        reached = [[(0, 0)]]
        for step in self._steps:
            places = reached[-1]
            found = list(self._together(step, places, limit))
            for at in self._extremes(step, places, limit):
                found += self._apart(step, at, limit)
            if not found:
                return None
            reached.append(_union(found))
        return reached

    def offsets(self, limit: int, reached: Sequence[Sequence[Interval]]) -> list[int]:
        """Return offsets of all buffers below a limit that suffices, by what `reach` returns for it."""
        offsets = [0] * len(self._arena.buffers)
        after = reached[-1][0][0]
        for step, places in zip(reversed(self._steps), reversed(reached[:-1]), strict=True):
            if _within(after, self._together(step, places, limit)):
                before = after
            else:
                before = next(
                    at for at in self._extremes(step, places, limit) if _within(after, self._apart(step, at, limit))
                )
            ends = before + self._size(step.before), after + self._size(step.after)
            for index, offset in ((step.before, before), (step.after, after)):
                if index is not None:
                    offsets[index] = offset
            if step.scratch is not None:
                size = self._size(step.scratch)
                offsets[step.scratch] = next(
                    at
                    for at in sorted((0, *ends))
                    if all(at + size <= begin or at >= end for begin, end in zip((before, after), ends, strict=True))
                )
            after = before
        return offsets

    def _together(self, step: _Step, places: Sequence[Interval], limit: int) -> Iterator[Interval]:
        """Where the buffers before and after a step may begin at one offset."""
        in_place = step.after is not None and step.before in self._arena.choices.get(step.after, ())
        if step.after != step.before and not in_place:
            return
        scratch = self._size(step.scratch)
        top = limit - max(self._size(step.before), self._size(step.after))
        for low, high in places:
            yield from _proper((max(low, scratch), min(high, top)), (low, min(high, top - scratch)))

    def _extremes(self, step: _Step, places: Sequence[Interval], limit: int) -> list[int]:
        """Offsets before a step that leave what is after it every place that any of `places` does, if they lie apart.

        The lower the one, the more room above it, and the other way round; or it leaves just the room for scratch.
        """
        scratch = self._size(step.scratch)
        top = limit - scratch - self._size(step.before)
        lowest = next((max(low, scratch) for low, high in places if high >= scratch), None)
        highest = next((min(high, top) for low, high in reversed(places) if low <= top), None)
        found = (places[0][0], lowest, highest, places[-1][1])
        return list(dict.fromkeys(at for at in found if at is not None))

    def _apart(self, step: _Step, at: int, limit: int) -> list[Interval]:
        """Where the buffer after a step may begin below or above the one before it, which begins at some offset."""
        if step.after == step.before:
            return []
        before, after, scratch = (self._size(index) for index in (step.before, step.after, step.scratch))
        top = limit - after
        below, above = (0, min(at - self._lead(step), top)), (at + before, top)
        found = [(0, at - after - scratch), (at + before + scratch, top)]
        if at >= scratch:
            found += [(max(low, scratch), high) for low, high in (below, above)]
        if at + before + scratch <= limit:
            found += [(low, min(high, top - scratch)) for low, high in (below, above)]
        return list(_proper(*found))

    def _lead(self, step: _Step) -> int:
        """How far the buffer after a step begins below the one before, at least."""
        return 0 if step.before is None or step.after is None else self._arena.gaps[step.after][step.before]

    def _size(self, index: int | None) -> int:
        return 0 if index is None else self._arena.sizes[index]


def _proper(*intervals: Interval) -> Iterator[Interval]:
    return (interval for interval in intervals if interval[0] <= interval[1])


def _within(offset: int, intervals: Iterable[Interval]) -> bool:
    return any(low <= offset <= high for low, high in intervals)


def _union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same offsets in rising intervals that do not touch."""
    union: list[Interval] = []
    for low, high in sorted(intervals):
        if union and low <= union[-1][1]:
            union[-1] = union[-1][0], max(union[-1][1], high)
        else:
            union.append((low, high))
    return union
