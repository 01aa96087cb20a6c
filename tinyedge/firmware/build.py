"""Builds the firmware image of a model for a board."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tinyedge.boards.board import Board
from tinyedge.compiler.costs import board_costs
from tinyedge.compiler.embedding import cut_at_embedding
from tinyedge.compiler.emit.emitter import emit
from tinyedge.compiler.emit.names import default_name
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import Program, compile_graph
from tinyedge.errors import BudgetExceeded
from tinyedge.firmware.class_record import check_classes
from tinyedge.firmware.cmake_build import RegionsOverflowed, build_image
from tinyedge.firmware.image import FirmwareImage, ImageOptions
from tinyedge.firmware.mlperf import prepare_benchmark
from tinyedge.firmware.tflm_firmware import build_tflm_firmware
from tinyedge.ops.kernel_call import ConstantArray, KernelCall
from tinyedge.tflite.model import Model, open_model
from tinyedge.toolchain import find_build_tools


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
        return build_tflm_firmware(model, board, out, options)
    graph = model.graph()
    if options.classes:
        check_classes(options.classes, cut_at_embedding(graph).elements, board)
    headers = prepare_benchmark(model.path, graph, options.mlperf_id) if options.mlperf_id else {}
    program = compile_graph(
        graph,
        CompileOptions(
            board.instruction_set, cascade=options.cascade, optimize=options.optimize, costs=board_costs(board)
        ),
    )
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
            if "code RAM" in error.regions:
                raise BudgetExceeded(
                    f"{program.graph.name} does not fit: {error}: give --kernels-in flash or choose another --board"
                ) from error
            heaviest = " and ".join(_heaviest_layer(program, region) for region in error.regions)
            raise BudgetExceeded(
                f"{program.graph.name} does not fit: {error}; {heaviest}: make it smaller or choose another --board"
            ) from error


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
