"""`bench` for a run directory or anybody's INT8 .tflite file."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from tinyedge.announce import SILENCE, Progress, silent
from tinyedge.benchmark.board import bench_board
from tinyedge.benchmark.budget import BudgetRow, budget_rows
from tinyedge.benchmark.inputs import LabelledInputs
from tinyedge.benchmark.measure import BenchOptions, Subject, bench_emulator, bench_host
from tinyedge.benchmark.record import BenchReport
from tinyedge.boards.board import DEFAULT_BOARD, load_board
from tinyedge.devices.ports import AUTO, resolve_port
from tinyedge.errors import ConfigError
from tinyedge.firmware.image import FIRMWARE_RUNTIMES, ImageOptions
from tinyedge.manifest.manifest import EXPORT_FOLDER
from tinyedge.manifest.model_path import resolve_model
from tinyedge.runtimes.open import RUNTIMES, check_runtime
from tinyedge.runtimes.reference import functions_by_litert
from tinyedge.tflite.model import Model

DEFAULT_BAUD = 115200

_TARGETS = ("host", "emulator", "board")

# Every image crosses the serial line and costs a second or so.
_BOARD_ACCURACY_IMAGES = 20

_RUNTIME_PACKAGES = {"onnx": "onnxruntime", "litert": "ai_edge_litert", "tflm": "tflite_micro"}


def run_bench(
    source: Path,
    *,
    target: str = "host",
    board_name: str | None = None,
    runtime: str | None = None,
    inputs: int = 20,
    seed: int = 0,
    input_path: Path | None = None,
    outputs_path: Path | None = None,
    accuracy_images: int | None = None,
    data: str | None = None,
    layers: bool = False,
    port: str = AUTO,
    timed_runs: int = 10,
    cascade: str = "auto",
    optimize: str = "balanced",
    kernels_in: str = "flash",
    weights_in: str = "flash",
    announce: Callable[[str], None] = silent,
    progress: Progress = SILENCE,
) -> tuple[BenchReport, list[BudgetRow]]:
    """Measure a model on one target.

    Args:
        source: A run directory with an INT8 export, a full-INT8 .tflite file, or a model of the zoo.
        target: "host", "emulator" or "board".
        board_name: The board; None is the default one on the emulator, and whatever answers at the port.
        runtime: One of `RUNTIMES`, "all", or None for all that the target and the source have.
        inputs: How many inputs to compare: test images of a run, else random ones.
        seed: Of the random inputs.
        input_path: A .npy or .npz file of inputs to run instead.
        outputs_path: Where the outputs go, as .npy.
        accuracy_images: Test images for the accuracy; None is all on the host and 20 elsewhere.
        data: Data set in place of the one that a run names.
        layers: Whether to measure each layer; emulator only.
        port: The serial port of a board, or "auto".
        timed_runs: Of how many inferences a board's medians are.
        cascade: As `tinyedge.compiler.options.CompileOptions` has it.
        optimize: The same.
        kernels_in: As `tinyedge.firmware.image.ImageOptions` has it; emulator only.
        weights_in: The same.
        announce: Called with the name of each step when it begins, but those of a board.
        progress: Hears how far a board is.

    Returns:
        The report, and the budgets that it is held against.
    """
    if target not in _TARGETS:
        raise ConfigError(f"no such target: {target}; choose --target host, emulator or board")
    if target != "emulator" and (kernels_in, weights_in) != ("flash", "flash"):
        raise ConfigError(
            "what lies in RAM is measured on an emulated board, or on one that runs an image built so: add --target "
            "emulator, or leave --kernels-in and --weights-in out"
        )
    if target == "host" and runtime not in (None, "all"):
        check_runtime(runtime)
    board = load_board(board_name or DEFAULT_BOARD)
    if target != "board":
        announce("loading")
    subject = open_subject(source, data)
    image = ImageOptions(cascade=cascade, optimize=optimize, kernels_in=kernels_in, weights_in=weights_in)
    images = _BOARD_ACCURACY_IMAGES if accuracy_images is None else accuracy_images
    if target == "host":
        names = _host_runtimes(runtime, subject)
        options = BenchOptions(names, inputs, seed, input_path, outputs_path, accuracy_images, layers, image=image)
        report = bench_host(subject, options, announce)
    elif target == "emulator":
        names = {None: ("aot",), "all": FIRMWARE_RUNTIMES}.get(runtime, (str(runtime),))
        options = BenchOptions(names, inputs, seed, input_path, outputs_path, images, layers, image=image)
        report = bench_emulator(subject, board, options, announce)
    else:
        names = () if runtime in (None, "all") else (runtime,)
        options = BenchOptions(names, inputs, seed, input_path, outputs_path, images, layers, timed_runs)
        wanted = None if board_name is None else board
        report = bench_board(subject, resolve_port(port), DEFAULT_BAUD, wanted, options, progress)
        board = wanted or load_board(str(report.results[0].board))
    return report, budget_rows(report, board)


def open_subject(source: Path, data: str | None = None) -> Subject:
    """Find the model of `source`, its test images, and where it is a run its float ONNX file.

    Args:
        source: As for `run_bench`. A file has test images where `data` names them and its export.json lies beside it.
        data: As for `run_bench`.
    """
    path = resolve_model(source)
    if path.parent != source / EXPORT_FOLDER:
        return Subject(Model(path), test=None if data is None else _named_inputs(path, data))
    onnx = path.with_name("model.onnx")
    return Subject(Model(path), onnx if onnx.is_file() else None, _test_inputs(source, data))


def _test_inputs(run_path: Path, data: str | None) -> LabelledInputs | None:
    """Return the run's test images in the model's quantisation, or None for an encoder or a set without labels."""
    from tinyedge.manifest.manifest import read_manifest
    from tinyedge.manifest.preprocess import quantise_images
    from tinyedge.training.run import load_run

    run = load_run(run_path, data)
    manifest = read_manifest(run_path / EXPORT_FOLDER)
    test = run.load_probed_dataset().test
    if not manifest.classes or test is None or test.labels is None:
        return None
    return LabelledInputs(quantise_images(test.images.numpy(), manifest), test.labels.numpy())


def _named_inputs(model: Path, data: str) -> LabelledInputs:
    """Return the test images of a data set as the manifest beside a model says that it takes them."""
    from tinyedge.data.registry import load_dataset
    from tinyedge.manifest.manifest import read_manifest
    from tinyedge.manifest.preprocess import quantise_images

    manifest = read_manifest(model.parent)
    dataset = load_dataset(
        data, image_size=manifest.input.shape[1], channels=manifest.input.shape[3], labels_required=True
    )
    if dataset.test is None or dataset.test.labels is None:
        raise ConfigError(f"{data} has no test images: give a folder with train/CLASS and test/CLASS")
    if tuple(manifest.classes) != dataset.classes:
        raise ConfigError(f"the classes of {data} are not those of {model}: {', '.join(manifest.classes) or 'none'}")
    return LabelledInputs(quantise_images(dataset.test.images.numpy(), manifest), dataset.test.labels.numpy())


def _host_runtimes(runtime: str | None, subject: Subject) -> tuple[str, ...]:
    """Return the runtime asked for, or all that are installed and can run the subject."""
    if runtime not in (None, "all"):
        return (str(runtime),)
    unable = {"onnx"} if subject.onnx is None else set()
    if functions_by_litert(subject.model.any_graph()):
        unable.add("tflm")
    return tuple(
        name
        for name in RUNTIMES
        if name not in unable and (name not in _RUNTIME_PACKAGES or find_spec(_RUNTIME_PACKAGES[name]) is not None)
    )
