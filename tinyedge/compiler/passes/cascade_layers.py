"""Joins layers to cascades where that lowers the memory plan."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinyedge.compiler.cascade import Cascade, Step, StreamImage, make_cascade
from tinyedge.compiler.costs import CascadeCosts
from tinyedge.compiler.memory.memory_plan import Lifetimes, least_bytes, lifetimes_of
from tinyedge.ops.kernel_call import KernelCall
from tinyedge.tflite.graph import Graph

# Longer ones gain nothing: what they hand over is small.
_MAX_LAYERS = 12
# Output rows in a stripe.
_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)

DEFAULT_SHARE = 0.04
"""By so much, of an estimate of its time, cascades may slow an inference down where they are not asked for."""


def cascade_layers(
    graph: Graph, calls: Sequence[KernelCall], costs: CascadeCosts, max_share: float = DEFAULT_SHARE
) -> list[Step]:
    """Choose the cascades with which the fullest step needs least memory and, of those, the ones that take least time.

    What a step needs does not depend on how the layers before and after it are joined, for what one step hands over to
    another is whole. So dynamic programming finds the best of all partitions into steps. A plan of several steps may
    need more than the fullest of them does, so that another partition may still have a slightly smaller arena.

    Args:
        graph: After the other passes.
        calls: One an operator, in execution order.
        costs: Of the calls' kernels on what they run on.
        max_share: By so much an inference may take longer, as a share of an estimate of what it takes.
    """
    choices = list(_Choices(graph, calls, costs))
    whole = sum(costs.mac * call.macs + costs.value * call.output.elements for call in calls)
    for limit in sorted({choice.bytes for choice in choices}):
        best = _quickest([choice for choice in choices if choice.bytes <= limit], len(calls))
        if best is not None and best.cost <= max_share * whole:
            return best.steps
    return list(calls)


def quickest_layers(
    graph: Graph, calls: Sequence[KernelCall], costs: CascadeCosts, limit_bytes: int, *, cascades: bool
) -> list[Step] | None:
    """Choose the kernels and the cascades that take least time, where no step needs more than so much memory.

    Args:
        graph: After the other passes.
        calls: One an operator, in execution order; those with a `smaller` one may be run by that, or that one's.
        costs: Of the calls' kernels on what they run on.
        limit_bytes: Of the arena.
        cascades: Whether layers may be joined.

    Returns:
        The steps; None where some need more.
    """
    variants = [list(calls)]
    while any(call.smaller is not None for call in variants[-1]):
        variants.append([call.smaller or call for call in variants[-1]])
    choices = [
        choice
        for variant in variants  # Layers are joined as they take least time, or least memory.
        for choice in _Choices(graph, variant, costs).within(
            limit_bytes, cascades and (variant is variants[0] or variant is variants[-1])
        )
    ]
    best = _quickest(choices, len(calls))
    return None if best is None else best.steps


@dataclass(frozen=True, eq=False)
class _Choice:
    """A step that runs the calls from `begin` to `end`.

    Attributes:
        begin: The first call.
        end: The call after the last one.
        step: What runs them: a call, or a cascade of several.
        bytes: What has to be in memory while it runs, at least.
        cost: What it takes more than its calls by themselves, by an estimate.
    """

    begin: int
    end: int
    step: Step
    bytes: int
    cost: float


@dataclass(frozen=True, eq=False)
class _Partition:
    steps: list[Step]
    cost: float


def _quickest(choices: Sequence[_Choice], count: int) -> _Partition | None:
    """The partition of all calls that takes least time; None where the choices allow none."""
    ending: list[list[_Choice]] = [[] for _ in range(count + 1)]
    for choice in choices:
        ending[choice.end].append(choice)
    best: list[tuple[float, _Choice | None]] = [(0.0, None)]
    for end in range(1, count + 1):
        reached = ((best[choice.begin][0] + choice.cost, choice) for choice in ending[end])
        best.append(min(reached, key=lambda pair: pair[0], default=(math.inf, None)))
    if math.isinf(best[count][0]):
        return None
    steps: list[Step] = []
    last = best[count][1]
    while last is not None:
        steps.append(last.step)
        last = best[last.begin][1]
    return _Partition(steps[::-1], best[count][0])


def _alive_from(lifetimes: Lifetimes, calls: int) -> list[Lifetimes]:
    """Return, for each call, what is alive during it or a cascade that begins with it."""
    alive: list[Lifetimes] = [{} for _ in range(calls)]
    for tensor, (first, last) in lifetimes.items():
        for begin in range(max(first - _MAX_LAYERS + 1, 0), min(last + 1, calls)):
            alive[begin][tensor] = first, last
    return alive


class _Choices:
    """Every call by itself, and every cascade that needs less memory than its calls."""

    def __init__(self, graph: Graph, calls: Sequence[KernelCall], costs: CascadeCosts) -> None:
        self._calls = calls
        self._costs = costs
        self._alive = _alive_from(lifetimes_of(graph, calls), len(calls))
        self._states = {state.before.storage for state in graph.states}

    def within(self, limit_bytes: int, cascades: bool) -> Iterator[_Choice]:
        """Those that need so much memory at most."""
        alone = self._alone()
        yield from (choice for choice in alone if choice.bytes <= limit_bytes)
        for begin, end in self._runs() if cascades else ():
            if max(choice.bytes for choice in alone[begin:end]) > limit_bytes:
                yield from self._cascades(begin, end, limit_bytes + 1)

    def _alone(self) -> list[_Choice]:
        return [
            _Choice(at, at + 1, call, least_bytes(call, at, at + 1, self._alive[at]), -call.saved_cycles)
            for at, call in enumerate(self._calls)
        ]

    def __iter__(self) -> Iterator[_Choice]:
        alone = self._alone()
        yield from alone
        runs = list(self._runs())
        joined = {at for begin, end in runs for at in range(begin, end)}
        # No cascade brings the arena below what the others need.
        floor = max((choice.bytes for at, choice in enumerate(alone) if at not in joined), default=0)
        for begin, end in runs:
            most = max(choice.bytes for choice in alone[begin:end])
            if most > floor:
                yield from self._cascades(begin, end, most)

    def _runs(self) -> Iterator[tuple[int, int]]:
        """From where to where calls may be joined: nothing that they make but the last output is read elsewhere."""
        can = [call.stripe_form is not None and not self._has_state(call) for call in self._calls]
        for begin in range(len(self._calls)):
            read_until = begin
            for end in range(begin + 1, min(begin + _MAX_LAYERS, len(self._calls)) + 1):
                if not can[end - 1]:
                    break
                if end - begin > 1 and read_until < end:
                    yield begin, end
                first, last = self._alive[end - 1][self._calls[end - 1].output.storage]
                if last == first:
                    break  # Nobody reads it.
                read_until = max(read_until, last)

    def _has_state(self, call: KernelCall) -> bool:
        """Whether it reads or writes what outlasts an inference: a state is read whole before it changes."""
        return any(tensor.storage in self._states for tensor in (*call.inputs, call.output, *call.states))

    def _cascades(self, begin: int, end: int, below: int) -> Iterator[_Choice]:
        for rows in _ROWS:
            if rows > max(self._calls[end - 1].output.shape[1] // 2, 1):
                break
            cascade = make_cascade(self._calls[begin:end], rows)
            if cascade is None:
                break
            needed = least_bytes(cascade, begin, end, self._alive[begin])
            if needed >= below:
                break
            saved = sum(call.saved_cycles for call in cascade.calls)
            yield _Choice(begin, end, cascade, needed, _stripes_cost(cascade, self._costs) - saved)


def _stripes_cost(cascade: Cascade, costs: CascadeCosts) -> float:
    """An estimate of what stripes take more than whole images."""
    first = len(cascade.images) - len(cascade.calls)
    total = 0.0
    held = [0] * len(cascade.images)
    for stripe in cascade.stripes:
        for index, (image, now) in enumerate(zip(cascade.images, stripe, strict=True)):
            total += costs.moved_byte * (now.begin - now.held) * image.row_bytes if now.held > held[index] else 0
            held[index] = now.held
            if index >= first and now.rows:
                total += costs.layer + (_anew(cascade.calls[index - first], image, costs) if now.begin else 0)
    return total


def _anew(call: KernelCall, image: StreamImage, costs: CascadeCosts) -> float:
    """What a layer does in a stripe although it did it in the one before."""
    if call.kernel.prepares_table:
        return costs.table
    return costs.channel * image.tensor.shape[3] if call.kernel.loads_rows else 0
