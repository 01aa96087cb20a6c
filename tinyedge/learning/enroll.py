"""Teaches a device classes through the serial protocol, and asks it what it learned."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.boards.board import Board
from tinyedge.compiler.program import compile_graph
from tinyedge.devices.emulator import Emulator
from tinyedge.devices.serial import DeviceClient
from tinyedge.errors import TargetError
from tinyedge.firmware.build import build_firmware
from tinyedge.firmware.image import ImageOptions
from tinyedge.learning.embedding import read_embedding
from tinyedge.learning.nearest_mean import NearestMean
from tinyedge.learning.task import FewShotTask, draw_task, load_images
from tinyedge.manifest.manifest import read_manifest
from tinyedge.manifest.model_path import resolve_model
from tinyedge.manifest.preprocess import quantise_images
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.shell import command_line
from tinyedge.tflite.graph import Graph

Announce = Callable[[str], None]


@dataclass(frozen=True)
class EnrollOptions:
    """What to teach and to ask.

    Attributes:
        data: A folder that holds a folder of images for each class.
        shots: Examples a class.
        queries: Images a class to classify after that.
        classes: Names of class folders; all of them where it is empty.
        seed: Of the draw of the files.
        save: Whether the device writes the classes into its flash.
        check: Whether this machine computes the same and compares every class and distance.
    """

    data: Path
    shots: int = 5
    queries: int = 15
    classes: tuple[str, ...] = ()
    seed: int = 0
    save: bool = True
    check: bool = True


@dataclass(frozen=True)
class Answer:
    """What the device said to one image.

    Attributes:
        file: The image.
        label: The class that it is of, by number.
        nearest: The class that the device named.
        distance: 1 - cosine to that class's mean, in units of 2^-24.
    """

    file: str
    label: int
    nearest: int
    distance: int


@dataclass(frozen=True)
class EnrollReport:
    """What was learned.

    Attributes:
        model: The file.
        board: What the device says it is.
        store: Where it says it saves classes.
        classes: Their names by number.
        shots: Examples that each was learned from.
        answers: One a query.
        saved: The number of the save; None where it was not asked for.
        differing: How many answers are not what this machine computes; None where it did not.
    """

    model: str
    board: str
    store: str
    classes: tuple[str, ...]
    shots: int
    answers: tuple[Answer, ...]
    saved: int | None
    differing: int | None

    @property
    def accuracy(self) -> float:
        """The share of right answers, in [0, 1]."""
        return float(np.mean([answer.nearest == answer.label for answer in self.answers]))

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {"schema": 1, "accuracy": self.accuracy, **asdict(self)}


@dataclass(frozen=True)
class Lesson:
    """A task as the model takes it.

    Attributes:
        model: The .tflite file.
        graph: The model, with the embedding as its output.
        task: The files.
        support: (ways * shots, H, W, C) int8.
        queries: (n, H, W, C) int8.
    """

    model: Path
    graph: Graph
    task: FewShotTask
    support: np.ndarray
    queries: np.ndarray


def open_lesson(source: Path, options: EnrollOptions) -> Lesson:
    """Draw the task and make the model's inputs of it.

    Args:
        source: A run directory with an INT8 export, or a .tflite file with its export.json beside it.
        options: What to teach.

    Raises:
        DataError: The folder holds too little.
        ModelError: The model or its manifest cannot be read, or the model has no embedding.
    """
    model = resolve_model(source)
    graph = read_embedding(model)
    manifest = read_manifest(model.parent)
    task = draw_task(options.data, options.shots, options.queries, options.seed, options.classes)
    support, queries = (
        quantise_images(load_images(examples, manifest), manifest) for examples in (task.support, task.queries)
    )
    return Lesson(model, graph, task, support, queries)


def enroll_emulated(lesson: Lesson, board: Board, options: EnrollOptions, announce: Announce) -> EnrollReport:
    """Build the firmware for an emulated board and teach that.

    Raises:
        BudgetExceeded: The image does not fit the board, or the classes do not fit its store.
        ConfigError: The board is not emulated or saves no classes.
        ToolMissing: The cross compiler, the emulator or, for the check, a C compiler is missing.
    """
    announce(f"building for {board.name}")
    with tempfile.TemporaryDirectory(prefix="tinyedge-enroll-") as folder:
        image = build_firmware(lesson.model, board, Path(folder), ImageOptions(classes=len(lesson.task.classes)))
        with Emulator(image.elf, board) as emulator:
            return teach(emulator.client, lesson, options, announce)


def teach(client: DeviceClient, lesson: Lesson, options: EnrollOptions, announce: Announce) -> EnrollReport:
    """Replace a device's classes by those of a task, and let it classify the task's queries.

    Args:
        client: The device runs an image of this model that was built with `--enroll`.
        lesson: What to teach.
        options: How.
        announce: Called with what is being done.

    Raises:
        TargetError: The device does not answer, runs another model, or learns fewer classes.
        ToolMissing: For the check, a C compiler is missing.
    """
    task = lesson.task
    client.check_model(lesson.graph.sha256)
    info = client.info()
    if info.classes < len(task.classes):
        build = command_line("tinyedge", "build", lesson.model, "--board", info.board, "--enroll", len(task.classes))
        raise TargetError(
            f"the device learns {info.classes} classes and {len(task.classes)} are to be learned: build it with "
            f"`{build}`, or give fewer --classes"
        )
    for which in range(info.classes):
        client.forget(which)
    for number, (example, image) in enumerate(zip(task.support, lesson.support, strict=True), start=1):
        announce(f"learning {number} of {len(task.support)}")
        client.load(image.tobytes())
        client.enroll(example.label)
    saved = client.save() if options.save else None
    answers = []
    for number, (example, image) in enumerate(zip(task.queries, lesson.queries, strict=True), start=1):
        announce(f"classifying {number} of {len(task.queries)}")
        client.load(image.tobytes())
        answers.append(Answer(str(example.file), example.label, *client.classify()))
    differing = None
    if options.check:
        announce("computing the same on this machine")
        expected = classify_on_host(lesson)
        differing = sum((answer.nearest, answer.distance) != one for answer, one in zip(answers, expected, strict=True))
    return EnrollReport(
        model=str(lesson.model),
        board=info.board,
        store=info.store,
        classes=task.classes,
        shots=options.shots,
        answers=tuple(answers),
        saved=saved,
        differing=differing,
    )


def classify_on_host(lesson: Lesson) -> list[tuple[int, int]]:
    """Return the nearest class and its distance for each query, from our C on this machine and `NearestMean`.

    Raises:
        ToolMissing: There is no working C compiler.
    """
    runtime = AotRuntime.from_program(compile_graph(lesson.graph))
    host = NearestMean(len(lesson.task.classes), runtime.program.outputs[0].q.zero_point)
    for example, embedding in zip(lesson.task.support, runtime.run(lesson.support), strict=True):
        host.enroll(example.label, embedding)
    return [host.classify(embedding) for embedding in runtime.run(lesson.queries)]
