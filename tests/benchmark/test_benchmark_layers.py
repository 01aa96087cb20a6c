"""The profile of a model's layers on an emulated board."""

import io
import json

import pytest
from rich.console import Console

from tinyedge.benchmark.bench import run_bench
from tinyedge.c_sources import firmware_root
from tinyedge.cli.tables.bench import print_layers
from tinyedge.errors import ToolMissing
from tinyedge.toolchain import find_build_tools, find_tool

try:
    find_build_tools()
    find_tool("qemu-system-arm")
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)


def test_the_layers_are_the_inference(layers_report):
    (record,) = layers_report.results
    assert sum(layer.instructions for layer in record.layers) == pytest.approx(record.instructions, rel=0.01)
    assert sum(layer.macs for layer in record.layers) == layers_report.model.macs
    for layer in record.layers:
        assert (firmware_root() / "kernels" / f"{layer.kernel}.c").is_file()
        assert layer.instructions > layer.macs / 4
    (written,) = json.loads(json.dumps(layers_report.to_json()))["results"]
    fields = {"name", "op", "kernel", "macs", "instructions", "kept_because", "modelled_cycles"}
    assert set(written["layers"][0]) == fields


def test_names_of_layers_take_no_flash_of_the_image_that_is_measured(layers_report, network):
    without, _ = run_bench(network, target="emulator", board_name="mps2_an386", inputs=2)
    assert without.results[0].flash_bytes == layers_report.results[0].flash_bytes
    # To a tick, whose phase depends on when the bytes of the line arrive.
    assert abs(without.results[0].instructions - layers_report.results[0].instructions) <= 40


def test_the_slowest_layer_is_seen(layers_report):
    console = Console(width=80, record=True, file=io.StringIO())
    print_layers(layers_report, console)
    text = console.export_text()
    slowest = max(layers_report.results[0].layers, key=lambda layer: layer.instructions)
    assert f"slowest: {slowest.name} ({slowest.kernel})" in text
    for layer in layers_report.results[0].layers:
        assert "_".join(layer.name.split()) in text
        assert f"{layer.instructions:,}" in text
