"""Which part may import which: the rules of ARCHITECTURE.md."""

import resource
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
        ("import tinyedge.compiler.program, tinyedge.compiler.reader, tinyedge.compiler.emitter", HEAVY),
        ("import tinyedge.targets.firmware, tinyedge.targets.emulator, tinyedge.targets.serial", HEAVY),
        ("import tinyedge.targets.flash, tinyedge.targets.emulated_probe, tinyedge.targets.board_line", HEAVY),
        ("import tinyedge.bench.measure, tinyedge.bench.board", HEAVY),
        ("import tinyedge.check.check, tinyedge.check.report, tinyedge.check.probe", HEAVY),
        ("import tinyedge.check.encoder", {"tensorflow", "onnx"}),
        ("import tinyedge.ssl.registry, tinyedge.training.train, tinyedge.evaluation.probe", {"tensorflow", "onnx"}),
        ("import tinyedge.training.train, tinyedge.export.export, tinyedge.bench.bench", {"tinyedge.cli"}),
    ],
)
def test_what_a_part_must_not_import(statement, forbidden):
    assert not _imported_by(statement) & forbidden


def test_help_takes_under_half_a_second():
    def cpu_seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "tinyedge", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    # Processor time, for the wall's clock also counts whatever else the machine is doing.
    assert min(cpu_seconds() for _ in range(5)) < 0.5
