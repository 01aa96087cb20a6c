"""Fuzzes the C of strangers' models: mutants that the compiler takes, whose C runs under both sanitisers.

    PYTHONPATH=tests:. python -m fuzz.c_fuzzer --models 10000 --tally c.jsonl

Most mutants are models with other weights, biases, scales and options, which are still taken; of programs of the same
layers and constants one runs. A finding is what the sanitisers stop, and what no compiler takes without a warning. See
`fuzz.seeds` for the tally.
"""

import argparse
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.mutation import mutate, mutate_values
from fuzz.quick_tables import quick_tables
from fuzz.sanitised_c import SanitisedError, run_sanitised
from fuzz.seeds import FindingError, read_corpus, run_seeds, short_one
from machines.case_machines import SANITISED, HostMachine, KernelBuild, build_kernels

from tinyedge.compiler.kernels import INSTRUCTION_SETS
from tinyedge.compiler.options import CASCADES, OPTIMISATIONS, CompileOptions
from tinyedge.compiler.passes import PASS_NAMES
from tinyedge.compiler.program import Program, compile_graph
from tinyedge.errors import TinyEdgeError
from tinyedge.tflite.reader import parse_tflite

PROGRAMS_A_SEED = 500
PROGRAMS_A_RUN = 100
# Of a program that runs as C, which takes seconds under the sanitisers where it takes milliseconds without.
_MOST_ARENA_BYTES = 1_000_000
_MOST_MACS = 2_000_000


@dataclass
class CFuzzer:
    """Mutates models, and runs the C of what is compiled.

    Attributes:
        corpus: Models to start from; those that are not compiled are only spliced into others.
        kernels: Compiled under the sanitisers.
        folder: Receives the programs.
        seed: Of the mutations.
        tries: How many mutants there were.
        ran: How many programs ran.
    """

    corpus: Sequence[bytes]
    kernels: KernelBuild
    folder: Path
    seed: int
    tries: int = 0
    ran: int = 0
    _seen: set[int] = field(default_factory=set)
    _functions: set[tuple[str, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._pool = [content for content in self.corpus if compiled(content, CompileOptions()) is not None]

    def run(self, programs: int) -> None:
        """Run the C of so many programs that differ.

        Raises:
            FindingError: One of them does what is undefined; its `args` are the sentence and the models.
        """
        waiting: list[tuple[bytes, Program]] = []
        while len(waiting) < programs:
            content = short_one(self._rng, self._pool)
            changed = mutate_values(self._rng, content)
            if self._rng.random() < 0.25:
                changed = mutate(self._rng, content, self.corpus)
            self.tries += 1
            program = compiled(changed, draw_options(self._rng))
            if program is None or not self._is_new(program):
                continue
            functions = tuple(call.function for call in program.calls)
            if functions not in self._functions:
                self._functions.add(functions)
                self._pool.append(changed)
            waiting.append((changed, program))
        try:
            run_sanitised([program for _, program in waiting], self.kernels, self.folder)
        except SanitisedError as error:
            among = waiting if error.index is None else [waiting[error.index]]
            options = {program.options for _, program in among}
            raise FindingError(f"seed {self.seed}: {error} {options}", *(content for content, _ in among)) from error
        self.ran += programs

    def _is_new(self, program: Program) -> bool:
        if program.plan.arena_bytes > _MOST_ARENA_BYTES or program.macs > _MOST_MACS:
            return False
        key = hash("".join(f"{call.function}{call.fields}" for call in program.calls))
        new = key not in self._seen
        self._seen.add(key)
        return new


def draw_options(rng: random.Random) -> CompileOptions:
    """Every choice of `tinyedge compile`."""
    return CompileOptions(
        rng.choice(INSTRUCTION_SETS),
        without=tuple(rng.sample(PASS_NAMES, rng.choice((0, 0, 1)))),
        cascade=rng.choice(CASCADES),
        quantised_ends=rng.random() < 0.5,
        optimize=rng.choice(OPTIMISATIONS),
    )


def compiled(content: bytes, options: CompileOptions) -> Program | None:
    """The program of a model; None where it is refused."""
    try:
        return compile_graph(parse_tflite(Path("mutant.tflite"), content).full_int8_graph(), options)
    except TinyEdgeError:
        return None


class _Folders:
    """Stands for what a session of the tests shares."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, name: str, fill: Callable[[Path], object]) -> Path:
        """A folder, filled once."""
        folder = self._root / name
        if not folder.exists():
            folder.mkdir()
            fill(folder)
        return folder


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=PROGRAMS_A_SEED, help="how many programs are to run in all")
    parser.add_argument("--tally", type=Path, required=True, help="gets a line a finished seed, and is gone on from")
    options = parser.parse_args()
    corpus = read_corpus()

    def run(seed: int, folder: Path) -> dict[str, int]:
        kernels = build_kernels(HostMachine(SANITISED), _Folders(folder))
        fuzzer = CFuzzer(corpus, kernels, folder, seed)
        while fuzzer.ran < PROGRAMS_A_SEED:
            fuzzer.run(PROGRAMS_A_RUN)
        return {"tries": fuzzer.tries, "ran": fuzzer.ran}

    with quick_tables():
        return run_seeds(run, options.tally, "ran", options.models)


if __name__ == "__main__":
    sys.exit(main())
