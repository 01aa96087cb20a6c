"""Anybody's float network to a float graph in canonical form, and the proof that it computes the same."""

import dataclasses
import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinyedge.compiler.passes.fold_constants import fold_constants
from tinyedge.compiler.passes.remove_dead import remove_dead
from tinyedge.compiler.passes.separate_outputs import separate_outputs
from tinyedge.conversion.affine import fold_affine
from tinyedge.conversion.canonical import canonical
from tinyedge.conversion.converter import Converter
from tinyedge.conversion.dilations import dilate_convolutions
from tinyedge.conversion.network import Layout, SourceNetwork
from tinyedge.conversion.onnx_source import OnnxSource, describe, plain_input, read_onnx
from tinyedge.conversion.onnx_source import runner as onnx_runner
from tinyedge.conversion.ports import Port
from tinyedge.conversion.simplify import (
    flatten_into_weights,
    merge_reshapes,
    move_reshapes_behind,
    move_transposes_behind,
    move_transposes_to_inputs,
    plain_pads,
    show_transposes,
    take_operands,
    without_outer_transposes,
)
from tinyedge.conversion.tflite_source import read_float_tflite
from tinyedge.conversion.tflite_source import runner as tflite_runner
from tinyedge.errors import ModelError, UnsupportedOpError
from tinyedge.ops import descriptor_of
from tinyedge.runtimes.litert_session import BUILT_IN, LitertSession
from tinyedge.tflite.frames import empty_frames, parts_of
from tinyedge.tflite.graph import Graph, Operator
from tinyedge.tflite.writer import tflite_bytes

if TYPE_CHECKING:
    from torch import nn

_PROBES = 2  # Random inputs by which the graph is compared with its source.
_TOLERANCE = 1e-3  # Of the largest output, which float32 keeps by a hundred times.

_REWRITTEN = frozenset({"EXPAND_DIMS", "RELU_0_TO_1", "SELECT", "SQUEEZE"})  # As others, before anything is quantised.

Run = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


def read_network(
    model: "Path | nn.Module",
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    example_inputs: Sequence[np.ndarray] = (),
) -> SourceNetwork:
    """Read a float network.

    Args:
        model: An ONNX file of opset 7 to 23, a float, float16 or dynamic-range .tflite file, or a module, which is not
            changed.
        input_shapes: By input name, of an ONNX file's inputs whose dimensions are open; a free batch is 1 without.
        example_inputs: For a module, an array float32 an input, as it takes them: of a batch of 1, or a state.

    Raises:
        ModelError: It cannot be read, is not float, has an open dimension, or could not be converted to the same
            function.
        UnsupportedOpError: It holds an operator, named with its node, that has no INT8 form.
        ToolMissing: A package of the extra `export` is not installed.
    """
    if isinstance(model, Path) and model.suffix.lower() == ".tflite":
        graph, notes = read_float_tflite(model)
        inputs, outputs = ([(tensor.name, tensor.shape) for tensor in ends] for ends in (graph.inputs, graph.outputs))
        _check_operators(graph, {})
        return _proven(graph, inputs, outputs, notes, tflite_runner(model))
    with Converter() as converter, tempfile.TemporaryDirectory(prefix="tinyedge-onnx-") as folder:
        if isinstance(model, Path):
            source = read_onnx(model, input_shapes or {})
            return _converted(converter, source, model.stem, onnx_runner(source))
        from tinyedge.conversion import module as modules

        network = modules.inference_copy(model)
        file = Path(folder, f"{type(model).__name__}.onnx")
        modules.export_module(network, example_inputs, file)
        run = modules.runner(network, [example.shape for example in example_inputs])
        return _converted(converter, read_onnx(file, {}), file.stem, run)


def _converted(converter: Converter, source: OnnxSource, name: str, run: Run) -> SourceNetwork:
    """Convert an ONNX network that `run` computes."""
    graph = converter.convert(source.folded, [plain_input(at) for at in range(len(source.inputs))])
    graph = dataclasses.replace(graph, name=name)
    nodes = {output: describe(node) for node in source.folded.graph.node for output in node.output}
    _check_operators(graph, nodes)
    return _proven(graph, source.inputs, source.outputs, source.notes, run)


def _check_operators(graph: Graph, nodes: Mapping[str, str]) -> None:
    """Refuse an operator that has no INT8 form, by the node that it comes from where that is known.

    Args:
        graph: As its converter wrote it.
        nodes: How messages name the node that makes a tensor, by the tensor's name.
    """
    graph = graph.copy()
    for simplify in (separate_outputs, fold_constants, remove_dead):
        simplify(graph)
    for operator in graph.operators:
        descriptor = descriptor_of(operator)
        known = descriptor.float_function is not None or descriptor.lower is not None or operator.op in _REWRITTEN
        is_table = descriptor.is_function and descriptor.lower is None
        if known and len(operator.outputs) == 1 and (not is_table or _is_of_one_value(operator)):
            continue
        place = f"operator {operator.index} ({operator.op})"
        node = next((nodes[tensor.name] for tensor in operator.outputs if tensor.name in nodes), None)
        what = f"{place} of {graph.name}" if node is None else f"{node} of {graph.name} becomes {place}, which"
        raise UnsupportedOpError(f"{what} has no INT8 form: export the network without it, or with what stands for it")


