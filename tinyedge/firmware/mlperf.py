"""What MLPerf Tiny's benchmarks send to a model and take from it (mlcommons/tiny, benchmark/runner and data sets)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyedge.errors import ModelError
from tinyedge.manifest.beside import manifest_of
from tinyedge.manifest.preprocess import input_table
from tinyedge.tflite.graph import Graph

_PIXEL_ZERO_POINT = -128


@dataclass(frozen=True)
class Benchmark:
    """One benchmark of the closed division.

    Attributes:
        task: In words.
        sent: What the runner sends for one inference.
        shape: Of the input, the batch of 1 included; where it is no image, only its number of values counts.
        outputs: Values of the output.
        pixels: Whether the input is an image of uint8 RGB pixels.
    """

    task: str
    sent: str
    shape: tuple[int, ...]
    outputs: int
    pixels: bool = False


BENCHMARKS = {
    "ic01": Benchmark("image classification", "3072 uint8 RGB bytes", (1, 32, 32, 3), 10, pixels=True),
    "vww01": Benchmark("visual wake words", "27648 uint8 RGB bytes", (1, 96, 96, 3), 2, pixels=True),
    "kws01": Benchmark("keyword spotting", "490 int8 values", (1, 49, 10, 1), 12),
    "ad01": Benchmark("anomaly detection", "640 float32 values", (1, 640), 640),
}
MLPERF_IDS = tuple(BENCHMARKS)


def prepare_benchmark(model: Path, graph: Graph, mlperf_id: str) -> dict[str, str]:
    """Check that a model takes what a benchmark sends, and return what the firmware needs to feed it.

    The runner sends pixels as they are. Models made for MLPerf Tiny take them less 128. An exported run says in the
    `export.json` beside its model how it normalises them; the firmware then gets that as a table.

    Args:
        model: The file.
        graph: What is in it.
        mlperf_id: One of `MLPERF_IDS`.

    Returns:
        The text of C headers by file name; empty for most models.

    Raises:
        ModelError: The model has another input or output, or its normalisation is not known.
    """
    benchmark = BENCHMARKS[mlperf_id]
    _check_shapes(model, graph, benchmark, mlperf_id)
    if not benchmark.pixels:
        return {}
    table = _pixel_table(model, graph)
    if table is not None:
        return {"te_pixel_table.h": _header(table)}
    zero_point = graph.inputs[0].quantisation.zero_point if graph.inputs[0].quantisation else 0
    if zero_point != _PIXEL_ZERO_POINT:
        raise ModelError(
            f"{model} has the input zero point {zero_point}, so it takes normalised pixels, and the file does not say "
            f"how; {mlperf_id} sends them as they are: give the run directory, or keep the export.json of "
            "`tinyedge export` beside the file"
        )
    return {}


def _check_shapes(model: Path, graph: Graph, benchmark: Benchmark, mlperf_id: str) -> None:
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            f"{model} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, and {mlperf_id} "
            f"({benchmark.task}) takes one of each: choose another --mlperf, or none"
        )
    shape, outputs = graph.inputs[0].shape, graph.outputs[0].elements
    wanted = "x".join(str(size) for size in benchmark.shape)
    found = "x".join(str(size) for size in shape)
    fits = shape == benchmark.shape if benchmark.pixels else int(np.prod(shape)) == int(np.prod(benchmark.shape))
    if not fits:
        raise ModelError(
            f"{model} takes {found}, and {mlperf_id} ({benchmark.task}) sends {benchmark.sent}, an input of {wanted}: "
            "choose another --mlperf, or none"
        )
    if outputs != benchmark.outputs:
        raise ModelError(
            f"{model} gives {outputs} values, and {mlperf_id} ({benchmark.task}) takes {benchmark.outputs}: "
            "choose another --mlperf, or none"
        )


def _pixel_table(model: Path, graph: Graph) -> np.ndarray | None:
    """(C, 256) int8 of the manifest that lies beside this file; None where there is none."""
    manifest = manifest_of(model)
    return None if manifest is None else input_table(manifest)


def _header(table: np.ndarray) -> str:
    rows = "".join(f"    {{{', '.join(str(value) for value in channel)}}},\n" for channel in table)
    return (
        "/** @file te_pixel_table.h\n"
        " *  The model's int8 input of every pixel value of every channel, red first. */\n"
        "#ifndef TE_PIXEL_TABLE_H\n#define TE_PIXEL_TABLE_H\n\n#include <stdint.h>\n\n"
        f"static const int8_t te_pixel_table[{len(table)}][256] = {{\n{rows}}};\n\n"
        "#endif /* TE_PIXEL_TABLE_H */\n"
    )
