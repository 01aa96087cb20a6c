"""Measure a model on the host and on an emulated board, and compare every output with TFLite Micro's."""

import hashlib
import importlib.metadata
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.announce import silent
from tinyedge.benchmark.inputs import LabelledInputs, first_per_class_round, read_inputs
from tinyedge.benchmark.record import BenchRecord, BenchReport, LayerRecord, ModelledCycles, ModelRecord
from tinyedge.boards.board import Board, emulated_board
from tinyedge.compiler.costs import board_costs
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import Program, compile_graph, count_parameters
from tinyedge.cycles.count import CycleCounter, cycle_counter
from tinyedge.cycles.model import CycleModel, cycle_model
from tinyedge.cycles.plugin import cycle_plugin
from tinyedge.devices.emulator import Emulator
from tinyedge.errors import ConfigError, ToolMissing
from tinyedge.firmware.build import build_firmware, build_program
from tinyedge.firmware.image import FIRMWARE_RUNTIMES, FirmwareImage, ImageOptions
from tinyedge.ops import operator_macs
from tinyedge.plural import counted
from tinyedge.runtimes.apart import INTERPRETERS, ApartRuntime
from tinyedge.runtimes.base import Runtime
from tinyedge.runtimes.open import open_runtime
from tinyedge.tflite.frames import count_differing, frames_from_bytes, random_frames
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.model import Model
from tinyedge.toolchain import find_tool
from tinyedge.version import __version__

# TFLite Micro's reference kernels take a tenth of a second an image; the AOT runtime, which gives the same bits, runs
# the whole test set.
_TFLM_ACCURACY_IMAGES = 256


@dataclass(frozen=True)
class BenchOptions:
    """How to measure.

    Attributes:
        runtimes: Names from `RUNTIMES`.
        inputs: How many random inputs to compare when neither a file nor test images are given.
        seed: Of the random inputs.
        input_path: A .npy or .npz file of inputs that replaces the random ones.
        outputs_path: Where the outputs of the only runtime go, as .npy.
        accuracy_images: Test images for the accuracy; None for all of them.
        layers: Whether to measure each layer; emulator only.
        timed_runs: Of how many inferences a board's medians are.
        image: What images are asked to do, and how models are compiled for the host; the runtime is that of the row.
    """

    runtimes: tuple[str, ...]
    inputs: int = 20
    seed: int = 0
    input_path: Path | None = None
    outputs_path: Path | None = None
    accuracy_images: int | None = None
    layers: bool = False
    timed_runs: int = 10
    image: ImageOptions = ImageOptions()


@dataclass(frozen=True)
class Subject:
    """The model to measure and what is known about it.

    Attributes:
        model: A .tflite file, full INT8 where it is compiled or compared with a float model.
        onnx: The float ONNX file it was made from; None for a model from elsewhere.
        test: Its test images; None where there are none.
    """

    model: Model
    onnx: Path | None = None
    test: LabelledInputs | None = None


def bench_host(subject: Subject, options: BenchOptions, announce: Callable[[str], None] = silent) -> BenchReport:
    """Run a model in the host's runtimes.

    Returns:
        A report with a record a runtime; `bit_exact` compares with TFLite Micro.

    Raises:
        ConfigError: An option does not fit the model.
        ToolMissing: A runtime that was asked for is not installed.
    """
    if options.layers:
        raise ConfigError("layers are measured on an emulated board: add --target emulator, or leave --layers out")
    program = None
    if "aot" in options.runtimes:
        announce("compiling")
        program = compile_graph(
            subject.model.graph(), CompileOptions(cascade=options.image.cascade, optimize=options.image.optimize)
        )
    graph = subject.model.any_graph()
    inputs = choose_inputs(subject, graph, options)
    announce("TFLite Micro on the host")
    golden = golden_outputs(subject.model, inputs)
    records = []
    for name in options.runtimes:
        announce(f"{name} on the host")
        limit = options.accuracy_images
        if name == "tflm":
            limit = _TFLM_ACCURACY_IMAGES if limit is None else min(limit, _TFLM_ACCURACY_IMAGES)
        with _opened(name, subject, program) as runtime:
            runtime.reset()
            outputs, times_s = runtime.run_timed(inputs)
            accuracy, images = top1(runtime.run, subject.test, limit)
            arena_bytes = runtime.arena_bytes
        records.append(
            BenchRecord(
                runtime=name,
                target="host",
                cpu=platform.machine(),
                latency_ms=float(np.median(times_s)) * 1e3,
                arena_bytes=arena_bytes,
                outputs_sha256=hashlib.sha256(outputs.tobytes()).hexdigest(),
                inputs=len(inputs),
                accuracy=accuracy,
                accuracy_images=images,
                **compare(outputs, golden),
            )
        )
        write_outputs(outputs, options)
    return make_report(subject.model, graph, records, _host_environment(options))


