"""Classes of image files, from a model on this machine, an emulated board or a board."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.boards.board import DEFAULT_BOARD, Board, load_board
from tinyedge.compiler.costs import board_costs
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import Program, compile_graph
from tinyedge.devices.board_line import BoardLine
from tinyedge.devices.emulator import Emulator
from tinyedge.devices.ports import AUTO, resolve_port
from tinyedge.devices.serial import DeviceClient
from tinyedge.errors import ConfigError, DataError, ModelError
from tinyedge.firmware.build import build_firmware, build_program
from tinyedge.firmware.image import FIRMWARE_RUNTIMES, ImageOptions
from tinyedge.manifest.beside import ImageManifest, manifest_of
from tinyedge.manifest.model_path import resolve_model
from tinyedge.prediction.inputs import Preprocessing, Skipped, preprocessing_of
from tinyedge.runtimes.open import open_runtime
from tinyedge.shell import command_line
from tinyedge.tflite.frames import frames_from_bytes
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.model import Model

TARGETS = ("host", "emulator", "board")
SCHEMA = 1

_BAUD = 115200
_CHUNK = 256  # Images that are held at a time.


@dataclass(frozen=True)
class ClassProbability:
    """A class and how probable the model finds it, in [0, 1]."""

    name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What the model says of an image.

    Attributes:
        file: The image.
        classes: The most probable ones, the first the most.
    """

    file: str
    classes: tuple[ClassProbability, ...]


@dataclass(frozen=True)
class PredictReport:
    """Predictions for some images.

    Attributes:
        model: The .tflite file.
        target: One of `TARGETS`.
        runtime: What ran the model.
        board: On which board, for "emulator" and "board".
        assumption: What was assumed of the model's input and classes; None where its manifest says it.
        predictions: In the order of the files.
        skipped: Files that could not be read.
    """

    model: str
    target: str
    runtime: str
    board: str | None
    assumption: str | None
    predictions: tuple[Prediction, ...]
    skipped: tuple[Skipped, ...]

    def to_json(self) -> dict[str, Any]:
        """As the documented JSON object."""
        return {"schema": SCHEMA, **asdict(self)}


def predict_images(
    source: Path | str,
    files: Sequence[Path],
    *,
    target: str = "host",
    runtime: str | None = None,
    board: str | Path | None = None,
    port: str = AUTO,
    top: int = 3,
    missing: Sequence[Skipped] = (),
    announce: Callable[[str], None] = lambda sentence: None,
) -> PredictReport:
    """Classify image files.

    Args:
        source: A run directory with a quantised export, a full-INT8 .tflite file, or a model of the zoo.
        files: The images.
        target: One of `TARGETS`.
        runtime: On the host "aot" (our C), "litert", "tflm" or "onnx"; on the emulator "aot" or "tflm"; a board has
            one. None is "aot".
        board: A board's name or description; None is the default one on the emulator, and whatever answers at the port.
        port: The serial port of a board, or "auto".
        top: How many classes are named for an image.
        missing: What was named and is not among the files, for the report.
        announce: Called with what is being done.

    Raises:
        ConfigError: There is no such target, runtime or board, or the model puts out no classes.
        DataError: No file can be read.
        ModelError: The model cannot be read or takes no images.
        TargetError: The emulator or the board does not answer, or runs another model.
        ToolMissing: A runtime or a tool of the build is not installed.
    """
    if target not in TARGETS:
        raise ConfigError(f"no such target: {target}; choose --target {', '.join(TARGETS)}")
    if top < 1:
        raise ConfigError(f"--top is {top}, but has to be 1 or more")
    described = load_board(board or DEFAULT_BOARD)
    model = Model(resolve_model(source))
    graph = model.graph()
    manifest = manifest_of(model.path)
    names = _class_names(model.path, graph, manifest)
    preprocessing = preprocessing_of(graph, manifest).for_files(files)
    skipped = [*missing]
    batches = _read(files, preprocessing, skipped)
    first = next(batches, None)
    if first is None:  # Before anything is built.
        raise DataError(f"no image can be read: {skipped[-1].file} ({skipped[-1].reason}); give other files")
    emulated = CompileOptions(described.instruction_set, costs=board_costs(described))
    program = compile_graph(graph.copy(), emulated if target == "emulator" else CompileOptions())
    predictions: list[Prediction] = []
    subject = _Subject(model, program, runtime, described, None if board is None else described.name, port)
    with _OPEN[target](subject, announce) as place:
        for kept, inputs in chain([first], batches):
            for file, row in zip(kept, _probabilities(place.run(inputs), graph), strict=True):
                best = np.argsort(-row, kind="stable")[:top]
                classes = tuple(ClassProbability(names[index], float(row[index])) for index in best)
                predictions.append(Prediction(str(file), classes))
    return PredictReport(
        model=str(model.path),
        target=target,
        runtime=place.runtime,
        board=place.board,
        assumption=preprocessing.assumption,
        predictions=tuple(predictions),
        skipped=tuple(skipped),
    )


@dataclass(frozen=True)
class _Subject:
    """What runs, and where; `wanted` is the board that has to answer at the port, None for any."""

    model: Model
    program: Program
    runtime: str | None
    board: Board
    wanted: str | None
    port: str


