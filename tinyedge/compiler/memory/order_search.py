"""The first search of the planner: among the orders in which buffers are placed."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinyedge.compiler.memory.arena import NOWHERE, Arena, Blocks, Fusion

# How often a step changes whose place an output takes, and not the order.
_REFUSIONS = 0.15
# Buffers beside one, on average over a graph, that a placement is counted as looking at; in networks there are 2 to 6.
_NEIGHBOURS = 12


@dataclass(frozen=True, eq=False)
class OrderedPlan:
    """A plan and how it came about.

    Attributes:
        height: The end of its highest buffer.
        order: In which the buffers were placed.
        fusion: Which outputs took the places of inputs.
        blocks: What that joined.
        offsets: Of the blocks, by their indices.
    """

    height: int
    order: list[int]
    fusion: Fusion
    blocks: Blocks
    offsets: list[int]


def greedy_plans(arena: Arena, known: Mapping[int, int]) -> list[OrderedPlan]:
    """Place the buffers at the lowest free offset in plausible orders; the lowest plan comes first.

    Args:
        arena: Of the buffers.
        known: Offsets of some of them in a plan that is the lowest without the others.
    """
    buffers, sizes = arena.buffers, arena.sizes
    orders = [
        sorted(range(len(buffers)), key=lambda i: (-sizes[i], buffers[i].first, i)),
        sorted(range(len(buffers)), key=lambda i: (buffers[i].first, -sizes[i], i)),
        # An output that lies below its input pushes the input up: so the last comes first.
        sorted(range(len(buffers)), key=lambda i: (-buffers[i].first, -sizes[i], i)),
    ]
    everywhere: Fusion = {output: inputs[0] for output, inputs in arena.choices.items()}
    tried = [(fusion, order) for fusion in ((everywhere, {}) if everywhere else ({},)) for order in orders]
    if known:
        choices = arena.choices.items()
        together = {o: i for o, inputs in choices for i in inputs if known.get(i, NOWHERE) == known.get(o)}
        first = sorted(known, key=lambda i: known[i])
        tried += [(together, first + [i for i in order if i not in known]) for order in orders]
    plans = []
    for fusion, order in tried:
        blocks = Blocks(arena, fusion)
        offsets = blocks.place(order)
        plans.append(OrderedPlan(arena.height(blocks.of_buffers(offsets)), order, fusion, blocks, offsets))
    return sorted(plans, key=lambda plan: plan.height)


def climb(arena: Arena, plan: OrderedPlan, bound: int, numbers: random.Random, placements: int) -> OrderedPlan:
    """Lower a plan by hill climbing, until it reaches a bound or has tried orders that place so many buffers in all.

    Where many buffers are alive at once, a placement looks at each of them, and as many fewer are tried.

    Placed at the lowest free offset in the right order, that of its own offsets, the buffers form the lowest plan. A
    step exchanges two places in the order near a block that ends at the top, or writes an output in the place of
    another input or of none, and is kept unless the plan becomes higher. Exchanges near the top are the idea of the
    HillClimb allocator of Arm's Vela compiler.
    """
    neighbours = sum(len(beside) for beside in arena.gaps)
    for _ in range(placements // max(len(plan.order), neighbours // _NEIGHBOURS)):
        if plan.height <= bound:
            break
        order, fusion, blocks = plan.order, plan.fusion, plan.blocks
        changed = 0  # The first place of another order; other blocks are placed anew from the first on.
        near = _near_the_top(arena, plan, numbers)
        outputs = [index for block in near for index in blocks.members[block] if index in arena.choices]
        if outputs and numbers.random() < _REFUSIONS:
            fusion = _refuse(arena, fusion, numbers.choice(outputs), numbers)
            blocks = Blocks(arena, fusion, blocks)
            anew = blocks.others
        else:
            pair = numbers.choice(near), numbers.choice(near)
            order, changed = _exchange(order, blocks, *pair)
            anew = set(pair).union(*(blocks.depending(block, plan.offsets[block], plan.offsets) for block in pair))
        offsets = blocks.place_below(order, plan.height, plan.offsets, anew, changed)
        if offsets is not None:
            plan = OrderedPlan(arena.height(blocks.of_buffers(offsets)), order, fusion, blocks, offsets)
    return plan


def _near_the_top(arena: Arena, plan: OrderedPlan, numbers: random.Random) -> list[int]:
    """A block that ends at the top, its neighbours in time, and the neighbours of one of them."""
    blocks, offsets = plan.blocks, plan.offsets
    placed = dict.fromkeys(blocks.block_of[index] for index in plan.order)
    top = numbers.choice([block for block in placed if offsets[block] + blocks.sizes[block] == plan.height])
    near = [top, *blocks.beside(arena, top)]
    return list(dict.fromkeys([*near, *blocks.beside(arena, numbers.choice(near))]))


def _exchange(order: Sequence[int], blocks: Blocks, first: int, second: int) -> tuple[list[int], int]:
    """Exchange the places of two blocks: a block is placed where the first of its members stands.

    Returns:
        The order, and the first place that is another.
    """
    exchanged = list(order)
    placed = [blocks.block_of[index] for index in order]
    i, j = placed.index(first), placed.index(second)
    exchanged[i], exchanged[j] = exchanged[j], exchanged[i]
    return exchanged, min(i, j)


def _refuse(arena: Arena, fusion: Fusion, output: int, numbers: random.Random) -> Fusion:
    """Write an output in the place of another input, or of none."""
    now = fusion.get(output)
    chosen = numbers.choice([source for source in (*arena.choices[output], None) if source != now])
    others = {key: source for key, source in fusion.items() if key != output}
    return others if chosen is None else {**others, output: chosen}