@contextmanager
def _opened(name: str, subject: Subject, program: Program | None) -> Iterator[Runtime]:
    """Open a runtime of the host, apart from this process where it is somebody else's C++."""
    if name not in INTERPRETERS:
        yield open_runtime(name, subject.model, program, subject.onnx)
        return
    with ApartRuntime(name, subject.model) as runtime:
        yield runtime


def bench_emulator(
    subject: Subject, board: Board, options: BenchOptions, announce: Callable[[str], None] = silent
) -> BenchReport:
    """Build the firmware for `board`, run it in the emulator through the serial protocol, and count instructions.

    Where QEMU lacks the board, another with the same core runs the instructions; sizes are always those of `board`.

    Returns:
        A report with a record a runtime. An emulator gives instructions; cycles and milliseconds are modelled.

    Raises:
        BudgetExceeded: The image does not fit the board.
        ConfigError: An option does not fit the model.
        TargetError: The emulated board does not answer.
        ToolMissing: The cross compiler or the emulator is not installed.
    """
    for name in options.runtimes:
        if name not in FIRMWARE_RUNTIMES:
            raise ConfigError(f"a board does not run {name}: choose --runtime {', '.join(FIRMWARE_RUNTIMES)} or all")
    emulated_board(board)  # Before the work, not after it.
    program = None
    if options.layers or "aot" in options.runtimes:
        announce("compiling")
        program = compile_graph(
            subject.model.graph(),
            CompileOptions(
                board.instruction_set,
                cascade=options.image.cascade,
                optimize=options.image.optimize,
                costs=board_costs(board),
            ),
        )
    graph = subject.model.any_graph()
    inputs = choose_inputs(subject, graph, options)
    announce("TFLite Micro on the host")
    golden = golden_outputs(subject.model, inputs)
    records, images = [], []
    for name in options.runtimes:
        record, outputs, image = _run_on_emulator(
            name, subject, board, graph, program, inputs, golden, options, announce
        )
        records.append(record)
        images.append(image)
        write_outputs(outputs, options)
    return make_report(subject.model, graph, records, _emulator_environment(options, images))


