"""Our ahead-of-time C on emulated boards and on this machine, beside other engines on the same models.

    python benchmarks/engine_table.py --models FOLDER [--boards mps2_an386 ...] [--inputs 20] [--only NAME ...]

FOLDER holds MLPerf Tiny's INT8 models as far as they are there: files whose names begin with ic_, vww_, kws_ and ad_.
Our own are made from the zoo, and `keras_models.py` makes some with random weights as others would. Instructions are
executed ones of one inference, and `engine_peers.py` says where the other engines' come from; cycles are modelled where
there is a model of the board's core (docs/cycles.md), on one board for both choices of kernels. The host's microseconds
are medians of this run, all engines taking turns.

Prints Markdown tables and writes benchmarks/results/engine_table.json and .png.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from engine_peers import PEERS, PUBLISHED_BOARD, PUBLISHED_MS, TFLM, TINY_ENGINE
from keras_models import RANDOM_WEIGHTS, foreign_models

from tinyedge.atomic import atomic_path, write_json
from tinyedge.benchmark.bench import run_bench
from tinyedge.boards.board import board_names, load_board
from tinyedge.compiler.passes import simplify
from tinyedge.compiler.program import compile_graph
from tinyedge.errors import BudgetExceeded
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.frames import random_frames
from tinyedge.tflite.reader import read_tflite

RESULTS = Path(__file__).parent / "results"
ZOO = Path(__file__).resolve().parents[1] / "models"
BOARDS = ("mps2_an386", "nucleo_l4r5zi", "nucleo_u575zi", "mps2_an500", "mps3_an547")
PUBLISHED = {"ic_": "IC ResNet-8", "vww_": "VWW MobileNetV1-0.25", "kws_": "KWS DS-CNN", "ad_": "AD autoencoder"}
OURS = "tinyedge"
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_HOST_ROUNDS = 25
_COLUMNS = 15
_OPTIMISATIONS = ("balanced", "speed")  # The first is the default.


def find_models(folder: Path | None, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and file of every model."""
    for prefix, name in PUBLISHED.items():
        for path in sorted(folder.glob(f"{prefix}*.tflite")) if folder else []:
            yield name, path
    yield "TinyNeXt-T (2,1,2,2,2)", ZOO / "tinynext_t_cifar10" / "model_int8.tflite"
    yield "TinyNeXt-T (1,1,2,2,2)", restrided(ZOO / "tinynext_t_cifar10", (1, 1, 2, 2, 2), scratch)
    yield "MobileNetV2-0.35", ZOO / "mobilenetv2_035_cifar10" / "model_int8.tflite"
    yield from foreign_models(scratch)


def restrided(run: Path, strides: tuple[int, ...], scratch: Path) -> Path:
    """Return the INT8 file of a zoo model at other strides, of which its parameters do not depend."""
    import torch

    from tinyedge.checks.trace import trace
    from tinyedge.conversion.fold import fold_classifier
    from tinyedge.encoders.registry import create_encoder
    from tinyedge.exporter.export import load_probe
    from tinyedge.quantisation.float_executor import FloatExecutor
    from tinyedge.quantisation.observers import min_max, observe
    from tinyedge.quantisation.quantise import quantise
    from tinyedge.tflite.writer import tflite_bytes
    from tinyedge.training.run import load_run

    trained = load_run(run).load_encoder()
    encoder = create_encoder(load_run(run).config.encoder, input_size=trained.input_size, strides=strides)
    encoder.load_state_dict(trained.state_dict())
    probe = load_probe(run, trained)
    graph = trace(fold_classifier(probe.reads(encoder.eval()), probe.weight, probe.bias), encoder.input_size, run.name)
    images = torch.randn(16, encoder.input_size, encoder.input_size, 3, generator=torch.Generator().manual_seed(0))
    ranges = {tensor: min_max(histogram) for tensor, histogram in observe(FloatExecutor(graph), (images,)).items()}
    path = scratch / f"{run.name}_{''.join(map(str, strides))}.tflite"
    path.write_bytes(tflite_bytes(quantise(graph, ranges)))
    return path


def weight_bytes(model: Path) -> int:
    """Return the int8 weights that are left of a model after the compiler's passes, equal tensors once."""
    graph = read_tflite(model)
    simplify(graph)
    weights = {operator.inputs[1] for operator in graph.operators if operator.op in _WEIGHTED}
    return sum(tensor.bytes for tensor in weights if tensor is not None)


