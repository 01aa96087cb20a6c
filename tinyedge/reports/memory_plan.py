"""The arena as a drawing: which tensor is where while the layers run."""

from dataclasses import dataclass

from tinyedge.reports.chart import Axis, linear_axis
from tinyedge.reports.panel import Missing
from tinyedge.reports.subject import Subject


@dataclass(frozen=True)
class Block:
    """A tensor: a rectangle from the layer that writes it to the last that reads it.

    Attributes:
        x: Per cent from the left.
        y: Per cent from the top.
        width: Per cent.
        height: Per cent.
        colour: Which of the page's ten colours.
        name: Of the tensor.
        text: Its bytes, and where and when it is.
    """

    x: float
    y: float
    width: float
    height: float
    colour: int
    name: str
    text: str


@dataclass(frozen=True)
class PlanDrawing:
    """A memory plan.

    Attributes:
        blocks: By first use.
        x: Layers, to the right.
        y: Bytes of the arena, upwards.
        arena_bytes: Of the plan.
        lower_bound_bytes: What no plan of this order of layers can do without.
        state_bytes: Memory that lasts from one inference to the next, apart from the arena.
        arena_y: Where the arena ends, per cent from the top.
        bound_y: Where the lower bound is, likewise.
        layers: How many there are.
        cascades: Rows of layers that run a stripe at a time: "12 to 14".
        instruction_set: Whose kernels the plan is for.
    """

    blocks: tuple[Block, ...]
    x: Axis
    y: Axis
    arena_bytes: int
    lower_bound_bytes: int
    state_bytes: int
    arena_y: float
    bound_y: float
    layers: int
    cascades: tuple[str, ...]
    instruction_set: str


def memory_plan(subject: Subject) -> PlanDrawing | Missing | None:
    """Return the drawing of the compiler's plan."""
    program = subject.program
    if program is None:
        return subject.not_compiled
    plan, names = program.plan, [call.name for call in program.calls]
    x = linear_axis([-1.0, len(names) + 1.0], 8, snug=True)
    y = linear_axis([0.0, float(plan.arena_bytes)], 5)
    blocks = []
    for index, tensor in enumerate(plan.tensors):
        left, right = x.at(tensor.first), x.at(tensor.last + 1)
        bottom, top = y.at(tensor.offset), y.at(tensor.offset + tensor.bytes)
        first = "the input is filled" if tensor.first < 0 else names[tensor.first]
        last = "the output is read" if tensor.last >= len(names) else names[max(tensor.last, 0)]
        when = f"layer {tensor.first} ({first})"
        if tensor.last != tensor.first:
            when = f"layers {tensor.first} ({first}) to {tensor.last} ({last})"
        blocks.append(
            Block(
                x=left,
                y=round(100 - top, 2),
                width=round(right - left, 2),
                height=round(top - bottom, 2),
                colour=index % 10,
                name=tensor.name,
                text=f"{tensor.bytes:,} bytes from {tensor.offset:,} on, {when}",
            )
        )
    return PlanDrawing(
        blocks=tuple(blocks),
        x=x,
        y=y,
        arena_bytes=plan.arena_bytes,
        lower_bound_bytes=plan.lower_bound_bytes,
        state_bytes=plan.state_bytes,
        arena_y=round(100 - y.at(plan.arena_bytes), 2),
        bound_y=round(100 - y.at(plan.lower_bound_bytes), 2),
        layers=len(names),
        cascades=tuple(f"{first} to {last}" for first, last, _ in program.cascades()),
        instruction_set=program.options.instruction_set,
    )
