"""The arena planner against brute force."""

import itertools
import random

import pytest

from tinyedge.compiler.memory import order_search, planner
from tinyedge.compiler.memory.arena import (
    BUFFER_ALIGNMENT,
    NOWHERE,
    Arena,
    Blocks,
    Buffer,
    InPlaceAlias,
    lower_bound,
)
from tinyedge.compiler.memory.chain import place_runs
from tinyedge.compiler.memory.planner import Placement, place
from tinyedge.compiler.memory.simplify import buffers_with_room, groups, put_back


def random_buffers(rng: random.Random, count: int, steps: int) -> list[Buffer]:
    buffers = []
    for _ in range(count):
        first = rng.randrange(-1, steps)
        buffers.append(Buffer(rng.choice([1, 15, 16, 17, 64, 100, 1000, 4096]), first, first + rng.randrange(0, 4)))
    return buffers


def meet(one: Buffer, other: Buffer) -> bool:
    """Whether both are needed at some step."""
    return one.first <= other.last and other.first <= one.last


def assert_valid(buffers: list[Buffer], placement: Placement) -> None:
    """Replay every step byte by byte: no two buffers that are alive may hold the same byte."""
    for step in range(-1, max(buffer.last for buffer in buffers) + 1):
        owner: dict[int, int] = {}
        for index, buffer in enumerate(buffers):
            if buffer.first <= step <= buffer.last:
                for byte in range(placement.offsets[index], placement.offsets[index] + buffer.bytes):
                    assert owner.setdefault(byte, index) == index
                    assert 0 <= byte < placement.arena_bytes
    assert all(offset % BUFFER_ALIGNMENT == 0 for offset in placement.offsets)
    assert placement.arena_bytes >= placement.lower_bound_bytes


