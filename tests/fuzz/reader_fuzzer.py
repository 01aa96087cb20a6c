"""Fuzzes what takes strangers' .tflite files: mutated models, kept where they end as no other did.

    PYTHONPATH=tests:. python -m fuzz.reader_fuzzer --models 1000000 --checked-each 10 --tally read.jsonl

Each mutant is read, what is not damaged is judged as `tinyedge check` judges it, other people's interpreters apart, and
what the reader takes is compiled with options that are drawn, for any instruction set and with all passes. See
`fuzz.seeds` for the tally.

libFuzzer's binding for Python needs a compiler of its own, so this is a fuzzer of some hundred lines in its place. Its
feedback is what a model ends in: the words of its sentences, or the kernels that it calls. Lines of the reader, which
take several times as long to trace as to run, are counted for one model in `TRACED_EACH`.

It stops at the first finding. A finding is an error that is
no `TinyEdgeError`, a model that takes more than `MOST_LINES` of the reader or `MOST_CPU_S` in all, or one that takes
more memory than `MOST_BYTES` above what the process had before.
"""

import argparse
import json
import random
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PosixPath
from types import FrameType
from typing import Any, TypeVar

from fuzz.c_fuzzer import draw_options
from fuzz.mutation import mutate
from fuzz.quick_tables import quick_tables
from fuzz.seeds import FindingError, read_corpus, run_seeds, short_one

from tinyedge.boards.board import Board, load_board
from tinyedge.checks import check as check_module
from tinyedge.checks.interpreters import judge_by_list
from tinyedge.checks.verdict import RuntimeVerdict
from tinyedge.compiler.program import compile_graph
from tinyedge.errors import TinyEdgeError
from tinyedge.tflite import full_int8, inspection, parser, reader
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.inspection import Inspection, inspect_tflite
from tinyedge.tflite.reader import parse_tflite, read_content

MODELS_A_SEED = 5_000
TRACED_EACH = 64
MOST_LINES = 400_000  # The longest seed takes 20,000.
MOST_BYTES = 600_000_000
MOST_CPU_S = 20.0
_BOARDS = ("mps2_an385", "mps2_an386", "mps3_an547")  # One an instruction set.
_SOURCES = {module.__file__: number for number, module in enumerate((reader, parser, full_int8, inspection))}
Place = tuple[int, int]
"""The number of a source and a line of it."""
_Result = TypeVar("_Result")


@dataclass
class Counts:
    """How many mutants came how far.

    Attributes:
        read: Distinct ones.
        whole: Of them, those in which the reader finds no damage.
        checked: Of them, those that the rest of `tinyedge check` judged, too.
        compiled: Of them, to programs.
    """

    read: int = 0
    whole: int = 0
    checked: int = 0
    compiled: int = 0


class HeldPath(PosixPath):
    """A path whose file need not be written to be read.

    Attributes:
        content: Of the file.
    """

    content = b""

    def read_bytes(self) -> bytes:
        """The content."""
        return self.content


def inspect(path: Path, said: list[str]) -> Inspection | None:
    """All that is wrong with a model, as the check reads it; None if it is damaged.

    Args:
        path: Its file.
        said: Receives the sentences.

    Raises:
        FindingError: It raises what no caller expects.
    """
    inspected = _run(lambda: inspect_tflite(path), "the inspection", said)
    if inspected is not None:
        said += [diagnostic.sentence for diagnostic in inspected.diagnostics]
    return inspected


def read(path: Path, said: list[str]) -> Graph | None:
    """The graph of a model that `read_tflite` takes, asked by both ways of the reader.

    Raises:
        FindingError: One of them raises what no caller expects.
    """
    parsed = _run(lambda: parse_tflite(path, read_content(path)), "the reader", said)
    if parsed is None:
        return None
    _run(parsed.any_graph, "the reader of any types", said)
    return _run(parsed.full_int8_graph, "the reader of INT8", said)


def check(path: Path, inspected: Inspection, board: Board, said: list[str]) -> None:
    """What `tinyedge check` says, with its list of operators for TFLite Micro, and nobody for LiteRT.

    Raises:
        FindingError: It raises what no caller expects.
    """

    def examine() -> None:
        examination = check_module.examine_model(path, [board])
        report = examination.report
        json.dumps(report.to_json())
        said.extend(diagnostic.sentence for verdict in report.verdicts for diagnostic in verdict.diagnostics)
        said.extend(call.function for program in examination.programs.values() for call in program.calls)

    asked = check_module.inspect_tflite, check_module.judge_interpreters
    check_module.inspect_tflite = lambda _: inspected  # It has been read.
    check_module.judge_interpreters = _judge_by_list
    try:
        _run(examine, "the check", said)
    finally:
        check_module.inspect_tflite, check_module.judge_interpreters = asked


def _judge_by_list(inspected: Inspection) -> tuple[RuntimeVerdict, RuntimeVerdict]:
    return judge_by_list(inspected.graphs[0]), RuntimeVerdict("litert", None, "not asked")


