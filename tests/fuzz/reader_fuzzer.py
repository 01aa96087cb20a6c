"""Fuzzes what takes strangers' .tflite files: mutated models, kept where they reach a line of the reader that is new.

    python tests/fuzz/reader_fuzzer.py --seconds 600 --corpus tests/fuzz/corpus/reader

Models are read in every way, judged as `tinyedge check` judges them and compiled for every instruction set, with all
passes. libFuzzer's binding for Python needs a compiler of its own, so this is a fuzzer of some hundred lines in its
place. It stops at the first finding, writes it to finding.tflite and prints how it came about. A finding is an error
that is no `TinyEdgeError`, a model that takes more than `MOST_LINES` of the reader or `MOST_CPU_S` of all that follows,
or one that takes more memory than `MOST_BYTES` above what the process had before.
"""

import argparse
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from tinyedge.checks.aot import judge_aot
from tinyedge.compiler.kernels import INSTRUCTION_SETS
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import compile_graph
from tinyedge.errors import TinyEdgeError
from tinyedge.tflite import full_int8, inspection, parser, reader
from tinyedge.tflite.inspection import inspect_tflite
from tinyedge.tflite.reader import read_any_tflite, read_tflite

MOST_LINES = 400_000  # The longest seed takes 20,000.
MOST_BYTES = 600_000_000
MOST_CPU_S = 20.0
_LONGEST_INPUT = 8_192
_WORDS = (0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 4)
_SOURCES = {module.__file__: number for number, module in enumerate((reader, parser, full_int8, inspection))}
Place = tuple[int, int]
"""The number of a source and a line of it."""


class FindingError(Exception):
    """A model that the reader must not treat so."""


def read_all(path: Path) -> None:
    """Every way in which a model is read.

    Raises:
        FindingError: One of them raises what no caller expects.
    """
    for read in (read_tflite, read_any_tflite, inspect_tflite):
        _run(partial(read, path), read.__name__)


def _run(call: Callable[[], object], name: str) -> None:
    """Call what may refuse a model in a sentence.

    Raises:
        FindingError: It raises anything else.
    """
    try:
        call()
    except KeyboardInterrupt:
        raise
    except TinyEdgeError:
        pass
    except BaseException as error:
        raise FindingError(f"{name} raises\n{traceback.format_exc()}") from error


def judge_all(path: Path) -> None:
    """What `check` says of a model, and what the compiler makes of it.

    Raises:
        FindingError: One of them raises what no caller expects, or does not end.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise _EndlessError("it does not end")

    def compile_for(instruction_set: str) -> None:
        compile_graph(read_tflite(path), CompileOptions(instruction_set))

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_CPU_S)
    try:
        _run(lambda: judge_aot(inspect_tflite(path)), "the check")
        for instruction_set in INSTRUCTION_SETS:
            _run(partial(compile_for, instruction_set), f"the compiler for {instruction_set}")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class _EndlessError(BaseException):
    """Passes on what catches every exception."""


def lines_of(call: Callable[[], None]) -> frozenset[tuple[Place, Place]]:
    """The steps from line to line within the reader that a call makes.

    Raises:
        FindingError: It makes more than `MOST_LINES` steps.
    """
    steps: set[tuple[Place, Place]] = set()
    last: Place = (0, 0)
    count = 0

    def trace_line(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal last, count
        if event == "line":
            count += 1
            if count > MOST_LINES:
                raise RuntimeError("enough")  # Ends a loop; the reader may take it for a defect of the model.
            here = _SOURCES[frame.f_code.co_filename], frame.f_lineno
            steps.add((last, here))
            last = here
        return trace_line

    def trace_call(frame: FrameType, event: str, argument: Any) -> Any:
        return trace_line if frame.f_code.co_filename in _SOURCES else None

    sys.settrace(trace_call)
    try:
        call()
    finally:
        sys.settrace(None)
        if count > MOST_LINES:
            raise FindingError(f"the reader takes more than {MOST_LINES:,} lines")
    return frozenset(steps)


def mutate(rng: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """One to six changes of a model; its identifier stays in most."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        _CHANGES[rng.randrange(len(_CHANGES))](rng, data, others)
    if rng.random() < 0.95:
        data[4:8] = b"TFL3"
    return bytes(data[:_LONGEST_INPUT])


def _set_byte(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 4, 127, 128, 255, rng.randrange(256)))


def _set_word(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    """A flatbuffer is little-endian words on their own boundaries: offsets, lengths, numbers."""
    size = rng.choice((2, 4, 4, 4, 8))
    if len(data) >= size:
        at = rng.randrange(len(data) // size) * size
        value = rng.choice(_WORDS) if rng.random() < 0.6 else rng.randrange(len(data) + 8)
        data[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")


def _add_to_word(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    if len(data) >= 4:
        at = rng.randrange(len(data) // 4) * 4
        value = int.from_bytes(data[at : at + 4], "little") + rng.randint(-16, 16)
        data[at : at + 4] = (value % 2**32).to_bytes(4, "little")


def _cut(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    if data:
        start = rng.randrange(len(data))
        del data[start : start + rng.choice((1, 4, 8, len(data)))]


def _insert(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice((b"\0", b"\xff", b"\0\0\0\0", rng.randbytes(4)))


def _copy_within(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    if len(data) >= 8:
        size = rng.choice((4, 4, 8, 16, 64))
        source, target = rng.randrange(len(data) - 4), rng.randrange(len(data) - 4)
        part = data[source : source + size]
        data[target : target + len(part)] = part


def _splice(rng: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    other = rng.choice(others)
    at = rng.randrange(min(len(data), len(other)) + 1)
    data[at:] = other[at:]


_CHANGES = (_set_byte, _set_byte, _set_word, _set_word, _set_word, _add_to_word, _add_to_word, _cut, _insert)
_CHANGES = (*_CHANGES, _copy_within, _copy_within, _splice)


def fuzz(corpus: Sequence[bytes], seconds: float, seed: int, keep: Callable[[bytes], None]) -> int:
    """Mutate models for a time.

    Args:
        corpus: What to start from.
        seconds: How long, by the wall's clock.
        seed: Of the mutations.
        keep: Called with each model that reaches something new.

    Returns:
        How many models were read.

    Raises:
        FindingError: There is one; its `args` are the sentence and the model.
    """
    rng = random.Random(seed)
    pool = list(corpus)
    seen: set[tuple[Place, Place]] = set()
    count = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.tflite"

        def run(content: bytes) -> bool:
            path.write_bytes(content)
            try:
                steps = lines_of(lambda: read_all(path))
                judge_all(path)
            except FindingError as error:
                raise FindingError(str(error), content) from error
            if (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 > MOST_BYTES:
                raise FindingError("the reader takes too much memory", content)
            new = not steps <= seen
            seen.update(steps)
            return new

        for content in corpus:
            run(content)
            count += 1
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            content = mutate(rng, rng.choice(pool), corpus)
            if run(content):
                pool.append(content)
                keep(content)
            count += 1
    return count


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="models to start from")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for models that reach something new")
    options = parser.parse_args()
    corpus = [path.read_bytes() for path in sorted(options.corpus.iterdir())]
    kept: list[bytes] = []
    try:
        count = fuzz(corpus, options.seconds, options.seed, kept.append)
    except FindingError as finding:
        Path("finding.tflite").write_bytes(finding.args[1])
        print(f"finding.tflite: {finding.args[0]}")
        return 1
    finally:
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
            for index, content in enumerate(kept):
                (options.keep / f"reached_{options.seed}_{index:04d}.tflite").write_bytes(content)
    print(f"{count} models, {len(kept)} of them reach something new, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
