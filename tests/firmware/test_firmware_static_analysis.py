"""cppcheck and clang-tidy find nothing in the C of the firmware and of a generated model; clang compiles all of it.

A file in which an analyser found nothing is not shown to it again as long as all that its findings depend on stays: the
file and every header to the byte, the analyser, its options. `pytest --cache-clear` forgets them, and with --thorough,
every night, there are none.
"""

import functools
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from firmware.named_model import model_flags
from machines.case_machines import cached

from tinyedge.boards.board import Board, board_names, load_board
from tinyedge.c_sources import firmware_root
from tinyedge.compiler.emit.emitter import emit
from tinyedge.compiler.emit.model_card import read_card
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import compile_graph
from tinyedge.tflite.reader import read_tflite

REPOSITORY = Path(__file__).resolve().parents[2]
ZOO_MODEL = REPOSITORY / "models" / "tinynext_t_cifar10" / "model_int8.tflite"
MODEL = "ic"
FOLDERS = ("app", "boards", "kernels", "runtime/aot")
NEWLIB = Path("/usr/include/newlib")
ANALYSERS = ("clang-tidy", "cppcheck")
CONFIGURATIONS = (REPOSITORY / ".clang-tidy", REPOSITORY / ".cppcheck-suppressions")


def need(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed: run `make system`")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A published model as C, its constants shortened: an analyser learns nothing from 764,468 of them."""
    folder = tmp_path_factory.mktemp("model")
    board = load_board("mps2_an386")
    graph = read_tflite(ZOO_MODEL)
    card = read_card(ZOO_MODEL, graph)
    assert card is not None
    emit(compile_graph(graph, CompileOptions(board.instruction_set)), MODEL, folder, card)
    source = folder / f"{MODEL}_model.c"
    text = re.sub(r"(\[\d+\] = \{)[-\w,\s]{400,}(\};)", r"\g<1>1\2", source.read_text())
    assert len(text) < 200_000
    assert text.count(" = {1};") > 20
    source.write_text(text)
    return folder


def sources() -> list[Path]:
    """All C files of the firmware."""
    files = [path for folder in FOLDERS for path in sorted((firmware_root() / folder).glob("*.c"))]
    assert len(files) > 50
    return files


def flags(board: Board, model: Path) -> list[str]:
    """Include folders and constants as firmware/CMakeLists.txt gives them."""
    root = firmware_root()
    return [
        *(f"-I{folder}" for folder in (model, *(root / name for name in ("app", "boards", "kernels", "runtime")))),
        *(f"-D{name}={value}" for name, value in board.definitions().items()),
        *('-DTE_VERSION="0"', '-DTE_MLPERF_ID=""', "-DTE_ENROLL_CLASSES=10u"),
        *model_flags(MODEL),
        "-DTE_PROFILE",
    ]


@functools.cache
def boards() -> dict[str, Board]:
    return {name: load_board(name) for name in board_names()}


def board_of(source: Path) -> Board:
    """The board whose file it is; the Cortex-M4's for what all share."""
    own = [b for b in boards().values() if source.name in (b.source, b.store.source if b.store is not None else "")]
    return own[0] if own else boards()["mps3_an547" if source.stem.endswith("_mve") else "mps2_an386"]


def by_board(files: Sequence[Path]) -> dict[str, list[Path]]:
    """Each file under the name of its board."""
    groups: dict[str, list[Path]] = {}
    for source in files:
        groups.setdefault(board_of(source).name, []).append(source)
    return groups


class Clean:
    """In which files an analyser found nothing before.

    Args:
        folder: Remembers them; None remembers nothing.
        model: The folder of the generated model, which lies elsewhere each time.
    """

    def __init__(self, folder: Path | None, model: Path) -> None:
        self._folder = folder
        self._model = model

    def unknown(self, command: Sequence[object], files: Sequence[Path]) -> list[Path]:
        """The files in which that command may still find something."""
        return [
            file for file in files if self._folder is None or not (self._folder / self._name(command, file)).exists()
        ]

    def add(self, command: Sequence[object], files: Sequence[Path]) -> None:
        """Remember that the command found nothing in the files."""
        for file in files if self._folder is not None else ():
            (self._folder / self._name(command, file)).touch()

    def _name(self, command: Sequence[object], file: Path) -> str:
        words = [str(word).replace(str(self._model), "model").replace(str(REPOSITORY), ".") for word in command]
        return hashlib.sha256(repr([words, file.name, file.read_bytes(), self._surroundings]).encode()).hexdigest()

    @functools.cached_property
    def _surroundings(self) -> str:
        """Of every file: the versions of the analysers, what configures them, and all headers."""
        versions = [subprocess.run([tool, "--version"], capture_output=True).stdout for tool in ANALYSERS]
        headers = [*sorted(firmware_root().rglob("*.h")), *sorted(self._model.glob("*.h"))]
        own = [(path.name, path.read_bytes()) for path in [*headers, *CONFIGURATIONS]]
        library = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(NEWLIB.rglob("*.h"))]
        return hashlib.sha256(repr([versions, own, library]).encode()).hexdigest()