def on_board(name: str, model: Path, board_name: str, inputs: int, optimize: str) -> dict[str, Any]:
    """Return the row of a model on an emulated board."""
    row: dict[str, Any] = {
        "model": name,
        "board": board_name,
        "cpu": load_board(board_name).cpu,
        "optimize": optimize,
    }
    # What an engine executes does not depend on the weights.
    published = name.removesuffix(RANDOM_WEIGHTS)
    row["peers"] = {peer.engine: asdict(peer) for peer in PEERS.get((published, row["cpu"]), ())}
    try:
        report, _ = run_bench(model, target="emulator", board_name=board_name, inputs=inputs, optimize=optimize)
    except BudgetExceeded as error:
        return {**row, "error": str(error)}
    (record,) = report.results
    assert record.instructions is not None
    assert record.flash_model_bytes is not None
    assert record.flash_kernel_bytes is not None
    weights, macs = weight_bytes(model), compile_graph(read_tflite(model)).macs
    return {
        **row,
        "sha256": report.model.sha256,
        "macs": macs,
        "instructions": record.instructions,
        "instructions_per_mac": record.instructions / macs,
        "modelled": asdict(record.modelled) if record.modelled is not None else None,
        "arena_bytes": record.arena_bytes,
        "stack_used_bytes": record.stack_used_bytes,
        "flash_bytes": record.flash_bytes,
        "weight_bytes": weights,
        "flash_beyond_weights_bytes": record.flash_model_bytes + record.flash_kernel_bytes - weights,
        "bit_exact": record.bit_exact,
        "inputs": record.inputs,
        "outputs_sha256": record.outputs_sha256,
        "env": report.env,
    }


def on_host(name: str, model: Path) -> dict[str, Any]:
    """Return the median microseconds of one inference in each engine on this machine, one thread."""
    sources = read_tflite(model).inputs
    values = random_frames(sources, 2, seed=0)
    engines: dict[str, Callable[[np.ndarray], Any]] = {
        OURS: AotRuntime(model).run,
        "LiteRT, XNNPACK": litert(model),
        "TFLM, reference kernels": TflmRuntime(model).run,
    }
    times_us: dict[str, list[float]] = {engine: [] for engine in engines}
    for run in engines.values():
        run(values[:1])  # Warms up.
    for _ in range(_HOST_ROUNDS):
        for engine, run in engines.items():
            start = time.perf_counter()
            run(values[1:])
            times_us[engine].append((time.perf_counter() - start) * 1e6)
    return {"model": name, "median_us": {engine: float(np.median(times)) for engine, times in times_us.items()}}