def _run_on_emulator(
    runtime: str,
    subject: Subject,
    board: Board,
    graph: Graph,
    program: Program | None,
    inputs: np.ndarray,
    golden: np.ndarray | None,
    options: BenchOptions,
    announce: Callable[[str], None],
) -> tuple[BenchRecord, np.ndarray, FirmwareImage]:
    """Build an image for one runtime, and run all inputs on it."""
    machine = emulated_board(board)
    costs, not_modelled_because = _cycle_costs(board)
    with tempfile.TemporaryDirectory(prefix="tinyedge-bench-") as folder:
        announce(f"building {runtime} for {board.name}")
        asked = replace(options.image, runtime=runtime)
        image = emulated = _build(asked, subject.model, program, board, Path(folder, "board"))
        if machine is not board:
            announce(f"building {runtime} for {machine.name}")
            emulated = _build(asked, subject.model, program, machine, Path(folder, "emulated"))
        counter = None
        if costs is not None:
            out = Path(folder, "cycles")
            counter = cycle_counter(costs, emulated.elf, machine.flash, out, inference=len(inputs))
        with Emulator(emulated.elf, machine, counter.plugin if counter else "") as emulator:
            client = emulator.client
            client.check_model(graph.sha256)

            def run(values: np.ndarray) -> np.ndarray:
                answers = b"".join(emulator.run(value.tobytes()) for value in values)
                return frames_from_bytes(answers, graph.outputs)

            announce(f"{runtime} on {machine.name}, {counted(len(inputs), 'input')}")
            client.reset()
            outputs = run(inputs)
            instructions = client.instructions()
            stack_used_bytes = client.info().stack_used_bytes
            if subject.test is not None and options.accuracy_images != 0:
                announce(f"{runtime} on {machine.name}, accuracy")
            accuracy, images = top1(run, subject.test, options.accuracy_images)
        modelled = _modelled(counter, costs) if counter is not None and costs is not None else None
    layers: tuple[LayerRecord, ...] = ()
    if options.layers and program is not None:
        announce(f"layers on {machine.name}")
        layers = _profile(program, machine, inputs[-1], costs, replace(options.image, runtime=runtime, layers=True))
    record = BenchRecord(
        runtime=runtime,
        target="emulator",
        board=board.name,
        cpu=board.cpu,
        instructions=instructions,
        arena_bytes=image.sizes.arena_bytes,
        ram_bytes=image.sizes.ram_bytes,
        flash_bytes=image.sizes.flash_bytes,
        flash_code_bytes=image.sizes.flash_code_bytes,
        flash_model_bytes=image.sizes.flash_model_bytes,
        outputs_sha256=hashlib.sha256(outputs.tobytes()).hexdigest(),
        inputs=len(inputs),
        accuracy=accuracy,
        accuracy_images=images,
        layers=layers,
        stack_used_bytes=stack_used_bytes,
        code_ram_bytes=image.sizes.code_ram_bytes,
        flash_kernel_bytes=image.sizes.flash_kernel_bytes,
        emulated_on=None if machine is board else machine.name,
        modelled=modelled,
        not_modelled_because=not_modelled_because,
        **compare(outputs, golden),
    )
    return record, outputs, image


def _build(options: ImageOptions, model: Model, program: Program | None, board: Board, folder: Path) -> FirmwareImage:
    """Build the image of a runtime, of which only aot has a use for what is compiled already."""
    if options.runtime == "aot" and program is not None:
        return build_program(program, board, folder, options)
    return build_firmware(model, board, folder, options)


def _cycle_costs(board: Board) -> tuple[CycleModel | None, str]:
    """The cycle model of a board, or None and why there is none on this machine."""
    try:
        model = cycle_model(board)
        cycle_plugin()
    except (ConfigError, ToolMissing) as error:
        return None, str(error)
    return model, ""


def _modelled(counter: CycleCounter, model: CycleModel) -> ModelledCycles:
    count = counter.inference()
    milliseconds = 1e3 * count.cycles / model.clock_hz
    return ModelledCycles(count.cycles, count.flash_wait_cycles, milliseconds, model.core, model.memory, model.error)


def _profile(
    program: Program, machine: Board, value: np.ndarray, costs: CycleModel | None, options: ImageOptions
) -> tuple[LayerRecord, ...]:
    """Measure each layer in an image of its own: names and the calls between layers are in no other."""
    with tempfile.TemporaryDirectory(prefix="tinyedge-profile-") as folder:
        image = build_program(program, machine, Path(folder), options)
        counter = None
        if costs is not None:
            counter = cycle_counter(costs, image.elf, machine.flash, Path(folder, "cycles"), layers=True)
        with Emulator(image.elf, machine, counter.plugin if counter else "") as emulator:
            emulator.client.load(value.tobytes())
            layers = emulator.client.layers()
        laps = counter.laps() if counter is not None else None
    return tuple(
        LayerRecord(
            layer.name,
            layer.op,
            layer.kernel,
            layer.macs,
            layer.count,
            call.kept_because,
            None if laps is None else sum(laps[part].cycles for part in layer.parts),
        )
        for layer, call in zip(layers, program.calls, strict=True)
    )


