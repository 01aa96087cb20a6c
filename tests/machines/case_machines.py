"""Where a program of test cases is built and run: this machine, or a board in the emulator.

On a board the program is the whole firmware, with the start-up code, the serial port and the linker script of the real
one; its files come and go through semihosting, and the emulator says how many instructions each case took.
"""

import functools
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest
from once import OncePerSession

from tinyedge.boards.board import Board, load_board
from tinyedge.c_sources import firmware_root
from tinyedge.compiler.kernels import PORTABLE

PROGRAM = Path(__file__).parent / "case_program"
KERNELS = firmware_root() / "kernels"
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-pedantic")
CALL_GRAPH = "-fcallgraph-info=su"
SANITISERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
# Unoptimised: nothing that is undefined is optimised away before it is seen, and GCC takes a third of the time.
SANITISED = ("-O0", "-g1", *SANITISERS)

_TIMEOUT_S = 300


class ProgramStoppedError(Exception):
    """The program did not come to its end; the message says how it ended."""


class Machine(Protocol):
    """Compiles C and runs it.

    Attributes:
        name: "host", or the board's.
        flags: Of the compiler, beside those that the machine needs.
        instruction_set: Of the kernels that run there, one of `tinyedge.compiler.kernels.INSTRUCTION_SETS`.
        instructions_per_tick: Of the counter; None where there is none.
        caller_flags: For what calls the kernels, after `flags`.
    """

    name: str
    flags: Sequence[str]
    instruction_set: str
    instructions_per_tick: Fraction | None
    caller_flags: Sequence[str]

    def compile(self, source: Path, target: Path, flags: Sequence[str] = ()) -> Path:
        """Compile a file to the object `target`, which is returned."""
        ...

    def run(self, objects: Iterable[Path], folder: Path, heap_bytes: int) -> None:
        """Link the objects to the parts that every program has, and run it in `folder`.

        Args:
            objects: The table of cases and what it calls.
            folder: Holds cases.in and receives cases.out and the program.
            heap_bytes: The buffers of the largest case.

        Raises:
            ProgramStoppedError: It ended early or not at all.
        """
        ...