def _is_of_one_value(operator: Operator) -> bool:
    """Whether an operator is a function of its first input, all others being numbers."""
    first, *others = operator.inputs
    numbers = all(tensor is not None and tensor.is_constant and tensor.elements == 1 for tensor in others)
    return first is not None and not first.is_constant and numbers


def _proven(
    graph: Graph, inputs: Sequence[Port], outputs: Sequence[Port], notes: Sequence[str], run: Run
) -> SourceNetwork:
    """Return a graph in canonical form, after it computed what `run` does.

    Args:
        graph: Its inputs have the axes of the source's.
        inputs: Of the source.
        outputs: Of the source.
        notes: On the source.
        run: The source.
    """
    graph, orders = _simplified(graph, [name for name, _ in inputs], [name for name, _ in outputs])
    layouts = tuple(Layout(name, shape, order) for (name, shape), order in zip(inputs, orders, strict=True))
    generator = np.random.default_rng(0)
    probes = [generator.standard_normal((_PROBES, *layout.shape[1:]), np.float32) for layout in layouts]
    for values in probes:
        values[-1] = np.abs(values[-1])  # For roots and logarithms, which are nothing below 0.
    expected = run(probes)
    computed = run_graph(graph, [layout.to_graph(values) for layout, values in zip(layouts, probes, strict=True)])
    output_layouts = tuple(
        Layout(name, (1, *wanted.shape[1:]), _order_of(wanted, found, name, graph.name))
        for (name, _), wanted, found in zip(outputs, expected, computed, strict=True)
    )
    moved = [
        f"{kind} {layout.name}, {layout.shape} in the source, is {layout.graph_shape} in the model"
        for kind, ports in (("input", layouts), ("output", output_layouts))
        for layout in ports
        if not layout.is_kept
    ]
    return SourceNetwork(graph, layouts, output_layouts, (*notes, *moved), run)


def _simplified(
    graph: Graph, inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[Graph, tuple[tuple[int, ...], ...]]:
    """Return a graph in canonical form of as few operators as its function needs, and the order of its inputs' axes."""
    graph = graph.copy()
    for simplify in (
        separate_outputs,
        fold_constants,
        dilate_convolutions,
        take_operands,
        show_transposes,
        remove_dead,
    ):
        simplify(graph)
    graph = canonical(graph, inputs, outputs)
    while move_transposes_behind(graph):
        graph = canonical(graph, inputs, outputs)
    move_transposes_to_inputs(graph)
    graph, orders = without_outer_transposes(graph)
    move_reshapes_behind(graph)
    fold_affine(graph)
    graph = canonical(graph, inputs, outputs)  # What the affine rules left is fused.
    for simplify in (plain_pads, flatten_into_weights, merge_reshapes, remove_dead):
        simplify(graph)
    return graph, orders


def run_graph(graph: Graph, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Run arrays (n, ...), one an input of a float graph, through LiteRT; return (n, ...) an output.

    Raises:
        ModelError: LiteRT refuses the graph.
    """
    frames = empty_frames(len(inputs[0]), graph.inputs)
    for part, values in zip(parts_of(frames), inputs, strict=True):
        part[...] = values
    try:
        results = LitertSession(tflite_bytes(graph), BUILT_IN).run_frames(frames, graph.outputs)
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"LiteRT does not run {graph.name} as it was converted ({' '.join(str(error).split())[:300]}): export the "
            "network to a float .tflite file with its own framework"
        ) from error
    return list(parts_of(results))


def _order_of(expected: np.ndarray, computed: np.ndarray, output: str, model: str) -> tuple[int, ...]:
    """Return the order of the axes of an output's expected values that makes them the computed ones."""
    limit = _TOLERANCE * max(float(np.abs(expected[np.isfinite(expected)]).max(initial=0)), 1e-6)
    worst = np.inf
    for rest in itertools.permutations(range(1, expected.ndim)):
        moved = expected.transpose(0, *rest)
        if moved.shape == computed.shape:
            same = (moved == computed) | (np.isnan(moved) & np.isnan(computed))
            error = float(np.abs(np.where(same, 0, moved) - np.where(same, 0, computed)).max(initial=0))
            if error <= limit:
                return (0, *rest)
            worst = min(worst, error)
    raise ModelError(
        f"output {output} of {model} is off by {worst:.3g} after conversion, more than {limit:.3g}: the converter "
        "made another function of it; export the network to a float .tflite file with its own framework"
    )
