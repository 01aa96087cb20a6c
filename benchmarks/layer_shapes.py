"""Instructions a multiply-accumulate by layer shape, over all models of a folder, on an emulated board.

    python benchmarks/layer_shapes.py FOLDER [--board mps2_an386]

FOLDER holds .tflite files of anybody's; what the compiler does not take is named and left out. Layers of one operator,
window, size and kernel are one shape. Instructions are executed ones, not cycles.

Prints Markdown, the most expensive shapes first, and writes benchmarks/results/layer_shapes.json.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tinyedge.atomic import write_json
from tinyedge.benchmark.bench import run_bench
from tinyedge.boards.board import load_board
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import compile_graph
from tinyedge.errors import TinyEdgeError
from tinyedge.ops.kernel_call import KernelCall, integer_fields
from tinyedge.tflite.model import open_model

RESULTS = Path(__file__).parent / "results"
# Below it a layer does not matter to its model.
_MIN_SHARE = 0.02
# The page shows what costs more a multiply-accumulate, or an output of a layer that has none.
_SHOWN_PER_MAC, _SHOWN_PER_OUTPUT = 1.5, 10.0


def shape_of(call: KernelCall) -> str:
    """Return what the cost of a portable call depends on, in words: "CONV_2D 3x3 s2, 32x32x3 -> 16x16x8"."""
    fields = integer_fields(call)
    window = ""
    if "kernel_h" in fields:
        window = f" {fields['kernel_h']}x{fields['kernel_w']}"
        strides, dilations = ([fields.get(f"{name}_{axis}", 1) for axis in "hw"] for name in ("stride", "dilation"))
        window += (
            "" if strides == [1, 1] else f" s{strides[0]}" if len(set(strides)) == 1 else " s{}x{}".format(*strides)
        )
        window += "" if dilations == [1, 1] else " d{}x{}".format(*dilations)
    sizes = ["x".join(map(str, tensor.shape[1:])) for tensor in (call.inputs[0], call.output)]
    return f"{call.op}{window}, {' -> '.join(sizes)}"


def layers_of(model: Path, board_name: str) -> Iterator[dict[str, Any]]:
    """Yield a row a layer of a model."""
    report, _ = run_bench(model, target="emulator", board_name=board_name, inputs=1, layers=True)
    (record,) = report.results
    portable = compile_graph(open_model(model).graph(), CompileOptions())
    instructions = sum(layer.instructions for layer in record.layers)
    for call, layer in zip(portable.calls, record.layers, strict=True):
        yield {
            "model": model.name,
            "bit_exact": record.bit_exact,
            "shape": shape_of(call),
            "kernel": layer.kernel,
            "macs": layer.macs,
            "outputs": math.prod(call.output.shape),
            "instructions": layer.instructions,
            "share": layer.macs / report.model.macs if layer.macs else layer.instructions / instructions,
            "kept_because": layer.kept_because,
        }


def by_shape(layers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row a shape and kernel, the most instructions a MAC first, then those without MACs by output."""
    groups = defaultdict(list)
    for layer in layers:
        groups[layer["shape"], layer["kernel"]].append(layer)
    rows = []
    for (shape, kernel), members in groups.items():
        macs, outputs, instructions = (
            sum(member[figure] for member in members) for figure in ("macs", "outputs", "instructions")
        )
        rows.append(
            {
                "shape": shape,
                "kernel": kernel,
                "models": len({member["model"] for member in members}),
                "layers": len(members),
                "share": max(member["share"] for member in members),
                "per_mac": instructions / macs if macs else None,
                "per_output": instructions / outputs,
                "kept_because": members[0]["kept_because"],
            }
        )
    return sorted(rows, key=lambda row: (row["per_mac"] is None, -(row["per_mac"] or row["per_output"])))


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the shapes that matter to a model and cost most: by MAC, then by output those without MACs."""
    weighted = [row for row in rows if row["per_mac"] is not None]
    others = [row for row in rows if row["per_mac"] is None]
    parts = []
    for title, members, figure, least in (
        ("% of MACs | instructions a MAC", weighted, "per_mac", _SHOWN_PER_MAC),
        ("% of instructions | an output", others, "per_output", _SHOWN_PER_OUTPUT),
    ):
        lines = [f"| shape | kernel | models | {title} |", "|---|---|---|---|---|"]
        for row in members:
            if row["share"] >= _MIN_SHARE and row[figure] >= least:
                lines.append(
                    f"| {row['shape']} | `{row['kernel']}` | {row['models']} | {100 * row['share']:.0f} "
                    f"| {row[figure]:.2f} |"
                )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def main() -> None:
    """Measure every model of the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--board", default="mps2_an386")
    options = parser.parse_args()

    layers: list[dict[str, Any]] = []
    refused: dict[str, str] = {}
    for model in sorted(options.folder.glob("*.tflite")):
        try:
            layers += layers_of(model, options.board)
        except TinyEdgeError as error:
            refused[model.name] = str(error)
        print(f"{model.name}: {refused.get(model.name, 'measured')}", flush=True)
    rows = by_shape(layers)
    print(f"\n{markdown(rows)}")
    board = load_board(options.board)
    models = {layer["model"]: layer["bit_exact"] for layer in layers}
    result = {"schema": 1, "board": board.name, "cpu": board.cpu, "models": models, "shapes": rows}
    write_json(RESULTS / "layer_shapes.json", result)
    print(f"\nwrote {RESULTS / 'layer_shapes.json'}: {len(models)} models, {len(refused)} left out")


if __name__ == "__main__":
    main()
