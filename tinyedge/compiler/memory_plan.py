"""Where every activation of a model lives, from its kernel calls."""

from collections.abc import Sequence
from dataclasses import dataclass

from tinyedge.compiler.arena import Buffer, Handover
from tinyedge.compiler.graph import Graph, Tensor
from tinyedge.compiler.kernel_call import KernelCall
from tinyedge.compiler.planner import place


@dataclass(frozen=True)
class PlannedTensor:
    """One line of the arena plan.

    Attributes:
        name: Of the tensor, or "scratch of NAME" for a layer's working memory.
        offset: In bytes from the start of the arena.
        bytes: How much it holds, before alignment.
        first: The step that writes it; -1 for the model's input.
        last: The last step that reads it; the number of layers for the model's output.
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
        offsets: Byte offset by tensor; views are listed with the offset of the tensor whose memory they share.
        scratch_offsets: Byte offset of each call's working memory; None where a call needs none.
        tensors: The same as a table, in the order of first use.
        arena_bytes: The size of the arena.
        lower_bound_bytes: What the tensors of the fullest layers take at least, each overlap that a kernel allows used
            in full; no plan of this order of layers needs less.
    """

    offsets: dict[Tensor, int]
    scratch_offsets: tuple[int | None, ...]
    tensors: tuple[PlannedTensor, ...]
    arena_bytes: int
    lower_bound_bytes: int

    def alive_bytes(self, step: int) -> int:
        """How much of the arena holds tensors that are needed while a layer runs; what two share counts once."""
        total = covered = 0
        for start, end in sorted((t.offset, t.offset + t.bytes) for t in self.tensors if t.first <= step <= t.last):
            total += max(end - max(start, covered), 0)
            covered = max(covered, end)
        return total


@dataclass(frozen=True, eq=False)
class _Demand:
    """What a model asks of its arena.

    Attributes:
        index_of: The buffer of each tensor that has memory of its own.
        scratch_steps: The calls that need working memory, whose buffers come after those of the tensors.
        buffers: All of them.
        handovers: Which outputs may be written over which inputs.
    """

    index_of: dict[Tensor, int]
    scratch_steps: list[int]
    buffers: list[Buffer]
    handovers: list[Handover]


def plan_memory(graph: Graph, calls: Sequence[KernelCall]) -> MemoryPlan:
    """Place the activations and the working memory of all layers in one arena.

    Args:
        graph: After the passes.
        calls: One an operator, in execution order.
    """
    demand = _demand(graph, calls)
    placement = place(demand.buffers, demand.handovers)
    offset_of = {tensor: placement.offsets[index] for tensor, index in demand.index_of.items()}
    scratch = dict(zip(demand.scratch_steps, placement.offsets[len(demand.index_of) :], strict=True))
    names = [tensor.name for tensor in demand.index_of]
    names += [f"scratch of {calls[step].name}" for step in demand.scratch_steps]
    table = [
        PlannedTensor(name, offset, buffer.bytes, buffer.first, buffer.last)
        for name, offset, buffer in zip(names, placement.offsets, demand.buffers, strict=True)
    ]
    used = {tensor for call in calls for tensor in (*call.inputs, call.output)} | {*graph.inputs, *graph.outputs}
    return MemoryPlan(
        offsets={tensor: offset_of[tensor.storage] for tensor in used},
        scratch_offsets=tuple(scratch.get(step) for step in range(len(calls))),
        tensors=tuple(sorted(table, key=lambda line: (line.first, line.offset))),
        arena_bytes=placement.arena_bytes,
        lower_bound_bytes=placement.lower_bound_bytes,
    )


def _demand(graph: Graph, calls: Sequence[KernelCall]) -> _Demand:
    lifetimes: dict[Tensor, tuple[int, int]] = {tensor.storage: (-1, -1) for tensor in graph.inputs}
    for step, call in enumerate(calls):
        for tensor in call.inputs:
            first, _ = lifetimes[tensor.storage]
            lifetimes[tensor.storage] = (first, step)
        lifetimes[call.output.storage] = (step, step)
    for tensor in graph.outputs:
        first, _ = lifetimes[tensor.storage]
        lifetimes[tensor.storage] = (first, len(calls))

    index_of = {tensor: index for index, tensor in enumerate(lifetimes)}
    scratch_steps = [step for step, call in enumerate(calls) if call.scratch_bytes]
    buffers = [Buffer(tensor.bytes, first, last) for tensor, (first, last) in lifetimes.items()]
    buffers += [Buffer(calls[step].scratch_bytes, step, step) for step in scratch_steps]
    handovers = [
        Handover(index_of[call.output.storage], index_of[storage], lead_bytes)
        for call in calls
        for storage, lead_bytes in _overlaps(call).items()
    ]
    return _Demand(index_of, scratch_steps, buffers, handovers)


def _overlaps(call: KernelCall) -> dict[Tensor, int | None]:
    """How the output may lie over what the call reads; a tensor read in several places, only if all allow the same."""
    allowed = {overlap.input: overlap.lead_bytes for overlap in call.overlaps}
    readings: dict[Tensor, list[int]] = {}
    for position, tensor in enumerate(call.inputs):
        readings.setdefault(tensor.storage, []).append(position)
    found = {}
    for storage, positions in readings.items():
        leads = {allowed[position] for position in positions if position in allowed}
        if len(leads) == 1 and all(position in allowed for position in positions):
            found[storage] = leads.pop()
    return found