@dataclass(frozen=True)
class HostMachine:
    """GCC on this machine; kernels of processors that it is not run as what stands in for them in C."""

    flags: Sequence[str] = ("-O1",)
    instruction_set: str = PORTABLE
    name: str = "host"
    instructions_per_tick: Fraction | None = None
    # Half of GCC's time; the kernels are optimised, and runtimes/aot.py optimises models too.
    caller_flags: Sequence[str] = ("-O0",)

    def compile(self, source: Path, target: Path, flags: Sequence[str] = ()) -> Path:
        """See `Machine.compile`."""
        command = ["gcc", "-std=c99", *self.flags, *_includes(KERNELS, PROGRAM), *flags]
        return compile_object(command, source, target)

    def run(self, objects: Iterable[Path], folder: Path, heap_bytes: int) -> None:
        """See `Machine.run`."""
        program = folder / "cases"
        _call("gcc", *self.flags, *_host_parts(self), *objects, "-o", program)
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
        done = subprocess.run([program], cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ProgramStoppedError(f"the program ended with {done.returncode}: {done.stderr.strip()}")


@dataclass(frozen=True)
class EmulatedMachine:
    """A board in QEMU; `board_name` as in --board: mps2_an386 is a Cortex-M4, mps2_an500 a Cortex-M7."""

    board_name: str
    flags: Sequence[str] = ("-O2",)
    caller_flags: Sequence[str] = ()  # Its instructions are counted.

    @property
    def name(self) -> str:
        """The board's."""
        return self.board_name

    @property
    def board(self) -> Board:
        """Its description."""
        return load_board(self.board_name)

    @property
    def instruction_set(self) -> str:
        """The board's."""
        return self.board.instruction_set

    @property
    def instructions_per_tick(self) -> Fraction | None:
        """Of SysTick."""
        return self.board.emulator.instructions_per_tick if self.board.emulator else None

    def compile(self, source: Path, target: Path, flags: Sequence[str] = ()) -> Path:
        """See `Machine.compile`."""
        board = self.board
        root = firmware_root()
        constants = [f"-D{name}={value}" for name, value in board.definitions().items()]
        sections = ["-ffunction-sections", "-fdata-sections", "-g1"]  # Lines, for a fault.
        includes = _includes(KERNELS, PROGRAM, root / "app", root / "boards")
        command = [*_cross(board), "-std=c99", *sections, *self.flags, *constants, *includes, *flags]
        return compile_object(command, source, target)

    def run(self, objects: Iterable[Path], folder: Path, heap_bytes: int) -> None:
        """See `Machine.run`."""
        main = self.compile(PROGRAM / "case_program.c", folder / "part_case_program.o", WARNINGS)
        self.emulate(self.link([main, *objects], folder, heap_bytes))

    def link(self, objects: Iterable[Path], folder: Path, heap_bytes: int = 0) -> Path:
        """Link `main` and what it calls to start-up code, serial port and files; returns the program in the folder.

        Args:
            objects: Compiled for this machine.
            folder: Where the program will run.
            heap_bytes: What `case_buffer` can give at once.
        """
        root = firmware_root()
        sources = [
            PROGRAM / "case_machine_board.c",
            root / "boards" / "te_cortexm.c",
            root / "boards" / self.board.source,
            root / "app" / "te_text.c",
        ]
        constants = {"case_machine_board": [f"-DCASE_HEAP_BYTES={heap_bytes}u"]}
        parts = [
            self.compile(source, folder / f"part_{source.stem}.o", [*WARNINGS, *constants.get(source.stem, [])])
            for source in sources
        ]
        script = folder / "cases.ld"
        script.write_text(_linker_script(self.board))
        program = folder / "cases.elf"
        link = ["--specs=nano.specs", "-nostartfiles", "-Wl,--gc-sections", f"-T{script}"]
        _call(*_cross(self.board), *link, *parts, *objects, "-o", program)
        return program

    def emulate(self, program: Path, plugin: str = "") -> None:
        """Run a program in its folder.

        Args:
            program: Reads cases.in and writes cases.out.
            plugin: QEMU's, with its arguments; "" for none.

        Raises:
            ProgramStoppedError: It ended early or not at all.
        """
        assert self.board.emulator is not None
        command = [
            *("qemu-system-arm", "-machine", self.board.emulator.machine, "-icount", "shift=0"),
            *("-nodefaults", "-display", "none", "-semihosting-config", "enable=on,target=native"),
            *("-chardev", "stdio,id=serial0,signal=off", "-serial", "chardev:serial0", "-kernel", str(program)),
            *(("-plugin", plugin) if plugin else ()),
        ]
        said = b""
        with subprocess.Popen(
            command, cwd=program.parent, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdout is not None
            timer = threading.Timer(_TIMEOUT_S, process.kill)
            timer.start()
            try:
                for line in process.stdout:  # A fault is one line, after which the board sleeps for ever.
                    said += line
                    if line.startswith(b"e-[fault"):
                        process.kill()
            finally:
                timer.cancel()
        message = said.decode("ascii", errors="replace").strip()
        if process.returncode != 0:
            where = _source_line(program, message)
            raise ProgramStoppedError(f"{self.name} ended with {process.returncode}: {message or 'no message'}{where}")


def emulated_machine(board_name: str) -> EmulatedMachine:
    """The machine of a board; skips the test where the cross compiler or the emulator is not installed."""
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: run `make system`")
    return EmulatedMachine(board_name)


@dataclass(frozen=True)
class KernelBuild:
    """Every kernel, compiled for a machine.

    Attributes:
        machine: The machine.
        objects: One a kernel.
        archive: Of them all, from which a linker takes what is called, in half the time; None where there is none.
    """

    machine: Machine
    objects: Sequence[Path]
    archive: Path | None = None

    @property
    def linked(self) -> Sequence[Path]:
        """What a program is linked with, after all that calls kernels."""
        return self.objects if self.archive is None else [self.archive]


def build_kernels(machine: Machine, once: OncePerSession) -> KernelBuild:
    """Compile every kernel, with warnings as errors; once for machines that differ in their instruction sets alone."""
    # The DSP kernels refuse a core without those instructions, and those for vectors may use them too.
    lacks_dsp = isinstance(machine, EmulatedMachine) and machine.instruction_set == "scalar"
    sources = sorted(path for path in KERNELS.glob("*.c") if not (lacks_dsp and path.stem.endswith(("_dsp", "_mve"))))

    tools = "arm-none-eabi-" if isinstance(machine, EmulatedMachine) else ""

    def compile_all(folder: Path) -> None:
        objects = [machine.compile(source, folder / f"{source.stem}.o", WARNINGS) for source in sources]
        # No two kernels have functions of one name, which an archive would not tell.
        _call(f"{tools}ld", "-r", *objects, "-o", folder / "all.o")
        (folder / "all.o").unlink()
        _call(f"{tools}ar", "rcs", folder / "kernels.a", *objects)

    folder = once.folder("_".join(["kernels", machine.name, *machine.flags]), compile_all)
    return KernelBuild(machine, [folder / f"{source.stem}.o" for source in sources], folder / "kernels.a")


@functools.cache
def _host_folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="tinyedge-parts-")


@functools.cache
def _host_parts(machine: HostMachine) -> Sequence[Path]:
    """What every program of this machine has, compiled once a process."""
    folder = Path(tempfile.mkdtemp(dir=_host_folder().name))
    sources = [PROGRAM / "case_program.c", PROGRAM / "case_machine_host.c"]
    return [machine.compile(source, folder / f"part_{source.stem}.o", WARNINGS) for source in sources]


def cached(command: Sequence[str], target: Path) -> list[str]:
    """A compiler's command, so that a later run of the tests finds what it makes of the same source.

    Args:
        command: The compiler and its flags; as it is where there is no ccache.
        target: The object.
    """
    if shutil.which("ccache") is None:
        return [*command]
    # Before version 4.10, ccache gives an object back without the call graph.
    cache = str(Path(__file__).parent / "cached_gcc") if CALL_GRAPH in command else "ccache"
    return [cache, *command, "-MD", "-MF", f"{target}.d"]  # See COMPILER_CACHE in tests/conftest.py.


def compile_object(command: Sequence[str], source: Path, target: Path) -> Path:
    """Compile a file of this repository or of a test to the object `target`, which is returned.

    The compiler runs where the file has the same name each time, whichever folder a test wrote it to.

    Args:
        command: The compiler and its flags.
        source: The file.
        target: Where a test wrote the file, below that folder or beside it.
    """
    repository = firmware_root().parent
    folder = repository if repository in source.parents else target.parent
    _call(*cached(command, target), "-c", source, "-o", target, cwd=folder)
    return target


def _includes(*folders: Path) -> list[str]:
    return [f"-I{folder}" for folder in folders]


def _cross(board: Board) -> list[str]:
    return ["arm-none-eabi-gcc", *board.cpu_flags.split()]


def _call(*command: object, cwd: Path | None = None) -> None:
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@functools.cache
def _linker_script(board: Board) -> str:
    """The firmware's, with the numbers that CMake would fill in from the board's file."""
    absent = {f"{memory}_{name}": "0" for memory in ("boot", "code_ram") for name in ("origin", "bytes")}
    values: Mapping[str, str] = {**absent, **_flat_toml(board.file)}
    # As te_reserve_store() sets them for an image that learns nothing.
    flash = {f"LINK_flash_{name}": values[f"flash_{name}"] for name in ("origin", "bytes")}
    # As te_placement.cmake leaves them where all code and weights stay in the flash.
    placed = {f"LINK_{name}": "" for name in ("but_kernels", "kernels_section", "but_weights", "weights_section")}
    own = {"LINK_head_bytes": "0", "LINK_head_section": "", **placed, **flash}
    own |= {f"RAM_{name}": values[f"sram_{name}"] for name in ("origin", "bytes")}
    own |= {f"BOARD_{name}": value for name, value in values.items()}
    template = (firmware_root() / "boards" / "te_link.ld.in").read_text()
    return re.sub(r"@TE_(\w+)@", lambda match: own[match.group(1)], template)


def _flat_toml(file: Path) -> dict[str, str]:
    values = {}
    section = ""
    for line in file.read_text().splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = f"{header.group(1)}_"
        elif pair := re.fullmatch(r'(\w+) = "?([^"]*)"?', line):
            values[section + pair.group(1)] = pair.group(2)
    return values


def _source_line(program: Path, message: str) -> str:
    """Where a fault happened, from the line that the firmware prints."""
    pc = re.search(r"pc=(?:0x)?([0-9A-Fa-f]{8})", message)
    if pc is None:
        return ""
    command = ["arm-none-eabi-addr2line", "-f", "-e", str(program), pc.group(1)]
    return " in " + " at ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