def litert(model: Path) -> Callable[[np.ndarray], Any]:
    """Open a model in LiteRT with its default kernels, the fastest; `LitertRuntime` has the reference ones."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    source, output = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(values: np.ndarray) -> Any:
        interpreter.set_tensor(source, values)
        interpreter.invoke()
        return interpreter.get_tensor(output)

    return run


def board_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table of boards that QEMU has as Markdown, with the default choice of kernels.

    Flash without weights is that of kernels, tables, per-channel data and layers' parameters: the application, the
    board's start-up code and the C library are not the engine's. "x fewer" is a peer's instructions over ours.
    """
    lines = [
        "| model | board | MACs | instructions | a MAC | arena B | stack B | flash B without weights | bit-exact "
        f"| {TFLM} | x fewer | its arena B | {TINY_ENGINE} | x fewer | its buffers B |",
        "|---" * _COLUMNS + "|",
    ]
    for row in rows:
        if row["board"] == PUBLISHED_BOARD:  # Its instructions are those of the other board with its core.
            continue
        if "error" in row:
            lines.append(f"| {row['model']} | {row['board']} | {row['error']} " + "| " * (_COLUMNS - 3) + "|")
            continue
        cells = [
            row["model"],
            row["board"],
            f"{row['macs']:,}",
            f"{row['instructions']:,}",
            f"{row['instructions_per_mac']:.2f}",
            f"{row['arena_bytes']:,}",
            f"{row['stack_used_bytes']:,}",
            f"{row['flash_beyond_weights_bytes']:,}",
            f"{str(row['bit_exact']).lower()}, {row['inputs']} inputs",
        ]
        for engine in (TFLM, TINY_ENGINE):
            peer = row["peers"].get(engine)
            if peer is None:
                cells += ["", "", ""]
            else:
                fewer = peer["instructions"] / row["instructions"]
                cells += [f"{peer['instructions']:,}", f"{fewer:.2f}", f"{peer['ram_bytes']:,}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def cycles_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return modelled cycles and milliseconds of the rows that have them as Markdown; "waits" are for the flash."""
    engines = list(dict.fromkeys(engine for figures in PUBLISHED_MS.values() for engine in figures))
    titles = ["model", "board", "chosen for", "modelled cycles", "waits", "a MAC", "modelled ms", "arena B"]
    titles += [f"{TFLM}, modelled cycles", *(f"{engine}, published ms" for engine in engines)]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in rows:
        modelled = row.get("modelled")
        if modelled is None:
            continue
        published = PUBLISHED_MS.get(row["model"].removesuffix(RANDOM_WEIGHTS), {})
        cells = [
            row["model"],
            row["board"],
            row["optimize"],
            f"{modelled['cycles']:,}",
            f"{modelled['flash_wait_cycles'] / modelled['cycles']:.0%}",
            f"{modelled['cycles'] / row['macs']:.2f}",
            f"{modelled['milliseconds']:.1f}",
            f"{row['arena_bytes']:,}",
            _peer_cycles(row),
            *(f"{published.get(engine, '')}" if row["board"] == PUBLISHED_BOARD else "" for engine in engines),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _peer_cycles(row: dict[str, Any]) -> str:
    """TFLite Micro's modelled cycles and how many times ours they are; "" where there are none."""
    peer = row["peers"].get(TFLM)
    if row["board"] != PUBLISHED_BOARD or peer is None or peer.get("cycles") is None:
        return ""
    return f"{peer['cycles']:,} ({peer['cycles'] / row['modelled']['cycles']:.1f} x)"


def host_table(host: dict[str, Any]) -> str:
    """Return the host's table as Markdown."""
    engines = list(host["models"][0]["median_us"])
    lines = [f"| model, us on the host | {' | '.join(engines)} |", "|---" * (len(engines) + 1) + "|"]
    for row in host["models"]:
        lines.append(
            f"| {row['model']} | " + " | ".join(f"{row['median_us'][engine]:,.0f}" for engine in engines) + " |"
        )
    load = " before, ".join(f"{value:.1f}" for value in host["load"])
    lines.append(f"\n{host['machine']}, 1 thread, medians of {_HOST_ROUNDS}, load of the machine {load} after.")
    return "\n".join(lines)


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw instructions a MAC of all engines as bars, one panel a board, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in rows if "error" not in row and row["board"] != PUBLISHED_BOARD]
    boards = list(dict.fromkeys(row["board"] for row in rows))
    figure, panels = pyplot.subplots(len(boards), 1, figsize=(11, 3.2 * len(boards)), squeeze=False)
    for axes, board in zip(panels[:, 0], boards, strict=True):
        here = [row for row in rows if row["board"] == board]
        for place, engine in enumerate((TFLM, TINY_ENGINE, OURS)):
            heights = {}
            for position, row in enumerate(here):
                figures = row if engine == OURS else row["peers"].get(engine)
                if figures is not None:
                    heights[position + 0.27 * (place - 1)] = figures["instructions"] / row["macs"]
            bars = axes.bar(list(heights), list(heights.values()), 0.25, label=engine)
            axes.bar_label(bars, fmt="%.2f", fontsize=7)
        axes.set_xticks(range(len(here)), [row["model"] for row in here], fontsize=7)
        axes.set_ylabel("instructions a MAC")
        axes.set_title(f"{board} ({here[0]['cpu']})", fontsize=9)
        axes.legend(fontsize=7)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def main() -> None:
    """Measure every model on every board and on the host."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, help="folder of MLPerf Tiny's INT8 models")
    parser.add_argument("--boards", nargs="+", default=[name for name in BOARDS if name in board_names()])
    parser.add_argument("--inputs", type=int, default=20)
    parser.add_argument("--only", nargs="+", default=[""], help="models whose name contains one of these")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        models = [
            (name, path)
            for name, path in find_models(options.models, Path(folder))
            if any(part in name for part in options.only)
        ]
        rows = []
        for name, path in models:
            for board in options.boards:
                for optimize in _OPTIMISATIONS if board == PUBLISHED_BOARD else _OPTIMISATIONS[:1]:
                    rows.append(on_board(name, path, board, options.inputs, optimize))
                    print(*(rows[-1].get(key) for key in ("model", "board", "optimize", "instructions")), flush=True)
        load = [os.getloadavg()[0]]
        measured = [on_host(name, path) for name, path in models]
        load.append(os.getloadavg()[0])
    host = {"machine": platform.processor() or platform.machine(), "threads": 1, "load": load, "models": measured}
    print(f"\n{board_table(rows)}\n\n{cycles_table(rows)}\n\n{host_table(host)}")
    write_json(RESULTS / "engine_table.json", {"schema": 1, "boards": rows, "host": host})
    draw(rows, RESULTS / "engine_table.png")
    print(f"\nwrote {RESULTS / 'engine_table.json'} and .png")


if __name__ == "__main__":
    main()