def choose_inputs(subject: Subject, graph: Graph, options: BenchOptions) -> np.ndarray:
    """Return the user's inputs, else the first test images (class by class), else random values."""
    if options.outputs_path is not None and len(options.runtimes) != 1:
        raise ConfigError("--outputs takes the outputs of one runtime; choose it with --runtime")
    if options.input_path is not None:
        return read_inputs(options.input_path, graph.inputs)
    if subject.test is not None:
        images: np.ndarray = subject.test.values[first_per_class_round(subject.test.labels, options.inputs)]
        return images
    return random_frames(graph.inputs, options.inputs, options.seed)


def golden_outputs(model: Model, inputs: np.ndarray) -> np.ndarray | None:
    """Return TFLite Micro's outputs on the host; None where its package has no build for this machine.

    Of an int8 function that it lacks, LiteRT's results take part.
    """
    try:
        with ApartRuntime("reference", model) as runtime:
            return runtime.run(inputs)
    except ToolMissing:
        return None


def top1(
    run: Callable[[np.ndarray], np.ndarray], test: LabelledInputs | None, limit: int | None
) -> tuple[float | None, int]:
    """Return top-1 over at most `limit` test images, balanced over the classes, and how many that was."""
    if test is None or limit == 0:
        return None, 0
    chosen = first_per_class_round(test.labels, len(test.labels) if limit is None else limit)
    outputs = run(test.values[chosen])
    if outputs.dtype.names is not None:
        return None, 0  # Which of several outputs tells the class is not known.
    predicted = outputs.reshape(len(chosen), -1).argmax(axis=1)
    return float((predicted == test.labels[chosen]).mean()), len(chosen)


def compare(outputs: np.ndarray, golden: np.ndarray | None) -> dict[str, Any]:
    """Return `bit_exact` and `differing` of a record; None where there is nothing to compare with."""
    if golden is None:
        return {"bit_exact": None, "differing": None}
    differing = count_differing(outputs, golden)
    return {"bit_exact": differing == 0, "differing": differing}


def write_outputs(outputs: np.ndarray, options: BenchOptions) -> None:
    """Write the outputs where the options ask for them."""
    if options.outputs_path is not None:
        from tinyedge.atomic import atomic_path

        with atomic_path(options.outputs_path) as temporary, temporary.open("wb") as stream:
            np.save(stream, outputs)


def make_report(model: Model, graph: Graph, records: Sequence[BenchRecord], env: dict[str, Any]) -> BenchReport:
    """Return the report of a model's records."""
    from tinyedge.runtimes.reference import functions_by_litert

    return BenchReport(
        model=ModelRecord(
            path=str(model.path),
            sha256=graph.sha256,
            macs=model_macs(graph),
            params=count_parameters(graph),
            bytes=len(model.content),
        ),
        results=tuple(records),
        env={**env, "functions_by_litert": functions_by_litert(graph)},
    )


def model_macs(graph: Graph) -> int:
    """Count the multiply-accumulates of one inference, padded positions among them."""
    return sum(operator_macs(operator) for operator in graph.operators)


def _host_environment(options: BenchOptions) -> dict[str, Any]:
    """Return the environment of host runtimes, of which only aot is compiled here."""
    from tinyedge.runtimes.aot import COMPILE_FLAGS, LINK_FLAGS, compiler_version

    compiled = "aot" in options.runtimes
    return {
        "versions": package_versions(),
        "machine": platform.machine(),
        "compiler": compiler_version() if compiled else None,
        "flags": " ".join([*COMPILE_FLAGS, *LINK_FLAGS]) if compiled else None,
        "seed": options.seed,
    }


def _emulator_environment(options: BenchOptions, images: Sequence[FirmwareImage]) -> dict[str, Any]:
    return {
        "versions": {**package_versions(), "qemu": find_tool("qemu-system-arm").version},
        "machine": platform.machine(),
        "compiler": images[0].compiler,
        "flags": "; ".join(image.flags for image in images),
        "seed": options.seed,
    }


def package_versions() -> dict[str, str]:
    """Return the versions of everything whose arithmetic a report compares."""
    versions = {"tinyedge": __version__, "python": platform.python_version()}
    for package in ("numpy", "onnxruntime", "ai-edge-litert", "tflite-micro"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
