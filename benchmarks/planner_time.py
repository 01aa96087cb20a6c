"""How long graphs of many layers are compiled, and what their arenas are.

    python benchmarks/planner_time.py

A chain of 1,000 convolutions, and a directed acyclic graph of 290 layers, convolutions of one of the last eight results
and sums of two of them, in which what nobody has read is joined at the end; then the published encoders. CPU seconds of
this process depend on the machine, the arenas do not.
"""

import argparse
import random
import time
from pathlib import Path

import numpy as np

from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import compile_graph
from tinyedge.tflite.graph import Graph, Operator, Quantisation, Tensor
from tinyedge.tflite.model import Model

MODELS = Path(__file__).parent.parent / "models"
_SIDE = 6
_CONVOLUTION = {"padding": "SAME", "stride_w": 1, "stride_h": 1, "fused_activation_function": "NONE"}
_CONVOLUTION |= {"dilation_w_factor": 1, "dilation_h_factor": 1, "quantized_bias_type": "FLOAT32"}


class _Builder:
    """A graph that grows by a layer at a time; every map is 6x6."""

    def __init__(self, name: str, channels: int) -> None:
        self.name = name
        self.operators: list[Operator] = []
        self.maps = [self._map("x", channels)]
        self._numbers = np.random.default_rng(0)

    def convolve(self, source: Tensor, channels: int) -> None:
        """Add a 1x1 convolution to so many channels."""
        shape = (channels, 1, 1, source.shape[3])
        weights = self._numbers.integers(-127, 128, shape).astype(np.int8)
        scales = _scale(*[0.01] * channels)
        biases = np.zeros(channels, np.int32)
        name = f"layer_{len(self.operators)}"
        inputs = (
            source,
            Tensor(f"{name}_weights", shape, np.dtype(np.int8), scales, weights),
            Tensor(f"{name}_biases", (channels,), np.dtype(np.int32), _scale(*[0.001] * channels), biases),
        )
        self._add("CONV_2D", inputs, channels, dict(_CONVOLUTION))

    def join(self, op: str, sources: list[Tensor]) -> None:
        """Add ADD, or CONCATENATION along the channels."""
        options = {"fused_activation_function": "NONE", "axis": 3} if op == "CONCATENATION" else {}
        options |= {} if options else {"fused_activation_function": "NONE", "pot_scale_int16": False}
        channels = sum(source.shape[3] for source in sources) if op == "CONCATENATION" else sources[0].shape[3]
        self._add(op, tuple(sources), channels, options)

    def graph(self) -> Graph:
        """What has grown; its output is the last map."""
        return Graph(self.name, self.operators, (self.maps[0],), (self.maps[-1],), "0" * 64)

    def _add(self, op: str, inputs: tuple[Tensor, ...], channels: int, options: dict[str, object]) -> None:
        output = self._map(f"map_{len(self.operators)}", channels)
        self.operators.append(Operator(op, inputs, (output,), options, 1, len(self.operators)))
        self.maps.append(output)

    @staticmethod
    def _map(name: str, channels: int) -> Tensor:
        return Tensor(name, (1, _SIDE, _SIDE, channels), np.dtype(np.int8), _scale(0.1), None)


def _scale(*scales: float) -> Quantisation:
    return Quantisation(np.array(scales, np.float32), np.zeros(len(scales), np.int32), 0)


def chain(layers: int) -> Graph:
    """Convolutions one after another, of 4 to 16 channels."""
    rng = random.Random(0)
    builder = _Builder(f"chain of {layers}", 8)
    for _ in range(layers):
        builder.convolve(builder.maps[-1], rng.randint(4, 16))
    return builder.graph()


def branches(layers: int) -> Graph:
    """Convolutions of late results, the oldest that is unread first, sums of equal sizes, and a concatenation."""
    rng = random.Random(0)
    builder = _Builder(f"graph of {layers}", 8)
    read: set[str] = set()
    while len(builder.operators) < layers - 1:
        late = builder.maps[-8:]
        first = rng.choice(late) if late[0].name in read else late[0]
        second = rng.choice(late)
        if rng.random() < 0.4 and first is not second and first.shape == second.shape:
            builder.join("ADD", [first, second])
            read |= {first.name, second.name}
        else:
            builder.convolve(first, rng.choice((4, 8, 12)))
            read.add(first.name)
    builder.join("CONCATENATION", [tensor for tensor in builder.maps if tensor.name not in read])
    return builder.graph()


def compiled(graph: Graph, name: str, instruction_set: str) -> str:
    """Compile a graph and return the line of the table."""
    begin = time.process_time()
    plan = compile_graph(graph, CompileOptions(instruction_set)).plan
    seconds = time.process_time() - begin
    return f"| {name} | {instruction_set} | {seconds:.1f} | {plan.arena_bytes:,} | {plan.lower_bound_bytes:,} |"


def main() -> None:
    """Run from the command line."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("| graph | instruction set | CPU s | arena B | lower bound B |\n|---|---|---|---|---|")
    for make, layers in ((chain, 1_000), (branches, 290)):
        for instruction_set in ("portable", "dsp"):
            graph = make(layers)
            print(compiled(graph, graph.name, instruction_set), flush=True)
    for model in sorted(MODELS.glob("*/model_int8.tflite")):
        for instruction_set in ("portable", "dsp", "mve"):
            print(compiled(Model(model).graph(), model.parent.name, instruction_set), flush=True)


if __name__ == "__main__":
    main()
