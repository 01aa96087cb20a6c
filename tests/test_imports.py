"""Which part may import which: the rules of ARCHITECTURE.md."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "tensorflow", "onnx", "onnxruntime", "lightning", "matplotlib", "sklearn"}


def _imported_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import tinyedge, tinyedge.cli", HEAVY),
        ("import tinyedge.compiler.program, tinyedge.tflite.reader, tinyedge.compiler.emit.emitter", HEAVY),
        ("import tinyedge.firmware.build, tinyedge.devices.emulator, tinyedge.devices.serial", HEAVY),
        ("import tinyedge.devices.flash, tinyedge.devices.emulated_probe, tinyedge.devices.board_line", HEAVY),
        ("import tinyedge.benchmark.measure, tinyedge.benchmark.board", HEAVY),
        ("import tinyedge.checks.check, tinyedge.cli.tables.check, tinyedge.checks.interpreter_worker", HEAVY),
        ("import tinyedge.ssl.registry, tinyedge.encoders.registry", HEAVY),
        ("import tinyedge.checks.encoder", {"tensorflow", "onnx"}),
        ("import tinyedge.ssl.registry, tinyedge.training.train, tinyedge.evaluation.probe", {"tensorflow", "onnx"}),
        ("import tinyedge.training.train, tinyedge.exporter.export, tinyedge.benchmark.bench", {"tinyedge.cli"}),
    ],
)
def test_what_a_part_must_not_import(statement, forbidden):
    assert not _imported_by(statement) & forbidden


def test_help_imports_what_it_prints_with_alone():
    statement = (
        "import contextlib, io, sys; from tinyedge.cli import main; sys.argv = ['tinyedge', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit): main()\n"
        "assert 'bench' in said.getvalue()"
    )
    assert not _imported_by(statement) & (HEAVY | {"numpy", "yaml", "serial", "tflite", "PIL"})
