"""Modelled cycles beside the instructions of an emulated board, and what is said where there are none."""

import dataclasses
import io
import json
import os

import pytest
from rich.console import Console

from tinyedge.benchmark.bench import run_bench
from tinyedge.boards.board import load_board
from tinyedge.cli.tables.bench import print_bench, print_layers
from tinyedge.cycles.model import cycle_model
from tinyedge.cycles.plugin import cycle_plugin
from tinyedge.errors import ConfigError, ToolMissing
from tinyedge.toolchain import find_build_tools, find_tool

try:
    find_build_tools()
    find_tool("qemu-system-arm")
    cycle_plugin()
except ToolMissing as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(scope="module")
def silicon(network):
    """A board that QEMU lacks, with 5 wait states."""
    report, _ = run_bench(network, target="emulator", board_name="nucleo_l4r5zi", inputs=3)
    return report


@pytest.fixture(scope="module")
def in_ram(network):
    """The same board, which copies kernels and weights to RAM."""
    report, _ = run_bench(
        network, target="emulator", board_name="nucleo_l4r5zi", inputs=3, kernels_in="ram", weights_in="ram"
    )
    return report


def printed(report) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    print_bench(report, [], console)
    print_layers(report, console)
    return console.export_text()


def test_layers_are_the_cycles_of_the_inference(layers_report):
    (record,) = layers_report.results
    assert record.not_modelled_because == ""
    assert record.modelled.flash_wait_cycles == 0
    assert record.instructions < record.modelled.cycles < 3 * record.instructions
    assert sum(layer.modelled_cycles for layer in record.layers) == pytest.approx(record.modelled.cycles, rel=0.02)


def test_a_board_that_qemu_lacks_runs_on_another_with_its_core(layers_report, silicon):
    (record,) = silicon.results
    assert (record.board, record.emulated_on) == ("nucleo_l4r5zi", "mps2_an386")
    assert record.instructions == pytest.approx(layers_report.results[0].instructions, rel=0.01)
    assert record.bit_exact
    assert record.modelled.flash_wait_cycles > 0
    without_waits = record.modelled.cycles - record.modelled.flash_wait_cycles
    assert without_waits == pytest.approx(layers_report.results[0].modelled.cycles, rel=0.01)
    assert record.modelled.milliseconds == pytest.approx(record.modelled.cycles / 120e6 * 1e3)
    (written,) = json.loads(json.dumps(silicon.to_json()))["results"]
    assert set(written["modelled"]) == {"cycles", "flash_wait_cycles", "milliseconds", "core", "memory", "error"}


def test_no_millisecond_is_printed_without_the_word_modelled(layers_report, silicon):
    for report in (layers_report, silicon):
        text = printed(report)
        model = report.results[0].modelled
        (row,) = [line for line in text.splitlines() if f"{model.milliseconds:.2f}" in line]
        assert "modelled ms" in row
        assert report.results[0].latency_ms is None
        assert f"error {model.error}" in text


def test_without_a_compiler_the_instructions_are_still_counted(network, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYEDGE_CACHE", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler")
    cycle_plugin.cache_clear()
    try:
        report, _ = run_bench(network, target="emulator", board_name="mps2_an386", inputs=1)
    finally:
        cycle_plugin.cache_clear()
    (record,) = report.results
    assert record.instructions > 0
    assert record.modelled is None
    assert "modelled cycles: none; no C compiler 'no-such-compiler'" in printed(report)


def test_a_qemu_without_plugins_is_told(tmp_path, monkeypatch):
    """What a QEMU that was configured with --disable-plugins says."""
    qemu = tmp_path / "qemu-system-arm"
    qemu.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "QEMU emulator version 7.2" && exit\n'
        'echo "qemu-system-arm: -plugin: invalid option" >&2\nexit 1\n'
    )
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    cycle_plugin.cache_clear()
    try:
        with pytest.raises(ToolMissing, match=r"invalid option.*--enable-plugins"):
            cycle_plugin()
    finally:
        cycle_plugin.cache_clear()


def test_a_core_without_a_model_and_a_flash_without_a_description_are_told():
    board = load_board("nucleo_l4r5zi")
    with pytest.raises(ConfigError, match="no cycle model of cortex-a5"):
        cycle_model(dataclasses.replace(board, cpu="cortex-a5"))
    with pytest.raises(ConfigError, match=r"add \[flash_reads\]"):
        cycle_model(dataclasses.replace(board, flash_reads=None))


def test_what_lies_in_ram_does_not_wait_for_the_flash(silicon, in_ram):
    (flash,), (ram,) = silicon.results, in_ram.results
    assert ram.outputs_sha256 == flash.outputs_sha256
    assert ram.bit_exact
    assert ram.modelled.flash_wait_cycles < 0.1 * flash.modelled.flash_wait_cycles
    assert ram.modelled.cycles < flash.modelled.cycles
    assert flash.code_ram_bytes == 0 < ram.code_ram_bytes


def test_an_image_for_size_is_compiled_for_size(network):
    report, _ = run_bench(network, target="emulator", board_name="mps2_an386", inputs=1, optimize="size")
    assert report.env["flags"].endswith("-Os -DTE_SMALL=1")


@pytest.mark.parametrize("target", ["host", "board"])
def test_only_the_emulator_gets_an_image_made_for_it(network, target):
    with pytest.raises(ConfigError, match="--target emulator, or leave --kernels-in and --weights-in out"):
        run_bench(network, target=target, kernels_in="ram")
