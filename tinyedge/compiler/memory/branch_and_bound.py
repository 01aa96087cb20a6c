"""The exact search of the planner, for what few buffers are."""

from tinyedge.compiler.memory.arena import Arena, Blocks


class BranchAndBound:
    """Branch and bound over the orders of placement.

    Every plan can be pushed down to one in which each block, taken in the order of offsets, lies as low as the earlier
    ones allow that have to lie below it. So it is enough to try orders of rising (offset, rank). A partial plan is
    given up when at some step what is still to come, laid on top, reaches the best plan so far. An explicit stack keeps
    it free of the interpreter's recursion limit.
    """

    def __init__(self, arena: Arena, blocks: Blocks, bound: int, best: list[int]) -> None:
        self._arena = arena
        self._blocks = blocks
        self._bound = bound
        self._best = best
        self._best_bytes = arena.height(best)
        self._steps = sorted({buffer.first for buffer in arena.buffers})
        # What a block takes at each step that it is alive at. An output ranks before the input that it may lie under.
        self._taken: dict[int, list[tuple[int, int]]] = {}
        self._rank: dict[int, int] = {}
        for block, members in blocks.members.items():
            alive = [
                (at, max(sizes))
                for at, step in enumerate(self._steps)
                if (sizes := [arena.sizes[i] for i in members if self._is_alive(i, step)])
            ]
            self._taken[block] = alive
            self._rank[block] = -min(arena.buffers[i].first for i in members) * len(arena.buffers) + block
        # The same at all steps, -1 where it is not alive.
        everywhere = dict.fromkeys(range(len(self._steps)), -1)
        self._sizes = {block: list((everywhere | dict(alive)).values()) for block, alive in self._taken.items()}
        self._offsets: dict[int, int] = {}
        self._tops = [0] * len(self._steps)
        self._waiting = [-arena.savings.get(step, 0) for step in self._steps]
        self._to_come = [0] * len(self._steps)
        for alive in self._taken.values():
            for at, size in alive:
                self._waiting[at] += size
                self._to_come[at] += 1

    def _is_alive(self, index: int, step: int) -> bool:
        return self._arena.buffers[index].first <= step <= self._arena.buffers[index].last

    def run(self, nodes: int) -> tuple[list[int], int]:
        """The offsets of the best plan, at most as high as the one given, and what is left of the nodes."""
        stack = [iter(self._candidates((-1, 0)))] if self._may_be_lower() else []
        placed: list[tuple[int, list[int]]] = []
        while stack and nodes > 0 and self._best_bytes > self._bound:
            candidate = next(stack[-1], None)
            if candidate is None:
                stack.pop()
                if placed:
                    self._remove(*placed.pop())
                continue
            nodes -= 1
            offset, _, block = candidate
            if self._is_too_high(block, offset):
                continue
            placed.append((block, self._put(block, offset)))
            if len(placed) == len(self._taken):
                offsets = self._blocks.of_buffers(self._offsets)
                if self._arena.height(offsets) < self._best_bytes:
                    self._best, self._best_bytes = offsets, self._arena.height(offsets)
                self._remove(*placed.pop())
            else:
                stack.append(iter(self._candidates(candidate[:2])))
        return self._best, nodes

    def _may_be_lower(self) -> bool:
        """Whether all blocks on top of each other are lower than the best plan, at each step."""
        steps = zip(self._waiting, self._to_come, strict=True)
        return all(not to_come or waiting < self._best_bytes for waiting, to_come in steps)

    def _is_too_high(self, block: int, offset: int) -> bool:
        """Whether no completion is better once a block is placed, as the others lie no lower than it."""
        best = self._best_bytes
        steps = self._tops, self._waiting, self._to_come, self._sizes[block]
        for top, waiting, to_come, size in zip(*steps, strict=True):
            if size < 0:
                if to_come and (top if top > offset else offset) + waiting >= best:
                    return True
            elif to_come > 1 and (top - size if top > offset + size else offset) + waiting >= best:
                return True
        return False

    def _candidates(self, last: tuple[int, int]) -> list[tuple[int, int, int]]:
        """(offset, rank, block) of each that may come after `last`, lowest first."""
        found = []
        offsets = self._offsets
        for block, rank in self._rank.items():
            if block not in offsets:
                floor = 0
                for other, _, above in self._blocks.neighbours[block]:
                    if other in offsets and offsets[other] + above > floor:
                        floor = offsets[other] + above
                if (floor, rank) > last:
                    found.append((floor, rank, block))
        found.sort(key=lambda entry: (entry[0], -self._blocks.sizes[entry[2]], entry[1]))
        return found

    def _put(self, block: int, offset: int) -> list[int]:
        """Place a block; returns the tops that `_remove` needs to undo it."""
        self._offsets[block] = offset
        tops = [self._tops[at] for at, _ in self._taken[block]]
        for at, size in self._taken[block]:
            self._tops[at] = max(self._tops[at], offset + size)
            self._waiting[at] -= size
            self._to_come[at] -= 1
        return tops

    def _remove(self, block: int, tops: list[int]) -> None:
        del self._offsets[block]
        for (at, size), top in zip(self._taken[block], tops, strict=True):
            self._tops[at] = top
            self._waiting[at] += size
            self._to_come[at] += 1
