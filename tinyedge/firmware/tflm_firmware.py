"""Builds the firmware of a model around upstream's TFLite Micro library, and finds out how small its arena can be.

The interpreter plans its memory at start-up, and what it says of its use is not always what it needs: what it only
needs while it plans is not in the figure (tensorflow/tflite-micro#2738). So the arena is searched: the model runs on an
emulated board in arenas of several sizes, and gets the smallest in which it starts and gives the bytes that it gives
with room.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from tinyedge.boards.board import Board, board_names, load_board
from tinyedge.compiler.emit.c_text import C_TYPES
from tinyedge.compiler.emit.tflm_emitter import emit_for_tflm, emit_tflm_arena, resolver_source
from tinyedge.compiler.program import check_interface
from tinyedge.devices.emulator import Emulator
from tinyedge.errors import BudgetExceeded, ModelError, TargetError
from tinyedge.firmware.cmake_build import RegionsOverflowed, compile_image, configure_image, finish_image
from tinyedge.firmware.image import FirmwareImage, ImageOptions
from tinyedge.firmware.mlperf import prepare_benchmark
from tinyedge.installation import install_command
from tinyedge.runtimes.apart import ApartRuntime
from tinyedge.runtimes.tflm_model import tflm_content
from tinyedge.tflite.frames import random_frames
from tinyedge.tflite.model import Model
from tinyedge.tflite.reader import parse_tflite

# The interpreter aligns its allocations to this, so sizes in between need not be tried.
_STEP_BYTES = 16
# Room for the scratch of a library's kernels, which the host's do not need: at most 7 KB in models of MLPerf Tiny.
_SCRATCH_BYTES = 16384


def build_tflm_firmware(model: Model, board: Board, out: Path, options: ImageOptions) -> FirmwareImage:
    """Build an image that runs a model through TFLite Micro.

    Args:
        model: Any .tflite file that the interpreter takes.
        board: What to build for.
        out: Receives tinyedge.elf, .bin, .hex and .map, once all of them are made.
        options: As for `tinyedge.firmware.build.build_firmware`.

    Raises:
        TinyEdgeError: As for `tinyedge.firmware.build.build_firmware`; besides, the library that TFLM_ROOT names
            is missing or would not run, or the model does not start on the emulated board.
    """
    check_tflm_model(model)
    graph, content = model.any_graph(), tflm_content(model)
    operators = model.file_operators() if content is model.content else parse_tflite(model.path, content).operators
    value = random_frames(graph.inputs, 1, seed=0)
    with ApartRuntime("tflm", model) as host:
        expected, host_arena_bytes = host.run(value).tobytes(), host.arena_bytes_32bit
    if host_arena_bytes is None:
        raise TargetError(
            f"the Python package tflite-micro is too old to tell its arena: run `{install_command('bench')}`"
        )
    with tempfile.TemporaryDirectory(prefix="tinyedge-tflm-") as folder:
        sources, build = Path(folder) / "model", Path(folder) / "build"
        sources.mkdir()
        build.mkdir()
        emit_for_tflm(graph, operators, content, sources)
        headers = prepare_benchmark(model.path, model.graph(), options.mlperf_id) if options.mlperf_id else {}
        for name, text in headers.items():
            (sources / name).write_text(text)
        arena_bytes = _round_up(host_arena_bytes + _SCRATCH_BYTES)
        emit_tflm_arena(arena_bytes, sources)
        twin = emulated_twin(board)
        if twin is not None:
            configure_image(sources, twin, build, ImageOptions(runtime="tflm"))

            def run(candidate_bytes: int) -> tuple[int, bytes]:
                emit_tflm_arena(candidate_bytes, sources)
                compile_image(build, twin, twin.sram)
                return _run_on(twin, build, value.tobytes())

            arena_bytes = _search_arena(run, expected, arena_bytes)
            emit_tflm_arena(arena_bytes, sources)
        configure_image(sources, board, build, options)
        try:
            return finish_image(build, board, out, options)
        except RegionsOverflowed as error:
            raise BudgetExceeded(
                f"{model.path} does not fit: {error}; TFLite Micro takes {arena_bytes:,} bytes of arena and the whole "
                "file: build it with --runtime aot or choose another --board"
            ) from error


def check_tflm_model(model: Model) -> None:
    """Make sure that firmware can be built of a model, as far as that is known without its interpreter and CMake.

    Raises:
        ModelError: The file is damaged or holds a type that firmware cannot tell of.
        UnsupportedOpError: An operator is none of TFLite's own.
    """
    graph = model.any_graph()
    check_interface(graph)
    for role, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in tensors:
            if tensor.dtype.name not in C_TYPES:
                raise ModelError(
                    f"{role} '{tensor.name}' of {model.path} is {tensor.dtype.name}, and firmware takes and gives "
                    f"{', '.join(C_TYPES)}: convert the model with another type at its ends"
                )
    resolver_source(graph, model.file_operators())


def emulated_twin(board: Board) -> Board | None:
    """Return the emulated board with the most RAM that runs the same instructions, on which the same library runs.

    Returns:
        None where QEMU has none; `board` itself may be it.
    """
    twins = [
        other
        for other in map(load_board, board_names())
        if other.emulator is not None and (other.cpu, other.cpu_flags) == (board.cpu, board.cpu_flags)
    ]
    return max(twins, key=lambda other: other.ram_bytes, default=None)


def smallest_arena(fits: Callable[[int], bool], guess: int, roomy: int) -> int:
    """Return the smallest arena that fits, in steps of 16 bytes.

    Args:
        fits: Whether the model runs in an arena of so many bytes; if it does, it runs in every larger one.
        guess: Where to begin; a multiple of 16. The nearer it is, the fewer sizes are tried, at least two.
        roomy: A size that is known to fit; a multiple of 16.
    """
    step, small, large = _STEP_BYTES, 0, roomy
    candidate = min(guess, roomy)
    while small < candidate < large:  # Outwards from the guess, twice as far each time, until both sides are known.
        if fits(candidate):
            large = candidate
            candidate = large - step if small == 0 else large
        else:
            small = candidate
            candidate = small + step if large == roomy else small
        step *= 2
    while large - small > _STEP_BYTES:
        middle = small + _round_up((large - small) // 2)
        if fits(middle):
            large = middle
        else:
            small = middle
    return large


def _search_arena(run: Callable[[int], tuple[int, bytes]], expected: bytes, roomy: int) -> int:
    """Find the smallest arena in which the model starts and gives the expected output.

    Args:
        run: Runs the model in an arena; returns what the interpreter says it uses, and the output.
        expected: The output of the interpreter on this machine.
        roomy: Enough for any kernel's scratch.

    Raises:
        TargetError: The model does not run in `roomy` bytes, or gives another output.
    """
    used_bytes, output = run(roomy)
    if output != expected:
        raise TargetError(
            "the library of TFLM_ROOT does not give the output of the interpreter on this machine, byte for byte: "
            "build it from a version of tflite-micro near the installed package's"
        )

    def fits(candidate_bytes: int) -> bool:
        try:
            return run(candidate_bytes)[1] == expected
        except TargetError:  # It does not start, or faults.
            return False

    return smallest_arena(fits, _round_up(used_bytes), roomy)


def _run_on(twin: Board, build: Path, value: bytes) -> tuple[int, bytes]:
    with Emulator(build / "tinyedge.elf", twin) as emulator:
        client = emulator.client
        client.load(value)
        client.infer(1, warmup=0)
        return client.info().arena_bytes, client.raw()


def _round_up(size: int) -> int:
    return -(-size // _STEP_BYTES) * _STEP_BYTES
