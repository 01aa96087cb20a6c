"""The first search of the planner: among the orders in which buffers are placed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tinyedge.compiler.arena import Arena, Blocks, Fusion

_ORDERS = 2_000
_STARTS = 3
# How often a step changes whose place an output takes, and not the order.
_REFUSIONS = 0.15


@dataclass(frozen=True, eq=False)
class _Plan:
    """A plan and how it came about."""

    height: int
    order: list[int]
    fusion: Fusion
    blocks: Blocks
    offsets: dict[int, int]


def search_orders(arena: Arena) -> list[int]:
    """Find a low plan by hill climbing.

    Placed at the lowest free offset in the right order, that of its own offsets, the buffers form the lowest plan. A
    step exchanges two places in the order near a block that ends at the top, or writes an output in the place of
    another input or of none, and is kept unless the plan becomes higher. Exchanges near the top are the idea of the
    HillClimb allocator of Arm's Vela compiler.

    Returns:
        An offset for each buffer. The same arena always gets the same.
    """
    numbers = random.Random(0)
    starts = sorted(_greedy_plans(arena), key=lambda plan: plan.height)
    best = starts[0]
    for plan in starts[:_STARTS]:
        if best.height > arena.bound:
            best = min(best, _climb(arena, plan, numbers), key=lambda plan: plan.height)
    return best.blocks.of_buffers(best.offsets)


def _greedy_plans(arena: Arena) -> list[_Plan]:
    buffers, sizes = arena.buffers, arena.sizes
    orders = [
        sorted(range(len(buffers)), key=lambda i: (-sizes[i], buffers[i].first, i)),
        sorted(range(len(buffers)), key=lambda i: (buffers[i].first, -sizes[i], i)),
        # An output that lies below its input pushes the input up: so the last comes first.
        sorted(range(len(buffers)), key=lambda i: (-buffers[i].first, -sizes[i], i)),
    ]
    everywhere: Fusion = {output: inputs[0] for output, inputs in arena.choices.items()}
    plans = []
    for fusion in (everywhere, {}):
        blocks = Blocks(arena, fusion)
        for order in orders:
            offsets = blocks.place(order, limit=sum(sizes))
            assert offsets is not None  # Nothing ends above the sum of all.
            plans.append(_Plan(arena.height(blocks.of_buffers(offsets)), order, fusion, blocks, offsets))
    return plans


def _climb(arena: Arena, plan: _Plan, numbers: random.Random) -> _Plan:
    for _ in range(_ORDERS):
        if plan.height <= arena.bound:
            break
        order, fusion, blocks = plan.order, plan.fusion, plan.blocks
        near = _near_the_top(plan, numbers)
        outputs = [index for block in near for index in blocks.members[block] if index in arena.choices]
        if outputs and numbers.random() < _REFUSIONS:
            fusion = _refuse(arena, fusion, numbers.choice(outputs), numbers)
            blocks = Blocks(arena, fusion)
        else:
            order = _exchange(order, blocks, numbers.choice(near), numbers.choice(near))
        offsets = blocks.place(order, limit=plan.height)
        if offsets is not None:
            plan = _Plan(arena.height(blocks.of_buffers(offsets)), order, fusion, blocks, offsets)
    return plan


def _near_the_top(plan: _Plan, numbers: random.Random) -> list[int]:
    """A block that ends at the top, its neighbours in time, and the neighbours of one of them."""
    gaps = plan.blocks.gaps
    top = numbers.choice([block for block, at in plan.offsets.items() if at + plan.blocks.sizes[block] == plan.height])
    near = [top, *gaps[top]]
    return list(dict.fromkeys([*near, *gaps[numbers.choice(near)]]))


def _exchange(order: Sequence[int], blocks: Blocks, first: int, second: int) -> list[int]:
    """Exchange the places of two blocks: a block is placed where the first of its members stands."""
    exchanged = list(order)
    placed = [blocks.block_of[index] for index in order]
    i, j = placed.index(first), placed.index(second)
    exchanged[i], exchanged[j] = exchanged[j], exchanged[i]
    return exchanged


def _refuse(arena: Arena, fusion: Fusion, output: int, numbers: random.Random) -> Fusion:
    """Write an output in the place of another input, or of none."""
    now = fusion.get(output)
    chosen = numbers.choice([source for source in (*arena.choices[output], None) if source != now])
    others = {key: source for key, source in fusion.items() if key != output}
    return others if chosen is None else {**others, output: chosen}
