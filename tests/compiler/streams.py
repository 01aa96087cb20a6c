"""Puts all layers of a program that can be streamed into streams, whatever that is worth."""

import dataclasses
import random

from tinyedge.compiler.memory_plan import lifetimes_of, plan_memory
from tinyedge.compiler.program import Program
from tinyedge.compiler.stream import Step, Stream, make_stream


def in_streams(program: Program, seed: int, longest: int = 9) -> Program:
    """The program with every stretch of up to `longest` layers that can be a stream as one, of 1 to 3 rows a strip."""
    rng = random.Random(seed)
    calls = list(program.calls)
    lifetimes = lifetimes_of(program.graph, calls)
    steps: list[Step] = []
    begin = 0
    while begin < len(calls):
        rows = rng.randint(1, 3)
        streams: list[Stream] = []
        for end in range(begin + 2, min(begin + longest, len(calls)) + 1):
            lasts = [lifetimes[call.output.storage][1] for call in calls[begin : end - 1]]
            if max(lasts) < end and all(last > begin + at for at, last in enumerate(lasts)):
                stream = make_stream(calls[begin:end], rows)
                streams += [] if stream is None else [stream]
        steps.append(streams[-1] if streams else calls[begin])
        begin += len(streams[-1].calls) if streams else 1
    return dataclasses.replace(program, steps=tuple(steps), plan=plan_memory(program.graph, steps))
