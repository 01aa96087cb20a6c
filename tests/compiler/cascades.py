"""Puts all layers of a program that can be cascaded into cascades, whatever that is worth."""

import dataclasses
import random

from tinyedge.compiler.cascade import Cascade, Step, make_cascade
from tinyedge.compiler.memory.memory_plan import lifetimes_of, plan_memory
from tinyedge.compiler.program import Program


def in_cascades(program: Program, seed: int, longest: int = 9) -> Program:
    """The program with every stretch of up to `longest` layers that can cascade as one, 1 to 3 rows a stripe."""
    rng = random.Random(seed)
    calls = list(program.calls)
    lifetimes = lifetimes_of(program.graph, calls)
    steps: list[Step] = []
    begin = 0
    while begin < len(calls):
        rows = rng.randint(1, 3)
        cascades: list[Cascade] = []
        for end in range(begin + 2, min(begin + longest, len(calls)) + 1):
            lasts = [lifetimes[call.output.storage][1] for call in calls[begin : end - 1]]
            if max(lasts) < end and all(last > begin + at for at, last in enumerate(lasts)):
                cascade = make_cascade(calls[begin:end], rows)
                cascades += [] if cascade is None else [cascade]
        steps.append(cascades[-1] if cascades else calls[begin])
        begin += len(cascades[-1].calls) if cascades else 1
    return dataclasses.replace(program, steps=tuple(steps), plan=plan_memory(program.graph, steps))