@dataclass(frozen=True)
class _Place:
    """A model that is ready to run: from (n, ...) inputs to outputs, the name of its runtime, and on which board."""

    run: Callable[[np.ndarray], np.ndarray]
    runtime: str
    board: str | None


def _read(
    files: Sequence[Path], preprocessing: Preprocessing, skipped: list[Skipped]
) -> Iterator[tuple[list[Path], np.ndarray]]:
    """Yield some files and their inputs at a time; what cannot be read is put into `skipped`."""
    for start in range(0, len(files), _CHUNK):
        kept, inputs = [], []
        for file in files[start : start + _CHUNK]:
            try:
                inputs.append(preprocessing.read(file))
                kept.append(file)
            except Exception as error:  # Pillow raises almost anything on a broken file.
                skipped.append(Skipped(str(file), " ".join(f"{type(error).__name__}: {error}".split())))
        if inputs:
            yield kept, np.stack(inputs)


@contextmanager
def _on_host(subject: _Subject, announce: Callable[[str], None]) -> Iterator[_Place]:
    name = subject.runtime or "aot"
    onnx = subject.model.path.with_name("model.onnx")
    runtime = open_runtime(name, subject.model, subject.program, onnx if onnx.is_file() else None)
    yield _Place(runtime.run, name, None)


@contextmanager
def _on_emulator(subject: _Subject, announce: Callable[[str], None]) -> Iterator[_Place]:
    name = subject.runtime or "aot"
    if name not in FIRMWARE_RUNTIMES:
        raise ConfigError(f"a board does not run {name}: choose --runtime {' or '.join(FIRMWARE_RUNTIMES)}")
    announce(f"building for {subject.board.name}")
    with tempfile.TemporaryDirectory(prefix="tinyedge-predict-") as folder:
        image = (
            build_program(subject.program, subject.board, Path(folder))
            if name == "aot"
            else build_firmware(subject.model, subject.board, Path(folder), ImageOptions(name))
        )
        with Emulator(image.elf, subject.board) as emulator:
            emulator.client.check_model(subject.program.graph.sha256)
            announce("")
            yield _Place(_on_device(emulator.run, subject.program), name, subject.board.name)


@contextmanager
def _on_board(subject: _Subject, announce: Callable[[str], None]) -> Iterator[_Place]:
    with BoardLine(resolve_port(subject.port), _BAUD, announce) as line:
        line.run(lambda client: client.check_model(subject.program.graph.sha256))
        if subject.wanted not in (None, line.info.board):
            raise ConfigError(
                f"the firmware at the port is for {line.info.board}, not {subject.wanted}: leave --board out"
            )
        if subject.runtime not in (None, line.info.runtime):
            raise ConfigError(f"the board runs the {line.info.runtime} runtime; leave --runtime out")
        yield _Place(_on_device(_through(line), subject.program), line.info.runtime, line.info.board)


_OPEN = {"host": _on_host, "emulator": _on_emulator, "board": _on_board}


def _through(line: BoardLine) -> Callable[[bytes], bytes]:
    def infer(data: bytes) -> bytes:
        def work(client: DeviceClient) -> bytes:
            return client.run(data)

        return line.run(work)

    return infer


def _on_device(infer: Callable[[bytes], bytes], program: Program) -> Callable[[np.ndarray], np.ndarray]:
    return lambda inputs: frames_from_bytes(b"".join(infer(value.tobytes()) for value in inputs), program.outputs)


def _class_names(model: Path, graph: Graph, manifest: ImageManifest | None) -> tuple[str, ...]:
    if len(graph.outputs) != 1:
        raise ModelError(f"{model} puts out {len(graph.outputs)} tensors, not the scores of classes alone")
    outputs, shape = graph.outputs[0].elements, graph.outputs[0].shape
    if manifest is None or manifest.classes is None:
        if outputs != max(shape, default=1):  # An image, a map of cells or a list of boxes.
            compiled = command_line("tinyedge", "compile", model, "--out", "c")
            raise ModelError(
                f"{model} puts out {' x '.join(map(str, shape))} numbers, not the scores of classes; "
                f"`{compiled}` gives C whose outputs other code can read"
            )
        return tuple(map(str, range(outputs)))
    if len(manifest.classes) != outputs:
        raise ConfigError(
            f"{model} puts out a feature of {outputs} numbers, not classes; "
            "run `tinyedge probe RUN`, then `tinyedge export RUN` without --encoder-only"
        )
    return manifest.classes


def _probabilities(outputs: np.ndarray, graph: Graph) -> np.ndarray:
    """Return (n, C) float64 of outputs: softmax of logits, or what the model's own softmax says."""
    (tensor,) = graph.outputs
    real: np.ndarray = outputs.reshape(len(outputs), -1).astype(np.float64)
    if tensor.quantisation is not None:
        real = (real - tensor.q.zero_point) * tensor.q.scale
    ops = [operator.op for operator in graph.operators if operator.op not in ("QUANTIZE", "DEQUANTIZE")]
    if ops[-1:] == ["SOFTMAX"]:
        probabilities: np.ndarray = real
        return probabilities
    exponential = np.exp(real - real.max(axis=1, keepdims=True))
    probabilities = exponential / exponential.sum(axis=1, keepdims=True)
    return probabilities
