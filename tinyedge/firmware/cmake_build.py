"""Builds an image of a model that is C already: CMake, Ninja and GCC, and what they say where it fails."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tinyedge.atomic import atomic_path
from tinyedge.boards.board import Board, Memory
from tinyedge.c_sources import firmware_root
from tinyedge.errors import BudgetExceeded, ConfigError, TargetError
from tinyedge.firmware.image import FirmwareImage, FirmwareSizes, ImageOptions
from tinyedge.firmware.link_map import read_link_map
from tinyedge.firmware.stack import StackReport, worst_case_stack
from tinyedge.toolchain import find_build_tools, find_tool
from tinyedge.version import __version__

_BUILD_TIMEOUT_S = 900
# By `ImageOptions.optimize`.
_KERNEL_OPTIMISATION = {"balanced": ("-O2",), "speed": ("-O2",), "size": ("-Os", "-DTE_SMALL=1")}
_TFLM_LIBRARY = "libtensorflow-microlite.a"
# NAME_model.c for aot, model.c for tflm.
_MODEL_OBJECT = re.compile(r"libte_model\.a\((\w+_)?model\.c\.obj\)")
# Another version of GCC may find something new to warn of; a user's build does not stop for it.
_WARNINGS_AS_ERRORS = "OFF"
_OVERFLOW = re.compile(r"region [`'\"]?(FLASH|SRAM|CODE)[`'\"]? overflowed by (\d+) bytes")
# CMake begins with a line of blanks where a long word comes first.
_CMAKE_ERROR = re.compile(r"^CMake Error[^\n]*:\n((?:[ \t]+[^\n]*\n)+)", re.MULTILINE)
_TOOL_ERROR = re.compile(r"^([^\n]*: (?:(?:fatal )?error: |undefined reference)[^\n]*)$", re.MULTILINE)
# Flags of the surroundings would make another image of the same sources; messages are parsed; ccache before 4.10 gives
# an object back without the call graph that -fcallgraph-info wrote beside it: the worst case of the stack gets lost.
_NEUTRAL = {"LC_ALL": "C", "CFLAGS": "", "LDFLAGS": "", "ASMFLAGS": "", "CCACHE_DISABLE": "1"}


class RegionsOverflowed(BudgetExceeded):
    """The linker ran out of memory regions, here by name."""

    def __init__(self, excess_bytes: dict[str, int], board: Board, ram: Memory) -> None:
        parts = {}
        if "FLASH" in excess_bytes:
            used = board.flash_bytes + excess_bytes["FLASH"]
            parts["flash"] = f"the image needs {used:,} bytes of flash and {board.name} has {board.flash_bytes:,}"
        if "SRAM" in excess_bytes:
            used = ram.bytes + excess_bytes["SRAM"]
            left = "" if ram.bytes == board.ram_bytes else " left beside the kernels"
            parts["RAM"] = (
                f"arena, variables and stack need {used:,} bytes of RAM and {board.name} has {ram.bytes:,}{left}"
            )
        if "CODE" in excess_bytes and board.code_ram is not None:
            used = board.code_ram.bytes + excess_bytes["CODE"]
            parts["code RAM"] = (
                f"the kernels need {used:,} bytes of code RAM and {board.name} has {board.code_ram.bytes:,}"
            )
        super().__init__(" and ".join(parts.values()))
        self.regions = tuple(parts)


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
    # Where the first memory is too small the link alone is made anew.
    with tempfile.TemporaryDirectory(prefix="tinyedge-build-") as folder:
        build = Path(folder)
        for ram in ("sram",) if board.tcm is None else ("tcm", "sram"):
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
    if options.kernels_in == "ram" and board.code_ram is None:
        raise ConfigError(
            f"{board.name} has no memory for code beside its flash: leave --kernels-in out, or describe one as "
            f"[code_ram] in {board.file.name}"
        )
    tools = {tool.name: tool.path for tool in find_build_tools()}
    configuration = {
        "CMAKE_MAKE_PROGRAM": tools["ninja"],
        "CMAKE_TOOLCHAIN_FILE": firmware_root() / "cmake" / "arm-none-eabi.cmake",
        "BOARD": board.name,
        "BOARD_DIR": board.file.parent,
        "MODEL_DIR": Path(model_dir).resolve(),
        "RAM": ram,
        "KERNELS_IN": options.kernels_in,
        "WEIGHTS_IN": options.weights_in,
        "RUNTIME": options.runtime,
        "MLPERF_ID": options.mlperf_id,
        "ENROLL_CLASSES": options.classes,
        "LAYERS": "ON" if options.layers else "OFF",
        "TE_VERSION": __version__,
        "KERNEL_OPTIMISATION": ";".join(_KERNEL_OPTIMISATION[options.optimize]),
        "WARNINGS_AS_ERRORS": _WARNINGS_AS_ERRORS,
    }
    definitions = [f"-D{key}={value}" for key, value in configuration.items()]
    _run([tools["cmake"], "-G", "Ninja", "-S", firmware_root(), "-B", build, *definitions], board, board.sram)


def compile_image(build: Path, board: Board, ram: Memory) -> None:
    """Make tinyedge.elf, .bin, .hex and .map in a folder that was configured for a board; compile what has changed.

    Args:
        build: As for `configure_image`.
        board: As for `configure_image`.
        ram: What holds the variables and the stack.

    Raises:
        TinyEdgeError: As for `build_firmware`.
    """
    _run([find_tool("cmake").path, "--build", build], board, ram)


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
    variables = _variables_memory(board, ram, options)
    compile_image(build, board, variables)
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
        ram=variables,
        flags=f"{board.cpu_flags} "
        + (
            _TFLM_LIBRARY
            if options.runtime == "tflm"
            else " ".join(("-std=c99", *_KERNEL_OPTIMISATION[options.optimize]))
        ),
        sizes=sizes,
        stack=stack,
    )


def _variables_memory(board: Board, ram: str, options: ImageOptions) -> Memory:
    """What is left for the variables and the stack beside kernels in the same memory."""
    memory: Memory = getattr(board, ram)
    if options.kernels_in == "ram" and ram == "sram" and board.code_ram is not None:
        return board.code_ram.variables(memory)
    return memory


def _check_stack(stack: StackReport, board: Board) -> None:
    if stack.worst_case_bytes is not None and stack.worst_case_bytes > board.stack_bytes:
        deepest = " > ".join(f"{name} {size}" for name, size in stack.path)
        raise BudgetExceeded(
            f"the image can use {stack.worst_case_bytes:,} bytes of stack and {board.name} sets {board.stack_bytes:,} "
            f"aside ({deepest}, an interrupt {stack.interrupt_bytes}): raise stack_bytes in {board.file.name}"
        )


def _run(command: list[Any], board: Board, ram: Memory) -> None:
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
        raise RegionsOverflowed(overflows, board, ram)
    raise TargetError(f"the firmware for {board.name} does not build ({_first_cause(said)}): run `tinyedge doctor`")


def _first_cause(said: str) -> str:
    """The first complaint of CMake, the compiler or the linker, in one line."""
    for pattern in (_CMAKE_ERROR, _TOOL_ERROR):
        match = pattern.search(said)
        if match:
            return " ".join(match.group(1).split())
    return (said.strip().splitlines() or ["no message"])[-1]


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
        ram_bytes=sum(linked.output_bytes(section) for section in (".data", ".weights", ".bss")),
        arena_bytes=sum(runtime_ram),
        stack_bytes=board.stack_bytes,
        code_ram_bytes=linked.output_bytes(".kernels"),
        weights_ram_bytes=linked.output_bytes(".weights"),
    )
