"""Reports fit a terminal of 80 columns: no cell is cut, and no line of a table is wrapped by the terminal."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tinyedge.benchmark.budget import BudgetRow
from tinyedge.benchmark.record import BenchRecord, BenchReport, LayerRecord, ModelledCycles, ModelRecord
from tinyedge.cli.tables.bench import print_bench, print_layers
from tinyedge.cli.tables.export import print_export
from tinyedge.cli.tables.method import print_method
from tinyedge.manifest.manifest import read_manifest
from tinyedge.ssl.registry import method_names

MODELS = Path(__file__).parents[2] / "models"
LAYER = LayerRecord(
    "stages.2.blocks.5.mlp.expand", "DEPTHWISE_CONV_2D", "te_depthwise_conv2d_s8_dsp", 16_234_567, 2**25
)
MODELLED = ModelledCycles(
    123_456_789, 23_456_789, 1028.81, "cortex-m4", "flash with 5 wait states", "-7 % to -2 % (7 programs of pqm4)"
)
MEASURED = BenchReport(
    ModelRecord("model_int8.tflite", "0", 16_718_592, 764_468, 848_016),
    tuple(
        BenchRecord(
            runtime=runtime,
            target="board",
            board="nucleo_h743zi2",
            cpu="cortex-m7",
            instructions=121_345_678,
            cycles=123_456_789,
            macs_per_cycle=0.71,
            latency_ms=1139.6,
            timestamps_ms=1139.9,
            arena_bytes=149_152,
            stack_used_bytes=1_232,
            accuracy=1.0,
            accuracy_images=10_000,
            bit_exact=False,
            differing=1_234,
            inputs=20,
            outputs_sha256="0",
            layers=(
                replace(LAYER, modelled_cycles=2**26),
                replace(LAYER, kept_because="sums may reach 2^30, " * 5, modelled_cycles=2**26),
            ),
            emulated_on="mps2_an500",
            modelled=MODELLED,
        )
        for runtime in ("tflm", "aot")
    ),
)


def exported():
    """The manifest of a model of the zoo, which may have been exported before a figure got its present name."""
    manifest = read_manifest(MODELS / "tinynext_t_cifar10")
    rows = [{**row, "float_top1": row.get("float_top1", row["top1"])} for row in manifest.parity["runtimes"]]
    return replace(manifest, parity={**manifest.parity, "runtimes": rows})


def printed(show, terminal=False) -> str:
    console = Console(width=80, file=io.StringIO(), force_terminal=terminal, no_color=True)
    show(console)
    return console.file.getvalue()


REPORTS = {
    "bench": lambda console: print_bench(MEASURED, [BudgetRow("flash", 938_016, 1_048_576, "bytes")], console),
    "layers": lambda console: print_layers(MEASURED, console),
    "export": lambda console: print_export(exported(), MODELS / "tinynext_t_cifar10", 1.0, console),
} | {name: lambda console, name=name: print_method(name, console) for name in method_names()}


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_fits_80_columns(report):
    text = printed(REPORTS[report], terminal=True)
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert "…" not in text
    # Paths and sentences may be as long as they are: a terminal wraps those without harm.
    tables = [line for line in text.splitlines() if line.startswith((" ", "│", "┃", "┏", "└"))]
    assert max(map(len, tables), default=0) <= 80


def test_a_layer_has_its_name_whole_and_off_a_terminal_one_line():
    layer = MEASURED.results[0].layers[0]
    shown = printed(REPORTS["layers"], terminal=True)
    assert f"{layer.name}  {layer.kernel}" in shown
    lines = printed(REPORTS["layers"]).splitlines()
    rows = [line.partition("  #")[0].split() for line in lines if layer.kernel in line and "slowest" not in line]
    assert len(rows) == 4
    figures = ["16,234,567", "33,554,432", "2.07", "50.0", "67,108,864", "4.13"]
    assert rows[0] == [*figures, layer.name, layer.op, layer.kernel]
    assert {len(row) for row in rows} == {9}


def test_the_help_of_a_method_has_its_defaults_and_their_meaning():
    text = printed(lambda console: print_method("s0-plus", console))
    assert "--lr 0.003" in text
    row = next(line for line in text.splitlines() if line.strip().startswith("corrupt_at"))
    assert "input+stage3" in row  # the preset of this method, not the default of its dataclass
    assert "stage4 (encoder output)" in row
    assert "needs --teacher" in printed(lambda console: print_method("best", console))