def optimum(buffers: list[Buffer]) -> int:
    """The smallest arena: some order of placing each buffer at the lowest free offset reaches it."""
    sizes = [-(-buffer.bytes // BUFFER_ALIGNMENT) * BUFFER_ALIGNMENT for buffer in buffers]
    best = sum(sizes)
    for order in itertools.permutations(range(len(buffers))):
        offsets: dict[int, int] = {}
        for i in order:
            taken = [(offsets[j], offsets[j] + sizes[j]) for j in offsets if meet(buffers[j], buffers[i])]
            candidates = sorted([0, *(end for _, end in taken)])
            offsets[i] = next(
                at for at in candidates if all(at + sizes[i] <= start or at >= end for start, end in taken)
            )
        best = min(best, max(offsets[i] + sizes[i] for i in offsets))
    return best


@pytest.mark.parametrize("seed", range(40))
def test_small_plans_are_optimal(seed: int) -> None:
    rng = random.Random(seed)
    buffers = random_buffers(rng, rng.randrange(1, 7), rng.randrange(1, 6))
    placement = place(buffers)
    assert_valid(buffers, placement)
    assert placement.arena_bytes == optimum(buffers)


@pytest.mark.parametrize("seed", range(10))
def test_large_plans_are_valid_and_near_the_bound(seed: int) -> None:
    buffers = random_buffers(random.Random(seed), 60, 30)
    placement = place(buffers)
    assert_valid(buffers, placement)
    assert placement.arena_bytes <= 1.25 * placement.lower_bound_bytes


def may_lie(buffers: list[Buffer], aliases: list[InPlaceAlias], offsets: tuple[int, ...], i: int, j: int) -> bool:
    """Whether two buffers may lie where they do."""
    apart = offsets[i] + buffers[i].bytes <= offsets[j] or offsets[j] + buffers[j].bytes <= offsets[i]
    if apart or not meet(buffers[i], buffers[j]):
        return True
    for alias in aliases:
        output, source = alias.output, alias.input
        if {output, source} == {i, j} and buffers[output].first == buffers[source].last:
            below = offsets[source] - offsets[output]
            if below == 0 if alias.write_ahead_bytes is None else below >= alias.write_ahead_bytes:
                return True
    return False


def fits(buffers: list[Buffer], height: int, aliases: list[InPlaceAlias] = (), offsets: tuple[int, ...] = ()) -> bool:
    """Whether any offsets in whole units of the alignment keep the buffers below `height` bytes."""
    if len(offsets) == len(buffers):
        return True
    last = len(offsets)
    for offset in range(0, height - buffers[last].bytes + 1, BUFFER_ALIGNMENT):
        tried = (*offsets, offset)
        apart = all(may_lie(buffers, aliases, tried, last, i) for i in range(last))
        if apart and fits(buffers, height, aliases, tried):
            return True
    return False


def network_of_buffers(rng: random.Random, steps: int, units: int) -> tuple[list[Buffer], list[InPlaceAlias]]:
    """A tensor a step, read by the next and perhaps later ones, and the overlaps that its kernel allows."""
    buffers = [Buffer(rng.randrange(1, units) * BUFFER_ALIGNMENT, -1, rng.choice([0, 0, 1]))]
    aliases = []
    for step in range(steps):
        last = step + rng.choice([1, 1, 1, 2, 3])
        read = [i for i, buffer in enumerate(buffers) if buffer.first < step <= buffer.last]
        copied = rng.choice(read) if read else None
        size = rng.randrange(1, units) * BUFFER_ALIGNMENT
        if copied is not None and rng.random() < 0.4:
            size = rng.choice([size, buffers[copied].bytes])
            aliases.append(InPlaceAlias(len(buffers), copied, None))
        elif copied is not None:
            aliases.append(InPlaceAlias(len(buffers), copied, rng.randrange(0, size + 1)))
        if read and rng.random() < 0.3:
            aliases.append(InPlaceAlias(len(buffers), rng.choice(read), rng.choice([None, 0, 16, 20])))
        buffers.append(Buffer(size, step, last))
    unique = {(alias.output, alias.input): alias for alias in aliases}
    return buffers, list(unique.values())


def chain_of_buffers(rng: random.Random, steps: int, units: int) -> tuple[list[Buffer], list[InPlaceAlias]]:
    """Tensors that the next step alone reads, but for some that live longer with no other, and the scratch of steps."""
    tensors, scratch, aliases = [], [], []
    first = -1
    for index in range(steps):
        last = first + rng.choice([1, 1, 1, 2])
        size = rng.randrange(1, units) * BUFFER_ALIGNMENT
        if index and rng.random() < 0.3:
            aliases.append(InPlaceAlias(index, index - 1, None))
        elif index and rng.random() < 0.8:
            aliases.append(InPlaceAlias(index, index - 1, rng.randrange(0, size + 1)))
        tensors.append(Buffer(size, first, last))
        scratch += [
            Buffer(rng.randrange(1, units) * BUFFER_ALIGNMENT, step, step)
            for step in range(first, last)
            if rng.random() < 0.4
        ]
        first = last
    return tensors + scratch, aliases


def in_units(*shape: tuple[int, int, int]) -> list[Buffer]:
    return [Buffer(units * BUFFER_ALIGNMENT, first, last) for units, first, last in shape]


def test_an_optimum_above_the_lower_bound_is_found_and_reported() -> None:
    # No arrangement of these reaches their largest live set of 8 units.
    buffers = in_units(
        (2, 7, 12), (1, 2, 5), (3, 0, 3), (1, 4, 6), (2, 4, 4), (2, 0, 0), (3, 5, 9), (3, 6, 7), (3, 0, 3), (1, 3, 6)
    )
    placement = place(buffers)
    assert_valid(buffers, placement)
    assert lower_bound(buffers) == 8 * BUFFER_ALIGNMENT
    assert not fits(buffers, 8 * BUFFER_ALIGNMENT)
    assert placement.arena_bytes == placement.lower_bound_bytes == 9 * BUFFER_ALIGNMENT


def test_the_search_finds_what_no_greedy_order_does(monkeypatch: pytest.MonkeyPatch) -> None:
    buffers = in_units((8, 0, 0), (3, 0, 2), (3, 1, 5), (4, 5, 6), (1, 6, 8), (2, 1, 2), (4, 0, 3), (6, 3, 6))
    placement = place(buffers)
    assert_valid(buffers, placement)
    assert placement.arena_bytes == 15 * BUFFER_ALIGNMENT == placement.lower_bound_bytes
    monkeypatch.setattr(planner, "_ROUNDS", ((0, 0),))
    assert place(buffers).arena_bytes > placement.arena_bytes


def test_a_window_keeps_an_output_below_the_input_it_lies_over() -> None:
    # Seen from step 1 on, buffer 1 and the one that lies over it begin together.
    buffers = in_units((2, -1, 1), (2, 0, 1), (5, 1, 2), (4, 2, 4))
    aliases = [InPlaceAlias(2, 1, 0), InPlaceAlias(3, 2, 48)]
    assert fits(buffers, 8 * BUFFER_ALIGNMENT, aliases)
    assert place(buffers, aliases).arena_bytes == 8 * BUFFER_ALIGNMENT


def test_the_lower_bound_is_the_largest_live_set() -> None:
    buffers = [Buffer(16, -1, 0), Buffer(32, 0, 1), Buffer(16, 1, 2), Buffer(100, 2, 2)]
    assert lower_bound(buffers) == max(16 + 32, 32 + 16, 16 + 112)
    assert place(buffers).arena_bytes == 128


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    sizes = [3072, 16384, 16384, 8192, 4096, 64, 10]
    buffers = [Buffer(size, step - 1, step) for step, size in enumerate(sizes)]
    assert place(buffers).arena_bytes == 32768


def test_plans_are_repeatable() -> None:
    buffers = random_buffers(random.Random(7), 40, 20)
    assert place(buffers) == place(list(buffers))


def test_no_buffers_need_no_arena() -> None:
    assert place([]) == Placement((), 0, 0)


def test_residual_blocks_of_changing_width_reach_the_lower_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each block: expand, depthwise, project, add; the input of the block lives until the add.
    buffers = [Buffer(3072, -1, 0), Buffer(8192, 0, 4)]
    step = 1
    for narrow, wide, blocks in ((8192, 16384, 3), (4096, 8192, 3), (1536, 3072, 4)):
        for _ in range(blocks):
            buffers += [
                Buffer(wide, step, step + 1),
                Buffer(wide, step + 1, step + 2),
                Buffer(narrow, step + 2, step + 3),
            ]
            buffers.append(Buffer(narrow, step + 3, step + 7))
            step += 4
    placement = place(buffers)
    assert_valid(buffers, placement)
    assert placement.arena_bytes == placement.lower_bound_bytes == 8192 + 2 * 16384
    monkeypatch.setattr(planner, "_ROUNDS", ((0, 0),))
    assert place(buffers).arena_bytes > placement.arena_bytes


@pytest.mark.parametrize("seed", range(150))
def test_small_plans_with_overlaps_are_optimal(seed: int) -> None:
    rng = random.Random(seed)
    buffers, aliases = network_of_buffers(rng, rng.randrange(2, 6), 6)
    placement = place(buffers, aliases)
    for i, j in itertools.combinations(range(len(buffers)), 2):
        assert may_lie(buffers, aliases, placement.offsets, i, j)
    assert fits(buffers, placement.arena_bytes, aliases)
    assert not fits(buffers, placement.arena_bytes - BUFFER_ALIGNMENT, aliases)
    assert lower_bound(buffers, aliases) <= placement.lower_bound_bytes == placement.arena_bytes


@pytest.mark.parametrize("seed", range(100))
def test_a_chain_has_the_lowest_plan_without_a_search(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    buffers, aliases = chain_of_buffers(rng, rng.randrange(2, 5), 6)
    monkeypatch.setattr(planner, "greedy_plans", lambda *_: pytest.fail("a chain was searched"))
    placement = place(buffers, aliases)
    for i, j in itertools.combinations(range(len(buffers)), 2):
        assert may_lie(buffers, aliases, placement.offsets, i, j)
    assert max(at + b.bytes for at, b in zip(placement.offsets, buffers, strict=True)) == placement.arena_bytes
    assert placement.lower_bound_bytes == placement.arena_bytes
    assert not fits(buffers, placement.arena_bytes - BUFFER_ALIGNMENT, aliases)


def test_a_tensor_larger_than_its_input_ends_below_the_limit_too() -> None:
    # The fourth tensor may begin a little below a third of half its size that lies at the top of the arena.
    buffers = in_units(*zip((19, 20, 9, 21, 22, 27), (-1, 0, 1, 3, 5, 6), (0, 1, 3, 5, 6, 7), strict=True))
    buffers += in_units((27, 0, 0), (25, 5, 5))
    aliases = [InPlaceAlias(at + 1, at, lead) for at, lead in enumerate((310, 120, 77, 302, 368))]
    assert fits(buffers, 66 * BUFFER_ALIGNMENT, aliases)
    assert place(buffers, aliases).arena_bytes == 66 * BUFFER_ALIGNMENT


def test_a_chain_that_climbs_back_up_is_planned_as_a_whole() -> None:
    # Nine tensors slide down by their leads until one has to lie above all before; the layers of a keyword network,
    # whose arena a search through orders left at 13,328 bytes.
    leads = (7560, 960, 256, 960, 256, 960, 256, 960, 256)
    buffers = [Buffer(496, -1, 0), *(Buffer(8000, step, step + 1) for step in range(9)), Buffer(64, 9, 10)]
    buffers += [Buffer(96, 0, 0), *(Buffer(720, step, step) for step in (1, 3, 5, 7))]
    aliases = [InPlaceAlias(at + 1, at, lead) for at, lead in enumerate((*leads, 64))]
    placement = place(buffers, aliases)
    for i, j in itertools.combinations(range(len(buffers)), 2):
        assert may_lie(buffers, aliases, placement.offsets, i, j)
    assert placement.arena_bytes == placement.lower_bound_bytes == 12_864


@pytest.mark.parametrize("seed", range(100))
def test_what_has_room_has_it_wherever_the_others_lie(seed: int) -> None:
    rng = random.Random(seed)
    buffers, aliases = network_of_buffers(rng, 12, 30)
    arena = Arena(buffers, aliases)
    limit = 2 * arena.bound  # So that the others have many places.
    with_room = buffers_with_room(arena, limit)
    others = set(range(len(buffers))).difference(with_room)
    offsets = [NOWHERE] * len(buffers)
    for i in others:
        free = [
            offset
            for offset in range(0, limit - arena.sizes[i] + 1, BUFFER_ALIGNMENT)
            if all(
                may_lie(buffers, aliases, (*offsets[:i], offset, *offsets[i + 1 :]), i, j)
                for j in others
                if offsets[j] != NOWHERE
            )
        ]
        if not free:
            pytest.skip("drawn so that the others do not fit")
        offsets[i] = rng.choice(free)
    put_back(arena, with_room, offsets)
    assert with_room
    for i, j in itertools.combinations(range(len(buffers)), 2):
        assert may_lie(buffers, aliases, tuple(offsets), i, j)
    assert arena.height(offsets) <= limit


def test_what_has_room_depends_on_the_gaps_between_the_others() -> None:
    # Two of four units each leave five units in three gaps: one of two units for certain, but none of three.
    for units, with_room in ((2, [2, 1, 0]), (3, [])):
        arena = Arena(in_units((4, 0, 1), (4, 0, 1), (units, 1, 2)), ())
        assert buffers_with_room(arena, 13 * BUFFER_ALIGNMENT) == with_room


@pytest.mark.parametrize("seed", range(20))
def test_groups_do_not_meet_and_cannot_be_split(seed: int) -> None:
    rng = random.Random(seed)
    buffers = random_buffers(rng, 20, 30)
    found = groups(Arena(buffers, ()), some := rng.sample(range(20), 15))
    assert sorted(index for group in found for index in group) == sorted(some)
    for group, other in itertools.combinations(found, 2):
        assert not any(meet(buffers[i], buffers[j]) for i in group for j in other)
    for group in found:
        reached = {group[0]}
        for _ in group:
            reached |= {i for i in group if any(meet(buffers[i], buffers[j]) for j in reached)}
        assert reached == set(group)


@pytest.mark.parametrize("seed", range(20))
def test_buffers_that_last_leave_a_chain_its_lowest_plan(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    buffers, aliases = chain_of_buffers(rng, 40, 60)
    steps = [step for buffer in buffers for step in (buffer.first, buffer.last)]
    lasting = [Buffer(rng.choice([64, 128, 500]), min(steps), max(steps)) for _ in range(rng.randrange(1, 5))]
    alone = place(buffers, aliases)
    monkeypatch.setattr(planner, "greedy_plans", lambda *_: pytest.fail("a chain was searched"))
    placement = place(buffers + lasting, aliases)
    for i, j in itertools.combinations(range(len(buffers + lasting)), 2):
        assert may_lie(buffers + lasting, aliases, placement.offsets, i, j)
    assert placement.lower_bound_bytes == placement.arena_bytes
    assert placement.arena_bytes == alone.arena_bytes + Arena(lasting, ()).bound


@pytest.mark.parametrize("seed", range(20))
def test_runs_without_a_branch_raise_the_bound_and_begin_the_plan(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # A run, and small residual blocks.
    buffers, aliases = chain_of_buffers(random.Random(seed), 8, 200)
    alone = place(buffers, aliases)
    run, first = len(buffers), max(buffer.last for buffer in buffers)
    for step in (first, first + 3):
        buffers += [Buffer(64, step, step + 3), Buffer(96, step + 1, step + 2), Buffer(96, step + 2, step + 3)]
    known, height = place_runs(Arena(buffers, aliases))
    assert set(range(run)) <= known.keys()
    for i, j in itertools.combinations(range(run), 2):
        assert may_lie(buffers, aliases, tuple(known.get(k, 0) for k in range(len(buffers))), i, j)
    monkeypatch.setattr(planner, "_ROUNDS", ((0, 0),))
    placement = place(buffers, aliases)
    for i, j in itertools.combinations(range(len(buffers)), 2):
        assert may_lie(buffers, aliases, placement.offsets, i, j)
    assert alone.arena_bytes <= height == placement.arena_bytes == placement.lower_bound_bytes


@pytest.mark.parametrize("seed", range(20))
def test_large_plans_with_overlaps_keep_the_rules(seed: int) -> None:
    buffers, aliases = network_of_buffers(random.Random(seed), 60, 300)
    placement = place(buffers, aliases)
    for i, j in itertools.combinations(range(len(buffers)), 2):
        assert may_lie(buffers, aliases, placement.offsets, i, j)
    assert placement.lower_bound_bytes <= placement.arena_bytes <= 1.05 * placement.lower_bound_bytes
    assert placement == place(list(buffers), list(aliases))


def test_an_output_slides_below_its_input_by_its_lead() -> None:
    buffers = [Buffer(1000, -1, 0), Buffer(1000, 0, 1), Buffer(1000, 1, 2)]
    aliases = [InPlaceAlias(1, 0, 100), InPlaceAlias(2, 1, 60)]
    placement = place(buffers, aliases)
    # 100 and 60 bytes become 112 and 64 in steps of the alignment; the chain needs them one below the other.
    assert placement.offsets == (176, 64, 0)
    assert lower_bound(buffers, aliases) == 1008 + 112
    assert placement.arena_bytes == placement.lower_bound_bytes == 1008 + 112 + 64


def test_an_input_that_is_needed_later_is_not_overwritten() -> None:
    buffers = [Buffer(64, -1, 1), Buffer(64, 0, 1), Buffer(64, 1, 2)]
    aliases = [InPlaceAlias(1, 0, None), InPlaceAlias(2, 0, None)]
    placement = place(buffers, aliases)
    assert placement.arena_bytes == 128
    assert placement.offsets[2] == placement.offsets[0] != placement.offsets[1]


def test_a_chain_in_place_needs_its_largest_tensor() -> None:
    buffers = [Buffer(64, -1, 0), Buffer(64, 0, 1), Buffer(48, 1, 2), Buffer(64, 2, 3)]
    assert place(buffers, [InPlaceAlias(i + 1, i, None) for i in range(3)]).arena_bytes == 64
    # Without the second one, two have to lie apart.
    assert place(buffers, [InPlaceAlias(1, 0, None), InPlaceAlias(3, 2, None)]).arena_bytes == 64 + 48


@pytest.mark.parametrize("seed", range(20))
def test_what_an_exchange_leaves_in_place_is_where_it_would_be_placed(seed: int) -> None:
    rng = random.Random(seed)
    buffers, aliases = network_of_buffers(rng, 40, 9)
    arena = Arena(buffers, aliases)
    fusion = {output: rng.choice(inputs) for output, inputs in arena.choices.items() if rng.random() < 0.5}
    order = rng.sample(range(len(buffers)), len(buffers))
    plan = order_search.OrderedPlan(0, order, fusion, blocks := Blocks(arena, fusion), blocks.place(order))
    for _ in range(40):
        if arena.choices and rng.random() < 0.5:
            fusion, first = order_search._refuse(arena, plan.fusion, rng.choice(list(arena.choices)), rng), 0
            order, blocks = plan.order, Blocks(arena, fusion, plan.blocks)
            anew = blocks.others
        else:
            fusion, blocks = plan.fusion, plan.blocks
            pair = rng.choices(list(blocks.members), k=2)
            order, first = order_search._exchange(plan.order, blocks, *pair)
            anew = set(pair).union(*(blocks.depending(block, plan.offsets[block], plan.offsets) for block in pair))
        whole = Blocks(arena, fusion)
        assert blocks.members == whole.members
        assert {block: sorted(beside) for block, beside in blocks.neighbours.items()} == {
            block: sorted(beside) for block, beside in whole.neighbours.items()
        }
        offsets = blocks.place_below(order, 10**9, plan.offsets, anew, first)
        assert offsets == whole.place(order)
        plan = order_search.OrderedPlan(0, order, fusion, blocks, offsets)


def test_a_climb_tries_fewer_placements_where_each_looks_at_more_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    place_below = Blocks.place_below
    monkeypatch.setattr(Blocks, "place_below", lambda *given: tried.append(1) or place_below(*given))
    rng = random.Random(0)
    for alive, expected in ((4, 600), (48, 600 // 4)):  # 48 alive have 47 neighbours each
        tried.clear()
        groups = 192 // alive
        arena = Arena([Buffer(rng.randrange(16, 999), at, at) for at in range(groups) for _ in range(alive)], ())
        order_search.climb(arena, order_search.greedy_plans(arena, {})[0], 0, random.Random(0), 600 * 192)
        assert len(tried) == pytest.approx(expected, rel=0.05)


def test_a_spent_exact_search_looks_at_no_window() -> None:
    buffers, aliases = network_of_buffers(random.Random(0), 40, 9)
    unread: list[int] = []  # To find what each window sees would take a deep graph longer than all else.
    assert planner._Windows(Arena(buffers, aliases), 0).search(unread) is unread