def _run(call: Callable[[], _Result], name: str, said: list[str]) -> _Result | None:
    """What a call gives, or None and its sentence where it refuses the model.

    Raises:
        FindingError: It raises anything else.
    """
    try:
        return call()
    except KeyboardInterrupt:
        raise
    except TinyEdgeError as error:
        said.append(str(error))
        return None
    except BaseException as error:
        raise FindingError(f"{name} raises\n{traceback.format_exc()}") from error


class _EndlessError(BaseException):
    """Passes on what catches every exception."""


def lines_of(call: Callable[[], object]) -> frozenset[tuple[Place, Place]]:
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


_NAMES = re.compile(r"'.*'|[^A-Za-z_ ]+")


def outcome(said: Sequence[str], path: Path) -> int:
    """What a model ended in, without its names and numbers."""
    return hash(tuple(_NAMES.sub("", sentence.replace(str(path), "")) for sentence in said))


def fuzz(
    corpus: Sequence[bytes],
    seed: int,
    folder: Path,
    *,
    models: int = sys.maxsize,
    seconds: float = float("inf"),
    keep: Callable[[bytes], None] = lambda content: None,
    checked_each: int = 1,
) -> Counts:
    """Mutate models for a time.

    Args:
        corpus: What to start from.
        seed: Of the mutations.
        folder: Receives what is read from a file.
        models: How many to read at most, those of the corpus among them.
        seconds: How long at most, by the wall's clock.
        keep: Called with each model that reaches something new.
        checked_each: Of how many models without damage one is checked and compiled.

    Raises:
        FindingError: There is one; its `args` are the sentence and the model.
    """
    rng = random.Random(seed)
    pool: list[bytes] = []
    steps_seen: set[tuple[Place, Place]] = set()
    ends_seen: set[int] = set()
    contents_seen: set[bytes] = set()
    counts = Counts()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    boards = [load_board(name) for name in _BOARDS]
    path = HeldPath(folder / "m.tflite")

    def run(content: bytes) -> bool:
        """Whether a model ends as none before it."""
        path.content = content
        counts.read += 1
        said: list[str] = []
        graph, program, deeper = None, None, False
        inspected = inspect(path, said)
        if inspected is not None:  # The reader goes the same way to the first sentence, so damage stops it, too.
            counts.whole += 1
            graph = read(path, said)
            if (graph is None) != bool(inspected.diagnostics):
                raise FindingError(f"the check and the reader do not agree on it: {said}")
            deeper = counts.whole % checked_each == 0
            if deeper:
                counts.checked += 1
                path.write_bytes(content)
                check(path, inspected, rng.choice(boards), said)
        if graph is not None and deeper:
            options = draw_options(rng)
            program = _run(lambda: compile_graph(graph, options), f"the compiler with {options}", said)
        if program is not None:
            counts.compiled += 1
            said += [call.function for call in program.calls]
        end = outcome(said, path)
        new = end not in ends_seen
        ends_seen.add(end)
        if counts.read % TRACED_EACH == 0:
            steps = lines_of(lambda: (inspect(path, []), read(path, [])))
            new = new or not steps <= steps_seen
            steps_seen.update(steps)
            if (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 > MOST_BYTES:
                raise FindingError(f"one of the last {TRACED_EACH} models takes too much memory")
        return new

    ticked = -1

    def tick(number: int, frame: FrameType | None) -> None:
        nonlocal ticked
        if ticked == counts.read:
            raise _EndlessError("it does not end")
        ticked = counts.read

    until = time.monotonic() + seconds
    handler = signal.signal(signal.SIGVTALRM, tick)
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_CPU_S / 2, MOST_CPU_S / 2)
    try:
        while counts.read < models and (len(pool) < len(corpus) or time.monotonic() < until):
            seeded = len(pool) < len(corpus)
            content = corpus[len(pool)] if seeded else mutate(rng, short_one(rng, pool), corpus)
            if content in contents_seen and not seeded:
                continue
            contents_seen.add(content)
            try:
                new = run(content)
            except FindingError as error:
                raise FindingError(str(error), content) from error
            if seeded or new:
                pool.append(content)
                if not seeded:
                    keep(content)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, handler)
    return counts


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=MODELS_A_SEED, help="how many mutants to read in all")
    parser.add_argument("--checked-each", type=int, default=1, help="how many undamaged ones to one that is compiled")
    parser.add_argument("--tally", type=Path, required=True, help="gets a line a finished seed, and is gone on from")
    parser.add_argument("--keep", type=Path, help="folder for models that reach something new")
    options = parser.parse_args()
    corpus = read_corpus()

    def keep(seed: int, kept: Sequence[bytes]) -> None:
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
            for index, content in enumerate(kept):
                (options.keep / f"reached_{seed}_{index:04d}.tflite").write_bytes(content)

    def run(seed: int, folder: Path) -> dict[str, int]:
        kept: list[bytes] = []
        counts = fuzz(corpus, seed, folder, models=MODELS_A_SEED, keep=kept.append, checked_each=options.checked_each)
        keep(seed, kept)
        return asdict(counts)

    with quick_tables():
        return run_seeds(run, options.tally, "read", options.models)


if __name__ == "__main__":
    sys.exit(main())
