"""Builds the firmware image of a model for a board, and says what it takes of the board's memories."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tinyedge import __version__
from tinyedge.atomic import atomic_path
from tinyedge.boards.board import Board, Memory
from tinyedge.compiler.embedding import cut_at_embedding
from tinyedge.compiler.emit.emitter import emit
from tinyedge.compiler.emit.names import default_name
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import Program, compile_graph
from tinyedge.errors import BudgetExceeded, ConfigError, TargetError
from tinyedge.firmware.class_record import check_classes
from tinyedge.firmware.link_map import read_link_map
from tinyedge.firmware.mlperf import MLPERF_IDS, prepare_benchmark
from tinyedge.firmware.sources import firmware_root
from tinyedge.firmware.stack import StackReport, worst_case_stack
from tinyedge.firmware.toolchain import find_build_tools, find_tool
from tinyedge.ops.kernel_call import ConstantArray, KernelCall
from tinyedge.tflite.model import Model, open_model

RUNTIMES = ("aot", "tflm")

_MOST_CLASSES = 65_535
_BUILD_TIMEOUT_S = 900
_KERNEL_OPTIMISATION = "-O2"
_TFLM_LIBRARY = "libtensorflow-microlite.a"
# NAME_model.c for aot, model.c for tflm.
_MODEL_OBJECT = re.compile(r"libte_model\.a\((\w+_)?model\.c\.obj\)")
# Another version of GCC may find something new to warn of; a user's build does not stop for it.
_WARNINGS_AS_ERRORS = "OFF"
_OVERFLOW = re.compile(r"region [`'\"]?(FLASH|SRAM)[`'\"]? overflowed by (\d+) bytes")
# CMake begins with a line of blanks where a long word comes first.
_CMAKE_ERROR = re.compile(r"^CMake Error[^\n]*:\n((?:[ \t]+[^\n]*\n)+)", re.MULTILINE)
_TOOL_ERROR = re.compile(r"^([^\n]*: (?:(?:fatal )?error: |undefined reference)[^\n]*)$", re.MULTILINE)
# Flags of the surroundings would make another image of the same sources; messages are parsed.
_NEUTRAL = {"LC_ALL": "C", "CFLAGS": "", "LDFLAGS": "", "ASMFLAGS": ""}


@dataclass(frozen=True)
class ImageOptions:
    """What an image does beside running a model.

    Attributes:
        runtime: One of `RUNTIMES`.
        mlperf_id: One of `MLPERF_IDS` to answer, and take input, as that MLPerf Tiny benchmark; "" for one's own model.
        layers: Whether the image answers `te layers`, for which it holds every layer's name and a call after each.
        classes: How many classes the image can learn; its output is then the model's embedding, see
            `tinyedge.compiler.embedding`. 0: it learns none.
        cascade: As `tinyedge.compiler.options.CompileOptions` has it; tflm has no cascades.

    Raises:
        ConfigError: There is no such runtime or benchmark, or the options exclude each other.
    """

    runtime: str = "aot"
    mlperf_id: str = ""
    layers: bool = False
    classes: int = 0
    cascade: str = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.classes <= _MOST_CLASSES:
            raise ConfigError(f"an image cannot learn {self.classes} classes: give 1 to {_MOST_CLASSES:,}")
        if self.classes and self.mlperf_id:
            raise ConfigError(
                f"an image that learns classes gives an embedding and {self.mlperf_id} asks for a result: give one"
            )
        if self.runtime not in RUNTIMES:
            raise ConfigError(f"no runtime {self.runtime!r} on a board: choose --runtime {' or '.join(RUNTIMES)}")
        if self.mlperf_id and self.mlperf_id not in MLPERF_IDS:
            raise ConfigError(f"no MLPerf Tiny benchmark {self.mlperf_id!r}: choose one of {', '.join(MLPERF_IDS)}")
        if self.layers and self.runtime == "tflm":
            raise ConfigError(
                "a release library of TFLite Micro tells of no layers: leave --layers out, or --runtime tflm"
            )
        if self.classes and self.runtime == "tflm":
            raise ConfigError(
                "TFLite Micro runs whole models, not the encoder alone: leave --enroll or --runtime tflm out"
            )


@dataclass(frozen=True)
class FirmwareSizes:
    """What an image takes.

    Attributes:
        flash_bytes: Everything that is written into the flash, or set aside there.
        flash_model_bytes: Of it weights, per-channel data and layer parameters.
        flash_code_bytes: Of it everything else that is written.
        flash_kernel_bytes: Of that, instructions and tables of the model's calls and of the kernels; for tflm the
            interpreter's too.
        flash_store_bytes: Flash that is set aside to save learned classes, in no other figure but the first.
        ram_bytes: Variables: the arena, the loaded input and the rest; the stack not counted.
        arena_bytes: Of it what the runtime and the model need.
        stack_bytes: RAM that is set aside for the stack.
    """

    flash_bytes: int
    flash_model_bytes: int
    flash_code_bytes: int
    flash_kernel_bytes: int
    flash_store_bytes: int
    ram_bytes: int
    arena_bytes: int
    stack_bytes: int


@dataclass(frozen=True)
class MemoryRow:
    """A line of the size table: `bytes` of the `limit` of a memory."""

    memory: str
    what: str
    bytes: int
    limit: int

    @property
    def percent(self) -> float:
        """The share of the memory."""
        return 100.0 * self.bytes / self.limit


@dataclass(frozen=True)
class FirmwareImage:
    """A built image.

    Attributes:
        elf: With symbols, for debuggers and QEMU.
        bin: The bytes of the flash from its first address on.
        hex: The same as Intel HEX.
        map: The linker's account of every symbol.
        board: What it is for.
        runtime: What runs the model.
        compiler: Name and version of what built it: "arm-none-eabi-gcc 12.2.1".
        flags: With which it built the model and the kernels.
        ram: The board's memory that holds the variables and the stack.
        sizes: What it takes.
        stack: How much of the stack it can use.
    """

    elf: Path
    bin: Path
    hex: Path
    map: Path
    board: Board
    runtime: str
    compiler: str
    flags: str
    ram: Memory
    sizes: FirmwareSizes
    stack: StackReport

    def memory_rows(self) -> list[MemoryRow]:
        """Return the size table: the parts of each memory, then their sum; then the stack's worst case, if known."""
        sizes, board = self.sizes, self.board
        other_bytes = sizes.ram_bytes - sizes.arena_bytes
        flash = {"code": sizes.flash_code_bytes, "model": sizes.flash_model_bytes}
        if sizes.flash_store_bytes:
            flash["saved classes"] = sizes.flash_store_bytes
        flash["all"] = sizes.flash_bytes
        ram = {
            "arena": sizes.arena_bytes,
            "input and variables": other_bytes,
            "stack": sizes.stack_bytes,
            "all": sizes.ram_bytes + sizes.stack_bytes,
        }
        stack = {} if self.stack.worst_case_bytes is None else {"worst case": self.stack.worst_case_bytes}
        return [
            *(MemoryRow("flash", what, used, board.flash_bytes) for what, used in flash.items()),
            *(MemoryRow("RAM", what, used, self.ram.bytes) for what, used in ram.items()),
            *(MemoryRow("stack", what, used, sizes.stack_bytes) for what, used in stack.items()),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return files, sizes and limits as a JSON object."""
        files = {key: str(getattr(self, key)) for key in ("elf", "bin", "hex", "map")}
        limits = {"flash_bytes": self.board.flash_bytes, "ram_bytes": self.ram.bytes}
        return {
            "schema": 1,
            "board": self.board.name,
            "cpu": self.board.cpu,
            "runtime": self.runtime,
            "compiler": self.compiler,
            "flags": self.flags,
            "files": files,
            "sizes": asdict(self.sizes),
            "stack": asdict(self.stack),
            "limits": limits,
        }


def build_firmware(
    model: Path | Model, board: Board, out: Path, options: ImageOptions = ImageOptions()
) -> FirmwareImage:
    """Compile a model to C, or pair it with TFLite Micro, and build the firmware around it.

    Args:
        model: A full-INT8 .tflite file, or its path.
        board: What to build for.
        out: Receives tinyedge.elf, .bin, .hex and .map, once all of them are made.
        options: See `ImageOptions`.

    Raises:
        BudgetExceeded: The image does not fit the board, can use more stack than it sets aside, or the classes do not
            fit its store.
        ConfigError: The board cannot save classes.
        ModelError: The model cannot be read or compiled, or is not for that benchmark.
        ToolMissing: The cross compiler, CMake or Ninja is not installed.
        TargetError: The C does not compile.
    """
    find_build_tools()  # Before the work, not after it.
    model = open_model(model)
    if options.runtime == "tflm":
        from tinyedge.firmware.tflm_firmware import build_tflm_firmware  # It builds its images with this module.

        return build_tflm_firmware(model, board, out, options)
    graph = model.graph()
    if options.classes:
        check_classes(options.classes, cut_at_embedding(graph).elements, board)
    headers = prepare_benchmark(model.path, graph, options.mlperf_id) if options.mlperf_id else {}
    program = compile_graph(graph, CompileOptions(board.instruction_set, cascade=options.cascade))
    return build_program(program, board, out, options, headers)


def build_program(
    program: Program,
    board: Board,
    out: Path,
    options: ImageOptions = ImageOptions(),
    headers: Mapping[str, str] = MappingProxyType({}),
) -> FirmwareImage:
    """Build the firmware around a model that is compiled already.

    Args:
        program: With kernels that the board runs.
        board: As for `build_firmware`.
        out: As for `build_firmware`.
        options: As for `build_firmware`; the program is what they make of the model.
        headers: C headers to put beside the model, by file name.

    Raises:
        TinyEdgeError: As for `build_firmware`.
    """
    with tempfile.TemporaryDirectory(prefix="tinyedge-model-") as folder:
        sources = Path(folder) / "model"
        emit(program, default_name(program.graph.name), sources)
        for name, text in headers.items():
            (sources / name).write_text(text)
        try:
            return build_image(sources, board, out, options)
        except RegionsOverflowed as error:
            heaviest = " and ".join(_heaviest_layer(program, region) for region in error.regions)
            raise BudgetExceeded(
                f"{program.graph.name} does not fit: {error}; {heaviest}: make it smaller or choose another --board"
            ) from error


def build_image(model_dir: Path, board: Board, out: Path, options: ImageOptions = ImageOptions()) -> FirmwareImage:
    """Build the firmware around a model that is C already.

    Args:
        model_dir: Holds one model as C and its kernels, as the folder src that `tinyedge compile` writes.
        board: As for `build_firmware`.
        out: As for `build_firmware`.
        options: See `ImageOptions`; where classes are learned, the model's output is the embedding already.

    Raises:
        TinyEdgeError: As for `build_firmware`.
    """
    for ram in ("sram",) if board.tcm is None else ("tcm", "sram"):
        with tempfile.TemporaryDirectory(prefix="tinyedge-build-") as folder:
            build = Path(folder)
            configure_image(model_dir, board, build, options, ram=ram)
            try:
                return finish_image(build, board, out, options, ram=ram)
            except RegionsOverflowed as error:
                if ram == "sram" or "RAM" not in error.regions:
                    raise
    raise AssertionError("the last memory either holds the variables or raises")


def configure_image(model_dir: Path, board: Board, build: Path, options: ImageOptions, *, ram: str = "sram") -> None:
    """Prepare a folder for `compile_image`.

    Args:
        model_dir: As for `build_image`.
        board: As for `build_firmware`.
        build: Exists. It may have been configured before, for this model and another board with the same compiler
            flags: then model and runtime are not compiled again.
        options: As for `build_image`.
        ram: The board's memory for the variables and the stack: "sram", or "tcm" where it has one.

    Raises:
        TinyEdgeError: As for `build_firmware`.
    """
    tools = {tool.name: tool.path for tool in find_build_tools()}
    configuration = {
        "CMAKE_MAKE_PROGRAM": tools["ninja"],
        "CMAKE_TOOLCHAIN_FILE": firmware_root() / "cmake" / "arm-none-eabi.cmake",
        "BOARD": board.name,
        "BOARD_DIR": board.file.parent,
        "MODEL_DIR": Path(model_dir).resolve(),
        "RAM": ram,
        "RUNTIME": options.runtime,
        "MLPERF_ID": options.mlperf_id,
        "ENROLL_CLASSES": options.classes,
        "LAYERS": "ON" if options.layers else "OFF",
        "TE_VERSION": __version__,
        "KERNEL_OPTIMISATION": _KERNEL_OPTIMISATION,
        "WARNINGS_AS_ERRORS": _WARNINGS_AS_ERRORS,
    }
    definitions = [f"-D{key}={value}" for key, value in configuration.items()]
    _run([tools["cmake"], "-G", "Ninja", "-S", firmware_root(), "-B", build, *definitions], board)


def compile_image(build: Path, board: Board) -> None:
    """Make tinyedge.elf, .bin, .hex and .map in a folder that was configured for a board; compile what has changed.

    Raises:
        TinyEdgeError: As for `build_firmware`.
    """
    _run([find_tool("cmake").path, "--build", build], board)


def finish_image(build: Path, board: Board, out: Path, options: ImageOptions, *, ram: str = "sram") -> FirmwareImage:
    """Compile in a folder that was configured for a board, and put the image where it belongs.

    Args:
        build: As for `configure_image`.
        board: As for `configure_image`.
        out: As for `build_firmware`.
        options: As for `configure_image`.
        ram: As for `configure_image`.

    Raises:
        TinyEdgeError: As for `build_firmware`.
    """
    compile_image(build, board)
    gcc = find_tool("arm-none-eabi-gcc")
    sizes = _measure(build, board, options.classes)
    stack = worst_case_stack(build, build / "tinyedge.elf", gcc.path, "-mfloat-abi=hard" in board.cpu_flags)
    _check_stack(stack, board)
    paths = {}
    for suffix in ("elf", "bin", "hex", "map"):
        paths[suffix] = out / f"tinyedge.{suffix}"
        with atomic_path(paths[suffix]) as temporary:
            shutil.copyfile(build / f"tinyedge.{suffix}", temporary)
    return FirmwareImage(
        **paths,
        board=board,
        runtime=options.runtime,
        compiler=f"{gcc.name} {gcc.version}",
        ram=getattr(board, ram),
        flags=f"{board.cpu_flags} "
        + (_TFLM_LIBRARY if options.runtime == "tflm" else f"-std=c99 {_KERNEL_OPTIMISATION}"),
        sizes=sizes,
        stack=stack,
    )


def _check_stack(stack: StackReport, board: Board) -> None:
    if stack.worst_case_bytes is not None and stack.worst_case_bytes > board.stack_bytes:
        deepest = " > ".join(f"{name} {size}" for name, size in stack.path)
        raise BudgetExceeded(
            f"the image can use {stack.worst_case_bytes:,} bytes of stack and {board.name} sets {board.stack_bytes:,} "
            f"aside ({deepest}, an interrupt {stack.interrupt_bytes}): raise stack_bytes in {board.file.name}"
        )


def _run(command: list[Any], board: Board) -> None:
    """Run a step of the build and turn its failure into a sentence."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_BUILD_TIMEOUT_S,
            env={**os.environ, **_NEUTRAL},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TargetError(f"the firmware build stopped ({error}): run `tinyedge doctor`") from error
    if done.returncode == 0:
        return
    said = done.stdout + done.stderr
    overflows = {region: int(excess) for region, excess in _OVERFLOW.findall(said)}
    if overflows:
        raise RegionsOverflowed(overflows, board)
    raise TargetError(f"the firmware for {board.name} does not build ({_first_cause(said)}): run `tinyedge doctor`")


def _first_cause(said: str) -> str:
    """The first complaint of CMake, the compiler or the linker, in one line."""
    for pattern in (_CMAKE_ERROR, _TOOL_ERROR):
        match = pattern.search(said)
        if match:
            return " ".join(match.group(1).split())
    return (said.strip().splitlines() or ["no message"])[-1]


class RegionsOverflowed(BudgetExceeded):
    """The linker ran out of memory regions, here by name."""

    def __init__(self, excess_bytes: dict[str, int], board: Board) -> None:
        parts = {}
        if "FLASH" in excess_bytes:
            used = board.flash_bytes + excess_bytes["FLASH"]
            parts["flash"] = f"the image needs {used:,} bytes of flash and {board.name} has {board.flash_bytes:,}"
        if "SRAM" in excess_bytes:
            used = board.ram_bytes + excess_bytes["SRAM"]
            parts["RAM"] = (
                f"arena, variables and stack need {used:,} bytes of RAM and {board.name} has {board.ram_bytes:,}"
            )
        super().__init__(" and ".join(parts.values()))
        self.regions = tuple(parts)


def _heaviest_layer(program: Program, region: str) -> str:
    """Name the layer to make smaller: the one with the most constants, or with the most memory alive."""
    calls = program.calls
    if region == "flash":
        sizes = [_constant_bytes(call) for call in calls]
    else:
        sizes = [program.plan.alive_bytes(step) for step in range(len(calls))]
    layer = max(range(len(calls)), key=sizes.__getitem__)
    return f"the most {region} goes to layer {layer} ({calls[layer].op} {calls[layer].name}, {sizes[layer]:,} bytes)"


def _constant_bytes(call: KernelCall) -> int:
    return sum(value.values.nbytes for value in call.fields.values() if isinstance(value, ConstantArray))


def _measure(build: Path, board: Board, classes: int) -> FirmwareSizes:
    linked = read_link_map(build / "tinyedge.map")
    written_bytes = (build / "tinyedge.bin").stat().st_size
    store_bytes = 0
    if classes and board.store is not None:
        store_bytes = board.store.reserved_bytes(board.flash)
        if board.store.end < board.flash.end:
            written_bytes -= store_bytes  # The file begins with the vectors, and then fill as long as the store.
    model_objects = {source for source, _ in linked.inputs if _MODEL_OBJECT.fullmatch(source)}
    model_bytes = sum(linked.input_bytes(source, ".rodata") for source in model_objects)
    kernel_bytes = sum(
        linked.input_bytes(archive, kind)
        for archive in ("libte_model.a", _TFLM_LIBRARY)
        for kind in (".text", ".rodata")
    )
    runtime_ram = [
        linked.input_bytes(archive, kind)
        for archive in ("libte_model.a", "libte_runtime.a", _TFLM_LIBRARY)
        for kind in (".data", ".bss")
    ]
    return FirmwareSizes(
        flash_bytes=written_bytes + store_bytes,
        flash_model_bytes=model_bytes,
        flash_code_bytes=written_bytes - model_bytes,
        flash_kernel_bytes=kernel_bytes - model_bytes,
        flash_store_bytes=store_bytes,
        ram_bytes=linked.output_bytes(".data") + linked.output_bytes(".bss"),
        arena_bytes=sum(runtime_ram),
        stack_bytes=board.stack_bytes,
    )
