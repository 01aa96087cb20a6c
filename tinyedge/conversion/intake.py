"""Anybody's float network to a float graph in canonical form, and the proof that it computes the same."""

import dataclasses
import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.conversion.canonical import canonical
from tinyedge.conversion.converter import Converter
from tinyedge.conversion.network import Layout, SourceNetwork
from tinyedge.conversion.onnx_source import OnnxSource, plain_input, read_onnx, runner
from tinyedge.conversion.simplify import without_outer_transposes
from tinyedge.errors import ModelError
from tinyedge.runtimes.litert_session import BUILT_IN, LitertSession
from tinyedge.tflite.frames import empty_frames, parts_of
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.writer import tflite_bytes

if TYPE_CHECKING:
    from torch import nn

_PROBES = 2  # Random inputs by which the graph is compared with its source.
_TOLERANCE = 1e-3  # Of the largest output, which float32 keeps by a hundred times.

Run = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


def read_network(
    model: "Path | nn.Module",
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    example_inputs: Sequence[np.ndarray] = (),
) -> SourceNetwork:
    """Read a float network.

    Args:
        model: An ONNX file of opset 11 to 23, or a module, which is not changed.
        input_shapes: By input name, of an ONNX file's inputs whose dimensions are open; a free batch is 1 without.
        example_inputs: For a module, an array (1, ...) float32 an input, as it takes them.

    Raises:
        ModelError: It cannot be read, is not float, has an open dimension, or could not be converted to the same
            function.
        UnsupportedOpError: It holds an operator, named with its node, that has no INT8 form.
        ToolMissing: A package of the extra `export` is not installed.
    """
    with Converter() as converter, tempfile.TemporaryDirectory(prefix="tinyedge-onnx-") as folder:
        if isinstance(model, Path):
            source = read_onnx(model, input_shapes or {})
            return _converted(converter, source, model.stem, runner(source))
        from tinyedge.conversion import module as modules

        network = modules.inference_copy(model)
        file = Path(folder, f"{type(model).__name__}.onnx")
        modules.export_module(network, example_inputs, file)
        return _converted(converter, read_onnx(file, {}), file.stem, modules.runner(network))


def _converted(converter: Converter, source: OnnxSource, name: str, run: Run) -> SourceNetwork:
    """Convert a network and prove that `run` computes the same."""
    converted = converter.convert(source.folded, [plain_input(at) for at in range(len(source.inputs))])
    graph = canonical(converted, *([name for name, _ in values] for values in (source.inputs, source.outputs)))
    graph, orders = without_outer_transposes(graph)
    graph = dataclasses.replace(graph, name=name)
    inputs = tuple(Layout(name, shape, order) for (name, shape), order in zip(source.inputs, orders, strict=True))
    generator = np.random.default_rng(0)
    probes = [generator.standard_normal((_PROBES, *layout.shape[1:]), np.float32) for layout in inputs]
    expected = run(probes)
    computed = run_graph(graph, [layout.to_graph(values) for layout, values in zip(inputs, probes, strict=True)])
    outputs = tuple(
        Layout(output, (1, *wanted.shape[1:]), _order_of(wanted, found, output, name))
        for (output, _), wanted, found in zip(source.outputs, expected, computed, strict=True)
    )
    notes = [*source.notes]
    notes += [
        f"{kind} {layout.name}, {layout.shape} in the source, is {layout.graph_shape} in the model"
        for kind, layouts in (("input", inputs), ("output", outputs))
        for layout in layouts
        if not layout.is_kept
    ]
    return SourceNetwork(graph, inputs, outputs, tuple(notes), run)


def run_graph(graph: Graph, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Run arrays (n, ...), one an input of a float graph, through LiteRT; return (n, ...) an output."""
    session = LitertSession(tflite_bytes(graph), BUILT_IN)
    frames = empty_frames(len(inputs[0]), graph.inputs)
    for part, values in zip(parts_of(frames), inputs, strict=True):
        part[...] = values
    return list(parts_of(session.run_frames(frames, graph.outputs)))


def _order_of(expected: np.ndarray, computed: np.ndarray, output: str, model: str) -> tuple[int, ...]:
    """Return the order of the axes of an output's expected values that makes them the computed ones."""
    limit = _TOLERANCE * max(float(np.abs(expected).max(initial=0)), 1e-6)
    worst = np.inf
    for rest in itertools.permutations(range(1, expected.ndim)):
        moved = expected.transpose(0, *rest)
        if moved.shape == computed.shape:
            error = float(np.abs(moved - computed).max(initial=0))
            if error <= limit:
                return (0, *rest)
            worst = min(worst, error)
    raise ModelError(
        f"output {output} of {model} is off by {worst:.3g} after conversion, more than {limit:.3g}: the converter "
        "made another function of it; export the network to a float .tflite file with its own framework"
    )
