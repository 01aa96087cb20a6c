"""Where every activation and every state of a model lives, from the steps of its program."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from tinyedge import notebook
from tinyedge.compiler.cascade import Step, layers_of
from tinyedge.compiler.memory.arena import Buffer, InPlaceAlias, aligned, lower_bound
from tinyedge.compiler.memory.planner import place
from tinyedge.tflite.graph import Graph, Tensor

Lifetimes = dict[Tensor, tuple[int, int]]
"""The step that writes each tensor, and the last that reads it."""


@dataclass(frozen=True)
class PlannedTensor:
    """One line of the arena plan.

    Attributes:
        name: Of the tensor, or "scratch of NAME" for the working memory of a layer, or of a cascade with its buffers.
        offset: In bytes from the start of the arena.
        bytes: How much it holds, before alignment.
        first: The layer that writes it, or the first of a cascade that does; -1 for the model's input.
        last: The last layer that reads it, or the last of a cascade; the number of layers for the model's output.
    """

    name: str
    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class MemoryPlan:
    """Where every activation lives in the arena.

    Attributes:
        offsets: Byte offset in the arena by tensor; views are listed with where they are in the memory of another.
        state_offsets: The same in the memory of the states, which is apart from the arena.
        scratch_offsets: Byte offset of the working memory of each step that needs some, by the step's number.
        tensors: The same as a table, in the order of first use.
        arena_bytes: The size of the arena.
        state_bytes: The size of the memory that lasts from one inference to the next.
        lower_bound_bytes: What the tensors of the fullest layers take at least, each overlap that a kernel allows used
            in full; no plan of this order of layers needs less.
    """

    offsets: dict[Tensor, int]
    state_offsets: dict[Tensor, int]
    scratch_offsets: dict[int, int]
    tensors: tuple[PlannedTensor, ...]
    arena_bytes: int
    state_bytes: int
    lower_bound_bytes: int

    def _repr_html_(self) -> str:
        """For a notebook: which tensor is where while the layers run."""
        layers = max((tensor.last for tensor in self.tensors), default=0)
        return notebook.plan_drawing(self.tensors, self.arena_bytes, layers)

    def alive_bytes(self, layer: int) -> int:
        """How much of the arena holds tensors that are needed while a layer runs; what two share counts once."""
        total = covered = 0
        for start, end in sorted((t.offset, t.offset + t.bytes) for t in self.tensors if t.first <= layer <= t.last):
            total += max(end - max(start, covered), 0)
            covered = max(covered, end)
        return total


@dataclass(frozen=True, eq=False)
class _Demand:
    """What a model asks of its arena.

    Attributes:
        index_of: The buffer of each tensor that has memory of its own.
        scratch_steps: The steps that need working memory, whose buffers come after those of the tensors.
        buffers: All of them.
        aliases: Which outputs may be written over which inputs.
    """

    index_of: dict[Tensor, int]
    scratch_steps: list[int]
    buffers: list[Buffer]
    aliases: list[InPlaceAlias]


# A model is checked, run on this machine and built for a board, and asks the same of its arena each time.
_placed = functools.lru_cache(maxsize=64)(place)


def plan_memory(graph: Graph, steps: Sequence[Step]) -> MemoryPlan:
    """Place the activations and the working memory of all layers in one arena, and the states one after the other.

    Args:
        graph: After the passes.
        steps: In execution order.
    """
    demand = _demand(graph, steps)
    placement = _placed(tuple(demand.buffers), tuple(demand.aliases))
    offset_of = {tensor: placement.offsets[index] for tensor, index in demand.index_of.items()}
    scratch_offsets = dict(zip(demand.scratch_steps, placement.offsets[len(demand.index_of) :], strict=True))
    names = [tensor.name for tensor in demand.index_of]
    names += [f"scratch of {steps[step].name}" for step in demand.scratch_steps]
    # The first layer of each step; the output is read after the last one.
    first = list(itertools.accumulate((len(layers_of([step])) for step in steps), initial=0))
    last = [-1, *(layer - 1 for layer in first[1:]), first[-1]]
    first = [-1, *first]
    table = [
        PlannedTensor(name, offset, buffer.bytes, first[buffer.first + 1], last[buffer.last + 1])
        for name, offset, buffer in zip(names, placement.offsets, demand.buffers, strict=True)
    ]
    used = {tensor for step in steps for tensor in (*step.inputs, step.output)} | {*graph.inputs, *graph.outputs}
    kept, state_bytes = _kept(graph)
    return MemoryPlan(
        offsets={
            tensor: offset_of[tensor.storage] + tensor.storage_offset for tensor in used if tensor.storage not in kept
        },
        state_offsets={tensor: kept[tensor.storage] for tensor in used if tensor.storage in kept} | kept,
        scratch_offsets=scratch_offsets,
        tensors=tuple(sorted(table, key=lambda line: (line.first, line.offset))),
        arena_bytes=placement.arena_bytes,
        state_bytes=state_bytes,
        lower_bound_bytes=placement.lower_bound_bytes,
    )


def _kept(graph: Graph) -> tuple[dict[Tensor, int], int]:
    """The offset of each state, and the bytes of all."""
    offsets: dict[Tensor, int] = {}
    end = 0
    for state in graph.states:
        offsets[state.before.storage] = end
        end += aligned(state.before.bytes)
    return offsets, end


def lifetimes_of(graph: Graph, steps: Sequence[Step]) -> Lifetimes:
    """The step that writes each tensor and the last that reads it, by the tensors that have memory in the arena.

    Args:
        graph: Its inputs are written by step -1, its outputs read by the one after the last.
        steps: In execution order.
    """
    kept = {state.before.storage for state in graph.states}
    lifetimes: Lifetimes = {tensor.storage: (-1, -1) for tensor in graph.inputs}

    def read(tensor: Tensor, at: int) -> None:
        if tensor.storage not in kept:
            lifetimes[tensor.storage] = (lifetimes[tensor.storage][0], at)

    for at, step in enumerate(steps):
        for tensor in step.inputs:
            read(tensor, at)
        if step.output.storage not in kept:
            lifetimes[step.output.storage] = (at, at)
    for tensor in graph.outputs:
        read(tensor, len(steps))
    return lifetimes


def least_bytes(step: Step, begin: int, end: int, lifetimes: Lifetimes) -> int:
    """A lower bound of what is in memory while some calls run as one step.

    Args:
        step: The calls from `begin` to `end`, exclusive.
        begin: The first call.
        end: The one after the last.
        lifetimes: Of all tensors that are alive meanwhile, where every call is a step.
    """
    output = step.output.storage
    # What lives within a cascade is in its scratch.
    alive = {
        tensor: last
        for tensor, (first, last) in lifetimes.items()
        if first < end and last >= begin and (first < begin or last >= end or tensor is output)
    }
    index_of = {tensor: index for index, tensor in enumerate(alive)}
    buffers = [
        Buffer(tensor.bytes, 0 if tensor is output else -1, 0 if last < end else 1) for tensor, last in alive.items()
    ]
    buffers.append(Buffer(step.scratch_bytes, 0, 0))
    aliases = [
        InPlaceAlias(index_of[output], index_of[tensor], lead)
        for tensor, lead in _overlaps(step).items()
        if output in index_of and tensor in index_of
    ]
    return lower_bound(buffers, aliases)


def _demand(graph: Graph, steps: Sequence[Step]) -> _Demand:
    lifetimes = lifetimes_of(graph, steps)
    index_of = {tensor: index for index, tensor in enumerate(lifetimes)}
    scratch_steps = [at for at, step in enumerate(steps) if step.scratch_bytes]
    buffers = [Buffer(tensor.bytes, first, last) for tensor, (first, last) in lifetimes.items()]
    buffers += [Buffer(steps[at].scratch_bytes, at, at) for at in scratch_steps]
    aliases = [
        InPlaceAlias(index_of[step.output.storage], index_of[storage], write_ahead_bytes)
        for step in steps
        for storage, write_ahead_bytes in _overlaps(step).items()
        if storage in index_of and step.output.storage in index_of
    ]
    return _Demand(index_of, scratch_steps, buffers, aliases)


def _overlaps(step: Step) -> dict[Tensor, int | None]:
    """How the output may lie over what the step reads; a tensor read in several places, only if all allow the same.

    Not over a part of another tensor, whose memory begins elsewhere.
    """
    allowed = {
        overlap.input: overlap.write_ahead_bytes
        for overlap in step.overlaps
        if step.inputs[overlap.input].storage_offset == 0
    }
    readings: dict[Tensor, list[int]] = {}
    for position, tensor in enumerate(step.inputs):
        readings.setdefault(tensor.storage, []).append(position)
    found = {}
    for storage, positions in readings.items():
        leads = {allowed[position] for position in positions if position in allowed}
        if len(leads) == 1 and all(position in allowed for position in positions):
            found[storage] = leads.pop()
    return found