@pytest.fixture(scope="module")
def clean(model, thorough, request) -> Clean:
    cache = None if thorough else getattr(request.config, "cache", None)
    return Clean(None if cache is None else cache.mkdir("analysed"), model)


def test_cppcheck_finds_nothing(model, clean):
    command = [
        *(need("cppcheck"), "--quiet", "--error-exitcode=1", "--std=c99", "--platform=unix32", "--inline-suppr"),
        *("--enable=warning,style,performance,portability", "--template={file}:{line}: {id}: {message}"),
        f"--suppressions-list={REPOSITORY / '.cppcheck-suppressions'}",
    ]
    # A file of a board is checked with that board's constants, all others together.
    said = ""
    for name, group in by_board([*sources(), model / f"{MODEL}_model.c"]).items():
        of_board = [*command, *flags(boards()[name], model)]
        files = clean.unknown(of_board, group)
        if not files:
            continue
        done = subprocess.run([*of_board, *files], capture_output=True, text=True)
        said += done.stderr
        assert (done.returncode == 0) == (done.stderr == "")
        if done.returncode == 0:
            clean.add(of_board, files)
    assert said == ""


def clang_flags(board: Board, model: Path) -> list[str]:
    if not NEWLIB.is_dir():
        pytest.skip(f"{NEWLIB} is absent: clang takes the C library's headers from there")
    return [
        "--target=arm-none-eabi",
        *board.cpu_flags.split(),
        "-isystem",
        str(NEWLIB),
        "-std=c99",
        *flags(board, model),
    ]


def complaints(commands: Sequence[Sequence[object]], folder: Path | None = None) -> str:
    """What programs, run in a folder, say where they do not end well."""

    def run(command: Sequence[object]) -> str:
        done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True)
        return done.stdout + done.stderr if done.returncode else ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return "\n".join(said for said in pool.map(run, commands) if said)


# Loops make as many paths as the analyser is given nodes, and those into blocks that it has not seen go first. By its
# statistics (debug.Stats) it sees as many blocks with a third of its default, which Clang calls shallow, and with a
# quarter of that all but two in the padding of te_average_pool_*.c.
MAX_NODES = {True: 75_000, False: 20_000}


@pytest.mark.slow
def test_clang_tidy_finds_nothing(model, clean, thorough):
    """The analyser of paths takes most of the time: of kernels, whose sizes no stranger chooses, with --thorough."""
    tidy = [need("clang-tidy"), "--quiet", f"--config-file={REPOSITORY / '.clang-tidy'}"]
    for word in ("-analyzer-config", f"max-nodes={MAX_NODES[thorough]}"):
        tidy += ["--extra-arg=-Xclang", f"--extra-arg={word}"]
    files = [*sources(), model / f"{MODEL}_model.c"]
    kernels = [path for path in files if path.parent.name == "kernels"]
    others = [path for path in files if path not in kernels]

    commands = {
        (*tidy, *options, "--", *clang_flags(boards()[name], model)): group
        for part, options in ((kernels, () if thorough else ("--checks=-clang-analyzer-*",)), (others, ()))
        for name, group in by_board(part).items()
    }
    unknown = {command: clean.unknown(command, group) for command, group in commands.items()}
    # To start costs clang-tidy as much as a file does: one run a board and processor.
    processors = os.cpu_count() or 1
    runs = []
    for command, group in unknown.items():
        at = command.index("--")
        runs += [
            [*command[:at], *group[first::processors], *command[at:]] for first in range(min(processors, len(group)))
        ]
    assert complaints(runs) == ""
    for command, group in unknown.items():
        clean.add(command, group)


def test_clang_compiles_the_kernels_for_their_processors(model, tmp_path):
    """Arm's own compiler is clang: what only GCC assembles would be of no use there."""
    clang = [need("clang"), "-O1", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-c"]

    def command(source: Path) -> list[object]:
        target = tmp_path / f"{source.stem}.o"
        return [*cached([*clang, *clang_flags(board_of(source), model)], target), source, "-o", target]

    kernels = [path for path in sources() if path.parent.name == "kernels"]
    # From there the model has the same name each time.
    assert complaints([command(source) for source in [*kernels, model / f"{MODEL}_model.c"]], model) == ""


def test_vector_kernels_compile_without_optimisation(tmp_path):
    """Whoever steps through them in a debugger: then the compiler has fewer registers left for assembly."""
    board = load_board("mps3_an547")
    gcc = [need("arm-none-eabi-gcc"), *board.cpu_flags.split(), "-std=c99", "-O0", "-Wall", "-Wextra", "-Werror", "-c"]
    kernels = {
        source: tmp_path / f"{source.stem}.o" for source in sorted((firmware_root() / "kernels").glob("*_mve.c"))
    }
    assert len(kernels) > 20
    assert complaints([[*cached(gcc, target), source, "-o", target] for source, target in kernels.items()]) == ""
