"""The buffers of a network, which of them may share memory and how, and the least that they take."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

BUFFER_ALIGNMENT = 16
"""Bytes: every offset in the arena is a multiple; the arena itself need begin at one of `ARENA_ALIGNMENT` only."""


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


@dataclass(frozen=True)
class InPlaceAlias:
    """Two buffers that may share memory in the step that writes one and is the last to read the other.

    Of no effect where another step reads the input later.

    Attributes:
        output: The index of the buffer written.
        input: The index of the buffer read.
        write_ahead_bytes: The output may begin at least so far below the input, and lie over it; None: it may begin
            exactly where the input does.
    """

    output: int
    input: int
    write_ahead_bytes: int | None


def aligned(size: int) -> int:
    """Round `size` up to the alignment of buffers."""
    return -(-size // BUFFER_ALIGNMENT) * BUFFER_ALIGNMENT


def lower_bound(buffers: Sequence[Buffer], aliases: Sequence[InPlaceAlias] = ()) -> int:
    """The least that the buffers alive at one step take, each overlap used in full, at the step that needs most.

    An output of o bytes and an input of i bytes take max(o, i) in place, max(o, i + lead) with a lead, and o + i apart.
    What several steps need together may be more, so a plan above this bound may still be optimal.
    """
    saved = _savings(buffers, _effective(buffers, aliases))
    written: dict[int, int] = {}
    read: dict[int, int] = {}
    for buffer in buffers:
        size = aligned(buffer.bytes)
        written[buffer.first] = written.get(buffer.first, 0) + size
        read[buffer.last] = read.get(buffer.last, 0) + size
    most = alive = 0
    for step in sorted({*written, *read}):
        if step in written:
            alive += written[step]
            most = max(most, alive - saved.get(step, 0))
        alive -= read.get(step, 0)
    return most


def _effective(buffers: Sequence[Buffer], aliases: Sequence[InPlaceAlias]) -> list[InPlaceAlias]:
    """Those of inputs that die as their output is written."""
    return [h for h in aliases if buffers[h.output].first == buffers[h.input].last and h.output != h.input]


def _savings(buffers: Sequence[Buffer], aliases: Sequence[InPlaceAlias]) -> dict[int, int]:
    """By step, the most bytes that its outputs can share with its inputs.

    An output that begins where an input does cannot begin where another one does; it may lie over several by leads.
    """
    shared: dict[int, tuple[int, int]] = {}
    for alias in aliases:
        size, other = aligned(buffers[alias.output].bytes), aligned(buffers[alias.input].bytes)
        exact, leading = shared.get(alias.output, (0, 0))
        if alias.write_ahead_bytes is None:
            exact = max(exact, min(size, other))
        else:
            leading += max(0, size + other - max(size, other + aligned(alias.write_ahead_bytes)))
        shared[alias.output] = exact, leading
    savings: dict[int, int] = {}
    for output, (exact, leading) in shared.items():
        step = buffers[output].first
        savings[step] = savings.get(step, 0) + min(exact + leading, aligned(buffers[output].bytes))
    return savings


def _beside(buffers: Sequence[Buffer]) -> list[list[int]]:
    """For each buffer, those that are needed at the same time, in their order."""
    beside: list[list[int]] = [[] for _ in buffers]
    alive: list[int] = []
    for index in sorted(range(len(buffers)), key=lambda index: buffers[index].first):
        alive = [other for other in alive if buffers[other].last >= buffers[index].first]
        for other in alive:
            beside[other].append(index)
        beside[index] += alive
        alive.append(index)
    return [sorted(others) for others in beside]


Fusion = dict[int, int]
"""By output, the input in whose place it is written."""

NOWHERE = -1
"""The offset of what has none."""


class Arena:
    """What any plan has to keep to, in multiples of the alignment.

    Attributes:
        buffers: All that lives in it.
        aliases: Those of inputs that die as their output is written.
        sizes: Of the buffers.
        bound: Their lower bound.
        savings: By step, how much outputs may share with inputs by their leads.
        gaps: For a buffer, those that are needed at the same time, each with how far it has to begin above the buffer
            if it is the upper of the two.
        choices: By output, the inputs where it may begin exactly.
    """

    def __init__(self, buffers: Sequence[Buffer], aliases: Sequence[InPlaceAlias]) -> None:
        self.buffers = buffers
        self.aliases = _effective(buffers, aliases)
        self.sizes = [aligned(buffer.bytes) for buffer in buffers]
        self.bound = lower_bound(buffers, aliases)
        self.savings = _savings(buffers, [h for h in self.aliases if h.write_ahead_bytes is not None])
        self.gaps = [dict.fromkeys(others, size) for others, size in zip(_beside(buffers), self.sizes, strict=True)]
        self.choices: dict[int, list[int]] = {}
        for alias in self.aliases:
            if alias.write_ahead_bytes is None:
                self.choices.setdefault(alias.output, []).append(alias.input)
            else:
                upper = self.gaps[alias.output]
                upper[alias.input] = min(upper[alias.input], aligned(alias.write_ahead_bytes))

    def height(self, offsets: Sequence[int]) -> int:
        """The end of the highest buffer."""
        return max(offset + size for offset, size in zip(offsets, self.sizes, strict=True))

    def window(self, seen: Sequence[int], begin: int, end: int) -> "Arena":
        """Of some buffers, from one step to another; aliases of others are left out."""
        at = {index: position for position, index in enumerate(seen)}
        # What is older stays older than what the first step writes: it may be an input that an output lies over.
        buffers = [Buffer(b.bytes, max(b.first, begin - 1), min(b.last, end)) for b in (self.buffers[i] for i in seen)]
        aliases = [
            InPlaceAlias(at[h.output], at[h.input], h.write_ahead_bytes)
            for h in self.aliases
            if h.output in at and h.input in at and begin <= self.buffers[h.output].first <= end
        ]
        return Arena(buffers, aliases)

    def fusions(self) -> Iterator[Fusion]:
        """Every way to write outputs in the places of inputs."""
        outputs = list(self.choices)
        for inputs in itertools.product(*([*self.choices[output], None] for output in outputs)):
            yield {o: i for o, i in zip(outputs, inputs, strict=True) if i is not None}


class Blocks:
    """The buffers of an arena, of which some are joined to blocks that begin at one offset and move as one.

    A block goes by the index of one of its members.

    Attributes:
        members: The buffers of each block.
        block_of: The block of each buffer.
        sizes: Of each block at its fullest step.
        others: Those that differ from the ones that these were made like, by their members or by what is beside them.
        neighbours: For each block, those that are needed at the same time: (other, the gap if this is the lower one,
            the gap if the other is), in any order.
    """

    def __init__(self, arena: Arena, fusion: Fusion, like: "Blocks | None" = None) -> None:
        """Join the buffers.

        Args:
            arena: Of the buffers.
            fusion: Which outputs are written in the places of inputs.
            like: Other blocks of the arena: what is the same in both is taken from there.
        """
        self.members: dict[int, list[int]] = {index: [index] for index in range(len(arena.buffers))}
        self.block_of = list(range(len(arena.buffers)))
        for output, source in fusion.items():
            self._join(arena, fusion, self.block_of[source], self.block_of[output])
        self.sizes = {block: max(arena.sizes[i] for i in members) for block, members in self.members.items()}
        before, known = ({}, {}) if like is None else (like.members, like.neighbours)
        changed = {block for block, members in self.members.items() if before.get(block) != members}
        gone = changed | (before.keys() - self.members.keys())
        found = {block: self._find_neighbours(arena, block) for block in changed}
        beside: dict[int, list[tuple[int, int, int]]] = {}
        for block, neighbours in found.items():
            for other, below, above in neighbours:
                beside.setdefault(other, []).append((block, above, below))
        self.others = changed | beside.keys()
        self.neighbours: dict[int, list[tuple[int, int, int]]] = {}
        for block in self.members:
            if block in found:
                self.neighbours[block] = found[block]
            elif block in beside:
                kept = [entry for entry in known[block] if entry[0] not in gone]
                self.neighbours[block] = kept + beside[block]
            else:
                self.neighbours[block] = known[block]

    def _find_neighbours(self, arena: Arena, block: int) -> list[tuple[int, int, int]]:
        below: dict[int, int] = {}
        above: dict[int, int] = {}
        for i in self.members[block]:
            for j, gap in arena.gaps[i].items():
                other = self.block_of[j]
                if other != block:
                    below[other] = max(below.get(other, 0), gap)
                    above[other] = max(above.get(other, 0), arena.gaps[j][i])
        return [(other, gap, above[other]) for other, gap in below.items()]

    def beside(self, arena: Arena, block: int) -> list[int]:
        """Return the blocks that are needed at the same time as one, in the order of their buffers."""
        found = dict.fromkeys(self.block_of[j] for i in sorted(self.members[block]) for j in arena.gaps[i])
        return [other for other in found if other != block]

    def _join(self, arena: Arena, fusion: Fusion, block: int, joining: int) -> None:
        """Join two blocks, unless members of both are needed at the same time and may not begin at one offset."""
        for i in self.members[joining]:
            for j in self.members[block]:
                if j in arena.gaps[i] and fusion.get(i) != j and fusion.get(j) != i:
                    return
        if block != joining:
            for i in self.members[joining]:
                self.block_of[i] = block
            self.members[block] += self.members.pop(joining)

    def place(self, order: Sequence[int]) -> list[int]:
        """Return the offset of each block, by its index, at the lowest that the ones before in an order allow."""
        offsets = [NOWHERE] * len(self.block_of)
        for index in order:
            block = self.block_of[index]
            if offsets[block] == NOWHERE:
                offsets[block] = self.lowest(block, offsets)
        return offsets

    def place_below(
        self, order: Sequence[int], limit: int, placed: Sequence[int], anew: Collection[int], first: int
    ) -> list[int] | None:
        """Place each block as `place` does; None if one would end above a limit.

        Args:
            order: Of the buffers.
            limit: No block may end above it.
            placed: Offsets of the blocks in another order, or of those that these were made like.
            anew: The blocks to place anew: those that have another place in the order and what depends on them, or
                those that differ. What depends on blocks that move is placed anew as well, and all others stay.
            first: Where the order begins to differ.
        """
        offsets = [NOWHERE] * len(self.block_of)
        for index in order[:first]:
            block = self.block_of[index]
            offsets[block] = placed[block]
        anew = set(anew)
        for index in order[first:]:
            block = self.block_of[index]
            if offsets[block] != NOWHERE:
                continue
            before = placed[block]
            if block not in anew:
                offsets[block] = before
                continue
            offset = self.lowest(block, offsets)
            if offset + self.sizes[block] > limit:
                return None
            offsets[block] = offset
            if offset != before:
                anew |= self.depending(block, min(offset, before), placed)
        return offsets

    def depending(self, block: int, offset: int, placed: Sequence[int]) -> set[int]:
        """Return what may have another offset if a block leaves an offset, or takes it.

        The lowest offset that is free for a block depends on no other that begins above it.
        """
        return {other for other, _, gap in self.neighbours[block] if offset - gap < placed[other]}

    def lowest(self, block: int, offsets: Sequence[int]) -> int:
        """The lowest offset of a block beside those that have one."""
        taken = [
            (at - below, at + above)
            for other, below, above in self.neighbours[block]
            if (at := offsets[other]) != NOWHERE
        ]
        taken.sort()
        offset = 0
        for start, end in taken:
            if offset <= start:
                break
            if end > offset:
                offset = end
        return offset

    def of_buffers(self, offsets: Mapping[int, int] | Sequence[int]) -> list[int]:
        """The offset of each buffer, from those of the blocks."""
        return [offsets[block] for block in self.block_of]
