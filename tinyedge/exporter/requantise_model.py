"""A .tflite file of uint8, as converters wrote before 2020, over int8, and how near its outputs are to the old ones."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyedge.announce import silent
from tinyedge.atomic import atomic_path
from tinyedge.errors import ModelError, ToolMissing
from tinyedge.quantisation.uint8 import int8_of_uint8
from tinyedge.runtimes.litert_session import BUILT_IN, REFERENCE, LitertSession
from tinyedge.runtimes.unwritten_rows import clear_unwritten, detection_outputs
from tinyedge.tflite.detection import DETECTION_POSTPROCESS
from tinyedge.tflite.frames import empty_frames, parts_of, random_frames
from tinyedge.tflite.full_int8 import is_uint8
from tinyedge.tflite.graph import Graph, Tensor
from tinyedge.tflite.model import Model
from tinyedge.tflite.reader import parse_tflite
from tinyedge.tflite.writer import tflite_bytes

_INPUTS = 100
# LiteRT's reference kernel of int8 SUM is wrong (findings/litert_reference_kernel_of_sum_is_wrong.sh), and it has none
# for these in the versions of int8.
_NOT_BY_REFERENCE = frozenset({"DEPTH_TO_SPACE", "REVERSE_V2", "SUM", "TILE"})


@dataclass(frozen=True)
class OutputDistance:
    """Outputs of the old and the new file for the same random inputs, by LiteRT's kernels.

    Those are the reference kernels, or its built-in ones for a model that has an operator which they compute wrongly,
    or do not know in int8.

    Attributes:
        inputs: How many.
        values: How many values there are to compare, all outputs of all inputs.
        differing: How many of them are another code.
        largest_steps: The largest difference, in steps of the output's scale; of floats without one, in 255ths of the
            range of the old ones.
        same_largest: Of how many inputs the largest value of the first output is at the same place; None where that
            output is one value.
    """

    inputs: int
    values: int
    differing: int
    largest_steps: int
    same_largest: int | None


@dataclass(frozen=True)
class RequantisedModel:
    """What `tinyedge requantise` wrote.

    Attributes:
        path: The int8 file.
        bytes: Its size.
        channels: Output channels of all layers with weights.
        rescaled_channels: Those of them whose weights were rounded to a coarser scale; all others are the same.
        coarsest: The largest such scale, as a multiple of the old one.
        distance: How near its outputs are; None where they were not compared.
        not_compared: Why they were not; None where they were.
    """

    path: Path
    bytes: int
    channels: int
    rescaled_channels: int
    coarsest: float
    distance: OutputDistance | None
    not_compared: str | None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return {**asdict(self), "path": str(self.path)}


def requantised_file(model: Path) -> Path:
    """Return where the int8 file goes if nobody says: into the current folder."""
    return Path(f"{model.stem}_int8.tflite")


def requantise_model(source: Path, target: Path, announce: Callable[[str], None] = silent) -> RequantisedModel:
    """Write a uint8 file over int8, and compare both.

    Args:
        source: Of the old file.
        target: Of the new one.
        announce: Called with the name of each step when it begins.

    Raises:
        ModelError: The file is missing, damaged, not of uint8, or holds what int8 has not.
        UnsupportedOpError: It has an operator without an int8 kernel.
    """
    announce("reading")
    model = Model(source)
    graph = model.any_graph()
    if not is_uint8(graph):
        raise ModelError(
            f"{source} is not quantised to uint8 as a whole: `tinyedge check` says what it is, and `tinyedge quantise` "
            "makes int8 of a float model"
        )
    recoded = int8_of_uint8(graph)
    content = tflite_bytes(recoded.graph)
    parse_tflite(source, content).full_int8_graph()  # Refuses what int8 has not.
    announce("comparing")
    distance = not_compared = None
    try:
        distance = _distance(model.content, content, graph, recoded.graph)
    except _NotRunError as error:
        not_compared = str(error)
    announce("writing")
    with atomic_path(target) as file:
        file.write_bytes(content)
    return RequantisedModel(
        target, len(content), recoded.channels, recoded.rescaled_channels, recoded.coarsest, distance, not_compared
    )


class _NotRunError(Exception):
    """LiteRT is not there, or does not run a file: the text is a clause for the table."""


def _distance(old: bytes, new: bytes, graph: Graph, recoded: Graph) -> OutputDistance:
    """Compare two files on the same random inputs, where a code of int8 stands for the one 128 above it."""
    frames = random_frames(graph.inputs, _INPUTS, seed=0)
    kernels = BUILT_IN if any(operator.op in _NOT_BY_REFERENCE for operator in graph.operators) else REFERENCE
    before = _run("old", old, kernels, frames, graph.outputs)
    after = _run("new", new, kernels, _recoded(frames, recoded.inputs), recoded.outputs)
    for made, source in ((before, graph), (after, recoded)):
        clear_unwritten(parts_of(made), detection_outputs(source))
    values = differing = largest = 0
    for tensor, expected, found in zip(
        graph.outputs, parts_of(before), parts_of(_recoded(after, graph.outputs)), strict=True
    ):
        steps = _steps(expected, found, _step(tensor, graph))
        values, differing = values + steps.size, differing + int((steps > 0).sum())
        largest = max(largest, int(steps.max(initial=0)))
    return OutputDistance(_INPUTS, values, differing, largest, _same_largest(parts_of(before)[0], parts_of(after)[0]))


def _run(which: str, content: bytes, kernels: str, frames: np.ndarray, outputs: Sequence[Tensor]) -> np.ndarray:
    try:
        return LitertSession(content, kernels).run_frames(frames, outputs)
    except ToolMissing as error:
        raise _NotRunError("LiteRT is not installed") from error
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise _NotRunError(f"LiteRT does not run the {which} file: {reason}") from error


def _steps(expected: np.ndarray, found: np.ndarray, step: float | None) -> np.ndarray:
    """Return how many steps values are apart; without a step, in 255ths of the expected ones' range, rounded up."""
    limit = float(np.finfo(np.float32).max)
    reals, others = (
        np.nan_to_num(values.astype(np.float64), False, 0.0, limit, -limit) for values in (expected, found)
    )
    apart = np.abs(reals - others)
    steps: np.ndarray = np.ceil(apart / (np.ptp(reals) / 255 or 1.0)) if step is None else np.round(apart / step)
    return steps.astype(np.int64)


def _same_largest(before: np.ndarray, after: np.ndarray) -> int | None:
    first, second = (values.reshape(_INPUTS, -1) for values in (before, after))
    if first.shape[1] == 1:
        return None
    chosen = np.take_along_axis(first, second.argmax(1)[:, np.newaxis], axis=1)[:, 0]
    return int((chosen == first.max(1)).sum())


def _recoded(frames: np.ndarray, tensors: Sequence[Tensor]) -> np.ndarray:
    """Return frames as those of tensors that are int8 where they are uint8, or the other way round."""
    recoded = empty_frames(len(frames), tensors)
    for values, given in zip(parts_of(recoded), parts_of(frames), strict=True):
        values[...] = given if values.dtype == given.dtype else (given.view(np.uint8) ^ 128).view(values.dtype)
    return recoded


def _step(output: Tensor, graph: Graph) -> float | None:
    """Return how far two codes of an output are apart, in what it holds; None for floats that no codes became."""
    if output.dtype.kind != "f":
        return 1.0
    writer = next((operator for operator in graph.operators if output in operator.outputs), None)
    source = output if writer is None or writer.op == DETECTION_POSTPROCESS else writer.input(0)
    return None if source.quantisation is None else source.quantisation.scale
