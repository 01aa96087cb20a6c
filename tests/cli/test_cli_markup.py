"""Names of a stranger's file are text in every table: what looks like Rich's markup colours and ends nothing."""

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from checks.foreign_models import custom_operator
from rich.console import Console
from typer.testing import CliRunner

from tinyedge.benchmark.record import BenchRecord, LayerRecord
from tinyedge.boards.board import load_board
from tinyedge.checks.check import check_model
from tinyedge.cli.app import make_app
from tinyedge.cli.tables import export, quantise
from tinyedge.cli.tables.bench import print_layers
from tinyedge.cli.tables.check import print_check

# The second ends what was never begun: as markup it is an error.
NAMES = ("[red]x[/]", "a[/x]")


def printed(show) -> str:
    stream = io.StringIO()
    show(Console(file=stream, width=200, force_terminal=True, color_system="truecolor"))
    return stream.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_an_operator_of_a_stranger(name, tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes(custom_operator(name))
    report = check_model(model, [load_board("mps2_an386")])
    # The runtimes that take no such operator may have no figure of memory: the line about the fullest layer has one.
    report = replace(report, layers=tuple(replace(layer, alive_bytes=1) for layer in report.layers))
    said = printed(lambda console: print_check(report, console))
    for before in ("operator 0 (", " "):  # The line of the peak, and the tables.
        assert before + name in said
    assert said.count(name) >= 4  # What refuses it says so.
    done = CliRunner().invoke(make_app(), ["compile", str(model), "--out", str(tmp_path / "c")])
    assert name in str(done.exception)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("name", NAMES)
def test_layers_of_a_stranger(name):
    layer = LayerRecord(name, "CONV_2D", name, 10, 20, name, None)
    told = {"outputs_sha256": "0" * 64, "bit_exact": None, "differing": None, "inputs": 1}
    record = BenchRecord(runtime="aot", target="board", board="stm32f405", cpu="cortex-m4", layers=(layer,), **told)
    said = printed(lambda console: print_layers(SimpleNamespace(results=[record]), console))
    assert said.count(name) == 5  # Its name, kernel and why it keeps it, then the slowest and its kernel.

    noise = {"index": 0, "name": name, "op": name, "input_sqnr_db": 1.0, "sqnr_db": 2.0, "own_sqnr_db": 3.0}
    said = printed(lambda console: console.print(quantise._layers([noise])))
    assert said.count(name) == 2
    said = printed(lambda console: console.print(export._layers({"worst_layers": [noise], "culprit": noise})))
    assert said.count(name) == 4
